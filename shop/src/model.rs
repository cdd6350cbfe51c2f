//! The truth: which products and images exist on which day, and what they are.
//!
//! Every answer is computed from the specification, the slot (or image number) and the day; nothing
//! is stored, so a model of ten million products costs as much as one of ten. A product's life is
//! replayed day by day, which makes a question about day `n` cost `n` steps.
//!
//! Events are spread by a Weyl sequence (multiples of the golden ratio on a 64-bit circle): each
//! event owns an arc as long as its share, so counts follow the shares closely and two events of one
//! day never hit the same item.

mod describe;
mod place;
mod truth;

use std::io;
use std::sync::Arc;

use chrono::{DateTime, FixedOffset, Utc};

use crate::image::ImageFormat;
use crate::number::{GOLDEN, inverse_u32, mix, push_number, push_padded, share_bound};
use crate::product::ShopProduct;
use crate::spec::ShopSpec;
use crate::vocabulary::LEAVES;

pub use self::place::Place;
pub(crate) use self::place::{LinkFrom, PRIVATE, PRIVATE_OPEN, Wording};
pub use self::truth::SiteProduct;
pub(crate) use self::truth::{VARIANTS, variant};

/// When day 0 is published: 02:00 on 2 March 2026 in Seoul, as Unix seconds.
const DAY_ZERO_UNIX: i64 = 1_772_384_400;
/// 2^64 times the fractional part of the square root of 2: how far the arcs move each day, so that
/// the arcs of neighbouring days do not overlap.
const DAY_STEP: u64 = 0x6A09_E667_F3BC_C909;
/// Odd, so that slot to id is one to one modulo 2^32; ids then come in no order.
const ID_FACTOR: u32 = 2_654_435_769;
const ID_FACTOR_INVERSE: u32 = inverse_u32(ID_FACTOR);
/// Digits of a product id; 2^32 has ten.
const ID_DIGITS: usize = 10;
/// Coprime to 10, so that slot to bar code is one to one modulo 10^9.
const GTIN_FACTOR: u64 = 387_420_489;
/// How many won are taken for a dollar.
const WON_PER_CENT: u64 = 14;

/// Salts that keep the decisions about one number apart.
mod salt {
    pub(super) const PRODUCT_EVENTS: u64 = 1;
    pub(super) const IMAGE_EVENTS: u64 = 2;
    pub(super) const LOOKS: u64 = 3;
    pub(super) const PRICE: u64 = 4;
    pub(super) const NUMBERS: u64 = 5;
    pub(super) const IMAGE_FORMAT: u64 = 6;
    pub(super) const IMAGE_BYTES: u64 = 7;
    pub(super) const PLACE: u64 = 8;
    pub(super) const MANNER: u64 = 9;
    pub(super) const SPELLING: u64 = 10;
}

/// A shop's products and images on every day.
#[derive(Clone, Debug)]
pub struct Model {
    spec: ShopSpec,
    base_url: String,
    image_base_url: String,
    new_per_day: u32,
    /// Ends of the arcs `gone` and `changed`.
    product_arcs: [u64; 2],
    /// Ends of the arcs `broken`, `moved` and `changed`.
    image_arcs: [u64; 3],
    /// Ends of the arcs of places.
    place_arcs: [u64; 5],
    /// Filler of product pages.
    padding: Arc<str>,
}

/// Product ids by what happened to them since the day before, in feed order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub new: Vec<String>,
    pub changed: Vec<String>,
    pub gone: Vec<String>,
}

/// What happened to a product on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    New,
    Changed,
    Gone,
}

/// One picture on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageState {
    pub image: u64,
    pub format: ImageFormat,
    /// How often the bytes have changed under the same URL.
    pub version: u32,
    /// The day of the last change of the bytes.
    pub version_day: u32,
    /// How often the URL has changed.
    pub moves: u32,
    pub(crate) moved_day: u32,
    /// Answers 404 on this day.
    pub broken: bool,
}

impl ImageState {
    /// The path under which the picture is served on this day.
    pub fn path(&self) -> String {
        let mut path = String::new();
        self.push_path(&mut path);
        path
    }

    fn push_path(&self, out: &mut String) {
        out.push_str("/img/");
        push_number(out, self.image);
        out.push('-');
        push_number(out, u64::from(self.moves));
        out.push('.');
        out.push_str(self.format.extension());
    }
}

struct Life {
    born: u32,
    version: u32,
    changed_day: u32,
    gone_day: Option<u32>,
}

impl Model {
    /// Checks the specification. `base_url` starts every link, without a slash at the end.
    ///
    /// # Errors
    /// `InvalidInput` when a field of the specification is out of bounds; the message names it.
    pub fn new(spec: &ShopSpec, base_url: &str) -> io::Result<Model> {
        spec.check()?;
        let change = &spec.day_change;
        let new_per_day = (f64::from(spec.products) * change.new_share).round() as u32;
        let broken = change.image_broken_share;
        let moved = broken + change.image_moved_share;
        Ok(Model {
            new_per_day,
            product_arcs: [
                share_bound(change.gone_share),
                share_bound(change.gone_share + change.changed_share),
            ],
            image_arcs: [
                share_bound(broken),
                share_bound(moved),
                share_bound(moved + change.image_changed_share),
            ],
            image_base_url: match &spec.public_image_url {
                Some(url) => url.trim_end_matches('/').to_owned(),
                None => base_url.trim_end_matches('/').to_owned(),
            },
            base_url: base_url.trim_end_matches('/').to_owned(),
            place_arcs: place::place_arcs(&spec.site.places),
            padding: crate::site::padding(spec.seed, spec.site.padding_bytes).into(),
            spec: spec.clone(),
        })
    }

    pub fn spec(&self) -> &ShopSpec {
        &self.spec
    }

    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    pub(crate) fn padding(&self) -> &str {
        &self.padding
    }

    /// What the links of images start with.
    pub fn image_base_url(&self) -> &str {
        &self.image_base_url
    }

    /// How many slots have been given out up to `day`, products that left included.
    pub fn universe(&self, day: u32) -> u32 {
        self.spec
            .products
            .saturating_add(self.new_per_day.saturating_mul(day))
    }

    /// When the content of `day` is published.
    pub fn published(&self, day: u32) -> DateTime<Utc> {
        let seconds = DAY_ZERO_UNIX + 86_400 * i64::from(day);
        DateTime::from_timestamp(seconds, 0).expect("32-bit days stay within chrono's range")
    }

    /// `published` as Naver EP writes it: Seoul time, to the second.
    pub(crate) fn published_seoul(&self, day: u32) -> String {
        let seoul = FixedOffset::east_opt(9 * 3_600).expect("nine hours are a valid offset");
        self.published(day)
            .with_timezone(&seoul)
            .format("%Y-%m-%d %H:%M:%S")
            .to_string()
    }

    /// The last day up to `day` on which the list of products (or one of them) can have changed.
    pub fn content_day(&self, day: u32) -> u32 {
        let change = &self.spec.day_change;
        let still =
            self.new_per_day == 0 && self.product_arcs[1] == 0 && change.image_moved_share <= 0.0;
        if still { 0 } else { day }
    }

    /// The products of `day` in feed order.
    pub fn products(&self, day: u32) -> impl Iterator<Item = ShopProduct> + '_ {
        (0..self.universe(day)).filter_map(move |slot| self.product(slot, day))
    }

    /// The product of a slot, when it is on sale on `day`.
    pub fn product(&self, slot: u32, day: u32) -> Option<ShopProduct> {
        let mut product = ShopProduct::empty();
        self.fill(slot, day, &mut product).then_some(product)
    }

    /// What happened to the products on `day`; on day 0 all of them are new.
    pub fn changes(&self, day: u32) -> Changes {
        let mut changes = Changes::default();
        for slot in 0..self.universe(day) {
            match self.event(slot, day) {
                Some(Event::New) => changes.new.push(self.id(slot)),
                Some(Event::Changed) => changes.changed.push(self.id(slot)),
                Some(Event::Gone) => changes.gone.push(self.id(slot)),
                None => {}
            }
        }
        changes
    }

    /// The id of a slot's product.
    pub fn id(&self, slot: u32) -> String {
        let mut id = String::with_capacity(ID_DIGITS);
        self.push_id(&mut id, slot);
        id
    }

    /// The slot of a product id, whether or not the product is on sale.
    pub fn slot_of(&self, id: &str) -> Option<u32> {
        if id.len() != ID_DIGITS || !id.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let scrambled: u32 = id.parse().ok()?;
        Some(
            scrambled
                .wrapping_sub(self.id_offset())
                .wrapping_mul(ID_FACTOR_INVERSE),
        )
    }

    /// The state of a picture on `day`.
    pub fn image(&self, image: u64, day: u32) -> ImageState {
        let mut state = ImageState {
            image,
            format: self.image_format(image),
            version: 0,
            version_day: 0,
            moves: 0,
            moved_day: 0,
            broken: false,
        };
        let [broken, moved, changed] = self.image_arcs;
        if changed == 0 {
            return state;
        }
        for today in 1..=day {
            let at = self.position(salt::IMAGE_EVENTS, image, today);
            state.broken = at < broken;
            if (broken..moved).contains(&at) {
                state.moves += 1;
                state.moved_day = today;
            } else if (moved..changed).contains(&at) {
                state.version += 1;
                state.version_day = today;
            }
        }
        state
    }

    /// The number that decides a picture's bytes, together with its size and format.
    pub(crate) fn image_seed(&self, state: &ImageState) -> u64 {
        let image = mix(mix(self.spec.seed, salt::IMAGE_BYTES), state.image);
        mix(image, u64::from(state.version))
    }

    /// The pictures of a slot's product: the main one, then the additional ones.
    pub fn image_ids(&self, slot: u32) -> Vec<u64> {
        let main = self.main_image(slot);
        let mut ids = vec![main];
        let max = u64::from(self.spec.extra_images_max);
        let extra = mix(mix(self.spec.seed, salt::NUMBERS), u64::from(slot)) % (max + 1);
        for k in 1..=extra {
            let image = match self.spec.images_distinct {
                0 => u64::from(slot) | k << 32,
                distinct => (u64::from(slot) + k * 7_919) % u64::from(distinct),
            };
            if !ids.contains(&image) {
                ids.push(image);
            }
        }
        ids
    }

    pub(crate) fn leaf_index(slot: u32) -> u32 {
        slot % LEAVES.len() as u32
    }

    pub(crate) fn event(&self, slot: u32, day: u32) -> Option<Event> {
        let life = self.life(slot, day)?;
        if let Some(gone) = life.gone_day {
            return (gone == day).then_some(Event::Gone);
        }
        if life.born == day {
            return Some(Event::New);
        }
        (self.updated_day(slot, day, &life) == day).then_some(Event::Changed)
    }

    pub(crate) fn is_on_sale(&self, slot: u32, day: u32) -> bool {
        self.life(slot, day)
            .is_some_and(|life| life.gone_day.is_none())
    }

    /// The last day up to `day` on which the page of a slot changed, its going included; none where
    /// there was no such product yet.
    pub(crate) fn page_day(&self, slot: u32, day: u32) -> Option<u32> {
        let life = self.life(slot, day)?;
        Some(match life.gone_day {
            Some(gone) => gone,
            None => self.updated_day(slot, day, &life),
        })
    }

    fn life(&self, slot: u32, day: u32) -> Option<Life> {
        let born = match slot.checked_sub(self.spec.products) {
            None => 0,
            Some(later) => 1 + later.checked_div(self.new_per_day)?,
        };
        if born > day {
            return None;
        }
        let mut life = Life {
            born,
            version: 0,
            changed_day: born,
            gone_day: None,
        };
        let [gone, changed] = self.product_arcs;
        if changed == 0 {
            return Some(life);
        }
        for today in born + 1..=day {
            let at = self.position(salt::PRODUCT_EVENTS, u64::from(slot), today);
            if at < gone {
                life.gone_day = Some(today);
                break;
            }
            if at < changed {
                life.version += 1;
                life.changed_day = today;
            }
        }
        Some(life)
    }

    /// The last day on which the product or the URL of one of its pictures changed.
    fn updated_day(&self, slot: u32, day: u32, life: &Life) -> u32 {
        let mut updated = life.changed_day;
        if self.spec.day_change.image_moved_share > 0.0 {
            for image in self.image_ids(slot) {
                updated = updated.max(self.image(image, day).moved_day);
            }
        }
        updated
    }

    /// Where an item stands on the circle on a day; an event hits the items within its arc.
    fn position(&self, salt: u64, item: u64, day: u32) -> u64 {
        mix(self.spec.seed, salt)
            .wrapping_add(item.wrapping_mul(GOLDEN))
            .wrapping_add(u64::from(day).wrapping_mul(DAY_STEP))
    }

    fn id_offset(&self) -> u32 {
        mix(self.spec.seed, salt::LOOKS) as u32
    }

    fn push_id(&self, out: &mut String, slot: u32) {
        let scrambled = slot.wrapping_mul(ID_FACTOR).wrapping_add(self.id_offset());
        push_padded(out, u64::from(scrambled), ID_DIGITS);
    }

    fn main_image(&self, slot: u32) -> u64 {
        match self.spec.images_distinct {
            0 => u64::from(slot),
            distinct => u64::from(slot % distinct),
        }
    }

    fn image_format(&self, image: u64) -> ImageFormat {
        let shares = &self.spec.image_mix;
        let at = mix(mix(self.spec.seed, salt::IMAGE_FORMAT), image);
        let mut end = shares.png_share;
        if at < share_bound(end) {
            return ImageFormat::Png;
        }
        end += shares.webp_share;
        if at < share_bound(end) {
            return ImageFormat::WebP;
        }
        end += shares.gif_share;
        if at < share_bound(end) {
            return ImageFormat::Gif;
        }
        ImageFormat::Jpeg
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::{HashMap, HashSet};

    use super::*;
    use crate::spec::{Currency, DayChange};

    fn model(products: u32, day_change: DayChange) -> Model {
        let spec = ShopSpec {
            day_change,
            ..ShopSpec::new("t", 7, products)
        };
        Model::new(&spec, "http://shop.example").unwrap()
    }

    const BUSY: DayChange = DayChange {
        new_share: 0.05,
        changed_share: 0.10,
        gone_share: 0.03,
        image_changed_share: 0.04,
        image_broken_share: 0.02,
        image_moved_share: 0.0,
    };

    #[test]
    fn day_zero_is_two_in_the_morning_in_seoul() {
        let model = model(1, DayChange::NONE);
        assert_eq!(model.published_seoul(0), "2026-03-02 02:00:00");
        assert_eq!(model.published_seoul(30), "2026-04-01 02:00:00");
    }

    #[test]
    fn ids_are_unique_and_lead_back_to_their_slot() {
        let model = model(50_000, DayChange::NONE);
        let mut seen = HashSet::new();
        for slot in 0..50_000 {
            let id = model.id(slot);
            assert_eq!(model.slot_of(&id), Some(slot));
            assert!(seen.insert(id));
        }
        assert_eq!(model.slot_of("12"), None);
        assert_eq!(model.slot_of("9999999999"), None);
    }

    #[test]
    fn bar_codes_have_a_valid_check_digit() {
        let model = model(2_000, DayChange::NONE);
        let mut with = 0;
        for product in model.products(0).filter(|p| !p.gtin.is_empty()) {
            let digits: Vec<u32> = product
                .gtin
                .chars()
                .map(|c| c.to_digit(10).unwrap())
                .collect();
            assert_eq!(digits.len(), 13);
            let odd: u32 = digits.iter().step_by(2).sum();
            let even: u32 = digits.iter().skip(1).step_by(2).sum();
            assert_eq!((odd + 3 * even) % 10, 0, "{}", product.gtin);
            with += 1;
        }
        assert!((1_700..1_800).contains(&with), "{with} of 2000 have one");
    }

    #[test]
    fn shares_of_a_day_are_met_within_a_few_items() {
        fn close(found: usize, expected: usize) {
            assert!(
                found.abs_diff(expected) <= 5,
                "{found} is not near {expected}"
            );
        }
        for products in [100_u32, 10_000] {
            let model = model(products, BUSY);
            let n = products as usize;
            let changes = model.changes(1);
            close(changes.new.len(), n * 5 / 100);
            close(changes.changed.len(), n * 10 / 100);
            close(changes.gone.len(), n * 3 / 100);
            assert_eq!(
                model.products(1).count(),
                n + changes.new.len() - changes.gone.len()
            );
            let images: Vec<_> = (0..u64::from(products))
                .map(|i| model.image(i, 1))
                .collect();
            close(images.iter().filter(|i| i.broken).count(), n * 2 / 100);
            close(
                images.iter().filter(|i| i.version == 1).count(),
                n * 4 / 100,
            );
        }
    }

    #[test]
    fn changes_are_exactly_what_differs_between_two_days() {
        let model = model(
            3_000,
            DayChange {
                image_moved_share: 0.02,
                ..BUSY
            },
        );
        for day in 1..=6 {
            let by_id = |day| -> HashMap<String, ShopProduct> {
                model.products(day).map(|p| (p.id.clone(), p)).collect()
            };
            let (before, after) = (by_id(day - 1), by_id(day));
            let sorted = |mut ids: Vec<String>| {
                ids.sort();
                ids
            };
            let changes = model.changes(day);
            let new = after.keys().filter(|id| !before.contains_key(*id));
            let gone = before.keys().filter(|id| !after.contains_key(*id));
            let changed = after
                .iter()
                .filter(|(id, p)| before.get(*id).is_some_and(|old| old != *p));
            assert_eq!(sorted(changes.new), sorted(new.cloned().collect()));
            assert_eq!(sorted(changes.gone), sorted(gone.cloned().collect()));
            let changed = changed.map(|(id, _)| id.clone()).collect();
            assert_eq!(sorted(changes.changed), sorted(changed), "day {day}");
        }
    }

    #[test]
    fn nothing_differs_where_nothing_changes() {
        let model = model(500, DayChange::NONE);
        assert!(model.products(0).eq(model.products(9)));
        assert_eq!(model.changes(9), Changes::default());
        assert_eq!(model.content_day(9), 0);
    }

    #[test]
    fn products_share_the_images_there_are() {
        let spec = ShopSpec {
            images_distinct: 10,
            ..ShopSpec::new("t", 7, 100)
        };
        let model = Model::new(&spec, "http://shop.example").unwrap();
        let links: HashSet<_> = model.products(0).map(|p| p.image_link).collect();
        assert_eq!(links.len(), 10);
    }

    #[test]
    fn dollars_have_cents_and_still_change() {
        let spec = ShopSpec {
            currency: Currency::Usd,
            day_change: DayChange {
                changed_share: 1.0,
                ..DayChange::NONE
            },
            ..ShopSpec::new("t", 7, 500)
        };
        let model = Model::new(&spec, "http://shop.example").unwrap();
        for (old, new) in model.products(0).zip(model.products(1)) {
            assert_ne!(old.price_minor, new.price_minor, "{}", old.id);
            assert!(new.price_minor <= new.normal_price_minor);
        }
    }
}

//! A product's record: the texts, numbers and prices of a slot on a day.
//!
//! Written into an existing record whose texts are reused, because feeds ask for millions in a row.

use super::{GTIN_FACTOR, Model, WON_PER_CENT, salt};
use crate::number::{mix, push_number, push_padded, take};
use crate::product::ShopProduct;
use crate::spec::Currency;
use crate::vocabulary::{COLORS, EVENTS, LEAVES, Leaf, MODIFIERS, ORIGINS, SENTENCES, Trade};

impl Model {
    /// Writes the product of a slot into `product`, reusing its texts; false when it is not on sale.
    pub(crate) fn fill(&self, slot: u32, day: u32, product: &mut ShopProduct) -> bool {
        let Some(life) = self.life(slot, day).filter(|life| life.gone_day.is_none()) else {
            return false;
        };
        let leaf = &LEAVES[Model::leaf_index(slot) as usize];
        product.slot = slot;
        product.currency = self.spec.currency;
        product.category_path = leaf.path;
        product.naver_category = leaf.naver;
        product.google_category = leaf.google;
        product.updated_day = self.updated_day(slot, day, &life);
        product.id.clear();
        self.push_id(&mut product.id, slot);
        self.fill_links(slot, day, product);
        self.fill_numbers(slot, leaf, product);
        self.fill_looks(slot, leaf, life.version, product);
        self.fill_price(slot, leaf, life.version, product);
        true
    }

    fn fill_links(&self, slot: u32, day: u32, product: &mut ShopProduct) {
        product.link.clear();
        product.link.push_str(&self.base_url);
        self.push_product_path(&mut product.link, slot);
        product.mobile_link.clear();
        product.mobile_link.push_str(&self.base_url);
        product.mobile_link.push_str("/m/product/");
        product.mobile_link.push_str(&product.id);
        product.image_link.clear();
        product.image_link.push_str(&self.image_base_url);
        let ids = self.image_ids(slot);
        self.image(ids[0], day).push_path(&mut product.image_link);
        product
            .extra_image_links
            .resize_with(ids.len() - 1, String::new);
        for (link, image) in product.extra_image_links.iter_mut().zip(&ids[1..]) {
            link.clear();
            link.push_str(&self.image_base_url);
            self.image(*image, day).push_path(link);
        }
    }

    fn fill_numbers(&self, slot: u32, leaf: &Leaf, product: &mut ShopProduct) {
        let mut h = mix(mix(self.spec.seed, salt::NUMBERS) ^ 0x5A, u64::from(slot));
        product.gtin.clear();
        // One product in eight has no bar code, as in real feeds.
        if take(&mut h, 8) != 0 {
            self.push_gtin(&mut product.gtin, slot);
        }
        product.model.clear();
        for _ in 0..2 {
            product.model.push((b'A' + take(&mut h, 26) as u8) as char);
        }
        product.model.push('-');
        push_number(&mut product.model, 1_000 + take(&mut h, 90_000));
        product.mpn.clear();
        if take(&mut h, 2) == 0 {
            product.mpn.push_str(&product.model[..2]);
            product.mpn.push_str(&product.model[3..]);
            product.mpn.push_str("KR");
        }
        product.review_count = (take(&mut h, 60) * take(&mut h, 60)) as u32;
        product.used = take(&mut h, 50) == 0;
        product.group_id.clear();
        if matches!(leaf.trade, Trade::Fashion | Trade::Sport | Trade::Kids) {
            // Variants are the neighbours within one leaf of the category tree.
            product.group_id.push('G');
            push_number(&mut product.group_id, u64::from(Model::leaf_index(slot)));
            product.group_id.push('-');
            let family = slot / LEAVES.len() as u32 / 3;
            push_number(&mut product.group_id, u64::from(family));
        }
    }

    fn push_gtin(&self, out: &mut String, slot: u32) {
        let offset = mix(self.spec.seed, salt::NUMBERS) % 1_000_000_000;
        let item = (u64::from(slot) * GTIN_FACTOR + offset) % 1_000_000_000;
        out.push_str("880");
        push_padded(out, item, 9);
        let sum: u32 = out
            .bytes()
            .zip([1_u32, 3].into_iter().cycle())
            .map(|(digit, weight)| u32::from(digit - b'0') * weight)
            .sum();
        push_number(out, u64::from((10 - sum % 10) % 10));
    }

    fn fill_looks(&self, slot: u32, leaf: &Leaf, version: u32, product: &mut ShopProduct) {
        let mut h = mix(mix(self.spec.seed, salt::LOOKS), u64::from(slot));
        let (brand, maker) = leaf.trade.brands()[take(&mut h, 6) as usize];
        let noun = leaf.nouns[take(&mut h, 4) as usize];
        let modifier = MODIFIERS[take(&mut h, MODIFIERS.len() as u64) as usize];
        product.brand = brand;
        product.maker = maker;
        product.origin = ORIGINS[take(&mut h, ORIGINS.len() as u64) as usize];
        product.color = COLORS[take(&mut h, COLORS.len() as u64) as usize];
        product.size = leaf.trade.sizes()[take(&mut h, 6) as usize];
        product.gender = match leaf.trade {
            Trade::Fashion if leaf.path[1].contains("여성") => "여성",
            Trade::Fashion => "남성",
            Trade::Sport => "남녀공용",
            _ => "",
        };
        product.age_group = if leaf.trade == Trade::Kids {
            "아동"
        } else {
            "성인"
        };
        let event = take(&mut h, 5) + u64::from(version);
        product.event_words = EVENTS[(event % EVENTS.len() as u64) as usize];
        product.in_stock = (take(&mut h, 20) + u64::from(version)) % 20 != 19;

        let title = &mut product.title;
        title.clear();
        if version % 4 == 3 {
            title.push_str("[리뉴얼] ");
        }
        for word in [brand, modifier, noun, product.color, product.size] {
            if !word.is_empty() {
                title.push_str(word);
                title.push(' ');
            }
        }
        title.push_str(&product.model);

        let text = &mut product.description;
        text.clear();
        text.push_str(brand);
        text.push(' ');
        text.push_str(noun);
        text.push_str(". ");
        text.push_str(SENTENCES[take(&mut h, 6) as usize]);
        text.push(if take(&mut h, 8) == 0 { '\n' } else { ' ' });
        text.push_str(SENTENCES[take(&mut h, 6) as usize]);

        product.search_tag.clear();
        for (n, word) in [noun, brand, leaf.path[2]].into_iter().enumerate() {
            if n > 0 {
                product.search_tag.push('|');
            }
            product.search_tag.push_str(word);
        }
    }

    fn fill_price(&self, slot: u32, leaf: &Leaf, version: u32, product: &mut ShopProduct) {
        let mut h = mix(mix(self.spec.seed, salt::PRICE), u64::from(slot));
        let (lowest, range) = leaf.trade.price_range_won();
        let base = lowest + take(&mut h, range / 100) * 100;
        let step = (base / 5_000).max(1) * 100;
        // Seven price levels in turn, so that each version's price differs from the last one's.
        let price = base + (take(&mut h, 7) + u64::from(version)) % 7 * step;
        let normal = if take(&mut h, 5) < 3 {
            base + 7 * step
        } else {
            price
        };
        let shipping = [0, 2_500, 3_000][take(&mut h, 3) as usize];
        let minor = |won: u64| match self.spec.currency {
            Currency::Krw => won,
            Currency::Usd => won / WON_PER_CENT,
        };
        product.price_minor = minor(price);
        product.normal_price_minor = minor(normal);
        product.shipping_minor = minor(shipping);
        product.point = (product.price_minor / 100) as u32;
    }
}

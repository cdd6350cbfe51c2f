//! Where a product's page is, how it can be found, and how links spell its address.
//!
//! All of it follows from the slot alone, never from the day, so that the address of a product and
//! the pages that lead to it stay what they are for good.

use super::{Model, salt};
use crate::number::{mix, share_bound, take};
use crate::site_spec::{CharsetMix, Gone, Paging, PagingMix, ProductPaths};
use crate::spec::{Charset, PageMarkup};
use crate::vocabulary::{LEAF_COUNT, LEAVES};

/// Neighbours of the same category that are looked at for related products, in either direction.
const RELATED_WITHIN: u32 = 16;
/// Below this path robots.txt forbids everything,
pub(crate) const PRIVATE: &str = "/private/";
/// except below this one.
pub(crate) const PRIVATE_OPEN: &str = "/private/open/";

/// How a product can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// In the sitemap and in its category.
    Everywhere,
    /// In its category.
    Linked,
    /// On the page of another product.
    Related,
    /// In the sitemap.
    Orphan,
    /// Everywhere, below a forbidden path.
    Forbidden,
    /// Everywhere, below a path that is allowed within the forbidden one.
    Reallowed,
}

/// Where a link stands; the same product is spelled differently in different places.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkFrom {
    Category = 1,
    Sitemap,
    Related,
}

/// In which bytes a page is written and what is said about them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wording {
    pub(crate) charset: Charset,
    /// The charset in `Content-Type`.
    pub(crate) header: Option<&'static str>,
    /// The charset in the page's own `meta`.
    pub(crate) meta: Option<&'static str>,
}

impl Wording {
    pub(crate) fn right(charset: Charset) -> Wording {
        let label = Some(charset.label());
        Wording {
            charset,
            header: label,
            meta: label,
        }
    }
}

/// The ends of the arcs of [`Place`], in the order of its variants from `Linked` on.
pub(super) fn place_arcs(places: &crate::site_spec::Places) -> [u64; 5] {
    let mut sum = 0.0;
    [
        places.linked_share,
        places.related_share,
        places.orphan_share,
        places.forbidden_share,
        places.reallowed_share,
    ]
    .map(|share| {
        sum += share;
        share_bound(sum)
    })
}

impl Model {
    /// How the product of a slot can be found.
    pub fn place(&self, slot: u32) -> Place {
        match self.wanted_place(slot) {
            // Without a page that links to it, and among later products, whose arrival would change
            // that page, it is in its category.
            Place::Related if slot >= self.spec.products || self.anchor(slot).is_none() => {
                Place::Linked
            }
            place => place,
        }
    }

    fn wanted_place(&self, slot: u32) -> Place {
        let arcs = self.place_arcs;
        if arcs[4] == 0 {
            return Place::Everywhere;
        }
        let at = mix(mix(self.spec.seed, salt::PLACE), u64::from(slot));
        let places = [
            Place::Linked,
            Place::Related,
            Place::Orphan,
            Place::Forbidden,
            Place::Reallowed,
        ];
        places
            .into_iter()
            .zip(arcs)
            .find(|(_, end)| at < *end)
            .map_or(Place::Everywhere, |(place, _)| place)
    }

    /// The product whose page links to a related one.
    pub(crate) fn anchor(&self, slot: u32) -> Option<u32> {
        (1..=RELATED_WITHIN)
            .map_while(|step| slot.checked_sub(step * LEAF_COUNT))
            .find(|slot| self.wanted_place(*slot) == Place::Everywhere)
    }

    /// The related products that a product's page links to, gone ones included.
    pub(crate) fn related(&self, slot: u32) -> impl Iterator<Item = u32> + '_ {
        let own = self.place_arcs[4] > 0 && self.wanted_place(slot) == Place::Everywhere;
        let steps = if own { RELATED_WITHIN } else { 0 };
        (1..=steps)
            .map(move |step| slot.saturating_add(step * LEAF_COUNT))
            .take_while(|slot| {
                *slot < self.spec.products && self.wanted_place(*slot) != Place::Everywhere
            })
            .filter(|slot| self.wanted_place(*slot) == Place::Related)
    }

    /// Whether links in categories go through redirects.
    pub(crate) fn is_moved(&self, slot: u32) -> bool {
        let (walled, moved) = (self.spec.site.walled_share, self.spec.site.moved_share);
        let at = self.manner(slot);
        at >= share_bound(walled) && at < share_bound(walled + moved)
    }

    /// Whether the page is shown only to those with the cookie.
    pub(crate) fn is_walled(&self, slot: u32) -> bool {
        self.manner(slot) < share_bound(self.spec.site.walled_share)
    }

    fn manner(&self, slot: u32) -> u64 {
        mix(mix(self.spec.seed, salt::MANNER), u64::from(slot))
    }

    /// What the page of a product that has left answers: 404, 410, or 200.
    pub(crate) fn gone_status(&self, slot: u32) -> u16 {
        match self.spec.site.gone {
            Gone::NotFound => 404,
            Gone::Mixed => [404, 410, 200][(self.manner(slot) % 3) as usize],
        }
    }

    /// Whether the page names its address as the canonical one.
    pub(crate) fn says_canonical(&self, slot: u32) -> bool {
        self.spec.site.paths == ProductPaths::One
            || self.form(slot) == Form::Query
            || !self.manner(slot).is_multiple_of(4)
    }

    /// The markup of a product's page: never `Mixed` or `All`.
    pub fn markup(&self, slot: u32) -> PageMarkup {
        let turn = (slot / LEAF_COUNT) as usize;
        match self.spec.page_markup {
            PageMarkup::Mixed => PageMarkup::KINDS[turn % 4],
            PageMarkup::All => PageMarkup::KINDS[turn % PageMarkup::KINDS.len()],
            one => one,
        }
    }

    pub(crate) fn wording(&self, slot: u32) -> Wording {
        if self.spec.site.charsets == CharsetMix::One {
            return Wording::right(self.spec.page_charset);
        }
        let say = |charset, header, meta| Wording {
            charset,
            header,
            meta,
        };
        // Labels as real shops get them wrong. What is right can be told from the bytes.
        match self.manner(slot) / 16 % 10 {
            0..=2 => Wording::right(Charset::Utf8),
            3 => Wording::right(Charset::Cp949),
            4 => say(Charset::Cp949, None, Some("euc-kr")),
            5 => say(Charset::Cp949, Some("iso-8859-1"), Some("euc-kr")),
            6 => say(Charset::Cp949, Some("utf-8"), Some("utf-8")),
            7 => say(Charset::Utf8, None, Some("euc-kr")),
            8 => say(Charset::Cp949, None, None),
            _ => say(Charset::Utf16Le, None, None),
        }
    }

    pub(crate) fn paging(&self, leaf: u32) -> Paging {
        match self.spec.site.paging {
            PagingMix::NextLink => Paging::NextLink,
            PagingMix::Mixed => Paging::ALL[leaf as usize % Paging::ALL.len()],
        }
    }

    /// Whether the shop's own robots.txt forbids a path and query, as they come in a request.
    pub fn site_forbids(&self, target: &str) -> bool {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = crate::address::decoded(path);
        let under = |prefix: &str| path.starts_with(prefix);
        let spec = &self.spec;
        let areas = spec.site.has_areas() && under(PRIVATE) && !under(PRIVATE_OPEN);
        let sorted = query.split('&').any(|one| one.starts_with("sort="));
        let mixed = spec.site.paging == PagingMix::Mixed && (under("/search") || sorted);
        let own = spec.robots_disallow.iter().any(|prefix| under(prefix));
        areas || mixed || own || under(crate::site::FORBIDDEN)
    }
}

/// The forms of product addresses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Product,
    Query,
    Words,
    Item,
    Private,
    PrivateOpen,
}

impl Model {
    fn form(&self, slot: u32) -> Form {
        match self.wanted_place(slot) {
            Place::Forbidden => return Form::Private,
            Place::Reallowed => return Form::PrivateOpen,
            _ => {}
        }
        match (self.spec.site.paths, self.manner(slot) / 4 % 4) {
            (ProductPaths::One, _) | (_, 0) => Form::Product,
            (_, 1) => Form::Query,
            (_, 2) => Form::Words,
            _ => Form::Item,
        }
    }

    /// Writes the path (and query) of a product's page, as its canonical address has it.
    pub(crate) fn push_product_path(&self, out: &mut String, slot: u32) {
        out.push_str(match self.form(slot) {
            Form::Product => "/product/",
            Form::Query => "/goods/view?no=",
            Form::Words => "/p/",
            Form::Item => "/products/item-",
            Form::Private => "/private/product/",
            Form::PrivateOpen => "/private/open/product/",
        });
        if self.form(slot) == Form::Words {
            let words = LEAVES[Model::leaf_index(slot) as usize].path[2].replace('/', "-");
            crate::address::push_encoded(out, &words);
            out.push('-');
        }
        self.push_id(out, slot);
    }

    /// The slot of a product's path (decoded) and query, whether or not the product is on sale, and
    /// whether the path is the canonical one rather than one with a slash at its end.
    pub(crate) fn slot_of_path(&self, path: &str, query: Option<&str>) -> Option<(u32, bool)> {
        let bare = path.strip_suffix('/').unwrap_or(path);
        let (form, id) = if bare == "/goods/view" {
            let mut parameters = query.unwrap_or("").split('&');
            (
                Form::Query,
                parameters.find_map(|one| one.strip_prefix("no="))?,
            )
        } else if let Some((_, id)) = bare.strip_prefix("/p/").and_then(|p| p.rsplit_once('-')) {
            (Form::Words, id)
        } else {
            [
                ("/product/", Form::Product),
                ("/products/item-", Form::Item),
                ("/private/product/", Form::Private),
                ("/private/open/product/", Form::PrivateOpen),
            ]
            .into_iter()
            .find_map(|(prefix, form)| Some((form, bare.strip_prefix(prefix)?)))?
        };
        let slot = self.slot_of(id)?;
        (self.form(slot) == form).then_some((slot, bare.len() == path.len()))
    }

    /// The address of a product as a link spells it; absolute.
    pub(crate) fn spelled(&self, slot: u32, from: LinkFrom) -> String {
        if from == LinkFrom::Category && self.is_moved(slot) {
            return format!("{}/old/{}", self.base_url, self.id(slot));
        }
        let mut path = String::new();
        self.push_product_path(&mut path, slot);
        let salt = mix(self.spec.seed, salt::SPELLING + 16 * from as u64);
        let mut h = mix(salt, u64::from(slot));
        if h >= share_bound(self.spec.site.respelled_share) {
            return format!("{}{path}", self.base_url);
        }
        h = mix(h, 1);
        self.respelled(slot, &path, take(&mut h, 8))
    }

    fn respelled(&self, slot: u32, path: &str, manner: u64) -> String {
        let base = &self.base_url;
        let with = |parameters: &str| {
            let joint = if path.contains('?') { '&' } else { '?' };
            format!("{base}{path}{joint}{parameters}")
        };
        match (manner, self.form(slot)) {
            (1, _) => format!("{base}{path}#reviews"),
            (2, _) => format!("{}{path}", base.to_ascii_uppercase()),
            (3, _) => format!("{base}/category/..{path}"),
            (4, _) => with("gclid=Cj0KCQ&fbclid=IwAR0"),
            (5, form) if form != Form::Query => format!("{base}{path}/"),
            // The first letter percent-encoded: the same address (RFC 3986, 6.2.2.2).
            (6, _) => format!("{base}/%{:02x}{}", path.as_bytes()[1], &path[2..]),
            (7, Form::Query) => {
                let id = self.id(slot);
                format!("{base}/goods/view?utm_source=main&cate=12&no={id}")
            }
            (7, Form::Words) => {
                let (head, id) = path.rsplit_once('-').unwrap_or((path, ""));
                format!("{base}/p/{}-{id}", head[3..].to_ascii_lowercase())
            }
            // Parameters that no list of tracking parameters has: only the page can tell.
            (7, _) if self.says_canonical(slot) => with("cate_no=12&display=1"),
            _ => with("utm_source=list&utm_medium=cpc&utm_campaign=spring"),
        }
    }
}

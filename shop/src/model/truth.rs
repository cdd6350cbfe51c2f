//! What a correct and polite crawl of the site finds.

use super::Model;
use super::place::Place;
use crate::number::push_amount;
use crate::product::ShopProduct;
use crate::site_spec::{Paging, SiteCategory};
use crate::spec::{Currency, PageMarkup};
use crate::vocabulary::LEAF_COUNT;

/// Variants on the page of a product group.
pub(crate) const VARIANTS: u32 = 3;

/// One row that a product page gives. It has the fields that every kind of markup carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteProduct {
    /// The slot of the page; variants of one page share it.
    pub slot: u32,
    /// As the page states it (sku).
    pub id: String,
    /// The id of the group, for variants.
    pub group_id: Option<String>,
    pub title: String,
    /// What the buyer pays, decimal: `12900`, `12.90`.
    pub price: String,
    /// ISO 4217.
    pub currency: &'static str,
    pub in_stock: bool,
    /// The main image first. A variant has one.
    pub images: Vec<String>,
    /// The canonical address of the page, or of the variant.
    pub link: String,
    pub brand: &'static str,
    /// From the root to the leaf.
    pub category_path: [&'static str; 3],
    pub markup: PageMarkup,
}

impl Model {
    /// The rows of `day` in order of slot: products that are on sale, that links or the sitemap lead
    /// to, and whose pages robots.txt allows.
    pub fn site_catalogue(&self, day: u32) -> Vec<SiteProduct> {
        let mut rows = Vec::new();
        for slot in self.site_slots(day) {
            if let Some(product) = self.product(slot, day) {
                self.push_rows(&product, &mut rows);
            }
        }
        rows
    }

    /// The slots whose pages a correct crawl of `day` reads with success.
    pub fn site_slots(&self, day: u32) -> impl Iterator<Item = u32> + '_ {
        (0..self.universe(day)).filter(move |slot| {
            self.is_on_sale(*slot, day)
                && match self.place(*slot) {
                    Place::Forbidden => false,
                    Place::Related => self
                        .anchor(*slot)
                        .is_some_and(|anchor| self.is_on_sale(anchor, day)),
                    _ => true,
                }
        })
    }

    fn push_rows(&self, product: &ShopProduct, rows: &mut Vec<SiteProduct>) {
        let markup = self.markup(product.slot);
        if markup == PageMarkup::ProductGroup {
            rows.extend((1..=VARIANTS).map(|n| variant(product, n)));
            return;
        }
        let mut images = vec![product.image_link.clone()];
        images.extend_from_slice(&product.extra_image_links);
        rows.push(SiteProduct {
            slot: product.slot,
            id: product.id.clone(),
            group_id: None,
            title: product.title.clone(),
            price: decimal(product.price_minor, product.currency),
            currency: product.currency.code(),
            in_stock: product.in_stock,
            images,
            link: product.link.clone(),
            brand: product.brand,
            category_path: product.category_path,
            markup,
        });
    }

    /// The categories of the site with products on `day`.
    pub fn site_categories(&self, day: u32) -> Vec<SiteCategory> {
        let mut categories = Vec::new();
        for leaf in 0..LEAF_COUNT {
            let pages = crate::site::page_count(self, leaf, day);
            if pages == 0 {
                continue;
            }
            let paging = self.paging(leaf);
            let base = &self.base_url;
            categories.push(SiteCategory {
                url: format!("{base}{}", crate::site::category_path(paging, leaf)),
                paging,
                endpoint: (paging == Paging::Json)
                    .then(|| format!("{base}{}", crate::site::scroll_path(self, leaf, 0))),
                pages,
            });
        }
        categories
    }
}

/// The variant `n` (from 1) of a product whose page is a product group.
pub(crate) fn variant(p: &ShopProduct, n: u32) -> SiteProduct {
    let step_minor = match p.currency {
        Currency::Krw => 1_000,
        Currency::Usd => 100,
    };
    let joint = if p.link.contains('?') { '&' } else { '?' };
    SiteProduct {
        slot: p.slot,
        id: format!("{}-{n}", p.id),
        group_id: Some(p.id.clone()),
        title: format!("{} #{n}", p.title),
        price: decimal(p.price_minor + u64::from(n - 1) * step_minor, p.currency),
        currency: p.currency.code(),
        in_stock: p.in_stock && n != 2,
        images: vec![p.image_link.clone()],
        link: format!("{}{joint}variant={n}", p.link),
        brand: p.brand,
        category_path: p.category_path,
        markup: PageMarkup::ProductGroup,
    }
}

fn decimal(minor: u64, currency: Currency) -> String {
    let mut out = String::new();
    push_amount(&mut out, minor, currency);
    out
}

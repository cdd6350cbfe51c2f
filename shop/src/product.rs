//! One product of the shop, as a buyer would see it on one day.
//!
//! This is the truth that feeds and pages are written from; it has no opinion on any format.

use crate::spec::Currency;

/// A product on a given day. Texts that come from a fixed vocabulary are borrowed from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShopProduct {
    /// The position in the shop's universe of products, never reused.
    pub slot: u32,
    /// Ten decimal digits, leading zeros included.
    pub id: String,
    pub title: String,
    /// Some contain line breaks; formats without quoting replace them with spaces.
    pub description: String,
    /// What the buyer pays, in minor units.
    pub price_minor: u64,
    /// The price before discount, in minor units; equal to `price_minor` without one.
    pub normal_price_minor: u64,
    pub currency: Currency,
    pub link: String,
    pub mobile_link: String,
    pub image_link: String,
    pub extra_image_links: Vec<String>,
    /// From the root to the leaf.
    pub category_path: [&'static str; 3],
    /// The Naver category number, digits.
    pub naver_category: &'static str,
    /// The Google product category number, digits.
    pub google_category: &'static str,
    pub brand: &'static str,
    pub maker: &'static str,
    pub origin: &'static str,
    pub model: String,
    /// EAN-13 with a valid check digit, or empty.
    pub gtin: String,
    /// The manufacturer's product code, or empty.
    pub mpn: String,
    pub color: &'static str,
    pub size: &'static str,
    /// `남성`, `여성`, `남녀공용` or empty.
    pub gender: &'static str,
    /// `성인` or `아동`.
    pub age_group: &'static str,
    pub in_stock: bool,
    pub used: bool,
    /// Shared by the variants of one product, or empty.
    pub group_id: String,
    pub search_tag: String,
    pub event_words: &'static str,
    pub review_count: u32,
    pub point: u32,
    pub shipping_minor: u64,
    /// The last day on which anything of the record changed.
    pub updated_day: u32,
}

impl ShopProduct {
    pub(crate) fn empty() -> Self {
        ShopProduct {
            slot: 0,
            id: String::new(),
            title: String::new(),
            description: String::new(),
            price_minor: 0,
            normal_price_minor: 0,
            currency: Currency::Krw,
            link: String::new(),
            mobile_link: String::new(),
            image_link: String::new(),
            extra_image_links: Vec::new(),
            category_path: [""; 3],
            naver_category: "",
            google_category: "",
            brand: "",
            maker: "",
            origin: "",
            model: String::new(),
            gtin: String::new(),
            mpn: String::new(),
            color: "",
            size: "",
            gender: "",
            age_group: "",
            in_stock: true,
            used: false,
            group_id: String::new(),
            search_tag: String::new(),
            event_words: "",
            review_count: 0,
            point: 0,
            shipping_minor: 0,
            updated_day: 0,
        }
    }

    /// Whether `price_minor` is below the normal price.
    pub fn is_discounted(&self) -> bool {
        self.price_minor < self.normal_price_minor
    }

    /// The condition as Naver EP words it.
    pub fn condition_ko(&self) -> &'static str {
        if self.used { "중고" } else { "신상품" }
    }

    /// The condition as Google Merchant words it.
    pub fn condition_en(&self) -> &'static str {
        if self.used { "used" } else { "new" }
    }

    /// The gender as Google Merchant words it, or empty.
    pub fn gender_en(&self) -> &'static str {
        match self.gender {
            "남성" => "male",
            "여성" => "female",
            "남녀공용" => "unisex",
            _ => "",
        }
    }

    /// The age group as Google Merchant words it.
    pub fn age_group_en(&self) -> &'static str {
        if self.age_group == "아동" {
            "kids"
        } else {
            "adult"
        }
    }
}

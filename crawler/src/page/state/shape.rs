//! What a product looks like in the state of shops' scripts: a name, a price
//! and a number or address in one object, whatever each is called.

use trawler_core::product::Currency;

use super::super::availability::Availability;
use super::super::dom::plain_text;
use super::super::fields::{Fields, PriceText, VariantFields, Written};
use super::super::limits::{
    CANDIDATES_MAX, DESCRIPTION_CHARS_MAX, IMAGES_MAX, TEXT_CHARS_MAX, VARIANTS_MAX,
};
use super::super::links::Links;
use super::super::price;
use super::super::remarks::Remarks;
use super::super::report::Rule;
use super::super::value::Value;
use super::super::variants::full_title;
use super::names::{
    AMOUNTS, BRANDS, CATEGORIES, CURRENCIES, DESCRIPTIONS, FOREIGN_KEYS, GTINS, HANDLES, IDS,
    IMAGE_URLS, IMAGES, IN_STOCK, LIST_AMOUNTS, LIST_PRICES, MPNS, NAMES, OWN_KEYS, PRICES, SKUS,
    SOLD_OUT, STATUSES, URLS, VARIANTS,
};

/// An object that looks like a product.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate<'v> {
    node: &'v Value,
    /// What it lies in, which may name the currency.
    around: &'v Value,
    /// Whether its key says that it is the page's product.
    pub(super) is_product: bool,
    /// Whether it is what an event says was viewed.
    pub(super) is_viewed: bool,
}

/// Whether a key is a name, whatever its case and the marks in it.
fn is_key(key: &str, name: &str) -> bool {
    let letters = key.bytes().filter(|b| !matches!(b, b'_' | b'-'));
    key.len() >= name.len() && letters.map(|b| b.to_ascii_lowercase()).eq(name.bytes())
}

/// The member of the first of these names that says something.
fn member<'v>(node: &'v Value, names: &[&str]) -> Option<&'v Value> {
    let Value::Object(entries) = node else {
        return None;
    };
    names.iter().find_map(|name| {
        let says = |value: &Value| match value {
            Value::Null => false,
            Value::Text(text) => !text.trim().is_empty(),
            Value::List(list) => !list.is_empty(),
            Value::Bool(_) | Value::Number(_) | Value::Object(_) => true,
        };
        let found = entries
            .iter()
            .find(|(key, value)| is_key(key, name) && says(value));
        found.map(|(_, value)| value)
    })
}

fn text<'v>(node: &'v Value, names: &[&str]) -> Option<&'v str> {
    let found = member(node, names)?;
    found
        .text()
        .or_else(|| member(found, &["name", "value", "code"])?.text())
}

/// The members of a list, or of the connections that GraphQL makes of lists.
fn list<'v>(node: &'v Value, names: &[&str]) -> Vec<&'v Value> {
    let Some(found) = member(node, names) else {
        return Vec::new();
    };
    let found = member(found, &["edges", "nodes", "items"]).unwrap_or(found);
    found
        .each()
        .iter()
        .take(VARIANTS_MAX)
        .map(|entry| member(entry, &["node"]).unwrap_or(entry))
        .collect()
}

/// Adds every object below `root` that looks like a product.
pub(super) fn candidates<'v>(root: &'v Value, is_product: bool, found: &mut Vec<Candidate<'v>>) {
    let mut pending = vec![Candidate {
        node: root,
        around: root,
        is_product,
        is_viewed: false,
    }];
    while let Some(candidate) = pending.pop() {
        if found.len() >= CANDIDATES_MAX {
            return;
        }
        match candidate.node {
            Value::List(list) => {
                // A list of one under a key for one is that one.
                let alone = list.len() == 1;
                pending.extend(list.iter().rev().map(|node| Candidate {
                    node,
                    is_product: candidate.is_product && alone,
                    is_viewed: candidate.is_viewed && alone,
                    ..candidate
                }));
            }
            // What lies in a product are its variants and relations.
            Value::Object(_) if looks_like_product(candidate.node) => found.push(candidate),
            Value::Object(entries) => candidate.members(entries, &mut pending),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
        }
    }
}

fn looks_like_product(node: &Value) -> bool {
    let Value::Object(entries) = node else {
        return false;
    };
    // Most objects fail here, before any name is looked up.
    if entries.len() < 3 {
        return false;
    }
    let named = member(node, NAMES).is_some_and(|name| name.text().is_some());
    let numbered = || {
        [SKUS, IDS, URLS, HANDLES]
            .iter()
            .any(|names| member(node, names).is_some())
    };
    let is_priced = |node: &Value| {
        member(node, &PRICES[..PRICES.len() - 1])
            .is_some_and(|price| amount(price, AMOUNTS).is_some())
    };
    let priced = || {
        is_priced(node)
            || list(node, VARIANTS)
                .iter()
                .any(|variant| is_priced(variant))
    };
    named && numbered() && priced()
}

/// The amount that a price member says: itself, or a member of it.
fn amount<'v>(price: &'v Value, names: &[&str]) -> Option<&'v Value> {
    /// `{price: {current: {value: 5}}}` is as deep as it gets.
    const DEPTH_MAX: usize = 4;
    let mut at = price.each().first()?;
    for _ in 0..DEPTH_MAX {
        match at {
            Value::Number(_) => return Some(at),
            Value::Text(text) => {
                return text.bytes().any(|b| b.is_ascii_digit()).then_some(at);
            }
            Value::Object(_) => at = member(at, names)?,
            Value::Null | Value::Bool(_) | Value::List(_) => return None,
        }
    }
    None
}

impl<'v> Candidate<'v> {
    /// What lies in an object that is no product itself.
    fn members(&self, entries: &'v [(String, Value)], pending: &mut Vec<Self>) {
        let event = text(self.node, &["event"]);
        let is_view = matches!(event, Some("view_item" | "productDetail" | "detail"));
        let around = match text(self.node, CURRENCIES) {
            Some(_) => self.node,
            None => self.around,
        };
        for (key, node) in entries.iter().rev() {
            if FOREIGN_KEYS.iter().any(|name| is_key(key, name)) {
                continue;
            }
            let goes_on = matches!(key.as_str(), "ecommerce" | "items" | "products");
            pending.push(Self {
                node,
                around,
                is_product: OWN_KEYS.iter().any(|name| is_key(key, name)),
                is_viewed: is_view || key == "detail" || (self.is_viewed && goes_on),
            });
        }
    }

    pub(super) fn name(&self) -> Option<&'v str> {
        text(self.node, NAMES)
    }

    pub(super) fn url(&self) -> Option<&'v str> {
        text(self.node, URLS)
    }

    pub(super) fn handle(&self) -> Option<&'v str> {
        text(self.node, HANDLES)
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = &'v str> {
        let node = self.node;
        [SKUS, IDS]
            .into_iter()
            .filter_map(move |names| text(node, names))
    }

    /// Shopify writes amounts in hundredths, whatever the currency.
    fn in_hundredths(&self) -> bool {
        let is_shopify = member(self.node, &["vendor", "gid"]).is_some();
        is_shopify && member(self.node, &["variants"]).is_some()
    }
}

pub(super) struct Shape<'s> {
    pub(super) links: &'s Links,
    pub(super) home: Option<Currency>,
    pub(super) shop_currency: Option<Currency>,
}

impl Shape<'_> {
    pub(super) fn fields(&self, candidate: &Candidate<'_>, remarks: &mut Remarks) -> Fields {
        let node = candidate.node;
        let mut fields = Fields::new(Rule::State);
        let one = self.variant(node, node, candidate, remarks);
        fields.title = candidate
            .name()
            .map(|name| plain_text(name, TEXT_CHARS_MAX));
        fields.brand = short(node, BRANDS);
        fields.description = text(node, DESCRIPTIONS)
            .map(|text| plain_text(text, DESCRIPTION_CHARS_MAX))
            .filter(|text| !text.is_empty());
        fields.category = short(node, CATEGORIES);
        let mut variants = Vec::new();
        for entry in list(node, VARIANTS) {
            if matches!(entry, Value::Object(_)) {
                variants.push(self.variant(entry, node, candidate, remarks));
            }
        }
        fields.currency = one
            .currency
            .or_else(|| variants.iter().find_map(|variant| variant.currency))
            .or_else(|| self.currency(candidate.around))
            .or(self.shop_currency);
        let currency = fields.currency;
        let main = self.main(&variants, currency).cloned().unwrap_or_default();
        // A product of one variant is that variant, and has its number.
        let only = main.sku.clone().filter(|_| variants.len() == 1);
        fields.id = one.sku.clone().or(only).or(one.id.clone());
        fields.sku = one.sku.or(main.sku);
        fields.gtin = one.gtin.or(main.gtin);
        fields.mpn = one.mpn.or(main.mpn);
        (fields.price, fields.list_price) = match main.price.is_some() {
            true => (main.price, main.list_price),
            false => (one.price, one.list_price),
        };
        fields.availability = main.availability.or(one.availability);
        fields.images = match one.images.is_empty() {
            true => main.images,
            false => one.images,
        };
        fields.color = one.color.or(main.color);
        fields.size = one.size.or(main.size);
        fields.link = one.link;
        fields.is_product = fields.title.is_some() && fields.price.is_some();
        let numbered = variants.iter().all(|variant| variant.id.is_some());
        if variants.len() > 1 && numbered {
            fields.group_id = fields.id.clone();
            fields.variants = variants;
        }
        fields
    }

    /// What an object says of one variant; `product` is what it is a variant
    /// of, or the object itself.
    fn variant(
        &self,
        node: &Value,
        product: &Value,
        candidate: &Candidate<'_>,
        remarks: &mut Remarks,
    ) -> VariantFields {
        let hundredths = candidate.in_hundredths();
        let (price, list_price) = prices(node, hundredths);
        let (color, size) = (short(node, &["color", "colour"]), short(node, &["size"]));
        let options = options(node, [&color, &size]);
        let sku = short(node, SKUS);
        let own_id = short(node, IDS);
        let mut link =
            text(node, URLS).and_then(|url| self.links.resolve(url, "state url", remarks));
        let is_variant = !std::ptr::eq(node, product);
        if is_variant
            && hundredths
            && link.is_none()
            && let (Some(id), Some(mut page)) = (&own_id, self.links.page())
        {
            page.query_pairs_mut().clear().append_pair("variant", id);
            link = Some(page);
        }
        let title = is_variant.then(|| {
            let name = text(product, NAMES);
            let own = text(node, NAMES).filter(|own| name.is_some_and(|name| own.contains(name)));
            full_title(name, own, &options)
        });
        VariantFields {
            id: sku.clone().or(own_id),
            sku,
            gtin: short(node, GTINS),
            mpn: short(node, MPNS),
            title: title.flatten(),
            price,
            list_price,
            currency: self.currency(node),
            availability: availability(node),
            link,
            images: self.images(node, remarks),
            color,
            size,
            material: short(node, &["material"]),
            options,
        }
    }

    /// The variant that the page's URL selects, else the cheapest that can be
    /// bought.
    fn main<'f>(
        &self,
        variants: &'f [VariantFields],
        currency: Option<Currency>,
    ) -> Option<&'f VariantFields> {
        let is_selected = |variant: &VariantFields| {
            let ids = [&variant.id, &variant.sku];
            let by_number = ids
                .into_iter()
                .flatten()
                .any(|id| self.links.query_names(id));
            by_number || variant.link.as_ref() == self.links.page().as_ref()
        };
        variants.iter().min_by_key(|variant| {
            let amount = variant
                .price
                .as_ref()
                .and_then(|text| price::read(text, Some(currency.unwrap_or(Currency::KRW))).ok());
            let amount = amount.map(|read| read.money.amount_minor);
            let buyable = match variant.availability.map(Availability::can_be_bought) {
                Some(true) => 0,
                None => 1,
                Some(false) => 2,
            };
            (amount.is_none(), !is_selected(variant), buyable, amount)
        })
    }

    /// The currency that an object or its price names.
    fn currency(&self, node: &Value) -> Option<Currency> {
        let named = |node: &Value| text(node, CURRENCIES).map(str::to_owned);
        let below = |node: &Value| {
            let price = member(node, PRICES)?.each().first()?;
            named(price).or_else(|| named(member(price, AMOUNTS)?))
        };
        let text = named(node).or_else(|| below(node))?;
        price::currency_field_at(&text, self.home)
    }

    fn images(&self, node: &Value, remarks: &mut Remarks) -> Vec<url::Url> {
        let mut images = Vec::new();
        for image in list(node, IMAGES) {
            let url = image
                .text()
                .or_else(|| member(image, IMAGE_URLS)?.text())
                .or_else(|| text(member(image, &["previewimage", "image"])?, IMAGE_URLS));
            if let Some(url) = url
                && images.len() < IMAGES_MAX
                && let Some(url) = self.links.resolve(url, "state image", remarks)
                && !images.contains(&url)
            {
                images.push(url);
            }
        }
        images
    }
}

fn short(node: &Value, names: &[&str]) -> Option<String> {
    let text = plain_text(text(node, names)?, TEXT_CHARS_MAX);
    Some(text).filter(|text| !text.is_empty())
}

/// Selling price and list price of an object.
fn prices(node: &Value, hundredths: bool) -> (Option<PriceText>, Option<PriceText>) {
    let read = |value: &Value| price_text(value, hundredths);
    let price = member(node, PRICES).filter(|price| amount(price, AMOUNTS).is_some());
    let selling = price
        .and_then(|price| amount(price, AMOUNTS))
        .and_then(read);
    let list: Option<PriceText> = member(node, LIST_PRICES)
        .and_then(|price| amount(price, AMOUNTS))
        .or_else(|| amount(member(price?, LIST_AMOUNTS)?, AMOUNTS))
        // `salePrice` beside `price`: the latter is what it was.
        .or_else(|| amount(member(node, &["price"])?, AMOUNTS))
        .and_then(read);
    let list = list.filter(|list| selling.as_ref() != Some(list));
    (selling, list)
}

fn price_text(value: &Value, hundredths: bool) -> Option<PriceText> {
    let text = value.text()?;
    let is_whole = matches!(value, Value::Number(_)) && text.bytes().all(|b| b.is_ascii_digit());
    if hundredths && is_whole {
        let padded = format!("{text:0>3}");
        let (whole, decimals) = padded.split_at(padded.len() - 2);
        return Some(PriceText {
            text: format!("{whole}.{decimals}"),
            written: Written::ForMachines,
        });
    }
    Some(PriceText::of_field(text.to_owned()))
}

fn availability(node: &Value) -> Option<Availability> {
    let flag = |names: &[&str]| match member(node, names)? {
        Value::Bool(yes) => Some(*yes),
        Value::Number(digits) => digits.parse::<f64>().ok().map(|number| number > 0.0),
        Value::Text(text) => Availability::parse(text).map(Availability::can_be_bought),
        Value::Null | Value::List(_) | Value::Object(_) => None,
    };
    let of = |can_be_bought: bool| match can_be_bought {
        true => Availability::InStock,
        false => Availability::OutOfStock,
    };
    text(node, STATUSES)
        .and_then(Availability::parse)
        .or_else(|| flag(SOLD_OUT).map(|sold_out| of(!sold_out)))
        .or_else(|| flag(IN_STOCK).map(of))
}

/// Values of the options of a variant: Shopify's `option1`, lists of texts or
/// of named values, colour and size.
fn options(node: &Value, named: [&Option<String>; 2]) -> Vec<String> {
    let numbered = ["option1", "option2", "option3"];
    let mut options: Vec<String> = numbered
        .iter()
        .filter_map(|name| short(node, &[name]))
        .collect();
    if options.is_empty() {
        for option in list(node, &["selectedoptions", "options", "attributes"]) {
            let value = option.text().or_else(|| text(option, &["value", "label"]));
            options.extend(value.map(|value| plain_text(value, TEXT_CHARS_MAX)));
        }
    }
    if options.is_empty() {
        options.extend(named.into_iter().flatten().cloned());
    }
    // Shopify's name for a product without options.
    options.retain(|option| option != "Default Title" && !option.is_empty());
    options.dedup();
    options
}

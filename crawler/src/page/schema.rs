//! Reads schema.org's Product and BreadcrumbList out of [`Value`]s, wherever
//! these came from. What an offer says is read in `offers`, variants in
//! `variants`, and which nodes a page's JSON-LD has in `graph`.

use trawler_core::product::Currency;
use url::Url;

use super::dom::{collapse, plain_text};
use super::fields::Fields;
pub(super) use super::graph::Graph;
use super::gtin;
use super::kind::LISTED_MIN;
use super::limits::{DESCRIPTION_CHARS_MAX, IMAGES_MAX, MARKS_MAX, TEXT_CHARS_MAX};
use super::links::Links;
use super::measure::Measure;
use super::offers::{self, Offer, price_field};
use super::price;
use super::remarks::{Remarks, quoted};
use super::report::Rule;
use super::value::{Value, type_name};

/// Reads the page's product and way to it. `None` if there is neither.
pub(super) fn read<'v>(
    rule: Rule,
    graph: &Graph<'v>,
    products: &[&'v Value],
    breadcrumb_lists: &[&'v Value],
    links: &Links,
    canonical: Option<&Url>,
    remarks: &mut Remarks,
) -> Option<Fields> {
    if products.is_empty() && breadcrumb_lists.is_empty() {
        return None;
    }
    let mut fields = Fields::new(rule);
    if let Some(product) = choose(rule, products, links, canonical, remarks) {
        let mut reader = Reader {
            rule,
            graph,
            links,
            remarks,
        };
        reader.product(product, products, &mut fields);
    }
    fields.breadcrumbs = breadcrumb_lists
        .iter()
        .map(|list| breadcrumbs(graph, list, fields.title.as_deref()))
        .max_by_key(Vec::len)
        .unwrap_or_default();
    Some(fields)
}

/// The product that the page is about: of several the one with the page's
/// URL, else the first with an offer, else the first. None if all lead to
/// pages of their own.
fn choose<'v>(
    rule: Rule,
    products: &[&'v Value],
    links: &Links,
    canonical: Option<&Url>,
    remarks: &mut Remarks,
) -> Option<&'v Value> {
    let first = *products.first()?;
    if products.len() == 1 {
        return Some(first);
    }
    let is_this_page = |product: &&&Value| {
        ["url", "@id", "mainEntityOfPage"].iter().any(|name| {
            let reference = product.get(name).and_then(reference);
            reference.is_some_and(|text| links.is_page(text, canonical))
        })
    };
    let leads_away = |product: &&'v Value| {
        let url = product.get("url").and_then(reference);
        url.is_some_and(|url| !links.is_page(url, canonical))
    };
    if products.len() >= LISTED_MIN && products.iter().all(leads_away) {
        remarks.add(format!(
            "{} describes {} products, all of other pages",
            rule.name(),
            products.len()
        ));
        return None;
    }
    let has_offer =
        |product: &&&Value| product.get("offers").is_some() || product.get("hasVariant").is_some();
    let chosen = products
        .iter()
        .find(|product| is_this_page(product) && has_offer(product))
        .or_else(|| products.iter().find(is_this_page))
        .or_else(|| products.iter().find(has_offer))
        .copied()
        .unwrap_or(first);
    let name = chosen
        .get("name")
        .and_then(Value::text)
        .unwrap_or("(no name)");
    remarks.add(format!(
        "{} describes {} products; {} was taken",
        rule.name(),
        products.len(),
        quoted(name)
    ));
    Some(chosen)
}

/// A URL, given as text or as the id of a thing.
pub(super) fn reference(value: &Value) -> Option<&str> {
    value
        .text()
        .or_else(|| value.each().first()?.get("@id")?.text())
}

pub(super) struct Reader<'r, 'v> {
    pub(super) rule: Rule,
    pub(super) graph: &'r Graph<'v>,
    pub(super) links: &'r Links,
    pub(super) remarks: &'r mut Remarks,
}

const GTINS: &[&str] = &["gtin13", "gtin", "gtin14", "gtin12", "gtin8", "isbn", "ean"];

impl<'v> Reader<'_, 'v> {
    fn product(&mut self, product: &'v Value, products: &[&'v Value], fields: &mut Fields) {
        fields.title = short(product, "name");
        fields.description = product
            .get("description")
            .and_then(Value::text)
            .map(|text| plain_text(text, DESCRIPTION_CHARS_MAX))
            .filter(|text| !text.is_empty());
        fields.images = self.images(product);
        fields.link = self.link(product);
        self.plain_fields(product, fields);
        self.rating(product, fields);

        let group = self.group(product, products);
        fields.group_id = group.id.clone();
        let offers = self.offers(product, &group.members);
        let currency = offers.iter().find_map(|offer| offer.currency);
        let availability = offers.iter().find_map(|offer| offer.availability);
        fields.variants = self.variants(fields.title.as_deref(), &offers);
        let several = offers.len() > 1;
        let best = offers::speaker(offers, |offer| self.is_selected(offer)).unwrap_or_default();
        let of_either = |name: &str| short(product, name).or_else(|| short(best.node?, name));
        let of_variant = |name: &str| of_either(name).or_else(|| short(best.holder?, name));
        fields.sku = of_variant("sku");
        fields.mpn = of_variant("mpn");
        fields.gtin = trade_number(product, of_variant);
        // What names one variant of several may be another one tomorrow.
        let own_id = short(product, "sku").or_else(|| short(product, "productID"));
        fields.id = match several {
            false => own_id
                .or_else(|| fields.sku.clone())
                .or_else(|| of_variant("productID"))
                .or_else(|| gtin::parse(fields.gtin.as_deref()?).ok()),
            true => own_id
                .or_else(|| group.id.clone())
                .or_else(|| gtin::parse(&trade_number(product, |name| short(product, name))?).ok()),
        };
        if let Some(holder) = best.holder.filter(|holder| !std::ptr::eq(*holder, product)) {
            if fields.images.is_empty() {
                fields.images = self.images(holder);
            }
            self.plain_fields(holder, fields);
        }
        self.measures(product, Some(&best).filter(|_| !several), fields);
        let product_currency = || self.currency_of(product);
        fields.currency = best.currency.or(currency).or_else(product_currency);
        fields.availability = best.availability.or(availability);
        fields.list_price = best.list_price;
        // Some shops leave the offer out and put its fields on the product.
        fields.price = best.price.or_else(|| price_field(product, "price"));
        if fields.availability.is_none() {
            fields.availability = self.availability(product);
        }
        if fields.condition.is_none() {
            fields.condition = best
                .node
                .and_then(|offer| condition(offer, "itemCondition"));
        }
        fields.is_product = fields.title.is_some() || fields.price.is_some();
    }

    /// The fields that a variant fills where its product is silent.
    fn plain_fields(&self, product: &'v Value, fields: &mut Fields) {
        let name = |property: &str| product.get(property).and_then(|value| self.name_of(value));
        let fill = |field: &mut Option<String>, found: &dyn Fn() -> Option<String>| {
            if field.is_none() {
                *field = found();
            }
        };
        let either = |first: &str, second: &str| name(first).or_else(|| name(second));
        fill(&mut fields.brand, &|| either("brand", "manufacturer"));
        fill(&mut fields.category, &|| self.category(product));
        fill(&mut fields.color, &|| either("color", "colour"));
        fill(&mut fields.size, &|| {
            name("size").or_else(|| self.measure(product, "size").map(|size| size.words()))
        });
        fill(&mut fields.material, &|| name("material"));
        fill(&mut fields.condition, &|| {
            condition(product, "itemCondition")
        });
    }

    fn measure(&self, node: &'v Value, name: &str) -> Option<Measure> {
        let value = node.get(name)?.each().first()?;
        Measure::read(self.graph.resolve(value))
    }

    /// Weight, sides, and the units of a price per unit. What one variant of
    /// several weighs says nothing of the others.
    fn measures(&self, product: &'v Value, only: Option<&Offer<'v>>, fields: &mut Fields) {
        let of_either = |name: &str| {
            let holder = only.and_then(|offer| offer.holder);
            let holder = holder.filter(|holder| !std::ptr::eq(*holder, product));
            let own = self.measure(product, name);
            own.or_else(|| self.measure(holder?, name))
        };
        let sides = [
            ("product_width_cm", "width"),
            ("product_height_cm", "height"),
            ("product_length_cm", "depth"),
        ];
        let sides = sides
            .map(|(column, name)| (column, of_either(name).and_then(|side| side.centimetres())));
        let words = |measure: Option<&Measure>| measure.map(Measure::words);
        let sold = only.and_then(|offer| offer.unit_measure.as_ref());
        let unit = only.and_then(|offer| offer.unit_base.as_ref());
        let others = [
            (
                "product_weight_g",
                of_either("weight").and_then(|weight| weight.grams()),
            ),
            ("unit_pricing_measure", words(sold)),
            ("unit_pricing_base_measure", words(unit)),
        ];
        for (column, found) in sides.into_iter().chain(others) {
            if let Some(value) = found {
                fields.columns.push((column.to_owned(), vec![value]));
            }
        }
    }

    fn rating(&self, product: &'v Value, fields: &mut Fields) {
        let Some(rating) = product.get("aggregateRating") else {
            return;
        };
        let Some(rating) = rating.each().first() else {
            return;
        };
        let rating = self.graph.resolve(rating);
        fields.rating = rating
            .get("ratingValue")
            .and_then(Value::text)
            .and_then(decimal);
        let count = rating
            .get("reviewCount")
            .or_else(|| rating.get("ratingCount"));
        fields.review_count = count.and_then(Value::text).and_then(whole);
    }

    pub(super) fn currency_of(&self, node: &Value) -> Option<Currency> {
        let text = node
            .get("priceCurrency")
            .or_else(|| node.get("currency"))?
            .text()?;
        price::currency_field_at(text, self.links.home())
    }

    /// A text, or the name of the thing that is referred to.
    pub(super) fn name_of(&self, value: &'v Value) -> Option<String> {
        let value = self.graph.resolve(value.each().first()?);
        match value.get("name") {
            Some(name) => name.text(),
            None => value.text(),
        }
        .map(|text| plain_text(text, TEXT_CHARS_MAX))
        .filter(|text| !text.is_empty())
    }

    fn category(&self, product: &'v Value) -> Option<String> {
        let names: Vec<String> = product
            .get("category")?
            .each()
            .iter()
            .take(MARKS_MAX)
            .filter_map(|category| self.name_of(category))
            .collect();
        let category = collapse(&names.join(" > "), TEXT_CHARS_MAX);
        Some(category).filter(|category| !category.is_empty())
    }

    pub(super) fn link(&mut self, product: &'v Value) -> Option<Url> {
        let text = reference(product.get("url")?)?;
        let what = format!("{} url", self.rule.name());
        self.links.resolve(text, &what, self.remarks)
    }

    pub(super) fn images(&mut self, product: &'v Value) -> Vec<Url> {
        let what = format!("{} image", self.rule.name());
        let mut images: Vec<Url> = Vec::new();
        let mut left_out = 0_usize;
        let listed = product.get("image").or_else(|| product.get("images"));
        for image in listed.map(Value::each).unwrap_or_default() {
            let image = self.graph.resolve(image);
            let reference = image
                .text()
                .or_else(|| image.get("contentUrl").and_then(reference))
                .or_else(|| image.get("url").and_then(reference))
                .or_else(|| image.get("@id")?.text().filter(|id| id.starts_with("http")));
            let Some(reference) = reference else { continue };
            if images.len() >= IMAGES_MAX {
                left_out += 1;
            } else if let Some(url) = self.links.resolve(reference, &what, self.remarks)
                && !images.contains(&url)
            {
                images.push(url);
            }
        }
        if left_out > 0 {
            self.remarks.add(format!(
                "{what}: {left_out} over {IMAGES_MAX} were left out"
            ));
        }
        images
    }
}

pub(super) fn trade_number(product: &Value, of: impl Fn(&str) -> Option<String>) -> Option<String> {
    // A wrapped number: `"productID": "isbn:9783161484100"`.
    let prefixed = || {
        let id = product.get("productID")?.text()?;
        let (scheme, number) = id.split_once(':')?;
        let is_number = GTINS.iter().any(|name| scheme.eq_ignore_ascii_case(name));
        is_number.then(|| number.trim().to_owned())
    };
    GTINS.iter().find_map(|name| of(name)).or_else(prefixed)
}

pub(super) fn short(node: &Value, name: &str) -> Option<String> {
    let text = node.get(name)?.text()?;
    Some(plain_text(text, TEXT_CHARS_MAX)).filter(|text| !text.is_empty())
}

/// schema.org's OfferItemCondition as the word of the catalogue's column.
fn condition(node: &Value, name: &str) -> Option<String> {
    let text = reference(node.get(name)?)?;
    condition_word(text)
}

/// The column's word for what shops write of a product's state.
pub(super) fn condition_word(text: &str) -> Option<String> {
    let letters: String = type_name(text)
        .chars()
        .filter(|c| c.is_alphabetic())
        .take(40)
        .flat_map(char::to_lowercase)
        .collect();
    let word = match letters.strip_suffix("condition").unwrap_or(&letters) {
        "new" | "neu" | "neuf" | "nuevo" | "nuovo" | "신상품" | "새상품" => "new",
        "used" | "preowned" | "secondhand" | "gebraucht" | "occasion" | "usado" | "usato"
        | "중고" => "used",
        "refurbished" | "renewed" | "reconditioned" | "리퍼" => "refurbished",
        "damaged" => "scratched",
        _ => return None,
    };
    Some(word.to_owned())
}

/// A plain decimal number, a comma read as a dot; `4.5/5` and `4.5 stars` are
/// four and a half.
pub(super) fn decimal(text: &str) -> Option<String> {
    let text = text.trim().replace(',', ".");
    let length = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let number = text[..length].trim_end_matches('.');
    let digits = number.bytes().any(|b| b.is_ascii_digit());
    (digits && number.matches('.').count() < 2 && number.len() < 16).then(|| number.to_owned())
}

/// A whole number, thousands grouped or not.
pub(super) fn whole(text: &str) -> Option<u64> {
    let text = text.trim();
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let digits: String = text[start..]
        .chars()
        .take_while(|c| c.is_ascii_digit() || matches!(c, ',' | '.' | '\u{a0}' | '\''))
        .filter(char::is_ascii_digit)
        .collect();
    digits.parse().ok()
}

/// Names of the steps in order of position, without the product itself.
fn breadcrumbs(graph: &Graph<'_>, list: &Value, title: Option<&str>) -> Vec<String> {
    let mut steps: Vec<(u32, String)> = Vec::new();
    let members = list
        .get("itemListElement")
        .map(Value::each)
        .unwrap_or_default();
    for (at, member) in members.iter().take(MARKS_MAX).enumerate() {
        let member = graph.resolve(member);
        let item = member.get("item").and_then(|item| item.each().first());
        let item = item.map(|item| graph.resolve(item));
        let name = short(member, "name")
            .or_else(|| short(item?, "name"))
            .or_else(|| short(item?, "title"))
            .or_else(|| match member {
                Value::Text(text) => Some(plain_text(text, TEXT_CHARS_MAX)),
                _ => None,
            });
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            continue;
        };
        let position = member
            .get("position")
            .and_then(Value::text)
            .and_then(|text| text.parse().ok())
            .unwrap_or(u32::try_from(at + 1).unwrap_or(u32::MAX));
        steps.push((position, name));
    }
    steps.sort_by_key(|(position, _)| *position);
    let mut steps: Vec<String> = steps.into_iter().map(|(_, name)| name).collect();
    if steps.last().map(String::as_str) == title {
        steps.pop();
    }
    steps
}

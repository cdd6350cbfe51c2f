//! OpenGraph, the `product:` meta tags that shops add to it, and Twitter's.

use super::availability::Availability;
use super::dom::collapse;
use super::fields::{Fields, PriceText};
use super::limits::{DESCRIPTION_CHARS_MAX, IMAGES_MAX, TEXT_CHARS_MAX};
use super::links::Links;
use super::price;
use super::remarks::{Remarks, quoted};
use super::report::Rule;
use super::scan::Parts;
use super::schema::condition_word;

/// `None` on a page that has no such tags.
pub(super) fn read(parts: &Parts<'_>, links: &Links, remarks: &mut Remarks) -> Option<Fields> {
    let get = |names: &[&str]| -> Option<&str> {
        names.iter().find_map(|name| {
            parts
                .metas
                .iter()
                .filter(|(key, _)| key.trim().eq_ignore_ascii_case(name))
                .map(|(_, content)| content.trim())
                .find(|content| !content.is_empty())
        })
    };
    let short = |names: &[&str]| get(names).map(|text| collapse(text, TEXT_CHARS_MAX));
    let amount = |names: &[&str]| get(names).map(|text| PriceText::of_field(text.to_owned()));
    let is_ours = |(key, _): &(&str, &str)| {
        let key = key.trim().to_ascii_lowercase();
        ["og:", "product:", "twitter:"]
            .iter()
            .any(|start| key.starts_with(start))
    };
    if !parts.metas.iter().any(is_ours) {
        return None;
    }

    let mut fields = Fields::new(Rule::OpenGraph);
    let site = get(&["og:site_name"]);
    fields.title = short(&["og:title", "twitter:title"]).map(|title| without_site(title, site));
    fields.description = get(&["og:description", "twitter:description"])
        .map(|text| collapse(text, DESCRIPTION_CHARS_MAX));
    let regular = amount(&["product:price:amount", "og:price:amount"]);
    let sale = amount(&["product:sale_price:amount"]);
    fields.list_price = amount(&["product:original_price:amount", "og:price:standard_amount"]);
    if sale.is_some() {
        fields.list_price = fields.list_price.or_else(|| regular.clone());
    }
    let labelled = || {
        let label = get(&["twitter:label1"])?.to_lowercase();
        (label == "price").then(|| amount(&["twitter:data1"]))?
    };
    fields.price = sale.or(regular).or_else(labelled);
    fields.currency = get(&[
        "product:sale_price:currency",
        "product:price:currency",
        "og:price:currency",
    ])
    .and_then(|text| {
        let currency = price::currency_field_at(text, links.home());
        if currency.is_none() {
            remarks.add(format!(
                "opengraph currency {} is not a currency",
                quoted(text)
            ));
        }
        currency
    });
    fields.availability = get(&["product:availability", "og:availability"]).and_then(|text| {
        let availability = Availability::parse(text);
        if availability.is_none() {
            remarks.add(format!(
                "opengraph availability {} is not known",
                quoted(text)
            ));
        }
        availability
    });
    fields.brand = short(&["product:brand", "og:brand"]);
    fields.sku = short(&["product:retailer_item_id", "product:sku"]);
    fields.gtin = short(&["product:gtin", "product:ean", "product:upc", "product:isbn"]);
    fields.mpn = short(&["product:mfr_part_no"]);
    fields.condition = get(&["product:condition", "og:condition"]).and_then(condition_word);
    fields.color = short(&["product:color"]);
    fields.size = short(&["product:size"]);
    fields.material = short(&["product:material"]);
    fields.group_id = short(&["product:item_group_id"]);
    fields.category = short(&["product:category"]);
    fields.id = fields.sku.clone().or_else(|| fields.gtin.clone());
    fields.link = get(&["og:url"]).and_then(|text| links.resolve(text, "og:url", remarks));
    for (key, content) in &parts.metas {
        let key = key.trim().to_ascii_lowercase();
        if matches!(key.as_str(), "og:image" | "og:image:url")
            && fields.images.len() < IMAGES_MAX
            && let Some(url) = links.resolve(content, "og:image", remarks)
            && !fields.images.contains(&url)
        {
            fields.images.push(url);
        }
    }
    if fields.images.is_empty()
        && let Some(text) = get(&["twitter:image", "twitter:image:src"])
    {
        fields
            .images
            .extend(links.resolve(text, "twitter:image", remarks));
    }
    let kind = get(&["og:type"]).unwrap_or_default().to_ascii_lowercase();
    // `product.group` is Facebook's word for a list of products.
    fields.is_product = fields.price.is_some()
        || matches!(
            kind.as_str(),
            "product" | "product.item" | "og:product" | "product:item"
        );
    Some(fields)
}

/// `Cup | Shop` without the shop that the page names beside it.
fn without_site(title: String, site: Option<&str>) -> String {
    let Some(site) = site else { return title };
    let rest = title.strip_suffix(site).map(str::trim_end);
    let product = rest.and_then(|rest| rest.strip_suffix(['|', '-', '–', '—', '·', ':', '•']));
    match product.map(str::trim_end) {
        Some(product) if !product.is_empty() => product.to_owned(),
        Some(_) | None => title,
    }
}

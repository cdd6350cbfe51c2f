//! A product's page in each kind of markup.
//!
//! A page has one of them, so that a reader of pages is tested on each alone. State in scripts is
//! written in `state_page`, microdata and RDFa in `items_page`.

use super::items_page::{microdata, microdata_ref, rdfa};
use super::state_page;
use super::{page_worded, push};
use crate::markup::{escaped, json_string};
use crate::model::{LinkFrom, Model, VARIANTS, variant};
use crate::number::push_amount;
use crate::product::ShopProduct;
use crate::site::category_path;
use crate::spec::PageMarkup;

pub(crate) fn product(model: &Model, p: &ShopProduct) -> String {
    let mut head = String::new();
    if model.says_canonical(p.slot) {
        push(
            &mut head,
            format_args!("<link rel=\"canonical\" href=\"{}\">\n", escaped(&p.link)),
        );
    }
    let mut body = String::new();
    let markup = model.markup(p.slot);
    if markup != PageMarkup::Plain {
        let leaf = Model::leaf_index(p.slot);
        push(
            &mut body,
            format_args!(
                "<p class=\"path\"><a href=\"{}\">{}</a></p>\n",
                category_path(model.paging(leaf), leaf),
                escaped(&p.category_path.join(" > "))
            ),
        );
    }
    marked_up(model, p, markup, &mut head, &mut body);
    related(model, p, &mut body);
    body.push_str(model.padding());
    page_worded(model, model.wording(p.slot), &p.title, &head, &body)
}

fn marked_up(
    model: &Model,
    p: &ShopProduct,
    markup: PageMarkup,
    head: &mut String,
    body: &mut String,
) {
    match markup {
        PageMarkup::Microdata => microdata(body, p),
        PageMarkup::MicrodataRef => microdata_ref(body, p),
        PageMarkup::Rdfa => rdfa(body, p),
        PageMarkup::Plain => by_class(model, body, p),
        PageMarkup::OpenGraph => open_graph(head, p),
        PageMarkup::NextData => state_page::next_data(body, p),
        PageMarkup::WindowState => state_page::window_state(head, p),
        PageMarkup::Shopify => state_page::shopify(head, body, p),
        PageMarkup::ProductGroup => {
            let json = json_group(p);
            json_ld(
                head,
                &format!("{{\"@context\":\"https://schema.org\",{json}}}"),
            );
        }
        PageMarkup::JsonLdGraph => {
            let crumbs = breadcrumbs(model, p);
            let json = json_product(p);
            json_ld(
                head,
                &format!(
                    "{{\"@context\":\"https://schema.org\",\"@graph\":[{crumbs},{{{json}}}]}}"
                ),
            );
        }
        PageMarkup::JsonLdBroken => {
            // The ampersands of these texts come as entities, which a script does not decode.
            let json = json_product(p).replace('&', "&amp;");
            json_ld(
                head,
                &format!(
                    "\n//<![CDATA[\n/* product */ {{\"@context\":\"https://schema.org\",{json},}};\n//]]>\n"
                ),
            );
        }
        PageMarkup::JsonLd | PageMarkup::Mixed | PageMarkup::All => {
            let json = json_product(p);
            json_ld(
                head,
                &format!("{{\"@context\":\"https://schema.org\",{json}}}"),
            );
        }
    }
    let in_head = matches!(
        markup,
        PageMarkup::JsonLd
            | PageMarkup::JsonLdGraph
            | PageMarkup::JsonLdBroken
            | PageMarkup::OpenGraph
            | PageMarkup::ProductGroup
            | PageMarkup::NextData
            | PageMarkup::WindowState
            | PageMarkup::Shopify
    );
    if in_head {
        plain(body, p);
    }
}

fn json_ld(head: &mut String, json: &str) {
    push(
        head,
        format_args!("<script type=\"application/ld+json\">{json}</script>\n"),
    );
}

fn related(model: &Model, p: &ShopProduct, body: &mut String) {
    for slot in model.related(p.slot) {
        let link = model.spelled(slot, LinkFrom::Related);
        let href = link.strip_prefix(model.base_url()).unwrap_or(&link);
        push(
            body,
            format_args!(
                "<a class=\"related\" href=\"{}\">함께 본 상품</a>\n",
                escaped(href)
            ),
        );
    }
}

pub(super) fn price(p: &ShopProduct) -> String {
    let mut out = amount(p.price_minor, p);
    out.push(' ');
    out.push_str(p.currency.code());
    out
}

pub(super) fn amount(minor: u64, p: &ShopProduct) -> String {
    let mut out = String::new();
    push_amount(&mut out, minor, p.currency);
    out
}

fn plain(body: &mut String, p: &ShopProduct) {
    push(
        body,
        format_args!(
            "<h1>{}</h1>\n<img src=\"{}\" alt=\"\">\n<p class=\"price\">{}</p>\n<p>{}</p>\n",
            escaped(&p.title),
            escaped(&p.image_link),
            price(p),
            escaped(&p.description)
        ),
    );
}

/// Every image of a product, the main one first.
pub(super) fn images(p: &ShopProduct) -> impl Iterator<Item = &String> {
    std::iter::once(&p.image_link).chain(&p.extra_image_links)
}

/// The members of a product group in JSON-LD, without the braces.
fn json_group(p: &ShopProduct) -> String {
    let mut variants = String::new();
    for n in 1..=VARIANTS {
        let row = variant(p, n);
        let comma = if n > 1 { "," } else { "" };
        push(
            &mut variants,
            format_args!(
                "{comma}{{\"@type\":\"Product\",\"sku\":{},\"name\":{},\"image\":{},\"size\":\"{n}\",\
                 \"offers\":{{\"@type\":\"Offer\",\"url\":{},\"price\":{},\"priceCurrency\":\"{}\",\
                 \"availability\":\"https://schema.org/{}\"}}}}",
                json_string(&row.id),
                json_string(&row.title),
                json_string(&row.images[0]),
                json_string(&row.link),
                row.price,
                row.currency,
                if row.in_stock {
                    "InStock"
                } else {
                    "OutOfStock"
                },
            ),
        );
    }
    format!(
        "\"@type\":\"ProductGroup\",\"productGroupID\":{},\"name\":{},\"description\":{},\"url\":{},\
         \"brand\":{{\"@type\":\"Brand\",\"name\":{}}},\"category\":{},\
         \"variesBy\":[\"https://schema.org/size\"],\"hasVariant\":[{variants}]",
        json_string(&p.id),
        json_string(&p.title),
        json_string(&p.description),
        json_string(&p.link),
        json_string(p.brand),
        json_string(&p.category_path.join(" > ")),
    )
}

/// The members of a JSON-LD product, without the braces.
fn json_product(p: &ShopProduct) -> String {
    let images: Vec<String> = images(p).map(|link| json_string(link)).collect();
    let mut out = String::from("\"@type\":\"Product\"");
    for (key, text) in [
        ("name", &*p.title),
        ("description", &p.description),
        ("sku", &p.id),
        ("gtin13", &p.gtin),
        ("mpn", &p.mpn),
        ("model", &p.model),
        ("color", p.color),
        ("url", &p.link),
        ("category", &p.category_path.join(" > ")),
    ] {
        if !text.is_empty() {
            push(&mut out, format_args!(",\"{key}\":{}", json_string(text)));
        }
    }
    push(
        &mut out,
        format_args!(
            ",\"image\":[{}],\"brand\":{{\"@type\":\"Brand\",\"name\":{}}},\
             \"offers\":{{\"@type\":\"Offer\",\"price\":\"{}\",\"priceCurrency\":\"{}\",\
             \"availability\":\"https://schema.org/{}\",\"itemCondition\":\"https://schema.org/{}\",\
             \"url\":{}}}",
            images.join(","),
            json_string(p.brand),
            amount(p.price_minor, p),
            p.currency.code(),
            availability(p),
            condition(p),
            json_string(&p.link),
        ),
    );
    out
}

fn breadcrumbs(model: &Model, p: &ShopProduct) -> String {
    let items: Vec<String> = p
        .category_path
        .iter()
        .enumerate()
        .map(|(n, name)| {
            format!(
                "{{\"@type\":\"ListItem\",\"position\":{},\"name\":{},\"item\":{}}}",
                n + 1,
                json_string(name),
                json_string(&format!(
                    "{}{}",
                    model.base_url(),
                    category_path(
                        model.paging(Model::leaf_index(p.slot)),
                        Model::leaf_index(p.slot)
                    )
                ))
            )
        })
        .collect();
    format!(
        "{{\"@type\":\"BreadcrumbList\",\"itemListElement\":[{}]}}",
        items.join(",")
    )
}

fn open_graph(head: &mut String, p: &ShopProduct) {
    let in_stock = if p.in_stock {
        "in stock"
    } else {
        "out of stock"
    };
    for (property, content) in [
        ("og:type", "product"),
        ("og:title", &*p.title),
        ("og:description", &p.description),
        ("og:url", &p.link),
        ("product:price:amount", &amount(p.price_minor, p)),
        ("product:price:currency", p.currency.code()),
        ("product:availability", in_stock),
        ("product:brand", p.brand),
        ("product:condition", p.condition_en()),
        ("product:retailer_item_id", &p.id),
        ("product:category", &p.category_path.join(" > ")),
    ]
    .into_iter()
    .chain(images(p).map(|link| ("og:image", link.as_str())))
    {
        push(
            head,
            format_args!(
                "<meta property=\"{property}\" content=\"{}\">\n",
                escaped(content)
            ),
        );
    }
}

/// Classes alone, as [`crate::PLAIN_SELECTORS`] select them.
fn by_class(model: &Model, body: &mut String, p: &ShopProduct) {
    body.push_str("<div class=\"goods-path\">");
    let leaf = Model::leaf_index(p.slot);
    for name in p.category_path {
        push(
            body,
            format_args!(
                "<a href=\"{}\">{}</a> ",
                category_path(model.paging(leaf), leaf),
                escaped(name)
            ),
        );
    }
    push(
        body,
        format_args!(
            "</div>\n<h1 class=\"goods-name\">\n  {}\n</h1>\n\
             <p class=\"goods-code\">상품번호 <b>{}</b></p>\n\
             <p class=\"goods-brand\"><a href=\"/\">{}</a></p>\n<div class=\"goods-price\">",
            escaped(&p.title),
            p.id,
            escaped(p.brand),
        ),
    );
    if p.is_discounted() {
        push(
            body,
            format_args!("<del>{}</del> ", local_price(p.normal_price_minor, p)),
        );
    }
    push(
        body,
        format_args!(
            "<strong>{}</strong></div>\n<p class=\"goods-stock\">{}</p>\n<div class=\"goods-photos\">",
            local_price(p.price_minor, p),
            if p.in_stock {
                "재고 있음"
            } else {
                "품절"
            },
        ),
    );
    for link in images(p) {
        push(
            body,
            format_args!("<img src=\"{}\" alt=\"\">", escaped(link)),
        );
    }
    push(
        body,
        format_args!(
            "</div>\n<div class=\"goods-text\">{}</div>\n",
            escaped(&p.description)
        ),
    );
}

/// An amount as a shop of the currency's country writes it: `12,900원`, `$1,234.50`.
fn local_price(minor: u64, p: &ShopProduct) -> String {
    let plain = amount(minor, p);
    let (whole, cents) = match plain.split_once('.') {
        Some((whole, cents)) => (whole, Some(cents)),
        None => (plain.as_str(), None),
    };
    let mut grouped = String::new();
    for (n, digit) in whole.chars().enumerate() {
        if n > 0 && (whole.len() - n).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    match cents {
        Some(cents) => format!("${grouped}.{cents}"),
        None => format!("{grouped}원"),
    }
}

pub(super) fn availability(p: &ShopProduct) -> &'static str {
    if p.in_stock { "InStock" } else { "OutOfStock" }
}

pub(super) fn condition(p: &ShopProduct) -> &'static str {
    if p.used {
        "UsedCondition"
    } else {
        "NewCondition"
    }
}

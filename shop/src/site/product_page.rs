//! A product's page in each kind of markup: JSON-LD (plain or in a graph), OpenGraph, microdata.
//!
//! A page has one of them, so that a reader of pages is tested on each alone.

use super::{LEAF_COUNT, page, push};
use crate::markup::{escaped, json_string};
use crate::model::Model;
use crate::number::push_amount;
use crate::product::ShopProduct;
use crate::spec::PageMarkup;

pub(crate) fn product(model: &Model, p: &ShopProduct) -> String {
    let mut head = format!("<link rel=\"canonical\" href=\"{}\">\n", escaped(&p.link));
    let markup = match model.spec().page_markup {
        PageMarkup::Mixed => [
            PageMarkup::JsonLd,
            PageMarkup::OpenGraph,
            PageMarkup::Microdata,
            PageMarkup::JsonLdGraph,
        ][(p.slot / LEAF_COUNT % 4) as usize],
        other => other,
    };
    let mut body = String::new();
    let leaf = Model::leaf_index(p.slot);
    push(
        &mut body,
        format_args!(
            "<p class=\"path\"><a href=\"/category/{leaf}\">{}</a></p>\n",
            escaped(&p.category_path.join(" > "))
        ),
    );
    match markup {
        PageMarkup::Microdata => microdata(&mut body, p),
        PageMarkup::OpenGraph => {
            open_graph(&mut head, p);
            plain(&mut body, p);
        }
        PageMarkup::JsonLdGraph => {
            let crumbs = breadcrumbs(model, p);
            let json = json_product(p);
            push(
                &mut head,
                format_args!(
                    "<script type=\"application/ld+json\">\
                     {{\"@context\":\"https://schema.org\",\"@graph\":[{crumbs},{{{json}}}]}}</script>\n"
                ),
            );
            plain(&mut body, p);
        }
        PageMarkup::JsonLd | PageMarkup::Mixed => {
            let json = json_product(p);
            push(
                &mut head,
                format_args!(
                    "<script type=\"application/ld+json\">\
                     {{\"@context\":\"https://schema.org\",{json}}}</script>\n"
                ),
            );
            plain(&mut body, p);
        }
    }
    page(model, &p.title, &head, &body)
}

pub(super) fn price(p: &ShopProduct) -> String {
    let mut out = amount(p.price_minor, p);
    out.push(' ');
    out.push_str(p.currency.code());
    out
}

fn amount(minor: u64, p: &ShopProduct) -> String {
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

/// The members of a JSON-LD product, without the braces.
fn json_product(p: &ShopProduct) -> String {
    let images: Vec<String> = std::iter::once(&p.image_link)
        .chain(&p.extra_image_links)
        .map(|link| json_string(link))
        .collect();
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
                    "{}/category/{}",
                    model.base_url(),
                    Model::leaf_index(p.slot)
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
        ("og:image", &p.image_link),
        ("product:price:amount", &amount(p.price_minor, p)),
        ("product:price:currency", p.currency.code()),
        ("product:availability", in_stock),
        ("product:brand", p.brand),
        ("product:condition", p.condition_en()),
        ("product:retailer_item_id", &p.id),
        ("product:category", &p.category_path.join(" > ")),
    ] {
        push(
            head,
            format_args!(
                "<meta property=\"{property}\" content=\"{}\">\n",
                escaped(content)
            ),
        );
    }
}

fn microdata(body: &mut String, p: &ShopProduct) {
    push(
        body,
        format_args!(
            "<div itemscope itemtype=\"https://schema.org/Product\">\n\
             <h1 itemprop=\"name\">{}</h1>\n<img itemprop=\"image\" src=\"{}\" alt=\"\">\n\
             <meta itemprop=\"sku\" content=\"{}\">\n",
            escaped(&p.title),
            escaped(&p.image_link),
            p.id
        ),
    );
    if !p.gtin.is_empty() {
        push(
            body,
            format_args!("<meta itemprop=\"gtin13\" content=\"{}\">\n", p.gtin),
        );
    }
    push(
        body,
        format_args!(
            "<div itemprop=\"brand\" itemscope itemtype=\"https://schema.org/Brand\">\
             <span itemprop=\"name\">{}</span></div>\n\
             <p itemprop=\"description\">{}</p>\n\
             <div itemprop=\"offers\" itemscope itemtype=\"https://schema.org/Offer\">\n\
             <span itemprop=\"price\" content=\"{}\">{}</span>\n\
             <meta itemprop=\"priceCurrency\" content=\"{}\">\n\
             <link itemprop=\"availability\" href=\"https://schema.org/{}\">\n\
             <link itemprop=\"itemCondition\" href=\"https://schema.org/{}\">\n\
             </div>\n</div>\n",
            escaped(p.brand),
            escaped(&p.description),
            amount(p.price_minor, p),
            price(p),
            p.currency.code(),
            availability(p),
            condition(p),
        ),
    );
}

fn availability(p: &ShopProduct) -> &'static str {
    if p.in_stock { "InStock" } else { "OutOfStock" }
}

fn condition(p: &ShopProduct) -> &'static str {
    if p.used {
        "UsedCondition"
    } else {
        "NewCondition"
    }
}

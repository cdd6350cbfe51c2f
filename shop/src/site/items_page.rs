//! Product pages in microdata and RDFa Lite.

use super::product_page::{amount, availability, condition, images, price};
use super::push;
use crate::markup::escaped;
use crate::product::ShopProduct;

pub(super) fn microdata(body: &mut String, p: &ShopProduct) {
    body.push_str("<div itemscope itemtype=\"https://schema.org/Product\">\n");
    microdata_texts(body, p);
    push(
        body,
        format_args!(
            "<div itemprop=\"brand\" itemscope itemtype=\"https://schema.org/Brand\">\
             <span itemprop=\"name\">{}</span></div>\n\
             <div itemprop=\"offers\" itemscope itemtype=\"https://schema.org/Offer\">\n",
            escaped(p.brand),
        ),
    );
    microdata_offer(body, p);
    body.push_str("</div>\n</div>\n");
}

/// The offer's properties stand outside of its element, and the product's too.
pub(super) fn microdata_ref(body: &mut String, p: &ShopProduct) {
    push(
        body,
        format_args!(
            "<div itemscope itemtype=\"https://schema.org/Product\" itemref=\"goods-texts goods-brand\">\n\
             <div itemprop=\"offers\" itemscope itemtype=\"https://schema.org/Offer\" itemref=\"goods-offer\"></div>\n\
             </div>\n<div id=\"goods-brand\"><span itemprop=\"brand\">{}</span></div>\n<div id=\"goods-texts\">\n",
            escaped(p.brand)
        ),
    );
    microdata_texts(body, p);
    body.push_str("</div>\n<aside><div id=\"goods-offer\">\n");
    microdata_offer(body, p);
    body.push_str("</div></aside>\n");
}

fn microdata_texts(body: &mut String, p: &ShopProduct) {
    push(
        body,
        format_args!(
            "<h1 itemprop=\"name\">{}</h1>\n<meta itemprop=\"sku\" content=\"{}\">\n\
             <meta itemprop=\"category\" content=\"{}\">\n",
            escaped(&p.title),
            p.id,
            escaped(&p.category_path.join(" > ")),
        ),
    );
    for link in images(p) {
        push(
            body,
            format_args!(
                "<img itemprop=\"image\" src=\"{}\" alt=\"\">\n",
                escaped(link)
            ),
        );
    }
    if !p.gtin.is_empty() {
        push(
            body,
            format_args!("<meta itemprop=\"gtin13\" content=\"{}\">\n", p.gtin),
        );
    }
    push(
        body,
        format_args!(
            "<p itemprop=\"description\">{}</p>\n",
            escaped(&p.description)
        ),
    );
}

fn microdata_offer(body: &mut String, p: &ShopProduct) {
    push(
        body,
        format_args!(
            "<span itemprop=\"price\" content=\"{}\">{}</span>\n\
             <meta itemprop=\"priceCurrency\" content=\"{}\">\n\
             <link itemprop=\"availability\" href=\"https://schema.org/{}\">\n\
             <link itemprop=\"itemCondition\" href=\"https://schema.org/{}\">\n",
            amount(p.price_minor, p),
            price(p),
            p.currency.code(),
            availability(p),
            condition(p),
        ),
    );
}

pub(super) fn rdfa(body: &mut String, p: &ShopProduct) {
    push(
        body,
        format_args!(
            "<div vocab=\"https://schema.org/\" typeof=\"Product\">\n<h1 property=\"name\">{}</h1>\n\
             <meta property=\"sku\" content=\"{}\">\n<meta property=\"category\" content=\"{}\">\n\
             <p property=\"description\">{}</p>\n\
             <div property=\"brand\" typeof=\"Brand\"><span property=\"name\">{}</span></div>\n",
            escaped(&p.title),
            p.id,
            escaped(&p.category_path.join(" > ")),
            escaped(&p.description),
            escaped(p.brand),
        ),
    );
    for link in images(p) {
        push(
            body,
            format_args!(
                "<img property=\"image\" src=\"{}\" alt=\"\">\n",
                escaped(link)
            ),
        );
    }
    push(
        body,
        format_args!(
            "<div property=\"offers\" typeof=\"Offer\">\n\
             <span property=\"price\" content=\"{}\">{}</span>\n\
             <meta property=\"priceCurrency\" content=\"{}\">\n\
             <link property=\"availability\" href=\"https://schema.org/{}\">\n</div>\n</div>\n",
            amount(p.price_minor, p),
            price(p),
            p.currency.code(),
            availability(p),
        ),
    );
}

//! State that shops leave in scripts for their own front end.

use super::product_page::{amount, images};
use super::push;
use crate::markup::json_string;
use crate::product::ShopProduct;
use crate::spec::Currency;

/// The state of a Next.js page.
pub(super) fn next_data(body: &mut String, p: &ShopProduct) {
    let product = state(p);
    push(
        body,
        format_args!(
            "<script id=\"__NEXT_DATA__\" type=\"application/json\">\
             {{\"props\":{{\"pageProps\":{{\"product\":{product},\"session\":null}},\"__N_SSP\":true}},\
             \"page\":\"/product/[id]\",\"query\":{{\"id\":{0}}},\"buildId\":\"b1\",\"isFallback\":false}}</script>\n",
            json_string(&p.id),
        ),
    );
}

/// State assigned to a property of the window.
pub(super) fn window_state(head: &mut String, p: &ShopProduct) {
    let product = state(p);
    push(
        head,
        format_args!(
            "<script>window.dataLayer = window.dataLayer || [];\n\
             window.__INITIAL_STATE__ = {{\"user\":{{\"loggedIn\":false}},\
             \"product\":{{\"detail\":{product}}}}};\n(function(){{}})();</script>\n"
        ),
    );
}

/// What themes of Shopify write: prices in hundredths of the unit, whatever the currency, and
/// addresses of images without a scheme.
pub(super) fn shopify(head: &mut String, body: &mut String, p: &ShopProduct) {
    let hundredths = match p.currency {
        Currency::Krw => p.price_minor * 100,
        Currency::Usd => p.price_minor,
    };
    let list: Vec<String> = images(p)
        .map(|link| json_string(link.trim_start_matches("http:")))
        .collect();
    let code = p.currency.code();
    push(
        head,
        format_args!(
            "<script>var Shopify = Shopify || {{}};\nShopify.shop = \"shop.example\";\n\
             Shopify.currency = {{\"active\":\"{code}\",\"rate\":\"1.0\"}};</script>\n"
        ),
    );
    push(
        body,
        format_args!(
            "<script type=\"application/json\" id=\"ProductJson-product-template\" data-product-json>\
             {{\"id\":{0},\"title\":{1},\"handle\":\"item-{2}\",\"description\":{3},\"vendor\":{4},\"type\":{5},\
             \"price\":{hundredths},\"price_min\":{hundredths},\"price_max\":{hundredths},\"available\":{6},\
             \"compare_at_price\":null,\"images\":[{7}],\"featured_image\":{8},\
             \"variants\":[{{\"id\":{0},\"title\":\"Default Title\",\"sku\":\"{2}\",\"price\":{hundredths},\
             \"available\":{6},\"barcode\":{9}}}]}}</script>\n",
            u64::from(p.slot) + 7_000_000_000,
            json_string(&p.title),
            p.id,
            json_string(&p.description),
            json_string(p.brand),
            json_string(&p.category_path.join(" > ")),
            p.in_stock,
            list.join(","),
            list[0],
            json_string(&p.gtin),
        ),
    );
}

/// A product as front ends keep it.
fn state(p: &ShopProduct) -> String {
    let list: Vec<String> = images(p).map(|link| json_string(link)).collect();
    let mut out = String::new();
    push(
        &mut out,
        format_args!(
            "{{\"sku\":\"{}\",\"name\":{},\"description\":{},\"brand\":{{\"name\":{}}},\"category\":{},\
             \"price\":{},\"currency\":\"{}\",\"availability\":\"{}\",\"images\":[{}],\"url\":{}}}",
            p.id,
            json_string(&p.title),
            json_string(&p.description),
            json_string(p.brand),
            json_string(&p.category_path.join(" > ")),
            amount(p.price_minor, p),
            p.currency.code(),
            super::product_page::availability(p),
            list.join(","),
            json_string(&p.link),
        ),
    );
    out
}

//! Whole pages: which source gives which field, and what is told.

#![allow(clippy::unwrap_used)]

use super::*;

fn report(page: &str) -> PageReport {
    let url = Url::parse("https://shop.example/goods/1?ref=x#top").unwrap();
    extract(page.as_bytes(), Some("utf-8"), &url)
}

fn json(page: &str) -> serde_json::Value {
    serde_json::to_value(report(page)).unwrap()
}

/// `field` is a JSON pointer below `/product`.
fn check(page: &str, expected: &[(&str, &str)]) {
    let json = json(page);
    for (field, value) in expected {
        let found = json
            .pointer(&format!("/product/{field}"))
            .map(|found| found.as_str().map_or(found.to_string(), str::to_owned));
        assert_eq!(
            found.as_deref(),
            Some(*value),
            "{field} of {page}\n{json:#}"
        );
    }
}

fn json_ld(block: &str) -> String {
    format!("<script type='application/ld+json'>{block}</script>")
}

const OFFER: &str =
    r#""offers":{"@type":"Offer","price":"12.50","priceCurrency":"USD","availability":"InStock"}"#;

#[test]
fn json_ld_products_are_read_wherever_they_lie() {
    let product = format!(r#"{{"@type":"Product","name":"Cup","sku":"c1",{OFFER}}}"#);
    for block in [
        product.clone(),
        format!("[{product}]"),
        format!(r#"{{"@graph":[{{"@type":"WebSite"}},{product}]}}"#),
        format!(r#"{{"@type":"ItemPage","mainEntity":{product}}}"#),
        format!(r#"{{"@type":"WebPage","mainEntity":[{{"@graph":{product}}}]}}"#),
        product.replace(r#""Product""#, r#"["Thing","http://schema.org/Product"]"#),
        product.replace(r#""name""#, r#""schema:name""#),
        format!("<!--\n{product}\n//-->"),
        format!("//<![CDATA[\n{product};\n//]]>"),
        product.replace('"', "&quot;"),
        product.replace("Cup", "C\u{1}up").replace('\u{1}', ""),
    ] {
        check(
            &json_ld(&block),
            &[
                ("title/value", "Cup"),
                ("title/from", "json-ld"),
                ("id/value", "c1"),
                ("price/value/amount_minor", "1250"),
                ("price/value/currency", "USD"),
                ("price/from", "json-ld"),
                ("availability/value", "InStock"),
            ],
        );
    }
}

#[test]
fn every_form_of_image_is_read() {
    for (image, expected) in [
        (r#""a.jpg""#, "[]"),
        (
            r#"["a.jpg","b.jpg","a.jpg"]"#,
            "[\"https://shop.example/goods/b.jpg\"]",
        ),
        (r#"{"@type":"ImageObject","url":"a.jpg"}"#, "[]"),
        (
            r#"[{"contentUrl":"a.jpg"},{"url":["b.jpg"]}]"#,
            "[\"https://shop.example/goods/b.jpg\"]",
        ),
        (r#"[null,"","data:image/gif;base64,R0","a.jpg"]"#, "[]"),
        (r#"{"@id":"https://shop.example/goods/a.jpg"}"#, "[]"),
    ] {
        let block = format!(r#"{{"@type":"Product","name":"Cup","image":{image}}}"#);
        let json = json(&json_ld(&block));
        let first = json.pointer("/product/image_link/value").unwrap();
        assert_eq!(first, "https://shop.example/goods/a.jpg", "{image}");
        let rest = json.pointer("/product/additional_image_links/value");
        assert_eq!(
            rest.map_or("[]".to_owned(), ToString::to_string),
            expected,
            "{image}"
        );
    }
}

#[test]
fn the_cheapest_offer_that_can_be_bought_speaks_for_the_product() {
    let check_offers = |offers: &str, minor: &str, currency: &str, availability: Option<&str>| {
        let page = json_ld(&format!(
            r#"{{"@type":"Product","name":"Cup","offers":{offers}}}"#
        ));
        check(
            &page,
            &[
                ("price/value/amount_minor", minor),
                ("currency/value", currency),
            ],
        );
        let json = json(&page);
        let found = json.pointer("/product/availability/value");
        assert_eq!(
            found.and_then(|found| found.as_str()),
            availability,
            "{offers}"
        );
    };
    check_offers(
        r#"{"price":1299.00,"priceCurrency":"EUR"}"#,
        "129900",
        "EUR",
        None,
    );
    check_offers(r#"{"price":"₩12,900"}"#, "12900", "KRW", None);
    check_offers(
        r#"{"price":"1,299.00","priceCurrency":"usd"}"#,
        "129900",
        "USD",
        None,
    );
    check_offers(
        r#"{"@type":"AggregateOffer","lowPrice":"5","highPrice":"9","priceCurrency":"USD"}"#,
        "500",
        "USD",
        None,
    );
    check_offers(
        r#"[{"price":"3","priceCurrency":"USD","availability":"http://schema.org/SoldOut"},
            {"price":"7","priceCurrency":"USD","availability":{"@id":"http://schema.org/InStock"}},
            {"price":"6","priceCurrency":"USD","availability":"InStock"}]"#,
        "600",
        "USD",
        Some("InStock"),
    );
    check_offers(
        r#"{"@type":"AggregateOffer","priceCurrency":"USD","offers":[
            {"price":"8","availability":"InStock"},{"price":"7","availability":"InStock"}]}"#,
        "700",
        "USD",
        Some("InStock"),
    );
    check_offers(
        r#"{"priceSpecification":[
            {"price":"2","priceCurrency":"USD","referenceQuantity":{"value":100}},
            {"price":"20","priceCurrency":"USD","priceType":"https://schema.org/ListPrice"},
            {"price":"15","priceCurrency":"USD"}]}"#,
        "1500",
        "USD",
        None,
    );
}

#[test]
fn references_variants_and_breadcrumbs_are_followed() {
    let page = json_ld(
        r##"{"@graph":[
        {"@id":"#b","@type":"Brand","name":"Acme &amp; Sons"},
        {"@id":"#o","@type":"Offer","price":"3.00","priceCurrency":"GBP","sku":"v1"},
        {"@type":"ProductGroup","name":"Cup","brand":{"@id":"#b"},"url":"/cup",
         "hasVariant":[{"@type":"Product","offers":{"@id":"#o"}}],
         "description":"<p>Warm &amp; round</p>","category":["Home","Cups"],
         "gtin13":"4006381333931","mpn":77},
        {"@type":"WebPage","breadcrumb":{"@type":"BreadcrumbList","itemListElement":[
          {"position":"2","item":{"@id":"/k","name":"Kitchen"}},
          {"position":1,"name":"Home"},{"position":3,"name":"Cup"}]}}]}"##,
    );
    check(
        &page,
        &[
            ("brand/value", "Acme & Sons"),
            ("price/value/amount_minor", "300"),
            ("sku/value", "v1"),
            ("link/value", "https://shop.example/cup"),
            ("description/value", "Warm & round"),
            ("category/value", "Home > Cups"),
            ("breadcrumbs/value", r#"["Home","Kitchen"]"#),
            ("gtin/value", "4006381333931"),
            ("mpn/value", "77"),
        ],
    );
}

#[test]
fn of_several_products_the_one_of_the_page_is_taken() {
    let page = json_ld(
        r#"[{"@type":"Product","name":"Other","offers":{"price":1,"priceCurrency":"USD"}},
            {"@type":"Product","name":"This","url":"https://shop.example/goods/1?ref=x"}]"#,
    );
    check(&page, &[("title/value", "This")]);
    let told = report(&page).remarks.join("; ");
    assert!(
        told.contains("json-ld describes 2 products; \"This\" was taken"),
        "{told}"
    );
}

#[test]
fn broken_json_ld_is_told_and_does_not_hide_the_rest() {
    let check_told = |page: &str, expected: &str| {
        let told = report(page).remarks.join("; ");
        assert!(told.contains(expected), "{told:?} has no {expected:?}");
    };
    let good = r#"{"@type":"Product","name":"Cup"}"#;
    let page = json_ld("{\"@type\":\n \"Product\", name}") + &json_ld(good);
    check_told(&page, "JSON-LD block 1 could not be read: expected ':'");
    check_told(&page, "at line 2, column 17");
    check(&page, &[("title/value", "Cup")]);
    check_told(
        &json_ld("{\"a\":1,}"),
        "JSON-LD block 1 is not valid JSON, but was read: needless comma at line 1",
    );
    check_told(&json_ld(" "), "JSON-LD block 1 is empty");
    let bad_price =
        r#"{"@type":"Product","name":"Cup","offers":{"price":"call us","priceCurrency":"USD"}}"#;
    check_told(
        &json_ld(bad_price),
        "json-ld price: \"call us\" holds no amount",
    );
    check_told(&json_ld(bad_price), "not found: price, availability, image");
    let bad_words = r#"{"@type":"Product","name":"Cup","offers":{"price":"1","priceCurrency":"money","availability":"perhaps"}}"#;
    check_told(
        &json_ld(bad_words),
        "priceCurrency \"money\" is not a currency",
    );
    check_told(&json_ld(bad_words), "availability \"perhaps\" is not known");
    check_told("<p>hello</p>", "no product on this page");
    check_told(
        "<base href='mailto:x'><link rel=canonical href='ftp://x/y'>",
        "<base href=\"mailto:x\"> is not",
    );
    check_told("<link rel=canonical href='ftp://x/y'>", "its scheme is ftp");
}

#[test]
fn microdata_and_rdfa_are_read() {
    let microdata = "<div itemscope itemtype='http://schema.org/Product' itemref='more'>\
        <h2 itemprop=name>Cup</h2><img itemprop=image src='data:x' data-src=' a.jpg'>\
        <div itemprop=brand itemscope itemtype='http://schema.org/Brand'><b itemprop=name>Acme</b></div>\
        <div itemprop=offers itemscope itemtype='http://schema.org/Offer'>\
        <span itemprop=price content='12.50'>twelve</span><meta itemprop=priceCurrency content=USD>\
        <link itemprop=availability href='http://schema.org/OutOfStock'></div>\
        <div itemscope itemtype='http://schema.org/Thing'><i itemprop=sku>not ours</i></div></div>\
        <p id=more><i itemprop='sku mpn'>c1</i></p>";
    let expected = |rule| {
        [
            ("title/value", "Cup"),
            ("title/from", rule),
            ("image_link/value", "https://shop.example/goods/a.jpg"),
            ("brand/value", "Acme"),
            ("price/value/amount_minor", "1250"),
            ("availability/value", "OutOfStock"),
            ("sku/value", "c1"),
            ("mpn/value", "c1"),
        ]
    };
    check(microdata, &expected("microdata"));
    let rdfa = "<div vocab='http://schema.org/' typeof='Product'>\
        <h2 property=name>Cup</h2><img property=image src='a.jpg'>\
        <div property=brand typeof=Brand><b property='schema:name'>Acme</b></div>\
        <div property=offers typeof='schema:Offer'><span property=price content='12.50'>x</span>\
        <meta property=priceCurrency content=USD>\
        <link property=availability href='http://schema.org/OutOfStock'></div>\
        <i property='sku mpn'>c1</i></div>";
    check(rdfa, &expected("rdfa"));
}

#[test]
fn meta_tags_are_read() {
    let page = "<meta property='og:type' content='product'><meta property='og:title' content='Cup'>\
        <meta property='og:image' content='/a.jpg'><meta property='og:image' content='/b.jpg'>\
        <meta property='og:url' content='https://shop.example/cup'>\
        <meta property='product:price:amount' content='20'>\
        <meta property='product:sale_price:amount' content='15,00'>\
        <meta property='product:price:currency' content='EUR'>\
        <meta property='product:availability' content='in stock'>\
        <meta property='product:retailer_item_id' content='c1'><meta name='product:brand' content='Acme'>";
    check(
        page,
        &[
            ("id/value", "c1"),
            ("id/from", "opengraph"),
            ("title/value", "Cup"),
            ("price/value/amount_minor", "1500"),
            ("list_price/value/amount_minor", "2000"),
            ("currency/value", "EUR"),
            ("availability/value", "InStock"),
            ("brand/value", "Acme"),
            ("image_link/value", "https://shop.example/a.jpg"),
            (
                "additional_image_links/value",
                r#"["https://shop.example/b.jpg"]"#,
            ),
            ("link/value", "https://shop.example/cup"),
        ],
    );
    let article =
        "<meta property='og:type' content='article'><meta property='og:title' content='News'>";
    assert_eq!(report(article).product, None);
}

#[test]
fn plain_html_is_read_last() {
    let page = "<title>Cup | Shop</title><meta name=description content=' A  cup '>\
        <base href='https://cdn.example/x/'><link rel='canonical' href='/cup'>\
        <h1>Shop</h1><ul class=breadcrumb><li><a>Home</a> /</li><li>Kitchen</li><li>Cup</li></ul>\
        <p class=price>$1</p><h1> Cup </h1><del><b class=price>$9</b></del><b class='old price'>$9</b>\
        <b class=ProductPrice>US$ 5.00</b><i class=availability>In stock (3)</i>\
        <img alt=cup src=c.jpg><img alt=other src=o.jpg>";
    check(
        page,
        &[
            ("title/value", "Cup"),
            ("title/from", "html"),
            ("id/value", "https://cdn.example/cup"),
            ("description/value", "A cup"),
            ("price/value/amount_minor", "500"),
            ("availability/value", "InStock"),
            ("image_link/value", "https://cdn.example/x/c.jpg"),
            ("breadcrumbs/value", r#"["Home","Kitchen"]"#),
        ],
    );
    let canonical = report(page).canonical.map(|url| url.to_string());
    assert_eq!(canonical.as_deref(), Some("https://cdn.example/cup"));
    assert_eq!(report("<h1>News</h1><p>all good</p>").product, None);
}

#[test]
fn precedence_holds_for_every_field_by_itself() {
    let page = json_ld(r#"{"@type":"Product","name":"From JSON-LD"}"#)
        + "<div itemscope itemtype='http://schema.org/Product'><i itemprop=name>From microdata</i>\
           <i itemprop=mpn>m1</i></div>\
           <meta property='og:title' content='From OpenGraph'>\
           <meta property='product:price:amount' content='7'>\
           <meta property='product:price:currency' content='USD'>\
           <meta name=description content='From HTML'>";
    check(
        &page,
        &[
            ("title/value", "From JSON-LD"),
            ("mpn/from", "microdata"),
            ("price/from", "opengraph"),
            ("description/from", "html"),
            ("link/value", "https://shop.example/goods/1?ref=x"),
        ],
    );
}

#[test]
fn a_file_is_a_page_without_links() {
    let url = Url::parse("file:///tmp/page.html").unwrap();
    let page = json_ld(r#"{"@type":"Product","name":"Cup","image":"a.jpg"}"#);
    let report = extract(page.as_bytes(), None, &url);
    let product = report.product.unwrap();
    assert_eq!((product.link, product.image_link), (None, None));
    assert!(report.remarks.join("; ").contains("its scheme is file"));
}

#[test]
fn hostile_pages_are_bounded() {
    let deep_items =
        "<div itemscope itemtype='http://schema.org/Product' itemprop='a b c'>".repeat(10_000);
    let circle = "<div id=a itemscope itemtype='http://schema.org/Product' itemref='a b'></div>\
        <div id=b itemprop=isRelatedTo itemscope itemtype='http://schema.org/Product' itemref='a b'></div>";
    for page in [
        "<div>".repeat(10_000)
            + "<script type='application/ld+json'>{\"@type\":\"Product\",\"name\":\"x\"}</script>",
        "<b><p>".repeat(10_000),
        "<table><tr><td>".repeat(10_000),
        deep_items,
        circle.to_owned(),
        json_ld(&"[".repeat(10_000)),
        json_ld(&"{\"@graph\":".repeat(10_000)),
        json_ld("{}").repeat(200),
        json_ld(
            r##"{"@graph":[{"@type":"Product","@id":"#p","name":"x","offers":{"@id":"#p"}}]}"##,
        ),
        "<title>".to_owned() + &"x".repeat(100_000),
        "<".repeat(100_000),
        "<!--".repeat(100_000),
        "\0".repeat(100_000),
    ] {
        let report = report(&page);
        assert!(report.remarks.len() <= limits::REMARKS_MAX + 1);
        assert!(!report.remarks.is_empty());
    }
    let found = report(&("<div>".repeat(10_000) + &json_ld(r#"{"@type":"Product","name":"x"}"#)));
    assert!(found.product.is_some(), "{:?}", found.remarks);
    let large = vec![b'x'; limits::PAGE_BYTES_MAX + 1];
    let url = Url::parse("https://shop.example/").unwrap();
    assert!(extract(&large, None, &url).remarks[0].contains("the first 8388608 were read"));
}

#[test]
fn any_bytes_are_a_page() {
    let url = Url::parse("https://shop.example/").unwrap();
    for bytes in [
        &b""[..],
        b"\xff",
        b"\xff\xfe",
        b"\xfe\xff\x00",
        b"<",
        b"\xef\xbb\xbf",
    ] {
        assert_eq!(extract(bytes, None, &url).product, None);
    }
}

#[test]
fn prices_per_unit_and_measures_are_told_apart() {
    let product = |offer: &str| {
        json_ld(&format!(
            r#"{{"@type":"Product","name":"Oil","sku":"o1",
            "weight":{{"@type":"QuantitativeValue","value":"1,2","unitCode":"KGM"}},
            "height":"30 cm","size":{{"@type":"QuantitativeValue","value":500,"unitCode":"MLT"}},
            "offers":{{"@type":"Offer","priceCurrency":"EUR",{offer}}}}}"#
        ))
    };
    // As Google has it: the price of what is sold, and what it is compared by.
    let sold = r#""priceSpecification":{"price":"9.90","referenceQuantity":{"value":"0.5",
        "unitCode":"LTR","valueReference":{"value":"1","unitCode":"LTR"}}}"#;
    check(
        &product(sold),
        &[
            ("price/value/amount_minor", "990"),
            ("size/value", "500 ml"),
            (
                "columns",
                r#"[["product_height_cm",["30"]],["product_weight_g",["1200"]],["unit_pricing_measure",["0.5 l"]],["unit_pricing_base_measure",["1 l"]]]"#,
            ),
        ],
    );
    // As schema.org has it: a price per unit beside the price.
    let per_unit = r#""price":"9.90","priceSpecification":{"price":"1.98",
        "referenceQuantity":{"value":"100","unitCode":"MLT"}}"#;
    check(
        &product(per_unit),
        &[
            ("price/value/amount_minor", "990"),
            ("columns/2/0", "unit_pricing_base_measure"),
            ("columns/2/1/0", "100 ml"),
        ],
    );
}

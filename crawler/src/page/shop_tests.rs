//! Pages as shop systems write them: rules of a pipe, variants, state in
//! scripts, what a page is, and the rows that come of it.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};
use trawler_core::site::{ExtractOptions, Selectors, Variants};

use super::*;

fn options(fields: &[(&str, &[&str])]) -> ExtractOptions {
    let selectors =
        |list: &[&str]| Selectors::Several(list.iter().map(ToString::to_string).collect());
    ExtractOptions {
        fields: fields
            .iter()
            .map(|(field, list)| ((*field).to_owned(), selectors(list)))
            .collect::<BTreeMap<_, _>>(),
        ..ExtractOptions::default()
    }
}

fn report_at(address: &str, page: &str) -> PageReport {
    extract(
        page.as_bytes(),
        Some("utf-8"),
        &Url::parse(address).unwrap(),
    )
}

fn rows_of(report: &PageReport, variants: Variants) -> Vec<Map<String, Json>> {
    rows(report, &RowRules { variants })
}

fn json_ld(block: &str) -> String {
    format!("<script type='application/ld+json'>{block}</script>")
}

const ADDRESS: &str = "https://shop.example/p/cup";

#[test]
fn selectors_of_the_pipe_come_first_field_by_field() {
    let page = json_ld(
        r#"{"@type":"Product","name":"From JSON-LD","sku":"j1","offers":{"price":"9","priceCurrency":"EUR"}}"#,
    ) + "<h1 class=t>From CSS</h1><b class=p data-v='12,50'>cheap</b><i class=s>vorrätig</i>\
           <ul><li class=c>Start</li><li class=c>Küche</li></ul><img class=i src=a.jpg srcset='b.jpg 2x'>\
           <table><tr><td class=m>Stahl</td><td class=o>Korea</td></tr></table>";
    let extractor = Extractor::new(&options(&[
        ("title", &["h1.absent", "h1.t"]),
        ("price", &["b.p@data-v"]),
        ("currency", &["=CHF"]),
        ("availability", &[".s"]),
        ("category", &["li.c"]),
        ("image_link", &["img.i"]),
        ("material", &["td.m"]),
        ("origin", &["td.o"]),
        ("highlights", &["td"]),
        ("brand", &[".absent"]),
    ]))
    .unwrap();
    let address = Url::parse(ADDRESS).unwrap();
    let report = extractor.extract(page.as_bytes(), None, &address);
    let product = report.product.as_ref().unwrap();
    let title = product.title.as_ref().unwrap();
    assert_eq!((title.value.as_str(), title.from), ("From CSS", Rule::Css));
    assert_eq!(product.sku.as_ref().unwrap().from, Rule::JsonLd);
    let rows = rows_of(&report, Variants::Rows);
    let expected = json!({
        "id": "j1", "title": "From CSS", "price_minor": 1250, "currency": "CHF",
        "availability": "in_stock", "category_path": ["Küche"], "material": "Stahl",
        "origin": "Korea", "highlights": ["Stahl", "Korea"], "sku": "j1",
        "image_link": "https://shop.example/p/b.jpg",
        "link": ADDRESS, "canonical_link": ADDRESS,
    });
    assert_eq!(Json::Object(rows[0].clone()), expected);
}

#[test]
fn wrong_rules_name_field_and_place() {
    let check = |selector: &str, expected: &str| {
        let error = Extractor::new(&options(&[("price", &[selector])])).unwrap_err();
        let told = match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        assert!(told.contains(expected), "{told}");
    };
    check("b:hover", "extract.fields.price: one of its selectors");
    check("b[", "extract.fields.price");
    check("@content", "selects nothing");
    assert!(Extractor::new(&options(&[("x", &["a[href*='@x']"])])).is_ok());
}

#[test]
fn the_pipe_currency_serves_where_the_page_names_none() {
    let page = json_ld(r#"{"@type":"Product","name":"Cup","offers":{"price":"12900"}}"#);
    let address = Url::parse(ADDRESS).unwrap();
    let price = |extractor: Extractor| {
        let report = extractor.extract(page.as_bytes(), None, &address);
        report
            .product
            .unwrap()
            .price
            .map(|price| price.value.currency.to_string())
    };
    assert_eq!(price(Extractor::default()), None);
    let won = trawler_core::product::Currency::parse("KRW").unwrap();
    let extractor = Extractor::default().with_currency(Some(won));
    assert_eq!(price(extractor).as_deref(), Some("KRW"));
}

const GROUP: &str = r#"{"@context":"https://schema.org","@type":"ProductGroup","name":"Shirt","productGroupID":"G1",
    "brand":"Acme","url":"/p/shirt","image":"g.jpg","hasVariant":[
    {"@type":"Product","sku":"r-l","name":"Shirt","color":"Red","size":"L","gtin13":"4006381333931","image":"r.jpg",
     "offers":{"price":"20","priceCurrency":"EUR","availability":"InStock","url":"/p/shirt?v=r-l"}},
    {"@type":"Product","sku":"b-l","color":"Blue","size":"L",
     "offers":{"price":"15","priceCurrency":"EUR","availability":"OutOfStock","url":"/p/shirt?v=b-l"}},
    {"@type":"Product","sku":"g-l","name":"Shirt in green","color":"Green",
     "offers":{"price":"25","priceCurrency":"EUR","availability":"InStock"}}]}"#;

#[test]
fn variants_are_rows_of_their_own_or_one_row() {
    let report = report_at("https://shop.example/p/shirt", &json_ld(GROUP));
    let rows = rows_of(&report, Variants::Rows);
    let column = |name: &str| -> Vec<String> {
        let text = |value: &Json| value.as_str().map_or(value.to_string(), str::to_owned);
        rows.iter()
            .map(|row| row.get(name).map_or("-".to_owned(), text))
            .collect()
    };
    assert_eq!(column("id"), ["r-l", "b-l", "g-l"]);
    assert_eq!(column("item_group_id"), ["G1", "G1", "G1"]);
    assert_eq!(
        column("title"),
        ["Shirt - Red / L", "Shirt - Blue / L", "Shirt in green"]
    );
    assert_eq!(column("price_minor"), ["2000", "1500", "2500"]);
    assert_eq!(
        column("availability"),
        ["in_stock", "out_of_stock", "in_stock"]
    );
    assert_eq!(column("color"), ["Red", "Blue", "Green"]);
    assert_eq!(column("gtin"), ["4006381333931", "-", "-"]);
    assert_eq!(column("brand"), ["Acme", "Acme", "Acme"]);
    let image = |name: &str| format!("https://shop.example/p/{name}.jpg");
    assert_eq!(column("image_link"), [image("r"), image("g"), image("g")]);
    assert_eq!(column("link")[1], "https://shop.example/p/shirt?v=b-l");
    // One row: the cheapest that can be bought, under the group's id.
    let main = rows_of(&report, Variants::Main);
    assert_eq!(main.len(), 1);
    assert_eq!(main[0]["id"], "G1");
    assert_eq!(main[0]["price_minor"], 2000);
    // The URL selects.
    let selected = report_at("https://shop.example/p/shirt?v=b-l", &json_ld(GROUP));
    let main = rows_of(&selected, Variants::Main);
    assert_eq!(
        (&main[0]["id"], &main[0]["price_minor"]),
        (&json!("G1"), &json!(1500))
    );
}

#[test]
fn variants_of_a_group_that_the_product_refers_to() {
    let check = |block: &str, ids: &[&str], group: &str| {
        let report = report_at("https://shop.example/p/a", &json_ld(block));
        let rows = rows_of(&report, Variants::Rows);
        let found: Vec<&str> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
        assert_eq!(found, ids, "{block}");
        let groups = rows.iter().all(|row| row["item_group_id"] == group);
        assert!(groups, "{rows:?}");
    };
    let offer = |price: &str| format!(r#""offers":{{"price":"{price}","priceCurrency":"EUR"}}"#);
    check(
        &format!(
            r#"[{{"@type":"Product","name":"A red","sku":"r","url":"/p/a","inProductGroupWithID":"G",{}}},
                {{"@type":"Product","name":"A blue","sku":"b","inProductGroupWithID":"G",{}}},
                {{"@type":"Product","name":"Other","sku":"o",{}}}]"#,
            offer("2"),
            offer("1"),
            offer("0.5")
        ),
        &["r", "b"],
        "G",
    );
    check(
        &format!(
            r##"{{"@graph":[{{"@type":"Product","@id":"#r","name":"A red","sku":"r","isVariantOf":{{"@id":"#g"}},{}}},
                {{"@type":"ProductGroup","@id":"#g","productGroupID":"G","name":"A","url":"/p/g",
                  "hasVariant":[{{"@id":"#r"}},{{"@type":"Product","sku":"b","name":"A blue",{}}}]}}]}}"##,
            offer("2"),
            offer("1")
        ),
        &["r", "b"],
        "G",
    );
    // Offers with numbers of their own are variants; sellers of one are not.
    check(
        r#"{"@type":"Product","name":"Shirt","sku":"s","url":"/p/a","offers":[
            {"@type":"Offer","name":"Red","sku":"s-r","price":"2","priceCurrency":"EUR"},
            {"@type":"Offer","name":"Blue","sku":"s-b","price":"2","priceCurrency":"EUR"}]}"#,
        &["s-r", "s-b"],
        "s",
    );
    let sellers = json_ld(
        r#"{"@type":"Product","name":"Shirt","sku":"s","offers":[
            {"price":"2","priceCurrency":"EUR","seller":"a"},{"price":"3","priceCurrency":"EUR","seller":"b"}]}"#,
    );
    assert!(report_at(ADDRESS, &sellers).variants.is_empty());
}

#[test]
fn shopify_pages_give_variants_from_their_product_json() {
    let page = r#"<title>Cup | Shop</title><h1>Cup</h1>
        <script>window.ShopifyAnalytics.meta.currency = 'EUR';</script>
        <script type="application/json" data-product-json>{"id":99,"title":"Cup","handle":"cup","vendor":"Acme",
        "variants":[{"id":1,"title":"Red","option1":"Red","sku":"r","available":true,"price":1999,"compare_at_price":2499},
        {"id":2,"title":"Blue","option1":"Blue","sku":"b","available":false,"price":1599}]}</script>"#;
    let report = report_at("https://shop.example/products/cup", page);
    assert_eq!(report.kind, PageKind::Product);
    let product = report.product.as_ref().unwrap();
    assert_eq!(product.price.as_ref().unwrap().from, Rule::State);
    assert_eq!(product.price.as_ref().unwrap().value.amount_minor, 1999);
    assert_eq!(
        product.list_price.as_ref().unwrap().value.amount_minor,
        2499
    );
    let rows = rows_of(&report, Variants::Rows);
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[1]["title"], "Cup - Blue");
    assert_eq!(
        rows[1]["link"],
        "https://shop.example/products/cup?variant=2"
    );
    assert_eq!(rows[1]["price_minor"], 1599);
    assert!(!rows[1].contains_key("list_price_minor"));
}

#[test]
fn pages_are_told_apart() {
    let check = |page: &str, expected: PageKind| {
        let report = report_at(ADDRESS, page);
        assert_eq!(report.kind, expected, "{page}\n{:?}", report.remarks);
        assert_eq!(
            report.product.is_some(),
            expected == PageKind::Product,
            "{page}"
        );
        assert_eq!(
            rows_of(&report, Variants::Rows).len(),
            usize::from(expected == PageKind::Product)
        );
    };
    let long = format!("<p>{}</p>", "Much is said of cups here. ".repeat(100));
    let product =
        json_ld(r#"{"@type":"Product","name":"Cup","offers":{"price":"5","priceCurrency":"EUR"}}"#);
    check(&product, PageKind::Product);
    let login_box = "<form><input type=password></form>";
    check(&(product.clone() + login_box), PageKind::Product);
    check(
        &format!("<title>Sign in</title>{login_box}"),
        PageKind::Login,
    );
    check(
        "<title>Just a moment...</title><script>window._cf_chl_opt={}</script>",
        PageKind::Blocked,
    );
    check(
        "<title>shop</title><script src='https://geo.captcha-delivery.com/c.js'></script><p>Please enable JS and disable any ad blocker</p><div class=captcha>",
        PageKind::Blocked,
    );
    check(
        "<h1>Access Denied</h1><p>You don't have permission</p>",
        PageKind::Blocked,
    );
    check(
        &format!("<title>404 - Shop</title>{long}"),
        PageKind::SoftNotFound,
    );
    check(
        &format!("<title>Shop</title><h1>Page not found</h1>{long}<b class=price>£5.00</b>"),
        PageKind::SoftNotFound,
    );
    check(
        "<title>쇼핑</title><p>존재하지 않는 상품입니다.</p>",
        PageKind::SoftNotFound,
    );
    check(
        "<title>Lost and Not Found</title><h1>Lost and Not Found</h1><b class=price>£5.00</b><i class=stock>In stock</i>",
        PageKind::Product,
    );
    let cards: String = (0..12)
        .map(|n| format!("<div class=card><a href=/p/{n}>Cup {n}</a><div class=price-box><span class=price>£{n}.50</span></div></div>"))
        .collect();
    check(&format!("<h1>Cups</h1>{cards}"), PageKind::Listing);
    // A product among related ones, none of them marked up.
    check(
        &format!("<h1>Cup</h1><p class=main><b class=price>£9.50</b></p>{cards}"),
        PageKind::Product,
    );
    check(
        &(format!(
            "<h1>Cup</h1><meta property=og:type content=product><meta property=product:price:amount content=5><meta property=product:price:currency content=EUR>{cards}"
        )),
        PageKind::Product,
    );
    let listed = (0..4).map(|n| format!(r#"{{"@type":"Product","name":"Cup {n}","url":"/p/{n}","offers":{{"price":"5","priceCurrency":"EUR"}}}}"#));
    let listed: Vec<String> = listed.collect();
    check(
        &json_ld(&format!("[{}]", listed.join(","))),
        PageKind::Listing,
    );
    check(
        &json_ld(&format!(
            r#"{{"@type":"ItemList","itemListElement":[{}]}}"#,
            listed.join(",")
        )),
        PageKind::Listing,
    );
    check(&format!("<h1>About us</h1>{long}"), PageKind::Other);
    check("", PageKind::Other);
    let refused = Extractor::default().extract_answer(
        Some(403),
        b"<p>no</p>",
        None,
        &Url::parse(ADDRESS).unwrap(),
    );
    assert_eq!(refused.kind, PageKind::Blocked);
}

#[test]
fn rows_have_an_id_a_path_and_a_link_of_the_shop() {
    let row = |block: &str| {
        let page = json_ld(block) + "<link rel=canonical href='/p/cup'>";
        let report = report_at("https://www.shop.example/p/cup?ref=x", &page);
        rows_of(&report, Variants::Rows).remove(0)
    };
    let plain = row(
        r#"{"@type":"Product","name":"Cup\u0001","url":"https://other.example/x",
        "offers":{"price":"5","priceCurrency":"EUR"}}"#,
    );
    assert_eq!(plain["id"], "https://www.shop.example/p/cup");
    assert_eq!(plain["link"], "https://www.shop.example/p/cup");
    assert_eq!(plain["title"], "Cup");
    let long = "x".repeat(300);
    let hashed = row(&format!(
        r#"{{"@type":"Product","name":"Cup","sku":"{long}"}}"#
    ));
    let id = hashed["id"].as_str().unwrap();
    assert!(id.starts_with("sha256:") && id.len() < 80, "{id}");
    let path = row(
        r#"[{"@type":"Product","name":"Cup","productID":"isbn:9783161484100","itemCondition":"https://schema.org/UsedCondition",
        "aggregateRating":{"ratingValue":"4,5","reviewCount":"1,234"}},
        {"@type":"BreadcrumbList","itemListElement":[{"position":1,"item":{"name":"Startseite"}},
        {"position":2,"item":{"@type":"Thing","name":"Küche > Bad"}},{"position":3,"name":"CUP"}]}]"#,
    );
    assert_eq!(path["category_path"], json!(["Küche   Bad"]));
    assert_eq!(path["gtin"], "9783161484100");
    assert_eq!(path["condition"], "used");
    assert_eq!(
        (&path["rating"], &path["review_count"]),
        (&json!("4.5"), &json!(1234))
    );
}

#[test]
fn names_in_any_case_and_blocks_in_any_wrapping_are_read() {
    let product = r#"{"@type":"product","Name":"Cup","productId":"c1","offers":{"Price":"5","pricecurrency":"EUR"}}"#;
    let twice = serde_json::to_string(product).unwrap();
    for block in [product.to_owned(), twice, product.replace('"', "&#x22;")] {
        let report = report_at(ADDRESS, &json_ld(&block));
        let row = rows_of(&report, Variants::Rows).remove(0);
        assert_eq!(
            (&row["id"], &row["price_minor"]),
            (&json!("c1"), &json!(500)),
            "{block}"
        );
    }
}

#[test]
fn zero_gives_way_to_an_amount() {
    let page =
        json_ld(r#"{"@type":"Product","name":"Cup","offers":{"price":"0","priceCurrency":"EUR"}}"#);
    let with_meta = page.clone()
        + "<meta property=product:price:amount content=7><meta property=product:price:currency content=EUR>";
    let price = |page: &str| {
        let product = report_at(ADDRESS, page).product.unwrap();
        product.price.map(|price| price.value.amount_minor)
    };
    assert_eq!(price(&page), Some(0));
    assert_eq!(price(&with_meta), Some(700));
}

#[test]
fn list_prices_are_above_prices() {
    let check = |offer: &str, expected: Option<i64>| {
        let page = json_ld(&format!(
            r#"{{"@type":"Product","name":"Cup","offers":{offer}}}"#
        ));
        let product = report_at(ADDRESS, &page).product.unwrap();
        let list_price = product.list_price.map(|price| price.value.amount_minor);
        assert_eq!(list_price, expected, "{offer}");
    };
    let with = |list: &str| {
        format!(
            r#"{{"price":"5","priceCurrency":"EUR","priceSpecification":{{"priceType":"https://schema.org/StrikethroughPrice","price":"{list}","priceCurrency":"EUR"}}}}"#
        )
    };
    check(&with("8"), Some(800));
    check(&with("5"), None);
    check(&with("4"), None);
}

#[test]
fn tables_of_properties_give_numbers_and_brand() {
    let page = "<h1>Cup</h1><b class=price>£5.00</b><table><tr><th>UPC</th><td>a897fe39</td></tr>\
        <tr><th>Brand:</th><td> Acme </td></tr><tr><th>Tax</th><td>£0.00</td></tr></table>\
        <dl><dt>EAN<dd>4006381333931<dt>Part number<dd>P-1</dl>";
    let report = report_at(ADDRESS, page);
    let row = rows_of(&report, Variants::Rows).remove(0);
    let found = ["sku", "brand", "gtin", "mpn", "id"].map(|column| row[column].as_str().unwrap());
    assert_eq!(found, ["a897fe39", "Acme", "4006381333931", "P-1", ADDRESS]);
}

#[test]
fn the_language_of_the_page_settles_currency_marks() {
    let page = "<html lang=en-CA><h1>Cup</h1><b class=price>$5.00</b>";
    let product = report_at(ADDRESS, page).product.unwrap();
    assert_eq!(product.currency.unwrap().value.as_str(), "CAD");
}

#[test]
fn hostile_structures_are_bounded() {
    let many = |count: usize, part: &str| format!("[{}1]", part.repeat(count));
    let variant = r#"{"@type":"Product","sku":"a","offers":{"price":"1","priceCurrency":"EUR"}},"#;
    for page in [
        json_ld(&many(50_000, r#"{"@type":"Product","name":"x","url":"/y"},"#)),
        json_ld(&format!(r#"{{"@type":"ProductGroup","name":"x","hasVariant":{}}}"#, many(50_000, variant))),
        json_ld(&many(20_000, r#"{"@context":{"a":"http://schema.org/"},"a:x":1},"#)),
        json_ld(&many(50_000, r##"{"@id":"#a","isVariantOf":{"@id":"#a"}},"##)),
        "<div itemscope itemtype='http://schema.org/Product' itemref='a b'><div id=a itemscope></div></div>".repeat(5_000),
        "<img srcset='".to_owned() + &"a 1x,".repeat(200_000) + "'>",
        "<b class=price>£1</b>".repeat(20_000),
        format!("<script>{}</script>", "price={".repeat(100_000)),
    ] {
        let start = std::time::Instant::now();
        let report = report_at(ADDRESS, &page);
        assert!(report.variants.len() <= limits::VARIANTS_MAX);
        assert!(start.elapsed().as_secs() < 60, "{}", &page[..80]);
    }
}

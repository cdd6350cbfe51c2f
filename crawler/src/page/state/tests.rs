//! State as the frameworks and shop systems write it.

#![allow(clippy::unwrap_used)]

use super::*;

/// Reads the scripts of a page of `https://shop.example/products/cup`, or of
/// the same with a query; blocks that start with `{` or `[` are JSON.
fn fields_at(query: &str, scripts: &[&str], titles: &[&str]) -> Option<Fields> {
    let page = Url::parse(&format!("https://shop.example/products/cup{query}")).unwrap();
    let mut remarks = Remarks::default();
    let links = Links::new(&page, None, &mut remarks);
    let scripts: Vec<Script<'_>> = scripts
        .iter()
        .map(|text| Script {
            kind: match text.starts_with(['{', '[']) {
                true => ScriptKind::Json,
                false => ScriptKind::JavaScript,
            },
            id: "",
            text: Cow::Borrowed(text),
        })
        .collect();
    let canonical = Url::parse("https://shop.example/products/cup").unwrap();
    let identity = Identity {
        titles: titles.to_vec(),
        skus: Vec::new(),
        canonical: Some(&canonical),
    };
    read(&scripts, &identity, &links, &mut remarks)
}

fn shown(fields: &Fields) -> String {
    let price = |text: &Option<PriceText>| {
        text.as_ref()
            .map_or("-".to_owned(), |price| price.text.clone())
    };
    format!(
        "{} {} {} {} {} {:?}",
        fields.id.as_deref().unwrap_or("-"),
        fields.title.as_deref().unwrap_or("-"),
        price(&fields.price),
        price(&fields.list_price),
        fields.currency.map_or("-".to_owned(), |c| c.to_string()),
        fields.availability
    )
}

use super::super::fields::PriceText;

#[test]
fn products_are_found_in_the_state_of_scripts() {
    let check = |script: &str, expected: &str| {
        let found = fields_at("", &[script], &["Cup"]).map(|fields| shown(&fields));
        assert_eq!(found.as_deref().unwrap_or("none"), expected, "{script}");
    };
    check(
        r#"{"props":{"pageProps":{"product":{"id":17,"name":"Cup","price":{"value":12.5,"currency":"EUR"},"inStock":true}}}}"#,
        "17 Cup 12.5 - EUR Some(InStock)",
    );
    check(
        r#"window.__INITIAL_STATE__ = {page: 1, product: {sku: 'c1', title: "Cup", salePrice: 9.99, price: 12.99, currency: 'USD', stockStatus: "OUT_OF_STOCK",},};"#,
        "c1 Cup 9.99 12.99 USD Some(OutOfStock)",
    );
    check(
        r#"window.__APP__ = JSON.parse("{\"item\":{\"id\":\"x1\",\"name\":\"Cup\",\"price\":\"12,50 €\"}}")"#,
        "x1 Cup 12,50 € - - None",
    );
    check(
        r#"dataLayer = [{'ecommerce':{'currencyCode':'GBP','detail':{'products':[{'name':'Cup','id':'c7','price':'5.00','brand':'Acme'}]}}}];"#,
        "c7 Cup 5.00 - GBP None",
    );
    check(
        r#"window.dataLayer = window.dataLayer || []; dataLayer.push({event:"view_item",ecommerce:{currency:"GBP",value:5,items:[{item_name:"Other name",item_id:"c8",price:5.0}]}});"#,
        "c8 Other name 5.0 - GBP None",
    );
    check(
        r#"gtag('event', 'view_item', {"items":[{"id":"c9","name":"Cup","price":7}],"currency":"USD"});"#,
        "c9 Cup 7 - USD None",
    );
    check(
        r#"window.ShopifyAnalytics = window.ShopifyAnalytics || {};
           window.ShopifyAnalytics.meta.currency = 'CAD';
           var meta = {"product":{"id":99,"gid":"gid:\/\/shopify\/Product\/99","vendor":"Acme","type":"Cups","handle":"cup",
             "title":"Cup","variants":[{"id":1,"price":1999,"name":"Cup - Red","sku":"r"},{"id":2,"price":1599,"name":"Cup - Blue","sku":"b"}]}};"#,
        "99 Cup 15.99 - CAD None",
    );
    check(
        r#"[{"data":1},{"product":2},{"id":3,"name":4,"price":5,"currency":6},"n1","Cup",8.5,"EUR"]"#,
        "n1 Cup 8.5 - EUR None",
    );
    // Not this page's, not a product, or not a literal.
    check(r#"{"related":[{"id":"1","name":"Cup","price":5}]}"#, "none");
    check(
        r#"{"list":[{"id":"aaaa","name":"Bowl","price":5},{"id":"bbbb","name":"Plate","price":6}]}"#,
        "none",
    );
    check(r#"{"product":{"id":"aaaa","name":"Cup"}}"#, "none");
    check("window.product = makeProduct({price: 5});", "none");
    check("if (price == {}) {} x = {", "none");
    check("{broken", "none");
}

#[test]
fn the_page_own_product_is_told_from_others() {
    let list = r#"{"list":[{"id":"aaaa","name":"Bowl","price":5},{"id":"bbbb","slug":"cup","name":"The cup","price":6},{"id":"cccc","name":"Plate","price":7}]}"#;
    let fields = fields_at("", &[list], &[]).unwrap();
    assert_eq!(fields.id.as_deref(), Some("bbbb"));
    let by_query = r#"{"list":[{"id":"4711","name":"Bowl","price":5},{"id":"4712","name":"Plate","price":6}]}"#;
    let fields = fields_at("?id=4712", &[by_query], &[]).unwrap();
    assert_eq!(fields.title.as_deref(), Some("Plate"));
    assert!(fields_at("?id=471", &[by_query], &[]).is_none());
}

const SHOPIFY: &str = r#"{"id":99,"title":"Cup","handle":"cup","description":"<p>Warm<\/p>","vendor":"Acme",
    "type":"Cups","price":1599,"available":true,"images":["\/\/cdn.example\/a.jpg"],"featured_image":"\/\/cdn.example\/a.jpg",
    "options":["Colour","Size"],"variants":[
    {"id":1,"title":"Red \/ L","option1":"Red","option2":"L","sku":"r-l","available":true,"price":1999,"compare_at_price":2499,"barcode":"4006381333931","featured_image":{"src":"\/\/cdn.example\/r.jpg"}},
    {"id":2,"title":"Blue \/ L","option1":"Blue","option2":"L","sku":"b-l","available":false,"price":1599,"compare_at_price":null,"barcode":""}]}"#;

#[test]
fn shopify_variants_are_rows_of_their_own() {
    let fields = fields_at("", &[SHOPIFY], &[]).unwrap();
    assert_eq!(shown(&fields), "99 Cup 19.99 24.99 - Some(InStock)");
    assert_eq!(fields.brand.as_deref(), Some("Acme"));
    assert_eq!(fields.description.as_deref(), Some("Warm"));
    assert_eq!(fields.group_id.as_deref(), Some("99"));
    assert_eq!(fields.images[0].as_str(), "https://cdn.example/a.jpg");
    let [red, blue] = fields.variants.as_slice() else {
        panic!("{:?}", fields.variants)
    };
    assert_eq!(red.title.as_deref(), Some("Cup - Red / L"));
    assert_eq!(red.images[0].as_str(), "https://cdn.example/r.jpg");
    assert_eq!(
        red.link.as_ref().unwrap().as_str(),
        "https://shop.example/products/cup?variant=1"
    );
    assert_eq!(blue.id.as_deref(), Some("b-l"));
    assert_eq!(blue.price.as_ref().unwrap().text, "15.99");
    assert_eq!(blue.availability.unwrap().column_word(), "out_of_stock");
    let selected = fields_at("?variant=2", &[SHOPIFY], &[]).unwrap();
    assert_eq!(shown(&selected), "99 Cup 15.99 - - Some(OutOfStock)");
}

#[test]
fn hostile_scripts_are_bounded() {
    for script in [
        "x={".repeat(200_000),
        "x=[".repeat(200_000),
        "dataLayer.push({".repeat(50_000),
        "x={a:'".repeat(100_000),
        "x=JSON.parse(".repeat(50_000),
        format!("x={{{}", "a:1,".repeat(300_000)),
        format!(
            "[{}]",
            "{\"id\":1,\"name\":\"x\",\"price\":2},".repeat(20_000)
        ),
        format!("[[\"R\",1],{}1]", "[1,1,1,1],".repeat(10_000)),
    ] {
        assert!(fields_at("", &[&script], &[]).is_none());
    }
}

use trawler_core::feed::{CsvOptions, Source};
use trawler_core::product::Currency;

use super::*;

/// What every format has to give for the same two products.
fn expected() -> Vec<Value> {
    vec![
        json!({
            "id": "A1", "title": "Lamp, \"brass\" & oak", "price_minor": 1990,
            "currency": "USD", "link": "https://s.example/p?a=1&b=2",
            "image_link": "https://i.example/1.jpg",
            "additional_image_links": ["https://i.example/2.jpg", "https://i.example/3.jpg"],
            "availability": "in_stock", "brand": "Ørsted Inc.", "brand_normalised": "ørsted",
            "gtin": "4006381333931", "category_path": "Home>Lamps",
            "shipping_weight_g": 1500.0, "shipping": ["US::Ground:4.95 USD"],
        }),
        json!({
            "id": "A2", "title": "코트", "price_minor": 500, "currency": "USD",
            "link": "https://s.example/p/2", "availability": "out_of_stock",
        }),
    ]
}

fn check(input: &str, options: &FeedOptions) {
    let result = read(input.as_bytes(), options).unwrap();
    assert_eq!(result.rejected, Vec::<Value>::new());
    assert!(result.outcome.complete, "{:?}", result.outcome);
    assert_eq!(result.outcome.bad_values.len(), 0, "{:?}", result.outcome);
    let found = result.rows();
    for (found, expected) in found.iter().zip(expected()) {
        assert_eq!(*found, expected, "{:?}", options.format);
    }
    assert_eq!(found.len(), 2);
}

const TSV: &str = "id\ttitle\tprice\tlink\timage link\tadditional_image_link\tavailability\t\
    brand\tgtin\tproduct_type\tshipping_weight\tshipping\n\
    A1\t\"Lamp, \"\"brass\"\" & oak\"\t19.90 USD\thttps://s.example/p?a=1&b=2\t\
    https://i.example/1.jpg\thttps://i.example/2.jpg,https://i.example/3.jpg\tin stock\t\
    Ørsted Inc.\t4006381333931\tHome > Lamps\t1.5 kg\tUS::Ground:4.95 USD\n\
    A2\t코트\t5 USD\thttps://s.example/p/2\t\t\tout_of_stock\t\t\t\t\t\n";

#[test]
fn google_tsv() {
    check(TSV, &options(FeedFormat::GoogleTsv));
    check(TSV, &options(FeedFormat::Google));
    check(&TSV.replace('\n', "\r\n"), &options(FeedFormat::GoogleTsv));
}

const RSS: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE rss>
<rss version="2.0" xmlns:goo="http://base.google.com/ns/1.0" xmlns:x="urn:other">
<channel><title>Shop</title><link>https://s.example/</link>
<item>
  <guid>ignored</guid><goo:id>A1</goo:id>
  <title>wrong</title><goo:title>Lamp, &quot;brass&quot; &amp; <![CDATA[oak]]></goo:title>
  <link>https://s.example/p?a=1&amp;b=2</link>
  <goo:price>19.90 USD</goo:price><goo:image_link>https://i.example/1.jpg</goo:image_link>
  <goo:additional_image_link>https://i.example/2.jpg</goo:additional_image_link>
  <goo:additional_image_link> https://i.example/3.jpg </goo:additional_image_link>
  <goo:availability>in_stock</goo:availability><goo:brand>&#216;rsted Inc.</goo:brand>
  <goo:gtin>4006381333931</goo:gtin><goo:product_type>Home &gt; Lamps</goo:product_type>
  <goo:shipping_weight>1.5 kg</goo:shipping_weight>
  <goo:shipping><goo:price>4.95 USD</goo:price><goo:country>US</goo:country>
    <goo:service>Ground</goo:service></goo:shipping>
  <!-- nothing -->
</item>
<item><goo:id>A2</goo:id><title>코트</title><link>https://s.example/p/2</link>
  <goo:price>5 USD</goo:price><goo:availability>out of stock</goo:availability><goo:color/></item>
</channel></rss>"#;

#[test]
fn rss() {
    check(RSS, &options(FeedFormat::GoogleXml));
    check(RSS, &options(FeedFormat::Google));
}

#[test]
fn atom() {
    let atom = r#"<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0">
<title>Shop</title><id>tag:s</id><link href="https://s.example/"/>
<entry><id>A1</id><title>Lamp, "brass" &amp; oak</title>
  <link rel="self" href="https://s.example/self"/>
  <link rel="alternate" href="https://s.example/p?a=1&amp;b=2"/>
  <g:price>19.90 USD</g:price><g:image_link>https://i.example/1.jpg</g:image_link>
  <g:additional_image_link>https://i.example/2.jpg</g:additional_image_link>
  <g:additional_image_link>https://i.example/3.jpg</g:additional_image_link>
  <g:availability>in stock</g:availability><g:brand>Ørsted Inc.</g:brand>
  <g:gtin>4006381333931</g:gtin><g:product_type>Home &gt; Lamps</g:product_type>
  <g:shipping_weight>1.5 kg</g:shipping_weight>
  <g:shipping><g:country>US</g:country><g:service>Ground</g:service><g:price>4.95 USD</g:price></g:shipping>
</entry>
<entry><g:id>A2</g:id><title>코트</title><link href="https://s.example/p/2"/>
  <g:price>5 USD</g:price><g:availability>out of stock</g:availability></entry>
</feed>"#;
    check(atom, &options(FeedFormat::Google));
}

const CSV: &str = "sku,name,cost,link,image_link,more,availability,brand,gtin,c1,c2,shipping_weight,shipping\n\
    A1,\"Lamp, \"\"brass\"\" & oak\",19.90,https://s.example/p?a=1&b=2,https://i.example/1.jpg,\
    https://i.example/2.jpg|https://i.example/3.jpg,in stock,Ørsted Inc.,4006381333931,Home,Lamps,\
    1.5 kg,US::Ground:4.95 USD\n\
    A2,코트,5,https://s.example/p/2,,,out of stock,,,,,,\n";

fn named() -> FeedOptions {
    let mut options = options(FeedFormat::Csv);
    options.currency = Some(Currency::parse("USD").unwrap());
    for (column, field) in [
        ("id", "sku"),
        ("title", "name"),
        ("price_minor", "cost"),
        ("additional_image_links", "more"),
    ] {
        let source = Source::Field(field.to_owned());
        options.columns.0.insert(column.to_owned(), source);
    }
    let levels = Source::Fields(vec!["c1".to_owned(), "c2".to_owned()]);
    options.columns.0.insert("category_path".to_owned(), levels);
    options
}

#[test]
fn csv_by_name() {
    check(CSV, &named());
}

#[test]
fn csv_with_other_signs() {
    let mut options = named();
    options.csv = Some(CsvOptions {
        delimiter: ';',
        quote: "'".to_owned(),
        ..CsvOptions::default()
    });
    let text = CSV
        .replace("\"Lamp, \"\"brass\"\" & oak\"", "'Lamp# \"brass\" & oak'")
        .replace(',', ";")
        .replace('#', ",");
    check(&text, &options);
}

#[test]
fn csv_by_position() {
    let mut options = options(FeedFormat::Csv);
    options.csv = Some(CsvOptions {
        header: false,
        ..CsvOptions::default()
    });
    for (column, at) in [("id", 2), ("title", 1), ("link", 3)] {
        options
            .columns
            .0
            .insert(column.to_owned(), Source::Position(at));
    }
    let result = read(b"Lamp,A1,https://s.example/1,surplus\n", &options).unwrap();
    assert_eq!(
        result.rows(),
        [
            json!({"id": "A1", "title": "Lamp", "link": "https://s.example/1",
            "extra": {"field_4": "surplus"}})
        ]
    );
}

const ITEM_1: &str = r#"{"sku": "A1", "name": "Lamp, \"brass\" & oak",
    "offer": {"price": 19.90, "url": "https://s.example/p?a=1&b=2", "stock": "InStock"},
    "images": {"main": "https://i.example/1.jpg", "more": ["https://i.example/2.jpg", "https://i.example/3.jpg"]},
    "brand": "Ørsted Inc.", "gtin": 4006381333931, "category": ["Home", "Lamps"], "nothing": null,
    "shipping_weight": "1.5 kg", "shipping": ["US::Ground:4.95 USD"]}"#;
const ITEM_2: &str = r#"{"sku": "A2", "name": "코트", "offer": {"price": 5,
    "url": "https://s.example/p/2", "stock": "https://schema.org/OutOfStock"}}"#;

fn dotted(format: FeedFormat) -> FeedOptions {
    let mut options = options(format);
    options.currency = Some(Currency::parse("USD").unwrap());
    for (column, path) in [
        ("id", "sku"),
        ("title", "name"),
        ("price_minor", "offer.price"),
        ("link", "offer.url"),
        ("availability", "offer.stock"),
        ("image_link", "images.main"),
        ("additional_image_links", "images.more"),
        ("category_path", "category"),
    ] {
        let source = Source::Field(path.to_owned());
        options.columns.0.insert(column.to_owned(), source);
    }
    options
}

#[test]
fn json_at_a_path() {
    let mut options = dotted(FeedFormat::Json);
    options.items = Some("data.items".to_owned());
    let text = format!(
        r#"{{"meta": {{"items": [1, {{"a": []}}]}}, "data": {{"n": 2, "items": [{ITEM_1}, {ITEM_2}], "z": 1}}}}"#
    );
    check(&text, &options);
}

#[test]
fn json_as_an_array_and_lines() {
    check(&format!("[{ITEM_1},{ITEM_2}]"), &dotted(FeedFormat::Json));
    let lines = format!(
        "{}\n\n{}\n",
        ITEM_1.replace('\n', " "),
        ITEM_2.replace('\n', " ")
    );
    check(&lines, &dotted(FeedFormat::Jsonl));
}

#[test]
fn json_without_the_array_says_what_is_there() {
    let check = |text: &str, items: Option<&str>, said: &str| {
        let mut options = dotted(FeedFormat::Json);
        options.items = items.map(str::to_owned);
        let error = read(text.as_bytes(), &options).err().unwrap().to_string();
        assert!(error.contains(said), "{text}: {error}");
    };
    check(
        r#"{"data": {"rows": []}}"#,
        Some("data.items"),
        "there are rows",
    );
    check(r#"{"data": 5}"#, Some("data.items"), "a number is there");
    check(r#"{"data": []}"#, None, "set `items`");
    check(r#"[[1]]"#, Some("data"), "before the end of the path");
    check(r#"{"items": nope}"#, Some("items"), "malformed at byte");
    check("[] trailing", None, "malformed");
}

#[test]
fn cut_off_documents_are_incomplete() {
    let xml = RSS;
    let json = format!("[{ITEM_1},{ITEM_2}]");
    for cut in [
        20,
        xml.len() / 4,
        xml.len() / 2,
        xml.len() - 30,
        xml.len() - 3,
    ] {
        let mut cut = cut;
        while !xml.is_char_boundary(cut) {
            cut += 1;
        }
        let result = read(&xml.as_bytes()[..cut], &options(FeedFormat::GoogleXml)).unwrap();
        assert!(!result.outcome.complete, "cut at {cut}");
    }
    for cut in [1, 50, json.len() - 1] {
        let result = read(&json.as_bytes()[..cut], &dotted(FeedFormat::Json)).unwrap();
        assert!(!result.outcome.complete, "cut at {cut}");
    }
}

#[test]
fn json_items_that_are_no_objects_are_rejected() {
    let mut options = dotted(FeedFormat::Json);
    options.max_bad_share = 1.0;
    let text = format!("[5, {ITEM_2}, \"x\", [1], null]");
    let result = read(text.as_bytes(), &options).unwrap();
    assert_eq!((result.outcome.rows, result.outcome.rejected), (1, 4));
    assert_eq!(result.rejected[1]["line"], 3);
}

#[test]
fn entity_bombs_and_unknown_entities() {
    let bomb = r#"<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY b "&lol;&lol;">]>
        <rss><channel><item><id>&b;</id></item></channel></rss>"#;
    assert!(matches!(
        read(bomb.as_bytes(), &options(FeedFormat::GoogleXml)),
        Err(FeedError::EntityDeclaration)
    ));
    let mut lenient = options(FeedFormat::GoogleXml);
    lenient.max_bad_share = 1.0;
    let unknown = r#"<rss><channel>
        <item><id>1</id><title>a &bogus; b</title><link>https://s.example/</link></item>
        <item><guid>2</guid><title>R&D&nbsp;x &#x41;</title><link>https://s.example/</link></item>
        </channel></rss>"#;
    let result = read(unknown.as_bytes(), &lenient).unwrap();
    assert_eq!(result.outcome.rejected, 1);
    assert!(
        result.rejected[0]["reason"]
            .as_str()
            .unwrap()
            .contains("bogus")
    );
    assert_eq!(result.rows()[0]["title"], "R&D\u{a0}x A");
}

#[test]
fn malformed_xml_is_an_error_with_its_place() {
    let check = |text: &str| {
        let error = read(text.as_bytes(), &options(FeedFormat::GoogleXml)).err();
        assert!(
            matches!(
                error,
                Some(FeedError::Malformed { .. } | FeedError::NotAFeed { .. })
            ),
            "{text}: {error:?}"
        );
    };
    check("<rss><channel></item></channel></rss>");
    check("<html><body>Sorry</body></html>");
    check(&format!("<rss>{}", "<a>".repeat(100)));
}

#[test]
fn a_report_of_the_first_products() {
    let mut normaliser = Normaliser::default();
    let options = options(FeedFormat::Google);
    let report = try_feed(TSV.as_bytes(), &options, 1, &mut normaliser, &mut |_| {
        Step::Continue
    });
    let report = serde_json::to_value(report.unwrap()).unwrap();
    assert_eq!(report["rows"], 2);
    assert_eq!(report["rejected"], 0);
    assert_eq!(report["complete"], true);
    assert_eq!(report["charset"], "utf-8");
    assert_eq!(
        report["sample"],
        json!([{
            "id": "A1", "title": "Lamp, \"brass\" & oak",
            "price": {"amount_minor": 1990, "currency": "USD"},
            "link": "https://s.example/p?a=1&b=2", "image_link": "https://i.example/1.jpg",
        }])
    );
}

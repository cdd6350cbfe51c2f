//! Every format, charset and compression carries the same products, as independent parsers see them.

#![allow(clippy::unwrap_used)]

use std::io::Read;

use quick_xml::events::Event;
use trawler_shop::{
    Charset, Compression, Currency, DayChange, EP_COLUMNS, FeedFormat, GOOGLE_COLUMNS, Model,
    ShopProduct, ShopSpec, render_feed,
};

/// What all formats have in common.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    id: String,
    title: String,
    /// Decimal text of what the buyer pays.
    price: String,
    link: String,
    image: String,
    brand: String,
}

fn truth(p: &ShopProduct) -> Row {
    let price = match p.currency {
        Currency::Krw => p.price_minor.to_string(),
        Currency::Usd => format!("{}.{:02}", p.price_minor / 100, p.price_minor % 100),
    };
    Row {
        id: p.id.clone(),
        title: p.title.clone(),
        price,
        link: p.link.clone(),
        image: p.image_link.clone(),
        brand: p.brand.to_owned(),
    }
}

fn model(edit: impl FnOnce(&mut ShopSpec)) -> Model {
    let mut spec = ShopSpec {
        day_change: DayChange {
            new_share: 0.05,
            changed_share: 0.10,
            gone_share: 0.05,
            image_moved_share: 0.05,
            ..DayChange::NONE
        },
        ..ShopSpec::new("Shop & \"Sons\"", 11, 400)
    };
    edit(&mut spec);
    Model::new(&spec, "http://shop.example").unwrap()
}

fn render(model: &Model, format: FeedFormat, compression: Compression, day: u32) -> Vec<u8> {
    let mut out = Vec::new();
    render_feed(model, format, compression, day, &mut out).unwrap();
    out
}

fn parse(format: FeedFormat, text: &str, separator: u8) -> Vec<Row> {
    match format {
        FeedFormat::NaverEp | FeedFormat::NaverEpSummary => table(
            text,
            b'\t',
            false,
            ["id", "title", "price_pc", "link", "image_link", "brand"],
        ),
        FeedFormat::GoogleTsv => google(text),
        FeedFormat::Csv => table(
            text,
            separator,
            true,
            ["product_id", "name", "price", "url", "image", "brand"],
        ),
        FeedFormat::Rss => xml(text, "item"),
        FeedFormat::Atom => xml(text, "entry"),
        FeedFormat::Json => {
            let document: serde_json::Value = serde_json::from_str(text).unwrap();
            let items = document["data"]["items"].as_array().unwrap();
            items.iter().map(json_row).collect()
        }
        FeedFormat::JsonLines => text
            .lines()
            .map(|line| json_row(&serde_json::from_str(line).unwrap()))
            .collect(),
    }
}

fn table(text: &str, separator: u8, quoting: bool, names: [&str; 6]) -> Vec<Row> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        .quoting(quoting)
        .from_reader(text.as_bytes());
    let headers = reader.headers().unwrap().clone();
    let at = names.map(|name| headers.iter().position(|h| h == name).unwrap());
    reader
        .records()
        .map(|record| {
            let record = record.unwrap();
            let [id, title, price, link, image, brand] = at.map(|at| record[at].to_owned());
            Row {
                id,
                title,
                price,
                link,
                image,
                brand,
            }
        })
        .collect()
}

fn google(text: &str) -> Vec<Row> {
    let names = ["id", "title", "price", "link", "image_link", "brand"];
    let mut rows = table(text, b'\t', true, names);
    let names = ["id", "title", "sale_price", "link", "image_link", "brand"];
    for (row, sale) in rows.iter_mut().zip(table(text, b'\t', true, names)) {
        let price = if sale.price.is_empty() {
            &row.price
        } else {
            &sale.price
        };
        row.price = amount(price);
    }
    rows
}

/// `12900 KRW` without the currency.
fn amount(price: &str) -> String {
    price.split(' ').next().unwrap().to_owned()
}

fn json_row(item: &serde_json::Value) -> Row {
    let text = |key: &str| item[key].as_str().unwrap().to_owned();
    let price = match text("currency").as_str() {
        "KRW" => item["price"].as_u64().unwrap().to_string(),
        _ => format!("{:.2}", item["price"].as_f64().unwrap()),
    };
    Row {
        id: text("id"),
        title: text("name"),
        price,
        link: text("url"),
        image: text("image"),
        brand: text("brand"),
    }
}

fn xml(text: &str, record: &str) -> Vec<Row> {
    let mut reader = quick_xml::Reader::from_str(text);
    let mut rows = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut inside = false;
    let mut value = String::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Start(tag) if tag.name().as_ref() == record => {
                inside = true;
                fields.clear();
            }
            Event::Start(_) => value.clear(),
            Event::Empty(tag) if inside && tag.name().as_ref() == "link" => {
                let href = tag.try_get_attribute("href").unwrap().unwrap();
                fields.push(("link".into(), href.value.into_owned()));
            }
            Event::Text(text) => value.push_str(&text.xml10_content()),
            Event::CData(text) => value.push_str(&text.xml10_content()),
            Event::GeneralRef(name) => match name.resolve_char_ref().unwrap() {
                Some(c) => value.push(c),
                None => {
                    let name: &str = &name;
                    value.push_str(quick_xml::escape::resolve_predefined_entity(name).unwrap());
                }
            },
            Event::End(tag) if tag.name().as_ref() == record => {
                inside = false;
                rows.push(xml_row(&fields));
            }
            Event::End(tag) if inside => {
                let name = tag.name().as_ref().to_owned();
                fields.push((name, value.clone()));
            }
            Event::Eof => return rows,
            _ => {}
        }
    }
}

fn xml_row(fields: &[(String, String)]) -> Row {
    let find = |name: &str| {
        fields
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.clone())
    };
    let price = find("g:sale_price").or_else(|| find("g:price")).unwrap();
    Row {
        id: find("g:id").unwrap(),
        title: find("title").unwrap(),
        price: amount(&price),
        link: find("link").unwrap(),
        image: find("g:image_link").unwrap(),
        brand: find("g:brand").unwrap(),
    }
}

fn decode(bytes: &[u8], charset: Charset) -> String {
    let encoding = match charset {
        Charset::Utf8 => encoding_rs::UTF_8,
        Charset::Cp949 => encoding_rs::EUC_KR,
        Charset::Utf16Le => {
            assert_eq!(bytes[..2], [0xFF, 0xFE], "a byte order mark");
            encoding_rs::UTF_16LE
        }
    };
    let (text, _, malformed) = encoding.decode(bytes);
    assert!(!malformed);
    text.into_owned()
}

fn unpack(bytes: &[u8], compression: Compression) -> Vec<u8> {
    let mut out = Vec::new();
    match compression {
        Compression::None => out.extend_from_slice(bytes),
        Compression::Gzip => {
            flate2::read::GzDecoder::new(bytes)
                .read_to_end(&mut out)
                .unwrap();
        }
        Compression::Zstd => out = zstd::decode_all(bytes).unwrap(),
        Compression::Brotli => {
            brotli::Decompressor::new(bytes, 4_096)
                .read_to_end(&mut out)
                .unwrap();
        }
        Compression::Zip => {
            let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
            assert_eq!(archive.len(), 1);
            archive.by_index(0).unwrap().read_to_end(&mut out).unwrap();
        }
    }
    out
}

#[test]
fn every_format_and_charset_carries_the_same_products() {
    for charset in [Charset::Utf8, Charset::Cp949, Charset::Utf16Le] {
        for currency in [Currency::Krw, Currency::Usd] {
            let model = model(|spec| {
                spec.charset = charset;
                spec.currency = currency;
                spec.csv_separator = b';';
            });
            let expected: Vec<Row> = model.products(2).map(|p| truth(&p)).collect();
            for format in FeedFormat::ALL {
                if format == FeedFormat::NaverEpSummary {
                    continue;
                }
                let bytes = render(&model, format, Compression::None, 2);
                let rows = parse(format, &decode(&bytes, charset), b';');
                assert!(rows == expected, "{format:?} {charset:?} {currency:?}");
            }
        }
    }
}

#[test]
fn every_compression_unpacks_to_the_same_text() {
    let model = model(|_| {});
    let plain = render(&model, FeedFormat::NaverEp, Compression::None, 0);
    for compression in Compression::ALL {
        let packed = render(&model, FeedFormat::NaverEp, compression, 0);
        assert_eq!(unpack(&packed, compression), plain, "{compression:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_does_not() {
    let (one, two, other) = (model(|_| {}), model(|_| {}), model(|spec| spec.seed = 12));
    for format in FeedFormat::ALL {
        for compression in Compression::ALL {
            let bytes = render(&one, format, compression, 3);
            assert_eq!(
                bytes,
                render(&two, format, compression, 3),
                "{format:?} {compression:?}"
            );
            assert_ne!(bytes, render(&other, format, compression, 3), "{format:?}");
        }
    }
}

#[test]
fn the_summary_takes_one_day_to_the_next() {
    let model = model(|_| {});
    let column = |name: &str| EP_COLUMNS.iter().position(|c| *c == name).unwrap();
    let full = |day| -> Vec<Vec<String>> {
        let text = decode(
            &render(&model, FeedFormat::NaverEp, Compression::None, day),
            Charset::Utf8,
        );
        let split = |line: &str| line.split('\t').map(str::to_owned).collect();
        let mut rows: Vec<Vec<String>> = text.lines().skip(1).map(split).collect();
        rows.sort();
        rows
    };
    let mut state = full(0);
    for day in 1..=4 {
        let bytes = render(&model, FeedFormat::NaverEpSummary, Compression::None, day);
        let text = decode(&bytes, Charset::Utf8);
        let mut lines = text.lines();
        assert!(lines.next().unwrap().ends_with("\tclass\tupdate_time"));
        for line in lines {
            let mut cells: Vec<String> = line.split('\t').map(str::to_owned).collect();
            assert_eq!(cells.len(), EP_COLUMNS.len() + 2);
            assert_eq!(
                cells.pop().unwrap(),
                format!("2026-03-{:02} 02:00:00", day + 2)
            );
            let class = cells.pop().unwrap();
            let before = state.len();
            state.retain(|row| row[column("id")] != cells[column("id")]);
            assert_eq!(state.len() < before, class != "I", "{class} {}", cells[0]);
            if class != "D" {
                state.push(cells);
            }
        }
        state.sort();
        assert!(state == full(day), "day {day}");
    }
}

#[test]
fn hard_texts_are_present() {
    let model = model(|_| {});
    let products: Vec<ShopProduct> = model.products(0).collect();
    for text in ["\"", "&", ","] {
        let has = |p: &ShopProduct| p.title.contains(text) || p.description.contains(text);
        assert!(products.iter().any(has), "{text}");
    }
    assert!(products.iter().any(|p| p.title.contains('"')));
    assert!(products.iter().any(|p| p.description.contains('\n')));
    assert!(products.iter().any(|p| p.id.starts_with('0')));
    assert_eq!(GOOGLE_COLUMNS[0], "id");
}

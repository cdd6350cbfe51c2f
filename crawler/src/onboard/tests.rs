#![allow(clippy::unwrap_used)]
//! Whole beginnings of feeds to pipe files, and what no input may do.

use std::io::Write as _;

use trawler_core::PipeId;
use trawler_core::feed::{Compression, FeedFormat, FeedMode};
use trawler_core::pipe::{Egress, Pipe};

use super::write::Source;
use super::{Draft, FeedDraft, FeedHints, NotAFeed, What, draft_feed};

fn hints() -> FeedHints {
    FeedHints {
        mode: Some(FeedMode::Full),
        currency: None,
        place: "https://shop.example/feed".to_owned(),
    }
}

fn drafted(bytes: &[u8]) -> Result<FeedDraft, NotAFeed> {
    draft_feed(bytes, true, &hints())
}

/// The draft's file holds what it was made of.
fn as_file(feed: FeedDraft) -> String {
    let options = feed.options.clone();
    let draft = Draft {
        source: Source::File("feed".to_owned()),
        what: What::Feed(Box::new(feed)),
        egress: Egress::Any,
    };
    let text = draft.text(&PipeId::parse("shop").unwrap());
    let pipe: Pipe = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert!(pipe.problems().is_empty(), "{:?}\n{text}", pipe.problems());
    assert_eq!(pipe.feed.unwrap(), options, "{text}");
    text
}

const ROWS: &[(&str, &str, u32)] = &[("1001", "겨울 코트", 12_000), ("1002", "여름 컵", 9_500)];

fn table(header: &str, delimiter: &str) -> String {
    let mut text = header.replace(',', delimiter);
    for (id, title, price) in ROWS {
        let link = format!("https://shop.example/{id}");
        let cells = [id.to_string(), (*title).to_owned(), link, price.to_string()];
        text.push('\n');
        text.push_str(&cells.join(delimiter));
    }
    text.push('\n');
    text
}

#[test]
fn tagged_files_are_drafted_by_their_tags() {
    let record = |id: &str, title: &str, price: u32, more: &str| {
        format!(
            "<<<begin>>>\n<<<mapid>>>{id}\n<<<pname>>>{title}\n<<<price>>>{price}\n\
             <<<pgurl>>>https://shop.example/{id}\n{more}<<<ftend>>>\n"
        )
    };
    let records = |more: &str| -> String {
        let records = ROWS.iter();
        records
            .map(|(id, title, price)| record(id, title, *price, more))
            .collect()
    };
    let found = drafted(records("").as_bytes()).unwrap();
    assert_eq!(found.options.format, FeedFormat::Tagged);
    assert!(found.fields.iter().any(|field| field.columns == ["link"]));
    assert!(!found.evidence.has_class);
    let text = as_file(found);
    assert!(text.contains("format = \"tagged\""), "{text}");
    let found = drafted(records("<<<class>>>U\n").as_bytes()).unwrap();
    assert!(found.evidence.has_class);
}

#[test]
fn formats_and_delimiters_are_recognised() {
    let check = |text: String, format: FeedFormat, delimiter: Option<char>| {
        let found = drafted(text.as_bytes()).unwrap();
        let csv = found.options.csv.as_ref().map(|csv| csv.delimiter);
        assert_eq!((found.options.format, csv), (format, delimiter), "{text}");
        as_file(found.clone());
        assert!(
            found
                .findings
                .iter()
                .any(|finding| finding.found.contains("2 good")),
            "{found:?}"
        );
    };
    check(
        table("id,title,link,price_pc", "\t"),
        FeedFormat::NaverEp,
        None,
    );
    check(
        table("id,title,link,sale_price", "\t"),
        FeedFormat::GoogleTsv,
        None,
    );
    check(
        table("id,title,link,price", "\t"),
        FeedFormat::GoogleTsv,
        None,
    );
    check(
        table("goodsno,name,url,price", "\t"),
        FeedFormat::Csv,
        Some('\t'),
    );
    for delimiter in [",", ";", "|", "^"] {
        let at = delimiter.chars().next();
        check(
            table("id,title,link,price_pc", delimiter),
            FeedFormat::Csv,
            at,
        );
        check(
            table("상품번호,상품명,상품링크,판매가", delimiter),
            FeedFormat::Csv,
            at,
        );
    }
    let object = |(id, title, price): &(&str, &str, u32)| {
        format!(
            "{{\"id\":\"{id}\",\"name\":\"{title}\",\"url\":\"https://shop.example/{id}\",\"price\":{price}}}"
        )
    };
    let objects: Vec<String> = ROWS.iter().map(object).collect();
    check(objects.join("\n"), FeedFormat::Jsonl, None);
    check(format!("[{}]", objects.join(",")), FeedFormat::Json, None);
    check(
        format!("{{\"d\":{{\"p\":[{}]}}}}", objects.join(",")),
        FeedFormat::Json,
        None,
    );
    let item = |(id, title, price): &(&str, &str, u32)| {
        format!(
            "<item><g:id>{id}</g:id><title>{title}</title><link>https://shop.example/{id}</link><g:price>{price} KRW</g:price></item>"
        )
    };
    let items: String = ROWS.iter().map(item).collect();
    check(
        format!("<rss xmlns:g=\"http://base.google.com/ns/1.0\"><channel>{items}</channel></rss>"),
        FeedFormat::GoogleXml,
        None,
    );
}

#[test]
fn charset_and_packing_are_written_where_they_have_to_be() {
    let text = table("id,title,link,price_pc", "\t");
    let cp949 = encoding_rs::EUC_KR.encode(&text).0.into_owned();
    let found = drafted(&cp949).unwrap();
    assert_eq!(found.options.charset.as_deref(), Some("cp949"));
    let file = as_file(found);
    assert!(file.contains("charset = \"cp949\""), "{file}");
    assert!(file.contains("zone = \"Asia/Seoul\""), "{file}");
    let mut brotli = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 20);
    brotli.write_all(text.repeat(20).as_bytes()).unwrap();
    let found = drafted(&brotli.into_inner()).unwrap();
    assert_eq!(found.options.compression, Compression::Brotli);
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    deflate.write_all(text.repeat(20).as_bytes()).unwrap();
    let found = drafted(&deflate.finish().unwrap()).unwrap();
    assert_eq!(found.options.compression, Compression::Deflate);
}

#[test]
fn a_field_whose_values_are_none_of_its_column_is_dropped_and_told() {
    let text =
        "id,title,link,price,바코드\n1,코트,https://a/1,5000,none\n2,컵,https://a/2,900,none\n";
    let found = drafted(text.as_bytes()).unwrap();
    assert!(!found.options.columns.0.contains_key("gtin"), "{found:?}");
    let remarks = found.remarks.join("\n");
    assert!(
        remarks.contains("was taken for gtin and is not"),
        "{remarks}"
    );
    // And the currency is a guess that is told.
    assert!(remarks.contains("KRW is a guess"), "{remarks}");
}

#[test]
fn a_mode_is_never_decided() {
    let summary = "id\ttitle\tlink\tprice_pc\tclass\tupdate_time\n\
                   1\t코트\thttps://a/1\t5000\tU\t2026-11-21 10:00:00\n2\t\t\t\tD\t2026-11-21 10:00:00\n";
    let unsaid = FeedHints {
        mode: None,
        ..hints()
    };
    let found = draft_feed(summary.as_bytes(), true, &unsaid).unwrap();
    assert!(
        !found.is_mode_said && found.evidence.deletions == 1,
        "{found:?}"
    );
    let said = FeedHints {
        mode: Some(FeedMode::Summary),
        ..hints()
    };
    let found = draft_feed(summary.as_bytes(), true, &said).unwrap();
    assert_eq!(found.options.mode, FeedMode::Summary);
    // Who says full of it is told what that means.
    let found = drafted(summary.as_bytes()).unwrap();
    let remarks = found.remarks.join("\n");
    assert!(remarks.contains("class D in a full feed"), "{remarks}");
}

#[test]
fn hostile_beginnings_end_with_an_error_or_a_draft_that_parses() {
    let seed = 7_u64;
    println!("seed {seed}");
    let mut state = seed;
    let mut next = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let good = table("id,title,link,price", "^");
    for round in 0..300 {
        let mut bytes = match round % 3 {
            0 => good.clone().into_bytes(),
            1 => format!(
                "[{{\"id\":1,\"name\":\"a\",\"url\":\"http://a/1\",\"x\\n\\\"\":\"{}\"}}]",
                "\\u0000#"
            )
            .into_bytes(),
            _ => b"a\"b\tname\turl\n1\tc\thttp://a\n2\td\thttp://b\n".to_vec(),
        };
        for _ in 0..next() % 8 {
            let at = usize::try_from(next()).unwrap() % bytes.len();
            bytes[at] = u8::try_from(next() % 256).unwrap();
        }
        if let Ok(found) = drafted(&bytes) {
            let file = as_file(found);
            for line in file.lines() {
                assert!(
                    !line.contains(|c: char| c.is_control() && c != '\t'),
                    "{line:?}"
                );
            }
        }
    }
}

#[test]
fn a_bomb_and_a_huge_line_end_early() {
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..64 {
        bomb.write_all(&[b' '; 1 << 20]).unwrap();
    }
    let begun = std::time::Instant::now();
    assert!(drafted(&bomb.finish().unwrap()).is_err());
    let mut line = b"id,title,link\n1,".to_vec();
    line.resize(4 << 20, b'x');
    assert!(draft_feed(&line, false, &hints()).is_err());
    let deep = "[".repeat(1 << 20);
    assert!(drafted(deep.as_bytes()).is_err());
    let deep = "{\"a\":".repeat(1 << 18);
    assert!(drafted(deep.as_bytes()).is_err());
    assert!(drafted(&[0xff; 100_000]).is_err());
    let quotes = format!("id,title,link\n{}", "\"".repeat(3 << 20));
    assert!(draft_feed(quotes.as_bytes(), false, &hints()).is_err());
    println!("{:?}", begun.elapsed());
}

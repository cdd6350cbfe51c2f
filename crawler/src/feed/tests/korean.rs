//! Separated files of Korean shops, and what they say of sellers.

use trawler_core::feed::{CsvOptions, Source};

use super::*;

#[test]
fn files_with_carets_pipes_tabs_or_semicolons() {
    for delimiter in ['^', '|', '\t', ';', '\u{1}'] {
        let mut options = options(FeedFormat::Csv);
        options.csv = Some(CsvOptions {
            delimiter,
            quote: String::new(),
            ..CsvOptions::default()
        });
        let feed = "id^title^price_pc^link\n1^\"24 inch^900^http://s.example/1\n\
            2^24\" 모니터^800^http://s.example/2\n";
        options.currency = Some(trawler_core::product::Currency::KRW);
        let feed = feed.replace('^', &delimiter.to_string());
        let result = read(feed.as_bytes(), &options).unwrap();
        assert!(
            result.outcome.complete,
            "{delimiter:?} {:?}",
            result.outcome
        );
        assert_eq!(
            result.rows(),
            [
                json!({"id": "1", "title": "\"24 inch", "price_minor": 900, "currency": "KRW",
                    "link": "http://s.example/1"}),
                json!({"id": "2", "title": "24\" 모니터", "price_minor": 800, "currency": "KRW",
                    "link": "http://s.example/2"}),
            ]
        );
    }
}

fn named(names: &[&str]) -> FeedOptions {
    let mut options = options(FeedFormat::Csv);
    options.csv = Some(CsvOptions {
        delimiter: '^',
        quote: String::new(),
        header: false,
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    });
    options
}

#[test]
fn fields_without_header_are_named_by_the_pipe() {
    let mut options = named(&[
        "id",
        "cat",
        "title",
        "maker",
        "image_link",
        "link",
        "note",
        "",
    ]);
    let path = Source::Field("cat".to_owned());
    options.columns.0.insert("category_path".to_owned(), path);
    let feed = "7^이미용>화장품^[A] 볼터치^(주) B^http://i.example/7.jpg^http://s.example/7^x^y\n";
    let result = read(feed.as_bytes(), &options).unwrap();
    assert_eq!(
        result.rows(),
        [
            json!({"id": "7", "category_path": "이미용>화장품", "title": "[A] 볼터치",
            "maker": "(주) B", "image_link": "http://i.example/7.jpg",
            "link": "http://s.example/7", "extra": {"note": "x"}})
        ]
    );
    let short = read(b"7^a^b\n", &options).unwrap();
    assert_eq!(short.outcome.rejected, 1);
    let empty = read(b"", &options).unwrap();
    assert_eq!(empty.outcome.incomplete_reason, Some(Incomplete::Empty));
    let error = read(b"1^2\n", &named(&["id", "title"])).err().unwrap();
    assert!(error.to_string().contains("`link`"), "{error}");
    let error = read(b"1^2\n", &named(&["id", "title", "link", "id"]))
        .err()
        .unwrap();
    assert!(error.to_string().contains("\"id\" twice"), "{error}");
}

/// Telephone numbers and the like are in no column and not in `extra`, unless
/// the pipe asks for them.
#[test]
fn personal_data_of_sellers_is_left_out() {
    let feed = "id\ttitle\tlink\tseller_id\tseller_phone\tE-mail\t대표자명\tnote\n\
        1\tA\thttps://s.example/1\ts7\t010-1234-5678\ta@b.example\t김\tx\n";
    let check = |change: &dyn Fn(&mut FeedOptions), extra: Value, personal: &[&str]| {
        let mut options = ep();
        change(&mut options);
        let result = read(feed.as_bytes(), &options).unwrap();
        let row = &result.rows()[0];
        assert_eq!(row["seller_id"], "s7");
        assert_eq!(row["extra"], extra);
        assert_eq!(result.outcome.personal_fields, personal);
    };
    let all = ["seller_phone", "E-mail", "대표자명"];
    check(&|_| {}, json!({"note": "x"}), &all);
    check(
        &|options| options.keep = vec!["e-mail".to_owned(), "Seller Phone".to_owned()],
        json!({"note": "x", "E-mail": "a@b.example", "seller_phone": "010-1234-5678"}),
        &all[2..],
    );
    // What the pipe maps it asks for.
    let mapped = |options: &mut FeedOptions| {
        let source = Source::Field("seller_phone".to_owned());
        options.columns.0.insert("mpn".to_owned(), source);
    };
    check(&mapped, json!({"note": "x"}), &all[1..]);
    let nested = r#"{"id": "1", "title": "A", "link": "https://s.example/1",
        "seller": {"phone": "010", "contact": {"email": "a"}, "name": "B"}}"#;
    let nested = nested.replace('\n', "");
    let result = read(nested.as_bytes(), &options(FeedFormat::Jsonl)).unwrap();
    assert_eq!(result.rows()[0]["extra"], json!({"seller.name": "B"}));
}

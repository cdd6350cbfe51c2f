use trawler_core::feed::ShortRows;

use super::*;

fn lenient() -> FeedOptions {
    FeedOptions {
        max_bad_share: 1.0,
        ..ep()
    }
}

const GOOD: &str = "1\tCoat\t1000\thttps://s.example/1\thttps://i.example/1.jpg\n";

#[test]
fn rows_without_what_is_required_are_rejected_with_line_and_reason() {
    let long_id = "x".repeat(300);
    let check = |row: &str, column: Option<&str>, reason: &str| {
        let feed = small(&format!("{GOOD}{row}\n{GOOD}"));
        let result = read(feed.as_bytes(), &lenient()).unwrap();
        assert_eq!(
            (result.outcome.rows, result.outcome.rejected),
            (2, 1),
            "{row}"
        );
        let rejected = &result.rejected[0];
        assert_eq!(rejected["line"], 3, "{row}");
        assert_eq!(rejected["byte_offset"], HEADER.len() + GOOD.len(), "{row}");
        assert_eq!(rejected["column"].as_str(), column, "{row}");
        assert!(
            rejected["reason"].as_str().unwrap().contains(reason),
            "{rejected}"
        );
    };
    check("\tCoat\t1\thttps://s.example/1\t", Some("id"), "is missing");
    check(
        "2\t \t1\thttps://s.example/1\t",
        Some("title"),
        "is missing",
    );
    check("2\tCoat\t1\t\t", Some("link"), "is missing");
    check("2\tCoat\t1\tshop/1\t", Some("link"), "http or https");
    check("2\0\tCoat\t1\thttps://s.example/1\t", Some("id"), "control");
    check(
        "2\tCo\0at\t1\thttps://s.example/1\t",
        Some("title"),
        "control",
    );
    check(
        &format!("{long_id}\tCoat\t1\thttps://s.example/1\t"),
        Some("id"),
        "longer than 256",
    );
    check("2\tCoat\t1\thttps://s.example/1", None, "has 4 fields");
    check("2\tCoat\t1\thttps://s.example/1\t\tx", None, "has 6 fields");
}

#[test]
fn wrong_optional_values_become_null_and_are_counted() {
    let feed = "id\ttitle\tprice_pc\tlink\tbarcode\treview_count\tadult\tcondition\timage_link\n\
        1\tA\tcheap\thttps://s.example/1\t4006381333932\tmany\tperhaps\todd\tnone\n\
        2\tB\t12,900\thttps://s.example/2\t4006381333931\t1,234\tY\t중고\thttps://i.example/2\n";
    let result = read(feed.as_bytes(), &ep()).unwrap();
    assert_eq!((result.outcome.rows, result.outcome.rejected), (2, 0));
    assert_eq!(
        result.rows(),
        [
            json!({"id": "1", "title": "A", "currency": "KRW", "link": "https://s.example/1"}),
            json!({"id": "2", "title": "B", "currency": "KRW", "price_minor": 12900,
                "link": "https://s.example/2", "gtin": "4006381333931", "review_count": 1234,
                "adult": true, "condition": "used", "image_link": "https://i.example/2"}),
        ]
    );
    let bad = &result.outcome.bad_values;
    let columns: Vec<&str> = bad.keys().copied().collect();
    let expected = [
        "adult",
        "condition",
        "gtin",
        "image_link",
        "price_minor",
        "review_count",
    ];
    assert_eq!(columns, expected);
    assert_eq!(bad["gtin"].count, 1);
    assert_eq!(bad["gtin"].examples[0].line, 2);
    assert_eq!(bad["gtin"].examples[0].reason, "has a wrong check digit");
}

#[test]
fn a_whole_ep_row_fills_its_columns() {
    let result = read(ep_feed(1).as_bytes(), &ep()).unwrap();
    assert!(result.outcome.bad_values.is_empty(), "{:?}", result.outcome);
    let row = &result.rows()[0];
    assert_eq!(row["id"], "P0");
    assert_eq!(row["category_path"], "패션의류>남성의류>코트>롱코트");
    assert_eq!(row["attributes"], json!(["면", "겨울", "긴팔"]));
    assert_eq!(row["brand_normalised"], "한빛상사");
    assert_eq!(row["shipping_cost_minor"], 0);
    assert_eq!(row["interest_free_event"], "삼성카드^2~3|현대카드^2~3");
    assert_eq!(row["additional_image_links"].as_array().unwrap().len(), 2);
    assert_eq!(row["gender"], "male");
    assert!(row.get("extra").is_none());
    assert_eq!(result.outcome.unmapped_fields, Vec::<String>::new());
}

#[test]
fn naver_ep_has_no_quoting() {
    let feed =
        small("1\t\"24 inch\t5\thttps://s.example/1\t\n2\tsay \"hi\"\t5\thttps://s.example/2\t\n");
    let result = read(feed.as_bytes(), &ep()).unwrap();
    assert_eq!(result.rows()[0]["title"], "\"24 inch");
    assert_eq!(result.rows()[1]["title"], "say \"hi\"");
}

#[test]
fn unmapped_fields_are_kept_within_bounds() {
    let feed = "id\ttitle\tlink\tcolour_code\tnote\n1\tA\thttps://s.example/1\tx7\tlong note\n";
    let check = |change: &dyn Fn(&mut FeedOptions), extra: Option<Value>, dropped: u64| {
        let mut options = ep();
        change(&mut options);
        let result = read(feed.as_bytes(), &options).unwrap();
        assert_eq!(result.rows()[0].get("extra").cloned(), extra);
        assert_eq!(result.outcome.extra_dropped, dropped);
    };
    let both = json!({"colour_code": "x7", "note": "long note"});
    check(&|_| {}, Some(both), 0);
    check(&|o| o.keep_extra = false, None, 0);
    check(
        &|o| o.ignore.push("note".to_owned()),
        Some(json!({"colour_code": "x7"})),
        0,
    );
    check(
        &|o| o.limits.extra_fields_max = 1,
        Some(json!({"colour_code": "x7"})),
        1,
    );
    check(
        &|o| o.limits.extra_bytes_max = 14,
        Some(json!({"colour_code": "x7"})),
        1,
    );
}

#[test]
fn headers_are_checked() {
    let check = |feed: &str, said: &str| {
        let error = read(feed.as_bytes(), &ep()).err().unwrap().to_string();
        assert!(error.contains(said), "{error}");
    };
    check("id\ttitle\n1\tA\n", "`link`");
    check("<html><body>\n", "`id`; it has: <html><body>");
    check(
        "id\ttitle\tlink\tid\n",
        "\"id\" twice, at positions 1 and 4",
    );
}

#[test]
fn unmapped_and_list_fields_may_repeat() {
    let feed = "id\ttitle\tlink\tadd_image_link\tadd_image_link\tnote\tnote\t\t\n\
        1\tA\thttps://s.example/1\thttps://i.example/1\thttps://i.example/2\ta\tb\t\t\n";
    let result = read(feed.as_bytes(), &ep()).unwrap();
    let row = &result.rows()[0];
    assert_eq!(
        row["additional_image_links"],
        json!(["https://i.example/1", "https://i.example/2"])
    );
    assert_eq!(row["extra"], json!({"note": "a"}));
}

#[test]
fn line_ends_blank_lines_and_a_missing_last_line_end_do_not_matter() {
    let plain = small(&format!("{GOOD}{GOOD}"));
    let expected = read(plain.as_bytes(), &ep()).unwrap().calls;
    let check = |feed: String| {
        let result = read(feed.as_bytes(), &ep()).unwrap();
        assert!(result.outcome.complete);
        assert_eq!(result.calls, expected, "{feed:?}");
    };
    check(plain.replace('\n', "\r\n"));
    check(plain.trim_end().to_owned());
    check(plain.replace('\n', "\n\n"));
    check(plain.replace('\n', "\t\t\n"));
}

#[test]
fn a_last_row_that_is_cut_off_makes_the_feed_incomplete() {
    let feed = small(&format!("{GOOD}2\tCoat\t10"));
    let result = read(feed.as_bytes(), &ep()).unwrap();
    assert_eq!(
        result.outcome.incomplete_reason,
        Some(Incomplete::CutOffRow { line: 3 })
    );
    assert_eq!((result.outcome.rows, result.outcome.rejected), (1, 0));
}

#[test]
fn short_rows_may_be_padded() {
    let feed = small("1\tCoat\t10\thttps://s.example/1\n");
    let padded = FeedOptions {
        short_rows: ShortRows::Pad,
        ..ep()
    };
    assert_eq!(read(feed.as_bytes(), &padded).unwrap().outcome.rows, 1);
    assert_eq!(
        read(feed.as_bytes(), &lenient()).unwrap().outcome.rejected,
        1
    );
}

#[test]
fn feeds_without_rows_are_not_believed() {
    let check = |feed: &str, format: FeedFormat, reason: Incomplete| {
        let result = read(feed.as_bytes(), &options(format)).unwrap();
        assert_eq!(result.outcome.incomplete_reason, Some(reason), "{feed:?}");
        assert!(!result.outcome.complete);
    };
    check("", FeedFormat::NaverEp, Incomplete::Empty);
    check("", FeedFormat::Csv, Incomplete::Empty);
    check("", FeedFormat::Google, Incomplete::Empty);
    check("", FeedFormat::GoogleXml, Incomplete::Empty);
    check("", FeedFormat::Json, Incomplete::Empty);
    check("", FeedFormat::Jsonl, Incomplete::NoRows);
    check(HEADER, FeedFormat::NaverEp, Incomplete::NoRows);
    check("[]", FeedFormat::Json, Incomplete::NoRows);
    check(
        "<rss><channel/></rss>",
        FeedFormat::Google,
        Incomplete::NoRows,
    );
}

#[test]
fn too_many_rejected_rows_make_the_feed_incomplete() {
    let good = GOOD.repeat(95);
    let bad = |count: usize| small(&format!("{good}{}", "\tx\t\t\t\n".repeat(count)));
    assert!(read(bad(5).as_bytes(), &ep()).unwrap().outcome.complete);
    let result = read(bad(6).as_bytes(), &ep()).unwrap();
    assert!(matches!(
        result.outcome.incomplete_reason,
        Some(Incomplete::TooManyRejected {
            rejected: 6,
            rows: 101,
            ..
        })
    ));
    assert_eq!(result.outcome.rows, 95);
}

#[test]
fn a_csv_quote_that_is_never_closed_is_noticed() {
    let rows: String = (0..50)
        .map(|n| format!("{n},Coat,https://s.example/{n}\n"))
        .collect();
    let feed = format!("id,title,link\n{}", rows.replace("20,Coat", "20,\"Coat"));
    let result = read(feed.as_bytes(), &options(FeedFormat::Csv)).unwrap();
    assert!(!result.outcome.complete);
    assert_eq!(result.outcome.rows, 20);
}

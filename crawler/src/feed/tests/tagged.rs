//! Tagged engine pages as shop software writes them, and as it goes wrong.

use super::*;

fn tagged() -> FeedOptions {
    options(FeedFormat::Tagged)
}

/// A Daum page as shop software of the second generation writes it.
const DAUM: &str = "<<<tocnt>>>2\r\n<<<begin>>>\r\n<<<mapid>>>A1\r\n<<<lprice>>>15000\r\n\
    <<<price>>>12,900\r\n<<<mpric>>>12500\r\n<<<pname>>>\"24 inch <b>모니터</b>\r\n\
    <<<pgurl>>>http://s.example/v?no=1&x=2\r\n<<<igurl>>>http://i.example/1.jpg\r\n\
    <<<upimg>>>Y\r\n<<<cate1>>>가전\r\n<<<caid1>>>001\r\n<<<cate2>>>모니터\r\n<<<caid2>>>001002\r\n\
    <<<model>>>M-1\r\n<<<brand>>>한빛\r\n<<<maker>>>(주)한빛\r\n<<<origi>>>국산\r\n\
    <<<coupo>>>1000원\r\n<<<pcard>>>삼성2~3\r\n<<<point>>>129\r\n<<<deliv>>>-1\r\n\
    <<<barcode>>>4006381333931\r\n<<<revct>>>17\r\n<<<selid>>>s7\r\n<<<dlvga>>>Y\r\n\
    <<<dlvdt>>>제주 3000원\r\n<<<insco>>>N\r\n<<<event>>>감사 이벤트\r\n<<<ftend>>>\r\n\
    <<<begin>>>\r\n<<<mapid>>>A2\r\n<<<price>>>500\r\n<<<pname>>>컵\r\n\
    <<<pgurl>>>http://s.example/v?no=2\r\n<<<cate1>>>\r\n<<<deliv>>>0\r\n<<<ftend>>>\r\n";

#[test]
fn a_daum_page_fills_its_columns() {
    let result = read(DAUM.as_bytes(), &tagged()).unwrap();
    assert!(result.outcome.complete, "{:?}", result.outcome);
    assert!(result.outcome.bad_values.is_empty(), "{:?}", result.outcome);
    assert_eq!(
        result.rows(),
        [
            json!({
                "id": "A1", "title": "\"24 inch <b>모니터</b>", "list_price_minor": 15000,
                "price_minor": 12900, "mobile_price_minor": 12500, "currency": "KRW",
                "link": "http://s.example/v?no=1&x=2", "image_link": "http://i.example/1.jpg",
                "category_path": "가전>모니터", "model": "M-1", "model_normalised": "M1", "brand": "한빛",
                "brand_normalised": "한빛", "maker": "(주)한빛", "origin": "국산",
                "coupon": "1000원", "interest_free_event": "삼성2~3", "points": "129",
                "shipping_cost_minor": -1, "gtin": "4006381333931", "review_count": 17,
                "seller_id": "s7", "shipping_differs": true, "shipping_detail": "제주 3000원",
                "installation_costs_extra": false, "event_words": "감사 이벤트",
                "extra": {"caid1": "001", "caid2": "001002"},
            }),
            json!({
                "id": "A2", "title": "컵", "price_minor": 500, "currency": "KRW",
                "link": "http://s.example/v?no=2", "shipping_cost_minor": 0,
            }),
        ]
    );
}

/// What differs between the generations and the programs that write them.
#[test]
fn shops_write_it_in_many_ways() {
    let link = "<<<pgurl>>>http://s.example/1\n";
    let check = |feed: String, expected: Value| {
        let result = read(feed.as_bytes(), &tagged()).unwrap();
        assert!(result.outcome.complete, "{feed}: {:?}", result.outcome);
        let mut rows = result.rows();
        for row in &mut rows {
            let row = row.as_object_mut().unwrap();
            row.retain(|name, _| !matches!(name.as_str(), "link" | "currency"));
        }
        assert_eq!(Value::from(rows), expected, "{feed}");
    };
    // Daum's first generation: pid, <<<end>>>, numbers where names come later.
    check(
        format!(
            "<<<begin>>>\n<<<pid>>>7\n<<<pname>>>A\n{link}<<<cate1>>>001\n<<<catename1>>>옷\n\
             <<<catename2>>>코트\n<<<deliv>>>1\n<<<deliv2>>>2500\n<<<end>>>\n"
        ),
        json!([{"id": "7", "title": "A", "category_path": "옷>코트",
            "shipping_cost_minor": 2500, "extra": {"caid1": "001"}}]),
    );
    check(
        format!(
            "<<<begin>>>\n<<<pid>>>7\n<<<pname>>>A\n{link}<<<deliv>>>2\n\
             <<<deliv2>>>50000원미만 2500원\n<<<end>>>\n"
        ),
        json!([{"id": "7", "title": "A", "shipping_detail": "50000원미만 2500원"}]),
    );
    check(
        format!("<<<begin>>>\n<<<pid>>>7\n<<<pname>>>A\n{link}<<<deliv>>>-1\n<<<end>>>"),
        json!([{"id": "7", "title": "A", "shipping_cost_minor": -1}]),
    );
    // One begin for the whole file.
    check(
        format!(
            "<<<begin>>>\n<<<mapid>>>1\n<<<pname>>>A\n{link}<<<mapid>>>2\n<<<pname>>>B\n{link}\
             <<<ftend>>>\n"
        ),
        json!([{"id": "1", "title": "A"}, {"id": "2", "title": "B"}]),
    );
    // No begin at all, capital tags, blanks, a title over two lines.
    check(
        format!("<<<MAPID>>> 1 \n <<<pname>>>A\nB\n{link}\n<<<ftend>>>\n\n"),
        json!([{"id": "1", "title": "A\nB"}]),
    );
    // A value that looks like a tag is a value.
    check(
        format!("<<<begin>>>\n<<<mapid>>>1\n<<<pname>>><<<특가>>> A\n{link}<<<ftend>>>\n"),
        json!([{"id": "1", "title": "<<<특가>>> A"}]),
    );
}

/// What is wrong is rejected with the line at which its record begins.
#[test]
fn rejected_records_have_their_place() {
    let good =
        "<<<begin>>>\n<<<mapid>>>1\n<<<pname>>>A\n<<<pgurl>>>http://s.example/1\n<<<ftend>>>\n";
    let check = |bad: &str, reason: &str| {
        let feed = format!("{good}{bad}{good}");
        let lenient = FeedOptions {
            max_bad_share: 1.0,
            ..tagged()
        };
        let result = read(feed.as_bytes(), &lenient).unwrap();
        assert_eq!(
            (result.outcome.rows, result.outcome.rejected),
            (2, 1),
            "{bad}"
        );
        let rejected = &result.rejected[0];
        assert_eq!(rejected["line"], 6, "{rejected}");
        assert_eq!(rejected["byte_offset"], good.len(), "{rejected}");
        let found = rejected["reason"].as_str().unwrap();
        assert!(found.contains(reason), "{rejected}");
    };
    check(
        "<<<begin>>>\n<<<mapid>>>2\n<<<pname>>>B\n",
        "at the next <<<begin>>>",
    );
    check("<<<begin>>>\n<<<mapid>>>2\n<<<ftend>>>\n", "is missing");
    check("<<<begin>>>\n<<<pname>>>B\n<<<ftend>>>\n", "is missing");
    check("<html>\n<body>\n", "is no <<<tag>>>");
    check(
        "<<<pname>>>B\n<<<price>>>1\n<<<ftend>>>\n",
        "stands outside",
    );
    check(
        &format!(
            "<<<begin>>>\n<<<mapid>>>2\n<<<pname>>>{}\n<<<ftend>>>\n",
            "x".repeat(2 << 20)
        ),
        "longer than limits.row_bytes_max",
    );
    let line = format!("<<<event>>>{}\n", "x".repeat(300_000));
    check(
        &format!("<<<begin>>>\n<<<mapid>>>2\n{}<<<ftend>>>\n", line.repeat(5)),
        "longer than limits.row_bytes_max",
    );
}

#[test]
fn a_page_that_is_cut_off_is_incomplete() {
    let check = |feed: &str, reason: Incomplete| {
        let result = read(feed.as_bytes(), &tagged()).unwrap();
        assert_eq!(result.outcome.incomplete_reason, Some(reason), "{feed}");
    };
    check("", Incomplete::Empty);
    check("\n \n", Incomplete::Empty);
    check("<<<tocnt>>>0\n", Incomplete::NoRows);
    check(
        "<<<begin>>>\n<<<mapid>>>1\n<<<pna",
        Incomplete::CutOffRow { line: 1 },
    );
    let one = DAUM.split("<<<begin>>>\r\n<<<mapid>>>A2").next().unwrap();
    check(
        one,
        Incomplete::FewerThanDeclared {
            declared: 2,
            found: 1,
        },
    );
    let ignoring = FeedOptions {
        ignore: vec!["tocnt".to_owned()],
        ..tagged()
    };
    assert!(read(one.as_bytes(), &ignoring).unwrap().outcome.complete);
}

#[test]
fn the_charset_is_declared_or_found_out() {
    let (bytes, _, _) = encoding_rs::EUC_KR.encode(DAUM);
    let expected = read(DAUM.as_bytes(), &tagged()).unwrap().calls;
    for charset in [None, Some("cp949".to_owned()), Some("euc-kr".to_owned())] {
        let declared = FeedOptions {
            charset,
            ..tagged()
        };
        let result = read(&bytes, &declared).unwrap();
        assert_eq!(result.outcome.charset, "euc-kr");
        assert_eq!(result.calls, expected);
    }
}

/// A summary of that time: what changed alone, and the time in one word.
#[test]
fn a_summary_page_holds_what_changed() {
    let feed = "<<<begin>>>\n<<<mapid>>>1\n<<<price>>>900\n<<<class>>>U\n\
        <<<utime>>>20260501100000\n<<<ftend>>>\n\
        <<<begin>>>\n<<<mapid>>>2\n<<<class>>>D\n<<<utime>>>20260501100000\n<<<ftend>>>\n\
        <<<begin>>>\n<<<mapid>>>3\n<<<price>>>800\n<<<pname>>>B\n<<<ftend>>>\n";
    let partial = FeedOptions {
        partial: true,
        mode: FeedMode::Summary,
        ..tagged()
    };
    let result = read(feed.as_bytes(), &partial).unwrap();
    assert_eq!(result.outcome.rejected, 0, "{:?}", result.rejected);
    assert_eq!(result.outcome.deletes, 1);
    assert_eq!(
        result.rows(),
        [
            json!({"id": "1", "price_minor": 900, "currency": "KRW",
                "partner_updated": 1_777_597_200_000_000_i64}),
            json!({"id": "3", "price_minor": 800, "title": "B", "currency": "KRW"}),
        ]
    );
}

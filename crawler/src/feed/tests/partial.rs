//! Summaries whose rows hold only what changed.

use super::*;

fn partial() -> FeedOptions {
    FeedOptions {
        partial: true,
        clear: Some("-".to_owned()),
        max_bad_share: 1.0,
        ..FeedOptions::new(FeedFormat::NaverEp, FeedMode::Summary)
    }
}

#[test]
fn what_is_absent_says_nothing_and_the_sentinel_empties() {
    let check = |header: &str, row: &str, expected: Value| {
        let feed = format!("{header}\n{row}\n");
        let result = read(feed.as_bytes(), &partial()).unwrap();
        assert_eq!(result.rejected, Vec::<Value>::new(), "{feed}");
        assert_eq!(result.rows(), [expected], "{feed}");
    };
    check("id\tclass", "1\tU", json!({"id": "1"}));
    check("id", "1", json!({"id": "1"}));
    check(
        "id\tprice_pc\ttitle",
        "1\t900\t",
        json!({"id": "1", "price_minor": 900, "currency": "KRW"}),
    );
    // Without an amount the stored currency stays.
    check("id\ttitle", "1\tA", json!({"id": "1", "title": "A"}));
    check(
        "id\tbenefit_price\tevent_words",
        "1\t-\t -",
        json!({"id": "1", "_cleared": ["benefit_price_minor", "event_words"]}),
    );
    check(
        "id\tbrand",
        "1\tAcme",
        json!({"id": "1", "brand": "Acme", "brand_normalised": "acme"}),
    );
    // What is derived goes with it.
    check(
        "id\tbrand",
        "1\t-",
        json!({"id": "1", "_cleared": ["brand", "brand_normalised"]}),
    );
    check(
        "id\tcategory_name1\tcategory_name2",
        "1\t-\t-",
        json!({"id": "1", "_cleared": ["category_path", "category_mapped"]}),
    );
    // A path is one value, and stale derivations go.
    check(
        "id\tcategory_name1\tcategory_name2",
        "1\tHome\t-",
        json!({"id": "1", "category_path": "Home", "_cleared": ["category_mapped"]}),
    );
    check(
        "id\tnote\tcolour",
        "1\t-\tred",
        json!({"id": "1", "extra": {"colour": "red"}, "_cleared": ["extra.note"]}),
    );
    check(
        "id\tadd_image_link",
        "1\t-",
        json!({"id": "1", "_cleared": ["additional_image_links"]}),
    );
    check("id\tseller_phone", "1\t-", json!({"id": "1"}));
}

#[test]
fn what_every_product_has_cannot_be_emptied() {
    let check = |header: &str, row: &str, column: &str, reason: &str| {
        let feed = format!("{header}\n{row}\n");
        let result = read(feed.as_bytes(), &partial()).unwrap();
        assert_eq!((result.outcome.rows, result.outcome.rejected), (0, 1));
        assert_eq!(result.rejected[0]["column"], column);
        let found = result.rejected[0]["reason"].as_str().unwrap();
        assert!(found.contains(reason), "{found}");
    };
    check("id\ttitle", "1\t-", "title", "cannot be emptied");
    check("id\tlink", "1\t-", "link", "cannot be emptied");
    check("id\tlink", "1\tshop/1", "link", "http or https");
    check("id\ttitle", "-\tA", "id", "is missing");
    check("id\ttitle", "\tA", "id", "is missing");
}

/// A wrong value says nothing; it is counted, and the stored one stays.
#[test]
fn a_wrong_value_keeps_the_stored_one() {
    let feed = "id\tprice_pc\tbarcode\n1\tcheap\t123\n";
    let result = read(feed.as_bytes(), &partial()).unwrap();
    assert_eq!(result.rows(), [json!({"id": "1"})]);
    assert_eq!(result.outcome.bad_values.len(), 2);
}

#[test]
fn without_a_sentinel_nothing_is_emptied() {
    let options = FeedOptions {
        clear: None,
        ..partial()
    };
    let result = read(b"id\tevent_words\n1\t-\n", &options).unwrap();
    assert_eq!(result.rows(), [json!({"id": "1", "event_words": "-"})]);
}

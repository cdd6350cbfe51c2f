//! Rows that hold only what changed, and rows that are older than stored ones:
//! tables of cases, then random days against a model.

#![allow(clippy::unwrap_used)]

#[path = "../src/testing.rs"]
mod testing;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field};
use chrono::DateTime;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use trawler_catalogue::{
    CLEARED, Deleted, Deletes, Diff, Mode, SortLimits, Staged, Staging, Watermark, content_schema,
    partial_schema,
};
use trawler_core::PipeId;
use trawler_core::image::{ImageOutcome, ImageStatus, KnownImage};

use testing::{Product, Row, Table, batch_of, changes_of, pipe, replay, run_of};

/// What a feed says of one id.
#[derive(Debug, Clone)]
enum Said {
    Row(Product, Vec<&'static str>, Option<i64>),
    Gone(&'static str, Option<i64>),
}

use Said::{Gone, Row as Changed};

/// Every product has a page; the model of the other tests has none.
fn with_link(batch: &RecordBatch, links: &[bool], updated: &[Option<i64>]) -> RecordBatch {
    let schema = batch.schema();
    let columns = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| match field.name().as_str() {
            "link" => {
                let links = links.iter().map(|has| has.then_some("http://shop/p"));
                Arc::new(links.collect::<StringArray>()) as ArrayRef
            }
            "partner_updated" => {
                let updated: TimestampMicrosecondArray = updated.iter().copied().collect();
                Arc::new(updated.with_timezone("UTC"))
            }
            _ => Arc::clone(column),
        });
    let columns = columns.collect();
    RecordBatch::try_new(batch.schema(), columns).unwrap()
}

fn partial_batch(product: &Product, cleared: &[&str], updated: Option<i64>) -> RecordBatch {
    let batch = with_link(
        &batch_of(std::slice::from_ref(product)),
        &[product.title.is_some()],
        &[updated],
    );
    let element = Field::new("element", DataType::Utf8, true);
    let mut names = ListBuilder::new(StringBuilder::new()).with_field(Arc::new(element));
    for name in cleared {
        names.values().append_value(name);
    }
    names.append(!cleared.is_empty());
    let mut columns = batch.columns().to_vec();
    columns.push(Arc::new(names.finish()));
    assert_eq!(partial_schema().fields().last().unwrap().name(), CLEARED);
    RecordBatch::try_new(partial_schema(), columns).unwrap()
}

fn staged(table: &Table, said: &[Said], whole: bool) -> Staged {
    // Small enough that spills and merges have their part in it.
    let limits = SortLimits {
        buffer_bytes: 300 << 10,
        fan_in: 2,
    };
    let mut staging = match whole {
        true => Staging::new(table.scratch.path(), limits).unwrap(),
        false => Staging::partial(table.scratch.path(), limits).unwrap(),
    };
    for said in said {
        match said {
            Changed(product, cleared, updated) => {
                let batch = partial_batch(product, cleared, *updated);
                let content = content_schema().fields().len();
                let content: Vec<usize> = (0..content).collect();
                staging
                    .push(match whole {
                        true => batch.project(&content).unwrap(),
                        false => batch,
                    })
                    .unwrap();
            }
            Gone(id, updated) => {
                let deleted = Deleted {
                    id: (*id).to_owned(),
                    updated: updated.and_then(DateTime::from_timestamp_micros),
                };
                staging.push_deletes(&[deleted]).unwrap();
            }
        }
    }
    staging.finish().unwrap()
}

/// A summary on `day`; the diff, after the commit.
async fn summary(table: &Table, pipe: &PipeId, day: i64, said: &[Said], whole: bool) -> Diff {
    let staged = staged(table, said, whole);
    let run = run_of(pipe, day);
    let (diff, prepared) = table
        .prepare(&run, &staged, Mode::Summary, Deletes::Apply)
        .await;
    table.commit(&prepared, &run).await;
    diff
}

/// Content of the rows, without nulls and without what the catalogue adds.
fn content(rows: BTreeMap<String, Row>) -> Value {
    let names = ["id", "title", "price_minor", "image_link", "extra"];
    let row = |row: Row| -> Value {
        let kept = row.into_iter();
        let kept = kept.filter(|(name, value)| names.contains(&name.as_str()) && !value.is_null());
        Value::Object(kept.collect())
    };
    rows.into_values().map(row).collect()
}

fn stored() -> Product {
    Product::new("a")
        .title("hat")
        .price(5)
        .image("http://img/1")
        .extra("x", "1")
        .extra("y", "2")
}

fn failed(id: &str, url: &str) -> ImageOutcome {
    ImageOutcome {
        product_id: id.to_owned(),
        url: url.to_owned(),
        status: ImageStatus::NotFound,
        reason: "404".to_owned(),
        source: None,
        known: KnownImage::default(),
        variants: Vec::new(),
    }
}

fn new(id: &str) -> Product {
    Product::new(id)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_row_does_not_say_stays_stored() {
    let whole = json!({"id": "a", "title": "hat", "price_minor": 5, "image_link": "http://img/1",
        "extra": {"x": "1", "y": "2"}});
    let with = |changes: Value| {
        let mut row = whole.as_object().unwrap().clone();
        for (name, value) in changes.as_object().unwrap() {
            match value.is_null() {
                true => drop(row.remove(name)),
                false => drop(row.insert(name.clone(), value.clone())),
            }
        }
        Value::Array(vec![Value::Object(row)])
    };
    // What is said, the row afterwards, and inserts, updates, deletes, refused.
    let cases: Vec<(Vec<Said>, Value, [u64; 4])> = vec![
        (
            vec![Changed(new("a"), vec![], None)],
            with(json!({})),
            [0, 0, 0, 0],
        ),
        (
            vec![Changed(new("a").price(5), vec![], None)],
            with(json!({})),
            [0, 0, 0, 0],
        ),
        (
            vec![Changed(new("a").price(6), vec![], None)],
            with(json!({"price_minor": 6})),
            [0, 1, 0, 0],
        ),
        (
            vec![Changed(new("a"), vec!["price_minor"], None)],
            with(json!({"price_minor": null})),
            [0, 1, 0, 0],
        ),
        (
            vec![Changed(
                new("a").extra("y", "3").extra("z", "4"),
                vec!["extra.x"],
                None,
            )],
            with(json!({"extra": {"y": "3", "z": "4"}})),
            [0, 1, 0, 0],
        ),
        (
            vec![Changed(new("a"), vec!["extra.x", "extra.y"], None)],
            with(json!({"extra": null})),
            [0, 1, 0, 0],
        ),
        (
            vec![Changed(new("a"), vec!["extra.q", "brand"], None)],
            with(json!({})),
            [0, 0, 0, 0],
        ),
        // Rows of one feed are laid over one another, in order.
        (
            vec![
                Changed(new("a").price(6).extra("x", "9"), vec![], None),
                Changed(new("a").title("cap"), vec!["price_minor"], None),
                Changed(new("a").extra("y", "8"), vec![], None),
            ],
            with(json!({"title": "cap", "price_minor": null, "extra": {"x": "9", "y": "8"}})),
            [0, 1, 0, 0],
        ),
        (
            vec![
                Changed(new("a"), vec!["price_minor", "extra.x"], None),
                Changed(new("a").price(7).extra("x", "7"), vec![], None),
            ],
            with(json!({"price_minor": 7, "extra": {"x": "7", "y": "2"}})),
            [0, 1, 0, 0],
        ),
        (
            vec![Changed(new("a").price(6), vec![], None), Gone("a", None)],
            json!([]),
            [0, 0, 1, 0],
        ),
        // After a deletion nothing of the stored row is left.
        (
            vec![
                Gone("a", None),
                Changed(new("a").title("new"), vec![], None),
            ],
            json!([{"id": "a", "title": "new"}]),
            [0, 1, 0, 0],
        ),
        (
            vec![
                Gone("a", None),
                Changed(new("a").title("new"), vec![], None),
                Changed(new("a").price(1), vec![], None),
            ],
            json!([{"id": "a", "title": "new", "price_minor": 1}]),
            [0, 1, 0, 0],
        ),
        (
            vec![Gone("a", None), Changed(new("a").price(1), vec![], None)],
            json!([]),
            [0, 0, 1, 1],
        ),
        // What is not stored needs what every product has.
        (
            vec![Changed(new("b").price(1), vec![], None)],
            with(json!({})),
            [0, 0, 0, 1],
        ),
        (
            vec![
                Gone("a", None),
                Changed(new("b").title("new"), vec![], None),
            ],
            json!([{"id": "b", "title": "new"}]),
            [1, 0, 1, 0],
        ),
        (
            vec![
                Changed(new("0").price(1), vec![], None),
                Changed(new("z").price(1), vec![], None),
            ],
            with(json!({})),
            [0, 0, 0, 2],
        ),
    ];
    for (said, expected, [inserts, updates, deletes, refused]) in cases {
        let table = Table::new().await;
        let pipe = pipe("shop");
        summary(&table, &pipe, 0, &[Changed(stored(), vec![], None)], true).await;
        let before = table.objects().len();
        let diff = summary(&table, &pipe, 1, &said, false).await;
        assert_eq!(
            (diff.inserts, diff.updates, diff.deletes, diff.refused),
            (inserts, updates, deletes, refused),
            "{said:?}"
        );
        assert_eq!(diff.refused_ids.len() as u64, refused, "{said:?}");
        assert_eq!(content(table.rows(&pipe, 10).await), expected, "{said:?}");
        if inserts + updates + deletes == 0 {
            assert_eq!(
                table.objects().len(),
                before + 1,
                "a log entry alone: {said:?}"
            );
        }
    }
}

/// The picture of a row stays while its address does, said again or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_keeps_first_seen_and_the_picture() {
    let table = Table::new().await;
    let pipe = pipe("shop");
    summary(&table, &pipe, 0, &[Changed(stored(), vec![], None)], true).await;
    let fetched = |row: &Row| (row["image_status"].clone(), row["first_seen"].clone());
    let before = fetched(&table.rows(&pipe, 10).await["a"]);
    assert_eq!(before.0, "pending");
    let outcome = failed("a", "http://img/1");
    table.fold(&pipe, 1, &[outcome]).await.unwrap();
    let tried = fetched(&table.rows(&pipe, 10).await["a"]);
    assert_ne!(tried.0, "pending");
    summary(
        &table,
        &pipe,
        1,
        &[Changed(new("a").price(9), vec![], None)],
        false,
    )
    .await;
    assert_eq!(fetched(&table.rows(&pipe, 10).await["a"]), tried);
    let other = new("a").image("http://img/2");
    summary(&table, &pipe, 2, &[Changed(other, vec![], None)], false).await;
    assert_eq!(fetched(&table.rows(&pipe, 10).await["a"]), before);
    summary(
        &table,
        &pipe,
        3,
        &[Changed(new("a"), vec!["image_link"], None)],
        false,
    )
    .await;
    let row = &table.rows(&pipe, 10).await["a"];
    assert!(
        row.get("image_status").is_none_or(Value::is_null),
        "{row:?}"
    );
}

/// A summary's row that is older than the stored one is ignored and counted; a
/// full feed is believed.
#[tokio::test(flavor = "multi_thread")]
async fn older_rows_are_ignored_by_summaries() {
    // Stored at, said at; whether the price changes.
    let cases = [
        (Some(10), Some(9), false),
        (Some(10), Some(10), true),
        (Some(10), Some(11), true),
        (Some(10), None, true),
        (None, Some(9), true),
        (None, None, true),
    ];
    for whole in [true, false] {
        for (before, now, applies) in cases {
            let table = Table::new().await;
            let pipe = pipe("shop");
            summary(&table, &pipe, 0, &[Changed(stored(), vec![], before)], true).await;
            let said = [Changed(stored().price(6), vec![], now)];
            let diff = summary(&table, &pipe, 1, &said, whole).await;
            assert_eq!(
                (diff.updates, diff.stale),
                (u64::from(applies), u64::from(!applies))
            );
            let price = table.rows(&pipe, 10).await["a"]["price_minor"].clone();
            assert_eq!(
                price,
                if applies { 6 } else { 5 },
                "{before:?} {now:?} {whole}"
            );

            let diff = summary(&table, &pipe, 2, &[Gone("a", now)], whole).await;
            let gone = applies || before.is_none();
            assert_eq!(
                (diff.deletes, diff.stale),
                (u64::from(gone), u64::from(!gone))
            );
        }
    }
    let table = Table::new().await;
    let pipe = pipe("shop");
    summary(
        &table,
        &pipe,
        0,
        &[Changed(stored(), vec![], Some(10))],
        true,
    )
    .await;
    let staged = staged(&table, &[Changed(stored().price(6), vec![], Some(9))], true);
    let run = run_of(&pipe, 1);
    let (diff, _) = table
        .prepare(&run, &staged, Mode::Full, Deletes::Apply)
        .await;
    assert_eq!((diff.updates, diff.stale), (1, 0));
}

/// What was said since midnight is said again every hour: no change, whatever
/// the instant beside it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_again_is_no_change() {
    for whole in [true, false] {
        let table = Table::new().await;
        let pipe = pipe("shop");
        let said = |at: i64| [Changed(stored(), vec![], Some(at)), Gone("gone", Some(at))];
        summary(&table, &pipe, 0, &said(10), whole).await;
        for (day, at) in [(1, 10), (2, 11), (3, 9)] {
            let diff = summary(&table, &pipe, day, &said(at), whole).await;
            assert!(diff.is_unchanged(), "{at}");
            assert_eq!(
                (diff.stale, diff.refused, diff.unchanged),
                (0, 0, 1),
                "{at}"
            );
        }
    }
}

/// The model: what each id holds, as the rule of partial rows has it.
type Model = BTreeMap<String, BTreeMap<String, Value>>;

const IDS: &[&str] = &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

fn random_said(random: &mut SmallRng) -> Said {
    let id = IDS[random.random_range(0..IDS.len())];
    if random.random_bool(0.15) {
        return Gone(id, None);
    }
    let mut product = new(id);
    let mut cleared = Vec::new();
    if random.random_bool(0.4) {
        product = product.title(&format!("t{}", random.random_range(0..4)));
    }
    if random.random_bool(0.4) {
        product = product.price(random.random_range(0..4));
    } else if random.random_bool(0.2) {
        cleared.push("price_minor");
    }
    if random.random_bool(0.3) {
        product = product.extra("x", &random.random_range(0..3).to_string());
    }
    if random.random_bool(0.2) {
        product = product.extra("y", &random.random_range(0..3).to_string());
    } else if random.random_bool(0.2) {
        cleared.push("extra.y");
    }
    Changed(product, cleared, None)
}

fn apply(model: &mut Model, said: &[Said]) {
    let before = model.clone();
    let mut touched: Vec<String> = Vec::new();
    for said in said {
        match said {
            Gone(id, _) => drop(model.remove(*id)),
            Changed(product, cleared, _) => {
                touched.push(product.id.clone());
                let row = model.entry(product.id.clone()).or_default();
                for name in cleared {
                    row.remove(*name);
                }
                if let Some(title) = &product.title {
                    row.insert("title".to_owned(), json!(title));
                }
                if let Some(price) = product.price {
                    row.insert("price_minor".to_owned(), json!(price));
                }
                for (key, value) in product.extra.iter().flatten() {
                    row.insert(format!("extra.{key}"), json!(value));
                }
            }
        }
    }
    // An id that is not stored, or was deleted, has to be said as a whole.
    for id in touched {
        let is_product = |row: &BTreeMap<String, Value>| row.contains_key("title");
        if model.get(&id).is_some_and(|row| !is_product(row)) {
            assert!(before.get(&id).is_none_or(is_product));
            model.remove(&id);
        }
    }
}

fn flat(rows: BTreeMap<String, Row>) -> Model {
    let row = |row: Row| {
        let mut flat = BTreeMap::new();
        for name in ["title", "price_minor"] {
            if let Some(value) = row.get(name).filter(|value| !value.is_null()) {
                flat.insert(name.to_owned(), value.clone());
            }
        }
        for (key, value) in row
            .get("extra")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            flat.insert(format!("extra.{key}"), value.clone());
        }
        flat
    };
    rows.into_iter().map(|(id, of)| (id, row(of))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn random_days_end_as_the_model_does() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let table = Table::new().await;
    let pipe = pipe("shop");
    let mut model = Model::new();
    let mut copy = BTreeMap::new();
    let mut watermark = Watermark::START;
    for day in 0..25 {
        let count = random.random_range(0..80);
        let mut said: Vec<Said> = (0..count).map(|_| random_said(&mut random)).collect();
        said.shuffle(&mut random);
        apply(&mut model, &said);
        summary(&table, &pipe, day, &said, false).await;
        assert_eq!(
            flat(table.rows(&pipe, 5).await),
            model,
            "seed {seed}, day {day}"
        );
        let (changes, next) = changes_of(&table.catalogue, watermark, None, 7).await;
        replay(&mut copy, changes);
        watermark = next;
        assert_eq!(copy.len(), model.len(), "seed {seed}, day {day}");
    }
}

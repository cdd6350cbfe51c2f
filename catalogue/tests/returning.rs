//! Ids that come back: their first_seen, and their picture while it is stored.

#![allow(clippy::unwrap_used)]

#[path = "../src/testing.rs"]
mod testing;

use std::time::Duration;

use serde_json::Value;
use trawler_catalogue::{Deletes, Mode};
use trawler_core::PipeId;
use trawler_core::image::{ImageOutcome, ImageStatus, KnownImage};

use testing::{Product, Row, Table, pipe, run_of};

const URL: &str = "http://img/1";

fn hat() -> Product {
    Product::new("hat").title("hat").image(URL)
}

/// So that the pipe is never empty, and has files to rewrite.
fn rest(day: i64) -> Product {
    Product::new("rest").title(&format!("day {day}"))
}

async fn day(table: &Table, pipe: &PipeId, day: i64, products: &[Product]) {
    let mut products = products.to_vec();
    products.push(rest(day));
    table.full_run(pipe, day, &products).await;
}

fn first_seen(row: &Row) -> &Value {
    &row["first_seen"]
}

fn on(pipe: &PipeId, day: i64) -> Value {
    let due = run_of(pipe, day).due();
    Value::from(due.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
}

/// A table on which the hat was seen, its picture tried, and the hat went.
async fn gone(pipe: &PipeId) -> Table {
    let table = Table::new().await;
    // Files carry the time of this machine: the table's clock follows it.
    let now = chrono::Utc::now().timestamp_millis() - testing::DAY_0_MS;
    table
        .clock
        .advance(Duration::from_millis(now.max(0) as u64));
    day(&table, pipe, 0, &[hat()]).await;
    let outcome = ImageOutcome {
        product_id: "hat".to_owned(),
        url: URL.to_owned(),
        status: ImageStatus::NotFound,
        reason: "404".to_owned(),
        source: None,
        known: KnownImage::default(),
        variants: Vec::new(),
    };
    table.fold(pipe, 1, &[outcome]).await.unwrap();
    day(&table, pipe, 1, &[]).await;
    assert!(!table.rows(pipe, 10).await.contains_key("hat"));
    table
}

#[tokio::test(flavor = "multi_thread")]
async fn first_seen_and_the_picture_come_back() {
    // The product that comes back on which day, hours later; the day on which
    // it was first seen, and the state of its picture.
    let cases = [
        (hat(), 2, 0, 0, Some("not_found")),
        (hat().title("new"), 2, 0, 0, Some("not_found")),
        (hat(), 2, 11, 0, Some("not_found")),
        (hat(), 2, 13, 0, Some("pending")),
        (hat().image("http://img/2"), 2, 0, 0, Some("pending")),
        (Product::new("hat").title("hat"), 2, 0, 0, None),
        (hat(), 80, 0, 0, Some("not_found")),
        (hat(), 92, 0, 92, Some("pending")),
    ];
    for (product, back, hours, first_day, status) in cases {
        let pipe = pipe("shop");
        let table = gone(&pipe).await;
        table.clock.advance(Duration::from_secs(hours * 3600));
        day(
            &table,
            &pipe,
            back,
            &[product.clone(), Product::new("new").title("n")],
        )
        .await;
        let rows = table.rows(&pipe, 10).await;
        let row = &rows["hat"];
        assert_eq!(*first_seen(row), on(&pipe, first_day), "{product:?}");
        assert_eq!(
            row.get("image_status").and_then(Value::as_str),
            status,
            "{product:?}"
        );
        assert_eq!(*first_seen(&rows["new"]), on(&pipe, back));
        // It goes and comes once more.
        day(&table, &pipe, back + 1, &[]).await;
        day(&table, &pipe, back + 2, &[hat()]).await;
        let row = &table.rows(&pipe, 10).await["hat"];
        assert_eq!(*first_seen(row), on(&pipe, first_day), "{product:?}");
    }
}

/// What another pipe lost is not looked at, nor what was only to be deleted.
#[tokio::test(flavor = "multi_thread")]
async fn only_what_went_from_this_pipe_comes_back() {
    let (shop, other) = (pipe("shop"), pipe("shop-2"));
    let table = gone(&shop).await;
    day(&table, &other, 1, &[]).await;
    day(&table, &other, 2, &[hat()]).await;
    assert_eq!(
        *first_seen(&table.rows(&other, 10).await["hat"]),
        on(&other, 2)
    );
}

/// Change files may be removed after a time: then there is less to know.
#[tokio::test(flavor = "multi_thread")]
async fn without_change_files_an_id_is_new() {
    let pipe = pipe("shop");
    let table = gone(&pipe).await;
    let changes = table.folder.path().join("_change_data/pipe=shop");
    std::fs::remove_dir_all(changes).unwrap();
    day(&table, &pipe, 2, &[hat()]).await;
    assert_eq!(
        *first_seen(&table.rows(&pipe, 10).await["hat"]),
        on(&pipe, 2)
    );
}

/// A summary feed brings back what it deleted an hour ago.
#[tokio::test(flavor = "multi_thread")]
async fn a_summary_brings_back_what_was_sold_out() {
    let pipe = pipe("shop");
    let table = gone(&pipe).await;
    let run = run_of(&pipe, 2);
    let staged = table.staged(&[hat()], &[]);
    let (diff, prepared) = table
        .prepare(&run, &staged, Mode::Summary, Deletes::Apply)
        .await;
    assert_eq!(diff.inserts, 1);
    table.commit(&prepared, &run).await;
    let row = &table.rows(&pipe, 10).await["hat"];
    assert_eq!(*first_seen(row), on(&pipe, 0));
    assert_eq!(row["image_status"], "not_found");
}

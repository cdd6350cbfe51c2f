//! Prints how fast a pipe is staged, compared, written, committed and read,
//! and the most memory that took:
//! `cargo run --release -p trawler-catalogue --example catalogue_speed -- 1000000`

#![allow(clippy::unwrap_used)]

#[path = "../src/testing.rs"]
mod testing;

use std::time::Instant;

use testing::{Product, Table, batch_of, pipe, run_of, stamp_of};
use trawler_catalogue::{CatalogueOptions, Deletes, Mode, SortLimits, Staged, Staging, Watermark};

const BATCH_ROWS: usize = 8_192;

/// Stages a day on which every hundredth row differs from day to day. Rows
/// come in an order that is not that of their ids.
fn stage(table: &Table, rows: usize, day: usize) -> (Staged, f64) {
    let mut staging = Staging::new(table.scratch.path(), SortLimits::default()).unwrap();
    let mut seconds = 0.0;
    let mut next = 0;
    while next < rows {
        let products: Vec<Product> = (next..rows.min(next + BATCH_ROWS))
            .map(|n| {
                let id = (n * 7_919) % rows;
                let price = if id.is_multiple_of(100) { day } else { 0 };
                Product::new(&format!("{id:010}"))
                    .title(&format!(
                        "A product with a name of usual length, number {id}"
                    ))
                    .price(1_000 + i64::try_from(price).unwrap())
                    .image(&format!("https://img.example.com/products/{id}.jpg"))
            })
            .collect();
        next += products.len();
        let batch = batch_of(&products);
        let start = cpu_seconds();
        staging.push(batch).unwrap();
        seconds += cpu_seconds() - start;
    }
    let start = cpu_seconds();
    let staged = staging.finish().unwrap();
    (staged, seconds + cpu_seconds() - start)
}

/// CPU seconds of this process so far: on a busy machine the clock on the wall
/// says little.
fn cpu_seconds() -> f64 {
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit(") ").next().unwrap();
    let mut fields = after_name.split(' ').skip(11);
    let mut ticks = || fields.next().unwrap().parse::<f64>().unwrap();
    (ticks() + ticks()) / TICKS_A_SECOND
}

fn peak_mebibytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.unwrap_or(0) / 1_024
}

async fn run_day(table: &Table, rows: usize, day: usize, prices: usize) {
    let shop = pipe("shop");
    let rate = |seconds: f64| rows as f64 / seconds.max(0.01) / 1_000.0;
    let (staged, seconds) = stage(table, rows, prices);
    println!("day {day}: stage  {:8.0} k rows/s/core", rate(seconds));
    let run = run_of(&shop, i64::try_from(day).unwrap());
    let base = table.catalogue.snapshot().await.unwrap();
    let start = cpu_seconds();
    let diff = table
        .catalogue
        .diff(&base, &shop, &staged, Mode::Full)
        .await
        .unwrap();
    let compared = cpu_seconds() - start;
    let stamp = stamp_of(&run);
    let prepared = table
        .catalogue
        .write(&diff, &stamp, Deletes::Apply)
        .await
        .unwrap();
    table.commit(&prepared, &run).await;
    let all = cpu_seconds() - start;
    println!(
        "day {day}: diff   {:8.0} k rows/s/core ({} inserts, {} updates, {} unchanged)",
        rate(compared),
        diff.inserts,
        diff.updates,
        diff.unchanged
    );
    println!(
        "day {day}: diff + write + commit {:8.0} k rows/s/core, {} MiB written, peak memory {} MiB",
        rate(all),
        prepared.bytes_written() >> 20,
        peak_mebibytes()
    );
}

#[tokio::main]
async fn main() {
    let rows = std::env::args()
        .nth(1)
        .map_or(200_000, |rows| rows.parse().unwrap());
    let table = Table::with(CatalogueOptions::default()).await;
    run_day(&table, rows, 0, 0).await;
    run_day(&table, rows, 1, 1).await;
    // The third day brings what the second brought: nothing changes.
    run_day(&table, rows, 2, 1).await;
    let shop = pipe("shop");
    let snapshot = table.catalogue.snapshot().await.unwrap();
    let middle = format!("{:010}", rows / 2);
    let start = Instant::now();
    let page = table
        .catalogue
        .products(&snapshot, &shop, Some(&middle), 1_000, None)
        .await
        .unwrap();
    println!(
        "page of {} rows in {:.1} ms",
        page.rows.num_rows(),
        start.elapsed().as_secs_f64() * 1e3
    );
    let start = Instant::now();
    let found = table
        .catalogue
        .product(&snapshot, &shop, &middle)
        .await
        .unwrap();
    assert!(found.is_some());
    println!(
        "one product in {:.1} ms",
        start.elapsed().as_secs_f64() * 1e3
    );
    let start = Instant::now();
    let since = Watermark {
        version: 2,
        offset: 0,
    };
    let page = table.catalogue.changes(since, None, 1_000).await.unwrap();
    println!(
        "{} changes in {:.1} ms",
        page.rows.num_rows(),
        start.elapsed().as_secs_f64() * 1e3
    );
}

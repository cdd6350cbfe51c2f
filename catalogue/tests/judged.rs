//! What comparing and writing tell the judge on their way, and what is left of
//! a write that is not believed.

#![allow(clippy::unwrap_used)]

#[path = "../src/testing.rs"]
mod testing;

use testing::{Product, Table, batch_of, pipe, run_of, stamp_of};
use trawler_catalogue::{CatalogueOptions, Deletes, Mode, SortLimits, Staged, Staging};

fn product(n: usize, price: i64) -> Product {
    Product::new(&format!("p{n:03}"))
        .title("a cup")
        .price(price)
}

fn staged(table: &Table, products: &[Product]) -> Staged {
    let mut staging = Staging::new(table.scratch.path(), SortLimits::default()).unwrap();
    staging.push(batch_of(products)).unwrap();
    staging.finish().unwrap()
}

#[tokio::test]
async fn prices_are_compared_and_examples_kept_while_rows_are_written() {
    let table = Table::with(CatalogueOptions::default()).await;
    let shop = pipe("shop");
    let first: Vec<Product> = (0..40).map(|n| product(n, 1_000)).collect();
    let rows = staged(&table, &first);
    let base = table.catalogue.snapshot().await.unwrap();
    let diff = table.catalogue.diff(&base, &shop, &rows, Mode::Full);
    let diff = diff.await.unwrap();
    assert_eq!((diff.inserts, diff.same), (40, 0));
    assert_eq!(diff.examples.inserts.len(), 10);
    let run = run_of(&shop, 1);
    let stamp = stamp_of(&run);
    let prepared = table.catalogue.write(&diff, &stamp, Deletes::Apply);
    let prepared = prepared.await.unwrap();
    assert_eq!(prepared.price_moves().compared, 0);
    table.commit(&prepared, &run).await;

    // Ten as they were, five tenfold, five halved, one without a price; the
    // others are gone, and two are new.
    let mut second: Vec<Product> = (0..10).map(|n| product(n, 1_000)).collect();
    second.extend((10..15).map(|n| product(n, 10_000)));
    second.extend((15..20).map(|n| product(n, 500)));
    second.push(Product::new("p020").title("a cup"));
    second.extend((90..92).map(|n| product(n, 7)));
    let rows = staged(&table, &second);
    let base = table.catalogue.snapshot().await.unwrap();
    let diff = table.catalogue.diff(&base, &shop, &rows, Mode::Full);
    let diff = diff.await.unwrap();
    assert_eq!((diff.inserts, diff.updates, diff.deletes), (2, 11, 19));
    assert_eq!((diff.same, diff.unchanged), (10, 10));
    assert_eq!(diff.examples.inserts, ["p090", "p091"]);
    assert_eq!(diff.examples.deletes[0], "p021");
    let run = run_of(&shop, 2);
    let stamp = stamp_of(&run);
    let prepared = table.catalogue.write(&diff, &stamp, Deletes::Apply);
    let prepared = prepared.await.unwrap();
    let moves = prepared.price_moves();
    assert_eq!(
        (moves.compared, moves.beyond(2.0), moves.beyond(1.5)),
        (10, 5, 10)
    );
    assert_eq!(moves.examples.len(), 10);

    // Not believed: its files go, and what is stored is as it was.
    let far = chrono::DateTime::from_timestamp(4_000_000_000, 0).unwrap();
    assert!(!table.catalogue.orphans(far).await.unwrap().is_empty());
    table.catalogue.discard(prepared).await.unwrap();
    assert_eq!(table.catalogue.orphans(far).await.unwrap(), []);
    let now = table.catalogue.snapshot().await.unwrap();
    assert_eq!(now.version(), base.version());
    let page = table.catalogue.products(&now, &shop, None, 100, None);
    assert_eq!(page.await.unwrap().rows.num_rows(), 40);
}

#[tokio::test]
async fn a_summary_compares_what_it_lists() {
    let table = Table::with(CatalogueOptions::default()).await;
    let shop = pipe("shop");
    let first: Vec<Product> = (0..40).map(|n| product(n, 1_000)).collect();
    let rows = staged(&table, &first);
    let base = table.catalogue.snapshot().await.unwrap();
    let diff = table.catalogue.diff(&base, &shop, &rows, Mode::Full);
    let (diff, run) = (diff.await.unwrap(), run_of(&shop, 1));
    let stamp = stamp_of(&run);
    let prepared = table.catalogue.write(&diff, &stamp, Deletes::Apply);
    table.commit(&prepared.await.unwrap(), &run).await;

    let mut staging = Staging::new(table.scratch.path(), SortLimits::default()).unwrap();
    staging
        .push(batch_of(&[product(0, 1_000), product(1, 5_000)]))
        .unwrap();
    staging.push_deletes(&["p002", "unknown"]).unwrap();
    let rows = staging.finish().unwrap();
    let base = table.catalogue.snapshot().await.unwrap();
    let diff = table.catalogue.diff(&base, &shop, &rows, Mode::Summary);
    let diff = diff.await.unwrap();
    assert_eq!((diff.updates, diff.deletes, diff.same), (1, 1, 1));
}

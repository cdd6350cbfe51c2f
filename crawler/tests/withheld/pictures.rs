//! A picture that is taken out of several pipes while one of them is committed
//! again and again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use trawler_catalogue::Fence;
use trawler_core::PipeId;
use trawler_core::image::{ImageOutcome, ImageStatus, KnownImage, SourceFacts, StoredVariant};
use trawler_crawler::Withdrawer;

use crate::support::{TestClock, World};
use crate::testing::{Product, Table, pipe};

/// Times that a pipe is tried.
const TRIES: i64 = 16;

fn url(id: &str) -> String {
    format!("https://img.test/{id}.jpg")
}

fn products(title: &str) -> Vec<Product> {
    let product = |id: &str| Product::new(id).title(title).image(&url(id));
    ["1", "2", "3"].map(product).to_vec()
}

fn sha256() -> String {
    "ab".repeat(32)
}

fn shown(id: &str) -> ImageOutcome {
    ImageOutcome {
        product_id: id.to_owned(),
        url: url(id),
        status: ImageStatus::Stored,
        reason: String::new(),
        source: Some(SourceFacts {
            sha256: sha256(),
            format: "jpeg".to_owned(),
            ..SourceFacts::default()
        }),
        known: KnownImage {
            sha256: Some(sha256()),
            ..KnownImage::default()
        },
        variants: vec![StoredVariant {
            name: "thumb".to_owned(),
            key: "images/ab/thumb.jpg".to_owned(),
            width: 10,
            height: 10,
            bytes: 1,
            sha256: sha256(),
        }],
    }
}

async fn statuses(table: &Table, pipe: &PipeId) -> BTreeSet<String> {
    let rows = table.rows(pipe, 10).await.into_values();
    rows.map(|row| row["image_status"].as_str().unwrap().to_owned())
        .collect()
}

/// Those after it in the list had never been looked at, and it was said that
/// the next tick would do it, which none does.
#[tokio::test]
async fn a_pipe_that_is_changed_again_and_again_keeps_no_other_one_waiting() {
    let table = Arc::new(Table::new().await);
    let world = World::new(
        TestClock::frozen("2026-11-21T03:00:00Z"),
        std::time::Duration::from_secs(60),
    );
    let (busy, quiet) = (pipe("busy"), pipe("quiet"));
    for pipe in [&busy, &quiet] {
        table.full_run(pipe, 0, &products("first")).await;
        let outcomes = ["1", "2", "3"].map(shown);
        table.fold(pipe, 1, &outcomes).await;
    }
    let day = AtomicI64::new(1);
    let fence = Fence::new(|| async {
        let day = day.fetch_add(1, Ordering::SeqCst);
        // Just before each of its tries; those of the other pipe are let be.
        if day <= TRIES {
            let rows = products(&format!("of day {day}"));
            table.full_run(&busy, day, &rows).await;
        }
        true
    });
    let (documents, scratch) = (world.ports.documents(), tempfile::tempdir().unwrap());
    // In another process than the runs.
    let catalogue = table.reopened().await;
    let withdrawer = Withdrawer {
        documents: &documents,
        catalogue: &catalogue,
        clock: &*world.ports.clock,
        scratch: scratch.path(),
    };
    let pictures = BTreeSet::from([sha256()]);
    let pipes = vec![busy.clone(), quiet.clone()];
    let done = withdrawer.withdraw_from(pipes.clone(), &pictures, &fence);
    let done = done.await.unwrap();
    assert_eq!(done.rows, 3);
    let [(left, why)] = &*done.left else {
        panic!("{:?}", done.left);
    };
    assert_eq!(left, &busy);
    let why = why.to_string();
    assert!(why.contains(&format!("changed {TRIES} times")), "{why}");
    assert!(!why.contains("tick"), "{why}");
    let stored = BTreeSet::from(["stored".to_owned()]);
    let placeholder = BTreeSet::from(["placeholder".to_owned()]);
    assert_eq!(statuses(&table, &busy).await, stored);
    assert_eq!(statuses(&table, &quiet).await, placeholder);

    let fence = Fence::open();
    let again = withdrawer.withdraw_from(pipes, &pictures, &fence).await;
    let again = again.unwrap();
    assert_eq!((again.rows, again.left.len()), (3, 0));
    assert_eq!(statuses(&table, &busy).await, placeholder);
}

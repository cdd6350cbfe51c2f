//! Any day can be gone back to from any later one: the rows are those of the
//! day, the image state is what was known of them last, and the change feed
//! tells it.

#![allow(clippy::unwrap_used)]

#[path = "../src/testing.rs"]
mod testing;

use std::collections::BTreeMap;
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use trawler_catalogue::{Mode, NotShown, SortLimits, Watermark};
use trawler_core::image::{ImageOutcome, ImageStatus, KnownImage, SourceFacts, StoredVariant};
use trawler_core::{PipeId, RunId};

use testing::{Product, Row, Table, changes_of, pipe, replay, run_of, small_files};

const DAYS: i64 = 6;

fn random_products(rng: &mut SmallRng, day: i64) -> Vec<Product> {
    let (from, to) = (rng.random_range(0..60), rng.random_range(100..260));
    (from..to)
        .map(|n| {
            let title = match rng.random_range(0..4) {
                0 => format!("title of day {day}"),
                _ => "title".to_owned(),
            };
            let image = match rng.random_range(0..10) {
                0 => format!("http://img/{n}/{day}"),
                _ => format!("http://img/{n}"),
            };
            Product::new(&format!("{n:05}"))
                .title(&title)
                .price(1_000 + n)
                .image(&image)
        })
        .collect()
}

/// Some of the images of the day fail, which is an image state like another.
fn outcomes(rng: &mut SmallRng, rows: &BTreeMap<String, Row>, number: i64) -> Vec<ImageOutcome> {
    let mut some = Vec::new();
    for (id, row) in rows {
        if rng.random_range(0..3) == 0 {
            some.push(ImageOutcome {
                product_id: id.clone(),
                url: row["image_link"].as_str().unwrap().to_owned(),
                status: match number % 2 {
                    0 => ImageStatus::NotFound,
                    _ => ImageStatus::Timeout,
                },
                reason: format!("fold {number}"),
                source: None,
                known: KnownImage::default(),
                variants: Vec::new(),
            });
        }
    }
    some
}

async fn bring_back(
    table: &Table,
    to: &RunId,
    next: Option<i64>,
    restore: &RunId,
    not_shown: NotShown,
) -> bool {
    let catalogue = &table.catalogue;
    let then = catalogue.as_left_by(to, next).await.unwrap().unwrap();
    let base = catalogue.snapshot().await.unwrap();
    let limits = SortLimits {
        buffer_bytes: 64 << 10,
        fan_in: 3,
    };
    let restoring = catalogue
        .compare(&base, &then, &to.pipe, table.scratch.path(), limits)
        .await
        .unwrap();
    if restoring.is_unchanged() {
        return false;
    }
    let prepared = catalogue
        .bring_back(&restoring, restore, not_shown)
        .await
        .unwrap();
    table.commit(&prepared, restore).await;
    true
}

/// A row without what a restore may leave as it is: who wrote it last where its
/// content is the same, and the state of an image link that it still has.
fn content(row: &Row) -> Row {
    let mut row = row.clone();
    row.retain(|name, _| {
        !["updated", "run", "first_seen"].contains(&name.as_str()) && !name.starts_with("image_")
            || name == "image_link"
    });
    row
}

async fn one_history(seed: u64) {
    println!("seed {seed}");
    let mut rng = SmallRng::seed_from_u64(seed);
    let (table, shop, other) = (Table::new().await, pipe("shop"), pipe("other"));
    let mut left: Vec<(RunId, BTreeMap<String, Row>)> = Vec::new();
    let mut versions = Vec::new();
    for day in 0..DAYS {
        let products = random_products(&mut rng, day);
        let (_, version) = table.full_run(&shop, day, &products).await;
        versions.push(version);
        table
            .full_run(&other, day, &random_products(&mut rng, day))
            .await;
        for fold in 0..2 {
            let rows = table.rows(&shop, 70).await;
            let number = day * 2 + fold + 1;
            let some = outcomes(&mut rng, &rows, number);
            table.fold(&shop, number, &some).await;
        }
        left.push((run_of(&shop, day), table.rows(&shop, 70).await));
    }
    let others = table.rows(&other, 70).await;
    for step in 0..4 {
        let at = rng.random_range(0..left.len() - 1);
        let (to, then) = &left[at];
        let hint = rng.random_bool(0.5).then(|| versions[at + 1]);
        let before = table.rows(&shop, 70).await;
        let end = Watermark::after(&table.catalogue.snapshot().await.unwrap());
        let restore = run_of(&shop, DAYS + step);
        let shown = NotShown::default();
        let is_changed = bring_back(&table, to, hint, &restore, shown).await;
        let now = table.rows(&shop, 70).await;
        let same: Vec<Row> = then.values().map(content).collect();
        assert_eq!(
            now.values().map(content).collect::<Vec<_>>(),
            same,
            "to {to}"
        );
        for (id, row) in &now {
            let unchanged = before
                .get(id)
                .filter(|was| was["row_hash"] == row["row_hash"]);
            match unchanged {
                Some(was) => assert_eq!(row, was, "{id} was not to be touched"),
                None => {
                    for name in ["first_seen", "updated", "run"] {
                        assert_eq!(row[name], then[id][name], "{name} of {id}");
                    }
                    let link = |row: &Row| row["image_link"].clone();
                    let known = before.get(id).filter(|was| link(was) == link(row));
                    let expected = &known.unwrap_or(&then[id])["image_status"];
                    assert_eq!(&row["image_status"], expected, "image of {id}");
                }
            }
        }
        let key = |id: &String| (shop.to_string(), id.clone());
        let mut copy: BTreeMap<(String, String), Row> = before
            .iter()
            .map(|(id, row)| (key(id), row.clone()))
            .collect();
        let (changes, _) = changes_of(&table.catalogue, end, None, 50).await;
        assert_eq!(changes.is_empty(), !is_changed);
        replay(&mut copy, changes);
        let copied: Vec<&Row> = copy.values().collect();
        assert_eq!(copied, now.values().collect::<Vec<_>>());
    }
    assert_eq!(table.rows(&other, 70).await, others);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_day_can_be_gone_back_to_and_followers_get_there() {
    for seed in 0..2 {
        one_history(seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_never_landed_has_no_version() {
    let (table, shop) = (Table::new().await, pipe("shop"));
    let absent = async |run: &RunId| {
        let found = table.catalogue.as_left_by(run, None).await.unwrap();
        assert!(found.is_none(), "{run}");
    };
    absent(&run_of(&shop, 0)).await;
    for day in [0, 2] {
        let product = Product::new("hat").title(&format!("{day}"));
        table.full_run(&shop, day, &[product]).await;
    }
    absent(&run_of(&shop, 1)).await;
    absent(&run_of(&shop, 3)).await;
    absent(&run_of(&pipe("other"), 0)).await;
    let found = table.catalogue.as_left_by(&run_of(&shop, 0), Some(1)).await;
    assert!(found.unwrap().is_some(), "a wrong hint is seen through");
}

fn pictured(id: &str, sha256: &str) -> ImageOutcome {
    let variant = StoredVariant {
        name: "thumb".to_owned(),
        key: format!("images/{sha256}/thumb.jpg"),
        width: 10,
        height: 10,
        bytes: 10,
        sha256: sha256.to_owned(),
    };
    ImageOutcome {
        product_id: id.to_owned(),
        url: format!("http://img/{id}"),
        status: ImageStatus::Stored,
        reason: String::new(),
        source: Some(SourceFacts {
            sha256: sha256.to_owned(),
            format: "jpeg".to_owned(),
            ..SourceFacts::default()
        }),
        known: KnownImage {
            sha256: Some(sha256.to_owned()),
            recipe: Some("r1".to_owned()),
            ..KnownImage::default()
        },
        variants: vec![variant],
    }
}

fn shows(row: &Row, sha256: &str) -> bool {
    let variants = row.get("image_variants");
    let variants = variants.and_then(|list| list.as_array());
    row.get("image_sha256").is_some_and(|found| found == sha256)
        && (row["image_status"] == "stored" || variants.is_some_and(|list| !list.is_empty()))
}

/// No follower hears at any time of a row with a picture that was blocked
/// before it came back, be it inserted or updated, by a run or by a restore.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_come_back_without_a_picture_that_was_blocked_since() {
    let hat = |id: &str, title: &str| {
        let product = Product::new(id).title(title);
        product.image(&format!("http://img/{id}"))
    };
    let not_shown = || NotShown {
        pictures: ["theirs".to_owned()].into(),
        ..NotShown::default()
    };
    for by_restore in [false, true] {
        let (table, shop) = (Table::new().await, pipe("shop"));
        let now = chrono::Utc::now().timestamp_millis() - testing::DAY_0_MS;
        let now = std::time::Duration::from_millis(now.max(0) as u64);
        table.clock.advance(now);
        let all = [hat("a", "x"), hat("b", "x"), hat("c", "x"), hat("own", "x")];
        table.full_run(&shop, 0, &all).await;
        let pictures = ["a", "b", "c"].map(|id| pictured(id, "theirs"));
        let own = pictured("own", "own");
        table
            .fold(&shop, 1, &[&pictures[..], &[own]].concat())
            .await;
        let before = table.rows(&shop, 10).await;
        // One goes, one has another picture, one another title; of the last the
        // picture is not taken out yet when it comes back.
        let other = hat("b", "x").image("http://img/other");
        let bad = [other, hat("c", "y")];
        table.full_run(&shop, 1, &bad).await;
        let since = Watermark::after(&table.catalogue.snapshot().await.unwrap());
        let run = run_of(&shop, 2);
        if by_restore {
            let to = run_of(&shop, 0);
            assert!(bring_back(&table, &to, None, &run, not_shown()).await);
        } else {
            let staged = table.staged(&all, &[]);
            let base = table.catalogue.snapshot().await.unwrap();
            let diff = table.catalogue.diff(&base, &shop, &staged, Mode::Full);
            let diff = diff.await.unwrap();
            table.commit_diff(&diff, &run, not_shown()).await;
        }
        let (changes, _) = changes_of(&table.catalogue, since, None, 50).await;
        assert_eq!(changes.len(), 6, "{changes:#?}");
        for change in &changes {
            let is_old = change["_change_type"] == "update_preimage";
            assert!(is_old || !shows(change, "theirs"), "{change:#?}");
        }
        let rows = table.rows(&shop, 10).await;
        for id in ["a", "c"] {
            assert_eq!(rows[id]["image_status"], "placeholder", "{id}");
            assert_eq!(rows[id]["image_reason"], "it is blocked", "{id}");
            assert_eq!(rows[id]["image_sha256"], "theirs", "{id}");
            assert_eq!(rows[id]["first_seen"], before[id]["first_seen"]);
        }
        let of_b = if by_restore { "placeholder" } else { "pending" };
        assert_eq!(rows["b"]["image_status"], of_b);
        assert!(shows(&rows["own"], "own"));
    }
}

/// A commit is made and read on paper, and the table underneath has none of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_committed_on_paper_stays_on_paper() {
    let (table, shop): (Table, PipeId) = (Table::new().await, pipe("shop"));
    let products = |title: &str| -> Vec<Product> {
        (0..200)
            .map(|n| Product::new(&format!("{n:05}")).title(title))
            .collect()
    };
    table.full_run(&shop, 0, &products("first")).await;
    let (rows, objects) = (table.rows(&shop, 70).await, table.objects());
    let folder = tempfile::tempdir().unwrap();
    let over = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
    let paper = Table {
        catalogue: table
            .catalogue
            .on_paper(Arc::new(over), small_files())
            .await
            .unwrap(),
        ..Table::new().await
    };
    assert_eq!(paper.rows(&shop, 70).await, rows);
    for day in 1..9 {
        // Past a checkpoint, which also is on paper.
        paper
            .full_run(&shop, day, &products(&format!("paper {day}")))
            .await;
    }
    let written = paper.rows(&shop, 70).await;
    assert!(written.values().all(|row| row["title"] == "paper 8"));
    let (changes, _) = changes_of(&paper.catalogue, Watermark::START, None, 500).await;
    assert_eq!(changes.len(), 200 + 8 * 400);
    assert_eq!(table.objects(), objects);
    // What is committed underneath meanwhile is not mixed in.
    table.full_run(&shop, 1, &products("second")).await;
    assert_eq!(paper.rows(&shop, 70).await, written);
    let rows = table.rows(&shop, 70).await;
    assert!(rows.values().all(|row| row["title"] == "second"));
}

//! Random days against a model in memory: after every commit the table holds
//! what the model holds, and the change feed leads to the same.

#![allow(clippy::unwrap_used)]

#[path = "../src/testing.rs"]
mod testing;

use std::collections::BTreeMap;

use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, IteratorRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use serde_json::Value;
use trawler_catalogue::{Deletes, Mode, Watermark};
use trawler_core::PipeId;

use testing::{Product, Row, Table, changes_of, pipe, replay, run_of};

/// What the table should hold of a product.
#[derive(Debug, Clone, PartialEq)]
struct Kept {
    product: Product,
    first_day: i64,
    changed_day: i64,
}

type Model = BTreeMap<String, Kept>;

/// The day on which each id that is gone was first seen.
type Gone = BTreeMap<String, i64>;

struct Day {
    products: Vec<Product>,
    deletes: Vec<String>,
    mode: Mode,
    hold: Deletes,
}

fn product(random: &mut SmallRng, id: &str) -> Product {
    let mut product = Product::new(id).title(&format!("title {}", random.random_range(0..5)));
    if random.random_bool(0.7) {
        product = product.price(random.random_range(0..3));
    }
    if random.random_bool(0.6) {
        product = product.image(&format!("http://img/{}", random.random_range(0..3)));
    }
    if random.random_bool(0.3) {
        product = product.extra("colour", "red");
    }
    product
}

/// A day's input: mostly what is there, some of it changed, some gone, some
/// new, in no order and with duplicates.
fn day(random: &mut SmallRng, model: &Model) -> Day {
    let full = random.random_bool(0.6);
    let mut products = Vec::new();
    let mut deletes = Vec::new();
    let share_seen = if full {
        random.random_range(0.5..1.0)
    } else {
        0.05
    };
    for (id, kept) in model {
        if !random.random_bool(share_seen) {
            continue;
        }
        products.push(match random.random_bool(0.1) {
            true => product(random, id),
            false => kept.product.clone(),
        });
    }
    let new = *[0, 3, 40, 300].choose(random).unwrap();
    for _ in 0..new {
        let id = format!("p{}", random.random_range(0..5_000));
        products.push(product(random, &id));
    }
    products.shuffle(random);
    for _ in 0..random.random_range(0..4) {
        if let Some(again) = products.iter().choose(random) {
            let again = product(random, &again.id.clone());
            products.push(again);
        }
    }
    if !full {
        deletes.extend(model.keys().choose_multiple(random, 5).into_iter().cloned());
        deletes.push("never seen".to_owned());
    }
    Day {
        products,
        deletes,
        mode: if full { Mode::Full } else { Mode::Summary },
        hold: if random.random_bool(0.2) {
            Deletes::Hold
        } else {
            Deletes::Apply
        },
    }
}

#[derive(Debug, Default, PartialEq)]
struct Expected {
    inserts: u64,
    updates: u64,
    deletes: u64,
}

/// What the day does to the model.
fn settle(model: &mut Model, left: &mut Gone, day: &Day, number: i64) -> Expected {
    let mut expected = Expected::default();
    let incoming: BTreeMap<&str, &Product> =
        day.products.iter().map(|p| (p.id.as_str(), p)).collect();
    // Deletes are pushed last, so they win over rows of the same day.
    let gone: Vec<String> = model
        .keys()
        .filter(|id| {
            let absent = day.mode == Mode::Full && !incoming.contains_key(id.as_str());
            absent || day.deletes.contains(id)
        })
        .cloned()
        .collect();
    expected.deletes = gone.len() as u64;
    if day.hold == Deletes::Apply {
        left.extend(gone.iter().map(|id| (id.clone(), model[id].first_day)));
        model.retain(|id, _| !gone.contains(id));
    }
    for (id, product) in incoming {
        if day.deletes.iter().any(|deleted| deleted == id) {
            continue;
        }
        match model.get_mut(id) {
            None => {
                expected.inserts += 1;
                let kept = Kept {
                    product: product.clone(),
                    first_day: left.get(id).copied().unwrap_or(number),
                    changed_day: number,
                };
                model.insert(id.to_owned(), kept);
            }
            Some(kept) if kept.product != *product => {
                expected.updates += 1;
                kept.product = product.clone();
                kept.changed_day = number;
            }
            Some(_) => {}
        }
    }
    expected
}

fn check_rows(pipe: &PipeId, found: &BTreeMap<String, Row>, model: &Model) {
    assert!(found.keys().eq(model.keys()), "ids of {pipe}");
    for (id, kept) in model {
        let row = &found[id];
        let product = &kept.product;
        let text = |name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
        assert_eq!(text("title"), product.title, "{id}");
        assert_eq!(
            row.get("price_minor").and_then(Value::as_i64),
            product.price
        );
        assert_eq!(text("image_link"), product.image_link);
        let status = product.image_link.as_ref().map(|_| "pending".to_owned());
        assert_eq!(text("image_status"), status);
        let extra = product
            .extra
            .as_ref()
            .map(|extra| serde_json::to_value(extra).unwrap());
        assert_eq!(row.get("extra"), extra.as_ref());
        let instant = |day: i64| {
            let due = run_of(pipe, day).due();
            due.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
        };
        assert_eq!(text("first_seen").unwrap(), instant(kept.first_day), "{id}");
        assert_eq!(text("updated").unwrap(), instant(kept.changed_day), "{id}");
        assert_eq!(
            text("run").unwrap(),
            run_of(pipe, kept.changed_day).to_string()
        );
    }
}

async fn check_seed(seed: u64) {
    eprintln!("seed {seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let table = Table::new().await;
    let pipes = [pipe("shop-a"), pipe("shop-b")];
    let mut models = [Model::new(), Model::new()];
    let mut left = [Gone::new(), Gone::new()];
    let mut copy = BTreeMap::new();
    let mut watermark = Watermark::START;
    for number in 0..12 {
        let at = random.random_range(0..2);
        let (pipe, model) = (&pipes[at], &mut models[at]);
        let day = day(&mut random, model);
        let expected = settle(model, &mut left[at], &day, number);
        let deletes: Vec<&str> = day.deletes.iter().map(String::as_str).collect();
        let staged = table.staged(&day.products, &deletes);
        let run = run_of(pipe, number);
        let before = table.objects();
        let (diff, prepared) = table.prepare(&run, &staged, day.mode, day.hold).await;
        let found = Expected {
            inserts: diff.inserts,
            updates: diff.updates,
            deletes: diff.deletes,
        };
        assert_eq!(found, expected, "seed {seed} day {number}");
        table.commit(&prepared, &run).await;
        let applied = match day.hold {
            Deletes::Apply => expected.deletes,
            Deletes::Hold => 0,
        };
        if expected.inserts + expected.updates + applied == 0 {
            let is_log = |path: &&String| path.starts_with("_delta_log");
            let after = table.objects();
            assert!(
                after
                    .keys()
                    .filter(|p| !is_log(p))
                    .eq(before.keys().filter(|p| !is_log(p)))
            );
        }
        let rows = table.rows(pipe, random.random_range(20..200)).await;
        check_rows(pipe, &rows, model);
        let stats = table.catalogue.snapshot().await.unwrap().stats(pipe);
        assert_eq!(stats.rows, model.len() as u64);
        let (changes, next) = changes_of(
            &table.catalogue,
            watermark,
            None,
            random.random_range(15..190),
        )
        .await;
        assert_eq!(
            changes.len() as u64,
            expected.inserts + 2 * expected.updates + applied
        );
        replay(&mut copy, changes);
        watermark = next;
    }
    check_replays(&table, &pipes, &models, &copy).await;
}

/// From the start, by pipe and in whole, the feed leads to what is stored.
async fn check_replays(
    table: &Table,
    pipes: &[PipeId; 2],
    models: &[Model; 2],
    copy: &BTreeMap<(String, String), Row>,
) {
    let (changes, _) = changes_of(&table.catalogue, Watermark::START, None, 500).await;
    let mut whole = BTreeMap::new();
    replay(&mut whole, changes);
    assert_eq!(&whole, copy);
    let reopened = table.reopened().await;
    for (pipe, model) in pipes.iter().zip(models) {
        let rows = testing::rows_of(&reopened, pipe, 1_000).await;
        check_rows(pipe, &rows, model);
        let (changes, _) = changes_of(&reopened, Watermark::START, Some(pipe), 77).await;
        let mut part = BTreeMap::new();
        replay(&mut part, changes);
        assert!(
            part.into_iter().eq(rows
                .into_iter()
                .map(|(id, row)| ((pipe.to_string(), id), row)))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_days_end_as_the_model_and_the_change_feed_leads_there() {
    for seed in 0..3 {
        check_seed(seed).await;
    }
}

fn products(count: usize) -> Vec<Product> {
    (0..count)
        .map(|n| Product::new(&format!("{n:05}")).title("same"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_run_writes_one_log_entry_and_nothing_else() {
    let table = Table::new().await;
    let pipe = pipe("shop");
    table.full_run(&pipe, 0, &products(500)).await;
    let mut before = table.objects();
    let (diff, version) = table.full_run(&pipe, 1, &products(500)).await;
    assert!(diff.is_unchanged());
    assert_eq!(diff.unchanged, 500);
    let after = table.objects();
    let entry = format!("_delta_log/{version:020}.json");
    let bytes = after[&entry];
    assert!(bytes < 1_500, "the entry has {bytes} bytes");
    before.insert(entry, bytes);
    assert_eq!(after, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_files_with_changed_rows_are_rewritten() {
    let table = Table::new().await;
    let pipe = pipe("shop");
    let mut products = products(500);
    table.full_run(&pipe, 0, &products).await;
    let files = |table: &Table| -> Vec<String> {
        let paths = table.objects().into_keys();
        paths.filter(|path| path.starts_with("pipe=shop")).collect()
    };
    let before = files(&table);
    assert_eq!(before.len(), 10);
    products[120] = products[120].clone().title("other");
    table.full_run(&pipe, 1, &products).await;
    assert_eq!(files(&table).len(), before.len() + 1);
    let stats = table.catalogue.snapshot().await.unwrap().stats(&pipe);
    assert_eq!((stats.files, stats.rows), (10, 500));
    // New rows at the end of full files go to a file of their own.
    products.extend((500..560).map(|n| Product::new(&format!("{n:05}"))));
    table.full_run(&pipe, 2, &products).await;
    assert_eq!(files(&table).len(), before.len() + 2);
    let change_files = table
        .objects()
        .into_keys()
        .filter(|p| p.starts_with("_change_data"));
    assert_eq!(change_files.count(), 1, "an append needs no change file");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_operation_on_an_id_wins() {
    let table = Table::new().await;
    let pipe = pipe("shop");
    table.full_run(&pipe, 0, &products(3)).await;
    let limits = trawler_catalogue::SortLimits::default();
    let mut staging = trawler_catalogue::Staging::new(table.scratch.path(), limits).unwrap();
    let one = |id: &str| testing::batch_of(&[Product::new(id).title("new")]);
    staging.push_deletes(&["00000", "00001"]).unwrap();
    staging.push(one("00000")).unwrap();
    staging.push(one("00002")).unwrap();
    staging.push_deletes(&["00002"]).unwrap();
    let staged = staging.finish().unwrap();
    assert_eq!((staged.rows(), staged.duplicates()), (3, 2));
    let run = run_of(&pipe, 1);
    let (diff, prepared) = table
        .prepare(&run, &staged, Mode::Summary, Deletes::Apply)
        .await;
    assert_eq!((diff.inserts, diff.updates, diff.deletes), (0, 1, 2));
    table.commit(&prepared, &run).await;
    let rows = table.rows(&pipe, 10).await;
    assert_eq!(rows.keys().collect::<Vec<_>>(), ["00000"]);
    assert_eq!(rows["00000"]["title"], "new");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_can_be_emptied_and_filled_again() {
    let table = Table::new().await;
    let pipe = pipe("shop");
    table.full_run(&pipe, 0, &products(120)).await;
    let (diff, _) = table.full_run(&pipe, 1, &[]).await;
    assert_eq!((diff.deletes, diff.live_rows), (120, 120));
    assert!(table.rows(&pipe, 10).await.is_empty());
    table.full_run(&pipe, 2, &products(7)).await;
    assert_eq!(table.rows(&pipe, 3).await.len(), 7);
    let (changes, _) = changes_of(&table.catalogue, Watermark::START, None, 50).await;
    assert_eq!(changes.len(), 120 + 120 + 7);
    let mut copy = BTreeMap::new();
    replay(&mut copy, changes);
    assert_eq!(copy.len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_product_and_any_page_are_found() {
    let table = Table::new().await;
    let pipe = pipe("shop");
    table.full_run(&pipe, 0, &products(333)).await;
    let snapshot = table.catalogue.snapshot().await.unwrap();
    for (id, there) in [
        ("00000", true),
        ("00332", true),
        ("00123", true),
        ("00123x", false),
        ("", false),
        ("z", false),
    ] {
        let found = table.catalogue.product(&snapshot, &pipe, id).await.unwrap();
        assert_eq!(
            found.is_some_and(|row| row.num_rows() == 1),
            there,
            "{id:?}"
        );
    }
    let check = |after: &'static str,
                 limit: usize,
                 first: Option<&'static str>,
                 next: Option<&'static str>| {
        let (table, pipe, snapshot) = (&table, &pipe, &snapshot);
        async move {
            let columns = ["title"];
            let page = table
                .catalogue
                .products(snapshot, pipe, Some(after), limit, Some(&columns))
                .await
                .unwrap();
            let rows = trawler_catalogue::rows_as_json(&page.rows);
            assert_eq!(
                rows.first().map(|row| row["id"].as_str().unwrap()),
                first,
                "{after}"
            );
            assert!(rows.iter().all(|row| row.len() == 2));
            assert_eq!(page.next.as_deref(), next);
        }
    };
    check("00009", 5, Some("00010"), Some("00014")).await;
    check("00049", 2, Some("00050"), Some("00051")).await;
    check("000495", 120, Some("00050"), Some("00169")).await;
    check("00330", 2, Some("00331"), None).await;
    check("00331", 2, Some("00332"), None).await;
    check("00332", 2, None, None).await;
    let unknown = table
        .catalogue
        .products(&snapshot, &pipe, None, 1, Some(&["colour"]))
        .await;
    assert!(unknown.unwrap_err().to_string().contains("colour"));
}

#[tokio::test(flavor = "multi_thread")]
async fn older_versions_and_checkpoints_are_the_same_table() {
    let table = Table::new().await;
    let shops: Vec<PipeId> = (0..3).map(|n| pipe(&format!("shop-{n}"))).collect();
    let mut live = Vec::new();
    for number in 0..20_i64 {
        let shop = &shops[usize::try_from(number).unwrap() % 3];
        let count = 40 + usize::try_from(number).unwrap() * 10;
        let (_, version) = table.full_run(shop, number, &products(count)).await;
        live.push((version, shop.clone(), count as u64));
    }
    let checkpoints = table
        .objects()
        .into_keys()
        .filter(|p| p.ends_with(".checkpoint.parquet"));
    assert_eq!(checkpoints.count(), 2);
    let by_log = table.catalogue.snapshot().await.unwrap();
    let by_checkpoint = table.reopened().await.snapshot().await.unwrap();
    assert_eq!(by_checkpoint.version(), by_log.version());
    assert!(by_checkpoint.pipes().eq(by_log.pipes()));
    for shop in &shops {
        let app_id = shop.as_str();
        assert_eq!(by_checkpoint.txn(app_id), by_log.txn(app_id));
    }
    for (version, shop, rows) in live {
        let snapshot = table.catalogue.snapshot_at(version).await.unwrap();
        assert_eq!(snapshot.live_rows(&shop), rows, "version {version}");
    }
    // A pointer that is gone or damaged costs time and nothing else.
    let pointer = table.folder.path().join("_delta_log/_last_checkpoint");
    for content in ["", "{", "{\"version\":3,\"size\":1}"] {
        std::fs::write(&pointer, content).unwrap();
        if content.contains("version") {
            std::fs::remove_file(&pointer).unwrap();
        }
        let again = table.reopened().await.snapshot().await.unwrap();
        assert!(again.pipes().eq(by_log.pipes()));
    }
    assert!(table.catalogue.snapshot_at(99).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watermark_that_cannot_be_continued_asks_for_a_resync() {
    let table = Table::new().await;
    let pipe = pipe("shop");
    let mut rows = products(60);
    table.full_run(&pipe, 0, &rows).await;
    rows[3] = rows[3].clone().title("other");
    let (_, version) = table.full_run(&pipe, 1, &rows).await;
    let resync = |version: i64, offset: u64| {
        let catalogue = &table.catalogue;
        async move {
            let since = Watermark { version, offset };
            let error = catalogue.changes(since, None, 10).await.unwrap_err();
            assert!(error.to_string().contains("resync"), "{error}");
        }
    };
    resync(version + 2, 0).await;
    resync(version + 1, 1).await;
    resync(version, 3).await;
    let end = Watermark {
        version: version + 1,
        offset: 0,
    };
    let page = table.catalogue.changes(end, None, 10).await.unwrap();
    assert!(page.is_end && page.rows.num_rows() == 0 && page.next == end);
    let snapshot = table.catalogue.snapshot().await.unwrap();
    assert_eq!(Watermark::after(&snapshot), end);
    std::fs::remove_dir_all(table.folder.path().join("_change_data")).unwrap();
    resync(version, 0).await;
    std::fs::remove_file(
        table
            .folder
            .path()
            .join(format!("_delta_log/{:020}.json", 1)),
    )
    .unwrap();
    resync(0, 0).await;
}

//! Rows that nobody is shown: random days and decisions against a model. After
//! every commit readers see what the model shows them, the change feed leads to
//! the same, and what is let out again is what it was.

#![allow(clippy::unwrap_used)]

#[path = "../src/testing.rs"]
mod testing;

use std::collections::BTreeMap;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use trawler_catalogue::{
    Catalogue, CatalogueOptions, CommitError, CommitOutcome, Deletes, Fence, Mode, NotShown,
    SortLimits, Watermark, rows_as_json,
};
use trawler_core::PipeId;
use trawler_core::image::{ImageOutcome, ImageStatus, KnownImage};
use trawler_core::pipe::PipeState;
use trawler_core::withheld::{Act, Withholding};

use testing::{Product, Row, Table, changes_of, decide, pipe, replay, run_of, txn_of};

fn block(id: &str) -> Act {
    Act::Block { id: id.to_owned() }
}

fn unblock(id: &str) -> Act {
    Act::Unblock { id: id.to_owned() }
}

/// Every stored row by id, also those that are withheld.
async fn stored(table: &Table, pipe: &PipeId, limit: usize) -> BTreeMap<String, Row> {
    let snapshot = table.catalogue.snapshot().await.unwrap();
    let (mut rows, mut after) = (BTreeMap::new(), None::<String>);
    loop {
        let page = table
            .catalogue
            .stored_products(&snapshot, pipe, after.as_deref(), limit);
        let page = page.await.unwrap();
        for row in rows_as_json(&page.rows) {
            rows.insert(row["id"].as_str().unwrap().to_owned(), row);
        }
        after = page.next;
        if after.is_none() {
            return rows;
        }
    }
}

/// Reads the change feed on and holds the copy against what readers see.
struct Copy {
    rows: BTreeMap<(String, String), Row>,
    at: Watermark,
}

impl Copy {
    fn new() -> Self {
        Self {
            rows: BTreeMap::new(),
            at: Watermark::START,
        }
    }

    /// Gives the kinds of the changes and their ids.
    async fn follow(&mut self, table: &Table) -> Vec<String> {
        let (changes, next) = changes_of(&table.catalogue, self.at, None, 17).await;
        self.at = next;
        let said = |change: &Row| {
            let text = |name: &str| change[name].as_str().unwrap().to_owned();
            format!("{} {}", text("_change_type"), text("id"))
        };
        let told = changes.iter().map(said).collect();
        replay(&mut self.rows, changes);
        told
    }

    fn of(&self, pipe: &PipeId) -> BTreeMap<String, Row> {
        let rows = self.rows.iter();
        rows.filter(|((of, _), _)| of == pipe.as_str())
            .map(|((_, id), row)| (id.clone(), row.clone()))
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_days_and_decisions_show_readers_what_the_model_shows() {
    for seed in 0..6 {
        random_days(seed).await;
    }
}

async fn random_days(seed: u64) {
    println!("seed {seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let table = Table::new().await;
    let pipes = [pipe("one"), pipe("two")];
    let mut documents = pipes.clone().map(Withholding::none);
    let mut models: [BTreeMap<String, Product>; 2] = [BTreeMap::new(), BTreeMap::new()];
    let mut copy = Copy::new();
    for day in 0..25 {
        let which = random.random_range(0..2);
        let (document, model) = (&mut documents[which], &mut models[which]);
        let id = |random: &mut SmallRng| format!("{:03}", random.random_range(0..60));
        if random.random_bool(0.5) {
            let act = match random.random_range(0..7) {
                0 => Act::Hide,
                1 => Act::Retire,
                2 => Act::Show,
                3 => Act::State {
                    state: PipeState::Shadow,
                },
                4 => Act::State {
                    state: PipeState::Live,
                },
                5 => block(&id(&mut random)),
                _ => match document.blocked.keys().next().cloned() {
                    Some(id) => unblock(&id),
                    None => block(&id(&mut random)),
                },
            };
            let before = document.revision;
            decide(document, &act);
            if document.revision > before {
                table.withhold(document, &act).await;
                // The same once more changes nothing.
                let base = table.catalogue.snapshot().await.unwrap();
                let again = table.catalogue.withhold(&base, document).await.unwrap();
                assert_eq!(again.rows, 0);
                let fence = Fence::open();
                let again = table.catalogue.commit(&again.prepared, &again.txn, &fence);
                let again = again.await.unwrap();
                assert!(!matches!(again, CommitOutcome::Superseded { .. }));
            }
        } else {
            model.clear();
            for _ in 0..random.random_range(0..50) {
                let id = id(&mut random);
                let title = format!("title {}", random.random_range(0..3));
                model.insert(id.clone(), Product::new(&id).title(&title));
            }
            let products: Vec<Product> = model.values().cloned().collect();
            table.withheld_run(document, day, &products).await;
        }
        copy.follow(&table).await;
        for (document, model) in documents.iter().zip(&models) {
            let policy = document.policy();
            let titles = |rows: &BTreeMap<String, Row>| -> Vec<(String, Value)> {
                let rows = rows.iter();
                rows.map(|(id, row)| (id.clone(), row["title"].clone()))
                    .collect()
            };
            let expected = |all: bool| -> Vec<(String, Value)> {
                let rows = model.iter();
                rows.filter(|(id, _)| all || policy.of(id).is_none())
                    .map(|(id, product)| (id.clone(), Value::from(product.title.clone())))
                    .collect()
            };
            let page = random.random_range(1..70);
            let shown = table.rows(&document.pipe, page).await;
            assert_eq!(titles(&shown), expected(false), "seed {seed} day {day}");
            assert_eq!(copy.of(&document.pipe), shown, "seed {seed} day {day}");
            let kept = stored(&table, &document.pipe, page).await;
            assert_eq!(titles(&kept), expected(true), "seed {seed} day {day}");
            let why = |id: &str| policy.of(id).map(|why| why.as_str());
            for (id, row) in &kept {
                let found = row.get("withheld").and_then(Value::as_str);
                assert_eq!(found, why(id), "seed {seed} {id}");
            }
            let blocked = kept.keys().find(|id| document.blocked.contains_key(*id));
            for id in kept.keys().next().into_iter().chain(blocked) {
                let snapshot = table.catalogue.snapshot().await.unwrap();
                let found = table.catalogue.product(&snapshot, &document.pipe, id);
                assert_eq!(found.await.unwrap().is_some(), why(id).is_none());
            }
        }
    }
}

fn hats() -> [Product; 3] {
    ["a", "b", "c"].map(|id| {
        Product::new(id)
            .title(id)
            .image(&format!("http://img/{id}"))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_pipe_is_stored_and_nobody_hears_of_it() {
    let (table, mut copy) = (Table::new().await, Copy::new());
    let mut document = Withholding::none(pipe("shop"));
    let state = |state| Act::State { state };
    let shadow = state(PipeState::Shadow);
    assert_eq!(table.withhold(&mut document, &shadow).await, 0);
    table.withheld_run(&document, 1, &hats()).await;
    table.withheld_run(&document, 2, &hats()[..2]).await;
    assert!(copy.follow(&table).await.is_empty());
    assert!(table.rows(&document.pipe, 10).await.is_empty());
    assert_eq!(stored(&table, &document.pipe, 10).await.len(), 2);
    let live = state(PipeState::Live);
    assert_eq!(table.withhold(&mut document, &live).await, 2);
    assert_eq!(copy.follow(&table).await, ["insert a", "insert b"]);
    let first = &table.rows(&document.pipe, 10).await["a"]["first_seen"];
    let due = run_of(&document.pipe, 1).due();
    let due = due.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
    assert_eq!(first.as_str(), Some(&*due));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_product_comes_back_with_its_picture_and_first_day() {
    let (table, mut copy) = (Table::new().await, Copy::new());
    let mut document = Withholding::none(pipe("shop"));
    table.withheld_run(&document, 1, &hats()).await;
    let outcome = ImageOutcome {
        product_id: "b".to_owned(),
        url: "http://img/b".to_owned(),
        status: ImageStatus::NotFound,
        reason: "404".to_owned(),
        source: None,
        known: KnownImage::default(),
        variants: Vec::new(),
    };
    table
        .fold(&document.pipe, 1, std::slice::from_ref(&outcome))
        .await;
    copy.follow(&table).await;
    let before = table.rows(&document.pipe, 10).await["b"].clone();

    decide(&mut document, &block("b"));
    assert_eq!(
        table.withhold(&mut document, &block("not there yet")).await,
        1
    );
    assert_eq!(copy.follow(&table).await, ["delete b"]);
    // The feed lists it again, and also changed: it stays blocked, and what is
    // fetched for it is kept.
    table.withheld_run(&document, 2, &hats()).await;
    let mut changed = hats();
    changed[1] = changed[1].clone().price(5);
    table.withheld_run(&document, 3, &changed).await;
    let unreachable = ImageOutcome {
        status: ImageStatus::Timeout,
        ..outcome
    };
    table
        .fold(&document.pipe, 2, std::slice::from_ref(&unreachable))
        .await;
    assert!(copy.follow(&table).await.is_empty());
    let come = [
        changed.as_slice(),
        &[Product::new("not there yet").title("x")],
    ]
    .concat();
    table.withheld_run(&document, 4, &come).await;
    assert!(copy.follow(&table).await.is_empty());

    table.withhold(&mut document, &unblock("b")).await;
    assert_eq!(copy.follow(&table).await, ["insert b"]);
    let after = table.rows(&document.pipe, 10).await["b"].clone();
    assert_eq!(after["first_seen"], before["first_seen"]);
    assert_eq!(after["image_status"], "timeout");
    assert_eq!(after["price_minor"], 5);
    // While it is blocked it may go for good, unheard.
    let gone = ImageOutcome {
        product_id: "c".to_owned(),
        url: "http://img/c".to_owned(),
        ..unreachable
    };
    table.fold(&document.pipe, 3, &[gone]).await;
    let before = table.rows(&document.pipe, 10).await["c"].clone();
    copy.follow(&table).await;
    table.withhold(&mut document, &block("c")).await;
    table.withheld_run(&document, 5, &hats()[..2]).await;
    let told = copy.follow(&table).await;
    assert_eq!(told[0], "delete c", "{told:?}");
    assert!(
        !told[1..].iter().any(|told| told.ends_with(" c")),
        "{told:?}"
    );
    // What was known of it is kept, in a file that is not anybody's remains.
    let far = chrono::DateTime::<chrono::Utc>::MAX_UTC;
    assert_eq!(table.catalogue.orphans(far).await.unwrap(), []);
    table.withhold(&mut document, &unblock("c")).await;
    table.withheld_run(&document, 6, &hats()).await;
    assert_eq!(copy.follow(&table).await, ["insert c"]);
    let after = table.rows(&document.pipe, 10).await["c"].clone();
    assert_eq!(after["first_seen"], before["first_seen"]);
    assert_eq!(after["image_status"], "timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_did_not_know_the_decision_is_refused() {
    // Whether the decision changes a row, or only speaks of one to come.
    for id in ["a", "later"] {
        let table = Table::new().await;
        let mut document = Withholding::none(pipe("shop"));
        table.withheld_run(&document, 1, &hats()).await;
        let later = run_of(&document.pipe, 2);
        let staged = table.staged(&[Product::new("later").title("l")], &[]);
        let apply = Deletes::Apply;
        let (_, prepared) = table.prepare(&later, &staged, Mode::Summary, apply).await;
        table.withhold(&mut document, &block(id)).await;
        let fence = Fence::open();
        let txn = txn_of(&later);
        let refused = table.catalogue.commit(&prepared, &txn, &fence).await;
        let refused = refused.unwrap_err();
        assert!(matches!(refused, CommitError::Conflict { .. }), "{refused}");
        // And the other way round: the decision that did not know the run.
        let base = table.catalogue.snapshot().await.unwrap();
        decide(&mut document, &unblock(id));
        let made = table.catalogue.withhold(&base, &document).await.unwrap();
        table.withheld_run(&document, 3, &hats()[..1]).await;
        let refused = table.catalogue.commit(&made.prepared, &made.txn, &fence);
        let refused = refused.await.unwrap_err();
        assert!(matches!(refused, CommitError::Conflict { .. }), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_carry_out_one_decision_make_one_commit() {
    let table = Table::new().await;
    let mut document = Withholding::none(pipe("shop"));
    table.withheld_run(&document, 1, &hats()).await;
    decide(&mut document, &Act::Hide);
    let base = table.catalogue.snapshot().await.unwrap();
    let one = table.catalogue.withhold(&base, &document).await.unwrap();
    let two = table.reopened().await;
    let base = two.snapshot().await.unwrap();
    let other = two.withhold(&base, &document).await.unwrap();
    let fence = Fence::open();
    let first = table.catalogue.commit(&one.prepared, &one.txn, &fence);
    let first = first.await.unwrap();
    let second = two.commit(&other.prepared, &other.txn, &fence);
    let second = second.await.unwrap();
    assert!(matches!(first, CommitOutcome::Committed { .. }));
    assert_eq!(second, CommitOutcome::AlreadyCommitted);
    let CommitOutcome::Committed { version, .. } = first else {
        panic!("{first:?}");
    };
    assert_eq!(table.catalogue.snapshot().await.unwrap().version(), version);
    assert!(table.rows(&document.pipe, 10).await.is_empty());
}

/// The command and a worker carry out one decision, or two go on with one
/// restore, and one of them makes smaller files.
#[tokio::test(flavor = "multi_thread")]
async fn who_comes_second_by_other_settings_does_not_write_over_what_is_committed() {
    let table = Table::new().await;
    let mut document = Withholding::none(pipe("shop"));
    let hats: Vec<Product> = (0..120)
        .map(|n| Product::new(&format!("{n:03}")).title("x"))
        .collect();
    table.withheld_run(&document, 1, &hats).await;
    table.withheld_run(&document, 2, &hats[..100]).await;
    let other = CatalogueOptions {
        file_rows: 30,
        row_group_rows: 10,
        ..testing::small_files()
    };
    let other = Catalogue::open(table.store.clone(), other, table.clock.clone());
    let other = other.await.unwrap();
    let fence = Fence::open();

    decide(&mut document, &Act::Hide);
    let base = table.catalogue.snapshot().await.unwrap();
    let made = table.catalogue.withhold(&base, &document).await.unwrap();
    let committed = table.catalogue.commit(&made.prepared, &made.txn, &fence);
    committed.await.unwrap();
    other.withhold(&base, &document).await.unwrap();
    assert_eq!(stored(&table, &document.pipe, 50).await.len(), 100);

    let base = table.catalogue.snapshot().await.unwrap();
    let (to, restore) = (run_of(&document.pipe, 1), run_of(&document.pipe, 3));
    let brought_back = async |catalogue: &Catalogue| {
        let then = catalogue.as_left_by(&to, None).await.unwrap().unwrap();
        let (scratch, limits) = (table.scratch.path(), SortLimits::default());
        let compared = catalogue.compare(&base, &then, &to.pipe, scratch, limits);
        let compared = compared.await.unwrap();
        let not_shown = NotShown {
            products: document.policy(),
            ..NotShown::default()
        };
        let prepared = catalogue.bring_back(&compared, &restore, not_shown);
        prepared.await.unwrap()
    };
    let prepared = brought_back(&table.catalogue).await;
    table.commit(&prepared, &restore).await;
    brought_back(&other).await;
    assert_eq!(stored(&table, &document.pipe, 50).await.len(), 120);
}

//! Pictures of products that nobody is shown: what a restore needs stays, as of
//! any other.

use std::time::Duration;

use trawler_catalogue::SortLimits;
use trawler_core::PipeId;
use trawler_core::feed::FeedMode;
use trawler_core::run::{Run, RunPhase};
use trawler_core::withheld::{Act, Withholding};
use trawler_fleet::Pauses;
use trawler_upkeep::RestoreOptions;

use crate::testing::{Product, run_of};
use crate::world::{DAY, World, key_of, outcome, url_of};

fn product(id: &str, picture: u32) -> Product {
    Product::new(id).title("x").image(&url_of(picture))
}

async fn landed(world: &World, day: i64, version: i64) {
    let run = run_of(&world.shop, day);
    let document = Run {
        phase: RunPhase::Finished,
        version: Some(version),
        finished: Some(run.due()),
        ..Run::plan(run.clone(), FeedMode::Full, run.due())
    };
    let documents = world.ports.documents();
    documents.put(&Run::key(&run), &document).await.unwrap();
}

/// Keys of all pictures that the pipe's rows name, withheld or not.
async fn named(world: &World, pipe: &PipeId) -> Vec<String> {
    let catalogue = &world.table.catalogue;
    let snapshot = catalogue.snapshot().await.unwrap();
    let rows = catalogue.stored_images(&snapshot, pipe, 0, 1_000).await;
    let rows = rows.unwrap().into_iter();
    let variants = rows.flat_map(|row| row.variants);
    variants.map(|variant| variant.key).collect()
}

async fn runs_on(world: &World, document: &Withholding, day: i64, products: &[Product]) {
    let version = world.table.withheld_run(document, day, products).await;
    landed(world, day, version).await;
}

/// Three pictures are stored and the pipe is withheld for more than the grace
/// period. Then one product goes, one has another picture, and one is fetched
/// anew.
async fn comes_back_with_its_pictures(act: Act) {
    let world = World::new().await;
    let mut document = Withholding::none(world.shop.clone());
    let ids = ["a", "b", "c"];
    let products = [1, 2, 3].map(|n| product(ids[n as usize - 1], n));
    runs_on(&world, &document, 0, &products).await;
    let outcomes = [1, 2, 3].map(|n| outcome(ids[n as usize - 1], n));
    let pictures = [1, 2, 3].map(|n| world.leave(n));
    world.table.fold(&world.shop, 1, &outcomes).await;
    world.table.withhold(&mut document, &act).await;
    world.pass(DAY * 8);

    let bad = [product("b", 4), product("c", 3)];
    runs_on(&world, &document, 8, &bad).await;
    let mut anew = outcome("c", 5);
    anew.url = url_of(3);
    world.leave(5);
    world.table.fold(&world.shop, 9, &[anew]).await;
    world.remove(true).await.unwrap();
    world.pass(DAY + Duration::from_secs(3_600));
    world.remove(true).await.unwrap();

    let options = RestoreOptions {
        to: run_of(&world.shop, 0),
        by: "ann".to_owned(),
        why: String::new(),
        kept: chrono::Duration::days(7),
        sort: SortLimits::default(),
    };
    let pauses = Pauses::new(&world.ports);
    world.upkeep.restore(&options, &pauses).await.unwrap();
    let named = named(&world, &world.shop).await;
    assert_eq!(
        named,
        [&pictures[0], &pictures[1], &key_of(5)].map(String::clone)
    );
    let stored = world.stored();
    for key in named.iter().chain(&pictures) {
        assert!(stored.contains(key), "{act:?}: {key} is gone");
    }
}

#[tokio::test]
async fn pictures_that_a_restore_needs_stay_though_nobody_was_shown_them() {
    let block = |id: &str| Act::Block { id: id.to_owned() };
    for act in [Act::Hide, Act::Retire] {
        comes_back_with_its_pictures(act).await;
    }
    for id in ["a", "b", "c"] {
        comes_back_with_its_pictures(block(id)).await;
    }
}

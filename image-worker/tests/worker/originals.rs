//! Kept originals, and variants of an earlier recipe.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use trawler_core::image::{
    Fit, ImageOutcome, ImageStatus, ORIGINAL, Originals, OutputFormat, SourceFacts,
};
use trawler_core::job::{ImageTask, Remake};
use trawler_core::ports::BlobMeta;
use trawler_shop::{DayChange, ShopSpec};

use crate::bench::{STORED, UNCHANGED};
use crate::world::*;

async fn keeping(products: u32) -> World {
    let mut world = World::start(shop_of(products)).await;
    world.originals = Originals::Keep;
    world
}

/// Tasks for what was stored, as the planner writes them after the recipe has
/// changed.
fn outdated(outcomes: &[ImageOutcome], alone: bool) -> Vec<ImageTask> {
    let mut tasks = informed(outcomes);
    for (task, outcome) in tasks.iter_mut().zip(outcomes) {
        let format = outcome.source.as_ref().unwrap().format.clone();
        task.remake = Some(Remake { format, alone });
    }
    tasks
}

fn another_recipe(world: &mut World) {
    world.variants = vec![crate::support::variant(
        "new",
        24,
        Fit::Contain,
        OutputFormat::Webp,
    )];
}

#[tokio::test]
async fn originals_are_kept_once_for_each_content_and_listed_behind_the_variants() {
    let mut world = World::start(ShopSpec {
        images_distinct: 2,
        ..shop_of(5)
    })
    .await;
    world.originals = Originals::Keep;
    let outcomes = world.done(&world.job(0, world.tasks(0))).await;
    assert_eq!(statuses(&outcomes), [STORED; 5]);
    assert_eq!(world.stored_keys().await.len(), 2 * 3);
    let counted = world.counted();
    assert_eq!(counted.images_stored, 2 * 3);
    for outcome in &outcomes {
        let source = outcome.source.as_ref().unwrap();
        let names: Vec<&str> = outcome.variants.iter().map(|v| v.name.as_str()).collect();
        assert_eq!(names, ["thumb", "page", ORIGINAL]);
        let original = &outcome.variants[2];
        assert_eq!(original.sha256, source.sha256);
        assert_eq!(
            (original.width, original.height),
            (source.width, source.height)
        );
        let folder = format!("images/{}/{}/", &source.sha256[..2], source.sha256);
        let name = original.key.strip_prefix(&folder).unwrap();
        assert!(name.starts_with("original."), "{name}");
        let body = world.ports.blobs.get(&original.key, None).await.unwrap();
        assert_eq!(original.bytes, body.len() as u64);
        assert_eq!(original.sha256, hex::encode(Sha256::digest(&body)));
    }
    // An unchanged day puts nothing.
    let second = world.done(&world.job(1, informed(&outcomes))).await;
    assert_eq!(statuses(&second), [UNCHANGED; 5]);
    assert_eq!(world.counted().images_stored, counted.images_stored);
    world.shop.stop().await;
}

#[tokio::test]
async fn a_changed_recipe_is_made_of_kept_originals_without_a_request() {
    let mut world = keeping(6).await;
    let first = world.done(&world.job(0, world.tasks(0))).await;
    let requests = world.requests();
    another_recipe(&mut world);
    let second = world.done(&world.job(1, outdated(&first, true))).await;
    assert_eq!(statuses(&second), [STORED; 6]);
    assert_eq!(world.requests(), requests, "nobody is asked");
    let recipe = world.studio().recipe().to_owned();
    for (first, second) in first.iter().zip(&second) {
        // The look is taken of the smallest scale that was made, so of another
        // one; it is near, and all else is the same.
        let look = |outcome: &ImageOutcome| outcome.source.as_ref().unwrap().phash.unwrap();
        assert!(look(first).distance(look(second)) <= 6);
        let without_look = |outcome: &ImageOutcome| SourceFacts {
            phash: None,
            ..outcome.source.clone().unwrap()
        };
        assert_eq!(without_look(second), without_look(first));
        assert_eq!(second.known.recipe.as_ref(), Some(&recipe));
        assert_eq!(second.known.etag, first.known.etag);
        assert_eq!(second.known.last_modified, first.known.last_modified);
        let names: Vec<&str> = second.variants.iter().map(|v| v.name.as_str()).collect();
        assert_eq!(names, ["new", ORIGINAL]);
        assert_eq!(second.variants[1], first.variants[2]);
    }
    // Once more by a plan that did not know yet.
    let mut tasks = informed(&second);
    tasks[0].remake = Some(Remake {
        format: second[0].source.as_ref().unwrap().format.clone(),
        alone: true,
    });
    let third = world.done(&world.job(2, tasks[..1].to_vec())).await;
    assert_eq!(statuses(&third), [UNCHANGED]);
    assert_eq!(third[0].known, second[0].known);
    assert_eq!(world.requests(), requests);
    // What was kept serves the next day as ever.
    let fourth = world.done(&world.job(3, informed(&second))).await;
    assert_eq!(statuses(&fourth), [UNCHANGED; 6]);
    assert_eq!(world.counted().image_requests_conditional, 6);
    world.shop.stop().await;
}

#[tokio::test]
async fn what_is_due_anyway_is_asked_for_conditionally_where_the_original_is_kept() {
    let mut world = World::start(ShopSpec {
        day_change: DayChange {
            image_changed_share: 0.5,
            ..DayChange::NONE
        },
        ..shop_of(12)
    })
    .await;
    world.originals = Originals::Keep;
    let first = world.done(&world.job(0, world.tasks(0))).await;
    let down = world.counted().image_bytes_down;
    world.shop.set_day(1);
    another_recipe(&mut world);
    let second = world.done(&world.job(1, outdated(&first, false))).await;
    assert_eq!(statuses(&second), [STORED; 12]);
    let changed = first
        .iter()
        .zip(&second)
        .filter(|(a, b)| a.known.sha256 != b.known.sha256)
        .count();
    assert!((1..12).contains(&changed), "{changed}");
    let counted = world.counted();
    assert_eq!(counted.image_requests_conditional, 12);
    assert_eq!(counted.image_requests_plain, 12, "those of the first day");
    let stats = world.shop.stats().image;
    assert_eq!(stats.not_modified, 12 - changed as u64);
    assert!(counted.image_bytes_down > down);
    world.shop.stop().await;
}

#[tokio::test]
async fn without_an_original_the_image_is_downloaded_again() {
    let mut world = keeping(3).await;
    let first = world.done(&world.job(0, world.tasks(0))).await;
    another_recipe(&mut world);
    let keys: Vec<String> = first.iter().map(|o| o.variants[2].key.clone()).collect();
    // One is lost, one is damaged, one is there.
    world.ports.blobs.delete(&keys[..2]).await.unwrap();
    let meta = BlobMeta {
        content_type: "image/jpeg",
        immutable: true,
    };
    let damaged = Bytes::from_static(b"other bytes");
    world
        .ports
        .blobs
        .put(&keys[1], damaged, meta)
        .await
        .unwrap();
    let before = world.counted();
    let second = world.done(&world.job(1, outdated(&first, true))).await;
    assert_eq!(statuses(&second), [STORED; 3]);
    let after = world.counted();
    let plain = after.image_requests_plain - before.image_requests_plain;
    assert_eq!((plain, after.image_requests_conditional), (2, 0));
    for (first, second) in first.iter().zip(&second) {
        assert_eq!(first.known.sha256, second.known.sha256);
    }
    // Asked for anyway, it is unchanged, and then the bytes have to come.
    world.ports.blobs.delete(&keys[..1]).await.unwrap();
    let third = world
        .done(&world.job(2, outdated(&first[..1], false)))
        .await;
    assert_eq!(statuses(&third), [STORED]);
    let last = world.counted();
    assert_eq!(last.image_requests_conditional, 1);
    assert_eq!(last.image_requests_plain, after.image_requests_plain + 1);
    world.shop.stop().await;
}

#[tokio::test]
async fn where_originals_are_not_kept_a_changed_recipe_downloads_unconditionally() {
    let mut world = World::start(shop_of(3)).await;
    let first = world.done(&world.job(0, world.tasks(0))).await;
    another_recipe(&mut world);
    let second = world.done(&world.job(1, outdated(&first, true))).await;
    assert_eq!(statuses(&second), [STORED; 3]);
    assert_eq!(world.counted().image_requests_plain, 6);
    assert_eq!(world.counted().image_requests_conditional, 0);
    assert!(second.iter().all(|outcome| outcome.variants.len() == 1));
    world.shop.stop().await;
}

#[tokio::test]
async fn a_picture_that_the_partner_took_away_is_made_anew_all_the_same() {
    let mut world = keeping(2).await;
    let first = world.done(&world.job(0, world.tasks(0))).await;
    another_recipe(&mut world);
    world.shop.misbehave("/img/", crate::bench::status(404));
    let second = world.done(&world.job(1, outdated(&first, true))).await;
    assert_eq!(statuses(&second), [STORED; 2]);
    // Whoever asks is told.
    let third = world.done(&world.job(2, informed(&second))).await;
    assert_eq!(statuses(&third), [ImageStatus::NotFound; 2]);
    world.shop.stop().await;
}

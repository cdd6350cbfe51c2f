//! Placeholders and damaged files: what is asked for, stored and recorded, and
//! again when the configuration changes.

use trawler_core::image::{Damage, ImageOutcome, ImageStatus};
use trawler_core::image_policy::{
    ImagePolicy, OnDamaged, PLACEHOLDER_RECIPE, is_recipe_of_damaged,
};
use trawler_core::placeholder::Placeholder;
use trawler_shop::{Fault, ImageMix, ShopSpec};

use crate::bench::{STORED, UNCHANGED, path};
use crate::world::*;

const PLACEHOLDER: ImageStatus = ImageStatus::Placeholder;

/// Entries for the first picture by its bytes and for the second by its look.
fn entries(outcomes: &[ImageOutcome]) -> Vec<Placeholder> {
    let facts = |at: usize| outcomes[at].source.as_ref().unwrap();
    let hash = facts(1).phash.unwrap();
    let sha256 = facts(0).sha256.clone();
    vec![
        Placeholder::Sha256(sha256),
        Placeholder::Phash { hash, within: 0 },
    ]
}

fn listed(placeholders: Vec<Placeholder>) -> ImagePolicy {
    ImagePolicy {
        placeholders,
        ..ImagePolicy::default()
    }
}

#[tokio::test]
async fn a_changed_list_is_applied_without_a_byte_where_that_is_possible() {
    let mut world = World::start(shop_of(3)).await;
    let first = world.done(&world.job(0, world.tasks(0))).await;
    assert_eq!(statuses(&first), [STORED; 3]);
    let (before, keys) = (world.counted(), world.stored_keys().await);

    world.policy = listed(entries(&first));
    let second = world.done(&world.job(1, informed(&first))).await;
    assert_eq!(statuses(&second), [PLACEHOLDER, PLACEHOLDER, UNCHANGED]);
    for outcome in &second[..2] {
        assert!(outcome.reason.contains("placeholder"), "{}", outcome.reason);
        assert!(outcome.variants.is_empty());
        assert_eq!(outcome.known.recipe.as_deref(), Some(PLACEHOLDER_RECIPE));
        assert!(outcome.known.etag.is_some() && outcome.known.phash.is_some());
    }
    // It stays one, at the cost of a request.
    let third = world.done(&world.job(2, informed(&second))).await;
    assert_eq!(statuses(&third), [UNCHANGED; 3]);
    assert_eq!(third[0].known, second[0].known);
    let counted = world.counted();
    assert_eq!(counted.image_requests_conditional, 6);
    assert_eq!(counted.image_bytes_down, before.image_bytes_down);
    assert_eq!(world.stored_keys().await, keys);

    // No longer listed: the bytes are needed, and the objects are still there.
    world.policy = ImagePolicy::default();
    let fourth = world.done(&world.job(3, informed(&third))).await;
    assert_eq!(statuses(&fourth), [STORED, STORED, UNCHANGED]);
    assert_eq!(fourth[0].variants, first[0].variants);
    let counted = world.counted();
    assert_eq!(counted.image_requests_conditional, 7);
    assert_eq!(counted.images_stored, before.images_stored);
    world.shop.stop().await;
}

#[tokio::test]
async fn a_placeholder_that_comes_is_recorded_and_nothing_is_stored() {
    let world = World::start(shop_of(3)).await;
    let first = world.done(&world.job(0, world.tasks(0))).await;
    let entries = entries(&first);
    world.shop.stop().await;

    let mut world = World::start(shop_of(3)).await;
    world.policy = listed(entries[..1].to_vec());
    // And what the pipe says of its own.
    world.pipe.images.placeholders = entries[1..].to_vec();
    let outcomes = world.done(&world.job(0, world.tasks(0))).await;
    assert_eq!(statuses(&outcomes), [PLACEHOLDER, PLACEHOLDER, STORED]);
    assert_eq!(world.stored_keys().await.len(), 2, "of the third alone");
    let facts = |at: usize| outcomes[at].source.as_ref().unwrap();
    // Its bytes told enough, and its look was needed.
    assert_eq!((facts(0).width, facts(0).phash), (0, None));
    assert_eq!((facts(1).width, facts(1).phash.is_some()), (80, true));
    for outcome in &outcomes[..2] {
        assert!(outcome.variants.is_empty() && outcome.known.etag.is_some());
        assert_eq!(
            outcome.known.sha256.as_ref(),
            outcome.source.as_ref().map(|facts| &facts.sha256)
        );
    }
    let again = world.done(&world.job(1, informed(&outcomes))).await;
    assert_eq!(statuses(&again), [UNCHANGED; 3]);
    assert_eq!(world.shop.stats().image.not_modified, 3);
    world.shop.stop().await;
}

#[tokio::test]
async fn pictures_without_a_look_are_fetched_once_when_looks_are_listed() {
    let mut world = World::start(shop_of(2)).await;
    let first = world.done(&world.job(0, world.tasks(0))).await;
    world.policy = listed(entries(&first)[1..].to_vec());
    let mut tasks = informed(&first);
    // Stored by a release that did not hash looks.
    tasks.iter_mut().for_each(|task| task.known.phash = None);
    let second = world.done(&world.job(1, tasks)).await;
    assert_eq!(statuses(&second), [STORED, PLACEHOLDER]);
    let third = world.done(&world.job(2, informed(&second))).await;
    assert_eq!(statuses(&third), [UNCHANGED; 2]);
    assert_eq!(world.counted().image_requests_conditional, 2);
    world.shop.stop().await;
}

#[tokio::test]
async fn a_damaged_file_is_stored_where_the_configuration_says_so_and_told_of() {
    let mut world = World::start(ShopSpec {
        image_mix: ImageMix {
            png_share: 0.0,
            webp_share: 0.0,
            gif_share: 0.0,
        },
        ..shop_of(2)
    })
    .await;
    let tasks = world.tasks(0);
    let cut = |keep_percent| Fault::CutFile { keep_percent };
    world.shop.misbehave(path(&tasks[0]), cut(90));
    world.shop.misbehave(path(&tasks[1]), cut(20));

    let refused = world.done(&world.job(0, tasks.clone())).await;
    assert_eq!(statuses(&refused), [ImageStatus::Truncated; 2]);
    let damaged = refused[0].source.as_ref().unwrap().damaged.unwrap();
    assert_eq!(damaged.kind, Damage::Truncated);
    assert!(damaged.decoded_percent > 50, "{damaged:?}");
    // Of the other too little is there.
    assert_eq!(refused[1].source, None);
    assert!(world.stored_keys().await.is_empty());

    world.pipe.images.damaged = Some(OnDamaged::Store);
    let stored = world.done(&world.job(1, informed(&refused))).await;
    assert_eq!(statuses(&stored), [STORED, ImageStatus::Truncated]);
    let source = stored[0].source.as_ref().unwrap();
    assert_eq!(source.damaged, Some(damaged));
    assert_eq!(stored[0].variants.len(), 2);
    assert!(stored[0].reason.starts_with("the file is truncated: "));
    let recipe = stored[0].known.recipe.as_deref().unwrap();
    assert!(is_recipe_of_damaged(recipe));
    let again = world.done(&world.job(2, informed(&stored))).await;
    assert_eq!(statuses(&again), [UNCHANGED, ImageStatus::Truncated]);
    assert_eq!(again[0].known, stored[0].known);

    // Refused again: it is looked at anew.
    world.pipe.images.damaged = None;
    let refused = world.done(&world.job(3, informed(&again))).await;
    assert_eq!(statuses(&refused), [ImageStatus::Truncated; 2]);
    assert!(refused[0].variants.is_empty());
    assert_eq!(world.counted().image_requests_conditional, 1);
    world.shop.stop().await;
}

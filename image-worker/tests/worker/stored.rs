//! What is requested and stored, and once.

use sha2::{Digest, Sha256};
use trawler_core::image::ImageStatus;
use trawler_core::job::ImageTask;
use trawler_shop::{DayChange, Fault, ShopSpec, Validators};

use crate::bench::{STORED, UNCHANGED, path};
use crate::world::*;

#[tokio::test]
async fn each_content_is_stored_once_whoever_shows_it() {
    let world = World::start(ShopSpec {
        images_distinct: 3,
        ..shop_of(6)
    })
    .await;
    let mut tasks = world.tasks(0);
    // The same bytes under another URL.
    tasks.push(task("again", &format!("{}?size=full", tasks[0].url)));
    let outcomes = world.done(&world.job(0, tasks.clone())).await;

    assert_eq!(statuses(&outcomes), [STORED; 7]);
    let ids = |task: &ImageTask| (task.product_id.clone(), task.url.clone());
    let found = outcomes
        .iter()
        .map(|o| (o.product_id.clone(), o.url.clone()));
    assert!(found.eq(tasks.iter().map(ids)), "in the order of the job");
    assert_eq!(world.requests(), 4, "a URL is fetched once");
    let counted = world.counted();
    assert_eq!(counted.images_stored, 6, "3 contents, 2 variants");
    assert_eq!(counted.image_requests_plain, 4);
    assert_eq!(counted.image_requests_conditional, 0);
    assert_eq!(
        counted.image_bytes_down,
        world.shop.stats().image.body_bytes
    );
    assert_eq!(world.stored_keys().await.len(), 6);

    let mut bytes_up = 0;
    let mut seen = std::collections::BTreeSet::new();
    for outcome in &outcomes {
        let source = outcome.source.as_ref().unwrap();
        assert_eq!((source.width, source.height), (80, 80));
        let known = &outcome.known;
        assert_eq!(known.sha256.as_ref(), Some(&source.sha256));
        assert_eq!(known.recipe.as_deref(), Some(world.studio().recipe()));
        assert!(known.etag.is_some() && known.last_modified.is_some());
        assert_eq!(outcome.reason, "");
        for (variant, side) in outcome.variants.iter().zip([16, 48]) {
            let body = world.ports.blobs.get(&variant.key, None).await.unwrap();
            assert_eq!(variant.bytes, body.len() as u64);
            assert_eq!(variant.sha256, hex::encode(Sha256::digest(&body)));
            assert_eq!((variant.width, variant.height), (side, side));
            if seen.insert(variant.key.clone()) {
                bytes_up += variant.bytes;
            }
        }
    }
    assert_eq!(counted.image_bytes_up, bytes_up);
    assert_eq!(outcomes[0].variants, outcomes[6].variants);
    world.shop.stop().await;
}

#[tokio::test]
async fn invariant_06_unchanged_images_cost_nothing() {
    let world = World::start(shop_of(8)).await;
    let first = world.done(&world.job(0, world.tasks(0))).await;
    let (before, keys) = (world.counted(), world.stored_keys().await);
    let body_bytes = world.shop.stats().image.body_bytes;

    let second = world.done(&world.job(1, informed(&first))).await;
    assert_eq!(statuses(&second), [UNCHANGED; 8]);
    for (first, second) in first.iter().zip(&second) {
        assert_eq!(first.known, second.known);
        assert!(second.variants.is_empty() && second.source.is_none());
    }
    let after = world.counted();
    assert_eq!(after.image_requests_conditional, 8);
    assert_eq!(after.image_requests_plain, before.image_requests_plain);
    assert_eq!(after.image_bytes_down, before.image_bytes_down);
    assert_eq!(after.images_stored, before.images_stored);
    assert_eq!(after.image_bytes_up, before.image_bytes_up);
    assert_eq!(world.stored_keys().await, keys);
    let shop = world.shop.stats().image;
    assert_eq!((shop.not_modified, shop.body_bytes), (8, body_bytes));
    world.shop.stop().await;
}

#[tokio::test]
async fn the_same_bytes_without_validators_are_neither_decoded_nor_stored() {
    let world = World::start(ShopSpec {
        validators: Validators::NONE,
        ..shop_of(4)
    })
    .await;
    let first = world.done(&world.job(0, world.tasks(0))).await;
    assert!(first.iter().all(|outcome| outcome.known.etag.is_none()));
    let before = world.counted();
    let mut tasks = informed(&first);
    // Bytes that cannot be decoded: had they been, they would be refused.
    world.shop.misbehave(path(&tasks[3]), Fault::HtmlInstead);
    let refused = world
        .done(&world.job(1, vec![task("html", &tasks[3].url)]))
        .await;
    assert_eq!(statuses(&refused), [ImageStatus::NotAnImage]);
    let allow = vec![world.shop.addr().to_string().parse().unwrap()];
    let config = trawler_net::NetConfig {
        allow,
        ..trawler_net::NetConfig::of("Trawler-Test/0.1")
    };
    let fetcher = trawler_net::Fetcher::new(&config).unwrap();
    let request = trawler_net::Request::get(&tasks[3].url).unwrap();
    let html = fetcher.fetch_bytes(&request).await.unwrap();
    let html = html.into_body().unwrap().body;
    tasks[3].known.sha256 = Some(hex::encode(Sha256::digest(&html)));

    let second = world.done(&world.job(2, tasks)).await;
    assert_eq!(statuses(&second), [UNCHANGED; 4]);
    let after = world.counted();
    assert_eq!(after.image_requests_conditional, 0);
    assert_eq!(after.images_stored, before.images_stored);
    assert!(after.image_bytes_down > before.image_bytes_down);
    world.shop.stop().await;
}

#[tokio::test]
async fn new_bytes_under_the_same_url_are_stored_under_new_keys() {
    let world = World::start(ShopSpec {
        day_change: DayChange {
            image_changed_share: 1.0,
            ..DayChange::NONE
        },
        ..shop_of(3)
    })
    .await;
    let first = world.done(&world.job(0, world.tasks(0))).await;
    world.shop.set_day(1);
    let second = world.done(&world.job(1, informed(&first))).await;
    assert_eq!(statuses(&second), [STORED; 3]);
    assert_eq!(world.counted().image_requests_conditional, 3);
    assert_eq!(world.counted().images_stored, 12);
    for (first, second) in first.iter().zip(&second) {
        assert_eq!(first.url, second.url);
        assert_ne!(first.known.sha256, second.known.sha256);
        assert_ne!(first.known.etag, second.known.etag);
        for (old, new) in first.variants.iter().zip(&second.variants) {
            assert_ne!(old.key, new.key);
        }
    }
    world.shop.stop().await;
}

#[tokio::test]
async fn a_changed_recipe_renders_again_and_asks_without_conditions() {
    let mut world = World::start(shop_of(3)).await;
    let first = world.done(&world.job(0, world.tasks(0))).await;
    world.variants[0].quality = 60;
    let second = world.done(&world.job(1, informed(&first))).await;
    assert_eq!(statuses(&second), [STORED; 3]);
    let counted = world.counted();
    assert_eq!(counted.image_requests_conditional, 0);
    // The variant that stayed what it was is there already.
    assert_eq!(counted.images_stored, 6 + 3);
    for (first, second) in first.iter().zip(&second) {
        assert_eq!(first.known.sha256, second.known.sha256);
        assert_ne!(first.known.recipe, second.known.recipe);
        assert_ne!(first.variants[0].key, second.variants[0].key);
        assert_eq!(first.variants[1], second.variants[1]);
    }
    world.shop.stop().await;
}

//! What the catalogue says of images, counted: by status, each picture and each
//! object once; on the ports of one machine.

use std::sync::Arc;

use bytes::Bytes;
use trawler_core::QueueName;
use trawler_core::image::{Damage, Damaged, ImageOutcome, ImageStatus};
use trawler_core::ports::{Clock, Metric, Metrics};
use trawler_core::recheck::is_failure;
use trawler_core::refetch::{Ages, Failed};
use trawler_fleet::Ports;
use trawler_local::{LocalStore, QueueOptions};
use trawler_upkeep::{RemoveOptions, StatsOptions, Upkeep};

use crate::support::TestClock;
use crate::testing::{Product, pipe};
use crate::world::{DAY, META, World, body_of, key_of, outcome, silent, url_of};

#[tokio::test]
async fn statistics_count_each_picture_once_by_pipe_and_in_all() {
    let world = World::new().await;
    world.sell(0, &[(1, 1), (2, 2), (3, 2)]).await;
    let other = pipe("other");
    let mut products: Vec<Product> = (1..=3)
        .map(|n| {
            Product::new(&format!("{n:05}"))
                .title("y")
                .image(&url_of(n))
        })
        .collect();
    products.push(Product::new("00009").title("without"));
    world.table.full_run(&other, 0, &products).await;
    let failed = |n: u32, status| ImageOutcome {
        status,
        variants: Vec::new(),
        source: None,
        ..outcome(&format!("{n:05}"), n)
    };
    let outcomes = [
        outcome("00002", 2),
        failed(1, ImageStatus::NotFound),
        failed(3, ImageStatus::Timeout),
    ];
    world.table.fold(&other, 1, &outcomes).await;
    let damaged = |kind: Damage, outcome: ImageOutcome| {
        let mut facts = outcome.source.clone().unwrap_or_default();
        facts.damaged = Some(Damaged {
            kind,
            decoded_percent: 70,
        });
        ImageOutcome {
            source: Some(facts),
            ..outcome
        }
    };
    let third = pipe("third");
    let products: Vec<Product> = (1..=4)
        .map(|n| {
            Product::new(&format!("{n:05}"))
                .title("z")
                .image(&url_of(n))
        })
        .collect();
    world.table.full_run(&third, 0, &products).await;
    let placeholder = failed(4, ImageStatus::Placeholder);
    let outcomes = [
        damaged(Damage::Truncated, failed(1, ImageStatus::Truncated)),
        failed(2, ImageStatus::Truncated),
        damaged(Damage::Corrupt, failed(3, ImageStatus::Corrupt)),
        placeholder,
    ];
    world.table.fold(&third, 1, &outcomes).await;
    let of_third = async || {
        let options = StatsOptions {
            pipe: Some(pipe("third")),
            objects: false,
        };
        world.upkeep.stats(&options, &silent).await.unwrap().all
    };
    let counted = of_third().await;
    let expected = [("corrupt", 1), ("placeholder", 1), ("truncated", 2)];
    assert!(counted.statuses.into_iter().eq(expected));
    let expected = [("corrupt", 1), ("truncated", 1)];
    assert!(counted.damaged_refused.into_iter().eq(expected));
    assert_eq!((counted.damaged_stored, counted.variants), (0, 0));
    // Stored all the same, and gone with the next run.
    let taken = damaged(Damage::Truncated, outcome("00001", 1));
    world.table.fold(&third, 2, &[taken]).await;
    assert_eq!(of_third().await.damaged_stored, 1);
    world.table.full_run(&third, 1, &[]).await;
    let options = StatsOptions {
        objects: true,
        ..StatsOptions::default()
    };
    let stats = world.upkeep.stats(&options, &silent).await.unwrap();
    let (shop, other_stats) = (&stats.pipes["shop"], &stats.pipes["other"]);
    assert_eq!((shop.rows, shop.sources, shop.variants), (3, 2, 2));
    assert_eq!((other_stats.rows, other_stats.variants), (4, 1));
    assert_eq!((stats.all.rows, stats.all.sources), (7, 2));
    let bytes = (body_of(1).len() + body_of(2).len()) as u64;
    assert_eq!((stats.all.variants, stats.all.bytes), (2, bytes));
    let expected = [("none", 1), ("not_found", 1), ("stored", 4), ("timeout", 1)];
    assert!(stats.all.statuses.into_iter().eq(expected));
    let objects = stats.objects.unwrap();
    assert_eq!((objects.objects, objects.bytes), (2, bytes));

    let snapshot = world.upkeep.catalogue.snapshot().await.unwrap();
    let due = async |statuses: &[ImageStatus], which| {
        let wanted = Failed {
            statuses: statuses.to_vec(),
            which,
        };
        let failed = world.upkeep.failed(&snapshot, &other, &wanted, &silent);
        let failed = failed.await.unwrap();
        assert_eq!(failed.failed, 2);
        failed.due
    };
    assert!(is_failure(ImageStatus::NotFound));
    assert_eq!(due(&[], Ages::Any).await, 2);
    assert_eq!(due(&[ImageStatus::NotFound], Ages::Any).await, 1);
    let until = world.ports.clock.now();
    assert_eq!(due(&[], Ages::Due { since: None, until }).await, 0);
    let until = until + chrono::Duration::hours(25);
    assert_eq!(due(&[], Ages::Due { since: None, until }).await, 2);
}

struct Nobody;

impl Metrics for Nobody {
    fn record(&self, _: Metric) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_the_ports_of_one_machine_a_removal_takes_old_files_alone() {
    let world = World::new().await;
    world.sell(0, &[(1, 1)]).await;
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(TestClock::frozen("2026-11-21T00:00:00Z"));
    let store = LocalStore::open(folder.path(), clock.clone())
        .await
        .unwrap();
    let options = QueueOptions {
        visibility: std::time::Duration::from_secs(60),
        receive_count_max: 10,
    };
    let ports = Ports {
        state: Arc::new(store.state()),
        blobs: Arc::new(store.blobs()),
        crawl: Arc::new(store.queue(QueueName::Crawl, options).unwrap()),
        image: Arc::new(store.queue(QueueName::Image, options).unwrap()),
        clock: clock.clone(),
        metrics: Arc::new(Nobody),
    };
    let put = async |picture: u32, age_days: u32| {
        let (key, body) = (key_of(picture), Bytes::from(body_of(picture)));
        ports.blobs.put(&key, body, META).await.unwrap();
        let file = std::fs::File::options()
            .write(true)
            .open(folder.path().join("blobs").join(&key))
            .unwrap();
        file.set_modified((clock.now() - chrono::Duration::days(age_days.into())).into())
            .unwrap();
    };
    put(1, 30).await;
    put(2, 30).await;
    put(3, 2).await;
    let upkeep = Upkeep {
        ports: ports.clone(),
        catalogue: Arc::clone(&world.upkeep.catalogue),
        scratch: folder.path().join("scratch-upkeep"),
    };
    let options = RemoveOptions {
        grace: chrono::Duration::days(7),
        remove: true,
    };
    let marked = upkeep.remove_unused(options, &silent).await.unwrap();
    assert_eq!((marked.unused.objects, marked.young.objects), (1, 1));
    clock.advance(DAY);
    let removed = upkeep.remove_unused(options, &silent).await.unwrap();
    assert_eq!(removed.removed.objects, 1);
    let there = async |picture: u32| ports.blobs.head(&key_of(picture)).await.unwrap().is_some();
    assert!(there(1).await && !there(2).await && there(3).await);
    assert_eq!(
        std::fs::read_dir(folder.path().join("scratch-upkeep"))
            .unwrap()
            .count(),
        0
    );
}

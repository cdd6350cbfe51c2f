//! Documents under other writers, lost answers and bad bytes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use trawler_core::QueueName;
use trawler_fleet::manifests::{self, Windows};
use trawler_fleet::{Created, DocumentError, Planned, Take};

use crate::bench::{record, world};

#[tokio::test]
async fn an_update_loses_nothing_to_other_writers() {
    let world = world();
    let documents = world.ports.documents();
    assert_eq!(documents.create("n", &0_u32).await.unwrap(), Created::New);
    assert_eq!(
        documents.create("n", &9_u32).await.unwrap(),
        Created::Existed
    );
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let documents = documents.clone();
        writers.spawn(async move { documents.change("n", |n: &mut u32| *n += 1).await });
    }
    while let Some(written) = writers.join_next().await {
        written.unwrap().unwrap();
    }
    assert_eq!(documents.get::<u32>("n").await.unwrap(), Some(8));
    assert_eq!(
        documents
            .change("none", |n: &mut u32| *n += 1)
            .await
            .unwrap(),
        None
    );
    documents.put("n", &1_u32).await.unwrap();
    documents.put("m", &1_u32).await.unwrap();
    assert_eq!(documents.keys("").await.unwrap(), ["m", "n"]);
    documents.delete("m").await.unwrap();
    documents.delete("m").await.unwrap();
}

#[tokio::test]
async fn of_two_who_write_at_one_version_one_is_told_that_it_came_late() {
    let world = world();
    let documents = world.ports.documents();
    let first = documents.put_at("n", &1_u32, None).await.unwrap();
    assert!(first.is_some());
    assert_eq!(documents.put_at("n", &2_u32, None).await.unwrap(), None);
    let first = first.as_ref();
    // Its answer is lost: the version that comes is the one it was written at.
    world.state.lost_answers.store(1, Ordering::SeqCst);
    let second = documents.put_at("n", &2_u32, first).await.unwrap();
    assert!(second.is_some());
    assert_eq!(documents.put_at("n", &3_u32, first).await.unwrap(), None);
    let third = documents
        .put_at("n", &3_u32, second.as_ref())
        .await
        .unwrap();
    assert!(third.is_some());
    assert_eq!(documents.get::<u32>("n").await.unwrap(), Some(3));
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_recognised_as_ones_own() {
    let world = world();
    let jobs = world.ports.jobs();
    let planned = record(&world, "job");
    world.state.lost_answers.store(1, Ordering::SeqCst);
    assert_eq!(jobs.plan(&planned).await.unwrap(), Planned::New);
    assert_eq!(jobs.plan(&planned).await.unwrap(), Planned::Existed);
    world.state.lost_answers.store(1, Ordering::SeqCst);
    let Take::Work(taken) = jobs.take(QueueName::Crawl, "job:0", "d").await.unwrap() else {
        panic!("it is open");
    };
    assert_eq!(
        (taken.epoch, taken.record.crashes),
        (1, 0),
        "taken once, not twice"
    );
    world.state.failing_gets.store(3, Ordering::SeqCst);
    assert!(
        jobs.find(QueueName::Crawl, &planned.job)
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn an_unreadable_document_is_named_and_kept() {
    let world = world();
    let documents = world.ports.documents();
    world.state.poke("d/1", b"1");
    world.state.poke("d/2", b"two");
    let error = documents.load::<u32>("d/", usize::MAX).await.unwrap_err();
    assert!(matches!(&error, DocumentError::Unreadable { key, .. } if key == "d/2"));
    let loaded = documents
        .load_readable::<u32>("d/", usize::MAX)
        .await
        .unwrap();
    assert_eq!((loaded.documents.len(), loaded.unreadable.len()), (1, 1));
    assert_eq!(world.state.peek("d/2").unwrap(), b"two");
}

#[tokio::test]
async fn only_changed_documents_are_fetched_again() {
    let world = world();
    let documents = world.ports.documents();
    for n in 0..2500_u32 {
        let key = format!("d/{n:05}");
        world.state.poke(&key, n.to_string().as_bytes());
    }
    let load = || async {
        world.state.gets.store(0, Ordering::SeqCst);
        let loaded = documents.load::<u32>("d/", usize::MAX).await.unwrap();
        (loaded, world.state.gets.load(Ordering::SeqCst))
    };
    let (all, gets) = load().await;
    assert_eq!((all.len(), gets), (2500, 2500));
    assert!(all.iter().map(|n| **n).eq(0..2500), "in order of key");
    world.state.poke("d/00007", b"70");
    documents.delete("d/00008").await.unwrap();
    let (all, gets) = load().await;
    assert_eq!((all.len(), gets, *all[7]), (2499, 1, 70));
    let few = documents.load::<u32>("d/", 3).await.unwrap();
    assert_eq!(few.len(), 3);
}

/// A thousand decisions were read one after another.
#[tokio::test]
async fn chosen_documents_come_in_their_order_and_several_at_once() {
    let world = world();
    let documents = world.ports.documents();
    for n in 0..100_u32 {
        world
            .state
            .poke(&format!("d/{n:03}"), n.to_string().as_bytes());
    }
    documents.delete("d/050").await.unwrap();
    world.state.reading_most.store(0, Ordering::SeqCst);
    let keys = (40..100).rev().map(|n| format!("d/{n:03}"));
    let found: Vec<u32> = documents.get_each(keys.collect()).await.unwrap();
    assert!(found.into_iter().eq((40..100).rev().filter(|n| *n != 50)));
    let most = world.state.reading_most.load(Ordering::SeqCst);
    assert!((8..=16).contains(&most), "{most} at once");
    let none: Vec<u32> = documents.get_each(Vec::new()).await.unwrap();
    assert_eq!(none, [0; 0]);
    world.state.poke("d/099", b"two");
    let found = documents.get_each::<u32>(vec!["d/098".to_owned(), "d/099".to_owned()]);
    let error = found.await.unwrap_err();
    assert!(matches!(&error, DocumentError::Unreadable { key, .. } if key == "d/099"));
}

/// Futures of the ledger have to be `Send`: handlers await them in tasks.
#[tokio::test]
async fn everything_can_be_awaited_in_a_task() {
    let world = Arc::new(world());
    let in_task = tokio::spawn(async move {
        let jobs = world.ports.jobs();
        jobs.plan_and_send(vec![record(&world, "job")])
            .await
            .unwrap();
        manifests::fill(&world.ports, &jobs, Windows::default())
            .await
            .unwrap();
        jobs.purge(QueueName::Crawl, "x").await.unwrap_err();
        jobs.redrive(QueueName::Crawl, "x").await.unwrap_err()
    });
    assert!(in_task.await.unwrap().to_string().contains("no such job"));
}

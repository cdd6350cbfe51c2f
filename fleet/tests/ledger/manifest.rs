//! Manifests: image jobs that wait for room on their host.

use trawler_core::ledger::JobStatus;
use trawler_core::manifest::{ImageResult, Manifest};
use trawler_core::ports::{Clock, Put};
use trawler_core::{QueueName, RunId};
use trawler_fleet::manifests::{self, Filler, Ledger, ManifestWriter, PART_JOBS, Room, Windows};

use crate::bench::{finish, image_job, run, take_away, world};

#[tokio::test]
async fn a_manifest_survives_its_blobs_and_the_first_one_stays() {
    let world = world();
    let count = PART_JOBS * 2 + 5;
    let jobs: Vec<_> = (0..count).map(|n| image_job(n, "a.test")).collect();
    let manifest = manifests::write(&world.ports, &run(), 1, &jobs)
        .await
        .unwrap();
    assert_eq!((manifest.jobs, manifest.settled), (count as u64, false));
    let read = |from, max| manifests::read_jobs(&world.ports, &manifest, from, max);
    assert_eq!(read(0, usize::MAX).await.unwrap(), jobs);
    assert_eq!(read(998, 4).await.unwrap(), jobs[998..1002]);
    assert!(read(count as u64, 4).await.unwrap().is_empty());
    let blobs = world.blobs.keys();
    let later = manifests::write(&world.ports, &run(), 2, &jobs[..3])
        .await
        .unwrap();
    assert_eq!(later, manifest, "the one of the earlier delivery");
    assert_eq!(world.blobs.keys(), blobs, "and nothing is left behind");
    let other = RunId::parse("shop@2026-11-22T03:00:00.000Z").unwrap();
    let empty = ManifestWriter::new(&world.ports, &other, 1)
        .finish()
        .await
        .unwrap();
    assert!(empty.settled, "nothing to wait for");
    let documents = world.ports.documents();
    assert_eq!(manifests::unsettled(&documents).await.unwrap().len(), 1);
    assert_eq!(
        manifests::unsettled_of(&documents, &run().pipe)
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn jobs_wait_in_the_manifest_until_their_host_has_room() {
    let world = world();
    let jobs = world.ports.jobs();
    let planned: Vec<_> = (0..7).map(|n| image_job(n, "a.test")).collect();
    manifests::write(&world.ports, &run(), 1, &planned)
        .await
        .unwrap();
    let windows = Windows {
        host: 3,
        queue: 100,
    };
    let fill = || manifests::fill(&world.ports, &jobs, windows);
    assert_eq!(fill().await.unwrap(), 3);
    assert_eq!(fill().await.unwrap(), 0);
    let settle = |n: usize| {
        let (jobs, id) = (jobs.clone(), planned[n].id());
        async move {
            jobs.take(QueueName::Image, &format!("{id}:0"), "d")
                .await
                .unwrap();
            jobs.transition("settle", QueueName::Image, &id, |record| {
                record.settle(1, JobStatus::Done, "", record.planned)
            })
            .await
            .unwrap();
        }
    };
    settle(0).await;
    settle(1).await;
    assert_eq!(fill().await.unwrap(), 2);
    assert_eq!(world.image.len(), 5);
    let stored: Manifest = world
        .ports
        .documents()
        .get(&Manifest::key(&run()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stored.planned, 5);
    // A crash before `planned` was written plans the same jobs again.
    let stale = Manifest {
        planned: 0,
        ..stored
    };
    let mut room = Room::new(Windows::default(), []);
    let sent = manifests::send_more(&world.ports, &jobs, &stale, &mut room)
        .await
        .unwrap();
    assert_eq!(sent, 7);
    assert_eq!(world.image.len(), 7, "nothing is doubled");
}

#[tokio::test]
async fn results_are_put_once_and_settle_the_manifest() {
    let world = world();
    let planned: Vec<_> = (0..2).map(|n| image_job(n, "a.test")).collect();
    manifests::write(&world.ports, &run(), 1, &planned)
        .await
        .unwrap();
    let result = |n: usize| ImageResult {
        job: planned[n].id(),
        run: run(),
        tried: world.clock.now(),
        outcomes: Vec::new(),
    };
    let put = |n: usize| {
        let (ports, result) = (world.ports.clone(), result(n));
        async move { manifests::put_result(&ports, &result).await.unwrap() }
    };
    assert_eq!(put(0).await, Put::Created);
    assert_eq!(put(0).await, Put::Existed);
    assert_eq!(
        manifests::result_count(&world.ports, &run()).await.unwrap(),
        1
    );
    let documents = world.ports.documents();
    let now = world.clock.now();
    let noted = manifests::note_fold(&documents, &run(), 1, now)
        .await
        .unwrap();
    assert!(!noted.unwrap().settled);
    put(1).await;
    let keys = manifests::result_keys(&world.ports, &run(), None, 10)
        .await
        .unwrap();
    assert_eq!(keys.len(), 2);
    let read = manifests::read_result(&world.ports, &keys[0])
        .await
        .unwrap();
    assert_eq!(read.run, run());
    let noted = manifests::note_fold(&documents, &run(), 2, now)
        .await
        .unwrap();
    assert!(noted.unwrap().settled);
}

#[tokio::test]
async fn a_full_host_holds_back_no_other() {
    let world = world();
    let jobs = world.ports.jobs();
    // Five of a slow host first, then others, and more of the slow one.
    let host = |n: usize| {
        if !(5..9).contains(&n) {
            "slow.test"
        } else {
            "fast.test"
        }
    };
    let planned: Vec<_> = (0..12).map(|n| image_job(n, host(n))).collect();
    manifests::write(&world.ports, &run(), 1, &planned)
        .await
        .unwrap();
    let windows = Windows {
        host: 4,
        queue: 100,
    };
    let fill = || manifests::fill(&world.ports, &jobs, windows);
    let stored = || async {
        let documents = world.ports.documents();
        let stored: Option<Manifest> = documents.get(&Manifest::key(&run())).await.unwrap();
        let stored = stored.unwrap();
        (stored.planned, stored.ahead)
    };
    assert_eq!(fill().await.unwrap(), 8);
    assert_eq!(stored().await, (4, vec![(5, 9)]));
    assert_eq!(fill().await.unwrap(), 0);
    finish(&world, &planned[0]).await;
    assert_eq!(fill().await.unwrap(), 1);
    assert_eq!(stored().await, (9, vec![]));
    for job in &planned[1..4] {
        finish(&world, job).await;
    }
    assert_eq!(take_away(&world).await, 4);
    assert_eq!(fill().await.unwrap(), 3);
    assert_eq!(stored().await, (12, vec![]));
    assert_eq!(world.image.len(), 12);
}

#[tokio::test]
async fn a_manifest_that_waits_for_its_hosts_is_not_read_again() {
    let world = world();
    let jobs = world.ports.jobs();
    let planned: Vec<_> = (0..5).map(|n| image_job(n, "a.test")).collect();
    let manifest = manifests::write(&world.ports, &run(), 1, &planned)
        .await
        .unwrap();
    let windows = Windows {
        host: 2,
        queue: 100,
    };
    let filler = Filler::default();
    let pass = async || {
        let before = world.blobs.bill();
        let survey = jobs.survey(QueueName::Image).await.unwrap();
        let ledger = Ledger::of(&survey.jobs);
        let mut room = ledger.room(windows);
        let stored = manifests::find(&world.ports.documents(), &manifest.run)
            .await
            .unwrap();
        let (ports, stored) = (&world.ports, stored.unwrap());
        let sent = filler
            .send_more(ports, &jobs, &stored, &ledger, &mut room)
            .await;
        let parts = world.blobs.bill() - before;
        // Each planned job is looked for among the results as well.
        (sent.unwrap(), parts.gets)
    };
    assert_eq!(pass().await, (2, 1 + 2));
    assert_eq!(pass().await, (0, 0));
    finish(&world, &planned[0]).await;
    assert_eq!(pass().await, (1, 1 + 1));
    assert_eq!(pass().await, (0, 0));
    filler.keep_only([].into_iter());
    assert_eq!(pass().await, (0, 1));
}

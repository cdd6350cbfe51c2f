//! Jobs whose record is gone, and planners that come late.

use trawler_core::feed::FeedMode;
use trawler_core::folds::Folds;
use trawler_core::ledger::JobStatus;
use trawler_core::manifest::Manifest;
use trawler_core::ports::Clock;
use trawler_core::run::{Run, RunPhase};
use trawler_core::{JobId, JobName, QueueName};
use trawler_fleet::manifests::{self, Room, Windows};
use trawler_fleet::{JobsError, Planned, Take};

use crate::bench::{finish, image_job, poke, record, run, take_away, world};

#[tokio::test]
async fn a_settled_job_is_known_when_its_record_is_gone() {
    let world = world();
    let jobs = world.ports.jobs();
    let check = async |queue, job: &JobId, expected: Option<JobStatus>| {
        let late = jobs.take(queue, &format!("{job}:3"), "late").await.unwrap();
        match (late, expected) {
            (Take::Stale(found), Some(expected)) => assert_eq!(found, expected, "{job}"),
            (Take::Unknown, None) => {}
            (late, _) => panic!("{job}: {late:?}"),
        }
        let late = jobs.transition("settle", queue, job, |_| panic!("{job} has no record"));
        match late.await.unwrap_err() {
            JobsError::Ledger(_) => assert!(expected.is_some(), "{job}"),
            JobsError::Absent { .. } => assert!(expected.is_none(), "{job}"),
            other => panic!("{job}: {other}"),
        }
        if expected.is_some() {
            let mut again = record(&world, job.as_str());
            again.queue = queue;
            assert_eq!(jobs.plan(&again).await.unwrap(), Planned::Existed);
            assert!(jobs.find(queue, job).await.unwrap().is_none(), "{job}");
        }
    };
    let crawl = QueueName::Crawl;
    let mut document = Run::plan(run(), FeedMode::Full, world.clock.now());
    for (phase, expected) in [
        (RunPhase::Planned, None),
        (RunPhase::Committed, None),
        (RunPhase::Finished, Some(JobStatus::Done)),
        (RunPhase::Quarantined, Some(JobStatus::Done)),
        (RunPhase::Superseded, Some(JobStatus::Superseded)),
        (RunPhase::Failed, Some(JobStatus::Dead)),
    ] {
        document.phase = phase;
        poke(&world, &Run::key(&run()), &document);
        check(crawl, &JobId::from(&run()), expected).await;
    }
    let fold = |fold| JobName::fold_id(&run().pipe, fold);
    check(crawl, &fold(1), None).await;
    let folds = Folds {
        newest: 2,
        done: 1,
        ..Folds::default()
    };
    poke(&world, &Folds::key(&run().pipe), &folds);
    check(crawl, &fold(1), Some(JobStatus::Done)).await;
    check(crawl, &fold(2), None).await;
    check(crawl, &JobId::parse("stranger").unwrap(), None).await;
    let image = image_job(1, "a.test");
    document.phase = RunPhase::Committed;
    poke(&world, &Run::key(&run()), &document);
    check(QueueName::Image, &image.id(), None).await;
    let planned = std::slice::from_ref(&image);
    let manifest = manifests::write(&world.ports, &run(), 1, planned)
        .await
        .unwrap();
    check(QueueName::Image, &image.id(), None).await;
    jobs.plan_and_send(vec![manifests::image_record(&image, world.clock.now())])
        .await
        .unwrap();
    finish(&world, &image).await;
    assert_eq!(take_away(&world).await, 1);
    check(QueueName::Image, &image.id(), Some(JobStatus::Done)).await;
    let documents = world.ports.documents();
    let now = world.clock.now();
    let manifest = manifests::note_fold(&documents, &manifest.run, 1, now)
        .await
        .unwrap();
    manifests::retire(&world.ports, &documents, &manifest.unwrap())
        .await
        .unwrap();
    assert_eq!(world.blobs.keys().len(), 1, "the log of settled records");
    check(QueueName::Image, &image.id(), Some(JobStatus::Done)).await;
    document.phase = RunPhase::Finished;
    poke(&world, &Run::key(&run()), &document);
    documents
        .delete(&Manifest::settled_key(&run()))
        .await
        .unwrap();
    check(QueueName::Image, &image.id(), Some(JobStatus::Done)).await;
}

#[tokio::test]
async fn a_planner_that_comes_late_plans_nothing_twice() {
    let world = world();
    let jobs = world.ports.jobs();
    let planned: Vec<_> = (0..3).map(|n| image_job(n, "a.test")).collect();
    // What a planner read before it fell asleep.
    let stale = manifests::write(&world.ports, &run(), 1, &planned)
        .await
        .unwrap();
    let part = world.blobs.keys();
    manifests::fill(&world.ports, &jobs, Windows::default())
        .await
        .unwrap();
    let wake = async || {
        world.image.lose_all();
        let mut room = Room::new(Windows::default(), []);
        manifests::send_more(&world.ports, &jobs, &stale, &mut room)
            .await
            .unwrap();
        assert_eq!(world.image.len(), 0, "nothing is sent");
    };
    for job in &planned {
        finish(&world, job).await;
    }
    // Settled and still in the ledger; taken away; folded and retired.
    wake().await;
    assert_eq!(world.state.keys("jobs/").len(), 3);
    assert_eq!(take_away(&world).await, 3);
    wake().await;
    assert_eq!(world.state.keys("jobs/"), [""; 0]);
    let documents = world.ports.documents();
    let now = world.clock.now();
    let settled = manifests::note_fold(&documents, &run(), 3, now)
        .await
        .unwrap();
    let body = world.ports.blobs.get(&part[0], None).await.unwrap();
    manifests::retire(&world.ports, &documents, &settled.unwrap())
        .await
        .unwrap();
    // It had read the part as well.
    world.blobs.poke(&part[0], &body);
    wake().await;
    assert_eq!(world.state.keys("jobs/"), [""; 0]);
    assert_eq!(world.state.keys("manifests/"), [""; 0]);
}

#[tokio::test]
async fn a_planner_that_dies_anywhere_is_followed_by_one_that_sends_all_once() {
    let mut writes = 0;
    loop {
        let world = world();
        let planned: Vec<_> = (0..12).map(|n| image_job(n, "a.test")).collect();
        manifests::write(&world.ports, &run(), 1, &planned)
            .await
            .unwrap();
        // The host's window is full of the jobs of the one that died.
        let windows = Windows {
            host: 12,
            queue: 100,
        };
        world.crash.after_writes(writes);
        let died = manifests::fill(&world.ports, &world.ports.jobs(), windows)
            .await
            .is_err();
        world.crash.restart();
        manifests::fill(&world.ports, &world.ports.jobs(), windows)
            .await
            .unwrap();
        assert_eq!(world.image.len(), 12, "{writes}");
        let records = world.ports.jobs().list(QueueName::Image).await.unwrap();
        assert_eq!(records.len(), 12, "{writes}");
        let unsent = records
            .iter()
            .filter(|job| job.needs_send() || job.sends != 1);
        assert_eq!(unsent.count(), 0, "{writes}");
        if !died {
            break;
        }
        writes += 1;
    }
    assert!(writes >= 15, "{writes}");
}

//! Documents, sending and manifests against behaving ports with faults.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use support::{TestClock, World, pipe};
use trawler_core::feed::FeedMode;
use trawler_core::folds::Folds;
use trawler_core::image::KnownImage;
use trawler_core::job::{ImageJob, ImageTask};
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::manifest::{ImageResult, Manifest};
use trawler_core::ports::{Clock, Put};
use trawler_core::run::{Run, RunPhase};
use trawler_core::{JobId, JobName, QueueName, RunId};
use trawler_fleet::manifests::{self, Filler, Ledger, ManifestWriter, PART_JOBS, Room, Windows};
use trawler_fleet::{Created, DocumentError, JobsError, Planned, Take};

const V: Duration = Duration::from_secs(60);

fn world() -> World {
    World::new(TestClock::flowing("2026-11-21T03:00:00Z"), V)
}

fn record(world: &World, name: &str) -> JobRecord {
    let job = JobId::parse(name).unwrap();
    let (group, body) = (name.to_owned(), "{}".to_owned());
    let now = world.clock.now();
    JobRecord::plan(job, QueueName::Crawl, pipe("shop"), group, body, now)
}

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
async fn a_write_whose_answer_was_lost_is_recognised_as_ones_own() {
    let world = world();
    let jobs = world.ports.jobs();
    let planned = record(&world, "job");
    world.state.lost_answers.store(1, Ordering::SeqCst);
    assert_eq!(jobs.plan(&planned).await.unwrap(), Planned::New);
    assert_eq!(jobs.plan(&planned).await.unwrap(), Planned::Existed);
    world.state.lost_answers.store(1, Ordering::SeqCst);
    let Take::Work(taken) = jobs.take(QueueName::Crawl, "job:0").await.unwrap() else {
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

#[tokio::test]
async fn messages_that_a_batch_refused_are_sent_one_by_one() {
    let world = world();
    let records: Vec<_> = (0..23)
        .map(|n| record(&world, &format!("job-{n:02}")))
        .collect();
    for refused in ["job-03:0", "job-19:0"] {
        world
            .crawl
            .refuse_once
            .lock()
            .unwrap()
            .insert(refused.to_owned());
    }
    let jobs = world.ports.jobs();
    let report = jobs.plan_and_send(records).await.unwrap();
    assert_eq!((report.sent, report.unsent.len()), (23, 0));
    assert_eq!(world.crawl.len(), 23);
    let listed = jobs.list(QueueName::Crawl).await.unwrap();
    assert!(
        listed
            .iter()
            .all(|record| record.sends == 1 && !record.needs_send())
    );
}

#[tokio::test]
async fn a_message_taken_before_its_send_was_recorded_gets_a_new_id_next() {
    let world = world();
    let jobs = world.ports.jobs();
    let planned = record(&world, "job");
    jobs.plan(&planned).await.unwrap();
    // The sender dies after the queue took the message.
    world.crawl.put("job", "job:0", "{}");
    let Take::Work(taken) = jobs.take(QueueName::Crawl, "job:0").await.unwrap() else {
        panic!("it is open");
    };
    let now = world.clock.now();
    let parked = jobs.transition("park", QueueName::Crawl, &planned.job, |record| {
        record.park(taken.epoch, now, "later", now)
    });
    parked.await.unwrap();
    jobs.unpark(QueueName::Crawl, &planned.job).await.unwrap();
    assert_eq!(*world.crawl.sent.lock().unwrap(), ["job:1"]);
}

#[tokio::test]
async fn a_lost_job_is_sent_again_and_a_seen_one_is_not() {
    let world = world();
    let jobs = world.ports.jobs();
    let planned = record(&world, "job");
    jobs.plan_and_send(vec![planned.clone()]).await.unwrap();
    let day = chrono::Duration::hours(24);
    let resend = || jobs.resend_lost(QueueName::Crawl, &planned.job, day);
    assert_eq!(resend().await.unwrap().sent, 0);
    world.clock.advance(Duration::from_secs(24 * 60 * 60));
    assert_eq!(resend().await.unwrap().sent, 1);
    assert_eq!(*world.crawl.sent.lock().unwrap(), ["job:0", "job:1"]);
}

#[tokio::test]
async fn a_redrive_that_dies_anywhere_can_be_done_again() {
    for writes in 0..6 {
        let world = world();
        let jobs = world.ports.jobs();
        let mut dead = record(&world, "job");
        dead.mark_sent(dead.planned);
        dead.status = JobStatus::Dead;
        jobs.plan(&dead).await.unwrap();
        let letter = serde_json::json!({
            "job": "job", "queue": "crawl", "pipe": "shop", "group": "job", "body": "{}", "reason": "bad",
            "attempts": 1, "crashes": 0, "buried": "2026-11-21T03:00:00Z",
        });
        world
            .state
            .poke("dead/crawl/job", letter.to_string().as_bytes());
        world.crash.after_writes(writes);
        let _ = jobs.redrive(QueueName::Crawl, "job").await;
        world.crash.restart();
        if world.state.peek("dead/crawl/job").is_some() {
            jobs.redrive(QueueName::Crawl, "job").await.unwrap();
        }
        assert!(world.state.peek("dead/crawl/job").is_none(), "{writes}");
        assert_eq!(world.crawl.len(), 1, "{writes}");
        assert_eq!(
            world.record(QueueName::Crawl, &dead.job).status,
            JobStatus::Open
        );
    }
}

fn run() -> RunId {
    RunId::parse("shop@2026-11-21T03:00:00.000Z").unwrap()
}

fn image_job(n: usize, host: &str) -> ImageJob {
    ImageJob {
        run: run(),
        group: ImageJob::group_of(host, 0),
        images: vec![ImageTask {
            product_id: format!("p{n}"),
            url: format!("https://{host}/{n}.jpg"),
            known: KnownImage::default(),
        }],
    }
}

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
            jobs.take(QueueName::Image, &format!("{id}:0"))
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

/// Puts the result of a job and settles its record.
async fn finish(world: &World, job: &ImageJob) {
    let result = ImageResult {
        job: job.id(),
        run: job.run.clone(),
        tried: world.clock.now(),
        outcomes: Vec::new(),
    };
    manifests::put_result(&world.ports, &result).await.unwrap();
    let (jobs, id) = (world.ports.jobs(), job.id());
    let taken = jobs.take(QueueName::Image, &format!("{id}:0")).await;
    assert!(matches!(taken.unwrap(), Take::Work(_)));
    let settled = jobs.transition("settle", QueueName::Image, &id, |record| {
        record.settle(record.epoch, JobStatus::Done, "", record.planned)
    });
    settled.await.unwrap();
}

/// Takes every settled record out of the ledger.
async fn take_away(world: &World) -> u64 {
    let jobs = world.ports.jobs();
    let survey = jobs.survey(QueueName::Image).await.unwrap();
    let settled = survey.jobs.into_iter();
    let settled = settled.filter(|at| at.document.status.is_settled());
    let told = jobs.images_told(settled.collect()).await.unwrap();
    jobs.take_away(QueueName::Image, &told).await.unwrap()
}

fn poke(world: &World, key: &str, document: &impl serde::Serialize) {
    world
        .state
        .poke(key, &serde_json::to_vec(document).unwrap());
}

#[tokio::test]
async fn a_settled_job_is_known_when_its_record_is_gone() {
    let world = world();
    let jobs = world.ports.jobs();
    let check = async |queue, job: &JobId, expected: Option<JobStatus>| {
        let late = jobs.take(queue, &format!("{job}:3")).await.unwrap();
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
        (RunPhase::Superseded, Some(JobStatus::Superseded)),
        (RunPhase::Failed, Some(JobStatus::Dead)),
    ] {
        document.phase = phase;
        poke(&world, &Run::key(&run()), &document);
        check(crawl, &JobId::from(&run()), expected).await;
    }
    let fold = |fold| JobName::fold_id(&run().pipe, fold);
    check(crawl, &fold(1), None).await;
    let folds = Folds { newest: 2, done: 1 };
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

#[tokio::test]
async fn an_announced_message_that_the_queue_refuses_is_sent_by_a_later_tick() {
    let world = world();
    let jobs = world.ports.jobs();
    let planned: Vec<_> = (0..2).map(|n| image_job(n, "a.test")).collect();
    let records = planned
        .iter()
        .map(|job| manifests::image_record(job, world.clock.now()));
    let refused = format!("{}:0", planned[0].id());
    world.image.refuse_always.lock().unwrap().insert(refused);
    let report = jobs.announce(records.collect()).await.unwrap();
    assert_eq!((report.sent, report.unsent.len()), (1, 1));
    let record = world.record(QueueName::Image, &planned[0].id());
    assert!(record.needs_send());
    assert_eq!(jobs.send(&[record]).await.unwrap().sent, 1);
    assert_eq!(world.image.len(), 2);
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

//! Several who decide about the same groups, and groups that refuse: on a
//! frozen clock, with groups that do nothing but count.
#![allow(clippy::unwrap_used)]

#[path = "../../fleet/tests/support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use support::{TestClock, World, pipe_of};
use trawler_core::job::{CrawlJob, ImageJob};
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::maintenance::Target;
use trawler_core::open_runs::OpenRuns;
use trawler_core::past::PastRun;
use trawler_core::pause::PauseScope;
use trawler_core::ports::{Capacity, CapacityError, Clock, Completion, Headcount, Metric, Start};
use trawler_core::{QueueName, RunId, RunSeq};
use trawler_fleet::{Maintenance, Pauses, manifests, tell_start};
use trawler_scheduler::{Apply, PlanOptions, Prices, Scheduler, SchedulerOptions};

const CRAWL: QueueName = QueueName::Crawl;
const IMAGE: QueueName = QueueName::Image;
const MAX: u32 = 10;

/// Groups whose instances never come.
#[derive(Default)]
struct Groups {
    heads: Mutex<BTreeMap<QueueName, Headcount>>,
    wishes: Mutex<Vec<(QueueName, u32)>>,
    refuse: Mutex<BTreeSet<QueueName>>,
}

impl Groups {
    /// As a person does it, or an alarm.
    fn set(&self, queue: QueueName, wanted: u32) {
        let mut heads = self.heads.lock().unwrap();
        let head = heads.entry(queue).or_default();
        (head.wanted, head.booting) = (wanted, wanted);
    }

    fn bound(&self, queue: QueueName, min: u32) {
        let mut heads = self.heads.lock().unwrap();
        heads.entry(queue).or_default().min = min;
    }

    fn wishes(&self) -> Vec<(QueueName, u32)> {
        self.wishes.lock().unwrap().clone()
    }
}

#[async_trait]
impl Capacity for Groups {
    async fn want(&self, queue: QueueName, workers: u32) -> Result<(), CapacityError> {
        if self.refuse.lock().unwrap().contains(&queue) {
            return Err(CapacityError::Unavailable {
                verb: "want",
                what: format!("workers of the {queue} queue"),
                source: "slow down".into(),
            });
        }
        self.wishes.lock().unwrap().push((queue, workers));
        self.set(queue, workers);
        Ok(())
    }

    async fn headcount(&self, queue: QueueName) -> Result<Headcount, CapacityError> {
        let head = self.heads.lock().unwrap().get(&queue).copied();
        // The others look as well.
        tokio::task::yield_now().await;
        Ok(Headcount {
            max: MAX,
            ..head.unwrap_or_default()
        })
    }

    async fn protect(&self, _: bool) -> Result<(), CapacityError> {
        Ok(())
    }

    async fn leave(&self) -> Result<(), CapacityError> {
        Ok(())
    }

    async fn replace(&self) -> Result<(), CapacityError> {
        Ok(())
    }

    async fn complete(&self) -> Result<Completion, CapacityError> {
        Ok(Completion::NoHook)
    }
}

/// Ten pipes that are due at 03:00 and took 50 minutes on three days: by 04:00
/// on instances of two slots that is five of them.
struct Site {
    world: World,
    groups: Arc<Groups>,
}

impl Site {
    fn at(start: &str) -> Self {
        let world = World::new(TestClock::frozen(start), Duration::from_secs(36_000));
        for pipe in Self::pipes() {
            let mut runs = OpenRuns::none(pipe.id.clone());
            for day in (1..=3).rev() {
                let today = world.clock.now().date_naive();
                let due = today.and_hms_opt(3, 0, 0).unwrap().and_utc() - TimeDelta::days(day);
                let seq = RunSeq(due.timestamp_millis());
                runs.begin(seq);
                let past = PastRun {
                    ms: 50 * 60_000,
                    rows: 100,
                    image_jobs: 0,
                };
                runs.end_as(seq, Some(past));
            }
            let bytes = serde_json::to_vec(&runs).unwrap();
            world.state.poke(&OpenRuns::key(&pipe.id), &bytes);
        }
        Self {
            world,
            groups: Arc::default(),
        }
    }

    fn pipes() -> Vec<trawler_core::pipe::Pipe> {
        (0..10).map(|at| pipe_of(&format!("s{at}"))).collect()
    }

    /// Another process.
    fn scheduler(&self, queues: &[QueueName]) -> Scheduler {
        self.scheduler_with(PlanOptions {
            queues: queues.to_vec(),
            ..PlanOptions::default()
        })
    }

    fn scheduler_with(&self, plan: PlanOptions) -> Scheduler {
        let options = SchedulerOptions::default();
        Scheduler::new(self.world.ports.clone(), Self::pipes().into(), options)
            .with_capacity(Arc::clone(&self.groups) as Arc<dyn Capacity>)
            .with_planning(plan)
    }

    /// A fold of the first pipe, in the queue.
    async fn plan_fold(&self) {
        let pipe = support::pipe("s0");
        let job = CrawlJob::Fold {
            pipe: pipe.clone(),
            fold: 1,
        };
        let now = self.world.clock.now();
        let record = JobRecord::plan(job.id(), CRAWL, pipe, job.group(), job.encode(), now);
        let jobs = self.world.ports.jobs();
        jobs.plan_and_send(vec![record]).await.unwrap();
    }

    /// So many image jobs, each of a host of its own.
    async fn plan_images(&self, count: u32) {
        let run = RunId::new(support::pipe("s0"), self.world.clock.now());
        let record = |host: u32| {
            let job = ImageJob {
                run: run.clone(),
                group: ImageJob::group_of(&format!("{host}.test"), 0),
                images: Vec::new(),
            };
            manifests::image_record(&job, self.world.clock.now())
        };
        let jobs = self.world.ports.jobs();
        let records = (0..count).map(record).collect();
        jobs.plan_and_send(records).await.unwrap();
    }

    /// Nobody has ever run anything.
    fn forget_the_past(&self) {
        for pipe in Self::pipes() {
            let runs = OpenRuns::none(pipe.id.clone());
            let bytes = serde_json::to_vec(&runs).unwrap();
            self.world.state.poke(&OpenRuns::key(&pipe.id), &bytes);
        }
    }

    fn pass(&self, seconds: u64) {
        self.world.clock.advance(Duration::from_secs(seconds));
    }

    fn planned(&self) -> Option<bool> {
        let seen = self.world.metrics.seen.lock().unwrap();
        seen.iter().rev().find_map(|metric| match metric {
            Metric::CapacityPlanned { planned } => Some(*planned),
            _ => None,
        })
    }
}

#[tokio::test]
async fn however_many_decide_a_backlog_is_asked_for_once() {
    let site = Site::at("2026-11-21T02:50:00Z");
    let (ticker, follower) = (site.scheduler(&[CRAWL]), site.scheduler(&[CRAWL]));
    for look in 0..90 {
        if look % 6 == 0 {
            ticker.tick().await.unwrap();
        }
        follower.scale(Apply::Yes).await.unwrap();
        // One that has just begun remembers nothing.
        let other = site.scheduler(&[CRAWL]);
        other.scale(Apply::Yes).await.unwrap();
        site.pass(10);
    }
    assert_eq!(site.groups.wishes(), [(CRAWL, 5)]);
}

#[tokio::test]
async fn two_who_decide_at_once_ask_for_the_same_number() {
    let site = Site::at("2026-11-21T02:59:00Z");
    let (one, other) = (site.scheduler(&[CRAWL]), site.scheduler(&[CRAWL]));
    let (first, second) = tokio::join!(one.scale(Apply::Yes), other.scale(Apply::Yes));
    for scaled in [first, second] {
        let scaled = scaled.unwrap();
        assert_eq!((scaled[0].was, scaled[0].wanted), (0, 5), "both saw none");
    }
    assert_eq!(site.groups.wishes(), [(CRAWL, 5)], "one carries it out");
    let scaled = one.scale(Apply::Yes).await.unwrap();
    assert_eq!((scaled[0].asked, scaled[0].booting), (false, 5));
}

#[tokio::test]
async fn a_group_that_refuses_costs_the_other_nothing_and_is_asked_again() {
    let site = Site::at("2026-11-21T02:59:00Z");
    let scheduler = site.scheduler(&[CRAWL, IMAGE]);
    site.groups.refuse.lock().unwrap().insert(CRAWL);
    site.groups.bound(IMAGE, 1);
    let error = scheduler.scale(Apply::Yes).await.unwrap_err();
    assert!(!error.needs_person(), "{error}");
    assert_eq!(
        error.to_string(),
        "want workers of the crawl queue: the capacity service did not answer"
    );
    assert_eq!(site.groups.wishes(), [(IMAGE, 1)]);
    assert_eq!(site.planned(), Some(false), "the alarms take over");
    site.groups.refuse.lock().unwrap().clear();
    site.pass(10);
    scheduler.scale(Apply::Yes).await.unwrap();
    assert_eq!(site.groups.wishes(), [(IMAGE, 1), (CRAWL, 5)]);
    assert_eq!(site.planned(), Some(true));
}

#[tokio::test]
async fn what_a_person_asked_for_outlives_a_wish_that_failed() {
    let site = Site::at("2026-11-21T02:50:00Z");
    let scheduler = site.scheduler(&[CRAWL]);
    scheduler.scale(Apply::Yes).await.unwrap();
    site.groups.set(CRAWL, 3);
    scheduler.scale(Apply::Yes).await.unwrap();
    site.pass(9 * 60);
    site.groups.refuse.lock().unwrap().insert(CRAWL);
    scheduler.scale(Apply::Yes).await.unwrap_err();
    site.groups.refuse.lock().unwrap().clear();
    // Then there is nothing to do.
    let pauses = Pauses::new(&site.world.ports);
    pauses.pause(&PauseScope::Fleet, "why").await.unwrap();
    for _ in 0..3 {
        site.pass(10);
        let scaled = scheduler.scale(Apply::Yes).await.unwrap();
        assert_eq!((scaled[0].wanted, scaled[0].asked), (3, false));
        assert_eq!(scaled[0].why, "others asked for them");
    }
    assert_eq!(site.groups.wishes(), []);
}

#[tokio::test]
async fn a_person_who_asks_for_what_there_was_is_heard() {
    let site = Site::at("2026-11-21T02:59:00Z");
    let scheduler = site.scheduler(&[CRAWL]);
    scheduler.scale(Apply::Yes).await.unwrap();
    let pauses = Pauses::new(&site.world.ports);
    pauses.pause(&PauseScope::Fleet, "why").await.unwrap();
    for _ in 0..3 {
        site.pass(10);
        scheduler.scale(Apply::Yes).await.unwrap();
    }
    assert_eq!(site.groups.wishes(), [(CRAWL, 5), (CRAWL, 0)]);
    site.groups.set(CRAWL, 5);
    for _ in 0..3 {
        site.pass(10);
        let scaled = scheduler.scale(Apply::Yes).await.unwrap();
        assert_eq!((scaled[0].wanted, scaled[0].asked), (5, false));
    }
}

#[tokio::test]
async fn a_fold_alone_is_planned_where_runs_have_a_past() {
    for (has_past, expected, wishes) in [
        (true, "deadline", vec![(CRAWL, 1)]),
        (false, "no history", Vec::new()),
    ] {
        let site = Site::at("2026-11-21T01:00:00Z");
        if !has_past {
            site.forget_the_past();
        }
        site.plan_fold().await;
        let scaled = site.scheduler(&[CRAWL]).scale(Apply::Yes).await.unwrap();
        assert_eq!(scaled[0].why, expected);
        assert_eq!(site.groups.wishes(), wishes);
        assert_eq!(site.planned(), Some(has_past));
    }
}

#[tokio::test]
async fn groups_share_the_budget_of_a_day() {
    // Image jobs of 10 minutes on 4 slots: 5 rounds in an hour, 3 machines.
    // Crawling takes 5 machines for 52 minutes, $4.33: what is left pays for one
    // more.
    for (usd_per_day, expected, why) in [(None, 3, "deadline"), (Some(5.3), 1, "budget")] {
        let site = Site::at("2026-11-21T02:59:00Z");
        site.plan_images(60).await;
        let scheduler = site.scheduler_with(PlanOptions {
            usd_per_hour: Prices {
                crawl: 1.0,
                image: 1.0,
            },
            usd_per_day,
            image_job: TimeDelta::minutes(10),
            ..PlanOptions::default()
        });
        let scaled = scheduler.scale(Apply::Yes).await.unwrap();
        assert_eq!((scaled[0].wanted, scaled[0].why), (5, "deadline"));
        assert_eq!((scaled[1].wanted, scaled[1].why), (expected, why));
    }
}

#[tokio::test]
async fn nothing_is_started_for_what_waits_for_declared_maintenance() {
    let site = Site::at("2026-11-21T02:50:00Z");
    let now = site.world.clock.now();
    let until = now + TimeDelta::minutes(30);
    Maintenance::new(&site.world.ports)
        .declare(Target::Catalogue, now, until, "an upgrade")
        .await
        .unwrap();
    let scheduler = site.scheduler(&[CRAWL]);
    let mut wished = None;
    for minute in 0..40 {
        // Runs are due, and in the queue, ten minutes from now.
        scheduler.tick().await.unwrap();
        if !site.groups.wishes().is_empty() {
            wished.get_or_insert(minute);
        }
        site.pass(60);
    }
    // The boot and the rest of a tick before the window ends.
    assert_eq!(wished, Some(28));
    assert_eq!(site.groups.wishes()[0].0, CRAWL);
}

#[tokio::test]
async fn machines_that_start_slowly_are_asked_for_sooner() {
    // By the configuration they take a minute; 190 s and a tick are four.
    for (starts, asked_before) in [(0, 2), (7, 2), (8, 4)] {
        let site = Site::at("2026-11-21T02:50:00Z");
        let now = site.world.clock.now();
        for at in 0..starts {
            let start = Start {
                machine: format!("i-{at}"),
                at: now - TimeDelta::seconds(180),
            };
            tell_start(&site.world.ports, &start, &[CRAWL]).await;
        }
        let scheduler = site.scheduler(&[CRAWL]);
        let mut wished = None;
        for minute in 0..10 {
            scheduler.scale(Apply::Yes).await.unwrap();
            if !site.groups.wishes().is_empty() {
                wished.get_or_insert(10 - minute);
            }
            site.pass(60);
        }
        assert_eq!(wished, Some(asked_before), "{starts} starts");
    }
}

#[tokio::test]
async fn nothing_is_started_for_images_of_a_partner_that_is_closed() {
    let site = Site::at("2026-11-21T01:00:00Z");
    site.plan_images(60).await;
    let now = site.world.clock.now();
    let until = now + TimeDelta::minutes(30);
    Maintenance::new(&site.world.ports)
        .declare(Target::Pipe(support::pipe("s0")), now, until, "an upgrade")
        .await
        .unwrap();
    let scheduler = site.scheduler(&[IMAGE]);
    let mut wished = None;
    for minute in 0..40 {
        scheduler.tick().await.unwrap();
        if !site.groups.wishes().is_empty() {
            wished.get_or_insert(minute);
        }
        site.pass(60);
    }
    // The boot and the rest of a tick before the window ends.
    assert_eq!(wished, Some(28));
}

#[tokio::test]
async fn parked_images_are_prepared_for_when_they_go_on_and_not_before() {
    let site = Site::at("2026-11-21T01:00:00Z");
    site.plan_images(60).await;
    // One host is backed off from for some seconds, the others are closed.
    let now = site.world.clock.now();
    let documents = site.world.ports.documents();
    for (at, key) in documents
        .keys("jobs/image/")
        .await
        .unwrap()
        .iter()
        .enumerate()
    {
        let wait = if at == 0 { 10 } else { 30 * 60 };
        let parked = documents.change(key, |job: &mut JobRecord| {
            job.status = JobStatus::Parked;
            job.due = Some(now + TimeDelta::seconds(wait));
        });
        parked.await.unwrap();
    }
    let scheduler = site.scheduler_with(PlanOptions {
        queues: vec![IMAGE],
        image_job: TimeDelta::minutes(10),
        ..PlanOptions::default()
    });
    let mut wished = Vec::new();
    for minute in 0..30 {
        scheduler.tick().await.unwrap();
        for (_, wanted) in site.groups.wishes().split_off(wished.len()) {
            wished.push((minute, wanted));
        }
        site.pass(60);
    }
    // 59 jobs of ten minutes within an hour: five rounds of twelve slots, asked
    // for by the boot and the rest of a tick before.
    assert_eq!(wished, [(0, 1), (28, 3)]);
}

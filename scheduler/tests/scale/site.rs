//! Ten pipes with a past, and groups that do nothing but count.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use trawler_core::job::{CrawlJob, ImageJob};
use trawler_core::ledger::JobRecord;
use trawler_core::open_runs::OpenRuns;
use trawler_core::past::PastRun;
use trawler_core::pipe::Pipe;
use trawler_core::ports::{Capacity, CapacityError, Clock, Completion, Headcount, Metric};
use trawler_core::{QueueName, RunId, RunSeq};
use trawler_fleet::manifests;
use trawler_scheduler::{PlanOptions, Scheduler, SchedulerOptions};

use crate::support::{self, TestClock, World, pipe_of};

pub(crate) const CRAWL: QueueName = QueueName::Crawl;
pub(crate) const IMAGE: QueueName = QueueName::Image;
pub(crate) const MAX: u32 = 10;

/// Groups whose instances never come.
#[derive(Default)]
pub(crate) struct Groups {
    pub(crate) heads: Mutex<BTreeMap<QueueName, Headcount>>,
    pub(crate) wishes: Mutex<Vec<(QueueName, u32)>>,
    pub(crate) refuse: Mutex<BTreeSet<QueueName>>,
}

impl Groups {
    /// As a person does it, or an alarm.
    pub(crate) fn set(&self, queue: QueueName, wanted: u32) {
        let mut heads = self.heads.lock().unwrap();
        let head = heads.entry(queue).or_default();
        (head.wanted, head.booting) = (wanted, wanted);
    }

    pub(crate) fn bound(&self, queue: QueueName, min: u32) {
        let mut heads = self.heads.lock().unwrap();
        heads.entry(queue).or_default().min = min;
    }

    pub(crate) fn wishes(&self) -> Vec<(QueueName, u32)> {
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
pub(crate) struct Site {
    pub(crate) world: World,
    pub(crate) groups: Arc<Groups>,
}

impl Site {
    pub(crate) fn at(start: &str) -> Self {
        let world = World::new(TestClock::frozen(start), Duration::from_secs(36_000));
        let site = Self {
            world,
            groups: Arc::default(),
        };
        site.remember(0);
        site
    }

    /// Each run of the past brought so many image jobs.
    pub(crate) fn remember(&self, image_jobs: u64) {
        for pipe in Self::pipes() {
            let mut runs = OpenRuns::none(pipe.id.clone());
            for day in (1..=3).rev() {
                let today = self.world.clock.now().date_naive();
                let due = today.and_hms_opt(3, 0, 0).unwrap().and_utc() - TimeDelta::days(day);
                let seq = RunSeq(due.timestamp_millis());
                runs.begin(seq);
                let past = PastRun {
                    ms: 50 * 60_000,
                    rows: 100,
                    image_jobs,
                };
                runs.end_as(seq, Some(past));
            }
            let bytes = serde_json::to_vec(&runs).unwrap();
            self.world.state.poke(&OpenRuns::key(&pipe.id), &bytes);
        }
    }

    pub(crate) fn pipes() -> Vec<Pipe> {
        (0..10).map(|at| pipe_of(&format!("s{at}"))).collect()
    }

    /// Another process.
    pub(crate) fn scheduler(&self, queues: &[QueueName]) -> Scheduler {
        self.scheduler_with(PlanOptions {
            queues: queues.to_vec(),
            ..PlanOptions::default()
        })
    }

    pub(crate) fn scheduler_with(&self, plan: PlanOptions) -> Scheduler {
        self.scheduler_of(Self::pipes(), plan)
    }

    pub(crate) fn scheduler_of(&self, pipes: Vec<Pipe>, plan: PlanOptions) -> Scheduler {
        let options = SchedulerOptions::default();
        Scheduler::new(self.world.ports.clone(), pipes.into(), options)
            .with_capacity(Arc::clone(&self.groups) as Arc<dyn Capacity>)
            .with_planning(plan)
    }

    /// A fold of the first pipe, in the queue.
    pub(crate) async fn plan_fold(&self) {
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
    pub(crate) async fn plan_images(&self, count: u32) {
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
    pub(crate) fn forget_the_past(&self) {
        for pipe in Self::pipes() {
            let runs = OpenRuns::none(pipe.id.clone());
            let bytes = serde_json::to_vec(&runs).unwrap();
            self.world.state.poke(&OpenRuns::key(&pipe.id), &bytes);
        }
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.world.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) fn planned(&self) -> Option<bool> {
        let seen = self.world.metrics.seen.lock().unwrap();
        seen.iter().rev().find_map(|metric| match metric {
            Metric::CapacityPlanned { planned } => Some(*planned),
            _ => None,
        })
    }
}

//! A fleet on a frozen clock: a group whose instances boot, and workers that
//! take their time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use trawler_core::ledger::JobStatus;
use trawler_core::open_runs::OpenRuns;
use trawler_core::past::PastRun;
use trawler_core::pipe::Pipe;
use trawler_core::ports::{Capacity, CapacityError, Clock, Completion, Headcount, Lease, Metric};
use trawler_core::run::{Run, RunPhase};
use trawler_core::{JobId, QueueName, RunId, RunSeq};
use trawler_fleet::Take;
use trawler_scheduler::{PlanOptions, Scheduler, SchedulerOptions, TickReport};

use crate::support::{self, MemMetrics, TestClock, World, pipe_of};

pub(crate) const CRAWL: QueueName = QueueName::Crawl;
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const BOOT: TimeDelta = TimeDelta::seconds(50);
pub(crate) const SLOTS: usize = 2;
pub(crate) const MAX: u32 = 10;

/// A job in a slot, and when its worker is done.
pub(crate) struct Work {
    lease: Lease,
    epoch: u64,
    run: RunId,
    end: DateTime<Utc>,
}

pub(crate) struct Instance {
    ready: DateTime<Utc>,
    work: Vec<Work>,
}

/// A group whose instances boot, and the wishes that it was told.
pub(crate) struct Group {
    pub(crate) clock: Arc<TestClock>,
    pub(crate) instances: Mutex<Vec<Instance>>,
    pub(crate) wishes: Mutex<Vec<(DateTime<Utc>, u32)>>,
    pub(crate) fault: Mutex<Option<fn() -> CapacityError>>,
}

impl Group {
    pub(crate) fn wishes(&self) -> Vec<(String, u32)> {
        let wishes = self.wishes.lock().unwrap();
        let told = |(at, wish): &(DateTime<Utc>, u32)| (at.format("%H:%M").to_string(), *wish);
        wishes.iter().map(told).collect()
    }
}

#[async_trait]
impl Capacity for Group {
    async fn want(&self, _: QueueName, workers: u32) -> Result<(), CapacityError> {
        let now = self.clock.now();
        self.wishes.lock().unwrap().push((now, workers));
        let mut instances = self.instances.lock().unwrap();
        // Only idle ones go.
        while instances.len() > workers as usize {
            let idle = instances
                .iter()
                .rposition(|instance| instance.work.is_empty());
            instances.remove(idle.expect("a busy instance was to be taken away"));
        }
        while instances.len() < workers as usize {
            instances.push(Instance {
                ready: now + BOOT,
                work: Vec::new(),
            });
        }
        Ok(())
    }

    async fn headcount(&self, _: QueueName) -> Result<Headcount, CapacityError> {
        if let Some(fault) = *self.fault.lock().unwrap() {
            return Err(fault());
        }
        let now = self.clock.now();
        let instances = self.instances.lock().unwrap();
        let ready = instances.iter().filter(|instance| instance.ready <= now);
        let busy = instances
            .iter()
            .filter(|instance| !instance.work.is_empty());
        let (in_service, busy) = (ready.count() as u32, busy.count() as u32);
        let wanted = instances.len() as u32;
        Ok(Headcount {
            in_service,
            busy,
            booting: wanted - in_service,
            leaving: 0,
            launched: wanted,
            held: busy,
            wanted,
            min: 0,
            max: MAX,
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

pub(crate) struct Fleet {
    pub(crate) world: World,
    pub(crate) group: Arc<Group>,
    pub(crate) ticker: Scheduler,
    /// Minutes of a run, by pipe.
    pub(crate) minutes: BTreeMap<String, i64>,
    /// Runs in the order in which they began, and when.
    pub(crate) begun: Vec<(String, String)>,
    pub(crate) ended: Vec<(String, String)>,
}

pub(crate) fn ticker(
    world: &World,
    group: &Arc<Group>,
    pipes: Vec<Pipe>,
    finish_within: TimeDelta,
) -> Scheduler {
    Scheduler::new(
        world.ports.clone(),
        pipes.into(),
        SchedulerOptions::default(),
    )
    .with_capacity(Arc::clone(group) as Arc<dyn Capacity>)
    .with_planning(PlanOptions {
        queues: vec![CRAWL],
        finish_within,
        boot: TimeDelta::seconds(60),
        crawl_slots: SLOTS as u32,
        ..PlanOptions::default()
    })
}

impl Fleet {
    pub(crate) fn of(start: &str, pipes: &[(&str, i64)], finish_within: TimeDelta) -> Self {
        let world = World::new(TestClock::frozen(start), MINUTE * 600);
        let group = Arc::new(Group {
            clock: Arc::clone(&world.clock),
            instances: Mutex::default(),
            wishes: Mutex::default(),
            fault: Mutex::default(),
        });
        let all = pipes.iter().map(|(name, _)| pipe_of(name)).collect();
        let ticker = ticker(&world, &group, all, finish_within);
        let minutes = pipes
            .iter()
            .map(|(name, minutes)| ((*name).to_owned(), *minutes));
        Self {
            world,
            group,
            ticker,
            minutes: minutes.collect(),
            begun: Vec::new(),
            ended: Vec::new(),
        }
    }

    /// As if each pipe had run on the three days before.
    pub(crate) fn with_past(self) -> Self {
        let now = self.world.clock.now();
        for (name, minutes) in &self.minutes {
            let mut runs = OpenRuns::none(support::pipe(name));
            for day in (1..=3).rev() {
                let due = now.date_naive().and_hms_opt(3, 0, 0).unwrap().and_utc();
                let seq = RunSeq((due - TimeDelta::days(day)).timestamp_millis());
                runs.begin(seq);
                let (ms, rows, image_jobs) = (minutes * 60_000, 100, 0);
                runs.end_as(
                    seq,
                    Some(PastRun {
                        ms,
                        rows,
                        image_jobs,
                    }),
                );
            }
            let bytes = serde_json::to_vec(&runs).unwrap();
            self.world.state.poke(&format!("schedule/{name}"), &bytes);
        }
        self
    }

    fn clock(&self) -> String {
        self.world.clock.now().format("%H:%M").to_string()
    }

    /// A tick and what workers do in the minute after it.
    pub(crate) async fn minute(&mut self) -> TickReport {
        let report = self.ticker.tick().await.unwrap();
        self.work().await;
        self.world.clock.advance(MINUTE);
        report
    }

    pub(crate) async fn minutes(&mut self, minutes: u32) {
        for _ in 0..minutes {
            self.minute().await;
        }
    }

    async fn work(&mut self) {
        let now = self.world.clock.now();
        let mut instances = std::mem::take(&mut *self.group.instances.lock().unwrap());
        for instance in instances
            .iter_mut()
            .filter(|instance| instance.ready <= now)
        {
            let (over, work) = std::mem::take(&mut instance.work)
                .into_iter()
                .partition(|work| work.end <= now);
            instance.work = work;
            for work in over {
                self.finish(work).await;
            }
            while instance.work.len() < SLOTS {
                match self.take().await {
                    Some(work) => instance.work.push(work),
                    None => break,
                }
            }
        }
        *self.group.instances.lock().unwrap() = instances;
    }

    async fn take(&mut self) -> Option<Work> {
        let mut leases = self
            .world
            .ports
            .crawl
            .receive(1, Duration::ZERO)
            .await
            .unwrap();
        let lease = leases.pop()?;
        let jobs = self.world.ports.jobs();
        let Take::Work(taken) = jobs.take(CRAWL, &lease.dedup_id, "d").await.unwrap() else {
            panic!("{} is stale", lease.dedup_id);
        };
        let run = RunId::parse(lease.dedup_id.rsplit_once(':').unwrap().0).unwrap();
        let now = self.world.clock.now();
        self.change(&run, |run| run.started = Some(now)).await;
        let name = run.pipe.to_string();
        let end = now + TimeDelta::minutes(self.minutes[&name]);
        self.begun.push((self.clock(), name));
        Some(Work {
            lease,
            epoch: taken.epoch,
            run,
            end,
        })
    }

    async fn finish(&mut self, work: Work) {
        let now = self.world.clock.now();
        let finish = |run: &mut Run| {
            run.phase = RunPhase::Finished;
            run.finished = Some(now);
        };
        self.change(&work.run, finish).await;
        let (jobs, job) = (self.world.ports.jobs(), JobId::from(&work.run));
        let settle = jobs.transition("settle", CRAWL, &job, |record| {
            record.settle(work.epoch, JobStatus::Done, "", now)
        });
        settle.await.unwrap();
        self.world.ports.crawl.ack(work.lease).await.unwrap();
        self.ended.push((self.clock(), work.run.pipe.to_string()));
    }

    async fn change(&self, run: &RunId, change: impl Fn(&mut Run)) {
        let documents = self.world.ports.documents();
        documents.change(&Run::key(run), change).await.unwrap();
    }

    pub(crate) fn planned(&self) -> Option<bool> {
        last_planned(&self.world.metrics)
    }
}

pub(crate) fn last_planned(metrics: &MemMetrics) -> Option<bool> {
    let seen = metrics.seen.lock().unwrap();
    seen.iter().rev().find_map(|metric| match metric {
        Metric::CapacityPlanned { planned } => Some(*planned),
        _ => None,
    })
}

pub(crate) fn told(pairs: &[(&str, u32)]) -> Vec<(String, u32)> {
    pairs
        .iter()
        .map(|(at, wish)| ((*at).to_owned(), *wish))
        .collect()
}

//! A worker on behaving ports, whose handler does as a test says.

use std::future::pending;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;
use trawler_core::job::CrawlJob;
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::ports::{Clock, Metric};
use trawler_core::verdict::{Ending, Failure, RetryPolicy};
use trawler_core::{JobId, QueueName, RunId};
use trawler_fleet::{
    Drain, Handler, Interrupt, JobContext, Pauses, TakenJob, Worker, WorkerOptions, WorkerReport,
};

use crate::support::{TestClock, World, pipe, until};

pub(crate) const START: &str = "2026-11-21T03:00:00Z";

pub(crate) const V: Duration = Duration::from_secs(60);

pub(crate) const CRAWL: QueueName = QueueName::Crawl;

/// What the handler of a test does with a job.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    End(Ending),
    Panic,
    /// Never returns by itself and listens to nobody.
    Hang,
    /// Steps until told to stop, and ends as told.
    Step,
    /// Has no steps of its own, and never returns.
    NoSteps,
    /// Computes in a blocking thread until interrupted.
    Compute,
    /// Waits until the lease is lost, then claims to be done.
    DoneLate,
    Decode,
}

pub(crate) struct Script {
    pub(crate) acts: Mutex<Vec<Act>>,
    pub(crate) started: AtomicU32,
    pub(crate) ended: AtomicU32,
    pub(crate) buried: Mutex<Vec<String>>,
    pub(crate) bury_failures: AtomicU32,
    pub(crate) interrupts: Mutex<Vec<Interrupt>>,
    /// Of the first job that computed.
    pub(crate) context: Mutex<Option<JobContext>>,
    pub(crate) fences: Mutex<Vec<bool>>,
}

impl Script {
    /// The last act goes on for ever.
    pub(crate) fn new(acts: &[Act]) -> Arc<Self> {
        Arc::new(Self {
            acts: Mutex::new(acts.to_vec()),
            started: AtomicU32::new(0),
            ended: AtomicU32::new(0),
            buried: Mutex::default(),
            bury_failures: AtomicU32::new(0),
            interrupts: Mutex::default(),
            context: Mutex::default(),
            fences: Mutex::default(),
        })
    }

    fn note_first(&self, ctx: &JobContext) {
        let mut first = self.context.lock().unwrap();
        first.get_or_insert_with(|| ctx.clone());
    }

    pub(crate) fn started(&self) -> u32 {
        self.started.load(Ordering::SeqCst)
    }

    pub(crate) async fn act(&self, act: Act, job: &TakenJob, ctx: &JobContext) -> Ending {
        match act {
            Act::End(ending) => ending,
            Act::Panic => panic!("the seventh seal"),
            Act::Hang => pending().await,
            Act::Step => loop {
                if let Err(ending) = ctx.step().await {
                    return ending;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            },
            Act::NoSteps => match ctx.unless_told(pending::<()>()).await {
                Ok(()) => Ending::Done,
                Err(ending) => ending,
            },
            Act::Compute => {
                let ctx = ctx.clone();
                self.note_first(&ctx);
                let computed = tokio::task::spawn_blocking(move || {
                    loop {
                        if let Some(interrupt) = ctx.interrupted() {
                            return interrupt;
                        }
                        std::thread::yield_now();
                    }
                });
                let interrupt = computed.await.unwrap();
                self.interrupts.lock().unwrap().push(interrupt);
                interrupt.ending()
            }
            Act::DoneLate => {
                ctx.cancelled().cancelled().await;
                let mine = ctx.still_mine().await;
                self.fences.lock().unwrap().push(mine);
                Ending::Done
            }
            Act::Decode => match CrawlJob::decode(&job.record.body) {
                Ok(_) => Ending::Done,
                Err(error) => Ending::Failed(Failure::permanent(error.to_string())),
            },
        }
    }
}

#[async_trait]
impl Handler for Script {
    fn queue(&self) -> QueueName {
        CRAWL
    }

    async fn handle(&self, job: &TakenJob, ctx: &JobContext) -> Ending {
        let act = {
            let mut acts = self.acts.lock().unwrap();
            if acts.len() > 1 {
                acts.remove(0)
            } else {
                acts[0].clone()
            }
        };
        self.started.fetch_add(1, Ordering::SeqCst);
        let ending = self.act(act, job, ctx).await;
        self.ended.fetch_add(1, Ordering::SeqCst);
        ending
    }

    async fn before_bury(&self, job: &TakenJob, _: &JobContext, _: &str) -> Result<(), Failure> {
        let failing = self
            .bury_failures
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if failing.is_ok() {
            return Err(Failure::transient("not now"));
        }
        self.buried.lock().unwrap().push(job.record.job.to_string());
        Ok(())
    }
}

pub(crate) struct Bench {
    pub(crate) world: World,
    pub(crate) script: Arc<Script>,
    pub(crate) drain: Drain,
    pub(crate) pauses: Pauses,
    pub(crate) options: WorkerOptions,
}

impl Bench {
    pub(crate) fn new(clock: TestClock, acts: &[Act]) -> Self {
        let world = World::new(clock, V);
        Self {
            pauses: Pauses::new(&world.ports),
            world,
            script: Script::new(acts),
            drain: Drain::new(),
            options: WorkerOptions {
                slots: 2,
                receive_wait: Duration::from_millis(50),
                retry: RetryPolicy {
                    attempts_max: 3,
                    crashes_max: 3,
                    backoff_base_ms: 10,
                    backoff_max_ms: 20,
                },
                grace: Duration::from_millis(300),
            },
        }
    }

    pub(crate) fn flowing(acts: &[Act]) -> Self {
        Self::new(TestClock::flowing(START), acts)
    }

    pub(crate) async fn plan(&self, pipe_name: &str) -> JobId {
        let run = RunId::new(pipe(pipe_name), self.world.clock.now());
        let job = CrawlJob::Collect { run };
        let record = JobRecord::plan(
            job.id(),
            CRAWL,
            job.pipe().clone(),
            job.group(),
            job.encode(),
            self.world.clock.now(),
        );
        let report = self.world.ports.jobs().plan_and_send(vec![record]).await;
        assert_eq!(report.unwrap().sent, 1);
        job.id()
    }

    pub(crate) fn start(&self) -> JoinHandle<WorkerReport> {
        let worker = Worker::new(
            &self.world.ports,
            self.script.clone(),
            self.options.clone(),
            self.pauses.clone(),
            self.drain.clone(),
        );
        tokio::spawn(async move { worker.run().await })
    }

    pub(crate) async fn stop(&self, running: JoinHandle<WorkerReport>) -> WorkerReport {
        self.drain.finish();
        running.await.unwrap()
    }

    pub(crate) fn status(&self, job: &JobId) -> JobStatus {
        self.record(job).status
    }

    pub(crate) fn record(&self, job: &JobId) -> JobRecord {
        self.world.record(CRAWL, job)
    }

    pub(crate) fn renewals(&self) -> usize {
        let renewed = |m: &Metric| matches!(m, Metric::LeaseRenewed { .. });
        self.world.metrics.count(renewed)
    }

    pub(crate) async fn settled(&self, job: &JobId) {
        until("the job is settled", || self.status(job).is_settled()).await;
        until("its message is gone", || self.world.crawl.len() == 0).await;
    }
}

pub(crate) fn failing(reason: &str) -> Act {
    Act::End(Ending::Failed(Failure::transient(reason)))
}

/// Moves a frozen clock to `due`, once somebody sleeps until then.
pub(crate) async fn move_to(bench: &Bench, due: Duration) {
    let clock = &bench.world.clock;
    until("somebody waits for it", || clock.someone_waits_for(due)).await;
    clock.advance(due - clock.monotonic());
}

/// Lets a worker on a frozen clock leave.
pub(crate) async fn stop_frozen(bench: &Bench, running: JoinHandle<WorkerReport>) -> WorkerReport {
    bench.drain.finish();
    until("it has left", || {
        bench.world.clock.advance(Duration::from_millis(20));
        running.is_finished()
    })
    .await;
    running.await.unwrap()
}

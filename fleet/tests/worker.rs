//! The worker against behaving ports: every rule of the lease, the ledger, the
//! drain and the pause, each in a test of its name.
#![allow(clippy::unwrap_used)]

mod support;

use std::future::pending;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use support::{TestClock, World, pipe, until};
use tokio::task::JoinHandle;
use trawler_core::dead::DeadLetter;
use trawler_core::drain::{EXIT_WITHIN, HAND_BACK_WITHIN};
use trawler_core::job::CrawlJob;
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::pause::PauseScope;
use trawler_core::ports::{Clock, Metric, Notice};
use trawler_core::verdict::{Ending, Failure, RetryPolicy};
use trawler_core::{JobId, QueueName, RunId};
use trawler_fleet::{
    CheckpointError, Drain, Handler, Interrupt, JobContext, Pauses, TakenJob, Worker,
    WorkerOptions, WorkerReport,
};

const START: &str = "2026-11-21T03:00:00Z";
const V: Duration = Duration::from_secs(60);
const CRAWL: QueueName = QueueName::Crawl;

/// What the handler of a test does with a job.
#[derive(Clone, Debug)]
enum Act {
    End(Ending),
    Panic,
    /// Never returns by itself and listens to nobody.
    Hang,
    /// Steps until told to stop, and ends as told.
    Step,
    /// Computes in a blocking thread until interrupted.
    Compute,
    /// Waits until the lease is lost, then claims to be done.
    DoneLate,
    Decode,
}

struct Script {
    acts: Mutex<Vec<Act>>,
    started: AtomicU32,
    ended: AtomicU32,
    buried: Mutex<Vec<String>>,
    bury_failures: AtomicU32,
    interrupts: Mutex<Vec<Interrupt>>,
    fences: Mutex<Vec<bool>>,
}

impl Script {
    /// The last act goes on for ever.
    fn new(acts: &[Act]) -> Arc<Self> {
        Arc::new(Self {
            acts: Mutex::new(acts.to_vec()),
            started: AtomicU32::new(0),
            ended: AtomicU32::new(0),
            buried: Mutex::default(),
            bury_failures: AtomicU32::new(0),
            interrupts: Mutex::default(),
            fences: Mutex::default(),
        })
    }

    fn started(&self) -> u32 {
        self.started.load(Ordering::SeqCst)
    }

    async fn act(&self, act: Act, job: &TakenJob, ctx: &JobContext) -> Ending {
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
            Act::Compute => {
                let ctx = ctx.clone();
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

struct Bench {
    world: World,
    script: Arc<Script>,
    drain: Drain,
    pauses: Pauses,
    options: WorkerOptions,
}

impl Bench {
    fn new(clock: TestClock, acts: &[Act]) -> Self {
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

    fn flowing(acts: &[Act]) -> Self {
        Self::new(TestClock::flowing(START), acts)
    }

    async fn plan(&self, pipe_name: &str) -> JobId {
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

    fn start(&self) -> JoinHandle<WorkerReport> {
        let worker = Worker::new(
            &self.world.ports,
            self.script.clone(),
            self.options.clone(),
            self.pauses.clone(),
            self.drain.clone(),
        );
        tokio::spawn(async move { worker.run().await })
    }

    async fn stop(&self, running: JoinHandle<WorkerReport>) -> WorkerReport {
        self.drain.finish();
        running.await.unwrap()
    }

    fn status(&self, job: &JobId) -> JobStatus {
        self.record(job).status
    }

    fn record(&self, job: &JobId) -> JobRecord {
        self.world.record(CRAWL, job)
    }

    fn renewals(&self) -> usize {
        let renewed = |m: &Metric| matches!(m, Metric::LeaseRenewed { .. });
        self.world.metrics.count(renewed)
    }

    async fn settled(&self, job: &JobId) {
        until("the job is settled", || self.status(job).is_settled()).await;
        until("its message is gone", || self.world.crawl.len() == 0).await;
    }
}

fn failing(reason: &str) -> Act {
    Act::End(Ending::Failed(Failure::transient(reason)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_02_ack_last() {
    let bench = Bench::flowing(&[Act::End(Ending::Done)]);
    let job = bench.plan("shop").await;
    let at_ack = Arc::new(Mutex::new(Vec::new()));
    let (state, seen, key) = (
        bench.world.state.clone(),
        at_ack.clone(),
        JobRecord::key(CRAWL, &job),
    );
    *bench.world.crawl.on_ack.lock().unwrap() = Some(Box::new(move |_| {
        let record: JobRecord = serde_json::from_slice(&state.peek(&key).unwrap()).unwrap();
        seen.lock().unwrap().push(record.status);
    }));
    let running = bench.start();
    bench.settled(&job).await;
    assert_eq!(*at_ack.lock().unwrap(), [JobStatus::Done]);
    assert_eq!(bench.stop(running).await.done, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verdict_that_cannot_be_recorded_is_not_acked() {
    let bench = Bench::flowing(&[Act::Step, Act::End(Ending::Done)]);
    let job = bench.plan("shop").await;
    let running = bench.start();
    until("it works", || bench.script.started() == 1).await;
    // State dies under the job; the pause of the pipe ends its work.
    bench.world.crash.after_writes(0);
    bench.world.state.poke(
        &PauseScope::Pipe(pipe("shop")).key(),
        br#"{"since":"2026-11-21T03:00:00Z","reason":"x"}"#,
    );
    bench.drain.finish();
    let report = running.await.unwrap();
    assert_eq!((report.lost, report.done), (1, 0));
    assert_eq!(bench.world.crawl.len(), 1, "the message is still there");
    bench.world.crash.restart();
    assert!(bench.record(&job).in_hand, "nothing was recorded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_04_every_job_ends_in_one_status() {
    let later = TestClock::flowing(START).now() + chrono::Duration::hours(1);
    let acts = [
        Act::End(Ending::Done),
        failing("flaky"),
        Act::Panic,
        Act::End(Ending::Failed(Failure::permanent("bad"))),
        Act::End(Ending::Superseded {
            by: "newer".to_owned(),
        }),
        Act::End(Ending::NotBefore {
            due: later,
            reason: "night".to_owned(),
        }),
        Act::End(Ending::Failed(Failure::throttled(
            "busy",
            Duration::from_millis(1),
        ))),
        Act::End(Ending::Done),
    ];
    let bench = Bench::flowing(&acts);
    let mut jobs = Vec::new();
    for n in 0..12 {
        jobs.push(bench.plan(&format!("shop-{n}")).await);
    }
    let running = bench.start();
    until("the queue is empty", || bench.world.crawl.len() == 0).await;
    let report = bench.stop(running).await;
    let mut counts = std::collections::BTreeMap::new();
    for job in &jobs {
        let record = bench.record(job);
        assert!(!record.in_hand, "{job}");
        *counts.entry(record.status.as_str()).or_insert(0_u64) += 1;
    }
    assert_eq!(counts.get("open"), None, "an idle queue has no open job");
    assert_eq!(counts["done"], report.done);
    assert_eq!(counts["dead"], 1);
    assert_eq!(counts["superseded"], 1);
    assert_eq!(counts["parked"], 1);
    assert_eq!(bench.world.state.keys("dead/").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_09_drain_hands_back_what_it_holds() {
    let mut bench = Bench::flowing(&[Act::Hang, Act::Compute]);
    bench.options.receive_wait = Duration::from_secs(20);
    let jobs = [bench.plan("stubborn").await, bench.plan("busy").await];
    let running = bench.start();
    until("both work", || bench.script.started() == 2).await;
    let told = Instant::now();
    bench.drain.request(Notice::SpotInterruption);
    until("both are visible", || bench.world.crawl.visible() == 2).await;
    assert!(told.elapsed() < HAND_BACK_WITHIN);
    let report = running.await.unwrap();
    assert!(told.elapsed() < EXIT_WITHIN);
    assert_eq!(report.handed_back, 2);
    for job in &jobs {
        let record = bench.record(job);
        assert_eq!(record.status, JobStatus::Open);
        assert_eq!(
            (record.attempts, record.crashes, record.hand_backs),
            (0, 0, 1)
        );
        assert!(!record.in_hand);
    }
    assert_eq!(*bench.script.interrupts.lock().unwrap(), [Interrupt::Drain]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_09_a_poll_is_not_cut_off_and_what_it_brings_is_released() {
    let mut bench = Bench::flowing(&[Act::End(Ending::Done)]);
    bench.options.receive_wait = Duration::from_secs(20);
    let running = bench.start();
    let receives = || bench.world.crawl.receives.lock().unwrap().len();
    until("it polls", || receives() == 1).await;
    assert!(bench.world.crawl.receives.lock().unwrap()[0] <= V / 4);
    bench.drain.request(Notice::Signal);
    let job = bench.plan("late").await;
    let report = running.await.unwrap();
    assert_eq!(receives(), 1, "no receive after the notice");
    assert_eq!(report.handed_back, 1);
    assert_eq!(bench.script.started(), 0);
    assert_eq!(bench.world.crawl.visible(), 1);
    assert_eq!(bench.record(&job).epoch, 0, "it was not even taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transient_failure_of_a_worker_that_leaves_is_a_hand_back() {
    struct Cut;
    #[async_trait]
    impl Handler for Cut {
        fn queue(&self) -> QueueName {
            CRAWL
        }
        async fn handle(&self, _: &TakenJob, ctx: &JobContext) -> Ending {
            ctx.progress("download", 1, Some(2));
            ctx.cancelled().cancelled().await;
            Ending::Failed(Failure::transient("the download was cut off"))
        }
        async fn before_bury(&self, _: &TakenJob, _: &JobContext, _: &str) -> Result<(), Failure> {
            Ok(())
        }
    }
    let mut bench = Bench::flowing(&[Act::Hang]);
    bench.options.slots = 1;
    let job = bench.plan("shop").await;
    let board = trawler_fleet::ProgressBoard::new();
    let worker = Worker::new(
        &bench.world.ports,
        Arc::new(Cut),
        bench.options.clone(),
        bench.pauses.clone(),
        bench.drain.clone(),
    )
    .with_board(board.clone());
    let running = tokio::spawn(async move { worker.run().await });
    until("it shows progress", || board.snapshot().len() == 1).await;
    assert_eq!(board.snapshot()[0].what, "download");
    assert_eq!(bench.stop(running).await.handed_back, 1);
    assert_eq!(bench.record(&job).attempts, 0);
    assert!(board.snapshot().is_empty(), "nothing is in hand any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_10_pause_parks_and_loses_nothing() {
    let check = |scope: PauseScope, act: Act| async move {
        let bench = Bench::flowing(&[act, Act::End(Ending::Done)]);
        let job = bench.plan("shop").await;
        let running = bench.start();
        until("it works", || bench.script.started() == 1).await;
        bench
            .pauses
            .pause(&scope, "the partner asked")
            .await
            .unwrap();
        until("it is parked", || bench.status(&job) == JobStatus::Parked).await;
        until("its message is gone", || bench.world.crawl.len() == 0).await;
        let record = bench.record(&job);
        assert_eq!((record.attempts, record.crashes), (0, 0), "{scope}");
        bench.pauses.resume(&scope).await.unwrap();
        assert!(record.is_due(bench.world.clock.now(), false));
        let jobs = bench.world.ports.jobs();
        jobs.unpark(CRAWL, &job).await.unwrap();
        bench.settled(&job).await;
        let report = bench.stop(running).await;
        assert_eq!((report.parked, report.done), (1, 1), "{scope}");
    };
    check(PauseScope::Fleet, Act::Step).await;
    check(PauseScope::Queue(CRAWL), Act::Step).await;
    check(PauseScope::Pipe(pipe("shop")), Act::Step).await;
    // A loop that cannot ask State sees the flag within two seconds.
    check(PauseScope::Pipe(pipe("shop")), Act::Compute).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_paused_before_it_starts_is_parked_untried() {
    let bench = Bench::flowing(&[Act::End(Ending::Done)]);
    let scope = PauseScope::Pipe(pipe("shop"));
    bench.pauses.pause(&scope, "first").await.unwrap();
    bench.pauses.pause(&scope, "second").await.unwrap();
    let listed = bench.pauses.list().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].1.reason, "second");
    let (job, other) = (bench.plan("shop").await, bench.plan("other").await);
    let running = bench.start();
    until("the other is done", || {
        bench.status(&other) == JobStatus::Done
    })
    .await;
    until("it is parked", || bench.status(&job) == JobStatus::Parked).await;
    assert_eq!(bench.script.started(), 1);
    let record = bench.record(&job);
    assert_eq!((record.attempts, record.hand_backs), (0, 0));
    bench.stop(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_run_out_and_the_job_is_buried_once() {
    let bench = Bench::flowing(&[failing("no answer")]);
    bench.script.bury_failures.store(1, Ordering::SeqCst);
    let job = bench.plan("shop").await;
    let running = bench.start();
    until("the burial was refused once", || {
        bench.script.bury_failures.load(Ordering::SeqCst) == 0
    })
    .await;
    until("it waits", || !bench.record(&job).in_hand).await;
    assert_eq!(bench.status(&job), JobStatus::Open, "not buried yet");
    bench.world.clock.advance(Duration::from_secs(15));
    bench.settled(&job).await;
    let report = bench.stop(running).await;
    assert_eq!((report.retried, report.buried), (3, 1));
    assert_eq!(*bench.script.buried.lock().unwrap(), [job.to_string()]);
    let letters = bench.world.ports.jobs().dead_letters(CRAWL).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert!(
        letters[0].reason.starts_with("no answer (attempt"),
        "{:?}",
        letters[0]
    );
    assert_eq!(bench.record(&job).attempts, letters[0].attempts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_kills_its_workers_is_buried_without_being_run() {
    let bench = Bench::flowing(&[Act::End(Ending::Done)]);
    let job = bench.plan("shop").await;
    let jobs = bench.world.ports.jobs();
    for _ in 0..3 {
        // Deliveries that vanish: taken, never heard of again.
        jobs.take(CRAWL, &format!("{job}:0")).await.unwrap();
    }
    let running = bench.start();
    bench.settled(&job).await;
    assert_eq!(bench.script.started(), 0);
    assert_eq!(bench.stop(running).await.buried, 1);
    let record = bench.record(&job);
    assert_eq!((record.status, record.crashes), (JobStatus::Dead, 3));
    assert_eq!(record.attempts, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_is_a_failed_attempt_of_that_job_alone() {
    let bench = Bench::flowing(&[Act::Panic, Act::End(Ending::Done)]);
    let jobs = [bench.plan("one").await, bench.plan("two").await];
    let running = bench.start();
    for job in &jobs {
        bench.settled(job).await;
    }
    let report = bench.stop(running).await;
    assert_eq!((report.retried, report.done), (1, 2));
    let records = jobs.each_ref().map(|job| bench.record(job));
    let attempts: u32 = records.iter().map(|record| record.attempts).sum();
    assert_eq!(attempts, 1);
    assert!(records.iter().all(|record| record.crashes == 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_lease_stops_the_worker_and_its_late_settle_is_refused() {
    let mut bench = Bench::flowing(&[Act::DoneLate, Act::End(Ending::Done)]);
    // With no poll out while time jumps: what such a poll brings counts as
    // held since before the jump, and so as lost.
    bench.options.slots = 1;
    let job = bench.plan("shop").await;
    let running = bench.start();
    until("it works", || bench.script.started() == 1).await;
    let first = bench.record(&job).epoch;
    // Nobody renews while the process sleeps, and the lease runs out.
    bench
        .world
        .crawl
        .failing_extends
        .store(u32::MAX, Ordering::SeqCst);
    bench.world.clock.advance(V);
    bench.settled(&job).await;
    let report = bench.stop(running).await;
    assert_eq!((report.lost, report.done), (1, 1));
    assert_eq!(*bench.script.fences.lock().unwrap(), [false]);
    let record = bench.record(&job);
    assert_eq!((record.epoch, record.crashes), (first + 1, 1));
    let late = bench
        .world
        .ports
        .jobs()
        .transition("settle", CRAWL, &job, |record| {
            record.settle(first, JobStatus::Dead, "late", record.planned)
        })
        .await;
    assert!(late.is_err(), "the older delivery is refused");
    assert_eq!(bench.status(&job), JobStatus::Done);
    let lost = |m: &Metric| matches!(m, Metric::LeaseLost { .. });
    assert_eq!(bench.world.metrics.count(lost), 1);
}

/// Moves a frozen clock to `due`, once somebody sleeps until then.
async fn move_to(bench: &Bench, due: Duration) {
    let clock = &bench.world.clock;
    until("somebody waits for it", || clock.someone_waits_for(due)).await;
    clock.advance(due - clock.monotonic());
}

/// Lets a worker on a frozen clock leave.
async fn stop_frozen(bench: &Bench, running: JoinHandle<WorkerReport>) -> WorkerReport {
    bench.drain.finish();
    until("it has left", || {
        bench.world.clock.advance(Duration::from_millis(20));
        running.is_finished()
    })
    .await;
    running.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keeper_renews_on_a_fixed_schedule_and_tries_again() {
    let mut bench = Bench::new(TestClock::frozen(START), &[Act::Step]);
    bench.options.slots = 1;
    let job = bench.plan("shop").await;
    let running = bench.start();
    let start = bench.world.clock.monotonic();
    move_to(&bench, start + V / 2).await;
    move_to(&bench, start + V).await;
    until("two renewals", || bench.renewals() == 2).await;
    // One without an answer is asked for again, long before the lease ends,
    // and does not shift the schedule.
    until("the next wait", || {
        bench.world.clock.someone_waits_for(start + V / 2 * 3)
    })
    .await;
    bench.world.crawl.failing_extends.store(1, Ordering::SeqCst);
    move_to(&bench, start + V / 2 * 3).await;
    move_to(&bench, start + V / 2 * 3 + V / 60).await;
    move_to(&bench, start + V * 2).await;
    until("two more", || bench.renewals() == 4).await;
    let asked: Vec<Duration> = {
        let extends = bench.world.crawl.extends.lock().unwrap();
        extends.iter().map(|at| *at - start).collect()
    };
    let due = [V / 2, V, V / 2 * 3, V / 2 * 3 + V / 60, V * 2];
    assert_eq!(asked, due);
    assert_eq!(stop_frozen(&bench, running).await.handed_back, 1);
    assert_eq!(bench.record(&job).hand_backs, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_handed_back_before_the_queue_takes_it() {
    let mut bench = Bench::new(TestClock::frozen(START), &[Act::Compute]);
    bench.options.slots = 1;
    let job = bench.plan("shop").await;
    let running = bench.start();
    let start = bench.world.clock.monotonic();
    let leave = Duration::from_secs(12 * 60 * 60 - 5 * 60);
    let renewals = u32::try_from(leave.as_secs() / (V / 2).as_secs()).unwrap();
    for n in 1..=renewals {
        move_to(&bench, start + V / 2 * n).await;
    }
    until("it is handed back", || bench.record(&job).hand_backs == 1).await;
    assert_eq!(bench.renewals(), renewals as usize - 1);
    assert_eq!(
        bench.script.interrupts.lock().unwrap()[0],
        Interrupt::HeldTooLong
    );
    stop_frozen(&bench, running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_message_is_acked_and_not_worked_on() {
    let bench = Bench::flowing(&[Act::End(Ending::Done)]);
    let job = bench.plan("shop").await;
    let jobs = bench.world.ports.jobs();
    jobs.supersede(CRAWL, &job, "newer").await.unwrap();
    let running = bench.start();
    until("its message is gone", || bench.world.crawl.len() == 0).await;
    assert_eq!(bench.stop(running).await.stale, 1);
    assert_eq!(bench.script.started(), 0);
    assert_eq!(bench.status(&job), JobStatus::Superseded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_names_no_job_is_kept_not_dropped() {
    let bench = Bench::flowing(&[Act::End(Ending::Done)]);
    bench.world.crawl.put("g", "never-planned:0", "hello");
    bench
        .world
        .crawl
        .put("g2", "no dedup id of ours / at all", "who?");
    // A record that cannot be read is kept, and so is its message.
    let broken = JobRecord::key(CRAWL, &JobId::parse("broken").unwrap());
    bench.world.state.poke(&broken, b"{half");
    bench.world.crawl.put("g3", "broken:0", "body");
    let running = bench.start();
    until("the queue is empty", || bench.world.crawl.len() == 0).await;
    assert_eq!(bench.stop(running).await.unknown, 3);
    let letters = bench.world.ports.jobs().dead_letters(CRAWL).await.unwrap();
    let bodies: Vec<_> = letters.iter().map(|letter| letter.body.as_str()).collect();
    assert_eq!(bodies, ["hello", "who?", "body"]);
    assert!(
        letters[2].reason.contains("jobs/crawl/broken"),
        "{}",
        letters[2].reason
    );
    assert_eq!(bench.world.state.peek(&broken).unwrap(), b"{half");
    let error = bench
        .world
        .ports
        .jobs()
        .redrive(CRAWL, &letters[0].job)
        .await;
    assert!(error.unwrap_err().to_string().contains("names no job"));
    let jobs = bench.world.ports.jobs();
    jobs.purge(CRAWL, &letters[0].job).await.unwrap();
    assert_eq!(jobs.dead_letters(CRAWL).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_body_version_is_buried_not_guessed_at() {
    let bench = Bench::flowing(&[Act::Decode]);
    let id = JobId::parse("shop@future").unwrap();
    let body = r#"{"v":2,"job":{"kind":"collect"}}"#.to_owned();
    let now = bench.world.clock.now();
    let record = JobRecord::plan(
        id.clone(),
        CRAWL,
        pipe("shop"),
        "shop".to_owned(),
        body,
        now,
    );
    let jobs = bench.world.ports.jobs();
    jobs.plan_and_send(vec![record]).await.unwrap();
    let running = bench.start();
    bench.settled(&id).await;
    assert_eq!(bench.stop(running).await.buried, 1);
    let letters = jobs.dead_letters(CRAWL).await.unwrap();
    assert!(letters[0].reason.contains("version 2 is not known"));
    assert!(letters[0].body.contains(r#""v":2"#), "kept whole");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redriven_job_runs_again_within_the_dedup_window() {
    let bench = Bench::flowing(&[
        Act::End(Ending::Failed(Failure::permanent("bad"))),
        Act::End(Ending::Done),
    ]);
    let job = bench.plan("shop").await;
    let running = bench.start();
    bench.settled(&job).await;
    let jobs = bench.world.ports.jobs();
    let key = DeadLetter::key(CRAWL, job.as_str());
    assert!(bench.world.state.peek(&key).is_some());
    assert_eq!(jobs.redrive(CRAWL, job.as_str()).await.unwrap().sent, 1);
    until("it is done", || bench.status(&job) == JobStatus::Done).await;
    bench.stop(running).await;
    assert!(
        bench.world.state.peek(&key).is_none(),
        "the document went last"
    );
    let sent = bench.world.crawl.sent.lock().unwrap().clone();
    assert_eq!(sent, [format!("{job}:0"), format!("{job}:1")]);
    assert!(
        jobs.redrive(CRAWL, job.as_str()).await.is_err(),
        "only the dead"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_job_comes_back_within_the_dedup_window() {
    let due = TestClock::flowing(START).now();
    let park = Ending::NotBefore {
        due,
        reason: "maintenance".to_owned(),
    };
    let bench = Bench::flowing(&[Act::End(park), Act::End(Ending::Done)]);
    let job = bench.plan("shop").await;
    let running = bench.start();
    until("it is parked", || bench.status(&job) == JobStatus::Parked).await;
    let jobs = bench.world.ports.jobs();
    assert_eq!(jobs.unpark(CRAWL, &job).await.unwrap().sent, 1);
    bench.settled(&job).await;
    assert_eq!(bench.status(&job), JobStatus::Done);
    bench.stop(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_wait_is_parked_and_still_counts_as_an_attempt() {
    let busy = Failure::throttled("busy", Duration::from_secs(600));
    let mut bench = Bench::flowing(&[Act::End(Ending::Failed(busy))]);
    bench.options.retry.backoff_max_ms = 600_000;
    let job = bench.plan("shop").await;
    let running = bench.start();
    until("it is parked", || bench.status(&job) == JobStatus::Parked).await;
    assert_eq!(bench.record(&job).attempts, 1);
    bench.stop(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_of_an_older_delivery_are_refused() {
    let bench = Bench::flowing(&[Act::Hang]);
    let job = bench.plan("shop").await;
    let jobs = bench.world.ports.jobs();
    let mut contexts = Vec::new();
    for _ in 0..2 {
        let taken = jobs.take(CRAWL, &format!("{job}:0")).await.unwrap();
        let trawler_fleet::Take::Work(taken) = taken else {
            panic!("{taken:?}")
        };
        contexts.push(JobContext::unleased(
            &bench.world.ports,
            &taken,
            &bench.drain,
        ));
    }
    let [old, new] = &contexts[..] else {
        panic!("two deliveries")
    };
    assert_eq!(old.checkpoint::<u32>().await.unwrap(), None);
    old.save_checkpoint(&7_u32).await.unwrap();
    assert_eq!(new.checkpoint::<u32>().await.unwrap(), Some(7));
    new.save_checkpoint(&8_u32).await.unwrap();
    let refused = old.save_checkpoint(&9_u32).await;
    assert!(matches!(
        refused,
        Err(CheckpointError::Overtaken { current: 2, .. })
    ));
    assert_eq!(new.checkpoint::<u32>().await.unwrap(), Some(8));
    assert!(new.still_mine().await);
    assert!(!old.still_mine().await);
    new.clear_checkpoint().await.unwrap();
    assert_eq!(new.checkpoint::<u32>().await.unwrap(), None);
}

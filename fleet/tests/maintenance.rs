//! Maintenance windows, and who waits for whom in a queue.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use support::{TestClock, World, pipe, until};
use tokio::task::JoinHandle;
use trawler_core::dead::Input;
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::maintenance::{PartnerHours, SPREAD_MAX, Target, Touches, Window, WindowText};
use trawler_core::pause::PauseScope;
use trawler_core::ports::Clock;
use trawler_core::verdict::{Ending, Failure, RetryPolicy};
use trawler_core::{JobId, QueueName};
use trawler_fleet::{
    Brief, Drain, Handler, JobContext, MaintenanceError, Pauses, TakenJob, Worker, WorkerOptions,
    WorkerReport,
};

const START: &str = "2026-11-21T03:00:00Z";
const V: Duration = Duration::from_secs(60);

/// What a job does; those that are not named are done at once.
#[derive(Clone)]
enum Act {
    /// Steps until told to stop.
    Step,
    /// Works until told by the test, and fails then.
    FailWhenTold,
    Fail(Failure),
}

/// A handler whose jobs touch the hosts that the test says.
struct Script {
    queue: QueueName,
    acts: Mutex<HashMap<String, Act>>,
    touches: Mutex<HashMap<String, Touches>>,
    started: AtomicU32,
    told: tokio::sync::Notify,
}

#[async_trait]
impl Handler for Script {
    fn queue(&self) -> QueueName {
        self.queue
    }

    async fn brief(&self, job: &TakenJob) -> Brief {
        let touches = self.touches.lock().unwrap();
        Brief {
            input: Input::default(),
            touches: touches
                .get(job.record.job.as_str())
                .cloned()
                .unwrap_or_default(),
        }
    }

    async fn handle(&self, job: &TakenJob, ctx: &JobContext) -> Ending {
        let act = self
            .acts
            .lock()
            .unwrap()
            .get(job.record.job.as_str())
            .cloned();
        self.started.fetch_add(1, Ordering::SeqCst);
        match act {
            None => Ending::Done,
            Some(Act::Fail(failure)) => Ending::Failed(failure),
            Some(Act::FailWhenTold) => {
                self.told.notified().await;
                Ending::Failed(Failure::transient("connection refused"))
            }
            Some(Act::Step) => loop {
                if let Err(ending) = ctx.step().await {
                    return ending;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            },
        }
    }

    async fn before_bury(&self, _: &TakenJob, _: &JobContext, _: &str) -> Result<(), Failure> {
        Ok(())
    }
}

struct Bench {
    world: World,
    script: Arc<Script>,
    pauses: Pauses,
    drain: Drain,
    retry: RetryPolicy,
}

impl Bench {
    fn new(queue: QueueName) -> Self {
        let world = World::new(TestClock::flowing(START), V);
        Self {
            pauses: Pauses::new(&world.ports),
            world,
            script: Arc::new(Script {
                queue,
                acts: Mutex::default(),
                touches: Mutex::default(),
                started: AtomicU32::new(0),
                told: tokio::sync::Notify::new(),
            }),
            drain: Drain::new(),
            retry: RetryPolicy::default(),
        }
    }

    fn act(&self, job: &JobId, act: Act) {
        let mut acts = self.script.acts.lock().unwrap();
        acts.insert(job.to_string(), act);
    }

    fn touches(&self, job: &JobId, touches: Touches) {
        let mut all = self.script.touches.lock().unwrap();
        all.insert(job.to_string(), touches);
    }

    async fn plan(&self, name: &str, of: &str, group: &str) -> JobId {
        let job = JobId::parse(name).unwrap();
        let record = JobRecord::plan(
            job.clone(),
            self.script.queue,
            pipe(of),
            group.to_owned(),
            "{}".to_owned(),
            self.world.clock.now(),
        );
        let jobs = self.world.ports.jobs();
        assert_eq!(jobs.plan_and_send(vec![record]).await.unwrap().sent, 1);
        job
    }

    fn start(&self) -> JoinHandle<WorkerReport> {
        let options = WorkerOptions {
            slots: 2,
            receive_wait: Duration::from_millis(20),
            retry: self.retry,
            grace: Duration::from_millis(300),
        };
        let worker = Worker::new(
            &self.world.ports,
            self.script.clone(),
            options,
            self.pauses.clone(),
            self.drain.clone(),
        );
        tokio::spawn(async move { worker.run().await })
    }

    async fn stop(self, running: JoinHandle<WorkerReport>) -> WorkerReport {
        self.drain.finish();
        running.await.unwrap()
    }

    fn record(&self, job: &JobId) -> JobRecord {
        self.world.record(self.script.queue, job)
    }

    async fn is(&self, job: &JobId, status: JobStatus) {
        let what = format!("{job} is {}", status.as_str());
        until(&what, || self.record(job).status == status).await;
    }

    async fn declare(&self, target: Target, hours: i64) {
        let now = self.world.clock.now();
        let until = now + chrono::Duration::hours(hours);
        let maintenance = self.pauses.maintenance();
        maintenance
            .declare(target, now, until, "moving house")
            .await
            .unwrap();
    }
}

fn host(name: &str) -> Touches {
    Touches {
        partner: Some(PartnerHours::default()),
        hosts: [name.to_owned()].into(),
        catalogue: false,
    }
}

fn target(name: &str) -> Target {
    Target::host(name).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_parks_what_it_touches_without_an_attempt_and_lets_it_go_afterwards() {
    let bench = Bench::new(QueueName::Image);
    let (here, there) = (
        bench.plan("here", "a", "g1").await,
        bench.plan("there", "a", "g2").await,
    );
    bench.touches(&here, host("img.test"));
    bench.touches(&there, host("cdn.test"));
    bench.declare(target("img.test"), 1).await;
    let end = bench.world.clock.now() + chrono::Duration::hours(1);
    let running = bench.start();
    bench.is(&there, JobStatus::Done).await;
    bench.is(&here, JobStatus::Parked).await;
    let record = bench.record(&here);
    assert_eq!((record.attempts, record.crashes), (0, 0));
    assert_eq!(record.reason, "maintenance of host img.test: moving house");
    let due = record.due.unwrap();
    let second = chrono::Duration::seconds(1);
    assert!((end - second..=end + SPREAD_MAX).contains(&due), "{due}");
    assert!(!record.is_due(bench.world.clock.now(), false));
    // A poll that is out would count its lease from before the leap.
    bench.drain.finish();
    assert_eq!(running.await.unwrap().parked, 1);
    bench.world.clock.advance(Duration::from_secs(66 * 60));
    assert!(bench.record(&here).is_due(bench.world.clock.now(), false));
    let bench = Bench {
        drain: Drain::new(),
        ..bench
    };
    let running = bench.start();
    let jobs = bench.world.ports.jobs();
    jobs.unpark(QueueName::Image, &here).await.unwrap();
    bench.is(&here, JobStatus::Done).await;
    assert_eq!(bench.stop(running).await.done, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_that_begins_while_a_job_is_at_work_parks_it_at_its_next_step() {
    let bench = Bench::new(QueueName::Crawl);
    let job = bench.plan("run", "a", "a").await;
    bench.act(&job, Act::Step);
    bench.touches(&job, host("shop.test"));
    let running = bench.start();
    until("it works", || {
        bench.script.started.load(Ordering::SeqCst) == 1
    })
    .await;
    bench.declare(Target::Pipe(pipe("b")), 1).await;
    bench.declare(Target::Fleet, 1).await;
    bench.is(&job, JobStatus::Parked).await;
    assert_eq!(
        bench.record(&job).reason,
        "maintenance of the fleet: moving house"
    );
    // The window is off: who waits for it need not.
    let jobs = bench.world.ports.jobs();
    assert_eq!(jobs.wake("maintenance of the fleet").await.unwrap(), 1);
    assert!(bench.record(&job).is_due(bench.world.clock.now(), false));
    bench.stop(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_in_a_window_is_no_attempt() {
    let bench = Bench::new(QueueName::Crawl);
    let job = bench.plan("run", "a", "a").await;
    bench.act(&job, Act::FailWhenTold);
    bench.touches(&job, host("shop.test"));
    let running = bench.start();
    until("it works", || {
        bench.script.started.load(Ordering::SeqCst) == 1
    })
    .await;
    bench.declare(target("shop.test"), 2).await;
    bench.script.told.notify_one();
    bench.is(&job, JobStatus::Parked).await;
    assert_eq!(bench.record(&job).attempts, 0);
    bench.stop(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partners_own_window_parks_its_jobs_and_a_pause_comes_first() {
    let bench = Bench::new(QueueName::Crawl);
    let text = WindowText {
        days: Vec::new(),
        from: "2026-11-21T02:00:00Z".to_owned(),
        until: "2026-11-21T05:00:00Z".to_owned(),
        reason: "inventory".to_owned(),
    };
    let window = Window::parse(&text, "UTC".parse().unwrap()).unwrap();
    let touches = Touches {
        partner: Some(PartnerHours {
            maintenance: vec![window],
            off_peak: Vec::new(),
        }),
        ..Touches::default()
    };
    let (waits, goes, paused) = (
        bench.plan("waits", "a", "a").await,
        bench.plan("goes", "b", "b").await,
        bench.plan("paused", "c", "c").await,
    );
    bench.touches(&waits, touches.clone());
    bench.touches(&paused, touches);
    let scope = PauseScope::Pipe(pipe("c"));
    bench.pauses.pause(&scope, "").await.unwrap();
    let running = bench.start();
    bench.is(&goes, JobStatus::Done).await;
    bench.is(&waits, JobStatus::Parked).await;
    bench.is(&paused, JobStatus::Parked).await;
    let reason = bench.record(&waits).reason;
    assert_eq!(reason, "maintenance of the partner of pipe a: inventory");
    assert_eq!(bench.record(&paused).reason, "paused");
    bench.stop(running).await;
}

#[tokio::test]
async fn windows_are_declared_listed_and_removed() {
    let world = World::new(TestClock::frozen(START), V);
    let pauses = Pauses::new(&world.ports);
    let maintenance = pauses.maintenance();
    let now = world.clock.now();
    let hours = chrono::Duration::hours;
    let declare = |target, from, until| maintenance.declare(target, now + from, now + until, "why");
    let first = declare(Target::Catalogue, hours(1), hours(2))
        .await
        .unwrap();
    let again = declare(Target::Catalogue, hours(1), hours(2))
        .await
        .unwrap();
    assert_eq!(first.id, again.id);
    declare(Target::Fleet, hours(0), hours(1)).await.unwrap();
    let past = declare(Target::Fleet, hours(-2), hours(-1)).await;
    assert!(matches!(past, Err(MaintenanceError::NoTime { .. })));
    let listed = maintenance.list().await.unwrap();
    let targets: Vec<&Target> = listed.iter().map(|window| &window.target).collect();
    assert_eq!(targets, [&Target::Fleet, &Target::Catalogue]);
    let closed = maintenance.closed(&Touches::default(), &pipe("a")).await;
    assert_eq!(closed.unwrap().unwrap().until, now + hours(1));
    assert!(maintenance.remove(&first.id).await.unwrap().is_some());
    assert!(maintenance.remove(&first.id).await.unwrap().is_none());
    // Past windows are kept for a week and then forgotten.
    world.clock.advance(Duration::from_secs(8 * 24 * 3600));
    let now = world.clock.now();
    maintenance
        .declare(Target::Catalogue, now, now + hours(1), "")
        .await
        .unwrap();
    assert_eq!(maintenance.list().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_image_job_is_parked_and_its_host_goes_on() {
    let mut bench = Bench::new(QueueName::Image);
    bench.retry.backoff_base_ms = 20_000;
    let (bad, good) = (
        bench.plan("bad", "a", "host#0").await,
        bench.plan("good", "b", "host#0").await,
    );
    bench.act(&bad, Act::Fail(Failure::transient("no answer")));
    let running = bench.start();
    // Well before the back-off of the first ends.
    bench.is(&good, JobStatus::Done).await;
    let record = bench.record(&bad);
    assert_eq!((record.status, record.attempts), (JobStatus::Parked, 1));
    let report = bench.stop(running).await;
    assert_eq!((report.parked, report.retried), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_image_job_leaves_its_host_to_the_others() {
    let bench = Bench::new(QueueName::Image);
    let (paused, good) = (
        bench.plan("paused", "a", "host#0").await,
        bench.plan("good", "b", "host#0").await,
    );
    let scope = PauseScope::Pipe(pipe("a"));
    bench.pauses.pause(&scope, "").await.unwrap();
    let running = bench.start();
    bench.is(&good, JobStatus::Done).await;
    assert_eq!(bench.record(&paused).status, JobStatus::Parked);
    bench.stop(running).await;
}

/// The job's delivery vanishes: taken, and never heard of again.
async fn crash(bench: &Bench) {
    let queue = bench.world.ports.queue(bench.script.queue);
    let lease = queue
        .receive(1, Duration::ZERO)
        .await
        .unwrap()
        .pop()
        .unwrap();
    let jobs = bench.world.ports.jobs();
    jobs.take(bench.script.queue, &lease.dedup_id, &lease.delivery())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_job_that_crashed_twice_lets_its_host_go_first() {
    let bench = Bench::new(QueueName::Image);
    let bad = bench.plan("bad", "a", "host#0").await;
    let good = bench.plan("good", "b", "host#0").await;
    for _ in 0..2 {
        crash(&bench).await;
        bench.world.clock.advance(V);
    }
    bench.act(&bad, Act::Fail(Failure::permanent("it would crash again")));
    let running = bench.start();
    bench.is(&good, JobStatus::Done).await;
    let record = bench.record(&bad);
    assert_eq!((record.status, record.attempts), (JobStatus::Parked, 0));
    assert_eq!(record.crashes, 2);
    assert_eq!(record.log.lines().len(), 2, "{:?}", record.log);
    bench.stop(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poison_crawl_job_holds_up_its_own_pipe_only() {
    let bench = Bench::new(QueueName::Crawl);
    let poison = bench.plan("poison", "bad", "bad").await;
    let behind = bench.plan("behind", "bad", "bad").await;
    let mut others = Vec::new();
    for n in 0..5 {
        let name = format!("good-{n}");
        others.push(bench.plan(&name, &name, &name).await);
    }
    let running = {
        crash(&bench).await;
        bench.start()
    };
    for other in &others {
        bench.is(other, JobStatus::Done).await;
    }
    assert_eq!(bench.record(&behind).status, JobStatus::Open, "it waits");
    bench.drain.finish();
    running.await.unwrap();
    // It goes on killing its workers until it is buried.
    for _ in 1..bench.retry.crashes_max {
        bench.world.clock.advance(V);
        crash(&bench).await;
    }
    bench.world.clock.advance(V);
    let bench = Bench {
        drain: Drain::new(),
        ..bench
    };
    let running = bench.start();
    bench.is(&poison, JobStatus::Dead).await;
    bench.is(&behind, JobStatus::Done).await;
    let letters = bench
        .world
        .ports
        .jobs()
        .dead_letters(QueueName::Crawl)
        .await;
    let letter = &letters.unwrap()[0];
    assert_eq!((letter.crashes, letter.attempts), (5, 0));
    assert!(letter.first_failure.is_some() && letter.log.lines().len() == 5);
    bench.stop(running).await;
}

//! The roles of this process: scheduler, crawler, image worker, or all of them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinSet;
use trawler_core::QueueName;
use trawler_core::drain::HAND_BACK_WITHIN;
use trawler_core::ledger::JobStatus;
use trawler_core::ports::{Notice, Notices};
use trawler_fleet::{
    AllNotices, Drain, Handler, ProgressBoard, Slots, Worker, WorkerOptions, WorkerReport,
};
use trawler_net::Fetcher;
use trawler_scheduler::Scheduler;

use crate::beside::Beside;
use crate::compose::{self, Machine, notices};
use crate::config::Loaded;
use crate::order::{Order, Plan, Role, Until};
use crate::progress;
use crate::upkeep_beside::UpkeepBeside;

/// Longest poll of a run that ends when nothing is left.
const IDLE_POLL_MAX: Duration = Duration::from_millis(250);

/// Longest wait between two looks of such a run.
const IDLE_TICK_MAX: Duration = Duration::from_secs(1);

/// How the work ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Worked {
    pub(crate) crawl: WorkerReport,
    pub(crate) image: WorkerReport,
    /// Jobs that are parked beyond the wait of `run --once`.
    pub(crate) parked: u64,
    /// Documents and schedules that the scheduler could not make out.
    pub(crate) problems: Vec<String>,
    /// Why it left before the end, if somebody told it to.
    pub(crate) notice: Option<Notice>,
}

impl Worked {
    /// Jobs and messages that became dead letters.
    pub(crate) fn gave_up(&self) -> u64 {
        [&self.crawl, &self.image]
            .iter()
            .map(|report| report.buried + report.unknown)
            .sum()
    }
}

/// Works until the end that was asked for.
pub(crate) async fn work(
    machine: &Machine,
    loaded: &Loaded,
    order: Order<'_>,
) -> anyhow::Result<Worked> {
    let fetcher = compose::fetcher(&loaded.config, &[])?;
    let clock = Arc::clone(&machine.ports.clock);
    let notices = notices::listen(&loaded.config, clock).await?;
    let groups = machine.capacity(loaded).await?;
    let scheduler = machine.scheduler(loaded, groups.as_ref());
    if let Plan::Now(pipes) = &order.plan {
        for pipe in pipes {
            scheduler.run_now(pipe).await?;
        }
    }
    let drain = Drain::new();
    let slots = Slots::new(Arc::clone(&machine.ports.clock));
    let crew = Crew {
        machine,
        loaded,
        fetcher: &fetcher,
        drain: &drain,
        order: &order,
        slots: &slots,
    };
    let mut beside = Beside::start(machine, loaded, &order, groups, &slots, &drain).await?;
    let mut tasks = crew.start().await?;
    beside.ready();
    let watcher = tokio::spawn(watch(drain.clone(), notices));
    let end = match order.until {
        Until::Told if order.roles.contains(&Role::Schedule) => {
            let clock = &machine.ports.clock;
            tokio::select! {
                () = scheduler.run(&drain) => {}
                // A tick may die at any instant: the next one heals it.
                () = async { drain.wait().await; clock.sleep(HAND_BACK_WITHIN).await } => {}
            }
            Ok((0, Vec::new()))
        }
        Until::Told => {
            drain.wait().await;
            Ok((0, Vec::new()))
        }
        Until::Idle => until_idle(machine, loaded, &scheduler, &order.plan, &drain).await,
    };
    drain.finish();
    let mut worked = Worked {
        notice: drain.notice(),
        ..Worked::default()
    };
    while let Some(joined) = tasks.join_next().await {
        match joined.context("join a worker")? {
            Some((QueueName::Crawl, report)) => worked.crawl = report,
            Some((QueueName::Image, report)) => worked.image = report,
            None => {}
        }
    }
    watcher.abort();
    beside.finish(&drain).await?;
    (worked.parked, worked.problems) = end?;
    Ok(worked)
}

/// The first notice asks everything to leave in good order, the second signal
/// does not wait for it; a notice of the platform is followed by others and by
/// a signal, and none of them cuts the drain short. Aborted by its owner when
/// the work is over.
async fn watch(drain: Drain, notices: AllNotices) {
    drain.watch(&notices).await;
    let Some(first) = drain.notice() else {
        return;
    };
    eprintln!("leaving: what is in hand goes back into the queue; once more to leave at once");
    let mut signals = u32::from(first == Notice::Signal);
    while signals < 2 {
        signals += u32::from(notices.next().await == Notice::Signal);
    }
    // As a shell reports a program that SIGINT ended.
    std::process::exit(130);
}

/// The tasks of this process; their owner joins them.
struct Crew<'a> {
    machine: &'a Machine,
    loaded: &'a Loaded,
    fetcher: &'a Fetcher,
    drain: &'a Drain,
    order: &'a Order<'a>,
    slots: &'a Slots,
}

type Report = Option<(QueueName, WorkerReport)>;

impl Crew<'_> {
    async fn start(&self) -> anyhow::Result<JoinSet<Report>> {
        let workers = &self.loaded.config.workers;
        let board = ProgressBoard::new();
        let mut tasks = JoinSet::new();
        if self.order.roles.contains(&Role::Crawl) {
            let crawler = self.machine.crawler(self.loaded, self.fetcher).await?;
            let handler = UpkeepBeside {
                crawler,
                upkeep: self.machine.upkeep(self.loaded).await?,
                // It plans no run here and asks for no capacity.
                scheduler: self.machine.scheduler(self.loaded, None),
            };
            self.hire(&mut tasks, Arc::new(handler), workers.crawl_slots, &board);
        }
        if self.order.roles.contains(&Role::Images) {
            let images = self.machine.image_worker(self.loaded, self.fetcher)?;
            self.hire(&mut tasks, Arc::new(images), workers.image_slots, &board);
        }
        let (drain, show) = (self.drain.clone(), self.order.show);
        tasks.spawn(async move {
            progress::show(board, drain, show).await;
            None
        });
        Ok(tasks)
    }

    /// A poll is never cut off, so the end of a run that ends by itself would
    /// wait for a long one.
    fn poll(&self) -> Duration {
        let config = &self.loaded.config;
        let configured = config.workers.poll(config.queue.kind);
        match self.order.until {
            Until::Told => configured,
            Until::Idle => configured.min(IDLE_POLL_MAX),
        }
    }

    fn hire(
        &self,
        tasks: &mut JoinSet<Report>,
        handler: Arc<dyn Handler>,
        slots: usize,
        board: &ProgressBoard,
    ) {
        let queue = handler.queue();
        let options = WorkerOptions {
            slots,
            receive_wait: self.poll(),
            retry: self.loaded.config.retry,
            ..WorkerOptions::default()
        };
        let pauses = self.machine.pauses().clone();
        let worker = Worker::new(
            &self.machine.ports,
            handler,
            options,
            pauses,
            self.drain.clone(),
        );
        let worker = worker
            .with_board(board.clone())
            .with_slots(self.slots.clone());
        tasks.spawn(async move { Some((queue, worker.run().await)) });
    }
}

/// Ticks until no job is open and none is parked for a short time; says how
/// many are parked for longer, and what the last tick could not make out.
///
/// Image work that is planned keeps it going as long as ticks move something:
/// what is left after two looks at which nothing was open and a tick that
/// moved nothing waits for a parked job or for a person.
async fn until_idle(
    machine: &Machine,
    loaded: &Loaded,
    scheduler: &Scheduler,
    plan: &Plan,
    drain: &Drain,
) -> anyhow::Result<(u64, Vec<String>)> {
    let wait = chrono::Duration::seconds(
        i64::try_from(loaded.config.scheduler.once_wait_s).unwrap_or(i64::MAX),
    );
    let config = &loaded.config;
    let tick_every = config.scheduler.tick(config.queue.kind).min(IDLE_TICK_MAX);
    let jobs = machine.ports.jobs();
    let mut was_still = false;
    let mut told = HashSet::new();
    while !drain.requested() {
        let tick = match plan {
            Plan::Due => scheduler.tick().await?,
            Plan::Now(_) => scheduler.tick_without_planning().await?,
        };
        let now = machine.ports.clock.now();
        let (mut open, mut soon, mut parked) = (0_u64, 0_u64, 0_u64);
        for queue in QueueName::ALL {
            // A message of no job, which a worker has to bury.
            open += machine.ports.queue(queue).depth().await?.visible;
            for record in jobs.list(queue).await? {
                if record.attempts > 0
                    && !record.status.is_settled()
                    && told.insert((record.job.clone(), record.attempts))
                {
                    eprintln!("{}: {}; it is tried again", record.pipe, record.reason);
                }
                match record.status {
                    JobStatus::Open => open += 1,
                    // No tick sends what is paused, be it due or not.
                    JobStatus::Parked
                        if record.due.is_some_and(|due| due - now <= wait)
                            && !machine.pauses().is_paused(queue, &record.pipe).await? =>
                    {
                        soon += 1
                    }
                    JobStatus::Parked => parked += 1,
                    JobStatus::Done | JobStatus::Dead | JobStatus::Superseded => {}
                }
            }
        }
        let is_still = open + soon == 0;
        if is_still && was_still && !tick.moved_jobs() {
            return Ok((parked, tick.problems));
        }
        if is_still && !scheduler.has_work().await? {
            // Jobs may have been settled since the tick looked: their runs end
            // with the next one, and what they took is not known before.
            let last = scheduler.tick_without_planning().await?;
            if !last.moved_jobs() {
                let mut problems = tick.problems;
                let more = last.problems.into_iter();
                more.for_each(|problem| {
                    if !problems.contains(&problem) {
                        problems.push(problem);
                    }
                });
                return Ok((parked, problems));
            }
        }
        was_still = is_still;
        let _ = tokio::time::timeout(tick_every, drain.wait()).await;
    }
    Ok((0, Vec::new()))
}

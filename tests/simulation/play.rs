//! Playing histories: one seed, many seeds, every stop.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use trawler_core::QueueName;
use trawler_core::ledger::JobStatus;
use trawler_tests::model::{Bill, FaultRates, VirtualClock};

use crate::audit::judge;
use crate::process::Role;
use crate::scenario::{Blow, BlowKind, Blows, Scenario};
use crate::world::World;

/// What one history came to.
pub(crate) struct History {
    pub(crate) problems: Vec<String>,
    pub(crate) blows: Blows,
    pub(crate) struck: BTreeSet<(Role, BlowKind)>,
    pub(crate) done: BTreeSet<Work>,
    pub(crate) stops: u64,
    pub(crate) lasted: Duration,
    pub(crate) bill: Bill,
    /// Everything that the ledger, the log and the meter say in the end.
    pub(crate) digest: String,
}

/// What the handlers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Work {
    Collect,
    Fold,
    Images,
}

/// Of which kinds a job was done.
fn work_done(world: &World) -> BTreeSet<Work> {
    let jobs = world.jobs().into_values();
    jobs.filter(|job| job.status == JobStatus::Done)
        .map(|job| match job.queue {
            QueueName::Image => Work::Images,
            QueueName::Crawl if job.job.as_str().contains("#images@") => Work::Fold,
            QueueName::Crawl => Work::Collect,
        })
        .collect()
}

pub(crate) fn play(scenario: Scenario) -> History {
    let scenario = Arc::new(scenario);
    VirtualClock::run(move |clock| async move {
        let world = World::new(&scenario, &clock);
        let settled = world.play().await;
        let (bill, lasted, digest) = (world.meter.read(), world.lasted(), world.digest());
        let problems = judge(&world, settled).await;
        let (blows, struck) = (
            *world.blows.lock().unwrap(),
            world.struck.lock().unwrap().clone(),
        );
        History {
            problems,
            blows,
            struck,
            done: work_done(&world),
            stops: world.stops(),
            lasted,
            bill,
            digest,
        }
    })
}

/// A scenario of its own for each seed: its size, its troubles, its blows.
pub(crate) fn scenario_of(seed: u64) -> Scenario {
    let mut rng = SmallRng::seed_from_u64(seed ^ 0x5eed);
    let rates = match rng.random_range(0..4) {
        0 => FaultRates::all(0.02),
        1 => FaultRates {
            answer_lost: 0.03,
            ..FaultRates::default()
        },
        _ => FaultRates::default(),
    };
    let mut scenario = Scenario {
        pipes: rng.random_range(1..=2),
        runs: rng.random_range(1..=2),
        crawlers: rng.random_range(1..=2),
        image_workers: rng.random_range(1..=2),
        schedulers: if rng.random_bool(0.2) { 2 } else { 1 },
        slots: rng.random_range(1..=3),
        troubled: rng.random_bool(0.5),
        rates,
        pauses: rng.random_bool(0.2),
        ..Scenario::calm(seed)
    };
    // An undisturbed history has some hundred stops for each run.
    let reach = 500 * (scenario.pipes * scenario.runs) as u64;
    for _ in 0..rng.random_range(0..=6) {
        let stop = rng.random_range(1..=reach);
        scenario.blows.insert(stop, blow(&mut rng));
    }
    scenario
}

fn blow(rng: &mut SmallRng) -> Blow {
    let seconds = Duration::from_secs;
    match rng.random_range(0..10) {
        0..5 => Blow::Kill,
        5 => Blow::Freeze(seconds(rng.random_range(1..100))),
        6 => Blow::Freeze(seconds(rng.random_range(100..900))),
        7 => Blow::Cut(seconds(rng.random_range(1..300))),
        _ => Blow::Notice(seconds([0, 2, 120][rng.random_range(0..3)])),
    }
}

/// What many histories came to.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) histories: u64,
    pub(crate) blows: Blows,
    pub(crate) struck: BTreeSet<(Role, BlowKind)>,
    pub(crate) done: BTreeSet<Work>,
    pub(crate) stops: u64,
    pub(crate) virtual_time: Duration,
    pub(crate) took: Duration,
}

impl Tally {
    pub(crate) fn add(&mut self, history: &History) {
        self.histories += 1;
        self.stops += history.stops;
        self.virtual_time += history.lasted;
        self.blows.kills += history.blows.kills;
        self.blows.freezes += history.blows.freezes;
        self.blows.cuts += history.blows.cuts;
        self.blows.notices += history.blows.notices;
        self.struck.extend(&history.struck);
        self.done.extend(&history.done);
    }

    fn join(&mut self, other: &Self) {
        self.histories += other.histories;
        self.stops += other.stops;
        self.virtual_time += other.virtual_time;
        self.blows.kills += other.blows.kills;
        self.blows.freezes += other.blows.freezes;
        self.blows.cuts += other.blows.cuts;
        self.blows.notices += other.blows.notices;
        self.struck.extend(&other.struck);
        self.done.extend(&other.done);
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let a_minute = self.histories as f64 * 60.0 / self.took.as_secs_f64();
        write!(
            f,
            "{} histories ({} days) in {:.1} s, {a_minute:.0} a minute; {} stops, {} kills, {} freezes, {} cuts, {} notices",
            self.histories,
            self.virtual_time.as_secs() / 86_400,
            self.took.as_secs_f64(),
            self.stops,
            self.blows.kills,
            self.blows.freezes,
            self.blows.cuts,
            self.blows.notices,
        )
    }
}

/// Plays `scenario(n)` for n from 0 on, on two threads, until `enough`.
///
/// # Panics
/// When a history is wrong; prints how to repeat it.
pub(crate) fn play_many(
    scenario: impl Fn(u64) -> Option<Scenario> + Sync,
    enough: impl Fn(&Tally, Duration) -> bool + Sync,
) -> Tally {
    let started = Instant::now();
    let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        let mut tally = Tally::default();
        while !failed.load(Ordering::Relaxed) && !enough(&tally, started.elapsed()) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(scenario) = scenario(number) else {
                break;
            };
            let told = scenario.clone();
            let history = play(scenario);
            tally.add(&history);
            if !history.problems.is_empty() {
                failed.store(true, Ordering::Relaxed);
                panic!(
                    "SIM_SEED={} number {number}: {told:#?}\n{:#?}",
                    told.seed, history.problems
                );
            }
        }
        tally
    };
    let mut all = std::thread::scope(|scope| {
        let other = scope.spawn(work);
        let mut tally = work();
        match other.join() {
            Ok(theirs) => tally.join(&theirs),
            Err(panic) => std::panic::resume_unwind(panic),
        }
        tally
    });
    all.took = started.elapsed();
    all
}

/// The same history with one blow at stop number `stop`.
pub(crate) fn with_blow(scenario: &Scenario, stop: u64, blow: Blow) -> Scenario {
    Scenario {
        blows: BTreeMap::from([(stop, blow)]),
        ..scenario.clone()
    }
}

//! SIGKILL at random moments of a run, again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::SmallRng;
use trawler_core::JobId;
use trawler_core::job::CrawlJob;
use trawler_core::run::Run;

use crate::outcome::{Outcome, jobs, ports};
use crate::support::Folder;
use crate::world::{DAYS, World, ended, moments, run_to_end, start};

const KILLS: usize = 50;

/// Killed before a start could survive, in one folder on one day. Progress is
/// kept, so that a start that would never survive is a fault.
const KILLS_A_DAY_MAX: usize = 30;

/// No delivery was in hand: at the start, or between two.
const NOTHING: &str = "nothing";

/// What was in hand when a process was killed.
#[derive(Debug, Default)]
struct Met {
    /// How often, in a word or two.
    counts: BTreeMap<String, usize>,
    /// The deliveries of this folder that were cut off: job and epoch. A kill
    /// may come before anybody took the job again.
    known: BTreeSet<(JobId, u64)>,
    cut_off: usize,
}

/// Starts `run --once` and kills it, until the day's work is done; says how
/// often it was killed before that. Moments are spread over the time that the
/// work takes undisturbed.
async fn killed_until_done(
    world: &World,
    folder: &Folder,
    at: usize,
    span: Duration,
    moments: &mut SmallRng,
    met: &mut Met,
) -> usize {
    let mut kills = 0;
    while kills < KILLS_A_DAY_MAX {
        let mut child = start(folder);
        let moment = span.mul_f64(moments.random_range(0.01..1.1));
        if tokio::time::timeout(moment, child.wait()).await.is_ok() {
            ended(child).await.with_code(0);
            return kills;
        }
        child.kill().await.unwrap();
        if world.is_done(folder, at).await {
            break;
        }
        kills += 1;
        met.look(folder).await;
    }
    run_to_end(folder).await;
    kills
}

impl Met {
    /// Counts the deliveries that the last kill cut off.
    async fn look(&mut self, folder: &Folder) {
        let ports = ports(folder).await;
        let documents = ports.documents();
        let before = self.cut_off;
        for job in jobs(&ports).await.iter().filter(|job| job.in_hand) {
            if !self.known.insert((job.job.clone(), job.epoch)) {
                continue;
            }
            self.cut_off += 1;
            let what = match CrawlJob::decode(&job.body) {
                Err(_) => "image job".to_owned(),
                Ok(CrawlJob::Fold { .. }) => "fold".to_owned(),
                Ok(CrawlJob::Refetch { .. }) => "refetch".to_owned(),
                Ok(CrawlJob::Upkeep { .. }) => "upkeep".to_owned(),
                Ok(CrawlJob::Collect { run }) => {
                    let run: Option<Run> = documents.get(&Run::key(&run)).await.unwrap();
                    format!("run, {}", run.unwrap().phase.as_str())
                }
            };
            *self.counts.entry(what).or_default() += 1;
        }
        if self.cut_off == before {
            *self.counts.entry(NOTHING.to_owned()).or_default() += 1;
        }
    }
}

/// Invariants 3 and 4: every effect is idempotent, and no job is lost under
/// kill -9 at any instruction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_03_and_04_killed_at_fifty_moments_ends_as_undisturbed() {
    let mut moments = moments();
    let world = World::start().await;
    let undisturbed = world.undisturbed().await;
    let started = Instant::now();
    let (mut kills, mut folders, mut crashes) = (0, 0, 0);
    let mut met = Met::default();
    while kills < KILLS {
        folders += 1;
        let folder = world.folder();
        met.known.clear();
        for (at, day) in DAYS.into_iter().enumerate() {
            world.begin_day(&folder, at);
            let span = undisturbed.worked[at];
            let killed = killed_until_done(&world, &folder, at, span, &mut moments, &mut met).await;
            kills += killed;
            let outcome = Outcome::of(&folder).await;
            let what = format!("folder {folders}, day {at}, {killed} kills");
            outcome.assert_same(&undisturbed.outcomes[at], &what);
            outcome.check_against_shops(world.shops(), day);
        }
        let jobs = jobs(&ports(&folder).await).await;
        crashes += jobs.iter().map(|job| job.crashes as usize).sum::<usize>();
        assert!(
            jobs.iter().all(|job| job.attempts == 0),
            "a kill is no attempt"
        );
    }
    let took = started.elapsed();
    println!(
        "{kills} kills in {folders} folders, {took:?}; in hand: {:?}",
        met.counts
    );
    assert_eq!(
        crashes, met.cut_off,
        "each delivery that was cut off counts as a crash"
    );
    for what in ["run, collecting", "image job"] {
        assert!(met.counts.contains_key(what), "no kill met this: {what}");
    }
    world.stop().await;
}

//! SIGKILL at random moments of a run, again and again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::SmallRng;
use trawler_core::QueueName;
use trawler_core::run::Run;

use crate::outcome::{Outcome, jobs, ports};
use crate::support::Folder;
use crate::world::{DAYS, World, ended, moments, start};

const KILLS: usize = 50;

/// Killed before a start could survive, in one folder on one day. Progress is
/// kept, so that a start that would never survive is a fault.
const KILLS_A_DAY_MAX: usize = 30;

/// A run ends with half a poll on average in which nothing is left to do; the
/// moments fall before it.
const LAST_POLL: Duration = Duration::from_millis(500);

/// No delivery was in hand.
const NOTHING: &str = "nothing";

/// What was in hand when a process was killed, and how often.
type Met = BTreeMap<String, usize>;

/// Starts `run --once` and kills it, until a start survives; says how often it
/// was killed. Moments are spread over the time of an undisturbed run.
async fn killed_until_done(
    folder: &Folder,
    span: Duration,
    moments: &mut SmallRng,
    met: &mut Met,
) -> usize {
    for kills in 0..KILLS_A_DAY_MAX {
        let mut child = start(folder);
        let moment = span.mul_f64(moments.random_range(0.01..1.0));
        match tokio::time::timeout(moment, child.wait()).await {
            Ok(_) => {
                ended(child).await.with_code(0);
                return kills;
            }
            Err(_) => child.kill().await.unwrap(),
        }
        for what in in_hand(folder).await {
            println!("DBG {moment:?} of {span:?}: {what}");
            *met.entry(what).or_default() += 1;
        }
    }
    ended(start(folder)).await.with_code(0);
    KILLS_A_DAY_MAX
}

/// The deliveries that the last kill cut off, each in a word or two.
async fn in_hand(folder: &Folder) -> Vec<String> {
    let ports = ports(folder).await;
    let mut cut_off = Vec::new();
    for job in jobs(&ports).await { println!("DBG   {} {:?} {:?} in_hand {} epoch {} crashes {} attempts {} seen {:?} due {:?} {}", job.job, job.queue, job.status, job.in_hand, job.epoch, job.crashes, job.attempts, job.seen, job.due, job.reason); }
    for job in jobs(&ports).await.iter().filter(|job| job.in_hand) {
        let name = job.job.as_str();
        cut_off.push(match job.queue {
            QueueName::Image => "image job".to_owned(),
            QueueName::Crawl if name.contains("#images@") => "fold".to_owned(),
            QueueName::Crawl => {
                let runs = ports.documents().load::<Run>("runs/", usize::MAX).await;
                let runs = runs.unwrap();
                let run = runs.iter().find(|run| run.id.to_string() == name);
                format!("run, {}", run.unwrap().phase.as_str())
            }
        });
    }
    if cut_off.is_empty() {
        cut_off.push(NOTHING.to_owned());
    }
    cut_off
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
    let mut met = Met::new();
    while kills < KILLS {
        folders += 1;
        let folder = world.folder();
        for at in 0..DAYS.len() {
            world.begin_day(&folder, at);
            let span = undisturbed.took[at].saturating_sub(LAST_POLL);
            let killed = killed_until_done(&folder, span, &mut moments, &mut met).await;
            kills += killed;
            let outcome = Outcome::of(&folder).await;
            let what = format!("folder {folders}, day {at}, {killed} kills");
            outcome.assert_same(&undisturbed.outcomes[at], &what);
            outcome.check_against_shops(&world, at);
        }
        let jobs = jobs(&ports(&folder).await).await;
        crashes += jobs.iter().map(|job| job.crashes as usize).sum::<usize>();
        assert!(
            jobs.iter().all(|job| job.attempts == 0),
            "a kill is no attempt"
        );
    }
    let took = started.elapsed();
    println!("{kills} kills in {folders} folders, {took:?}; in hand: {met:?}");
    let cut_off: usize = met
        .iter()
        .filter(|(what, _)| *what != NOTHING)
        .map(|(_, count)| count)
        .sum();
    assert_eq!(
        crashes, cut_off,
        "each delivery that was cut off counts as a crash"
    );
    for what in ["run, collecting", "image job"] {
        assert!(met.contains_key(what), "no kill met this: {what}");
    }
    world.stop().await;
}

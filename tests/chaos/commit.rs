//! SIGKILL within milliseconds of a commit, where random moments seldom fall.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::Rng;
use rand::rngs::SmallRng;
use trawler_core::QueueName;
use trawler_core::job::CrawlJob;
use trawler_core::run::{Run, RunPhase};
use trawler_fleet::Ports;

use crate::outcome::{Outcome, jobs, ports};
use crate::support::Folder;
use crate::world::{DAYS, World, ended, moments, run_to_end, start};

const FOLDERS: usize = 2;
const KILLS_A_DAY_MAX: usize = 5;

/// From the first word of a commit to its last, and a little more.
const COMMIT: Duration = Duration::from_millis(60);

const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Deliveries that were killed at their commit already: job and epoch.
type Known = BTreeSet<(String, u64)>;

/// Returns when a delivery that is not known is at its commit: a run from the
/// judgement to its image jobs, or a fold.
async fn commit_begins(ports: &Ports, known: &mut Known) {
    let (documents, ledger) = (ports.documents(), ports.jobs());
    loop {
        let runs = documents.load::<Run>("runs/", usize::MAX).await.unwrap();
        for run in runs {
            let at_commit = matches!(run.phase, RunPhase::Committing | RunPhase::Committed);
            if at_commit && known.insert((run.id.to_string(), run.epoch)) {
                return;
            }
        }
        for job in ledger.list(QueueName::Crawl).await.unwrap() {
            let is_fold = matches!(CrawlJob::decode(&job.body), Ok(CrawlJob::Fold { .. }));
            let at_commit = job.in_hand && is_fold;
            if at_commit && known.insert((job.job.to_string(), job.epoch)) {
                return;
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Kills at each commit until there were enough or none is left; says how often.
async fn killed_at_commits(folder: &Folder, known: &mut Known, moments: &mut SmallRng) -> usize {
    // The program makes the folder when it comes first; so does this.
    let ports = ports(folder).await;
    for kills in 0..KILLS_A_DAY_MAX {
        let mut child = start(folder);
        tokio::select! {
            _ = child.wait() => {
                ended(child).await.with_code(0);
                return kills;
            }
            () = commit_begins(&ports, known) => {}
        }
        tokio::time::sleep(COMMIT.mul_f64(moments.random_range(0.0..1.0))).await;
        child.kill().await.unwrap();
    }
    run_to_end(folder).await;
    KILLS_A_DAY_MAX
}

/// Invariants 1 and 3: at most one commit per run lands, whichever delivery
/// made it, and doing it twice equals doing it once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_01_and_03_killed_at_the_commit_ends_as_undisturbed() {
    let mut moments = moments();
    let world = World::start().await;
    let undisturbed = world.undisturbed().await;
    let (mut kills, mut crashes) = (0, 0);
    for round in 1..=FOLDERS {
        let folder = world.folder();
        let mut known = Known::new();
        for at in 0..DAYS.len() {
            world.begin_day(&folder, at);
            let killed = killed_at_commits(&folder, &mut known, &mut moments).await;
            kills += killed;
            let outcome = Outcome::of(&folder).await;
            let what = format!("folder {round}, day {at}, {killed} kills");
            outcome.assert_same(&undisturbed.outcomes[at], &what);
        }
        let jobs = jobs(&ports(&folder).await).await;
        crashes += jobs.iter().map(|job| job.crashes).sum::<u32>();
    }
    println!("{kills} kills at commits, {crashes} deliveries cut off");
    assert!(kills >= 2 * FOLDERS, "the commits were met");
    assert!(crashes > 0, "no kill cut a delivery off");
    world.stop().await;
}

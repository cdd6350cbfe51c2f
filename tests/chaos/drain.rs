//! SIGTERM at random moments: the program hands back what it holds and leaves.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::SmallRng;

use crate::outcome::{Outcome, jobs, ports};
use crate::support::Folder;
use crate::world::{DAYS, World, ended, moments, run_to_end, start};

/// Invariant 9: gone this long after the signal.
const LEAVE_MAX: Duration = Duration::from_secs(25);

const SIGTERM: i32 = 15;
const FOLDERS: usize = 2;
const SIGNALS_A_DAY_MAX: usize = 4;

/// What the signals met.
#[derive(Debug, Default)]
struct Met {
    /// A process at work, which left by itself.
    left: usize,
    /// A process that had not begun, and had nothing to hand back.
    unready: usize,
    slowest: Duration,
}

/// Starts and signals until a start survives or there were enough signals,
/// then lets one run to its end.
async fn told_to_leave_until_done(
    folder: &Folder,
    span: Duration,
    moments: &mut SmallRng,
    met: &mut Met,
) {
    for _ in 0..SIGNALS_A_DAY_MAX {
        let mut child = start(folder);
        let moment = span.mul_f64(moments.random_range(0.01..1.0));
        if tokio::time::timeout(moment, child.wait()).await.is_ok() {
            ended(child).await.with_code(0);
            return;
        }
        let pid = child.id().expect("it runs").to_string();
        let told = Instant::now();
        let signalled = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(signalled.success());
        let status = tokio::time::timeout(LEAVE_MAX, child.wait()).await;
        let status = status.expect("gone within 25 s").unwrap();
        met.slowest = met.slowest.max(told.elapsed());
        if status.signal() == Some(SIGTERM) {
            met.unready += 1;
            continue;
        }
        met.left += 1;
        let end = ended(child).await;
        assert!(matches!(end.code, Some(0 | 3)), "{end:?}");
    }
    run_to_end(folder).await;
}

/// Invariant 9: a worker told to leave hands back what it holds, which is
/// neither an attempt nor a crash.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_09_told_to_leave_at_random_moments_loses_nothing() {
    let mut moments = moments();
    let world = World::start().await;
    let undisturbed = world.undisturbed().await;
    let mut met = Met::default();
    let mut hand_backs = 0;
    for round in 1..=FOLDERS {
        let folder = world.folder();
        for at in 0..DAYS.len() {
            world.begin_day(&folder, at);
            let span = undisturbed.worked[at];
            told_to_leave_until_done(&folder, span, &mut moments, &mut met).await;
            let outcome = Outcome::of(&folder).await;
            outcome.assert_same(
                &undisturbed.outcomes[at],
                &format!("folder {round}, day {at}"),
            );
        }
        for job in jobs(&ports(&folder).await).await {
            assert_eq!((job.crashes, job.attempts), (0, 0), "{job:?}");
            hand_backs += job.hand_backs;
        }
    }
    println!("{met:?}, {hand_backs} hand-backs");
    assert!(met.left > 0, "no signal met a process at work");
    assert!(hand_backs > 0, "no process had anything in hand");
    world.stop().await;
}

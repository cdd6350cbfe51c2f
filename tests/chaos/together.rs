//! Several programs on one folder at once.

use rand::Rng;

use crate::outcome::{Outcome, jobs, ports};
use crate::world::{DAYS, World, ended, moments, start};

const FOLDERS: usize = 2;

/// Invariant 1: a pipe is worked on by one worker at a time, and at most one
/// commit per run lands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_01_one_worker_a_pipe_two_processes() {
    let mut moments = moments();
    let world = World::start().await;
    let undisturbed = world.undisturbed().await;
    let mut overlaps = 0;
    for round in 1..=FOLDERS {
        let folder = world.folder();
        for at in 0..DAYS.len() {
            world.begin_day(&folder, at);
            let mut first = start(&folder);
            let apart = undisturbed.worked[at].mul_f64(moments.random_range(0.0..0.5));
            tokio::time::sleep(apart).await;
            let second = start(&folder);
            overlaps += usize::from(first.try_wait().unwrap().is_none());
            let (first, second) = tokio::join!(ended(first), ended(second));
            first.with_code(0);
            second.with_code(0);
            let outcome = Outcome::of(&folder).await;
            outcome.assert_same(
                &undisturbed.outcomes[at],
                &format!("folder {round}, day {at}"),
            );
        }
        for job in jobs(&ports(&folder).await).await {
            // A second delivery at the same time would have counted a crash.
            assert_eq!((job.crashes, job.attempts, job.epoch), (0, 0, 1), "{job:?}");
        }
    }
    assert!(overlaps > 0, "the processes were never there together");
    world.stop().await;
}

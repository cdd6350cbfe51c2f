//! Deterministic simulation: the fleet's own worker, ledger, pauses and
//! scheduler against the strict model of SQS and S3, in virtual time, with
//! processes that are killed at every await point, frozen, cut off and told to
//! leave. Handlers are scripted; what they do with State, Blobs and the fence
//! is what the crawler and the image worker do.
//!
//! A failing history prints its seed:
//! `SIM_SEED=n cargo test -p trawler-tests --test simulation replay -- --nocapture`
//! plays it again.

#![allow(clippy::unwrap_used)]

mod audit;
mod bugs;
mod cost;
mod crawl;
mod images;
mod log;
mod play;
mod process;
mod scenario;
mod script;
mod world;

use std::time::Duration;

use play::{Tally, play, play_many, scenario_of, with_blow};
use scenario::{Blow, Scenario};
use trawler_tests::model::FaultRates;

/// The normal suite plays so many seeds, or for so long.
const SEEDS: u64 = 2_000;
const SEEDS_WITHIN: Duration = Duration::from_secs(20);

/// Seeds that are played twice.
const REPLAYED: u64 = 40;

/// Kills of the long run.
const KILLS_LONG: u64 = 10_000;

#[test]
fn an_undisturbed_fleet_settles() {
    for seed in 0..5 {
        let history = play(Scenario::calm(seed));
        println!("{} stops in {:?}", history.stops, history.lasted);
        assert!(history.problems.is_empty(), "{:#?}", history.problems);
        assert!(history.stops > 100);
    }
}

#[test]
fn a_seed_replays_its_history() {
    for seed in 0..REPLAYED {
        let (first, again) = (play(scenario_of(seed)), play(scenario_of(seed)));
        assert_eq!(first.digest, again.digest, "seed {seed}");
        assert_eq!((first.stops, first.blows), (again.stops, again.blows));
    }
}

/// One process is killed at the first stop, another time at the second, and so
/// on until the history ends undisturbed.
#[test]
fn a_kill_at_every_await_point_loses_nothing_and_doubles_nothing() {
    let scenario = Scenario {
        runs: 1,
        crawlers: 1,
        ..Scenario::calm(7)
    };
    let stops = play(scenario.clone()).stops;
    let tally = play_many(
        |n| (n < stops).then(|| with_blow(&scenario, n + 1, Blow::Kill)),
        |_, _| false,
    );
    println!("a kill at each of {stops} stops: {tally}");
    assert_eq!(tally.blows.kills, stops);
}

/// The simulation notices what it is there to notice: a writer that looks at
/// its fence alone, and not at what was committed since, commits twice.
#[test]
fn a_commit_that_trusts_its_fence_alone_is_found_out() {
    let found = (0..200).any(|seed| {
        let mut scenario = scenario_of(seed);
        scenario.careless = true;
        scenario.rates = FaultRates {
            answer_lost: 0.05,
            ..FaultRates::default()
        };
        let history = play(scenario);
        history
            .problems
            .iter()
            .any(|problem| problem.starts_with("log entry"))
    });
    assert!(found, "two commits of one run went unnoticed");
}

#[test]
fn thousands_of_seeds_settle() {
    let tally = play_many(
        |seed| (seed < SEEDS).then(|| scenario_of(seed)),
        |_, passed| passed >= SEEDS_WITHIN,
    );
    println!("{tally}");
    assert!(tally.blows.kills > 0 && tally.blows.freezes > 0);
}

/// `SIM_SEED=n` plays the history of one seed.
#[test]
fn replay() {
    let Ok(seed) = std::env::var("SIM_SEED") else {
        return;
    };
    let seed: u64 = seed.parse().expect("SIM_SEED is a number");
    let scenario = scenario_of(seed);
    println!("{scenario:#?}");
    let history = play(scenario);
    println!("{} stops: {}", history.stops, history.digest);
    assert!(history.problems.is_empty(), "{:#?}", history.problems);
}

/// Ten thousand kills; `cargo test -p trawler-tests --test simulation -- --ignored chaos_long --nocapture`.
#[test]
#[ignore = "takes minutes; the normal suite plays the first seeds of it"]
fn chaos_long() {
    let enough = |tally: &Tally, _| tally.blows.kills >= KILLS_LONG / 2;
    let tally = play_many(|seed| Some(scenario_of(1_000_000 + seed)), enough);
    println!("{tally}");
    assert!(tally.blows.kills >= KILLS_LONG);
}

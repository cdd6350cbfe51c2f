//! The chaos journey: everything goes wrong at random moments, and at the end
//! nothing shows it.

use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::SmallRng;
use trawler_tests::proxy::Faults;

use crate::cloud::{self, Site};
use crate::crew::Role;
use crate::met::Met;
use crate::outcome::Outcome;
use crate::partners::Partners;
use crate::storm::Storm;
use crate::wait::is_done;

const PIPES: usize = 40;
const PRODUCTS: u32 = 40;
const DAYS: usize = 2;
const KILLS: u32 = 200;

const CREW: [(Role, usize); 3] = [(Role::Schedule, 1), (Role::Crawl, 3), (Role::Images, 3)];

/// The shortest that the configuration allows, so that a lost lease costs
/// seconds.
const VISIBILITY: Duration = Duration::from_secs(10);

/// Short polls, ticks and back-offs, and bounds that a storm stays within: it
/// kills more often than the defaults take for the job's own fault.
const TUNING: &str = "[queue]
kind = \"sqs\"
crawl_visibility_s = 10
image_visibility_s = 10

[workers]
poll_s = 1

[scheduler]
tick_ms = 1000

[retry]
attempts_max = 50
crashes_max = 49
backoff_base_ms = 300
backoff_max_ms = 2000
";

/// After the storm, work runs to its end in seconds; a machine under load gets
/// more.
const CALM_MAX: Duration = Duration::from_secs(240);

/// Rounds of faults between two looks at the ledger.
const LOOK_EVERY: u32 = 2;

const SEED: u64 = 20_261_122;

fn seed() -> u64 {
    let seed = std::env::var("CHAOS_SEED")
        .ok()
        .map_or(SEED, |text| text.parse().expect("CHAOS_SEED is a number"));
    println!("CHAOS_SEED={seed}");
    seed
}

/// Invariants 1, 3, 4, 9 over processes: two days of forty pipes in a storm
/// end as two days that nobody disturbed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_in_a_storm_ends_as_one_that_nobody_disturbed() {
    let _alone = cloud::alone().await;
    let seed = seed();
    let partners = Partners::start(PIPES, PRODUCTS, DAYS).await;
    let started = Instant::now();
    let undisturbed = partners.undisturbed().await;
    println!("undisturbed: {DAYS} days in {:?}", started.elapsed());

    let started = Instant::now();
    let site = Site::create("storm", &partners.hosts(), TUNING).await;
    let ports = site.ports(VISIBILITY, VISIBILITY).await;
    site.publish(&partners.begin_day(0));
    let mut met = Met::new(&ports);
    let rng = SmallRng::seed_from_u64(seed);
    let mut storm = Storm::over(&site, &CREW, VISIBILITY, rng).await;
    for (at, undisturbed) in undisturbed.iter().enumerate() {
        if at > 0 {
            site.publish(&partners.begin_day(at));
        }
        site.proxy.set(Faults {
            seed: seed + at as u64,
            ..Faults::every_twentieth()
        });
        let runs = partners.runs(at);
        let kills = KILLS * (at as u32 + 1) / DAYS as u32;
        let (stormy, mut rounds, mut done) = (Instant::now(), 0, false);
        while storm.faced.kills() < kills && !done {
            storm.round().await;
            rounds += 1;
            if rounds % LOOK_EVERY == 0 {
                met.look().await;
                done = is_done(&ports, &runs).await;
            }
        }
        let stormy = stormy.elapsed();
        site.proxy.set(Faults::default());
        storm.end().await;
        let calm = Instant::now();
        while !is_done(&ports, &runs).await {
            assert!(
                calm.elapsed() < CALM_MAX,
                "{}",
                site.state_of_affairs(&ports).await
            );
            storm.tend().await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        met.look().await;
        println!(
            "day {at}: storm of {stormy:?}, done {:?} after it",
            calm.elapsed()
        );
        let found = Outcome::read(&ports, site.catalogue().await).await;
        found.assert_same(undisturbed, &format!("day {at}"));
        assert_eq!(found.stored_twice(), 0, "images stored twice");
    }
    println!("the whole in {:?}", started.elapsed());
    println!("faced: {:#?}", storm.faced);
    println!("at the proxy: {:#?}", site.proxy.counts());
    println!("cut off: {:#?}", met.cut_off());
    println!("deliveries: {:?}", met.deliveries().await);
    drop(storm);
    partners.stop().await;
}

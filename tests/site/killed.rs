//! Crawls that are cut off: SIGKILL at random moments, each time gone on with
//! on another machine, where nothing is left but State, queue, blobs and the
//! catalogue; and SIGTERM, after which nothing is asked for again that was
//! settled.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use trawler_core::ledger::JobRecord;
use trawler_core::{PipeId, QueueName, RunId};
use trawler_fleet::Ports;
use trawler_shop::{Seen, Shop, ShopSpec};
use trawler_tests::until;

use crate::child::{Running, assert_tidy};
use crate::cloud::Site;
use crate::crew::{End, Member, Role};
use crate::look::files;
use crate::outcome::{Outcome, jobs, ports};
use crate::rows::{Rows, assert_exact, found, printed, truth};
use crate::shops::{PIPE, Says, World, by_everything, full};
use crate::support::Folder;
use crate::{turns, wait};

const KILLS: usize = 30;

/// Kills over the wire, where the lease of the dead has to run out first.
const KILLS_OF_FLEET: usize = 4;

const PRODUCTS: u32 = 900;

/// Slow enough for a crawl to outlast many kills.
const RATE_PER_S: f64 = 70.0;
const CONCURRENCY: u32 = 4;

/// The large shop, and how fast it is asked: a life between two kills is longer
/// than what puts its work away.
const LARGE_PRODUCTS: u32 = crate::catalogue::PRODUCTS;
const LARGE_RATE_PER_S: f64 = 400.0;
const LARGE_CONCURRENCY: u32 = 8;

/// Kills once everything is asked for, if the crawl lasts so long.
const KILLS_AT_THE_END: usize = 3;

/// A life that ends after so long, with so many pages settled.
const LONG_LIFE: Duration = Duration::from_secs(8);
const LONG_LIFE_PAGES: usize = 420;

/// Work is put away every second here, as the configuration below says; the
/// crawl looks at the time twice a second, and putting takes its time as well.
const CHECKPOINT: &str = "checkpoint_s = 1\n";
const LOST_S_MAX: f64 = 1.0 + 0.5 + 1.0;

/// The bound on crashes is there for a job that kills its worker. Here the test
/// kills.
const RETRY: &str = "[retry]\ncrashes_max = 50\n";

/// An undisturbed crawl takes half a minute; a machine under load gets more.
const RUN_MAX: Duration = Duration::from_secs(180);

/// Invariant 9.
const EMPTY_HANDS_MAX: Duration = Duration::from_secs(5);
const GONE_MAX: Duration = Duration::from_secs(25);

const SEED: u64 = 20_261_123;

/// What the local store keeps for everybody; all else is this machine's.
const SHARED: [&str; 3] = ["blobs", "catalogue", "holders"];

/// Random moments, repeatable through `CHAOS_SEED`.
fn moments() -> SmallRng {
    let seed = std::env::var("CHAOS_SEED")
        .ok()
        .map_or(SEED, |text| text.parse().expect("CHAOS_SEED is a number"));
    println!("CHAOS_SEED={seed}");
    SmallRng::seed_from_u64(seed)
}

fn says(world_site: String) -> Says {
    Says {
        workers: CHECKPOINT,
        more: RETRY.to_owned(),
        rate_per_s: RATE_PER_S,
        concurrency: CONCURRENCY,
        ..Says::of(world_site)
    }
}

/// Leaves what another machine finds.
fn move_to_another_machine(folder: &Folder) {
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if !["trawler.toml", "pipes", "trawler-data"].contains(&&*name) {
            remove(&entry.path());
        }
    }
    for entry in fs::read_dir(folder.path().join("trawler-data")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let is_shared = SHARED.contains(&&*name) || name.starts_with("trawler.db");
        if !is_shared {
            remove(&entry.path());
        }
    }
}

fn remove(path: &std::path::Path) {
    let removed = match path.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    };
    removed.unwrap_or_else(|error| panic!("remove {}: {error}", path.display()));
}

/// How often each address was asked for; the robots file is every process's.
fn counts(seen: &[Seen]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for seen in seen.iter().filter(|seen| seen.path() != "/robots.txt") {
        *counts.entry(seen.target.clone()).or_default() += 1;
    }
    counts
}

/// Requests beyond those of a crawl that nobody disturbed.
fn repeated(found: &BTreeMap<String, usize>, undisturbed: &BTreeMap<String, usize>) -> usize {
    let beyond = |(target, count): (&String, &usize)| {
        count.saturating_sub(undisturbed.get(target).copied().unwrap_or(0))
    };
    found.iter().map(beyond).sum()
}

/// A crawl that nobody disturbed.
struct Undisturbed {
    rows: Rows,
    asked: BTreeMap<String, usize>,
}

/// A crawl of the shop in a folder of its own, which nobody disturbs.
fn undisturbed(world: &World) -> Undisturbed {
    let folder = Folder::new(&[], "");
    let fast = Says {
        rate_per_s: 100_000.0,
        concurrency: 16,
        ..says(by_everything(world.model()))
    };
    fast.write_to(&folder, &world.shop);
    world.shop.forget_seen();
    Running::start(&folder, &["run", "--once"])
        .end(RUN_MAX)
        .with_code(0);
    let undisturbed = Undisturbed {
        rows: found(&folder, PIPE),
        asked: counts(&world.shop.seen()),
    };
    world.shop.forget_seen();
    undisturbed
}

impl Undisturbed {
    /// What came of being disturbed is the same, and both are the shop's.
    #[track_caller]
    fn check(&self, rows: &Rows, world: &World, what: &str) {
        assert_exact(rows, &self.rows, what);
        assert_exact(rows, &truth(world.model(), 0), what);
    }
}

/// Thirty moments spread over the whole of a crawl of the large shop, and some
/// in its last steps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_crawl_killed_at_thirty_moments_and_moved_each_time_ends_exact() {
    let _alone = turns::alone().await;
    let mut moments = moments();
    let says_site = |model: &_| Says {
        rate_per_s: LARGE_RATE_PER_S,
        concurrency: LARGE_CONCURRENCY,
        ..says(by_everything(model))
    };
    let spec = ShopSpec {
        sitemap_part_urls: 5_000,
        ..full("killed", 301, LARGE_PRODUCTS)
    };
    let world = World::start(spec, says_site).await;
    let undisturbed = undisturbed(&world);
    let (all, different) = (
        undisturbed.asked.values().sum::<usize>(),
        undisturbed.asked.len(),
    );
    println!("undisturbed: {all} requests for {different} addresses");
    let mut at: Vec<usize> = (0..KILLS)
        .map(|_| moments.random_range(0..different))
        .collect();
    at.sort_unstable();
    let started = Instant::now();
    let mut lives = Lives::of(&world);
    for asked in at {
        lives.one_until(asked).await;
    }
    println!("{KILLS} kills within {:?}", started.elapsed());
    let late = lives.some_at_the_end(different, &mut moments).await;
    Running::start(&world.folder, &["run", "--once"])
        .end(RUN_MAX)
        .with_code(0);
    lives.count();
    println!("{late} more at the end, {:?} in all", started.elapsed());
    // Settled, nothing lost, nothing there twice.
    Outcome::of(&world.folder).await;
    assert_tidy(&world.folder);
    check_deliveries(&jobs(&ports(&world.folder).await).await, KILLS + late);
    let again = repeated(&lives.asked, &undisturbed.asked);
    println!("{again} requests again, at most {}", lives.lost_max);
    assert!(
        again <= lives.lost_max,
        "{again} requests again, at most {}",
        lives.lost_max
    );
    undisturbed.check(&found(&world.folder, PIPE), &world, "killed");
    world.shop.stop().await;
}

/// Processes that are killed one after the other, each on another machine.
struct Lives<'a> {
    world: &'a World,
    /// By all of them.
    asked: BTreeMap<String, usize>,
    /// What all of them may have asked for and not put away.
    lost_max: usize,
}

impl<'a> Lives<'a> {
    fn of(world: &'a World) -> Self {
        Self {
            world,
            asked: BTreeMap::new(),
            lost_max: 0,
        }
    }

    /// Addresses that were asked for, in this life or an earlier one.
    fn addresses(&self) -> usize {
        let new = counts(&self.world.shop.seen());
        let new = new
            .keys()
            .filter(|target| !self.asked.contains_key(*target));
        self.asked.len() + new.count()
    }

    /// A life that ends when so many addresses have been asked for.
    async fn one_until(&mut self, addresses: usize) {
        let mut running = Running::start(&self.world.folder, &["run", "--once"]);
        let born = Instant::now();
        while self.addresses() <= addresses {
            assert!(!running.is_over(), "it ended before {addresses} addresses");
            assert!(born.elapsed() < RUN_MAX, "{} asked", self.addresses());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.end(running);
    }

    /// Lives that end when all is asked for and what comes of it is brought in;
    /// how many there were.
    async fn some_at_the_end(&mut self, all: usize, moments: &mut SmallRng) -> usize {
        for late in 0..KILLS_AT_THE_END {
            let mut running = Running::start(&self.world.folder, &["run", "--once"]);
            let born = Instant::now();
            while self.addresses() < all && !running.is_over() {
                assert!(born.elapsed() < RUN_MAX, "{} asked", self.addresses());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            tokio::time::sleep(Duration::from_millis(moments.random_range(0..1_500))).await;
            if running.is_over() {
                running.end(Duration::ZERO).with_code(0);
                return late;
            }
            self.end(running);
        }
        KILLS_AT_THE_END
    }

    fn end(&mut self, mut running: Running) {
        running.kill();
        move_to_another_machine(&self.world.folder);
        let seen = self.world.shop.seen();
        let last = seen.iter().map(|seen| seen.at).max().unwrap_or_default();
        let from = last.saturating_sub(Duration::from_secs_f64(LOST_S_MAX));
        self.lost_max += seen.iter().filter(|seen| seen.at >= from).count();
        self.count();
    }

    fn count(&mut self) {
        for (target, count) in counts(&self.world.shop.seen()) {
            *self.asked.entry(target).or_default() += count;
        }
        self.world.shop.forget_seen();
    }
}

/// What was put away every second of a long life is not asked for again: of
/// hundreds of pages that were settled a few are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_long_life_had_put_away_is_not_asked_for_again() {
    let _beside = turns::beside().await;
    let says_site = |model: &_| says(by_everything(model));
    let world = World::start(full("long life", 305, PRODUCTS), says_site).await;
    let undisturbed = undisturbed(&world);
    let folder = &world.folder;
    let mut running = Running::start(folder, &["run", "--once"]);
    let answered = || {
        let seen = world.shop.seen().into_iter();
        let answered: Vec<Seen> = seen.filter(|seen| seen.ended.is_some()).collect();
        counts(&answered)
    };
    let born = Instant::now();
    until("it has lived for long", || {
        born.elapsed() >= LONG_LIFE && answered().len() >= LONG_LIFE_PAGES
    })
    .await;
    assert!(!running.is_over(), "it was to be killed");
    running.kill();
    move_to_another_machine(folder);
    let before = answered();
    Running::start(folder, &["run", "--once"])
        .end(RUN_MAX)
        .with_code(0);
    Outcome::of(folder).await;
    undisturbed.check(&found(folder, PIPE), &world, "after a long life");
    let again = repeated(&counts(&world.shop.seen()), &undisturbed.asked);
    let bound = LOST_S_MAX * RATE_PER_S + f64::from(CONCURRENCY);
    println!(
        "{again} of {} requests again, at most {bound}",
        before.len()
    );
    assert!((again as f64) <= bound, "{again} requests again");
    assert!(
        again * 2 < before.len(),
        "{again} of {} requests again",
        before.len()
    );
    world.shop.stop().await;
}

/// A kill is a crash of one delivery at most, and no attempt.
fn check_deliveries(jobs: &[std::sync::Arc<JobRecord>], kills: usize) {
    let crashes: usize = jobs.iter().map(|job| job.crashes as usize).sum();
    assert!(crashes <= kills, "{crashes} crashes of {kills} kills");
    assert!(kills < 5 || crashes > 0, "no kill met a delivery");
    let attempts: u32 = jobs.iter().map(|job| job.attempts).sum();
    assert_eq!(attempts, 0, "a kill is no attempt");
}

/// What was put away is gone, or is not what it was: the crawl begins anew, and
/// that is no failure of the job.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crawl_whose_journal_cannot_be_used_begins_anew() {
    let _beside = turns::beside().await;
    let says_site = |model: &_| says(by_everything(model));
    let world = World::start(full("damaged", 304, PRODUCTS / 3), says_site).await;
    let remove_all = |paths: &[PathBuf]| paths.iter().for_each(|path| remove(path));
    let damage_first = |paths: &[PathBuf]| {
        let mut bytes = fs::read(&paths[0]).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        fs::write(&paths[0], bytes).unwrap();
    };
    let spoilers: [Spoil<'_>; 2] = [&remove_all, &damage_first];
    for (at, spoil) in spoilers.into_iter().enumerate() {
        let folder = Folder::new(&[], "");
        says(by_everything(world.model())).write_to(&folder, &world.shop);
        let mut running = Running::start(&folder, &["run", "--once"]);
        until("a segment is put away", || !segments(&folder).is_empty()).await;
        running.kill();
        move_to_another_machine(&folder);
        spoil(&segments(&folder));
        Running::start(&folder, &["run", "--once"])
            .end(RUN_MAX)
            .with_code(0);
        let what = format!("spoilt in way {at}");
        assert_exact(&found(&folder, PIPE), &truth(world.model(), 0), &what);
        Outcome::of(&folder).await;
        check_deliveries(&jobs(&ports(&folder).await).await, 1);
    }
    world.shop.stop().await;
}

/// What is done to the segments of a journal.
type Spoil<'a> = &'a dyn Fn(&[PathBuf]);

/// Segments of the crawl's journal among the blobs, in order.
fn segments(folder: &Folder) -> Vec<PathBuf> {
    files(&folder.path().join("trawler-data/blobs/inputs"))
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| path.parent().is_some_and(|of| of.ends_with("crawl")))
        .collect()
}

async fn in_hand(ports: &Ports) -> Option<JobRecord> {
    let jobs = jobs(ports).await;
    let found = jobs
        .iter()
        .find(|job| job.in_hand && job.queue == QueueName::Crawl);
    found.map(|job| JobRecord::clone(job))
}

/// Invariant 9 for a crawl: empty hands in 5 s, and nothing is asked for again
/// that was settled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_09_a_crawl_told_to_leave_hands_back_and_loses_nothing() {
    let _beside = turns::beside().await;
    let says_site = |model: &_| says(by_everything(model));
    let world = World::start(full("drained", 302, PRODUCTS / 2), says_site).await;
    let undisturbed = undisturbed(&world);
    let folder = &world.folder;
    let mut under_way = 0;
    for asked in [60, 200, 350] {
        let running = Running::start(folder, &["run", "--once"]);
        until("it crawls", || counts(&world.shop.seen()).len() > asked).await;
        let ports = ports(folder).await;
        let held = in_hand(&ports).await.expect("the run is in hand");
        let told = Instant::now();
        running.terminate();
        let empty = loop {
            let looked = told.elapsed();
            let job = ports
                .jobs()
                .find(QueueName::Crawl, &held.job)
                .await
                .unwrap()
                .unwrap();
            if !job.in_hand {
                assert_eq!(job.hand_backs, held.hand_backs + 1, "{job:?}");
                assert_eq!((job.attempts, job.crashes), (0, 0), "{job:?}");
                break looked;
            }
            assert!(looked < GONE_MAX, "{job:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let ended = running.end(GONE_MAX);
        assert!(matches!(ended.code, Some(0 | 3)), "{ended:?}");
        println!(
            "empty hands after {empty:?}, gone after {:?}",
            told.elapsed()
        );
        assert!(empty <= EMPTY_HANDS_MAX, "{empty:?}");
        under_way += CONCURRENCY as usize;
        move_to_another_machine(folder);
    }
    Running::start(folder, &["run", "--once"])
        .end(RUN_MAX)
        .with_code(0);
    Outcome::of(folder).await;
    let again = repeated(&counts(&world.shop.seen()), &undisturbed.asked);
    println!("{again} requests again, {under_way} may have been under way");
    assert!(again <= under_way, "{again} requests again");
    undisturbed.check(&found(folder, PIPE), &world, "drained");
    world.shop.stop().await;
}

/// The same as processes of a fleet, on an emulated cloud: a new process with
/// an empty folder goes on from S3 alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_whose_crawler_is_killed_goes_on_from_the_cloud_alone() {
    let _beside = turns::beside().await;
    let mut moments = moments();
    let says_site = |model: &_| says(by_everything(model));
    let world = World::start(full("fleet", 303, PRODUCTS / 2), says_site).await;
    let undisturbed = undisturbed(&world);
    let site = Site::create("crawl", &[world.shop.addr().to_string()], FLEET).await;
    let ports = site.ports(VISIBILITY, VISIBILITY).await;
    let text = says(by_everything(world.model())).pipe(&world.shop);
    // Due now, and not again.
    let due = chrono::Utc::now() - chrono::TimeDelta::minutes(2);
    let cron = due.format("%-M %-H %-d %-m *").to_string();
    site.publish(&[(PIPE.to_owned(), text.replace("15 3 * * *", &cron))]);
    let _scheduler = Member::start(&site, Role::Schedule, "schedule").await;
    let mut asked = 0;
    for life in 0..KILLS_OF_FLEET {
        let name = format!("crawl-{life}");
        site.equip(&name, "");
        let mut worker = Member::start(&site, Role::Crawl, &name).await;
        let known = asked;
        until("it crawls", || {
            asked = world.shop.stats().requests();
            asked > known + 5
        })
        .await;
        let more = Duration::from_secs_f64(moments.random_range(0.1..2.5));
        tokio::time::sleep(more).await;
        worker.kill();
        assert_eq!(worker.wait(GONE_MAX).await, End::Killed);
    }
    site.equip("crawl-last", "");
    let mut last = Member::start(&site, Role::Crawl, "crawl-last").await;
    let due = chrono::DurationRound::duration_trunc(due, chrono::TimeDelta::minutes(1)).unwrap();
    let run = RunId::new(PipeId::parse(PIPE).unwrap(), due);
    let what = "the run done";
    wait::wait_for(what, RUN_MAX, async || {
        wait::is_done(&ports, std::slice::from_ref(&run)).await
    })
    .await;
    last.terminate();
    assert_eq!(last.wait(GONE_MAX).await, End::Left(0));
    Outcome::read(&ports, site.catalogue().await).await;
    check_deliveries(&jobs(&ports).await, KILLS_OF_FLEET);
    check_repeated(&world.shop, &undisturbed.asked);
    site.check_panics();
    undisturbed.check(&rows_of_fleet(&site), &world, "the fleet's");
    world.shop.stop().await;
}

/// The shortest that the configuration allows.
const VISIBILITY: Duration = Duration::from_secs(10);

const FLEET: &str = "[queue]
kind = \"sqs\"
crawl_visibility_s = 10
image_visibility_s = 10

[workers]
poll_s = 1
checkpoint_s = 1

[scheduler]
tick_ms = 500

[retry]
crashes_max = 49
";

fn rows_of_fleet(site: &Site) -> Rows {
    let args = ["products", "--pipe", PIPE, "--limit", "100000", "--json"];
    printed(&site.trawler(&args).json())
}

fn check_repeated(shop: &Shop, undisturbed: &BTreeMap<String, usize>) {
    let found = counts(&shop.seen());
    let asked: BTreeSet<&String> = found.keys().collect();
    let again = repeated(&found, undisturbed);
    let bound = KILLS_OF_FLEET as f64 * (LOST_S_MAX * RATE_PER_S + f64::from(CONCURRENCY));
    println!(
        "{} addresses, {again} requests again, at most {bound}",
        asked.len()
    );
    assert!(
        (again as f64) <= bound,
        "{again} requests again, at most {bound}"
    );
}

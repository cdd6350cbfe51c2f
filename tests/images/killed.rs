//! An image worker that is killed with SIGKILL at fifty random moments, beside a
//! scheduler and a crawler that live: no object is stored twice, no result is
//! lost, and the catalogue is that of a folder that nobody disturbed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use trawler_core::job::ImageJob;
use trawler_core::{JobId, PipeId, QueueName, RunId};
use trawler_fleet::{Ports, manifests};
use trawler_shop::{Fault, FeedFormat, Shop, ShopSpec};

use crate::child::Running;
use crate::look::{feed_table, files};
use crate::outcome::{Outcome, jobs, ports};
use crate::support::{Folder, pipe};

const KILLS: usize = 50;

/// Some images are shown by several products.
const PRODUCTS: u32 = 400;
const IMAGES: u32 = 340;

/// Groups of the one host, so that there are many jobs of few images.
const SHARDS: u32 = 24;

/// Images of one job that are asked for at once, and what each takes: a job
/// lasts about as long as a life.
const CONCURRENCY: u32 = 3;
const DELAY: Duration = Duration::from_millis(50);

/// From the first request of a worker to its death; one worker in five dies
/// before that, within so long of its start.
const AT_WORK_MAX: Duration = Duration::from_millis(450);
const STARTING_MAX: Duration = Duration::from_millis(400);
const STARTING_SHARE: f64 = 0.2;

/// Nothing may be left to ask for: then it is killed all the same.
const IDLE_MAX: Duration = Duration::from_millis(1_500);

/// The bound on crashes is there for a job that kills its worker. Here the test
/// kills.
const CONFIG: &str = "[retry]\ncrashes_max = 50\n\n[[images.variants]]\nname = \"small\"\n\
                      width = 32\nheight = 32\nfit = \"contain\"\nformat = \"jpeg\"\nquality = 70\n\n\
                      [[images.variants]]\nname = \"page\"\nwidth = 64\nheight = 64\n\
                      fit = \"cover\"\nformat = \"webp\"\nquality = 70\n";

/// One folder's work takes seconds; a machine under load gets more.
const DONE_MAX: Duration = Duration::from_secs(120);

const SEED: u64 = 20_261_124;

const PIPE: &str = "shop";

fn moments() -> SmallRng {
    let seed = std::env::var("CHAOS_SEED")
        .ok()
        .map_or(SEED, |text| text.parse().expect("CHAOS_SEED is a number"));
    println!("CHAOS_SEED={seed}");
    SmallRng::seed_from_u64(seed)
}

struct World {
    shop: Shop,
    /// When the pipe is due in every folder, so that runs have the same id.
    due: DateTime<Utc>,
}

impl World {
    async fn start() -> Self {
        let spec = ShopSpec {
            image_px: 80,
            images_distinct: IMAGES,
            extra_images_max: 0,
            seen_max: 100_000,
            ..ShopSpec::new("killed images", 17, PRODUCTS)
        };
        let shop = Shop::start(spec).await.unwrap();
        shop.misbehave("/img/", Fault::Delay(DELAY));
        let now = Utc::now() - TimeDelta::days(1);
        let due = now.with_second(0).and_then(|due| due.with_nanosecond(0));
        let due = due.expect("every minute begins");
        Self { shop, due }
    }

    fn folder(&self) -> Folder {
        let folder = Folder::new(&[self.shop.addr().to_string()], CONFIG);
        let (minute, hour) = (self.due.minute(), self.due.hour());
        let cron = format!("{minute} {hour} {} {} *", self.due.day(), self.due.month());
        let feed = feed_table(FeedFormat::NaverEp);
        let more = format!("[images]\nshards = {SHARDS}\n");
        let at_once = format!("concurrency = {CONCURRENCY}");
        let text = pipe(&self.shop.feed_url(), &feed, &more)
            .replace("15 3 * * *", &cron)
            .replace("concurrency = 8", &at_once);
        assert!(text.contains(&cron) && text.contains(&at_once), "{text}");
        folder.pipe(PIPE, &text);
        folder
    }

    fn run(&self) -> RunId {
        RunId::new(PipeId::parse(PIPE).unwrap(), self.due)
    }

    /// Whether everything that the run led to is settled.
    async fn is_done(&self, ports: &Ports) -> bool {
        let jobs = jobs(ports).await;
        let run = JobId::from(&self.run());
        jobs.iter().any(|job| job.job == run)
            && jobs.iter().all(|job| job.status.is_settled())
            && manifests::unsettled(&ports.documents())
                .await
                .unwrap()
                .is_empty()
    }

    /// How often each image was asked for, since last asked.
    fn asked(&self) -> BTreeMap<String, usize> {
        let mut asked = BTreeMap::new();
        for seen in self.shop.seen() {
            if seen.path().starts_with("/img/") {
                *asked.entry(seen.target).or_default() += 1;
            }
        }
        self.shop.forget_seen();
        asked
    }
}

/// What must not change once it is there: the file itself, not only its bytes.
type Stored = BTreeMap<PathBuf, (u64, i64, i64, u64)>;

fn stored(folder: &Folder) -> Stored {
    let paths = files(&folder.blobs().join("images")).into_iter();
    paths
        .map(|(path, _)| {
            let meta = fs::metadata(&path).unwrap();
            let known = (meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.len());
            (path, known)
        })
        .collect()
}

/// Objects that were put, which are those that are new; none that was there is
/// another file now.
#[track_caller]
fn put_since(before: &Stored, after: &Stored) -> usize {
    for (path, known) in before {
        assert_eq!(after.get(path), Some(known), "{} again", path.display());
    }
    after.len() - before.len()
}

/// What the lives of one folder came to.
#[derive(Debug, Default)]
struct Met {
    kills: usize,
    /// Lives that stored something.
    at_work: usize,
    /// Jobs that were in hand when their worker was killed, by job and epoch.
    cut_off: BTreeSet<(JobId, u64)>,
    /// Images of these jobs, which may be asked for again.
    images_cut_off: usize,
}

impl Met {
    async fn look(&mut self, ports: &Ports) {
        for job in jobs(ports).await.iter().filter(|job| job.in_hand) {
            if job.queue == QueueName::Image && self.cut_off.insert((job.job.clone(), job.epoch)) {
                self.images_cut_off += ImageJob::decode(&job.body).unwrap().images.len();
            }
        }
    }
}

/// The life of a worker that has just been started.
async fn live(world: &World, moments: &mut SmallRng) {
    let requests = || world.shop.stats().image.requests;
    let (born, before) = (Instant::now(), requests());
    let mut rest = STARTING_MAX;
    if !moments.random_bool(STARTING_SHARE) {
        while requests() == before && born.elapsed() < IDLE_MAX {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        rest = AT_WORK_MAX;
    }
    tokio::time::sleep(rest.mul_f64(moments.random_range(0.0..1.0))).await;
}

/// Kills image workers until the work is done all the same, or there were
/// enough.
async fn kill_until_done(
    world: &World,
    folder: &Folder,
    kills_max: usize,
    moments: &mut SmallRng,
) -> Met {
    let _scheduler = Running::start(folder, &["schedule"]);
    let _crawler = Running::start(folder, &["crawl"]);
    let ports = ports(folder).await;
    let (mut met, mut known) = (Met::default(), Stored::new());
    while met.kills < kills_max && !world.is_done(&ports).await {
        let mut worker = Running::start(folder, &["images"]);
        live(world, moments).await;
        assert!(!worker.is_over(), "a worker left by itself");
        worker.kill();
        met.kills += 1;
        met.look(&ports).await;
        let now = stored(folder);
        met.at_work += usize::from(put_since(&known, &now) > 0);
        known = now;
    }
    let _worker = Running::start(folder, &["images"]);
    let since = Instant::now();
    while !world.is_done(&ports).await {
        assert!(since.elapsed() < DONE_MAX, "never done: {met:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    put_since(&known, &stored(folder));
    met
}

/// Invariants 3 and 4 of the image worker: whatever moment it dies at, nothing
/// of its work is lost and nothing is there twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_worker_killed_at_fifty_moments_stores_once_and_loses_nothing() {
    let mut moments = moments();
    let world = World::start().await;
    let folder = world.folder();
    let undisturbed = kill_until_done(&world, &folder, 0, &mut moments).await;
    assert_eq!(undisturbed.kills, 0);
    let expected = Outcome::of(&folder).await;
    let (objects, once) = (stored(&folder).len(), world.asked());
    let requests: usize = once.values().sum();
    println!("undisturbed: {requests} requests, {objects} objects");

    let started = Instant::now();
    let (mut kills, mut folders, mut at_work, mut cut_off) = (0, 0, 0, 0);
    while kills < KILLS {
        folders += 1;
        let folder = world.folder();
        let met = kill_until_done(&world, &folder, KILLS - kills, &mut moments).await;
        let what = format!("folder {folders}, {} kills", met.kills);
        Outcome::of(&folder).await.assert_same(&expected, &what);
        assert_eq!(stored(&folder).len(), objects, "{what}");
        let asked = world.asked();
        let images = |asked: &BTreeMap<String, usize>| asked.keys().cloned().collect::<Vec<_>>();
        assert_eq!(images(&asked), images(&once), "{what}");
        let again = asked.values().sum::<usize>() - requests;
        println!(
            "{what}: {again} requests again, {} images cut off",
            met.images_cut_off
        );
        assert!(
            again <= met.images_cut_off,
            "{what}: {again} requests again"
        );
        let all = jobs(&ports(&folder).await).await;
        let crashes: usize = all.iter().map(|job| job.crashes as usize).sum();
        assert_eq!(crashes, met.cut_off.len(), "{what}: each is a crash");
        assert!(
            all.iter().all(|job| job.attempts == 0),
            "{what}: no attempt"
        );
        kills += met.kills;
        at_work += met.at_work;
        cut_off += met.cut_off.len();
    }
    println!(
        "{kills} kills in {folders} folders, {:?}; {at_work} at work, {cut_off} jobs cut off",
        started.elapsed()
    );
    assert!(cut_off >= KILLS, "the kills met too little work");
    assert!(at_work >= KILLS / 4, "the kills met too little work");
    world.shop.stop().await;
}

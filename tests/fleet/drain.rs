//! How long a worker that is told to leave takes: from the word to empty
//! hands, and until its process is gone.

use std::time::{Duration, Instant};

use trawler_core::QueueName;
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_fleet::Ports;
use trawler_shop::{Fault, Shop, ShopSpec};

use crate::cloud::{self, Site};
use crate::crew::{End, Member, Role};
use crate::outcome;
use crate::support::pipe;
use crate::wait::wait_for;

/// Invariant 9.
const EMPTY_HANDS_MAX: Duration = Duration::from_secs(5);
const GONE_MAX: Duration = Duration::from_secs(25);

/// The metadata service is asked so often.
const NOTICED_WITHIN: Duration = Duration::from_secs(2);

const PRODUCTS: u32 = 20_000;
/// The defaults.
const CRAWL_VISIBILITY: Duration = Duration::from_secs(300);
const IMAGE_VISIBILITY: Duration = Duration::from_secs(120);

/// Long polls as long as in production: what leaves has one out.
const TUNING: &str = "[queue]
kind = \"sqs\"

[workers]
poll_s = 20

[scheduler]
tick_ms = 500
";

const WORK_MAX: Duration = Duration::from_secs(180);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Sigterm,
    SpotNotice,
}

impl Word {
    /// Until the worker knows.
    fn known_within(self) -> Duration {
        match self {
            Self::Sigterm => Duration::ZERO,
            Self::SpotNotice => NOTICED_WITHIN,
        }
    }
}

async fn job_in_hand(ports: &Ports, queue: QueueName) -> Option<JobRecord> {
    let jobs = outcome::jobs(ports).await;
    let found = jobs.iter().find(|job| job.in_hand && job.queue == queue);
    found.map(|job| JobRecord::clone(job))
}

/// Starts a worker, waits until it is in the middle of something, gives it the
/// word and watches.
async fn leaves(
    site: &Site,
    ports: &Ports,
    role: Role,
    word: Word,
    what: &str,
    is_in_the_middle: impl AsyncFn() -> bool,
) {
    let queue = match role {
        Role::Images => QueueName::Image,
        Role::Crawl | Role::Schedule => QueueName::Crawl,
    };
    let mut worker = Member::start(site, role, &format!("{role}-{word:?}")).await;
    wait_for(what, WORK_MAX, async || is_in_the_middle().await).await;
    let in_hand = job_in_hand(ports, queue).await;
    let in_hand = in_hand.unwrap_or_else(|| panic!("{what}: nothing is in hand"));
    let told = Instant::now();
    match word {
        Word::Sigterm => worker.terminate(),
        Word::SpotNotice => worker.interrupt_spot(),
    }
    let empty = loop {
        let looked = told.elapsed();
        let job = ports.jobs().find(queue, &in_hand.job).await;
        let job = job.unwrap().expect("it is in the ledger");
        let depth = ports.queue(queue).depth().await.unwrap();
        if !job.in_hand && depth.in_flight == 0 {
            assert_eq!(job.hand_backs, in_hand.hand_backs + 1, "{what}: {job:?}");
            assert_eq!((job.attempts, job.crashes), (0, 0), "{what}: {job:?}");
            break looked;
        }
        assert!(looked < WORK_MAX, "{what}: {job:?}, {depth:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    };
    assert_eq!(worker.wait(WORK_MAX).await, End::Left(0), "{what}");
    let gone = told.elapsed();
    println!("{what}, {word:?}: empty hands after {empty:?}, gone after {gone:?}");
    let slack = word.known_within();
    assert!(empty <= EMPTY_HANDS_MAX + slack, "{what}: {empty:?}");
    assert!(gone <= GONE_MAX + slack, "{what}: {gone:?}");
}

/// Invariant 9, over the wire: from notice to empty hands in 5 s for feeds and
/// images, process gone in 25 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_09_from_notice_to_empty_hands_in_five_seconds() {
    let _alone = cloud::alone().await;
    let spec = ShopSpec {
        image_px: 600,
        images_distinct: 400,
        ..ShopSpec::new("large", 5, PRODUCTS)
    };
    let shop = Shop::start(spec).await.unwrap();
    let site = Site::create("drain", &[shop.addr().to_string()], TUNING).await;
    let ports = site.ports(CRAWL_VISIBILITY, IMAGE_VISIBILITY).await;
    let feed = "format = \"naver-ep\"\nmode = \"full\"";
    let text = pipe(&shop.feed_url(), feed, "").replace("15 3 * * *", "* * 1 1 *");
    site.publish(&[("large".to_owned(), text)]);
    let _scheduler = Member::start(&site, Role::Schedule, "schedule").await;

    let drip = Fault::Drip {
        piece_bytes: 32 * 1024,
        every: Duration::from_millis(100),
    };
    shop.misbehave("/feed/", drip);
    let what = "a slow feed being downloaded";
    let is_downloading = async || shop.stats().feed.body_bytes > 1 << 20;
    leaves(
        &site,
        &ports,
        Role::Crawl,
        Word::Sigterm,
        what,
        is_downloading,
    )
    .await;

    shop.heal();
    let what = "a large feed being read";
    let known = shop.stats().feed.requests;
    let is_reading = async || {
        let feed = shop.stats().feed;
        feed.requests > known && feed.in_flight == 0
    };
    leaves(&site, &ports, Role::Crawl, Word::Sigterm, what, is_reading).await;

    let mut crawler = Member::start(&site, Role::Crawl, "crawl").await;
    wait_for("the run done", WORK_MAX, async || {
        is_collected(&ports).await
    })
    .await;
    crawler.terminate();
    assert_eq!(crawler.wait(WORK_MAX).await, End::Left(0));

    shop.misbehave("/img/", Fault::Delay(Duration::from_millis(400)));
    for word in [Word::Sigterm, Word::SpotNotice] {
        let what = "images being fetched and rendered";
        let known = shop.stats().image.requests;
        let is_working = async || shop.stats().image.requests >= known + 20;
        leaves(&site, &ports, Role::Images, word, what, is_working).await;
    }
    shop.stop().await;
}

async fn is_collected(ports: &Ports) -> bool {
    let jobs = ports.jobs().list(QueueName::Crawl).await.unwrap();
    jobs.iter().all(|job| job.status == JobStatus::Done)
}

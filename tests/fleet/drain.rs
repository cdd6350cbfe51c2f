//! How long a worker that is told to leave takes: from the word to empty
//! hands, and until its process is gone.
//!
//! The times of invariant 9 count from when the worker has heard the word. A
//! signal is heard at once; the metadata service is asked for notices every 2 s
//! (AWS gives two minutes), so one is heard up to so much after it is there.
//! Both spans are measured and held apart.

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

/// The metadata service is asked so often; its answer takes a moment.
const NOTICES_EVERY: Duration = Duration::from_secs(2);
const HEARD_MAX: Duration = Duration::from_millis(500);

/// What a worker says when it has heard.
const HEARD: &str = "drain requested by";

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
    fn heard_within(self) -> Duration {
        match self {
            Self::Sigterm => HEARD_MAX,
            Self::SpotNotice => NOTICES_EVERY + HEARD_MAX,
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
    let name = format!("{role}-{word:?}");
    let times_heard = || site.logged(&name).matches(HEARD).count();
    let heard_before = times_heard();
    let mut worker = Member::start(site, role, &name).await;
    wait_for(what, WORK_MAX, async || is_in_the_middle().await).await;
    let in_hand = job_in_hand(ports, queue).await;
    let in_hand = in_hand.unwrap_or_else(|| panic!("{what}: nothing is in hand"));
    let told = Instant::now();
    match word {
        Word::Sigterm => worker.terminate(),
        Word::SpotNotice => worker.interrupt_spot(),
    }
    let mut heard = None;
    let empty = loop {
        let looked = told.elapsed();
        if heard.is_none() && times_heard() > heard_before {
            heard = Some(looked);
        }
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
    let heard = heard.unwrap_or_else(|| panic!("{what}: nothing was heard"));
    let (empty, gone) = (empty - heard, gone - heard);
    println!(
        "{what}, {word:?}: heard after {heard:?}, empty hands {empty:?} later, gone {gone:?} later"
    );
    assert!(heard <= word.heard_within(), "{what}: {heard:?}");
    assert!(empty <= EMPTY_HANDS_MAX, "{what}: {empty:?}");
    assert!(gone <= GONE_MAX, "{what}: {gone:?}");
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
    // With nothing in hand it is the poll that takes its time: what busy ones
    // hand back ends theirs.
    let told = Instant::now();
    crawler.terminate();
    assert_eq!(crawler.wait(WORK_MAX).await, End::Left(0));
    let gone = told.elapsed();
    println!("nothing in hand, Sigterm: gone after {gone:?}");
    assert!(gone <= GONE_MAX + HEARD_MAX, "{gone:?}");

    shop.misbehave("/img/", Fault::Delay(Duration::from_millis(400)));
    for word in [Word::Sigterm, Word::SpotNotice] {
        let what = "images being fetched and rendered";
        let known = shop.stats().image.requests;
        let is_working = async || shop.stats().image.requests >= known + 20;
        leaves(&site, &ports, Role::Images, word, what, is_working).await;
    }
    site.check_panics();
    shop.stop().await;
}

async fn is_collected(ports: &Ports) -> bool {
    let jobs = ports.jobs().list(QueueName::Crawl).await.unwrap();
    jobs.iter().all(|job| job.status == JobStatus::Done)
}

//! The cloud is unreachable for a minute in the middle of the work.

use std::time::{Duration, Instant};

use trawler_core::QueueName;
use trawler_core::ledger::JobStatus;
use trawler_fleet::Ports;
use trawler_shop::Fault;

use crate::cloud::{self, Site};
use crate::crew::{End, Member, Role};
use crate::outcome::{self, Outcome};
use crate::partners::Partners;
use crate::wait::{is_done, wait_for};

const PIPES: usize = 8;
const PRODUCTS: u32 = 60;
const AWAY: Duration = Duration::from_secs(60);

/// Longer than the minute, so that a crawler keeps its lease and its verdict
/// waits for the cloud. Image leases end within the minute.
const CRAWL_VISIBILITY: Duration = Duration::from_secs(90);
const IMAGE_VISIBILITY: Duration = Duration::from_secs(30);

const TUNING: &str = "[queue]
kind = \"sqs\"
crawl_visibility_s = 90
image_visibility_s = 30

[workers]
poll_s = 1

[scheduler]
tick_ms = 500
";

const WORK_MAX: Duration = Duration::from_secs(180);

/// What is at work now, of each queue.
async fn in_hand(ports: &Ports) -> (usize, usize) {
    let jobs = outcome::jobs(ports).await;
    let of = |queue: QueueName| {
        let of_queue = jobs.iter().filter(|job| job.in_hand && job.queue == queue);
        of_queue.count()
    };
    (of(QueueName::Crawl), of(QueueName::Image))
}

/// Workers neither exit nor bury what they could not finish, and go on when
/// the cloud is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minute_without_the_cloud_costs_a_minute() {
    let _beside = cloud::beside().await;
    let partners = Partners::start(PIPES, PRODUCTS, 1).await;
    let undisturbed = partners.undisturbed().await;
    let site = Site::create("outage", &partners.hosts(), TUNING).await;
    let ports = site.ports(CRAWL_VISIBILITY, IMAGE_VISIBILITY).await;
    // Every second feed takes so long that it is under way when the images of
    // the others are.
    for (number, (_, shop)) in partners.shops().enumerate() {
        shop.misbehave("/img/", Fault::Delay(Duration::from_millis(500)));
        if number % 2 == 1 {
            shop.misbehave("/feed/", Fault::Delay(Duration::from_secs(20)));
        }
    }
    site.publish(&partners.begin_day(0));
    let mut crew = Vec::new();
    for (role, name) in [
        (Role::Schedule, "schedule"),
        (Role::Crawl, "crawl-1"),
        (Role::Crawl, "crawl-2"),
        (Role::Images, "images"),
    ] {
        crew.push(Member::start(&site, role, name).await);
    }
    wait_for("runs and image jobs in hand", WORK_MAX, async || {
        let (runs, images) = in_hand(&ports).await;
        runs > 0 && images > 0
    })
    .await;
    let met = in_hand(&ports).await;
    site.proxy.cut();
    let cut = Instant::now();
    while cut.elapsed() < AWAY {
        for member in &mut crew {
            assert_eq!(member.ended(), None, "a {} has left", member.role);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    site.proxy.mend();
    let mended = Instant::now();
    wait_for("everything done", WORK_MAX, async || {
        is_done(&ports, &partners.runs(0)).await
    })
    .await;
    let done = mended.elapsed();

    let (mut attempts, mut crashes) = (0, 0);
    for job in outcome::jobs(&ports).await {
        assert_eq!(job.status, JobStatus::Done, "{job:?}");
        attempts += job.attempts;
        crashes += job.crashes;
        assert!(job.attempts + job.crashes <= 1, "{job:?}");
    }
    println!(
        "cut for {AWAY:?} with (runs, image jobs) {met:?} in hand: done {done:?} after it, \
         {attempts} attempts and {crashes} leases lost, {} connections cut",
        site.proxy.counts().cut
    );
    let found = Outcome::read(&ports, site.catalogue().await).await;
    found.assert_same(&undisturbed[0], "after the outage");
    for member in &mut crew {
        member.terminate();
        assert_eq!(member.wait(WORK_MAX).await, End::Left(0));
    }
    site.check_panics();
    partners.stop().await;
}

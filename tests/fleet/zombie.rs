//! A crawler that stands still past its visibility and wakes up: another one
//! has finished its run, and what it still tries is refused.

use std::time::Duration;

use hyper::Method;
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::{JobId, QueueName};
use trawler_fleet::Ports;
use trawler_tests::proxy::{Call, Fault, Service};

use crate::cloud::{self, Site};
use crate::crew::{End, Member, Role};
use crate::outcome::{self, Outcome};
use crate::partners::Partners;
use crate::wait::{is_done, wait_for};

const VISIBILITY: Duration = Duration::from_secs(10);

const TUNING: &str = "[queue]
kind = \"sqs\"
crawl_visibility_s = 10
image_visibility_s = 10

[workers]
poll_s = 1
crawl_slots = 1

[scheduler]
tick_ms = 500
";

/// Long enough to be frozen in, and short enough to be over long before the
/// lease is.
const MOMENT: Duration = Duration::from_secs(3);

/// Past the visibility and the other's work: arrives after its commit.
const LONG: Duration = Duration::from_secs(17);

const TAKE_OVER_MAX: Duration = Duration::from_secs(60);

/// What the worker says when it finds out: its keeper comes first, or its work,
/// which looks at the clock as well.
const FOUND_OUT: [&str; 2] = ["is lost: its work stops", "was lost before its"];

fn puts(call: &Call, part: &str) -> bool {
    call.service == Service::S3
        && call.operation == Method::PUT.as_str()
        && call.path.contains(part)
}

async fn record(ports: &Ports, job: &JobId) -> JobRecord {
    let found = ports.jobs().find(QueueName::Crawl, job).await;
    found.unwrap().expect("the job is planned")
}

/// The request that is held for a while when the zombie falls asleep.
#[derive(Debug, Clone, Copy)]
struct Asleep {
    name: &'static str,
    part: &'static str,
    held: Duration,
}

/// Before the commit: its data file is being put, the fence not yet asked.
const AT_ITS_DATA: Asleep = Asleep {
    name: "zombie-data",
    part: ".parquet",
    held: MOMENT,
};

/// In the commit: the fence has let it pass, and its log entry arrives after
/// the other's.
const AT_ITS_COMMIT: Asleep = Asleep {
    name: "zombie-commit",
    part: "_delta_log/00000000000000000001.json",
    held: LONG,
};

async fn a_zombie_commits_nothing(asleep: Asleep) {
    let _beside = cloud::beside().await;
    let partners = Partners::start(1, 60, 2).await;
    let undisturbed = partners.undisturbed().await;
    let site = Site::create(asleep.name, &partners.hosts(), TUNING).await;
    let ports = site.ports(VISIBILITY, VISIBILITY).await;
    let job = JobId::from(&partners.runs(0)[0]);
    site.proxy.fail_next(
        move |call| puts(call, asleep.part),
        Fault::Late(asleep.held),
    );
    site.publish(&partners.begin_day(0));
    let _scheduler = Member::start(&site, Role::Schedule, "schedule").await;
    let _images = Member::start(&site, Role::Images, "images").await;
    let mut zombie = Member::start(&site, Role::Crawl, "zombie").await;
    wait_for("the request that is held", TAKE_OVER_MAX, async || {
        site.proxy.waiting() == 0
    })
    .await;
    zombie.freeze();

    let mut other = Member::start(&site, Role::Crawl, "other").await;
    wait_for("the run done by the other", TAKE_OVER_MAX, async || {
        record(&ports, &job).await.status == JobStatus::Done
    })
    .await;
    let settled = record(&ports, &job).await;
    assert_eq!(
        (settled.epoch, settled.crashes, settled.attempts),
        (2, 1, 0),
        "{settled:?}"
    );
    if asleep.held == LONG {
        wait_for("the late request answered", TAKE_OVER_MAX, async || {
            site.proxy.held_back() == 0
        })
        .await;
    }
    zombie.thaw();
    wait_for("the zombie finds out", TAKE_OVER_MAX, async || {
        let said = site.logged("zombie");
        FOUND_OUT.iter().any(|words| said.contains(words))
    })
    .await;
    wait_for("the day done", TAKE_OVER_MAX, async || {
        is_done(&ports, &partners.runs(0)).await
    })
    .await;
    assert_eq!(
        record(&ports, &job).await,
        settled,
        "the zombie settled something"
    );

    // It lives, and the next day is its own.
    other.kill();
    assert_eq!(other.wait(TAKE_OVER_MAX).await, End::Killed);
    site.publish(&partners.begin_day(1));
    wait_for("the next day done", TAKE_OVER_MAX, async || {
        is_done(&ports, &partners.runs(1)).await
    })
    .await;
    let found = Outcome::read(&ports, site.catalogue().await).await;
    found.assert_same(&undisturbed[1], asleep.name);
    let crashes: u32 = outcome::jobs(&ports)
        .await
        .iter()
        .map(|job| job.crashes)
        .sum();
    println!(
        "{}: {crashes} delivery cut off, taken over and done once",
        asleep.name
    );
    zombie.terminate();
    assert_eq!(zombie.wait(TAKE_OVER_MAX).await, End::Left(0));
    site.check_panics();
    partners.stop().await;
}

/// Invariant 1: who lost the lease stops, and what it still tries to commit is
/// refused by the fence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_01_a_zombie_that_wakes_before_its_commit_commits_nothing() {
    a_zombie_commits_nothing(AT_ITS_DATA).await;
}

/// Invariant 1: a log entry that was on its way meets the other's, and its
/// writer finds the run committed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_01_a_commit_that_arrives_after_the_next_ones_is_refused() {
    a_zombie_commits_nothing(AT_ITS_COMMIT).await;
}

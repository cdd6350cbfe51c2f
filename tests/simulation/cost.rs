//! What queueing and bookkeeping cost, counted at the model: requests of SQS
//! and S3 for a million crawl jobs of ten minutes and for a million images
//! checked.
//!
//! The parts files of the catalogue and the partner's own traffic are not in
//! it. What a fleet without work costs (the scheduler's tick) goes by time and
//! is counted by itself.
//!
//! `cargo test -p trawler-tests --test simulation cost -- --nocapture` prints
//! the figures.

use std::time::Duration;

use trawler_tests::model::{Action, Bill};

use crate::play::{History, play};
use crate::scenario::Scenario;
use crate::script::{Fate, Script};

/// Crawl jobs that are played; figures are scaled to a million.
const CRAWL_JOBS: usize = 60;

/// Images that are played.
const IMAGES: u32 = 20_000;

const MILLION: f64 = 1e6;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// SQS for a million crawl jobs of ten minutes, in requests a job: a tenth of a
/// send, a receive, a renewal every 150 s, a delete, and what the first and
/// last polls find empty.
const CRAWL_SQS_MAX: f64 = 6.1;

/// S3 for a million crawl jobs of ten minutes: ten checkpoints, some fifteen
/// writes of run, job and schedule documents, and the flags, which a process
/// looks at every two seconds for all of its slots (four here).
const CRAWL_S3_DOLLARS_MAX: f64 = 200.0;

/// SQS for a million images checked.
const IMAGES_SQS_DOLLARS_MAX: f64 = 0.02;

/// S3 for a million images checked: four writes a job of a hundred, and reads.
const IMAGES_S3_DOLLARS_MAX: f64 = 0.30;

/// A fleet without work, each day: a tick a minute of four listings and two
/// looks at the dead-letter queues.
const STANDING_DOLLARS_A_DAY_MAX: f64 = 0.05;

/// Ten minutes in steps of five seconds, the longest there may be; the rest is
/// taking, committing and settling.
fn ten_minutes() -> Script {
    Script {
        steps: 118,
        step: Duration::from_secs(5),
        image: Duration::from_millis(100),
        stores: false,
        // A minute of work.
        checkpoint_every: 12,
        images: 0,
        troubles: Vec::new(),
        fate: Fate::Fine,
        hang: Duration::ZERO,
    }
}

fn played(scenario: Scenario) -> History {
    let history = play(scenario);
    assert!(history.problems.is_empty(), "{:#?}", history.problems);
    history
}

/// A million of something, from the requests of `count`.
struct Rates {
    bill: Bill,
    count: f64,
}

impl Rates {
    /// Requests for each one.
    fn each(&self, action: Action) -> f64 {
        self.bill.requests(action) as f64 / self.count
    }

    fn print(&self, what: &str) {
        println!("{what}: {}", self.bill);
        println!(
            "  a million: SQS {:.2} M requests ${:.3}; S3 {:.2} M PUT+LIST, {:.2} M GET+HEAD ${:.2}",
            self.bill.sqs() as f64 / self.count,
            self.bill.sqs_dollars() / self.count * MILLION,
            self.bill.s3_puts() as f64 / self.count,
            self.bill.s3_gets() as f64 / self.count,
            self.bill.s3_dollars() / self.count * MILLION,
        );
    }
}

/// The scheduler alone, for as long as the other took.
fn standing(scenario: &Scenario, lasted: Duration) -> Bill {
    let idle = Scenario {
        pipes: 0,
        crawlers: 0,
        image_workers: 0,
        idle: lasted,
        ..scenario.clone()
    };
    played(idle).bill
}

#[test]
fn a_day_without_work() {
    let bill = standing(&Scenario::calm(1), DAY);
    let dollars = bill.sqs_dollars() + bill.s3_dollars();
    println!("a day without work: {bill}; ${dollars:.4}");
    assert!(dollars <= STANDING_DOLLARS_A_DAY_MAX, "${dollars} a day");
}

#[test]
fn a_million_crawl_jobs_of_ten_minutes() {
    let scenario = Scenario {
        pipes: CRAWL_JOBS,
        runs: 1,
        crawlers: 5,
        image_workers: 0,
        slots: 4,
        script: Some(ten_minutes()),
        ..Scenario::calm(1)
    };
    let history = played(scenario.clone());
    let rates = Rates {
        bill: history.bill - standing(&scenario, history.lasted),
        count: CRAWL_JOBS as f64,
    };
    rates.print("crawl jobs of ten minutes");
    for action in [
        Action::SendMessageBatch,
        Action::ReceiveMessage,
        Action::ChangeMessageVisibility,
        Action::DeleteMessage,
    ] {
        println!("  {action:?} {:.2} a job", rates.each(action));
    }
    let sqs = rates.bill.sqs() as f64 / rates.count;
    assert!(sqs <= CRAWL_SQS_MAX, "{sqs} SQS requests a job");
    let s3 = rates.bill.s3_dollars() / rates.count * MILLION;
    assert!(
        s3 <= CRAWL_S3_DOLLARS_MAX,
        "${s3} of S3 for a million crawl jobs"
    );
}

#[test]
fn a_million_images_checked() {
    let scenario = Scenario {
        pipes: 1,
        runs: 1,
        crawlers: 1,
        image_workers: 5,
        slots: 4,
        images_a_job: 100,
        image_hosts: 10,
        pictures: u32::MAX,
        script: Some(Script {
            steps: 1,
            images: IMAGES,
            ..ten_minutes()
        }),
        ..Scenario::calm(1)
    };
    let history = played(scenario.clone());
    let rates = Rates {
        bill: history.bill - standing(&scenario, history.lasted),
        count: f64::from(IMAGES),
    };
    rates.print("images checked");
    let sqs = rates.bill.sqs_dollars() / rates.count * MILLION;
    assert!(
        sqs <= IMAGES_SQS_DOLLARS_MAX,
        "${sqs} of SQS for a million images"
    );
    let s3 = rates.bill.s3_dollars() / rates.count * MILLION;
    assert!(
        s3 <= IMAGES_S3_DOLLARS_MAX,
        "${s3} of S3 for a million images"
    );
}

//! Capacity by plan, wired whole: the scheduler as a process asks a group of
//! moto's for machines before a run is due that it knows by its past, and the
//! commands say the same.

use std::time::Duration;

use chrono::{Timelike, Utc};
use serde_json::Value;
use trawler_core::open_runs::OpenRuns;
use trawler_shop::{FeedFormat, Shop, ShopSpec};
use trawler_tests::emulator::Moto;

use crate::cloud::{self, Site};
use crate::crew::{End, Member, Role};
use crate::outcome;
use crate::place::{described, make_group};
use crate::support::pipe;
use crate::wait::wait_for;
use crate::wire::{query, values};

const VISIBILITY: Duration = Duration::from_secs(10);

const WAIT_MAX: Duration = Duration::from_secs(150);

const GONE_MAX: Duration = Duration::from_secs(27);

const TUNING: &str = "[queue]
kind = \"sqs\"
crawl_visibility_s = 10
image_visibility_s = 10

[workers]
poll_s = 1

[scheduler]
tick_ms = 500

[plan]
boot_s = 20
";

fn desired(group: &str) -> String {
    values(&described(group), "DesiredCapacity").remove(0)
}

/// As a person does it.
fn set_desired(group: &str, machines: &str) {
    let form = [
        ("Action", "SetDesiredCapacity"),
        ("AutoScalingGroupName", group),
        ("DesiredCapacity", machines),
    ];
    let endpoint = Moto::shared().endpoint();
    query(&endpoint, "autoscaling", "2011-01-01", &form);
}

/// Until the pipe of each minute is due.
fn seconds_left() -> u32 {
    60 - Utc::now().second()
}

fn asked(site: &Site, args: &[&str]) -> Value {
    let output = site.command_on("schedule", args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&said)
        .unwrap_or_else(|error| panic!("{args:?}: {error}: {said} {output:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_with_a_past_has_its_machine_before_it_is_due() {
    const NAME: &str = "planned";
    let _beside = cloud::beside().await;
    tokio::task::spawn_blocking(|| make_group(NAME, "0"))
        .await
        .unwrap();
    let spec = ShopSpec {
        format: FeedFormat::NaverEp,
        ..ShopSpec::new(NAME, 9, 50)
    };
    let shop = Shop::start(spec).await.unwrap();
    let mut site = Site::create(NAME, &[shop.addr().to_string()], TUNING).await;
    site.set_variable("AWS_ENDPOINT_URL_AUTO_SCALING", &Moto::shared().endpoint());
    let ports = site.ports(VISIBILITY, VISIBILITY).await;
    site.equip(
        "schedule",
        &format!("[capacity]\ncrawl_group = \"{NAME}\"\n"),
    );
    let feed = "format = \"naver-ep\"\nmode = \"full\"";
    // Each minute: the first run makes the past that the second is planned by.
    let text = pipe(&shop.feed_url(), feed, "[images]\ncollect = false\n");
    let text = text.replace("15 3 * * *", "* * * * *");
    site.publish(&[("shop".to_owned(), text)]);

    let plan = asked(&site, &["plan", "--json", "--hours", "1"]);
    assert_eq!(plan["groups"][0]["planned"], false, "{plan}");
    // So that the first run is over well before the next one is prepared for.
    wait_for("a new minute", WAIT_MAX, async || seconds_left() > 50).await;
    let mut scheduler = Member::start(&site, Role::Schedule, "schedule").await;
    // A machine of no group, so that nothing but the plan sets its size.
    let mut crawler = Member::start(&site, Role::Crawl, "crawl").await;
    wait_for("a past run", WAIT_MAX, async || {
        let runs: Option<OpenRuns> = ports.documents().get("schedule/shop").await.unwrap();
        runs.is_some_and(|runs| !runs.past.is_empty())
    })
    .await;
    wait_for("a machine for the next run", WAIT_MAX, async || {
        desired(NAME) == "1"
    })
    .await;
    // The boot of 20 s and a tick before it is due, and not when its job is there.
    let left = seconds_left();
    assert!((15..=21).contains(&left), "{left} s before the next run");
    let jobs = outcome::jobs(&ports).await;
    assert!(jobs.iter().all(|job| job.status.is_settled()), "{jobs:?}");
    let plan = asked(&site, &["plan", "--json", "--hours", "1"]);
    let crawl = &plan["groups"][0];
    assert_eq!(
        (&crawl["planned"], &crawl["peak"]),
        (&true.into(), &1.into()),
        "{plan}"
    );
    assert!(crawl["usd"].as_f64().unwrap() > 0.0, "{plan}");
    assert_eq!(crawl["bound"], "shop", "{plan}");

    wait_for("the run to be over", WAIT_MAX, async || {
        desired(NAME) == "0"
    })
    .await;
    scheduler.terminate();
    assert_eq!(scheduler.wait(GONE_MAX).await, End::Left(0));
    crawler.terminate();
    assert_eq!(crawler.wait(GONE_MAX).await, End::Left(0));
    // What a person has asked for meanwhile is seen, told and left alone.
    set_desired(NAME, "2");
    for args in [
        &["scale", "--once", "--json", "--dry-run"][..],
        &["scale", "--once", "--json"],
    ] {
        let scaled = asked(&site, args);
        let crawl = &scaled[0];
        assert_eq!(
            (&crawl["was"], &crawl["wanted"], &crawl["asked"]),
            (&2.into(), &2.into(), &false.into()),
            "{scaled}"
        );
        assert_eq!(crawl["why"], "others asked for them", "{scaled}");
    }
    assert_eq!(desired(NAME), "2");
    let output = site
        .command_on("schedule", &["scale", "--once"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.starts_with("crawl  2 wanted, as it is ("),
        "{output:?}"
    );
    site.check_panics();
    shop.stop().await;
}

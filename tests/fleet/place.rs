//! A machine's place in its Auto Scaling group, and the figures that it tells
//! meanwhile: the whole program, with moto for the group where that is enough,
//! and a group of our own where a hook is awaited or calls are counted.

use std::net::TcpListener;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use trawler_core::QueueName;
use trawler_core::boots::Boots;
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_fleet::Ports;
use trawler_shop::{Fault, FeedFormat, Shop, ShopSpec};
use trawler_tests::emulator::{Ministack, Moto};
use trawler_tests::group::{GROUP, Group, HOOK};

use crate::cloud::{self, Site};
use crate::crew::{End, Member, Role};
use crate::outcome;
use crate::support::pipe;
use crate::wait::wait_for;
use crate::wire::{query, values};

const PRODUCTS: u32 = 300;

/// The shortest that the configuration allows. Protection is taken back after
/// half of it.
const IDLE_EXIT: Duration = Duration::from_secs(60);

/// Half of it is between two renewals.
const VISIBILITY: Duration = Duration::from_secs(10);

/// So that one renewal is certain while the feed comes.
const FEED_TAKES: Duration = Duration::from_secs(8);

const TUNING: &str = "[queue]
kind = \"sqs\"
crawl_visibility_s = 10
image_visibility_s = 10

[workers]
poll_s = 1

[scheduler]
tick_ms = 500
";

const NO_IMAGES: &str = "[images]\ncollect = false\n";

/// Everything that is waited for here comes within the idle time.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// Invariant 9, and the time in which the metadata service is asked.
const GONE_MAX: Duration = Duration::from_secs(25 + 2);

/// An image that moto knows.
const IMAGE: &str = "ami-12c6146b";

fn auto_scaling(action: &str, form: &[(&str, &str)]) -> String {
    let all = [&[("Action", action)], form].concat();
    let endpoint = Moto::shared().endpoint();
    query(&endpoint, "autoscaling", "2011-01-01", &all)
}

/// A group of moto's with so many instances; their ids.
pub(crate) fn make_group(name: &str, desired: &str) -> Vec<String> {
    make_group_of(Moto::shared(), name, desired);
    values(&described(name), "InstanceId")
}

/// As [`make_group`], of a moto of one's own.
pub(crate) fn make_group_of(moto: &Moto, name: &str, desired: &str) {
    let endpoint = moto.endpoint();
    let template = format!("{name}-template");
    let form = [
        ("Action", "CreateLaunchTemplate"),
        ("LaunchTemplateName", template.as_str()),
        ("LaunchTemplateData.ImageId", IMAGE),
        ("LaunchTemplateData.InstanceType", "c7g.large"),
    ];
    query(&endpoint, "ec2", "2016-11-15", &form);
    let form = [
        ("Action", "CreateAutoScalingGroup"),
        ("AutoScalingGroupName", name),
        ("MinSize", "0"),
        ("MaxSize", "6"),
        ("DesiredCapacity", desired),
        ("AvailabilityZones.member.1", "eu-west-1a"),
        ("LaunchTemplate.LaunchTemplateName", template.as_str()),
        ("LaunchTemplate.Version", "$Latest"),
    ];
    query(&endpoint, "autoscaling", "2011-01-01", &form);
}

pub(crate) fn described(group: &str) -> String {
    described_by(Moto::shared(), group)
}

pub(crate) fn described_by(moto: &Moto, group: &str) -> String {
    let form = [
        ("Action", "DescribeAutoScalingGroups"),
        ("AutoScalingGroupNames.member.1", group),
    ];
    query(&moto.endpoint(), "autoscaling", "2011-01-01", &form)
}

fn is_protected(instance: &str) -> bool {
    let form = [("InstanceIds.member.1", instance)];
    let xml = auto_scaling("DescribeAutoScalingInstances", &form);
    values(&xml, "ProtectedFromScaleIn") == ["true"]
}

/// One shop whose feed takes its time, and no images.
async fn slow_shop() -> Shop {
    let spec = ShopSpec {
        format: FeedFormat::NaverEp,
        ..ShopSpec::new("place", 9, PRODUCTS)
    };
    let shop = Shop::start(spec).await.unwrap();
    shop.misbehave("/feed/", Fault::Delay(FEED_TAKES));
    shop
}

/// A pipe that is due once.
fn due_once(shop: &Shop) -> Vec<(String, String)> {
    let feed = "format = \"naver-ep\"\nmode = \"full\"";
    let text = pipe(&shop.feed_url(), feed, NO_IMAGES).replace("15 3 * * *", "* * 1 1 *");
    vec![("shop".to_owned(), text)]
}

async fn only_job(ports: &Ports) -> Option<JobRecord> {
    let jobs = outcome::jobs(ports).await;
    assert!(jobs.len() <= 1, "{jobs:?}");
    jobs.first().map(|job| JobRecord::clone(job))
}

/// A port that nobody has now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The page with figures, if somebody answers.
async fn page(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let request = "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    Some(answer)
}

/// What a page says about one series.
fn figure(page: &str, series: &str) -> Option<f64> {
    let mut lines = page.lines();
    lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

/// Sum of a metric that CloudWatch was given; `None` when it has none.
pub(crate) fn stored(namespace: &str, name: &str, dimensions: &[(&str, &str)]) -> Option<f64> {
    let day = chrono::Duration::days(1);
    let text = |at: DateTime<Utc>| at.to_rfc3339();
    let (start, end) = (text(Utc::now() - day), text(Utc::now() + day));
    let mut form: Vec<(String, String)> = [
        ("Action", "GetMetricStatistics"),
        ("Namespace", namespace),
        ("MetricName", name),
        ("StartTime", &start),
        ("EndTime", &end),
        ("Period", "864000"),
        ("Statistics.member.1", "Sum"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    for (at, (name, value)) in dimensions.iter().enumerate() {
        let key = format!("Dimensions.member.{}", at + 1);
        form.push((format!("{key}.Name"), (*name).to_owned()));
        form.push((format!("{key}.Value"), (*value).to_owned()));
    }
    let form: Vec<(&str, &str)> = form.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let xml = query(
        &Ministack::shared().endpoint(),
        "monitoring",
        "2010-08-01",
        &form,
    );
    let sums = values(&xml, "Sum");
    let sum = sums.iter().map(|sum| sum.parse::<f64>().unwrap()).sum();
    (!sums.is_empty()).then_some(sum)
}

/// Wired whole: a machine is guarded while it works, may be chosen when it
/// does not, takes its place with it when it goes, and tells its figures.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_is_guarded_while_busy_and_takes_its_place_with_it_when_idle() {
    const SPACE: &str = "TrawlerPlace";
    let _beside = cloud::beside().await;
    let instances = tokio::task::spawn_blocking(|| make_group("place", "2")).await;
    let me = instances.unwrap().remove(0);
    let shop = slow_shop().await;
    let mut site = Site::create("place", &[shop.addr().to_string()], TUNING).await;
    site.set_variable("AWS_ENDPOINT_URL_AUTO_SCALING", &Moto::shared().endpoint());
    let ports = site.ports(VISIBILITY, VISIBILITY).await;
    let (of_scheduler, of_crawler) = (free_port(), free_port());
    for (machine, port) in [("schedule", of_scheduler), (me.as_str(), of_crawler)] {
        let more = format!(
            "[metrics]\ncloudwatch = true\nnamespace = \"{SPACE}\"\nprometheus = \"127.0.0.1:{port}\"\n\n\
             [capacity]\ncrawl_group = \"place\"\nidle_exit_s = {}\n",
            IDLE_EXIT.as_secs()
        );
        site.equip(machine, &more);
    }
    site.publish(&due_once(&shop));
    let mut scheduler = Member::start(&site, Role::Schedule, "schedule").await;
    wait_for(
        "a runnable pipe on the scheduler's page",
        WAIT_MAX,
        async || {
            let page = page(of_scheduler).await.unwrap_or_default();
            // Two instances are in service, and one job is open.
            let backlog =
                "trawler_backlog_per_instance_jobs{environment=\"place\",queue=\"crawl\"}";
            figure(&page, "trawler_runnable_pipes{environment=\"place\"}") == Some(1.0)
                && figure(&page, backlog) == Some(0.5)
        },
    )
    .await;

    assert!(!is_protected(&me));
    let mut crawler = Member::start(&site, Role::Crawl, &me).await;
    wait_for("protection while busy", WAIT_MAX, async || {
        is_protected(&me)
    })
    .await;
    let job = only_job(&ports).await.unwrap();
    assert!(job.in_hand, "{job:?}");
    wait_for("the start of the machine, told", WAIT_MAX, async || {
        let told: Option<Value> = ports.documents().get(Boots::KEY).await.unwrap();
        told.is_some_and(|told| told["crawl"][0]["machine"] == me)
    })
    .await;
    wait_for("the run done", WAIT_MAX, async || {
        only_job(&ports).await.unwrap().status == JobStatus::Done
    })
    .await;
    assert!(is_protected(&me), "between two jobs it stays guarded");
    let shown = page(of_crawler)
        .await
        .expect("the crawler shows its figures");
    let done = "queue=\"crawl\",verdict=\"done\"";
    for (series, expected) in [
        (
            format!("trawler_jobs_settled_total{{environment=\"place\",{done}}}"),
            1.0,
        ),
        (
            "trawler_products_read_total{environment=\"place\"}".to_owned(),
            PRODUCTS.into(),
        ),
        (
            "trawler_products_changed_total{environment=\"place\"}".to_owned(),
            PRODUCTS.into(),
        ),
        (
            "trawler_commits_total{environment=\"place\"}".to_owned(),
            1.0,
        ),
        (
            "trawler_run_duration_seconds_count{environment=\"place\"}".to_owned(),
            1.0,
        ),
        (
            "trawler_leases_lost_total{environment=\"place\",queue=\"crawl\"}".to_owned(),
            0.0,
        ),
    ] {
        assert_eq!(figure(&shown, &series), Some(expected), "{series}\n{shown}");
    }
    let renewed = "trawler_leases_renewed_total{environment=\"place\",queue=\"crawl\"}";
    assert!(figure(&shown, renewed) >= Some(1.0), "{shown}");

    wait_for("protection taken back", WAIT_MAX, async || {
        !is_protected(&me)
    })
    .await;
    assert_eq!(crawler.ended(), None, "it is idle for half its time");
    assert_eq!(crawler.wait(WAIT_MAX).await, End::Left(0));
    let after = described("place");
    assert_eq!(values(&after, "DesiredCapacity"), ["1"]);
    let left = values(&after, "InstanceId");
    assert!(left.len() == 1 && left[0] != me, "{left:?}");

    let here = ("Environment", "place");
    let settled = [here, ("Queue", "crawl"), ("Verdict", "done")];
    assert_eq!(stored(SPACE, "JobsSettled", &settled), Some(1.0));
    assert_eq!(
        stored(SPACE, "ProductsRead", &[here]),
        Some(PRODUCTS.into())
    );
    assert_eq!(stored(SPACE, "Commits", &[here]), Some(1.0));
    let renewed = stored(SPACE, "LeasesRenewed", &[here, ("Queue", "crawl")]);
    assert!(renewed >= Some(1.0), "{renewed:?}");
    scheduler.terminate();
    assert_eq!(scheduler.wait(GONE_MAX).await, End::Left(0));
    assert!(stored(SPACE, "RunnablePipes", &[here]).is_some());
    let queue = ("Queue", "crawl");
    assert!(stored(SPACE, "BacklogPerInstance", &[here, queue]).is_some());
    assert_eq!(stored(SPACE, "SignalNotices", &[here]), Some(1.0));
    site.check_panics();
    shop.stop().await;
}

/// Invariant 9 for a group that shrinks: the machine hands back what it holds
/// and says that nobody need wait for it. Another one, which leaves for want
/// of work, takes one place away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_its_group_takes_out_drains_and_completes_the_hook() {
    let _beside = cloud::beside().await;
    let group = Group::start(&["i-1", "i-2", "i-3"]).await;
    let shop = slow_shop().await;
    let mut site = Site::create("hook", &[shop.addr().to_string()], TUNING).await;
    site.set_variable("AWS_ENDPOINT_URL_AUTO_SCALING", group.endpoint());
    let ports = site.ports(VISIBILITY, VISIBILITY).await;
    let more = format!(
        "[capacity]\ncrawl_group = \"{GROUP}\"\nlifecycle_hook = \"{HOOK}\"\nidle_exit_s = {}\n",
        IDLE_EXIT.as_secs()
    );
    for machine in ["i-1", "i-2"] {
        site.equip(machine, &more);
    }
    site.publish(&due_once(&shop));
    let mut scheduler = Member::start(&site, Role::Schedule, "schedule").await;
    let mut taken_out = Member::start(&site, Role::Crawl, "i-1").await;
    wait_for(
        "the feed under way on a guarded machine",
        WAIT_MAX,
        async || shop.stats().feed.in_flight > 0 && group.state().protected.contains("i-1"),
    )
    .await;
    {
        let mut state = group.state();
        state.states.insert("i-1".to_owned(), "Terminating:Wait");
        state.desired -= 1;
    }
    taken_out.scale_in();
    assert_eq!(taken_out.wait(GONE_MAX).await, End::Left(0));
    assert!(!group.state().states.contains_key("i-1"), "the hook waits");
    assert_eq!(group.count("CompleteLifecycleAction"), 1);
    assert_eq!(group.count("TerminateInstanceInAutoScalingGroup"), 0);
    let job = only_job(&ports).await.unwrap();
    let counted = (job.hand_backs, job.attempts, job.crashes);
    assert_eq!((job.in_hand, counted), (false, (1, 0, 0)), "{job:?}");
    let depth = ports.queue(QueueName::Crawl).depth().await.unwrap();
    assert_eq!(depth.in_flight, 0, "{depth:?}");

    shop.heal();
    let mut idle = Member::start(&site, Role::Crawl, "i-2").await;
    wait_for("the run done by another", WAIT_MAX, async || {
        only_job(&ports).await.unwrap().status == JobStatus::Done
    })
    .await;
    assert_eq!(idle.wait(WAIT_MAX).await, End::Left(0));
    assert_eq!(group.count("TerminateInstanceInAutoScalingGroup"), 1);
    assert_eq!(group.count("CompleteLifecycleAction"), 2);
    {
        let state = group.state();
        let left: Vec<&str> = state.states.keys().map(String::as_str).collect();
        assert_eq!((state.desired, left), (1, vec!["i-3"]));
        assert!(!state.protected.contains("i-2"), "{:?}", state.protected);
    }
    scheduler.terminate();
    assert_eq!(scheduler.wait(GONE_MAX).await, End::Left(0));
    site.check_panics();
    shop.stop().await;
}

//! `trawler scale` as a process of its own, for those who run it instead of the
//! groups' policies: a backlog with a past, and nobody who works on it, so that
//! nothing but the decision sets the size of the group.

use std::process::Stdio;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use tokio::process::{Child, Command};
use trawler_core::open_runs::OpenRuns;
use trawler_core::past::PastRun;
use trawler_core::{PipeId, QueueName, RunSeq};
use trawler_tests::emulator::Moto;
use trawler_tests::proxy::{Call, Fault, FaultProxy, Service};

use crate::cloud::{self, Site};
use crate::crew::{End, Member, Role};
use crate::outcome;
use crate::place::{described_by, make_group, make_group_of, stored};
use crate::support::{Ended, pipe};
use crate::wait::wait_for;
use crate::wire::values;

/// Each needs a slot of its own to be caught up with in time, and two slots are
/// a machine.
const PIPES: usize = 6;
const RUN_MS: i64 = 40 * 60_000;
const MACHINES: &str = "3";

/// The shortest that the command line allows.
const EVERY: Duration = Duration::from_secs(5);

/// A look and what a busy machine adds to it.
const LOOK_MAX: Duration = Duration::from_secs(10);

/// The last figures are sent for three seconds at most.
const ENDS_MAX: Duration = Duration::from_secs(5);

const WAIT_MAX: Duration = Duration::from_secs(120);

const VISIBILITY: Duration = Duration::from_secs(10);

/// A call of the SDK's is made so often.
const ATTEMPTS: usize = 3;

const SPACE: &str = "TrawlerScale";

const TUNING: &str = "[queue]
kind = \"sqs\"
crawl_visibility_s = 10
image_visibility_s = 10

[workers]
crawl_slots = 2

[scheduler]
tick_ms = 500

[plan]
boot_s = 20
";

/// A group without machines, what stands before its service, and its work.
async fn asleep(name: &'static str) -> (&'static Moto, FaultProxy, Site) {
    let moto = Moto::shared();
    let made = tokio::task::spawn_blocking(|| make_group(name, "0")).await;
    assert_eq!(made.unwrap().len(), 0);
    let asks = FaultProxy::start(&moto.endpoint()).await;
    let site = backlog(name, &asks).await;
    (moto, asks, site)
}

/// An environment with jobs in its queue of pipes with a past, whose machine
/// `scale` knows the group of the same name behind `asks`.
async fn backlog(name: &str, asks: &FaultProxy) -> Site {
    let mut site = Site::create(name, &[], TUNING).await;
    site.set_variable("AWS_ENDPOINT_URL_AUTO_SCALING", &asks.endpoint());
    let group = format!("[capacity]\ncrawl_group = \"{name}\"\n");
    let told = format!("[metrics]\ncloudwatch = true\nnamespace = \"{SPACE}\"\n\n{group}");
    site.equip("scale", &told);
    site.equip("beside", &group);
    let ports = site.ports(VISIBILITY, VISIBILITY).await;
    let mut pipes = Vec::new();
    for number in 0..PIPES {
        let id = PipeId::parse(&format!("p{number}")).unwrap();
        let long_ago = Utc::now() - TimeDelta::days(400);
        let seq = RunSeq(long_ago.timestamp_millis());
        let mut runs = OpenRuns::none(id.clone());
        runs.begin(seq);
        let past = PastRun {
            ms: RUN_MS,
            rows: 100,
            image_jobs: 0,
        };
        runs.end_as(seq, Some(past));
        let key = OpenRuns::key(&id);
        ports.documents().put(&key, &runs).await.unwrap();
        // Due once; nobody asks for it.
        let feed = "format = \"naver-ep\"\nmode = \"full\"";
        let text = pipe("http://127.0.0.1:9/", feed, "").replace("15 3 * * *", "* * 1 1 *");
        pipes.push((id.to_string(), text));
    }
    site.publish(&pipes);
    let mut scheduler = Member::start(&site, Role::Schedule, "schedule").await;
    wait_for("jobs in the queue", WAIT_MAX, async || {
        let depth = ports.queue(QueueName::Crawl).depth().await.unwrap();
        outcome::jobs(&ports).await.len() == PIPES && depth.visible == PIPES as u64
    })
    .await;
    scheduler.terminate();
    assert_eq!(scheduler.wait(WAIT_MAX).await, End::Left(0));
    site
}

fn desired(moto: &Moto, group: &str) -> String {
    values(&described_by(moto, group), "DesiredCapacity").remove(0)
}

fn asked(asks: &FaultProxy, operation: &str) -> u64 {
    asks.counts().asked(Service::AutoScaling, operation)
}

fn looks(asks: &FaultProxy) -> u64 {
    asked(asks, "DescribeAutoScalingGroups")
}

fn wishes(asks: &FaultProxy) -> u64 {
    asked(asks, "SetDesiredCapacity")
}

fn is_wish(call: &Call) -> bool {
    call.operation == "SetDesiredCapacity"
}

/// `trawler scale --follow`.
struct Follower {
    name: &'static str,
    child: Child,
}

impl Follower {
    fn start(site: &Site, name: &'static str) -> Self {
        let args = ["scale", "--follow", "--every", &EVERY.as_secs().to_string()];
        let child = Command::from(site.command_on("scale", &args))
            .stdout(Stdio::from(site.log(&format!("{name}-said"))))
            .stderr(Stdio::from(site.log(&format!("{name}-log"))))
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { name, child }
    }

    /// The lines of its output.
    fn said(&self, site: &Site) -> Vec<String> {
        let said = site.logged(&format!("{}-said", self.name));
        said.lines().map(str::to_owned).collect()
    }

    /// How often it said that a look failed.
    fn failed(&self, site: &Site) -> usize {
        self.log(site).matches("nothing was decided").count()
    }

    fn log(&self, site: &Site) -> String {
        site.logged(&format!("{}-log", self.name))
    }

    fn is_there(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Told to leave, it does so at once and without complaint.
    async fn leaves_at(&mut self, signal: &str) {
        let pid = self.child.id().unwrap().to_string();
        let mut kill = std::process::Command::new("kill");
        assert!(kill.args([signal, &pid]).status().unwrap().success());
        let ended = tokio::time::timeout(ENDS_MAX, self.child.wait()).await;
        let ended = ended.unwrap_or_else(|_| panic!("{} ignores {signal}", self.name));
        assert_eq!(ended.unwrap().code(), Some(0), "{} {signal}", self.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scaling_wakes_a_group_from_zero_and_asks_once_however_many_do_it() {
    const NAME: &str = "scaled";
    let _beside = cloud::beside().await;
    let (moto, asks, site) = asleep(NAME).await;

    let mut first = Follower::start(&site, "first");
    wait_for("a decision", WAIT_MAX, async || {
        !first.said(&site).is_empty()
    })
    .await;
    let said = first.said(&site).remove(0);
    let expected = "crawl  3 wanted, asked for (deadline); 0 in service, 0 busy, 0 booting; over ";
    assert!(said.starts_with(expected), "{said}");
    assert!(said.contains(", bounded by pipe p"), "{said}");
    assert_eq!(desired(moto, NAME), MACHINES);
    let before = looks(&asks);
    wait_for("three more looks", WAIT_MAX, async || {
        looks(&asks) >= before + 3
    })
    .await;
    assert_eq!((wishes(&asks), desired(moto, NAME)), (1, MACHINES.into()));
    let said = first.said(&site);
    assert_eq!(said.len(), 2, "what is as it was is not said: {said:?}");
    assert!(
        said[1].starts_with("crawl  3 wanted, as it is ("),
        "{said:?}"
    );
    assert!(
        said[1].contains("; 3 in service, 0 busy, 0 booting; over "),
        "{said:?}"
    );
    first.leaves_at("-TERM").await;
    assert!(first.log(&site).contains("drain requested by Signal"));
    // The alarms stand back while it decides.
    let planned = stored(SPACE, "CapacityPlanned", &[("Environment", NAME)]);
    assert!(planned >= Some(1.0), "{planned:?}");

    // Started again, twice, beside ticks that decide as well.
    let mut second = Follower::start(&site, "second");
    let mut third = Follower::start(&site, "third");
    let mut scheduler = Member::start(&site, Role::Schedule, "beside").await;
    let before = looks(&asks);
    wait_for("looks of all three", WAIT_MAX, async || {
        let both = [&second, &third];
        both.iter().all(|one| !one.said(&site).is_empty()) && looks(&asks) >= before + 20
    })
    .await;
    for one in [&second, &third] {
        let said = one.said(&site);
        assert!(
            said[0].starts_with("crawl  3 wanted, as it is ("),
            "{said:?}"
        );
        assert_eq!((said.len(), one.failed(&site)), (1, 0), "{said:?}");
    }
    assert_eq!((wishes(&asks), desired(moto, NAME)), (1, MACHINES.into()));
    second.leaves_at("-INT").await;
    third.leaves_at("-TERM").await;
    scheduler.terminate();
    assert_eq!(scheduler.wait(WAIT_MAX).await, End::Left(0));
    site.check_panics();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scaling_goes_on_after_refusals_and_outages() {
    const NAME: &str = "followed";
    let _beside = cloud::beside().await;
    let start = || {
        let moto = Moto::start();
        make_group_of(&moto, NAME, "0");
        moto
    };
    let moto = tokio::task::spawn_blocking(start).await.unwrap();
    let asks = FaultProxy::start(&moto.endpoint()).await;
    let site = backlog(NAME, &asks).await;

    // A right is missing, then the service is busy, then it does as asked.
    asks.fail_next(is_wish, Fault::Denied);
    let mut follower = Follower::start(&site, "follower");
    wait_for("a refusal", WAIT_MAX, async || follower.failed(&site) == 1).await;
    let refused = Instant::now();
    for _ in 0..ATTEMPTS {
        asks.fail_next(is_wish, Fault::Busy);
    }
    let log = follower.log(&site);
    assert!(
        log.contains("allow autoscaling:SetDesiredCapacity"),
        "{log}"
    );
    assert_eq!(desired(&moto, NAME), "0");
    wait_for("machines", 2 * EVERY + LOOK_MAX, async || {
        desired(&moto, NAME) == MACHINES
    })
    .await;
    println!("asked for again {:?} after the refusal", refused.elapsed());
    assert_eq!(follower.failed(&site), 2, "{}", follower.log(&site));
    wait_for("the decision", LOOK_MAX, async || {
        follower
            .said(&site)
            .iter()
            .any(|line| line.contains("asked for"))
    })
    .await;

    // The service is gone, and forgets everything.
    drop(moto);
    let gone = Instant::now();
    let before = follower.failed(&site);
    wait_for("three looks in vain", WAIT_MAX, async || {
        follower.failed(&site) >= before + 3
    })
    .await;
    let away = gone.elapsed();
    assert!(away < 3 * EVERY + LOOK_MAX, "three looks took {away:?}");
    assert!(follower.is_there());
    let moto = tokio::task::spawn_blocking(start).await.unwrap();
    let before = follower.said(&site).len();
    asks.lead_to(&moto.endpoint());
    let back = Instant::now();
    wait_for("machines of the new group", EVERY + LOOK_MAX, async || {
        desired(&moto, NAME) == MACHINES
    })
    .await;
    println!("asked for {:?} after the service was back", back.elapsed());
    wait_for("the decision", LOOK_MAX, async || {
        let said = follower.said(&site);
        said[before..].iter().any(|line| line.contains("asked for"))
    })
    .await;

    // What it decides by is out of reach.
    let before = follower.failed(&site);
    site.proxy.cut();
    wait_for("a look in vain", WAIT_MAX, async || {
        follower.failed(&site) > before
    })
    .await;
    site.proxy.mend();
    let before = looks(&asks);
    wait_for("a look", EVERY + LOOK_MAX, async || looks(&asks) > before).await;
    assert_eq!(desired(&moto, NAME), MACHINES);

    // Also one that waits for an answer leaves when it is told to.
    asks.fail_next(|_| true, Fault::Late(WAIT_MAX));
    wait_for("a look without an answer", WAIT_MAX, async || {
        asks.held_back() > 0
    })
    .await;
    follower.leaves_at("-TERM").await;
    site.check_panics();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scaling_once_says_what_it_did_and_ends_accordingly() {
    const NAME: &str = "once";
    let _beside = cloud::beside().await;
    let (moto, asks, site) = asleep(NAME).await;
    site.equip("nowhere", "[capacity]\ncrawl_group = \"nobody\"\n");
    let scale = |machine: &str, args: &[&str]| {
        let args = [&["scale"], args].concat();
        Ended::from(site.command_on(machine, &args).output().unwrap())
    };
    let check = |ended: Ended, code: i32, expected: &str| {
        let ended = ended.with_code(code);
        assert!(ended.stderr.contains(expected), "{ended:?}");
        assert_eq!(ended.stdout, "");
    };
    check(scale("scale", &[]), 2, "<--once|--follow>");
    check(
        scale("schedule", &["--once"]),
        2,
        "trawler.toml names no group",
    );
    check(
        scale("nowhere", &["--once"]),
        2,
        "there is no group of this name",
    );
    let dry = scale("scale", &["--once", "--dry-run"]).with_code(0);
    assert!(
        dry.stdout
            .starts_with("crawl  3 wanted, would be asked for ("),
        "{dry:?}"
    );
    assert_eq!(wishes(&asks), 0);
    asks.fail_next(is_wish, Fault::Denied);
    check(
        scale("scale", &["--once"]),
        1,
        "allow autoscaling:SetDesiredCapacity",
    );
    for _ in 0..ATTEMPTS {
        asks.fail_next(is_wish, Fault::Busy);
    }
    check(scale("scale", &["--once"]), 1, "did not answer");
    asks.cut();
    check(scale("scale", &["--once"]), 1, "did not answer");
    asks.mend();
    assert_eq!(desired(moto, NAME), "0");
    let before = wishes(&asks);
    let set = scale("scale", &["--once"]).with_code(0);
    assert!(
        set.stdout.starts_with("crawl  3 wanted, asked for ("),
        "{set:?}"
    );
    assert_eq!(set.stdout.lines().count(), 1);
    let again = scale("scale", &["--once", "--json"]).with_code(0).json();
    let number = |key: &str| again[0][key].as_u64();
    assert_eq!((number("was"), number("wanted")), (Some(3), Some(3)));
    assert_eq!(again[0]["asked"], false, "{again}");
    assert_eq!(
        (wishes(&asks), desired(moto, NAME)),
        (before + 1, MACHINES.into())
    );
    site.check_panics();
}

/// Nobody else decides here: no follower, and no scheduler.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_a_run_asks_for_its_machines_at_once() {
    const NAME: &str = "enqueued";
    let _beside = cloud::beside().await;
    let (moto, asks, site) = asleep(NAME).await;
    let run = |args: &[&str]| -> Ended {
        let args = [&["run", "--pipe", "p0", "--enqueue"], args].concat();
        let output = site.command_on("scale", &args).output();
        let ended: Ended = output.expect("start the program").into();
        ended.with_code(0)
    };
    // Who may not ask for machines has the run planned all the same.
    asks.fail_next(is_wish, Fault::Denied);
    let planned = run(&[]);
    assert!(planned.stdout.starts_with("run p0@"), "{planned:?}");
    assert!(
        planned
            .stdout
            .ends_with("is planned: the workers of the fleet do it\n"),
        "{planned:?}"
    );
    assert!(
        planned.stderr.contains("left to the scheduler's next tick"),
        "{planned:?}"
    );
    assert_eq!(desired(moto, NAME), "0");
    // Two more than the pipes, and one machine more.
    let asked = run(&[]);
    assert!(
        asked
            .stdout
            .ends_with("\n4 machine(s) were asked for, of 0 now\n"),
        "{asked:?}"
    );
    assert_eq!(desired(moto, NAME), "4");
    let told = run(&["--json"]).json();
    assert_eq!(told["machines"][0]["was"], 4, "{told}");
    assert_eq!(told["machines"][0]["wanted"], 5, "{told}");
    assert_eq!(desired(moto, NAME), "5");
    let ports = site.ports(VISIBILITY, VISIBILITY).await;
    assert_eq!(outcome::jobs(&ports).await.len(), PIPES + 3);
    site.check_panics();
}

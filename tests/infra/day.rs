//! A whole day of a fleet on what the template made: it calls nothing but what
//! its roles allow, and a role is allowed nothing that the day does not call,
//! but for what is explained here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use trawler_aws::{Cloud, S3Location, S3Options, S3State};
use trawler_core::open_runs::OpenRuns;
use trawler_core::past::PastRun;
use trawler_core::{Environment, PipeId, RunSeq};
use trawler_fleet::Documents;
use trawler_local::SystemClock;
use trawler_shop::{FeedFormat, Shop, ShopSpec};
use trawler_tests::Imds;
use trawler_tests::emulator::{Ministack, Moto, REGION};
use trawler_tests::proxy::{Call, Fault, FaultProxy};
use trawler_tests::{WAIT_MAX, until};

use crate::calls::{Needed, make_groups, needed};
use crate::policy::Rights;
use crate::rights::OF_THE_MACHINE;
use crate::template::{ACCOUNT, Deployed};
use crate::tools::{aws, said};

const LEASES: &str = "leases are renewed after half their time, and handed back by a drain";
const SECRETS: &str = "of a pipe with a reference ssm:/...";
const DEAD_LETTERS: &str = "of a message that the queue has given up";
const LONG_BODIES: &str = "of a dead letter that is too long for a document";
const FIRST_OPENED: &str = "by the first that opens the store; here the command of a person";
const CHECKPOINTS: &str = "of a job that goes on where another delivery stopped";
const ABSENCE: &str = "without it S3 answers \"denied\" for what is not there";
const SETTLED: &str = "records of settled jobs are put together, and go after a month";
const OLD_LOG: &str = "log entries and files of the catalogue that are kept no longer";
const UNUSED: &str = "of unused objects, and of those that are damaged or missing";
const KEPT: &str = "of a run that read it before, or a later one";
const AGAIN: &str = "of an object that was there already";
const PACKAGE: &str = "by boot.sh";

/// Rights of statements that the day below may do without, and what needs them.
/// None of Auto Scaling.
const MAY_BE_UNCALLED: [(&str, &str, &str, &str); 35] = [
    (
        "ScheduleRole",
        "LongBodiesOfDeadLetters",
        "s3:GetObject",
        LONG_BODIES,
    ),
    (
        "ScheduleRole",
        "LongBodiesOfDeadLetters",
        "s3:PutObject",
        LONG_BODIES,
    ),
    (
        "ScheduleRole",
        "ProofOfConditions",
        "s3:DeleteObject",
        FIRST_OPENED,
    ),
    (
        "ScheduleRole",
        "ProofOfConditions",
        "s3:PutObject",
        FIRST_OPENED,
    ),
    (
        "ScheduleRole",
        "RecordsOfSettledJobs",
        "s3:DeleteObject",
        SETTLED,
    ),
    (
        "ScheduleRole",
        "RecordsOfSettledJobs",
        "s3:GetObject",
        SETTLED,
    ),
    (
        "ScheduleRole",
        "SweepDeadLetterQueues",
        "sqs:ChangeMessageVisibility",
        DEAD_LETTERS,
    ),
    (
        "ScheduleRole",
        "SweepDeadLetterQueues",
        "sqs:DeleteMessage",
        DEAD_LETTERS,
    ),
    ("CrawlRole", "Catalogue", "s3:DeleteObject", OLD_LOG),
    (
        "CrawlRole",
        "ImagesThatAreLookedAfter",
        "s3:DeleteObject",
        UNUSED,
    ),
    (
        "CrawlRole",
        "LongBodiesOfDeadLetters",
        "s3:GetObject",
        LONG_BODIES,
    ),
    (
        "CrawlRole",
        "LongBodiesOfDeadLetters",
        "s3:PutObject",
        LONG_BODIES,
    ),
    ("CrawlRole", "PinnedPackage", "s3:GetObject", PACKAGE),
    (
        "CrawlRole",
        "ProofOfConditions",
        "s3:DeleteObject",
        FIRST_OPENED,
    ),
    (
        "CrawlRole",
        "ProofOfConditions",
        "s3:PutObject",
        FIRST_OPENED,
    ),
    ("CrawlRole", "Removals", "s3:DeleteObject", UNUSED),
    ("CrawlRole", "Removals", "s3:GetObject", UNUSED),
    ("CrawlRole", "Removals", "s3:PutObject", UNUSED),
    (
        "CrawlRole",
        "SecretsOfPartners",
        "ssm:GetParameter",
        SECRETS,
    ),
    ("CrawlRole", "WhatARunLeaves", "s3:DeleteObject", KEPT),
    ("CrawlRole", "WhatARunLeaves", "s3:GetObject", KEPT),
    (
        "CrawlRole",
        "WorkOnQueue",
        "sqs:ChangeMessageVisibility",
        LEASES,
    ),
    (
        "CrawlRole",
        "WriteDocuments",
        "s3:DeleteObject",
        CHECKPOINTS,
    ),
    (
        "ImageRole",
        "DocumentsOfItsJobs",
        "s3:DeleteObject",
        CHECKPOINTS,
    ),
    ("ImageRole", "Images", "s3:GetObject", AGAIN),
    ("ImageRole", "KeepsOfARemoval", "s3:GetObject", UNUSED),
    ("ImageRole", "KeepsOfARemoval", "s3:PutObject", UNUSED),
    ("ImageRole", "ListBuckets", "s3:ListBucket", ABSENCE),
    (
        "ImageRole",
        "LongBodiesOfDeadLetters",
        "s3:GetObject",
        LONG_BODIES,
    ),
    (
        "ImageRole",
        "LongBodiesOfDeadLetters",
        "s3:PutObject",
        LONG_BODIES,
    ),
    ("ImageRole", "PinnedPackage", "s3:GetObject", PACKAGE),
    (
        "ImageRole",
        "ProofOfConditions",
        "s3:DeleteObject",
        FIRST_OPENED,
    ),
    (
        "ImageRole",
        "ProofOfConditions",
        "s3:PutObject",
        FIRST_OPENED,
    ),
    (
        "ImageRole",
        "SecretsOfPartners",
        "ssm:GetParameter",
        SECRETS,
    ),
    (
        "ImageRole",
        "WorkOnQueue",
        "sqs:ChangeMessageVisibility",
        LEASES,
    ),
];

/// One role as a process, behind proxies that note what it calls.
struct Member {
    role: &'static str,
    /// Live as long as the process behind them.
    _proxies: [FaultProxy; 2],
    _metadata: Imds,
    calls: Arc<Mutex<BTreeSet<Needed>>>,
    child: Child,
}

impl Member {
    async fn start(folder: &Path, role: &'static str, command: &str, instance: &str) -> Self {
        let calls = Arc::new(Mutex::new(BTreeSet::new()));
        let look_at = async |endpoint: String| {
            let proxy = FaultProxy::start(&endpoint).await;
            let noted = Arc::clone(&calls);
            // Never met: it looks at every call.
            let look = move |call: &Call| {
                let needed = needed(call);
                noted.lock().unwrap().extend(needed);
                false
            };
            proxy.fail_next(look, Fault::Busy);
            proxy
        };
        let cloud = look_at(Ministack::shared().endpoint()).await;
        let groups = look_at(Moto::shared().endpoint()).await;
        let metadata = Imds::start(instance, REGION).await;
        metadata.launched(Utc::now());
        let child = program(folder, &cloud.endpoint(), &[command])
            .env("AWS_ENDPOINT_URL_AUTO_SCALING", groups.endpoint())
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.endpoint())
            .spawn()
            .unwrap();
        Self {
            role,
            _proxies: [cloud, groups],
            _metadata: metadata,
            calls,
            child,
        }
    }

    fn has_called(&self, action: &str, of: &str) -> bool {
        let calls = self.calls.lock().unwrap();
        calls.iter().any(|(called, resource)| {
            let is_of = |resource: &String| resource.contains(of);
            called == action && resource.as_ref().is_some_and(is_of)
        })
    }

    fn tell_to_leave(&self) {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(told.unwrap().success());
    }

    /// By itself, or because it was told to.
    async fn leaves(&mut self) {
        let deadline = Instant::now() + 2 * WAIT_MAX;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{} left with {status}", self.role);
                return;
            }
            assert!(Instant::now() < deadline, "{} stays", self.role);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Rights of statements that no call needed and of which nobody says what
    /// needs them.
    fn needless(&self, deployed: &Deployed) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        let rights = Rights::of(deployed, self.role);
        let of_role = MAY_BE_UNCALLED.iter().filter(|it| it.0 == self.role);
        let explained: BTreeSet<(&str, &str)> =
            of_role.map(|(_, sid, action, _)| (*sid, *action)).collect();
        let all = rights.uncalled(&BTreeSet::new());
        let unknown: Vec<_> = explained.difference(&all).collect();
        assert!(unknown.is_empty(), "{} has none of {unknown:?}", self.role);
        let of_machine =
            |action: &str| OF_THE_MACHINE.iter().any(|other| action.starts_with(other));
        let uncalled = rights.uncalled(&calls);
        uncalled
            .difference(&explained)
            .filter(|(_, action)| !of_machine(action))
            .map(|(sid, action)| format!("{} {sid} {action}", self.role))
            .collect()
    }

    /// Every call was one that the role allows, and those to S3 from a machine
    /// also what its network lets through.
    fn check(&self, deployed: &Deployed) {
        let rights = Rights::of(deployed, self.role);
        let endpoint = Rights::through(deployed, "S3Endpoint");
        let calls = self.calls.lock().unwrap();
        assert!(calls.len() > 5, "{} called {calls:?}", self.role);
        let mut denied = Vec::new();
        for (action, resource) in calls.iter() {
            let allowed = match resource {
                Some(resource) => {
                    let passes = !action.starts_with("s3:") || endpoint.allow(action, resource);
                    rights.allow(action, resource) && passes
                }
                None => rights.actions().any(|known| known == action),
            };
            if !allowed {
                denied.push((action, resource));
            }
        }
        assert!(denied.is_empty(), "{} is denied {denied:#?}", self.role);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(folder: &Path, endpoint: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trawler-under-test"));
    command.arg("-C").arg(folder).args(args);
    emulated(&mut command, endpoint);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn emulated(command: &mut Command, endpoint: &str) {
    command
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_REGION", REGION)
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", "emulated")
        .env("AWS_SECRET_ACCESS_KEY", "emulated")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
}

/// The stack with all that is not there by default, and without its function,
/// whose package nobody made here.
fn deploy(environment: &str) {
    let endpoint = Ministack::shared().endpoint();
    trawler_tests::make_bucket(&endpoint, "artifacts-rights");
    let sum = "0".repeat(64);
    let parameters = [
        format!("Environment={environment}"),
        "ArtifactBucket=artifacts-rights".to_owned(),
        "Release=0123456789abcdef".to_owned(),
        format!("ArmSha256={sum}"),
        "ScheduleBy=timer".to_owned(),
        "ImageUpkeep=workers".to_owned(),
        "Egress=fixed".to_owned(),
        "SqsAccess=endpoint".to_owned(),
        "Zones=2".to_owned(),
    ];
    let mut command = Command::new(aws().join("aws"));
    command.args(["cloudformation", "deploy", "--stack-name", environment]);
    command
        .arg("--template-file")
        .arg(crate::root().join("infra/trawler.yaml"));
    command.args([
        "--s3-bucket",
        "artifacts-rights",
        "--capabilities",
        "CAPABILITY_IAM",
    ]);
    command.arg("--parameter-overrides").args(parameters);
    emulated(&mut command, &endpoint);
    let (went_well, text) = said(&mut command);
    assert!(went_well, "{text}");
}

/// The folder of a machine; `imds` is for one that is an instance of a group.
fn configure(folder: &Path, environment: &str, host: &str, imds: bool) -> PathBuf {
    let folder = folder.join(if imds { "machine" } else { "schedule" });
    let (data, state) = (bucket(environment, "data"), bucket(environment, "state"));
    let text = format!(
        "environment = \"{environment}\"\n\n[queue]\nkind = \"sqs\"\n\n[store]\nlocation = \"{data}\"\nstate = \"{state}\"\n\n\
         [net]\ncontact = \"https://example.com/test\"\nallow = [\"{host}\"]\n\n[notices]\nimds = {imds}\n\n\
         [metrics]\ncloudwatch = true\n\n\
         [capacity]\ncrawl_group = \"{environment}-crawl\"\nimage_group = \"{environment}-image\"\n\
         lifecycle_hook = \"drain\"\nidle_exit_s = 60\n\n\
         [workers]\npoll_s = 1\ncrawl_slots = 1\n\n[scheduler]\ntick_ms = 500\nfold_after_s = 1\n\n\
         [images]\ngc = \"* * * * *\"\nverify = \"* * * * *\"\n"
    );
    std::fs::create_dir_all(folder.join("partner/pipes")).unwrap();
    std::fs::write(folder.join("trawler.toml"), text).unwrap();
    folder
}

/// Takes one stored image away.
fn lose_an_image(environment: &str) {
    let place = bucket(environment, "data");
    let name = place.strip_prefix("s3://").unwrap();
    let prefix = format!("{environment}/blobs/images/");
    let list = [
        "list-objects-v2",
        "--prefix",
        &prefix,
        "--query",
        "Contents[0].Key",
    ];
    let key = asked_s3(name, &list);
    asked_s3(name, &["delete-object", "--key", &key]);
}

fn asked_s3(bucket: &str, args: &[&str]) -> String {
    let mut command = Command::new(aws().join("aws"));
    command
        .arg("s3api")
        .args(args)
        .args(["--bucket", bucket, "--output", "text"]);
    emulated(&mut command, &Ministack::shared().endpoint());
    let (went_well, text) = said(&mut command);
    assert!(went_well, "{text}");
    text.trim().to_owned()
}

/// As if the pipe had taken 40 minutes a year ago: three of them need three
/// machines of one slot, and the groups have two.
async fn give_a_past(environment: &str, pipe: &str) {
    let pipe = PipeId::parse(pipe).unwrap();
    let long_ago = Utc::now() - TimeDelta::days(400);
    let mut runs = OpenRuns::none(pipe.clone());
    let seq = RunSeq(long_ago.timestamp_millis());
    runs.begin(seq);
    let past = PastRun {
        ms: 40 * 60_000,
        rows: 100,
        image_jobs: 0,
    };
    runs.end_as(seq, Some(past));
    let cloud = Cloud::at(&Ministack::shared().endpoint(), REGION).await;
    let place = S3Location::parse(&bucket(environment, "state")).unwrap();
    let options = S3Options::new(Environment::parse(environment).unwrap());
    let state = S3State::open(&cloud, place, options).await.unwrap();
    let documents = Documents::new(Arc::new(state), Arc::new(SystemClock::new()));
    documents.put(&OpenRuns::key(&pipe), &runs).await.unwrap();
}

fn bucket(environment: &str, kind: &str) -> String {
    format!("s3://trawler-{environment}-{kind}-000000000000-{REGION}")
}

/// On the queues and buckets that the template made, which the program checks
/// when it starts: a run with images from beginning to end, jobs that are given
/// up, machines that are asked for, and machines that leave.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_on_what_the_template_made_calls_only_what_its_roles_allow() {
    const NAME: &str = "rights";
    tokio::task::spawn_blocking(|| deploy(NAME)).await.unwrap();
    let spec = ShopSpec {
        format: FeedFormat::NaverEp,
        ..ShopSpec::new("rights", 5, 30)
    };
    let shop = Shop::start(spec).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let host = shop.addr().to_string();
    let dir = &configure(folder.path(), NAME, &host, false);
    let machine = configure(folder.path(), NAME, &host, true);
    let (gone, lost) = ("gone", "lost");
    for pipe in ["shop", gone, lost] {
        give_a_past(NAME, pipe).await;
    }
    let pipe = |url: &str| {
        format!(
            "name = \"a\"\n\n[source]\nkind = \"http\"\nurl = \"{url}\"\n\n[feed]\nformat = \"naver-ep\"\nmode = \"full\"\n\n\
             [schedule]\ncron = \"15 3 * * *\"\nzone = \"Asia/Seoul\"\n"
        )
    };
    let nowhere = format!("http://{}/nothing-here", shop.addr());
    for (id, url) in [
        ("shop", shop.feed_url()),
        (gone, nowhere.clone()),
        (lost, nowhere),
    ] {
        std::fs::write(dir.join(format!("partner/pipes/{id}.toml")), pipe(&url)).unwrap();
    }
    let endpoint = Ministack::shared().endpoint();
    let push = dir.join("partner");
    let pushed = program(dir, &endpoint, &["pipes", "push", push.to_str().unwrap()]).status();
    assert!(pushed.unwrap().success());

    let instances = tokio::task::spawn_blocking(|| make_groups(NAME)).await;
    let [crawler, image_worker] = instances.unwrap();
    let mut crew = [
        Member::start(dir, "ScheduleRole", "schedule", "nobody").await,
        Member::start(&machine, "CrawlRole", "crawl", &crawler).await,
        Member::start(&machine, "ImageRole", "images", &image_worker).await,
    ];
    let told = |args: &[&str]| {
        let output = program(dir, &endpoint, args)
            .stdout(Stdio::piped())
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    until(
        "the run is over, its images are in the catalogue, the other is given up",
        || {
            std::thread::sleep(Duration::from_millis(500));
            let rows = told(&["products", "--pipe", "shop", "--limit", "100"]);
            rows.contains("stored")
                && !rows.contains("pending")
                && [gone, lost]
                    .iter()
                    .all(|pipe| told(&["dlq", "list"]).contains(pipe))
        },
    )
    .await;
    // An image is lost: who verifies finds that, and has it fetched again. What
    // is due every minute is so a minute after the first look, at the latest.
    tokio::task::spawn_blocking(|| lose_an_image(NAME))
        .await
        .unwrap();
    let deadline = Instant::now() + 2 * WAIT_MAX;
    while !crew[1].has_called("s3:DeleteObject", "/blobs/refetches/") {
        assert!(Instant::now() < deadline, "no crawler repairs images");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // Without further work the machines leave by themselves.
    crew[0].tell_to_leave();
    for member in &mut crew {
        member.leaves().await;
    }
    let deployed = Deployed::with(&[("Environment", NAME), ("ImageUpkeep", "workers")]);
    for member in &crew {
        let local = member.calls.lock().unwrap().clone();
        // The emulator's account has another number.
        let local = local.into_iter().map(|(action, resource)| {
            (
                action,
                resource.map(|text| text.replace("000000000000", ACCOUNT)),
            )
        });
        *member.calls.lock().unwrap() = local.collect();
        member.check(&deployed);
    }
    let needless: Vec<String> = crew.iter().flat_map(|it| it.needless(&deployed)).collect();
    assert!(needless.is_empty(), "nothing calls {needless:#?}");
    drop(crew);
    shop.stop().await;
}

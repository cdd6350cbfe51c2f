//! Roles and the calls that the code makes: what a role may not do, that the
//! template and the README name the same actions, that a whole day of a fleet
//! calls nothing but what its roles allow, and that a role is allowed nothing
//! that the day does not call, but for what is explained here.

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
use trawler_tests::proxy::{Call, Fault, FaultProxy, Service};
use trawler_tests::{WAIT_MAX, until};

use crate::policy::Rights;
use crate::read;
use crate::template::{ACCOUNT, Deployed, ENVIRONMENT};
use crate::tools::{aws, said};
use crate::wire::{query, values};

const ROLES: [&str; 3] = ["ScheduleRole", "CrawlRole", "ImageRole"];

/// Of the machine and its log, not of the program.
const OF_THE_MACHINE: [&str; 4] = [
    "logs:",
    "cloudformation:",
    "s3:AbortMultipartUpload",
    "kms:",
];

const LEASES: &str = "leases are renewed after half their time, and handed back by a drain";
const SECRETS: &str = "of a pipe with a reference ssm:/...";
const DEAD_LETTERS: &str = "of a message that the queue has given up";
const CHECKPOINTS: &str = "of a job that goes on where another delivery stopped";
const ABSENCE: &str = "without it S3 answers \"denied\" for what is not there";

/// Rights that the day below may do without, and what needs them. None of
/// Auto Scaling.
const MAY_BE_UNCALLED: [(&str, &str, &str); 9] = [
    ("ScheduleRole", "sqs:DeleteMessage", DEAD_LETTERS),
    ("ScheduleRole", "sqs:ChangeMessageVisibility", DEAD_LETTERS),
    ("CrawlRole", "sqs:ChangeMessageVisibility", LEASES),
    ("CrawlRole", "ssm:GetParameter", SECRETS),
    ("CrawlRole", "s3:DeleteObject", CHECKPOINTS),
    ("ImageRole", "sqs:ChangeMessageVisibility", LEASES),
    ("ImageRole", "ssm:GetParameter", SECRETS),
    ("ImageRole", "s3:DeleteObject", CHECKPOINTS),
    ("ImageRole", "s3:ListBucket", ABSENCE),
];

fn object(bucket: &str, key: &str) -> String {
    format!("arn:aws:s3:::trawler-{ENVIRONMENT}-{bucket}-{ACCOUNT}-eu-west-1/{ENVIRONMENT}/{key}")
}

#[test]
fn no_role_may_do_what_is_anothers() {
    let deployed = Deployed::with(&[]);
    let (images, catalogue) = (
        object("data", "blobs/images/a"),
        object("data", "catalogue/a"),
    );
    let (sets, inbox) = (
        object("data", "blobs/pipe-sets/a"),
        object("data", "blobs/inbox/a"),
    );
    let queue = |name: &str| format!("arn:aws:sqs:eu-west-1:{ACCOUNT}:{ENVIRONMENT}-{name}.fifo");
    let may = |role: &str, action: &str, resource: &str, expected: bool| {
        let rights = Rights::of(&deployed, role);
        assert_eq!(
            rights.allow(action, resource),
            expected,
            "{role} {action} {resource}"
        );
    };
    may("ScheduleRole", "s3:GetObject", &images, false);
    may("ScheduleRole", "s3:GetObject", &catalogue, false);
    may("ScheduleRole", "sqs:ReceiveMessage", &queue("crawl"), false);
    may(
        "ScheduleRole",
        "sqs:ReceiveMessage",
        &queue("crawl-dead"),
        true,
    );
    may(
        "ScheduleRole",
        "autoscaling:TerminateInstanceInAutoScalingGroup",
        "*",
        false,
    );
    may("CrawlRole", "s3:PutObject", &catalogue, true);
    may("CrawlRole", "s3:GetObject", &images, false);
    may("CrawlRole", "s3:PutObject", &images, false);
    may("CrawlRole", "s3:PutObject", &inbox, false);
    may("CrawlRole", "sqs:ReceiveMessage", &queue("image"), false);
    may("ImageRole", "s3:PutObject", &images, true);
    may("ImageRole", "s3:DeleteObject", &images, false);
    may("ImageRole", "s3:GetObject", &catalogue, false);
    may("ImageRole", "s3:PutObject", &catalogue, false);
    may("ImageRole", "sqs:DeleteMessage", &queue("crawl"), false);
    for role in ROLES {
        may(role, "s3:GetObject", &sets, true);
        may(role, "s3:PutObject", &sets, false);
        may(role, "sqs:CreateQueue", &queue("crawl"), false);
        may(
            role,
            "s3:DeleteBucket",
            &format!("arn:aws:s3:::trawler-{ENVIRONMENT}-data-{ACCOUNT}-eu-west-1"),
            false,
        );
        may(role, "s3:GetObject", "arn:aws:s3:::somebody-elses/a", false);
        assert!(
            Rights::of(&deployed, role)
                .actions()
                .all(|action| !action.contains('*')),
            "{role}"
        );
    }
}

/// What each role does with each queue: the calls that are recorded are compared
/// by what they do, since queues of the recordings have other names.
#[test]
fn each_role_works_on_its_own_queues_and_on_no_others() {
    const WORK: [&str; 3] = [
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:ChangeMessageVisibility",
    ];
    let deployed = Deployed::with(&[]);
    let check = |role: &str, works_on: &[&str], sends_to: &[&str]| {
        let rights = Rights::of(&deployed, role);
        for name in ["crawl", "crawl-dead", "image", "image-dead"] {
            let queue = format!("arn:aws:sqs:eu-west-1:{ACCOUNT}:{ENVIRONMENT}-{name}.fifo");
            for action in WORK {
                let expected = works_on.contains(&name);
                assert_eq!(
                    rights.allow(action, &queue),
                    expected,
                    "{role} {action} {name}"
                );
            }
            let sends = rights.allow("sqs:SendMessage", &queue);
            assert_eq!(sends, sends_to.contains(&name), "{role} sends to {name}");
            assert!(
                rights.allow("sqs:GetQueueAttributes", &queue),
                "{role} {name}"
            );
            assert!(!rights.allow("sqs:PurgeQueue", &queue), "{role} {name}");
        }
    };
    check(
        "ScheduleRole",
        &["crawl-dead", "image-dead"],
        &["crawl", "image"],
    );
    check("CrawlRole", &["crawl"], &[]);
    check("ImageRole", &["image"], &[]);
}

#[test]
fn crawl_machines_look_after_images_where_that_is_asked_for_and_write_none() {
    let images = object("data", "blobs/images/a");
    let removals = object("data", "blobs/removals/a");
    let check = |by: &str, action: &str, resource: &str, expected: bool| {
        let deployed = Deployed::with(&[("ImageUpkeep", by)]);
        let rights = Rights::of(&deployed, "CrawlRole");
        assert_eq!(rights.allow(action, resource), expected, "{by} {action}");
    };
    for (by, may) in [("people", false), ("workers", true)] {
        check(by, "s3:GetObject", &images, may);
        check(by, "s3:DeleteObject", &images, may);
        check(by, "s3:PutObject", &images, false);
        check(by, "s3:PutObject", &removals, may);
        check(
            by,
            "s3:PutObject",
            &object("data", "blobs/refetches/a"),
            may,
        );
    }
}

/// The actions in the README's table of rights, for the roles.
fn told_in_the_readme() -> BTreeSet<String> {
    let readme = read("README.md");
    let (_, table) = readme
        .split_once("| to whom | on what | actions |")
        .unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let mut found = BTreeSet::new();
    for row in rows.filter(|row| !row.contains("fleet create")) {
        let mut service = "";
        let actions = row.rsplit('|').nth(1).unwrap();
        for word in actions.split('`').skip(1).step_by(2) {
            let (named, action) = word.split_once(':').unwrap_or((service, word));
            service = named;
            found.insert(format!("{service}:{action}"));
        }
    }
    assert!(found.len() > 15, "{found:?}");
    found
}

#[test]
fn the_template_allows_what_the_readme_names_and_nothing_else() {
    let deployed = Deployed::with(&[]);
    let mut allowed = BTreeSet::new();
    for role in ROLES {
        allowed.extend(Rights::of(&deployed, role).actions().map(str::to_owned));
    }
    let ours = |action: &String| !OF_THE_MACHINE.iter().any(|other| action.starts_with(other));
    let allowed: BTreeSet<String> = allowed.into_iter().filter(ours).collect();
    let told: BTreeSet<String> = told_in_the_readme().into_iter().filter(ours).collect();
    assert_eq!(allowed, told);
}

/// What one call needs: action, and resource where the request tells it.
type Needed = (String, Option<String>);

fn needed(call: &Call) -> Option<Needed> {
    match call.service {
        Service::Sqs => {
            let action = call.operation.trim_end_matches("Batch");
            Some((format!("sqs:{action}"), None))
        }
        Service::S3 => {
            let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
            let path = path.trim_matches('/');
            let has = |word: &str| {
                query
                    .split('&')
                    .any(|part| part.split('=').next() == Some(word))
            };
            let is_object = path.contains('/');
            let action = match (call.operation.as_str(), is_object) {
                ("GET" | "HEAD", false) => "ListBucket",
                ("GET" | "HEAD", true) => "GetObject",
                ("DELETE", true) if has("uploadId") => "AbortMultipartUpload",
                ("DELETE", true) => "DeleteObject",
                // Its keys are in the body; each deletion alone is looked at too.
                ("POST", false) if has("delete") => {
                    return Some(("s3:DeleteObject".to_owned(), None));
                }
                ("PUT" | "POST", true) => "PutObject",
                other => panic!("{other:?} {}", call.path),
            };
            Some((format!("s3:{action}"), Some(format!("arn:aws:s3:::{path}"))))
        }
        Service::AutoScaling => {
            let action = format!("autoscaling:{}", call.operation);
            // Describing knows no resources: only all of them can be allowed.
            let resource = if call.operation.starts_with("Describe") {
                "*".to_owned()
            } else if let Some(name) = call.form.get("AutoScalingGroupName") {
                group_arn(name)
            } else {
                group_arn(&group_of(&call.form["InstanceId"]))
            };
            Some((action, Some(resource)))
        }
        Service::Other => match call.operation.as_str() {
            "PutMetricData" => Some(("cloudwatch:PutMetricData".to_owned(), None)),
            "GetParameter" => Some(("ssm:GetParameter".to_owned(), None)),
            _ => None,
        },
    }
}

fn group_arn(name: &str) -> String {
    format!(
        "arn:aws:autoscaling:eu-west-1:{ACCOUNT}:autoScalingGroup:0-0-0:autoScalingGroupName/{name}"
    )
}

/// The group that an instance of moto's was started for.
fn group_of(instance: &str) -> String {
    let xml = auto_scaling(&[
        ("Action", "DescribeAutoScalingInstances"),
        ("InstanceIds.member.1", instance),
    ]);
    let group = values(&xml, "AutoScalingGroupName").pop();
    group.unwrap_or_else(|| panic!("{instance} is in no group: {xml}"))
}

fn auto_scaling(form: &[(&str, &str)]) -> String {
    query(
        &Moto::shared().endpoint(),
        "autoscaling",
        "2011-01-01",
        form,
    )
}

/// Groups of moto's by the names that the template gives them; the newest
/// instance of each.
fn make_groups(environment: &str) -> [String; 2] {
    let form = [
        ("Action", "CreateLaunchTemplate"),
        ("LaunchTemplateName", environment),
        ("LaunchTemplateData.ImageId", "ami-12c6146b"),
        ("LaunchTemplateData.InstanceType", "c7g.large"),
    ];
    query(&Moto::shared().endpoint(), "ec2", "2016-11-15", &form);
    ["crawl", "image"].map(|queue| {
        let name = format!("{environment}-{queue}");
        auto_scaling(&[
            ("Action", "CreateAutoScalingGroup"),
            ("AutoScalingGroupName", &name),
            ("MinSize", "0"),
            ("MaxSize", "6"),
            ("DesiredCapacity", "2"),
            ("AvailabilityZones.member.1", "eu-west-1a"),
            ("LaunchTemplate.LaunchTemplateName", environment),
            ("LaunchTemplate.Version", "$Latest"),
        ]);
        let xml = auto_scaling(&[
            ("Action", "DescribeAutoScalingGroups"),
            ("AutoScalingGroupNames.member.1", &name),
        ]);
        values(&xml, "InstanceId").pop().unwrap()
    })
}

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

    /// Every right was needed for a call, or what needs it is known.
    fn check_rights(&self, deployed: &Deployed) {
        let calls = self.calls.lock().unwrap();
        let called: BTreeSet<&str> = calls.iter().map(|(action, _)| action.as_str()).collect();
        let rights = Rights::of(deployed, self.role);
        let ours = |action: &&str| !OF_THE_MACHINE.iter().any(|other| action.starts_with(other));
        let rights: BTreeSet<&str> = rights.actions().filter(ours).collect();
        let of_role = MAY_BE_UNCALLED.iter().filter(|it| it.0 == self.role);
        let explained: BTreeSet<&str> = of_role.map(|it| it.1).collect();
        assert!(explained.is_subset(&rights), "{}: {explained:?}", self.role);
        let uncalled = rights.difference(&called);
        let uncalled: Vec<&&str> = uncalled
            .filter(|action| !explained.contains(*action))
            .collect();
        assert!(
            uncalled.is_empty(),
            "{} has rights that nothing calls: {uncalled:?}",
            self.role
        );
    }

    /// Every call was one that the role allows.
    fn check(&self, deployed: &Deployed) {
        let rights = Rights::of(deployed, self.role);
        let calls = self.calls.lock().unwrap();
        assert!(calls.len() > 5, "{} called {calls:?}", self.role);
        let mut denied = Vec::new();
        for (action, resource) in calls.iter() {
            let allowed = match resource {
                Some(resource) => rights.allow(action, resource),
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

/// The stack without its function, whose package nobody made here.
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
    // What is due every minute is so a minute after the first look, at the latest.
    let deadline = Instant::now() + 2 * WAIT_MAX;
    while !crew[1].has_called("s3:GetObject", "/blobs/images/") {
        assert!(Instant::now() < deadline, "no crawler verifies images");
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
    for member in &crew {
        member.check_rights(&deployed);
    }
    drop(crew);
    shop.stop().await;
}

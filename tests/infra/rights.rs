//! Roles and the calls that the code makes: what a role may not do, that the
//! template and the README name the same actions, and that a whole day of a
//! fleet calls nothing but what its roles allow.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use trawler_shop::{FeedFormat, Shop, ShopSpec};
use trawler_tests::emulator::{Ministack, REGION};
use trawler_tests::proxy::{Call, Fault, FaultProxy, Service};
use trawler_tests::until;

use crate::policy::Rights;
use crate::read;
use crate::template::{ACCOUNT, Deployed, ENVIRONMENT};
use crate::tools::{aws, said};

const ROLES: [&str; 3] = ["ScheduleRole", "CrawlRole", "ImageRole"];

/// Of the machine and its log, not of the program.
const OF_THE_MACHINE: [&str; 4] = [
    "logs:",
    "cloudformation:",
    "s3:AbortMultipartUpload",
    "kms:",
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
        _ => None,
    }
}

/// One role as a process, behind a proxy that notes what it calls.
struct Member {
    role: &'static str,
    /// Lives as long as the process behind it.
    _proxy: FaultProxy,
    calls: Arc<Mutex<BTreeSet<Needed>>>,
    child: Child,
}

impl Member {
    async fn start(folder: &Path, role: &'static str, command: &str) -> Self {
        let proxy = FaultProxy::start(&Ministack::shared().endpoint()).await;
        let calls = Arc::new(Mutex::new(BTreeSet::new()));
        let noted = Arc::clone(&calls);
        // Never met: it looks at every call.
        let look = move |call: &Call| {
            noted.lock().unwrap().extend(needed(call));
            false
        };
        proxy.fail_next(look, Fault::Busy);
        let child = program(folder, &proxy.endpoint(), &[command])
            .spawn()
            .unwrap();
        Self {
            role,
            _proxy: proxy,
            calls,
            child,
        }
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

fn configure(folder: &Path, environment: &str, host: &str) {
    let of = |kind: &str| format!("s3://trawler-{environment}-{kind}-000000000000-{REGION}");
    let (data, state) = (of("data"), of("state"));
    let text = format!(
        "environment = \"{environment}\"\n\n[queue]\nkind = \"sqs\"\n\n[store]\nlocation = \"{data}\"\nstate = \"{state}\"\n\n\
         [net]\ncontact = \"https://example.com/test\"\nallow = [\"{host}\"]\n\n[notices]\nimds = false\n\n\
         [workers]\npoll_s = 1\n\n[scheduler]\ntick_ms = 500\nfold_after_s = 1\n"
    );
    std::fs::write(folder.join("trawler.toml"), text).unwrap();
    let pipes = folder.join("partner/pipes");
    std::fs::create_dir_all(&pipes).unwrap();
}

/// On the queues and buckets that the template made, which the program checks
/// when it starts: a run with images from beginning to end, and a job that is
/// given up.
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
    let dir = folder.path();
    configure(dir, NAME, &shop.addr().to_string());
    let pipe = |url: &str| {
        format!(
            "name = \"a\"\n\n[source]\nkind = \"http\"\nurl = \"{url}\"\n\n[feed]\nformat = \"naver-ep\"\nmode = \"full\"\n\n\
             [schedule]\ncron = \"15 3 * * *\"\nzone = \"Asia/Seoul\"\n"
        )
    };
    let nowhere = format!("http://{}/nothing-here", shop.addr());
    for (id, url) in [("shop", shop.feed_url()), ("gone", nowhere)] {
        std::fs::write(dir.join(format!("partner/pipes/{id}.toml")), pipe(&url)).unwrap();
    }
    let endpoint = Ministack::shared().endpoint();
    let push = dir.join("partner");
    let pushed = program(dir, &endpoint, &["pipes", "push", push.to_str().unwrap()]).status();
    assert!(pushed.unwrap().success());

    let crew = [
        Member::start(dir, "ScheduleRole", "schedule").await,
        Member::start(dir, "CrawlRole", "crawl").await,
        Member::start(dir, "ImageRole", "images").await,
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
                && told(&["dlq", "list"]).contains("gone")
        },
    )
    .await;
    let deployed = Deployed::with(&[("Environment", NAME)]);
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
    drop(crew);
    shop.stop().await;
}

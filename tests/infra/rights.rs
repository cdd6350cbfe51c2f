//! Roles of the template: what a role may not do, and that the template and the
//! README name the same actions.

use std::collections::BTreeSet;

use serde_json::json;

use crate::policy::Rights;
use crate::read;
use crate::template::{ACCOUNT, Deployed, ENVIRONMENT, text};

const ROLES: [&str; 3] = ["ScheduleRole", "CrawlRole", "ImageRole"];

/// Of the machine and its log, not of the program.
pub(crate) const OF_THE_MACHINE: [&str; 4] = [
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
    let document = |key: &str| object("state", &format!("state/{key}"));
    for own in ["jobs/image/a", "checkpoints/image/a", "dead/image/a"] {
        may("ImageRole", "s3:PutObject", &document(own), true);
        may("ImageRole", "s3:DeleteObject", &document(own), true);
    }
    may(
        "ImageRole",
        "s3:PutObject",
        &document("capacity/boots"),
        true,
    );
    for others in [
        "jobs/crawl/a",
        "dead/crawl/a",
        "runs/a",
        "leases/a",
        "capacity/record",
    ] {
        may("ImageRole", "s3:GetObject", &document(others), true);
        may("ImageRole", "s3:PutObject", &document(others), false);
        may("ImageRole", "s3:DeleteObject", &document(others), false);
        may("ScheduleRole", "s3:PutObject", &document(others), true);
        may("CrawlRole", "s3:PutObject", &document(others), true);
    }
    for role in ROLES {
        for of_people in ["pipe-sets/current", "pause/a", "maintenance/a"] {
            may(role, "s3:GetObject", &document(of_people), true);
            may(role, "s3:PutObject", &document(of_people), false);
            may(role, "s3:DeleteObject", &document(of_people), false);
        }
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

/// What a machine and the function need beside what the program calls.
#[test]
fn a_machine_may_fetch_its_package_say_that_it_works_and_write_its_log() {
    let deployed = Deployed::with(&[("ArtifactBucket", "artifacts")]);
    let of_log = |name: &str| {
        let group = format!("/trawler/{ENVIRONMENT}/{name}");
        format!("arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:{group}:*")
    };
    let logs = [
        ("ScheduleRole", "schedule"),
        ("CrawlRole", "crawl"),
        ("ImageRole", "image"),
    ];
    for (role, own) in logs {
        let rights = Rights::of(&deployed, role);
        for (_, name) in logs {
            for action in ["logs:CreateLogStream", "logs:PutLogEvents"] {
                let may = rights.allow(action, &of_log(name));
                assert_eq!(may, name == own, "{role} {action} {name}");
            }
        }
        let is_machine = role != "ScheduleRole";
        let package = "arn:aws:s3:::artifacts/releases/1/trawler-arm64.tar.gz";
        assert_eq!(rights.allow("s3:GetObject", package), is_machine, "{role}");
        assert!(!rights.allow("s3:PutObject", package), "{role}");
        let stack = text(&deployed.resolve(&json!({"Ref": "AWS::StackId"})));
        assert_eq!(
            rights.allow("cloudformation:SignalResource", &stack),
            is_machine,
            "{role}"
        );
        assert_eq!(
            rights.allow("autoscaling:DescribeAutoScalingInstances", "*"),
            is_machine,
            "{role}"
        );
    }
}

#[test]
fn only_the_schedule_calls_the_function() {
    let deployed = Deployed::with(&[]);
    let function = deployed.properties("EveryMinute")["Target"]["Arn"]
        .as_str()
        .unwrap()
        .to_owned();
    let allowed =
        |role: &str| Rights::of(&deployed, role).allow("lambda:InvokeFunction", &function);
    assert!(allowed("ScheduleCallerRole"));
    assert!(ROLES.iter().all(|role| !allowed(role)));
    let policy = &deployed.properties("ScheduleCallerRole")["AssumeRolePolicyDocument"];
    assert_eq!(
        policy["Statement"][0]["Principal"]["Service"],
        "scheduler.amazonaws.com"
    );
}

/// The namespace is a condition, at which [`Rights`] does not look.
#[test]
fn figures_may_be_told_under_the_name_that_the_program_gives_them() {
    let deployed = Deployed::with(&[]);
    let statements = &deployed.properties("FleetPolicy")["PolicyDocument"]["Statement"];
    let of_figures = statements
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["Sid"] == "Figures");
    let condition = &of_figures.unwrap()["Condition"]["StringEquals"];
    assert_eq!(condition["cloudwatch:namespace"], trawler_aws::NAMESPACE);
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

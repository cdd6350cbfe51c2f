//! What a queue is checked for when it is opened, what it is told when it
//! brings what is not ours, and that the errors say what to change.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use trawler_aws::{Cloud, SqsOptions, SqsQueue};
use trawler_core::ports::{Queue, VISIBILITY_MAX};
use trawler_core::{Environment, QueueName};
use trawler_tests::ManualClock;
use trawler_tests::emulator::REGION;

use crate::queue_support::{
    Answer, Script, arn, call, clock, cloud, create, delivery, message, open, open_error, options,
    reason, send, send_by_hand, set_attribute, take_one, url, usual,
};

#[tokio::test]
async fn a_queue_that_was_created_opens_by_name_and_by_url() {
    for name in [QueueName::Crawl, QueueName::Image] {
        let options = SqsOptions {
            name,
            ..options(&format!("created-{name}.fifo"))
        };
        let queue = create(&options).await;
        assert_eq!(queue.visibility(), options.visibility);
        send(&queue, &["g"]).await;
        // Creating again finds what is there.
        let again = create(&options).await;
        assert_eq!(again.depth().await.unwrap().visible, 1);
        let by_url = SqsOptions {
            queue: url(&options.queue),
            ..options.clone()
        };
        let opened = open(&by_url).await.unwrap();
        assert_eq!(take_one(&opened).await.body, message("g").body);
    }
}

#[tokio::test]
async fn creating_leaves_a_queue_that_differs_as_it_is_and_says_how() {
    let options = options("differs.fifo");
    create(&options).await;
    let other = SqsOptions {
        visibility: Duration::from_secs(30),
        receive_count_max: 7,
        ..options.clone()
    };
    let made = SqsQueue::create(&cloud().await, clock(), other).await;
    let said = made.unwrap_err().to_string();
    assert!(
        said.contains("VisibilityTimeout is 4 and has to be 30"),
        "{said}"
    );
    assert!(said.contains("maxReceiveCount to 7"), "{said}");
    open(&options).await.unwrap();
}

#[tokio::test]
async fn every_attribute_that_differs_is_told_at_once() {
    let options = SqsOptions {
        name: QueueName::Image,
        ..options("attributes.fifo")
    };
    create(&options).await;
    for (name, value) in [
        ("VisibilityTimeout", "30"),
        ("ContentBasedDeduplication", "true"),
        ("MessageRetentionPeriod", "60"),
        ("DelaySeconds", "3"),
        ("MaximumMessageSize", "1024"),
        ("DeduplicationScope", "queue"),
        ("FifoThroughputLimit", "perQueue"),
        ("RedrivePolicy", ""),
    ] {
        set_attribute("attributes.fifo", name, value).await;
        let said = open_error(&options).await;
        assert!(said.contains(name), "{name}: {said}");
        assert!(said.contains("queue attributes.fifo: "), "{said}");
    }
    let said = open_error(&options).await;
    assert_eq!(said.lines().count(), 8, "{said}");
    let first = "queue attributes.fifo: VisibilityTimeout is 30 and has to be 4: set it to 4, or [queue] image_visibility_s to 30";
    assert!(said.lines().any(|line| line == first), "{said}");
}

#[tokio::test]
async fn the_dead_letter_queue_is_checked_as_well() {
    let options = options("checked.fifo");
    create(&options).await;
    let dead = "checked-dead.fifo";
    set_attribute(dead, "MessageRetentionPeriod", "60").await;
    let policy = json!({"deadLetterTargetArn": arn("checked.fifo"), "maxReceiveCount": 3});
    set_attribute(dead, "RedrivePolicy", &policy.to_string()).await;
    let said = open_error(&options).await;
    let about = |attribute: &str| said.contains(&format!("queue {dead}: {attribute} is "));
    assert!(
        about("MessageRetentionPeriod") && about("RedrivePolicy"),
        "{said}"
    );

    call("DeleteQueue", json!({"QueueUrl": url(dead)})).await;
    let said = open_error(&options).await;
    assert!(
        said.contains(&format!("there is no queue {dead}")),
        "{said}"
    );
}

#[tokio::test]
async fn a_standard_queue_and_one_that_is_missing_are_told_apart() {
    call("CreateQueue", json!({"QueueName": "standard"})).await;
    for queue in ["standard".to_owned(), url("standard")] {
        let said = open_error(&options(&queue)).await;
        assert!(said.contains("is a standard queue"), "{said}");
        assert!(said.contains(".fifo"), "{said}");
    }
    let said = open_error(&options("nobody-made-it.fifo")).await;
    assert!(
        said.contains("there is no queue nobody-made-it.fifo"),
        "{said}"
    );
    assert!(
        said.contains(REGION) && said.contains("trawler fleet create"),
        "{said}"
    );
}

#[tokio::test]
async fn options_and_regions_are_checked_before_anything_is_asked() {
    let said = async |change: &dyn Fn(&mut SqsOptions)| {
        let mut options = options("never-asked.fifo");
        change(&mut options);
        open_error(&options).await
    };
    let elsewhere = "https://sqs.us-east-2.amazonaws.com/123456789012/production-crawl.fifo";
    let text = said(&|options| options.queue = elsewhere.to_owned()).await;
    assert!(text.contains("is in region us-east-2"), "{text}");
    assert!(text.contains("set AWS_REGION to us-east-2"), "{text}");
    let text = said(&|options| options.visibility = Duration::from_millis(1500)).await;
    assert!(text.contains("1.5s"), "{text}");
    let text = said(&|options| options.visibility = VISIBILITY_MAX * 2).await;
    assert!(text.contains("bounds"), "{text}");
    let text = said(&|options| options.receive_count_max = 1001).await;
    assert!(text.contains("1001"), "{text}");
}

#[tokio::test]
async fn two_fleets_on_one_queue_are_told_and_nothing_is_lost() {
    let ours = options("shared.fifo");
    let queue = create(&ours).await;
    let theirs = SqsOptions {
        environment: Environment::parse("theirs").unwrap(),
        ..ours.clone()
    };
    let said = open_error(&theirs).await;
    assert!(
        said.contains("belongs to environment ours, and this is theirs"),
        "{said}"
    );

    // They send to it all the same.
    send(&queue, &["g"]).await;
    send_by_hand("shared.fifo", "h", Some("theirs")).await;
    let told = reason(queue.receive(10, Duration::ZERO).await);
    let expected = "queue shared.fifo holds messages of environment theirs, and this is ours; two fleets share one queue: give each its own [queue] names";
    assert_eq!(told, expected);
    // Both are there again, at once.
    assert_eq!(queue.depth().await.unwrap().visible, 2);

    send_by_hand("shared-dead.fifo", "i", Some("theirs")).await;
    for _ in 0..2 {
        let told = reason(queue.receive_dead(10).await);
        assert!(told.contains("environment theirs"), "{told}");
    }
}

#[tokio::test]
async fn a_foreign_message_is_delivered_as_it_is() {
    let queue = create(&options("foreign.fifo")).await;
    send_by_hand("foreign.fifo", "g", None).await;
    let lease = take_one(&queue).await;
    assert_eq!(
        (lease.group.as_str(), lease.body.as_str()),
        ("g", "g by hand")
    );
    queue.bury(lease, "nobody understands it\0").await.unwrap();
    let dead = queue.receive_dead(10).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(
        dead[0].buried.as_deref(),
        Some("nobody understands it\u{FFFD}")
    );
}

#[tokio::test]
async fn a_missing_permission_is_named() {
    let deny = |operation: &'static str| {
        Script::start(move |asked| {
            if asked.operation == operation {
                Answer::error(403, "AccessDenied", "User: me is not authorized")
            } else if asked.operation == "ReceiveMessage" {
                delivery()
            } else {
                usual(asked)
            }
        })
    };
    for operation in ["GetQueueUrl", "GetQueueAttributes"] {
        let said = deny(operation).await.open().await.unwrap_err().to_string();
        assert!(
            said.contains(&format!("sqs:{operation} on queue ")),
            "{said}"
        );
        assert!(said.contains("User: me is not authorized"), "{said}");
    }
    // Every message says whose it is, so tags need not be readable.
    deny("ListQueueTags").await.open().await.unwrap();

    let check = async |operation: &'static str, verb: &'static str| {
        let script = deny(operation).await;
        let queue = script.open().await.unwrap();
        let told = if operation == "ReceiveMessage" {
            reason(queue.receive(1, Duration::ZERO).await)
        } else if operation == "SendMessageBatch" {
            reason(queue.send(&[message("g")]).await)
        } else {
            let lease = take_one(&queue).await;
            match verb {
                "ack" => reason(queue.ack(lease).await),
                "extend" => reason(queue.extend(&lease, Duration::from_secs(1)).await),
                "release" => reason(queue.release(lease, Duration::ZERO).await),
                _ => reason(queue.bury(lease, "for the test").await),
            }
        };
        assert!(told.contains("let this process's role sqs:"), "{told}");
        assert!(told.contains("on queue script.fifo"), "{told}");
        // Nothing that is refused is tried again.
        assert_eq!(script.seen(operation).len(), 1, "{operation}");
    };
    check("SendMessageBatch", "send").await;
    check("ReceiveMessage", "receive").await;
    check("DeleteMessage", "ack").await;
    check("ChangeMessageVisibility", "extend").await;
    check("ChangeMessageVisibility", "release").await;
    check("SendMessage", "bury").await;
}

const HTTP_DATE: &str = "%a, %d %b %Y %H:%M:%S GMT";

fn service_time() -> chrono::DateTime<chrono::Utc> {
    clock().now() + chrono::TimeDelta::hours(2)
}

/// Refuses, as SQS does, what was not signed within 5 minutes of its own time.
fn two_hours_ahead(signed_at: &str) -> Option<Answer> {
    let signed = chrono::NaiveDateTime::parse_from_str(signed_at, "%Y%m%dT%H%M%SZ").unwrap();
    let off = (service_time() - signed.and_utc()).abs();
    (off > chrono::TimeDelta::minutes(5)).then(|| {
        let said = "Signature expired: it is now earlier than the service's time";
        Answer::error(403, "InvalidSignatureException", said)
    })
}

#[tokio::test]
async fn a_process_whose_clock_is_wrong_works_all_the_same() {
    let refused = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&refused);
    let script = Script::start(move |asked| {
        let answer = match two_hours_ahead(&asked.signed_at) {
            Some(refusal) => {
                counted.fetch_add(1, Ordering::Relaxed);
                refusal
            }
            None if asked.operation == "ReceiveMessage" => delivery(),
            None => usual(asked),
        };
        answer.dated(service_time().format(HTTP_DATE).to_string())
    })
    .await;
    let queue = script.open().await.unwrap();
    send(&queue, &["g"]).await;
    queue.ack(take_one(&queue).await).await.unwrap();
    let refused = refused.load(Ordering::Relaxed);
    assert_eq!(refused, 1, "the first answer tells the time");
}

#[tokio::test]
async fn a_signature_that_stays_refused_points_at_the_clock() {
    let script = Script::start(|_| {
        Answer::error(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated",
        )
    })
    .await;
    let said = script.open().await.unwrap_err().to_string();
    assert!(said.contains("set this machine's clock (NTP)"), "{said}");
    assert!(said.contains("secret key"), "{said}");
    assert_eq!(
        script.seen("GetQueueUrl").len(),
        2,
        "tried once more, corrected"
    );
}

#[tokio::test]
async fn twelve_hours_count_from_the_receive_by_our_own_clock() {
    const HOUR: Duration = Duration::from_secs(60 * 60);
    let options = options("twelve-hours.fifo");
    create(&options).await;
    let clock = Arc::new(ManualClock::default());
    let opened = SqsQueue::open(&cloud().await, clock.clone(), options).await;
    let queue = opened.unwrap();
    send(&queue, &["g"]).await;
    let lease = take_one(&queue).await;
    queue.extend(&lease, 11 * HOUR).await.unwrap();
    clock.advance(10 * HOUR);
    let told = reason(
        queue
            .extend(&lease, 2 * HOUR + Duration::from_secs(1))
            .await,
    );
    assert!(told.contains("43200s after its receive"), "{told}");
    queue.extend(&lease, 2 * HOUR).await.unwrap();
    // By SQS the lease goes on; by our clock it has ended.
    clock.advance(2 * HOUR);
    let lost = queue.ack(lease).await.unwrap_err();
    assert!(!lost.is_transient());
    assert_eq!(queue.depth().await.unwrap().in_flight, 1);
}

/// Not a test: the process of the test below.
#[tokio::test]
async fn child_process_that_opens_the_cloud() {
    if std::env::var_os("TRAWLER_TEST_OPENS").is_some() {
        println!("@{}", Cloud::open().await.unwrap_err());
    }
}

#[tokio::test]
async fn without_credentials_or_region_the_cloud_says_what_to_set() {
    let check = |variables: &[(&str, &str)], expected: &str| {
        let name = "queue_checks::child_process_that_opens_the_cloud";
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env_clear()
            .env("TRAWLER_TEST_OPENS", "1")
            .env("HOME", "/nonexistent")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains(expected), "{said}");
    };
    check(&[], "@no AWS region is set; set AWS_REGION");
    check(&[("AWS_REGION", REGION)], "@no AWS credentials were found");
}

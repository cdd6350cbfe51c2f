//! Queues, buckets and the schedule, as the code needs them. What a queue must
//! be the program checks itself when it starts (`readme`); here is what has to
//! be known before anything is deployed.

use std::time::Duration;

use serde_json::Value;
use trawler_core::drain::{lease_margin, renew_every};
use trawler_core::verdict::RetryPolicy;
use trawler_core::{Environment, QueueName};

use crate::template::{Deployed, ENVIRONMENT, number, template, text};

fn queue(name: &str) -> Value {
    Deployed::with(&[]).properties(name)
}

#[test]
fn queues_are_fifo_by_name_and_by_property_and_have_the_enums_of_their_kind() {
    for (name, resource) in [(QueueName::Crawl, "Crawl"), (QueueName::Image, "Image")] {
        let live = queue(&format!("{resource}Queue"));
        let dead = queue(&format!("{resource}DeadQueue"));
        assert_eq!(live["QueueName"], format!("{ENVIRONMENT}-{name}.fifo"));
        assert_eq!(dead["QueueName"], format!("{ENVIRONMENT}-{name}-dead.fifo"));
        for queue in [&live, &dead] {
            assert_eq!(text(&queue["FifoQueue"]), "true", "{queue}");
            assert_eq!(number(&queue["MessageRetentionPeriod"]), 14 * 24 * 60 * 60);
            assert_eq!(text(&queue["SqsManagedSseEnabled"]), "true");
        }
        assert_eq!(text(&live["ContentBasedDeduplication"]), "false");
        assert!(dead.get("RedrivePolicy").is_none());
        let target = text(&live["RedrivePolicy"]["deadLetterTargetArn"]);
        assert!(target.ends_with(&text(&dead["QueueName"])), "{target}");
        let throughput = (&live["DeduplicationScope"], &live["FifoThroughputLimit"]);
        match name {
            QueueName::Crawl => assert!(throughput.0.is_null() && throughput.1.is_null()),
            QueueName::Image => {
                assert_eq!(throughput.0, "messageGroup");
                assert_eq!(throughput.1, "perMessageGroupId");
            }
        }
    }
}

#[test]
fn a_lease_is_renewed_with_room_before_the_queue_ends_it() {
    for resource in ["CrawlQueue", "ImageQueue"] {
        let visibility = Duration::from_secs(number(&queue(resource)["VisibilityTimeout"]));
        let renewal = renew_every(visibility);
        assert!(
            visibility > renewal + lease_margin(visibility),
            "{resource}"
        );
        // A call that is tried for as long as one may take has still room.
        assert!(visibility - renewal > Duration::from_secs(30), "{resource}");
    }
}

#[test]
fn the_backstop_is_beyond_every_attempt_and_crash() {
    let retry = RetryPolicy::default();
    for resource in ["CrawlQueue", "ImageQueue"] {
        let receives = number(&queue(resource)["RedrivePolicy"]["maxReceiveCount"]);
        let reach = u64::from(retry.attempts_max + retry.crashes_max);
        assert!(
            receives > reach && receives <= 1000,
            "{resource}: {receives}"
        );
    }
}

#[test]
fn an_environment_that_the_template_takes_the_program_takes_too() {
    let parameter = &template()["Parameters"]["Environment"];
    assert_eq!(parameter["AllowedPattern"], "[a-z][a-z0-9-]{0,19}");
    let longest = "a".repeat(20);
    for name in ["a", "production", "p-2", &longest] {
        assert!(Environment::parse(name).is_ok(), "{name}");
    }
    // 63 characters are the most that S3 takes.
    let deployed = Deployed::with(&[("Environment", &longest)]);
    for (name, bucket) in deployed.of_type("AWS::S3::Bucket") {
        let bucket = text(&bucket["BucketName"]).replace("eu-west-1", "ap-northeast-2");
        assert!(bucket.len() <= 63, "{name}: {bucket}");
    }
}

#[test]
fn buckets_are_closed_encrypted_and_kept() {
    let buckets = Deployed::with(&[]).of_type("AWS::S3::Bucket");
    assert_eq!(buckets.len(), 2);
    for (name, bucket) in buckets {
        let closed = bucket["PublicAccessBlockConfiguration"]
            .as_object()
            .unwrap();
        assert_eq!(closed.len(), 4, "{name}");
        assert!(closed.values().all(|value| text(value) == "true"), "{name}");
        let encryption = &bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"][0];
        assert_eq!(
            encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"],
            "AES256"
        );
        assert_eq!(
            template()["Resources"][name]["DeletionPolicy"],
            "RetainExceptOnCreate"
        );
        let rules = bucket["LifecycleConfiguration"]["Rules"]
            .as_array()
            .unwrap();
        let aborts = rules
            .iter()
            .filter(|rule| rule.get("AbortIncompleteMultipartUpload").is_some());
        assert_eq!(aborts.count(), 1, "{name}");
        // Nothing that is current is ever taken away by a rule.
        let expires = |rule: &Value| {
            rule.get("ExpirationInDays").is_some() || rule.get("Transitions").is_some()
        };
        assert!(!rules.iter().any(expires), "{name}: {rules:?}");
    }
}

/// Amount and unit of `rate(...)`, as EventBridge Scheduler has it: singular
/// for one.
fn rate(expression: &str) -> Option<Duration> {
    let inner = expression.strip_prefix("rate(")?.strip_suffix(')')?;
    let (count, unit) = inner.split_once(' ')?;
    let count: u64 = count.parse().ok().filter(|count| *count > 0)?;
    let (unit, is_plural) = match unit.strip_suffix('s') {
        Some(unit) => (unit, true),
        None => (unit, false),
    };
    let seconds = match unit {
        "minute" => 60,
        "hour" => 3600,
        "day" => 86_400,
        _ => return None,
    };
    (is_plural == (count > 1)).then(|| Duration::from_secs(count * seconds))
}

#[test]
fn the_function_is_called_every_minute_and_not_again() {
    assert_eq!(rate("rate(2 hours)"), Some(Duration::from_secs(7200)));
    assert_eq!(rate("rate(1 minutes)"), None);
    assert_eq!(rate("cron(* * * * *)"), None);
    let deployed = Deployed::with(&[]);
    let schedule = deployed.properties("EveryMinute");
    let expression = text(&schedule["ScheduleExpression"]);
    assert_eq!(
        rate(&expression),
        Some(Duration::from_secs(60)),
        "{expression}"
    );
    assert_eq!(schedule["FlexibleTimeWindow"]["Mode"], "OFF");
    let again = &schedule["Target"]["RetryPolicy"]["MaximumRetryAttempts"];
    assert_eq!(number(again), 0);
    let function = deployed.properties("ScheduleOnce");
    assert_eq!(number(&function["MaximumRetryAttempts"]), 0);
    let without = Deployed::with(&[("ScheduleBy", "timer")]);
    assert!(without.of_type("AWS::Lambda::Function").is_empty());
    assert!(without.of_type("AWS::Scheduler::Schedule").is_empty());
}

#[test]
fn the_table_of_athena_is_the_catalogue() {
    let table = Deployed::with(&[]).properties("CatalogueTable");
    let input = &table["TableInput"];
    assert_eq!(input["Parameters"]["table_type"], "DELTA");
    let location = text(&input["StorageDescriptor"]["Location"]);
    assert!(
        location.ends_with(&format!("/{ENVIRONMENT}/catalogue/")),
        "{location}"
    );
    assert_eq!(
        input["StorageDescriptor"]["SerdeInfo"]["Parameters"]["path"],
        location
    );
}

//! What the attributes of a queue must be, and which are not.
//!
//! Pure: the answer of `GetQueueAttributes` in, every finding out, so that a
//! person sees all that is to be changed at once. The same table makes new
//! queues.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use aws_sdk_sqs::types::QueueAttributeName;
use serde::Deserialize;
use trawler_core::QueueName;

use super::message::MESSAGE_SIZE_MAX;
use super::options::SqsOptions;

/// 14 days, the longest that SQS keeps a message: a fleet that is paused for a
/// week loses nothing.
const RETENTION_S: u64 = 14 * 24 * 60 * 60;

/// The attributes of one queue by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Attributes(BTreeMap<String, String>);

impl Attributes {
    pub(super) fn of(found: Option<&HashMap<QueueAttributeName, String>>) -> Self {
        let pairs = found.into_iter().flatten();
        Self(
            pairs
                .map(|(name, value)| (name.as_str().to_owned(), value.clone()))
                .collect(),
        )
    }

    pub(super) fn get(&self, name: &QueueAttributeName) -> Option<&str> {
        self.0.get(name.as_str()).map(String::as_str)
    }

    /// A count, 0 where there is none.
    pub(super) fn count(&self, name: &QueueAttributeName) -> u64 {
        self.get(name)
            .and_then(|value| value.parse().ok())
            .unwrap_or(0)
    }

    pub(super) fn redrive(&self) -> Option<Redrive> {
        let policy = self.get(&QueueAttributeName::RedrivePolicy)?;
        serde_json::from_str(policy).ok()
    }
}

/// Where SQS puts what was received too often.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Redrive {
    pub(super) dead_letter_target_arn: String,
    #[serde(deserialize_with = "number")]
    pub(super) max_receive_count: u32,
}

/// SQS hands the policy back as it was given, as a number or as a text.
fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u32),
        Text(String),
    }
    match Either::deserialize(deserializer)? {
        Either::Number(number) => Ok(number),
        Either::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

impl Redrive {
    /// `arn:aws:sqs:{region}:{account}:{name}`.
    pub(super) fn name(&self) -> &str {
        let name = self.dead_letter_target_arn.rsplit(':').next();
        name.unwrap_or_default()
    }

    pub(super) fn account(&self) -> &str {
        let account = self.dead_letter_target_arn.rsplit(':').nth(1);
        account.unwrap_or_default()
    }
}

/// One attribute that is not what the code needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueFinding {
    pub queue: String,
    pub attribute: String,
    pub found: String,
    pub needed: String,
    /// What to do about it.
    pub change: String,
}

impl fmt::Display for QueueFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "queue {}: {} is {} and has to be {}: {}",
            self.queue, self.attribute, self.found, self.needed, self.change
        )
    }
}

struct Check<'a> {
    queue: &'a str,
    attributes: &'a Attributes,
    findings: Vec<QueueFinding>,
}

impl Check<'_> {
    fn find(&mut self, name: &QueueAttributeName, needed: &str, change: String) {
        let found = match self.attributes.get(name) {
            Some("") => "empty",
            Some(found) => found,
            None => "not set",
        };
        self.findings.push(QueueFinding {
            queue: self.queue.to_owned(),
            attribute: name.as_str().to_owned(),
            found: found.to_owned(),
            needed: needed.to_owned(),
            change,
        });
    }

    /// `or_else`: what may be changed on our side instead.
    fn equals(&mut self, name: QueueAttributeName, needed: &str, or_else: &str) {
        if self.attributes.get(&name) != Some(needed) {
            self.find(&name, needed, format!("set it to {needed}{or_else}"));
        }
    }

    /// What both queues need.
    fn common(&mut self) {
        if self.attributes.get(&QueueAttributeName::FifoQueue) != Some("true") {
            let change = "a standard queue cannot become a FIFO queue; make another, whose name ends with .fifo";
            self.find(&QueueAttributeName::FifoQueue, "true", change.to_owned());
        }
        let retention = RETENTION_S.to_string();
        self.equals(QueueAttributeName::MessageRetentionPeriod, &retention, "");
        self.equals(QueueAttributeName::DelaySeconds, "0", "");
        let size = QueueAttributeName::MaximumMessageSize;
        let needed = u64::try_from(MESSAGE_SIZE_MAX).unwrap_or(u64::MAX);
        if self.attributes.count(&size) < needed {
            let needed = format!("at least {needed}");
            self.find(&size, &needed, "raise it".to_owned());
        }
    }
}

pub(super) fn check_live(
    queue: &str,
    attributes: &Attributes,
    options: &SqsOptions,
) -> Vec<QueueFinding> {
    let mut check = Check {
        queue,
        attributes,
        findings: Vec::new(),
    };
    check.common();
    check.equals(QueueAttributeName::ContentBasedDeduplication, "false", "");
    let key = match options.name {
        QueueName::Crawl => "crawl_visibility_s",
        QueueName::Image => "image_visibility_s",
    };
    let found = attributes.count(&QueueAttributeName::VisibilityTimeout);
    check.equals(
        QueueAttributeName::VisibilityTimeout,
        &options.visibility.as_secs().to_string(),
        &format!(", or [queue] {key} to {found}"),
    );
    check_redrive(&mut check, options);
    if options.name == QueueName::Image {
        // Without it SQS takes 300 calls a second of each kind, for all hosts.
        let throughput = QueueAttributeName::FifoThroughputLimit;
        check.equals(QueueAttributeName::DeduplicationScope, "messageGroup", "");
        check.equals(throughput, "perMessageGroupId", "");
    }
    check.findings
}

fn check_redrive(check: &mut Check<'_>, options: &SqsOptions) {
    let name = QueueAttributeName::RedrivePolicy;
    let count = options.receive_count_max;
    let needed = format!("a FIFO dead-letter queue after {count} receives");
    match check.attributes.redrive() {
        None => check.find(
            &name,
            &needed,
            format!(
                "make the queue {} and set deadLetterTargetArn to it and maxReceiveCount to {count}",
                options.address().dead_name()
            ),
        ),
        Some(redrive) => {
            if !redrive.name().ends_with(".fifo") {
                let change = "name a FIFO queue in deadLetterTargetArn".to_owned();
                check.find(&name, &needed, change);
            }
            let found = redrive.max_receive_count;
            if found != count {
                check.find(
                    &name,
                    &needed,
                    format!("set maxReceiveCount to {count}, or [queue] receives_max to {found}"),
                );
            }
        }
    }
}

pub(super) fn check_dead(queue: &str, attributes: &Attributes) -> Vec<QueueFinding> {
    let mut check = Check {
        queue,
        attributes,
        findings: Vec::new(),
    };
    check.common();
    let redrive = QueueAttributeName::RedrivePolicy;
    if attributes
        .get(&redrive)
        .is_some_and(|policy| !policy.is_empty())
    {
        let change = "remove it: dead letters that are looked at often must stay";
        check.find(&redrive, "not set", change.to_owned());
    }
    check.findings
}

/// The attributes of a new dead-letter queue.
pub(super) fn new_dead(options: &SqsOptions) -> HashMap<QueueAttributeName, String> {
    HashMap::from([
        (QueueAttributeName::FifoQueue, "true".to_owned()),
        (
            QueueAttributeName::MessageRetentionPeriod,
            RETENTION_S.to_string(),
        ),
        (
            QueueAttributeName::VisibilityTimeout,
            options.visibility.as_secs().to_string(),
        ),
    ])
}

/// The attributes of a new queue before the dead-letter queue `dead_arn`.
pub(super) fn new_live(
    options: &SqsOptions,
    dead_arn: &str,
) -> HashMap<QueueAttributeName, String> {
    let redrive = serde_json::json!({
        "deadLetterTargetArn": dead_arn,
        "maxReceiveCount": options.receive_count_max,
    });
    let mut attributes = new_dead(options);
    attributes.insert(
        QueueAttributeName::ContentBasedDeduplication,
        "false".to_owned(),
    );
    attributes.insert(QueueAttributeName::RedrivePolicy, redrive.to_string());
    if options.name == QueueName::Image {
        let per_group = [
            (QueueAttributeName::DeduplicationScope, "messageGroup"),
            (QueueAttributeName::FifoThroughputLimit, "perMessageGroupId"),
        ];
        attributes.extend(per_group.map(|(name, value)| (name, value.to_owned())));
    }
    attributes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use trawler_core::Environment;

    use super::*;

    const DEAD_ARN: &str = "arn:aws:sqs:eu-west-1:123456789012:test-image-dead.fifo";

    fn options(name: QueueName) -> SqsOptions {
        SqsOptions {
            name,
            environment: Environment::parse("test").unwrap(),
            queue: format!("test-{name}.fifo"),
            visibility: Duration::from_secs(120),
            receive_count_max: 100,
        }
    }

    /// As SQS answers for a queue that was made by the table.
    fn made(attributes: HashMap<QueueAttributeName, String>) -> Attributes {
        let mut made = Attributes::of(Some(&attributes));
        for (name, value) in [("DelaySeconds", "0"), ("MaximumMessageSize", "1048576")] {
            made.0.insert(name.to_owned(), value.to_owned());
        }
        made
    }

    #[test]
    fn new_queues_are_as_they_must_be() {
        for name in [QueueName::Crawl, QueueName::Image] {
            let options = options(name);
            let live = made(new_live(&options, DEAD_ARN));
            assert_eq!(check_live("q.fifo", &live, &options), []);
            assert_eq!(check_dead("d.fifo", &made(new_dead(&options))), []);
        }
    }

    #[test]
    fn each_attribute_that_differs_is_named_with_both_values() {
        let options = options(QueueName::Image);
        let check = |name: &str, value: Option<&str>, expected: &str| {
            let mut attributes = made(new_live(&options, DEAD_ARN));
            match value {
                Some(value) => attributes.0.insert(name.to_owned(), value.to_owned()),
                None => attributes.0.remove(name),
            };
            let findings = check_live("q.fifo", &attributes, &options);
            let texts: Vec<String> = findings.iter().map(ToString::to_string).collect();
            assert_eq!(texts, [expected], "{name}");
        };
        check(
            "FifoQueue",
            None,
            "queue q.fifo: FifoQueue is not set and has to be true: a standard queue cannot become a FIFO queue; make another, whose name ends with .fifo",
        );
        check(
            "ContentBasedDeduplication",
            Some("true"),
            "queue q.fifo: ContentBasedDeduplication is true and has to be false: set it to false",
        );
        check(
            "VisibilityTimeout",
            Some("30"),
            "queue q.fifo: VisibilityTimeout is 30 and has to be 120: set it to 120, or [queue] image_visibility_s to 30",
        );
        check(
            "MessageRetentionPeriod",
            Some("345600"),
            "queue q.fifo: MessageRetentionPeriod is 345600 and has to be 1209600: set it to 1209600",
        );
        check(
            "DelaySeconds",
            Some("5"),
            "queue q.fifo: DelaySeconds is 5 and has to be 0: set it to 0",
        );
        check(
            "MaximumMessageSize",
            Some("1024"),
            "queue q.fifo: MaximumMessageSize is 1024 and has to be at least 37120: raise it",
        );
        check(
            "RedrivePolicy",
            None,
            "queue q.fifo: RedrivePolicy is not set and has to be a FIFO dead-letter queue after 100 receives: make the queue test-image-dead.fifo and set deadLetterTargetArn to it and maxReceiveCount to 100",
        );
        check(
            "RedrivePolicy",
            Some(r#"{"deadLetterTargetArn":"arn:aws:sqs:a:1:d.fifo","maxReceiveCount":"3"}"#),
            r#"queue q.fifo: RedrivePolicy is {"deadLetterTargetArn":"arn:aws:sqs:a:1:d.fifo","maxReceiveCount":"3"} and has to be a FIFO dead-letter queue after 100 receives: set maxReceiveCount to 100, or [queue] receives_max to 3"#,
        );
        check(
            "DeduplicationScope",
            Some("queue"),
            "queue q.fifo: DeduplicationScope is queue and has to be messageGroup: set it to messageGroup",
        );
        check(
            "FifoThroughputLimit",
            None,
            "queue q.fifo: FifoThroughputLimit is not set and has to be perMessageGroupId: set it to perMessageGroupId",
        );
    }

    #[test]
    fn everything_is_found_at_once() {
        let options = options(QueueName::Image);
        let findings = check_live("q", &Attributes::default(), &options);
        assert_eq!(findings.len(), 9, "{findings:#?}");
        let mut dead = made(new_dead(&options));
        let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:a:1:b.fifo","maxReceiveCount":1}"#;
        dead.0.insert("RedrivePolicy".to_owned(), policy.to_owned());
        let findings = check_dead("d.fifo", &dead);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].needed, "not set");
    }
}

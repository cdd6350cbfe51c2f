//! Which queue a process works on, and how it is named.

use std::time::Duration;

use trawler_core::ports::VISIBILITY_MAX;
use trawler_core::{Environment, QueueName};

/// What the name of a FIFO queue ends with.
const FIFO: &str = ".fifo";

/// What the name of its dead-letter queue has before that.
const DEAD: &str = "-dead";

/// Most deliveries before a message goes to the backstop; the bound of SQS.
const RECEIVE_COUNT_MAX: u32 = 1000;

/// One queue of one fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqsOptions {
    pub name: QueueName,
    pub environment: Environment,
    /// Name or URL of the queue. The name that a fleet gives it is
    /// `{environment}-{name}.fifo`, with `{environment}-{name}-dead.fifo`
    /// behind it; the latter is found through the redrive policy.
    pub queue: String,
    /// How long a received message is its receiver's: whole seconds, 1 s to
    /// 12 h.
    pub visibility: Duration,
    /// Deliveries after which a message goes to the backstop dead-letter queue
    /// instead of being delivered again: 1 to 1000.
    pub receive_count_max: u32,
}

impl SqsOptions {
    /// What the options cannot be, for people.
    pub(super) fn check(&self) -> Result<(), String> {
        let visibility = self.visibility;
        if visibility < Duration::from_secs(1) || visibility > VISIBILITY_MAX {
            Err(format!(
                "visibility {visibility:?} is outside the bounds 1 s to {VISIBILITY_MAX:?}"
            ))
        } else if visibility.subsec_nanos() != 0 {
            Err(format!(
                "visibility {visibility:?} is no number of seconds, in which SQS counts"
            ))
        } else if !(1..=RECEIVE_COUNT_MAX).contains(&self.receive_count_max) {
            Err(format!(
                "receive_count_max {} is outside the bounds 1 to {RECEIVE_COUNT_MAX}",
                self.receive_count_max
            ))
        } else {
            Ok(())
        }
    }

    pub(super) fn address(&self) -> Address<'_> {
        Address::parse(&self.queue)
    }
}

/// Where a queue is, as far as its name or URL tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address<'a> {
    pub(super) name: &'a str,
    pub(super) url: Option<&'a str>,
    pub(super) region: Option<&'a str>,
}

impl<'a> Address<'a> {
    fn parse(queue: &'a str) -> Self {
        let Some((_, rest)) = queue.split_once("://") else {
            return Self {
                name: queue,
                url: None,
                region: None,
            };
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = authority.split(':').next().unwrap_or_default();
        Self {
            name: path.rsplit('/').next().unwrap_or_default(),
            url: Some(queue),
            region: region_of(host),
        }
    }

    pub(super) fn is_fifo(&self) -> bool {
        self.name.ends_with(FIFO)
    }

    /// Of a FIFO queue's name.
    pub(super) fn dead_name(&self) -> String {
        let stem = self.name.strip_suffix(FIFO).unwrap_or(self.name);
        format!("{stem}{DEAD}{FIFO}")
    }
}

/// `sqs.eu-west-1.amazonaws.com`, its FIPS, dual-stack and endpoint-service
/// forms, and the older `eu-west-1.queue.amazonaws.com`. Other hosts, such as
/// those of emulators, name no region.
fn region_of(host: &str) -> Option<&str> {
    let known = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"];
    if !known.iter().any(|suffix| host.ends_with(suffix)) {
        return None;
    }
    if host == "queue.amazonaws.com" {
        return Some("us-east-1");
    }
    host.split('.').find(|label| {
        let parts: Vec<&str> = label.split('-').collect();
        parts.len() >= 3 && parts[0].len() == 2 && parts[parts.len() - 1].parse::<u8>().is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_urls_say_where_a_queue_is() {
        let check = |queue: &str, name: &str, region: Option<&str>| {
            let address = Address::parse(queue);
            assert_eq!((address.name, address.region), (name, region), "{queue}");
        };
        check("production-crawl.fifo", "production-crawl.fifo", None);
        check(
            "https://sqs.eu-west-1.amazonaws.com/123456789012/a.fifo",
            "a.fifo",
            Some("eu-west-1"),
        );
        check(
            "https://us-gov-west-1.queue.amazonaws.com/1/a.fifo",
            "a.fifo",
            Some("us-gov-west-1"),
        );
        check(
            "https://vpce-0a1b-2c3d.sqs.ap-northeast-2.vpce.amazonaws.com/1/a.fifo",
            "a.fifo",
            Some("ap-northeast-2"),
        );
        check(
            "https://sqs.cn-north-1.amazonaws.com.cn/1/a.fifo",
            "a.fifo",
            Some("cn-north-1"),
        );
        check(
            "https://queue.amazonaws.com/1/a.fifo",
            "a.fifo",
            Some("us-east-1"),
        );
        check("http://127.0.0.1:4566/000000000000/a.fifo", "a.fifo", None);
        check("https://sqs.eu-west-1.amazonaws.com", "", Some("eu-west-1"));
    }

    #[test]
    fn the_dead_letter_queue_is_named_after_its_queue() {
        let address = Address::parse("http://127.0.0.1:4566/0/production-crawl.fifo");
        assert_eq!(address.dead_name(), "production-crawl-dead.fifo");
        assert!(address.is_fifo());
        assert!(!Address::parse("production-crawl").is_fifo());
    }
}

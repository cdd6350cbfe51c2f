//! What a redrive keeps in memory of a letter: enough to order and to delete
//! it; the body is in the job's record.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use trawler_core::dead::DeadLetter;
use trawler_core::job::{CrawlJob, ImageJob};
use trawler_core::ports::Version;
use trawler_core::{JobId, PipeId, QueueName, RunId};

use super::selection::Found;

#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) queue: QueueName,
    pub(super) job: JobId,
    pub(super) group: String,
    pub(super) order: DateTime<Utc>,
    pub(super) buried: DateTime<Utc>,
    pub(super) epoch: u64,
    pub(super) key: String,
    pub(super) version: Version,
    pub(super) work: Work,
}

/// What the job was to do.
#[derive(Debug, Clone)]
pub(super) enum Work {
    Collect(RunId),
    Fold {
        pipe: PipeId,
        fold: i64,
    },
    Images(RunId),
    /// A refetch or upkeep, which no other job stands for: sent as it is.
    Alone,
    /// Of a version that this program does not know; sent as it is.
    Strange,
}

impl Item {
    /// The name back when it is a message that names no job.
    pub(super) fn of(found: Found) -> Result<Self, String> {
        let Found {
            letter,
            key,
            version,
        } = found;
        let job = match JobId::parse(&letter.job) {
            Ok(job) if letter.is_job() => job,
            Ok(_) | Err(_) => return Err(letter.job),
        };
        Ok(Self {
            queue: letter.queue,
            job,
            order: letter.order(),
            buried: letter.buried,
            epoch: letter.epoch,
            work: work_of(&letter),
            group: letter.group,
            key,
            version,
        })
    }
}

fn work_of(letter: &DeadLetter) -> Work {
    match letter.queue {
        QueueName::Crawl => match CrawlJob::decode(&letter.body) {
            Ok(CrawlJob::Collect { run }) => Work::Collect(run),
            Ok(CrawlJob::Fold { pipe, fold }) => Work::Fold { pipe, fold },
            Ok(CrawlJob::Refetch { .. } | CrawlJob::Upkeep { .. }) => Work::Alone,
            Err(_) => Work::Strange,
        },
        QueueName::Image => match ImageJob::decode(&letter.body) {
            Ok(job) => Work::Images(job.run),
            Err(_) => Work::Strange,
        },
    }
}

/// Orders items for sending: those of one group as they were planned, and the
/// groups by turns, so that a batch has messages of many groups and none waits
/// for the end of another.
pub(super) fn by_turns(mut items: Vec<Item>) -> Vec<Item> {
    items.sort_by(|a, b| (a.order, &a.job).cmp(&(b.order, &b.job)));
    let mut turns: HashMap<(QueueName, &str), usize> = HashMap::new();
    let places: Vec<usize> = items
        .iter()
        .map(|item| {
            let turn = turns.entry((item.queue, &item.group)).or_default();
            *turn += 1;
            *turn
        })
        .collect();
    let mut placed: Vec<(usize, Item)> = places.into_iter().zip(items).collect();
    // Stable: within a turn the oldest first.
    placed.sort_by_key(|(turn, item)| (item.queue, *turn));
    placed.into_iter().map(|(_, item)| item).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn groups_take_turns_and_keep_their_order() {
        let item = |group: &str, second: i64| Item {
            queue: QueueName::Crawl,
            job: JobId::parse(&format!("{group}-{second}")).unwrap(),
            group: group.to_owned(),
            order: DateTime::<Utc>::UNIX_EPOCH + chrono::Duration::seconds(second),
            buried: DateTime::<Utc>::UNIX_EPOCH,
            epoch: 0,
            key: String::new(),
            version: Version(String::new()),
            work: Work::Strange,
        };
        let items = vec![item("a", 3), item("b", 9), item("a", 1), item("a", 2)];
        let sorted = by_turns(items);
        let names: Vec<&str> = sorted.iter().map(|item| item.job.as_str()).collect();
        assert_eq!(names, ["a-1", "b-9", "a-2", "a-3"]);
    }
}

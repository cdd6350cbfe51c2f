//! What is ready to be sent, by group: a group has one batch under way, so
//! that its messages arrive in their order.

use std::collections::{HashMap, VecDeque};

use trawler_core::QueueName;
use trawler_core::ports::{BATCH_MAX, Outgoing};

use super::item::Item;

/// A job that is ready to be sent.
pub(super) struct Ready {
    pub(super) item: Item,
    pub(super) message: Outgoing,
}

#[derive(Default)]
struct Lane {
    waiting: VecDeque<Ready>,
    locked: bool,
}

/// The groups of one queue.
struct Lanes {
    queue: QueueName,
    groups: HashMap<String, Lane>,
    /// Groups that something waits in and nothing is under way of.
    free: VecDeque<String>,
}

/// Everything that is ready.
pub(super) struct Waiting {
    queues: Vec<Lanes>,
    len: usize,
}

impl Default for Waiting {
    fn default() -> Self {
        let lanes = |queue| Lanes {
            queue,
            groups: HashMap::new(),
            free: VecDeque::new(),
        };
        Self {
            queues: QueueName::ALL.into_iter().map(lanes).collect(),
            len: 0,
        }
    }
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, ready: Ready) {
        self.len += 1;
        let lanes = self.of(ready.item.queue);
        let lane = lanes.groups.entry(ready.item.group.clone()).or_default();
        if lane.waiting.is_empty() && !lane.locked {
            lanes.free.push_back(ready.item.group.clone());
        }
        lane.waiting.push_back(ready);
    }

    /// The next messages of one queue, whose groups are locked from now on:
    /// ten, or fewer if `partial` or none. Of a crawl group a batch has one
    /// message alone, so that runs of a pipe keep their order also if the
    /// queue takes some of a batch and others not.
    pub(super) fn next_batch(&mut self, partial: bool) -> Vec<Ready> {
        let enough = |lanes: &&mut Lanes| partial || lanes.available() == BATCH_MAX;
        let batch = self
            .queues
            .iter_mut()
            .filter(|lanes| !lanes.free.is_empty())
            .find(enough)
            .map(Lanes::take)
            .unwrap_or_default();
        self.len -= batch.len();
        batch
    }

    /// The batch has arrived; what waits in its groups may go.
    pub(super) fn unlock(&mut self, batch: &[Ready]) {
        for ready in batch {
            let lanes = self.of(ready.item.queue);
            let Some(lane) = lanes.groups.get_mut(&ready.item.group) else {
                continue;
            };
            if !std::mem::take(&mut lane.locked) {
                continue;
            }
            if lane.waiting.is_empty() {
                lanes.groups.remove(&ready.item.group);
            } else {
                lanes.free.push_back(ready.item.group.clone());
            }
        }
    }

    fn of(&mut self, queue: QueueName) -> &mut Lanes {
        let lanes = self.queues.iter_mut().find(|lanes| lanes.queue == queue);
        lanes.expect("there are lanes of every queue")
    }
}

impl Lanes {
    /// Most messages of one group in a batch.
    fn of_group_max(&self) -> usize {
        match self.queue {
            QueueName::Crawl => 1,
            QueueName::Image => BATCH_MAX,
        }
    }

    /// Messages that could go now, up to a batch.
    fn available(&self) -> usize {
        let mut available = 0;
        for group in &self.free {
            available += self.groups[group].waiting.len().min(self.of_group_max());
            if available >= BATCH_MAX {
                return BATCH_MAX;
            }
        }
        available
    }

    fn take(&mut self) -> Vec<Ready> {
        let groups: Vec<String> = {
            let count = self.free.len().min(BATCH_MAX);
            self.free.drain(..count).collect()
        };
        let mut batch = Vec::with_capacity(BATCH_MAX);
        // By turns, so that few groups do not keep the others waiting.
        for _ in 0..self.of_group_max() {
            for group in &groups {
                let Some(lane) = self.groups.get_mut(group) else {
                    continue;
                };
                lane.locked = true;
                if batch.len() < BATCH_MAX {
                    batch.extend(lane.waiting.pop_front());
                }
            }
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chrono::{DateTime, Utc};
    use trawler_core::JobId;
    use trawler_core::ports::Version;

    use super::super::item::Work;
    use super::*;

    fn ready(queue: QueueName, group: &str, n: usize) -> Ready {
        let item = Item {
            queue,
            job: JobId::parse(&format!("{group}-{n}")).unwrap(),
            group: group.to_owned(),
            order: DateTime::<Utc>::UNIX_EPOCH,
            buried: DateTime::<Utc>::UNIX_EPOCH,
            epoch: 0,
            key: String::new(),
            version: Version(String::new()),
            work: Work::Strange,
        };
        let message = Outgoing {
            group: group.to_owned(),
            dedup_id: item.job.to_string(),
            body: String::new(),
        };
        Ready { item, message }
    }

    fn names(batch: &[Ready]) -> Vec<&str> {
        batch.iter().map(|ready| ready.item.job.as_str()).collect()
    }

    #[test]
    fn a_group_has_one_batch_under_way_and_keeps_its_order() {
        let mut waiting = Waiting::default();
        for n in 0..6 {
            waiting.push(ready(QueueName::Image, "a", n));
            waiting.push(ready(QueueName::Image, "b", n));
        }
        let first = waiting.next_batch(false);
        assert_eq!(
            names(&first),
            [
                "a-0", "b-0", "a-1", "b-1", "a-2", "b-2", "a-3", "b-3", "a-4", "b-4"
            ]
        );
        assert!(waiting.next_batch(true).is_empty(), "both are under way");
        waiting.unlock(&first);
        assert!(waiting.next_batch(false).is_empty(), "two are no batch");
        assert_eq!(names(&waiting.next_batch(true)), ["a-5", "b-5"]);
        assert_eq!(waiting.len(), 0);
    }

    #[test]
    fn a_batch_has_one_run_of_a_pipe() {
        let mut waiting = Waiting::default();
        for n in 0..2 {
            waiting.push(ready(QueueName::Crawl, "a", n));
            waiting.push(ready(QueueName::Crawl, "b", n));
        }
        let first = waiting.next_batch(true);
        assert_eq!(names(&first), ["a-0", "b-0"]);
        assert!(waiting.next_batch(true).is_empty());
        waiting.unlock(&first);
        assert_eq!(names(&waiting.next_batch(true)), ["a-1", "b-1"]);
    }
}

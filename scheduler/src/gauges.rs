//! How much work waits, once a tick, from what the tick has looked at anyway.
//!
//! The ledger is asked and not the queues: the depth of a FIFO queue is
//! approximate, tells nothing about how much of it could run side by side, and
//! has no oldest age. No figure names a pipe.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::ports::Metric;
use trawler_core::{PipeId, QueueName};
use trawler_fleet::Jobs;

use crate::look::Look;
use crate::tick::Scheduler;

/// What waits in one queue.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Backlog {
    jobs: u64,
    dead: u64,
    oldest_s: f64,
}

impl Scheduler {
    /// Figures cannot fail a tick: what cannot be asked is left out.
    pub(crate) async fn record_gauges(&self, look: &Look) {
        let (metrics, now) = (&self.ports.metrics, self.now());
        for queue in QueueName::ALL {
            let backlog = backlog(records(look, queue), now);
            metrics.record(Metric::QueueDepth {
                queue,
                jobs: backlog.jobs,
            });
            metrics.record(Metric::OldestAge {
                queue,
                seconds: backlog.oldest_s,
            });
            metrics.record(Metric::DeadLetters {
                queue,
                letters: backlog.dead,
            });
            if let Some(workers) = self.workers(queue).await {
                metrics.record(Metric::BacklogPerInstance {
                    queue,
                    jobs: backlog.jobs as f64 / f64::from(workers.max(1)),
                });
            }
        }
        let pipes = runnable(records(look, QueueName::Crawl));
        metrics.record(Metric::RunnablePipes { pipes });
    }

    async fn workers(&self, queue: QueueName) -> Option<u32> {
        match self.capacity.as_ref()?.in_service(queue).await {
            Ok(workers) => Some(workers),
            Err(error) => {
                tracing::debug!(%queue, %error, "workers of the {queue} queue are not counted");
                None
            }
        }
    }
}

fn records(look: &Look, queue: QueueName) -> impl Iterator<Item = &JobRecord> {
    look.jobs(queue).iter().map(|at| &**at.document)
}

fn backlog<'a>(records: impl Iterator<Item = &'a JobRecord>, now: DateTime<Utc>) -> Backlog {
    let mut backlog = Backlog::default();
    for record in records {
        match record.status {
            JobStatus::Open => {
                backlog.jobs += 1;
                let since = record.sent.unwrap_or(record.planned);
                let age_s = (now - since).as_seconds_f64();
                backlog.oldest_s = backlog.oldest_s.max(age_s);
            }
            JobStatus::Dead if !Jobs::is_purged(record) => backlog.dead += 1,
            JobStatus::Dead | JobStatus::Parked | JobStatus::Done | JobStatus::Superseded => {}
        }
    }
    backlog
}

/// Pipes with an open job, and none in hand: a group is locked while one of
/// its messages is in flight.
fn runnable<'a>(records: impl Iterator<Item = &'a JobRecord>) -> u64 {
    let (mut waiting, mut locked) = (HashSet::<&PipeId>::new(), HashSet::new());
    for record in records.filter(|record| record.status == JobStatus::Open) {
        if record.in_hand {
            locked.insert(&record.pipe);
        } else {
            waiting.insert(&record.pipe);
        }
    }
    waiting.difference(&locked).count() as u64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use trawler_core::JobId;

    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(minute * 60, 0).unwrap()
    }

    fn planned(name: &str, pipe: &str, minute: i64) -> JobRecord {
        let (job, pipe) = (JobId::parse(name).unwrap(), PipeId::parse(pipe).unwrap());
        let (group, body) = (pipe.to_string(), String::new());
        JobRecord::plan(job, QueueName::Crawl, pipe, group, body, at(minute))
    }

    fn with(mut record: JobRecord, change: impl FnOnce(&mut JobRecord)) -> JobRecord {
        change(&mut record);
        record
    }

    #[test]
    fn open_jobs_are_counted_with_the_age_of_the_oldest() {
        let records = [
            planned("a", "one", 50),
            with(planned("b", "two", 1), |job| job.mark_sent(at(40))),
            with(planned("c", "three", 0), |job| {
                job.status = JobStatus::Parked
            }),
            with(planned("d", "four", 0), |job| job.status = JobStatus::Done),
            with(planned("e", "five", 0), |job| job.status = JobStatus::Dead),
        ];
        let expected = Backlog {
            jobs: 2,
            dead: 1,
            oldest_s: 20.0 * 60.0,
        };
        assert_eq!(backlog(records.iter(), at(60)), expected);
        assert_eq!(backlog([].iter(), at(60)), Backlog::default());
    }

    #[test]
    fn a_pipe_with_a_job_in_hand_is_not_runnable() {
        let taken = |name, pipe| {
            with(planned(name, pipe, 0), |job| {
                job.take("d", at(1));
            })
        };
        let records = [
            planned("a", "one", 0),
            planned("b", "one", 0),
            planned("c", "two", 0),
            taken("d", "two"),
            taken("e", "three"),
            with(planned("f", "four", 0), |job| {
                job.status = JobStatus::Parked
            }),
        ];
        assert_eq!(runnable(records.iter()), 1);
    }
}

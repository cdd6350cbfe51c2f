//! Counters in memory, for the summary of a run and for tests.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use trawler_core::QueueName;
use trawler_core::ports::{Metric, Metrics};

/// Distinct verdicts a queue is counted by. The vocabulary of verdicts is
/// fixed in code and half as large; what does not fit counts as
/// [`OTHER_VERDICTS`], so that recording never allocates without bound.
const VERDICTS_MAX: usize = 16;

/// The name under which verdicts beyond [`VERDICTS_MAX`] are counted.
const OTHER_VERDICTS: &str = "other";

/// Adds up everything recorded since it was made. Lock-free.
#[derive(Debug, Default)]
pub struct CountingMetrics {
    crawl: QueueCounters,
    image: QueueCounters,
    runs_finished: AtomicU64,
    run_ms: AtomicU64,
    products_read: AtomicU64,
    products_changed: AtomicU64,
    rows_rewritten: AtomicU64,
    feed_bytes_down: AtomicU64,
    image_requests_conditional: AtomicU64,
    image_requests_plain: AtomicU64,
    image_bytes_down: AtomicU64,
    images_stored: AtomicU64,
    image_bytes_up: AtomicU64,
}

#[derive(Debug, Default)]
struct QueueCounters {
    verdicts: [VerdictCounter; VERDICTS_MAX],
    other_verdicts: AtomicU64,
    leases_renewed: AtomicU64,
    leases_lost: AtomicU64,
    drained: AtomicU64,
}

#[derive(Debug, Default)]
struct VerdictCounter {
    verdict: OnceLock<&'static str>,
    count: AtomicU64,
}

/// What was recorded up to one moment. Counters are read one after the other,
/// so that a snapshot taken under load may be off by what happened meanwhile.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MetricsSnapshot {
    /// Settled jobs by queue and verdict; verdicts that did not occur are absent.
    pub jobs_settled: BTreeMap<QueueName, BTreeMap<&'static str, u64>>,
    pub leases_renewed: BTreeMap<QueueName, u64>,
    pub leases_lost: BTreeMap<QueueName, u64>,
    pub drained: BTreeMap<QueueName, u64>,
    pub runs_finished: u64,
    /// Sum over all finished runs, to the millisecond.
    pub run_seconds: f64,
    pub products_read: u64,
    pub products_changed: u64,
    pub rows_rewritten: u64,
    pub feed_bytes_down: u64,
    pub image_requests_conditional: u64,
    pub image_requests_plain: u64,
    pub image_bytes_down: u64,
    pub images_stored: u64,
    pub image_bytes_up: u64,
}

impl CountingMetrics {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn snapshot(&self) -> MetricsSnapshot {
        let by_queue = |read: fn(&QueueCounters) -> u64| {
            QueueName::ALL
                .into_iter()
                .map(|queue| (queue, read(self.queue(queue))))
                .collect()
        };
        MetricsSnapshot {
            jobs_settled: QueueName::ALL
                .into_iter()
                .map(|queue| (queue, self.queue(queue).settled()))
                .collect(),
            leases_renewed: by_queue(|q| read(&q.leases_renewed)),
            leases_lost: by_queue(|q| read(&q.leases_lost)),
            drained: by_queue(|q| read(&q.drained)),
            runs_finished: read(&self.runs_finished),
            run_seconds: Duration::from_millis(read(&self.run_ms)).as_secs_f64(),
            products_read: read(&self.products_read),
            products_changed: read(&self.products_changed),
            rows_rewritten: read(&self.rows_rewritten),
            feed_bytes_down: read(&self.feed_bytes_down),
            image_requests_conditional: read(&self.image_requests_conditional),
            image_requests_plain: read(&self.image_requests_plain),
            image_bytes_down: read(&self.image_bytes_down),
            images_stored: read(&self.images_stored),
            image_bytes_up: read(&self.image_bytes_up),
        }
    }

    fn queue(&self, queue: QueueName) -> &QueueCounters {
        match queue {
            QueueName::Crawl => &self.crawl,
            QueueName::Image => &self.image,
        }
    }
}

impl Metrics for CountingMetrics {
    fn record(&self, metric: Metric) {
        match metric {
            Metric::JobSettled { queue, verdict } => self.queue(queue).settle(verdict),
            Metric::LeaseRenewed { queue } => add(&self.queue(queue).leases_renewed, 1),
            Metric::LeaseLost { queue } => add(&self.queue(queue).leases_lost, 1),
            Metric::Drained { queue } => add(&self.queue(queue).drained, 1),
            Metric::RunFinished { seconds } => {
                add(&self.runs_finished, 1);
                // A negative or absurd figure counts as none rather than panic.
                let span = Duration::try_from_secs_f64(seconds).unwrap_or_default();
                add(
                    &self.run_ms,
                    u64::try_from(span.as_millis()).unwrap_or(u64::MAX),
                );
            }
            Metric::ProductsRead { rows } => add(&self.products_read, rows),
            Metric::ProductsChanged { rows } => add(&self.products_changed, rows),
            Metric::RowsRewritten { rows } => add(&self.rows_rewritten, rows),
            Metric::FeedBytesDown { bytes } => add(&self.feed_bytes_down, bytes),
            Metric::ImageRequests { conditional, count } => {
                let counter = if conditional {
                    &self.image_requests_conditional
                } else {
                    &self.image_requests_plain
                };
                add(counter, count);
            }
            Metric::ImageBytesDown { bytes } => add(&self.image_bytes_down, bytes),
            Metric::ImagesStored { count } => add(&self.images_stored, count),
            Metric::ImageBytesUp { bytes } => add(&self.image_bytes_up, bytes),
        }
    }
}

impl QueueCounters {
    fn settle(&self, verdict: &'static str) {
        for slot in &self.verdicts {
            if *slot.verdict.get_or_init(|| verdict) == verdict {
                add(&slot.count, 1);
                return;
            }
        }
        add(&self.other_verdicts, 1);
    }

    fn settled(&self) -> BTreeMap<&'static str, u64> {
        let named = self.verdicts.iter().filter_map(|slot| {
            let verdict = slot.verdict.get()?;
            Some((*verdict, read(&slot.count)))
        });
        let other = (OTHER_VERDICTS, read(&self.other_verdicts));
        named
            .chain([other])
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn counts_add_up_from_several_threads() {
        let metrics = CountingMetrics::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        metrics.record(Metric::JobSettled {
                            queue: QueueName::Image,
                            verdict: "done",
                        });
                        metrics.record(Metric::RunFinished { seconds: 0.25 });
                        metrics.record(Metric::ImageRequests {
                            conditional: true,
                            count: 2,
                        });
                    }
                });
            }
        });
        let snapshot = metrics.snapshot();
        assert_eq!(snapshot.jobs_settled[&QueueName::Image]["done"], 400);
        assert!(snapshot.jobs_settled[&QueueName::Crawl].is_empty());
        assert_eq!(snapshot.runs_finished, 400);
        assert!((snapshot.run_seconds - 100.0).abs() < 1e-9);
        assert_eq!(snapshot.image_requests_conditional, 800);
        assert_eq!(snapshot.image_requests_plain, 0);
    }

    #[test]
    fn verdicts_beyond_the_bound_count_as_other() {
        let names: [&'static str; VERDICTS_MAX + 2] = [
            "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q",
            "r",
        ];
        let metrics = CountingMetrics::new();
        for verdict in names {
            metrics.record(Metric::JobSettled {
                queue: QueueName::Crawl,
                verdict,
            });
        }
        let settled = &metrics.snapshot().jobs_settled[&QueueName::Crawl];
        assert_eq!(settled.len(), VERDICTS_MAX + 1);
        assert_eq!(settled[OTHER_VERDICTS], 2);
    }

    #[test]
    fn a_snapshot_is_written_as_json() {
        let metrics = CountingMetrics::new();
        metrics.record(Metric::LeaseLost {
            queue: QueueName::Crawl,
        });
        metrics.record(Metric::RunFinished { seconds: f64::NAN });
        let json = serde_json::to_value(metrics.snapshot()).unwrap();
        assert_eq!(json["leases_lost"]["crawl"], 1);
        assert_eq!(json["runs_finished"], 1);
        assert_eq!(json["run_seconds"], 0.0);
    }
}

//! Figures in memory, for the summary of a run, the metrics page and tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use trawler_core::QueueName;
use trawler_core::figures::{Figure, Figures, OTHER_VERDICT, Series, VERDICTS, Value};
use trawler_core::ports::{KeptMetrics, Metric, Metrics};

/// Adds up everything recorded since it was made. The lock is held for the
/// time of one addition, some 100 ns.
#[derive(Debug, Default)]
pub struct CountingMetrics {
    figures: Mutex<Figures>,
}

/// What was recorded up to one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MetricsSnapshot {
    /// Settled jobs by queue and verdict; verdicts that did not occur are absent.
    pub jobs_settled: BTreeMap<QueueName, BTreeMap<&'static str, u64>>,
    pub leases_renewed: BTreeMap<QueueName, u64>,
    pub leases_lost: BTreeMap<QueueName, u64>,
    pub drained: BTreeMap<QueueName, u64>,
    pub runs_finished: u64,
    /// Sum over all finished runs.
    pub run_seconds: f64,
    pub commits: u64,
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
        MetricsSnapshot::from(&*self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Figures> {
        // An addition leaves the figures whole, also one that panicked.
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Metrics for CountingMetrics {
    fn record(&self, metric: Metric) {
        self.lock().record(metric);
    }
}

impl KeptMetrics for CountingMetrics {
    fn figures(&self) -> Figures {
        self.lock().clone()
    }
}

impl From<&Figures> for MetricsSnapshot {
    fn from(figures: &Figures) -> Self {
        let sum = |figure| figures.count(Series::of(figure));
        let by_queue = |figure| {
            QueueName::ALL
                .map(|queue| (queue, figures.count(Series::of_queue(figure, queue))))
                .into()
        };
        let (runs_finished, run_seconds) = match figures.get(Series::of(Figure::RunSeconds)) {
            Some(Value::Spread(spread)) => (spread.count, spread.sum),
            Some(Value::Count(_) | Value::Level(_)) | None => (0, 0.0),
        };
        Self {
            jobs_settled: QueueName::ALL
                .map(|queue| (queue, settled(figures, queue)))
                .into(),
            leases_renewed: by_queue(Figure::LeasesRenewed),
            leases_lost: by_queue(Figure::LeasesLost),
            drained: by_queue(Figure::Drains),
            runs_finished,
            run_seconds,
            commits: sum(Figure::Commits),
            products_read: sum(Figure::ProductsRead),
            products_changed: sum(Figure::ProductsChanged),
            rows_rewritten: sum(Figure::RowsRewritten),
            feed_bytes_down: sum(Figure::FeedBytesDown),
            image_requests_conditional: sum(Figure::ImageRequestsConditional),
            image_requests_plain: sum(Figure::ImageRequestsPlain),
            image_bytes_down: sum(Figure::ImageBytesDown),
            images_stored: sum(Figure::ImagesStored),
            image_bytes_up: sum(Figure::ImageBytesUp),
        }
    }
}

fn settled(figures: &Figures, queue: QueueName) -> BTreeMap<&'static str, u64> {
    let of_verdict = |verdict| {
        let series = Series {
            verdict: Some(verdict),
            ..Series::of_queue(Figure::JobsSettled, queue)
        };
        (verdict, figures.count(series))
    };
    VERDICTS
        .into_iter()
        .chain([OTHER_VERDICT])
        .map(of_verdict)
        .filter(|(_, count)| *count > 0)
        .collect()
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
        assert_eq!(MetricsSnapshot::from(&metrics.figures()), snapshot);
    }

    #[test]
    fn verdicts_beyond_the_vocabulary_count_as_other() {
        let metrics = CountingMetrics::new();
        for verdict in ["done", "a", "b"] {
            metrics.record(Metric::JobSettled {
                queue: QueueName::Crawl,
                verdict,
            });
        }
        let settled = &metrics.snapshot().jobs_settled[&QueueName::Crawl];
        assert_eq!(settled.len(), 2);
        assert_eq!(settled[OTHER_VERDICT], 2);
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

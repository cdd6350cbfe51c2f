//! Figures on CloudWatch.
//!
//! Recording adds to a sum in memory. Once a minute a task, which its owner
//! joins, sends what has changed: counters as sums, gauges as their latest
//! value, distributions as statistic sets. What cannot be delivered is kept for
//! an hour and then dropped, oldest first and counted. No failure reaches a job.
//!
//! What it costs (us-east-1, 2025: $0.30 a metric and month, by the hour in
//! which it got data; $0.01 a thousand PutMetricData): a metric is a name with
//! its dimensions. There are 49 at most (a test counts them), whatever the
//! number of pipes and machines, since no dimension names either: $14.70 a
//! month if each got data in every hour. Series without an observation are not
//! sent, so that a fleet that works four hours a day pays for about a sixth of
//! most of them. A process that always runs sends 43,800 requests a month,
//! $0.44.

mod datum;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_cloudwatch::operation::put_metric_data::PutMetricDataError;
use aws_sdk_cloudwatch::types::MetricDatum;
use tokio_util::sync::CancellationToken;
use trawler_core::Environment;
use trawler_core::figures::Figures;
use trawler_core::ports::{Clock, KeptMetrics, Metric, Metrics};

use crate::Cloud;

/// The finest resolution of a custom metric that is not billed extra.
const FLUSH_EVERY: Duration = Duration::from_secs(60);

/// Data in one request, as CloudWatch allows; its bytes are asserted in
/// `datum`.
const REQUEST_DATA_MAX: usize = 1_000;

/// Data that wait for CloudWatch to answer: every series for an hour, and some.
const PENDING_MAX: usize = 49 * 60;

/// A process that leaves gives its last minute so long.
const LAST_FLUSH_MAX: Duration = Duration::from_secs(3);

/// The namespace when the configuration names none.
pub const NAMESPACE: &str = "Trawler";

/// Metrics of one process. Never waits and never fails.
pub struct CloudWatchMetrics {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    total: Figures,
    /// Since the last flush.
    minute: Figures,
}

/// What became of the figures of one process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MetricsReport {
    pub delivered: u64,
    pub lost: u64,
    pub requests: u64,
}

/// Sends what [`CloudWatchMetrics`] has recorded. Its owner runs and joins it.
pub struct MetricsSender {
    metrics: Arc<CloudWatchMetrics>,
    client: Client,
    clock: Arc<dyn Clock>,
    environment: Environment,
    namespace: String,
    /// Oldest first.
    pending: VecDeque<MetricDatum>,
    failing: bool,
    report: MetricsReport,
}

impl CloudWatchMetrics {
    /// Metrics that can be recorded at once, and the task that delivers them.
    /// Every metric has the dimension `Environment`, and `Queue` and `Verdict`
    /// where they apply; the names are those of [`trawler_core::figures`].
    pub fn start(
        cloud: &Cloud,
        clock: Arc<dyn Clock>,
        environment: Environment,
        namespace: &str,
    ) -> (Arc<Self>, MetricsSender) {
        let metrics = Arc::new(Self {
            kept: Mutex::default(),
        });
        let sender = MetricsSender {
            metrics: Arc::clone(&metrics),
            client: Client::new(cloud.config()),
            clock,
            environment,
            namespace: namespace.to_owned(),
            pending: VecDeque::new(),
            failing: false,
            report: MetricsReport::default(),
        };
        (metrics, sender)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // An addition leaves the figures whole, also one that panicked.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Metrics for CloudWatchMetrics {
    fn record(&self, metric: Metric) {
        let mut kept = self.lock();
        kept.total.record(metric);
        kept.minute.record(metric);
    }
}

impl KeptMetrics for CloudWatchMetrics {
    fn figures(&self) -> Figures {
        self.lock().total.clone()
    }
}

/// What became of one request.
enum Sent {
    Delivered,
    /// CloudWatch will not take it, however often.
    Refused,
    Undelivered,
}

impl MetricsSender {
    /// Sends once a minute until `stop`, then what is left, for three seconds
    /// at most.
    pub async fn run(mut self, stop: CancellationToken) -> MetricsReport {
        let clock = Arc::clone(&self.clock);
        loop {
            let stopped = tokio::select! {
                () = clock.sleep(FLUSH_EVERY) => false,
                () = stop.cancelled() => true,
            };
            self.gather();
            if stopped {
                tokio::select! {
                    () = self.flush() => {}
                    () = clock.sleep(LAST_FLUSH_MAX) => {}
                }
                self.report.lost += self.pending.len() as u64;
                if self.report.lost > 0 {
                    tracing::warn!(report = ?self.report, "{} figures did not reach CloudWatch", self.report.lost);
                }
                return self.report;
            }
            self.flush().await;
        }
    }

    /// Sends what there is now, for three seconds at most: for a function, which
    /// is frozen between two calls. What is not delivered waits for the next
    /// time.
    pub async fn deliver(&mut self) {
        let clock = Arc::clone(&self.clock);
        self.gather();
        tokio::select! {
            () = self.flush() => {}
            () = clock.sleep(LAST_FLUSH_MAX) => {}
        }
    }

    /// Takes the minute's figures; what is above the bound falls out, oldest
    /// first.
    fn gather(&mut self) {
        let minute = self.metrics.lock().minute.take();
        let data = datum::of(&minute, &self.environment, self.clock.now());
        self.pending.extend(data);
        let over = self.pending.len().saturating_sub(PENDING_MAX);
        self.pending.drain(..over);
        self.lose(over);
    }

    async fn flush(&mut self) {
        while !self.pending.is_empty() {
            let count = self.pending.len().min(REQUEST_DATA_MAX);
            let data: Vec<MetricDatum> = self.pending.range(..count).cloned().collect();
            match self.send(data).await {
                Sent::Delivered => {
                    self.pending.drain(..count);
                    self.report.delivered += count as u64;
                }
                Sent::Refused => {
                    self.pending.drain(..count);
                    self.lose(count);
                }
                Sent::Undelivered => return,
            }
        }
    }

    async fn send(&mut self, data: Vec<MetricDatum>) -> Sent {
        let put = self
            .client
            .put_metric_data()
            .namespace(&self.namespace)
            .set_metric_data(Some(data));
        self.report.requests += 1;
        match put.send().await {
            Ok(_) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!("CloudWatch takes figures again");
                }
                Sent::Delivered
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(namespace = %self.namespace, "figures do not reach CloudWatch; an hour of them is kept, and the work goes on: {}{}", advice(&error), DisplayErrorContext(&error));
                }
                if is_refused(&error) {
                    Sent::Refused
                } else {
                    Sent::Undelivered
                }
            }
        }
    }

    fn lose(&mut self, count: usize) {
        if count > 0 {
            let count = count as u64;
            self.report.lost += count;
            self.metrics.record(Metric::FiguresLost { count });
        }
    }
}

/// Whether CloudWatch found fault with the data, which no repetition mends.
fn is_refused(error: &SdkError<PutMetricDataError>) -> bool {
    error.as_service_error().is_some_and(|error| {
        error.is_invalid_parameter_value_exception()
            || error.is_invalid_parameter_combination_exception()
            || error.is_missing_required_parameter_exception()
            || matches!(error.code(), Some("ValidationError" | "MalformedInput"))
    })
}

fn advice(error: &SdkError<PutMetricDataError>) -> &'static str {
    match error.code() {
        Some("AccessDenied" | "AccessDeniedException") => {
            "the role lacks cloudwatch:PutMetricData: "
        }
        _ => "",
    }
}

//! Figures on CloudWatch (RPC v2 CBOR), read back from the emulator.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;
use trawler_aws::Cloud;
use trawler_aws::{CloudWatchMetrics, MetricsReport, MetricsSender};
use trawler_core::figures::{Figure, Series};
use trawler_core::ports::{Clock, KeptMetrics, Metric, Metrics, Notice};
use trawler_core::{Environment, QueueName};
use trawler_tests::emulator::{Ministack, REGION};
use trawler_tests::proxy::{Fault, FaultProxy};
use trawler_tests::{ManualClock, until};

use crate::s3_support::{Scripted, plain};
use crate::wire::{query, values};

async fn start(
    endpoint: &str,
    clock: &Arc<ManualClock>,
    namespace: &str,
) -> (Arc<CloudWatchMetrics>, MetricsSender) {
    let cloud = Cloud::at(endpoint, REGION).await;
    let environment = Environment::parse("test").unwrap();
    CloudWatchMetrics::start(&cloud, clock.clone(), environment, namespace)
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::starting_at(Utc::now()))
}

/// Sum, count, least and most of one metric, by its dimensions, over all time.
fn stored(namespace: &str, name: &str, dimensions: &[(&str, &str)]) -> Option<[f64; 4]> {
    let day = chrono::Duration::days(1);
    let text = |at: DateTime<Utc>| at.to_rfc3339();
    let mut form: Vec<(String, String)> = [
        ("Action", "GetMetricStatistics"),
        ("Namespace", namespace),
        ("MetricName", name),
        ("StartTime", &text(Utc::now() - day)),
        ("EndTime", &text(Utc::now() + day)),
        ("Period", "864000"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    for (at, (name, value)) in dimensions.iter().enumerate() {
        let n = at + 1;
        form.push((format!("Dimensions.member.{n}.Name"), (*name).to_owned()));
        form.push((format!("Dimensions.member.{n}.Value"), (*value).to_owned()));
    }
    let statistics = ["Sum", "SampleCount", "Minimum", "Maximum"];
    for (at, name) in statistics.iter().enumerate() {
        form.push((format!("Statistics.member.{}", at + 1), (*name).to_owned()));
    }
    let form: Vec<(&str, &str)> = form.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let endpoint = Ministack::shared().endpoint();
    let xml = query(&endpoint, "monitoring", "2010-08-01", &form);
    let mut found = [0.0; 4];
    for (at, name) in statistics.iter().enumerate() {
        // One value a period; the period may be split by its boundary.
        let parts = values(&xml, name);
        if parts.is_empty() {
            return None;
        }
        let parts = parts.iter().map(|part| part.parse::<f64>().unwrap());
        found[at] = match *name {
            "Minimum" => parts.fold(f64::INFINITY, f64::min),
            "Maximum" => parts.fold(f64::NEG_INFINITY, f64::max),
            _ => parts.sum(),
        };
    }
    Some(found)
}

fn listed(namespace: &str) -> usize {
    let form = [("Action", "ListMetrics"), ("Namespace", namespace)];
    let endpoint = Ministack::shared().endpoint();
    let xml = query(&endpoint, "monitoring", "2010-08-01", &form);
    values(&xml, "MetricName").len()
}

#[tokio::test]
async fn figures_arrive_with_their_dimensions_once_a_minute_and_at_the_end() {
    const SPACE: &str = "TrawlerArrive";
    let clock = clock();
    let (metrics, sender) = start(&Ministack::shared().endpoint(), &clock, SPACE).await;
    let stop = CancellationToken::new();
    let sending = tokio::spawn(sender.run(stop.clone()));
    let queue = QueueName::Crawl;
    for _ in 0..3 {
        let verdict = "done";
        metrics.record(Metric::JobSettled { queue, verdict });
    }
    for seconds in [2.0, 3.0, 10.0] {
        metrics.record(Metric::RunFinished { seconds });
    }
    metrics.record(Metric::RunnablePipes { pipes: 5 });
    metrics.record(Metric::RunnablePipes { pipes: 4 });
    metrics.record(Metric::ProductsRead { rows: 1_000 });
    until("the sender waits for its minute", || clock.sleepers() == 1).await;
    assert_eq!(listed(SPACE), 0);
    clock.advance(Duration::from_secs(60));
    let settled = [
        ("Environment", "test"),
        ("Queue", "crawl"),
        ("Verdict", "done"),
    ];
    let here = [("Environment", "test")];
    until("the minute arrives", || {
        stored(SPACE, "JobsSettled", &settled).is_some()
    })
    .await;
    assert_eq!(stored(SPACE, "JobsSettled", &settled).unwrap()[0], 3.0);
    assert_eq!(
        stored(SPACE, "RunSeconds", &here),
        Some([15.0, 3.0, 2.0, 10.0])
    );
    assert_eq!(
        stored(SPACE, "RunnablePipes", &here),
        Some([4.0, 1.0, 4.0, 4.0])
    );
    // The rest goes at the end; sums add up and silence is not sent.
    metrics.record(Metric::ProductsRead { rows: 500 });
    let notice = Notice::SpotInterruption;
    metrics.record(Metric::NoticeHeard { notice });
    stop.cancel();
    let report = sending.await.unwrap();
    assert_eq!(stored(SPACE, "ProductsRead", &here).unwrap()[0], 1_500.0);
    assert_eq!(stored(SPACE, "SpotInterruptions", &here).unwrap()[0], 1.0);
    assert_eq!(listed(SPACE), 5);
    let expected = MetricsReport {
        delivered: 6,
        lost: 0,
        requests: 2,
    };
    assert_eq!(report, expected);
    // What was sent is still shown by the process itself.
    let figures = metrics.figures();
    assert_eq!(figures.count(Series::of(Figure::ProductsRead)), 1_500);
}

#[tokio::test]
async fn what_cloudwatch_does_not_take_now_it_gets_later() {
    const SPACE: &str = "TrawlerLater";
    let proxy = FaultProxy::start(&Ministack::shared().endpoint()).await;
    let clock = clock();
    let (metrics, sender) = start(&proxy.endpoint(), &clock, SPACE).await;
    let stop = CancellationToken::new();
    let sending = tokio::spawn(sender.run(stop.clone()));
    proxy.cut();
    for minute in 1..=3 {
        metrics.record(Metric::ImagesStored { count: minute });
        until("the sender waits", || clock.sleepers() == 1).await;
        clock.advance(Duration::from_secs(60));
        // Recording goes on while nothing is delivered.
        let started = Instant::now();
        metrics.record(Metric::CommitLanded);
        assert!(started.elapsed() < Duration::from_millis(100));
    }
    until("the third minute has failed", || clock.sleepers() == 1).await;
    proxy.mend();
    clock.advance(Duration::from_secs(60));
    until("the fourth is sent", || clock.sleepers() == 1).await;
    stop.cancel();
    let report = sending.await.unwrap();
    assert_eq!(report.lost, 0, "{report:?}");
    let here = [("Environment", "test")];
    assert_eq!(stored(SPACE, "ImagesStored", &here).unwrap()[0], 6.0);
    assert_eq!(stored(SPACE, "Commits", &here).unwrap()[0], 3.0);
}

#[tokio::test]
async fn a_process_that_leaves_does_not_wait_for_cloudwatch() {
    let proxy = FaultProxy::start(&Ministack::shared().endpoint()).await;
    let clock = clock();
    let (metrics, sender) = start(&proxy.endpoint(), &clock, "TrawlerSilent").await;
    proxy.hush();
    metrics.record(Metric::CommitLanded);
    let stop = CancellationToken::new();
    stop.cancel();
    let sending = tokio::spawn(sender.run(stop));
    until("the last flush is bounded", || clock.sleepers() == 1).await;
    clock.advance(Duration::from_secs(3));
    let report = sending.await.unwrap();
    assert_eq!((report.delivered, report.lost), (0, 1));
    proxy.mend();
}

#[tokio::test]
async fn a_throttled_request_is_repeated_within_its_call() {
    const SPACE: &str = "TrawlerBusy";
    let proxy = FaultProxy::start(&Ministack::shared().endpoint()).await;
    let clock = clock();
    let (metrics, sender) = start(&proxy.endpoint(), &clock, SPACE).await;
    proxy.fail_next(|_| true, Fault::Busy);
    metrics.record(Metric::CommitLanded);
    let stop = CancellationToken::new();
    stop.cancel();
    let report = sender.run(stop).await;
    assert_eq!(
        (report.delivered, report.lost),
        (1, 0),
        "at {}",
        clock.now()
    );
    let here = [("Environment", "test")];
    assert_eq!(stored(SPACE, "Commits", &here).unwrap()[0], 1.0);
}

/// What is logged while it stands, of this thread.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_missing_permission_is_named_once_and_the_figures_are_kept() {
    let server = Scripted::start(|_| {
        let mut answer = plain(403, denial());
        let head = answer.headers_mut();
        head.insert("smithy-protocol", "rpc-v2-cbor".parse().unwrap());
        head.insert("content-type", "application/cbor".parse().unwrap());
        answer
    })
    .await;
    let logged = Logged::default();
    let writer = logged.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let clock = clock();
    let (metrics, sender) = start(&server.endpoint(), &clock, "TrawlerDenied").await;
    let stop = CancellationToken::new();
    let sending = tokio::spawn(sender.run(stop.clone()));
    for minute in 1..=2 {
        metrics.record(Metric::CommitLanded);
        until("the sender waits", || clock.sleepers() == 1).await;
        clock.advance(Duration::from_secs(60));
        until("the minute was sent", || server.seen().len() == minute).await;
    }
    until("the second minute has failed", || clock.sleepers() == 1).await;
    stop.cancel();
    let report = sending.await.unwrap();
    assert_eq!((report.delivered, report.lost), (0, 2));
    let said = String::from_utf8(logged.0.lock().unwrap().clone()).unwrap();
    let advice = "the role lacks cloudwatch:PutMetricData";
    assert_eq!(said.matches(advice).count(), 1, "{said}");
    assert!(said.contains("is not authorized"), "{said}");
}

/// `{"__type": ..., "message": ...}` in CBOR, as CloudWatch answers it.
fn denial() -> Vec<u8> {
    let text = |text: &str| {
        // A text of up to 255 bytes: major type 3, its length in one byte.
        let length = u8::try_from(text.len()).unwrap();
        [&[0x78, length], text.as_bytes()].concat()
    };
    let mut map = vec![0xA2];
    for part in [
        "__type",
        "com.amazon.coral.service#AccessDeniedException",
        "message",
        "User: me is not authorized to perform: cloudwatch:PutMetricData",
    ] {
        map.extend(text(part));
    }
    map
}

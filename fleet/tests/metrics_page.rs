//! The metrics page, as an agent on the same machine reads it.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use trawler_core::figures::{FIGURES, Figures, Kind, Series};
use trawler_core::ports::{Clock, KeptMetrics, Metric, Metrics};
use trawler_core::{Environment, QueueName};
use trawler_fleet::MetricsPage;
use trawler_fleet::metrics_page::text;

#[derive(Default)]
struct Kept(Mutex<Figures>);

impl Metrics for Kept {
    fn record(&self, metric: Metric) {
        self.0.lock().unwrap().record(metric);
    }
}

impl KeptMetrics for Kept {
    fn figures(&self) -> Figures {
        self.0.lock().unwrap().clone()
    }
}

/// The time of the machine.
struct Wall(Instant);

#[async_trait]
impl Clock for Wall {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from(std::time::SystemTime::now())
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}

fn environment() -> Environment {
    Environment::parse("test").unwrap()
}

async fn ask(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn the_page_is_served_until_it_is_stopped() {
    let metrics = Arc::new(Kept::default());
    let clock = Arc::new(Wall(Instant::now()));
    let page = MetricsPage::bind(0, metrics.clone(), environment(), clock.clone()).await;
    let page = page.unwrap();
    let address = page.address().unwrap();
    assert!(address.ip().is_loopback());
    let taken = MetricsPage::bind(address.port(), metrics.clone(), environment(), clock).await;
    assert!(taken.is_err(), "a taken port is an error");
    let stop = CancellationToken::new();
    let serving = tokio::spawn(page.run(stop.clone()));
    metrics.record(Metric::CommitLanded);
    // More connections than are served at once, and one that never asks.
    let _mute = TcpStream::connect(address).await.unwrap();
    for _ in 0..20 {
        let answer = ask(address.port(), "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(
            answer.contains("content-type: text/plain; version=0.0.4"),
            "{answer}"
        );
        assert!(answer.contains("\ntrawler_commits_total{environment=\"test\"} 1\n"));
    }
    let lost = ask(address.port(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(
        lost.starts_with("HTTP/1.1 404") && lost.ends_with("/metrics\n"),
        "{lost}"
    );
    let write = ask(
        address.port(),
        "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    assert!(write.starts_with("HTTP/1.1 405"), "{write}");
    stop.cancel();
    serving.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[test]
fn the_text_has_help_type_and_every_series() {
    let mut figures = Figures::new();
    let queue = QueueName::Image;
    figures.record(Metric::LeaseLost { queue });
    figures.record(Metric::OldestAge {
        queue,
        seconds: 1.5,
    });
    for seconds in [4.0, 5.0, 100_000.0] {
        figures.record(Metric::RunFinished { seconds });
    }
    let shown = text(&figures, &environment());
    for line in shown.lines() {
        let known = FIGURES.iter().any(|about| line.contains(about.prometheus));
        assert!(known, "{line}");
    }
    let block = |name: &str| -> Vec<&str> {
        let of = |line: &&str| {
            let rest = line
                .trim_start_matches("# HELP ")
                .trim_start_matches("# TYPE ");
            rest.strip_prefix(name)
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_lowercase()))
        };
        shown.lines().filter(of).collect()
    };
    assert_eq!(
        block("trawler_leases_lost_total"),
        [
            "# HELP trawler_leases_lost_total Leases that ended while their job was worked on.",
            "# TYPE trawler_leases_lost_total counter",
            "trawler_leases_lost_total{environment=\"test\",queue=\"crawl\"} 0",
            "trawler_leases_lost_total{environment=\"test\",queue=\"image\"} 1",
        ]
    );
    // A gauge of which nothing is known is not shown as 0.
    assert_eq!(block("trawler_oldest_age_seconds").len(), 3);
    assert!(
        shown.contains("trawler_oldest_age_seconds{environment=\"test\",queue=\"image\"} 1.5\n")
    );
    assert!(block("trawler_runnable_pipes").is_empty());
    let runs: Vec<&str> = block("trawler_run_duration_seconds");
    let run = |rest: &str| format!("trawler_run_duration_seconds{rest}");
    for expected in [
        "_bucket{environment=\"test\",le=\"1\"} 0",
        "_bucket{environment=\"test\",le=\"5\"} 2",
        "_bucket{environment=\"test\",le=\"43200\"} 2",
        "_bucket{environment=\"test\",le=\"+Inf\"} 3",
        "_sum{environment=\"test\"} 100009",
        "_count{environment=\"test\"} 3",
    ] {
        assert!(
            runs.contains(&run(expected).as_str()),
            "{expected} in {runs:#?}"
        );
    }
    // Every series of a counter is there from the first page on.
    for about in FIGURES.iter().filter(|about| about.kind == Kind::Counter) {
        let of_figure = |series: &&Series| series.figure == about.figure;
        let series = Series::all().iter().filter(of_figure).count();
        let heading = 2;
        let lines = block(about.prometheus).len();
        assert_eq!(lines, heading + series, "{}", about.prometheus);
    }
}

//! The pace of a crawl on the wire, asserted from the server's own log.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use trawler_net::{
    FetchClass, Fetcher, GivenUp, HostBudget, HostLimits, Pace, PaceSettings, RetryPolicy, Why,
};

use super::server::{Server, Step, answer, config, fetcher, get, ok, path};

/// Fetches `/0` to `/{count-1}`, all at once as far as the pace allows.
async fn crawl(fetcher: &Fetcher, server: &Server, pace: &Arc<Pace>, count: usize) -> usize {
    let mut tasks = JoinSet::new();
    for n in 0..count {
        let request = get(&server.url(&format!("/{n}"))).pace(Arc::clone(pace));
        let fetcher = fetcher.clone();
        tasks.spawn(async move { fetcher.fetch_bytes(&request).await.is_ok() });
    }
    let done = tasks.join_all().await;
    done.into_iter().filter(|fetched| *fetched).count()
}

#[tokio::test]
async fn a_crawl_keeps_its_rate_and_its_concurrency() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let starts = Arc::clone(&log);
    let server = Server::start(move |_| {
        starts.lock().unwrap().push(Instant::now());
        let body = ok(b"page").remove(0);
        vec![Step::Pause(Duration::from_millis(40)), body]
    })
    .await;
    let fetcher = fetcher(&[&server]);
    let pace = Pace::new(PaceSettings {
        rate_per_s: 50.0,
        concurrency: 3,
        ..PaceSettings::default()
    });
    assert_eq!(crawl(&fetcher, &server, &pace, 60).await, 60);
    let starts = log.lock().unwrap().clone();
    assert_eq!(starts.len(), 60);
    // 50 a second are 10 in 200 ms. What was held up on its way may come
    // together with what follows, so that a window may hold a few more.
    let window = Duration::from_millis(200);
    for (index, start) in starts.iter().enumerate() {
        let within = starts[index..].iter().filter(|s| **s - *start < window);
        assert!(within.count() <= 14, "too many after request {index}");
    }
    // And not slower either: 59 intervals of 20 ms in all.
    let span = starts[starts.len() - 1] - starts[0];
    let expected = Duration::from_millis(20) * 59;
    assert!(
        span >= expected * 9 / 10,
        "{span:?}, by the rate {expected:?}"
    );
    assert!(
        span <= expected * 14 / 10,
        "{span:?}, by the rate {expected:?}"
    );
    assert!((1..=3).contains(&server.most_at_once()));
    let [host] = &pace.hosts()[..] else {
        panic!("one host")
    };
    assert_eq!((host.requests, host.troubled, host.running), (60, 0, 0));
    assert_eq!(host.host, server.address.to_string());
}

#[tokio::test]
async fn two_crawls_have_paces_of_their_own() {
    let server = Server::start(|_| {
        let body = ok(b"page").remove(0);
        vec![Step::Pause(Duration::from_millis(20)), body]
    })
    .await;
    let mut config = config(&[&server]);
    config.hosts = HostLimits {
        concurrency: 2,
        ..HostLimits::default()
    };
    let fetcher = Fetcher::new(&config).unwrap();
    let settings = PaceSettings {
        rate_per_s: f64::INFINITY,
        concurrency: 3,
        ..PaceSettings::default()
    };
    let (one, two) = (Pace::new(settings), Pace::new(settings));
    let crawls = tokio::join!(
        crawl(&fetcher, &server, &one, 20),
        crawl(&fetcher, &server, &two, 20)
    );
    assert_eq!(crawls, (20, 20));
    // Each as many as its pipe says, whatever others get without a pace.
    let most = server.most_at_once();
    assert!((3..=6).contains(&most), "{most}");
    assert_eq!(one.hosts()[0].requests, 20);
}

#[tokio::test]
async fn errors_slow_a_crawl_down_and_calm_speeds_it_up() {
    let ill = Arc::new(AtomicUsize::new(0));
    let state = Arc::clone(&ill);
    let server = Server::start(move |_| match state.load(Ordering::SeqCst) {
        0 => ok(b"page"),
        _ => answer("500 Internal Server Error", &[], b""),
    })
    .await;
    let fetcher = fetcher(&[&server]);
    let pace = Pace::new(PaceSettings {
        rate_per_s: 1000.0,
        concurrency: 2,
        ..PaceSettings::default()
    });
    crawl(&fetcher, &server, &pace, 20).await;
    let calm = pace.hosts().remove(0);
    assert_eq!((calm.why, calm.steps_slower), (Why::Full, 0), "{calm:?}");
    ill.store(1, Ordering::SeqCst);
    assert_eq!(crawl(&fetcher, &server, &pace, 12).await, 0);
    let slow = pace.hosts().remove(0);
    assert_eq!(slow.why, Why::Errors, "{slow:?}");
    assert!(slow.interval_ms > calm.interval_ms, "{slow:?}");
    assert_eq!((slow.concurrency, slow.troubled), (1, 12), "{slow:?}");
    ill.store(0, Ordering::SeqCst);
    crawl(&fetcher, &server, &pace, 50).await;
    let well = pace.hosts().remove(0);
    assert_eq!((well.why, well.concurrency), (Why::Full, 2), "{well:?}");
}

#[tokio::test]
async fn a_host_that_costs_too_much_is_given_up() {
    let server = Server::start(|request| match path(request) {
        "/fine" => ok(b"page"),
        _ => answer("502 Bad Gateway", &[], b""),
    })
    .await;
    let mut config = config(&[&server]);
    config.retry = RetryPolicy {
        attempts_max: 3,
        base_ms: 1,
        backoff_ms_max: 2,
        ..RetryPolicy::default()
    };
    let fetcher = Fetcher::new(&config).unwrap();
    let pace = Pace::new(PaceSettings {
        rate_per_s: 1000.0,
        interval_ms_max: 5,
        budget: HostBudget {
            retries_max: 5,
            ..HostBudget::default()
        },
        ..PaceSettings::default()
    });
    let mut classes = Vec::new();
    for n in 0..6 {
        let request = get(&server.url(&format!("/{n}"))).pace(Arc::clone(&pace));
        classes.push(fetcher.fetch_bytes(&request).await.unwrap_err().class());
    }
    let given_up = |class: &FetchClass| *class == FetchClass::HostGivenUp;
    assert_eq!(classes.iter().filter(|class| given_up(class)).count(), 3);
    assert_eq!(server.heads().len(), 8, "three of three, and two retries");
    let url = get(&server.url("/fine"));
    assert_eq!(pace.given_up(url.url()), Some(GivenUp::Retries(5)));
    let request = url.clone().pace(pace);
    let error = fetcher.fetch_bytes(&request).await.unwrap_err();
    assert_eq!(error.class(), FetchClass::HostGivenUp);
    let shown = error.to_string();
    assert!(shown.contains("is given up by this crawl"), "{shown}");
    assert!(shown.contains("5 retries"), "{shown}");
    // Another crawl has a budget of its own.
    let request = url.pace(Pace::new(PaceSettings::default()));
    assert!(fetcher.fetch_bytes(&request).await.is_ok());
}

#[tokio::test]
async fn a_crawl_delay_comes_from_robots_while_the_crawl_runs() {
    let server = Server::start(|_| ok(b"page")).await;
    let fetcher = fetcher(&[&server]);
    let pace = Pace::new(PaceSettings {
        rate_per_s: 1000.0,
        ..PaceSettings::default()
    });
    let robots = get(&server.url("/robots.txt"));
    pace.set_crawl_delay(robots.url(), Duration::from_millis(150));
    let begun = Instant::now();
    assert_eq!(crawl(&fetcher, &server, &pace, 4).await, 4);
    assert!(begun.elapsed() >= Duration::from_millis(450));
    let host = pace.hosts().remove(0);
    assert_eq!((host.why, host.interval_ms), (Why::CrawlDelay, 150));
}

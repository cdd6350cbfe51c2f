//! Retries and rests on the wire.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use trawler_net::{FetchClass, Fetcher, RetryPolicy, StatusClass};

use super::server::{Server, Step, answer, config, fetcher, get, head, ok, path};

/// Quick retries, for servers that get well.
fn patient(server: &Server) -> Fetcher {
    let mut config = config(&[server]);
    config.retry = RetryPolicy {
        attempts_max: 3,
        base_ms: 1,
        backoff_ms_max: 2,
        ..RetryPolicy::default()
    };
    Fetcher::new(&config).unwrap()
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    for path in ["/status", "/closes", "/truncated"] {
        let count = AtomicUsize::new(0);
        let server = Server::start(move |_| {
            if count.fetch_add(1, Ordering::SeqCst) == 2 {
                return ok(b"body");
            }
            let part = Step::Send(vec![b'x'; 10]);
            match path {
                "/status" => answer("500 Internal Server Error", &[], b""),
                "/closes" => vec![Step::Close],
                _ => vec![head("Content-Length: 1000\r\n"), part, Step::Close],
            }
        })
        .await;
        let fetcher = patient(&server);
        let file = folder.path().join("feed");
        let fetched = fetcher.fetch_to_file(&get(&server.url(path)), &file).await;
        assert!(fetched.is_ok(), "{path}: {fetched:?}");
        assert_eq!(std::fs::read(&file).unwrap(), b"body", "{path}");
        assert_eq!(fetcher.stats().retries, 2);
    }
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 1, "no part is left");
}

#[tokio::test]
async fn what_will_not_pass_is_asked_once() {
    let server = Server::start(|request| {
        let status = path(request).trim_start_matches('/');
        answer(&format!("{status} Status"), &[], b"")
    })
    .await;
    let fetcher = patient(&server);
    for (status, class) in [
        (404, StatusClass::NotFound),
        (410, StatusClass::Gone),
        (403, StatusClass::Forbidden),
        (401, StatusClass::Unauthorized),
        (400, StatusClass::Client),
    ] {
        let error = fetcher
            .fetch_bytes(&get(&server.url(&format!("/{status}"))))
            .await
            .unwrap_err();
        assert_eq!(error.class(), FetchClass::Status(class));
        assert_eq!(error.attempts(), 1);
    }
    assert_eq!(server.heads().len(), 5);
}

#[tokio::test]
async fn the_error_says_how_often_it_was_tried() {
    let server = Server::start(|_| answer("502 Bad Gateway", &[], b"")).await;
    let error = patient(&server)
        .fetch_bytes(&get(&server.url("/")))
        .await
        .unwrap_err();
    assert_eq!(error.class(), FetchClass::Status(StatusClass::Server));
    assert!(error.to_string().ends_with("(after 3 attempts)"), "{error}");
    assert_eq!(server.heads().len(), 3);
}

#[tokio::test]
async fn a_short_rest_is_waited_for() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => answer("429 Too Many Requests", &[("Retry-After", "1")], b""),
        _ => ok(b"body"),
    })
    .await;
    let begun = Instant::now();
    patient(&server)
        .fetch_bytes(&get(&server.url("/")))
        .await
        .unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_long_rest_goes_back_to_the_caller_and_is_kept_by_all() {
    let server =
        Server::start(|_| answer("503 Service Unavailable", &[("Retry-After", "3600")], b"")).await;
    let fetcher = patient(&server);
    let error = fetcher
        .fetch_bytes(&get(&server.url("/a")))
        .await
        .unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
    assert_eq!(error.attempts(), 1);
    let error = fetcher
        .clone()
        .fetch_bytes(&get(&server.url("/b")))
        .await
        .unwrap_err();
    assert_eq!(
        error.class(),
        FetchClass::Status(StatusClass::TooManyRequests)
    );
    assert!(error.retry_after().unwrap() > Duration::from_secs(3500));
    assert_eq!(server.heads().len(), 1, "the host was left alone");
}

#[tokio::test]
async fn the_interval_of_a_pipe_is_kept() {
    let server = Server::start(|_| ok(b"body")).await;
    let fetcher = fetcher(&[&server]);
    let begun = Instant::now();
    let request = get(&server.url("/")).interval_min(Duration::from_millis(100));
    for _ in 0..4 {
        fetcher.fetch_bytes(&request).await.unwrap();
    }
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

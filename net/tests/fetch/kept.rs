//! Cut bodies of feeds: kept where the caller says so, an error otherwise.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};
use trawler_net::{
    FetchClass, Fetched, Fetcher, FileBody, Limits, Response, RetryPolicy, Timeouts, Truncation,
};

use super::server::{Server, Step, answer, config, fetcher, get, head, limits, ok, path};

fn whole(fetched: Fetched<FileBody>) -> Response<FileBody> {
    fetched.into_body().unwrap()
}

/// Text that does not compress to nothing.
fn text() -> Vec<u8> {
    (0..50_000_u32)
        .flat_map(|n| format!("{n}\tname {}\n", n.wrapping_mul(2_654_435_761)).into_bytes())
        .collect()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// Every way for a body to break off after 4,000 bytes.
fn cut(request: &str) -> Vec<Step> {
    let part = Step::Send(vec![b'x'; 4000]);
    let etag = "ETag: \"v1\"\r\n";
    match path(request) {
        "/length" => vec![
            head(&format!("Content-Length: 10000\r\n{etag}")),
            part,
            Step::Close,
        ],
        "/chunked" => vec![
            head(&format!("Transfer-Encoding: chunked\r\n{etag}")),
            Step::Send(b"fa0\r\n".to_vec()),
            part,
            Step::Send(b"\r\n".to_vec()),
            Step::Close,
        ],
        "/mid-chunk" => vec![
            head("Transfer-Encoding: chunked\r\n"),
            Step::Send(b"ffff\r\n".to_vec()),
            part,
            Step::Close,
        ],
        "/length-stops" => vec![head("Content-Length: 10000\r\n"), part, Step::Hang],
        _ => vec![
            head("Transfer-Encoding: chunked\r\n"),
            Step::Send(b"fa0\r\n".to_vec()),
            part,
            Step::Send(b"\r\n".to_vec()),
            Step::Hang,
        ],
    }
}

fn timeouts(idle_ms: u64, whole_ms: u64) -> Limits {
    let timeouts = Timeouts {
        first_byte_ms: 20_000,
        idle_ms,
        whole_ms,
    };
    Limits {
        timeouts,
        ..limits()
    }
}

#[tokio::test]
async fn a_cut_body_is_kept_where_the_request_says_so() {
    let server = Server::start(cut).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("feed");
    let slow = timeouts(20_000, 60_000);
    for (path, limits, expected, class) in [
        ("/length", slow, Some(10_000), FetchClass::Truncated),
        ("/chunked", slow, None, FetchClass::Truncated),
        ("/mid-chunk", slow, None, FetchClass::Truncated),
        (
            "/length-stops",
            timeouts(200, 60_000),
            Some(10_000),
            FetchClass::Timeout,
        ),
        (
            "/chunked-stops",
            timeouts(200, 60_000),
            None,
            FetchClass::Timeout,
        ),
        (
            "/length-stops",
            timeouts(20_000, 500),
            Some(10_000),
            FetchClass::Timeout,
        ),
    ] {
        // A new one each time, because it slows down towards a troubled host.
        let fetcher = fetcher(&[&server]);
        let request = get(&server.url(path)).limits(limits);
        let error = fetcher.fetch_to_file(&request, &file).await.unwrap_err();
        assert_eq!(error.class(), class, "{path}: {error}");
        assert!(!file.exists(), "{path}");

        let request = request.keep_truncated();
        let kept = whole(fetcher.fetch_to_file(&request, &file).await.unwrap());
        let truncation = Truncation {
            got_bytes: 4000,
            expected_bytes: expected,
        };
        assert_eq!(kept.body.truncated, Some(truncation), "{path}");
        assert_eq!((kept.status, kept.raw_bytes), (200, 4000), "{path}");
        assert_eq!(kept.body.decoded_bytes, 4000, "{path}");
        let bytes = std::fs::read(&file).unwrap();
        assert_eq!(bytes, vec![b'x'; 4000], "{path}");
        assert_eq!(kept.body.sha256[..], Sha256::digest(&bytes)[..]);
        assert!(kept.validators.etag.is_none(), "they stand for the whole");
        std::fs::remove_file(&file).unwrap();
    }
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0, "no part is left");
}

#[tokio::test]
async fn of_a_cut_coded_body_what_could_be_decoded_is_kept() {
    let coded = gzip(&text());
    let served = coded.clone();
    let server = Server::start(move |request| match path(request) {
        // Shorter than announced, and ending early at the announced length.
        "/short" => vec![
            head(&format!(
                "Content-Encoding: gzip\r\nContent-Length: {}\r\n",
                served.len()
            )),
            Step::Send(served[..served.len() / 2].to_vec()),
            Step::Close,
        ],
        _ => answer(
            "200 OK",
            &[("Content-Encoding", "gzip")],
            &served[..served.len() / 2],
        ),
    })
    .await;
    let fetcher = fetcher(&[&server]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("feed");
    let all = u64::try_from(coded.len()).unwrap();
    for (path, expected) in [("/short", Some(all)), ("/early", None)] {
        let request = get(&server.url(path)).keep_truncated();
        let kept = whole(fetcher.fetch_to_file(&request, &file).await.unwrap());
        let truncation = kept.body.truncated.unwrap();
        assert_eq!(truncation.got_bytes, all / 2, "{path}");
        assert_eq!(truncation.expected_bytes, expected, "{path}");
        let bytes = std::fs::read(&file).unwrap();
        assert!(bytes.len() > text().len() / 4, "{path}: {}", bytes.len());
        assert!(text().starts_with(&bytes), "{path}");
    }
}

#[tokio::test]
async fn a_whole_body_is_not_called_truncated() {
    let server = Server::start(|_| answer("200 OK", &[("ETag", "\"v1\"")], b"body")).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("feed");
    let request = get(&server.url("/")).keep_truncated();
    let fetched = fetcher(&[&server]).fetch_to_file(&request, &file).await;
    let fetched = whole(fetched.unwrap());
    assert_eq!(fetched.body.truncated, None);
    assert!(fetched.validators.etag.is_some());
}

#[tokio::test]
async fn nothing_at_all_and_nonsense_stay_errors() {
    let server = Server::start(|request| match path(request) {
        "/empty" => vec![head("Content-Length: 1000\r\n"), Step::Close],
        "/bad-chunk" => vec![
            head("Transfer-Encoding: chunked\r\n"),
            Step::Send(b"4\r\nbody\r\nzz\r\n".to_vec()),
            Step::Hang,
        ],
        "/bad-gzip" => vec![
            head("Content-Encoding: gzip\r\nContent-Length: 1000\r\n"),
            Step::Send(b"<html>".to_vec()),
            Step::Close,
        ],
        "/huge" => vec![
            head("Transfer-Encoding: chunked\r\n"),
            Step::Endless(b"5\r\nhello\r\n".repeat(1000)),
        ],
        _ => answer("500 Internal Server Error", &[], b"body"),
    })
    .await;
    let fetcher = fetcher(&[&server]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("feed");
    for (path, class) in [
        ("/empty", FetchClass::Truncated),
        ("/bad-chunk", FetchClass::Protocol),
        ("/bad-gzip", FetchClass::Truncated),
        ("/huge", FetchClass::TooLarge),
        (
            "/status",
            FetchClass::Status(trawler_net::StatusClass::Server),
        ),
    ] {
        let request = get(&server.url(path)).keep_truncated();
        let error = fetcher.fetch_to_file(&request, &file).await.unwrap_err();
        assert_eq!(error.class(), class, "{path}: {error}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn memory_takes_whole_bodies_only() {
    let server = Server::start(cut).await;
    let request = get(&server.url("/length")).keep_truncated();
    let error = fetcher(&[&server]).fetch_bytes(&request).await.unwrap_err();
    assert_eq!(error.class(), FetchClass::Truncated);
}

/// Three quick attempts.
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
async fn the_last_attempt_decides() {
    // Bytes that each attempt sends of 1,000, or none for a status.
    let check = async |sent: [Option<usize>; 3], expected: Result<(u64, usize), FetchClass>| {
        let count = AtomicUsize::new(0);
        let server = Server::start(move |_| match sent[count.fetch_add(1, Ordering::SeqCst)] {
            Some(1000) => ok(&[b'x'; 1000]),
            Some(bytes) => vec![
                head("Content-Length: 1000\r\n"),
                Step::Send(vec![b'x'; bytes]),
                Step::Close,
            ],
            None => answer("404 Not Found", &[], b""),
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("feed");
        let request = get(&server.url("/")).keep_truncated();
        let fetched = patient(&server).fetch_to_file(&request, &file).await;
        let found = match fetched {
            Ok(fetched) => {
                let body = whole(fetched).body;
                assert_eq!(std::fs::read(&file).unwrap().len() as u64, body.raw_bytes);
                assert_eq!(body.truncated.is_some(), body.raw_bytes < 1000, "{sent:?}");
                Ok((body.raw_bytes, server.heads().len()))
            }
            Err(error) => Err(error.class()),
        };
        assert_eq!(found, expected, "{sent:?}");
        let left = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, usize::from(found.is_ok()), "no part is left");
    };
    check([Some(500), Some(600), Some(400)], Ok((400, 3))).await;
    check([Some(500), Some(1000), None], Ok((1000, 2))).await;
    check([Some(500), Some(600), Some(0)], Err(FetchClass::Truncated)).await;
    let gone = FetchClass::Status(trawler_net::StatusClass::NotFound);
    check([Some(500), None, None], Err(gone)).await;
}

#[tokio::test]
async fn a_cancelled_fetch_keeps_nothing() {
    let server = Server::start(cut).await;
    let fetcher = fetcher(&[&server]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("feed");
    let token = tokio_util::sync::CancellationToken::new();
    let seen = token.clone();
    let request = get(&server.url("/length-stops"))
        .keep_truncated()
        .cancel(token)
        .observer(std::sync::Arc::new(move |_| seen.cancel()));
    let fetch = fetcher.fetch_to_file(&request, &file);
    let fetched = tokio::time::timeout(Duration::from_secs(20), fetch).await;
    let error = fetched.unwrap().unwrap_err();
    assert_eq!(error.class(), FetchClass::Cancelled);
    assert!(!file.exists());
}

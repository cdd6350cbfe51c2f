//! Invariant 7 on the wire: bytes, heads, times; and cancellation.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use trawler_net::{FetchClass, Fetcher, Limits, LookedUp, Lookup, Parts, Timeouts};

use super::server::{
    Server, Step, Table, answer, config, fetcher, fetcher_with, get, head, limits, path,
};

const MIB: usize = 1024 * 1024;

fn bomb(coding: &str, bytes: usize) -> Vec<u8> {
    let zeros = vec![0; bytes];
    match coding {
        "gzip" => {
            let level = flate2::Compression::best();
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(&zeros).unwrap();
            encoder.finish().unwrap()
        }
        "br" => {
            let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 4, 22);
            encoder.write_all(&zeros).unwrap();
            encoder.into_inner()
        }
        _ => zstd::encode_all(&zeros[..], 1).unwrap(),
    }
}

#[tokio::test]
async fn bombs_end_at_the_cap() {
    let codings = ["gzip", "br", "zstd"];
    let bombs = codings.map(|coding| bomb(coding, 16 * MIB));
    let server = Server::start(move |head| {
        let coding = path(head).trim_start_matches('/');
        let index = codings.iter().position(|known| *known == coding).unwrap();
        answer("200 OK", &[("Content-Encoding", coding)], &bombs[index])
    })
    .await;
    let fetcher = fetcher(&[&server]);
    let folder = tempfile::tempdir().unwrap();
    for coding in codings {
        let request = get(&server.url(&format!("/{coding}")));
        let error = fetcher.fetch_bytes(&request).await.unwrap_err();
        assert_eq!(error.class(), FetchClass::TooLarge, "{coding}: {error}");
        assert!(
            error
                .to_string()
                .contains("decompressed body is over 1048576"),
            "{error}"
        );
        let error = fetcher
            .fetch_to_file(&request, &folder.path().join("x"))
            .await
            .unwrap_err();
        assert_eq!(error.class(), FetchClass::TooLarge, "{coding}: {error}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn endless_and_oversized_bodies_end_at_the_cap() {
    let server = Server::start(|request| match path(request) {
        "/announced" => vec![head("Content-Length: 99999999999\r\n"), Step::Hang],
        "/endless" => vec![
            head("Connection: close\r\n"),
            Step::Endless(vec![b'x'; 10_000]),
        ],
        _ => vec![
            head("Transfer-Encoding: chunked\r\n"),
            Step::Endless(b"5\r\nhello\r\n".repeat(1000)),
        ],
    })
    .await;
    let fetcher = fetcher(&[&server]);
    for path in ["/announced", "/endless", "/chunks"] {
        let error = fetcher
            .fetch_bytes(&get(&server.url(path)))
            .await
            .unwrap_err();
        assert_eq!(error.class(), FetchClass::TooLarge, "{path}: {error}");
        assert!(
            error.to_string().contains("body as served is over 1048576"),
            "{error}"
        );
    }
    // A read beyond each cap at most, and nothing of the announced one.
    assert!(fetcher.stats().bytes_down < 3 * 1024 * 1024);
}

#[tokio::test]
async fn an_endless_head_ends_at_the_cap() {
    let server = Server::start(|request| match path(request) {
        "/line" => vec![
            Step::Send(b"HTTP/1.1 200 OK\r\nX: ".to_vec()),
            Step::Endless(vec![b'x'; 1000]),
        ],
        _ => vec![
            Step::Send(b"HTTP/1.1 200 OK\r\n".to_vec()),
            Step::Endless(b"X: y\r\n".repeat(50)),
        ],
    })
    .await;
    let fetcher = fetcher(&[&server]);
    for path in ["/line", "/lines"] {
        let error = fetcher
            .fetch_bytes(&get(&server.url(path)))
            .await
            .unwrap_err();
        assert_eq!(error.class(), FetchClass::TooLarge, "{path}: {error}");
    }
}

#[tokio::test]
async fn a_head_over_the_cap_is_refused_although_it_ends() {
    let server = Server::start(|request| {
        let bytes = path(request).trim_start_matches('/').parse().unwrap();
        answer("200 OK", &[("X", &"x".repeat(bytes))], b"body")
    })
    .await;
    let fetcher = fetcher(&[&server]);
    let cap = usize::try_from(trawler_net::HEAD_BYTES_MAX).unwrap();
    let get = |bytes: usize| get(&server.url(&format!("/{bytes}")));
    assert!(fetcher.fetch_bytes(&get(cap - 1000)).await.is_ok());
    for bytes in [cap, 3 * cap] {
        let error = fetcher.fetch_bytes(&get(bytes)).await.unwrap_err();
        assert_eq!(error.class(), FetchClass::TooLarge, "{bytes}: {error}");
        assert!(error.to_string().contains("head of the answer"), "{error}");
    }
}

fn timeouts(first_byte_ms: u64, idle_ms: u64, whole_ms: u64) -> Limits {
    let timeouts = Timeouts {
        first_byte_ms,
        idle_ms,
        whole_ms,
    };
    Limits {
        timeouts,
        ..limits()
    }
}

#[tokio::test]
async fn every_time_bound_ends_a_fetch() {
    let server = Server::start(|request| match path(request) {
        "/silent" => vec![Step::Hang],
        "/stops" => vec![
            head("Content-Length: 10\r\n"),
            Step::Send(b"12345".to_vec()),
            Step::Hang,
        ],
        _ => vec![
            head("Content-Length: 99999\r\n"),
            Step::Drip(Duration::from_millis(10)),
        ],
    })
    .await;
    // The head has the connector's time to come in as well.
    let mut config = super::server::config(&[&server]);
    config.connect_ms = 200;
    let fetcher = trawler_net::Fetcher::new(&config).unwrap();
    for (path, limits, part) in [
        (
            "/silent",
            timeouts(100, 20_000, 20_000),
            "waiting for the head",
        ),
        (
            "/stops",
            timeouts(20_000, 200, 20_000),
            "waiting for more of the body",
        ),
        ("/drips", timeouts(20_000, 20_000, 500), "the whole fetch"),
        ("/silent", timeouts(20_000, 20_000, 200), "the whole fetch"),
    ] {
        let request = get(&server.url(path)).limits(limits);
        let error = fetcher.fetch_bytes(&request).await.unwrap_err();
        assert_eq!(error.class(), FetchClass::Timeout, "{path}: {error}");
        assert!(error.to_string().contains(part), "{path}: {error}");
        assert!(error.is_transient());
    }
}

/// A resolver that never answers.
struct Silent;

impl Lookup for Silent {
    fn lookup<'a>(&'a self, _: &'a str) -> LookedUp<'a> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn connecting_is_bounded_from_the_name_to_the_handshake() {
    // Takes the connection and never shakes hands.
    let server = Server::start(|_| vec![Step::Hang]).await;
    let mut config = config(&[&server]);
    config.connect_ms = 200;
    let parts = Parts {
        lookup: Arc::new(Silent),
        ..Parts::default()
    };
    let fetcher = Fetcher::with_parts(&config, parts).unwrap();
    fetcher.check_tls().unwrap();
    for url in [
        format!("https://{}/", server.address),
        "http://silent.test/".to_owned(),
    ] {
        let error = fetcher.fetch_bytes(&get(&url)).await.unwrap_err();
        assert_eq!(error.class(), FetchClass::Timeout, "{url}: {error}");
        assert!(
            error.to_string().contains("200 ms of connecting"),
            "{error}"
        );
    }
}

/// An error with its causes.
fn whole(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", whole(source)),
        None => error.to_string(),
    }
}

#[tokio::test]
async fn a_name_without_an_address_is_told() {
    let lookup = Table::of(&[("empty.test", &[&[]])]);
    let fetcher = fetcher_with(&[], lookup.clone());
    for name in ["empty.test", "unknown.test"] {
        let request = get(&format!("http://{name}/"));
        let mut told = Vec::new();
        for _ in 0..2 {
            let error = fetcher.fetch_bytes(&request).await.unwrap_err();
            assert_eq!(error.class(), FetchClass::Dns, "{error}");
            assert!(error.to_string().contains(name), "{error}");
            told.push(whole(&error));
        }
        assert_eq!(told[0], told[1], "what is remembered is told in its words");
    }
    assert_eq!(lookup.asked(), 2, "a failure is remembered for a moment");
}

#[tokio::test]
async fn a_refused_connection_is_told() {
    let server = Server::start(|_| vec![Step::Close]).await;
    let (address, url) = (server.address, server.url("/"));
    let fetcher = fetcher(&[&server]);
    drop(server);
    // The port is free once the server's task is gone.
    let bound = tokio::time::timeout(Duration::from_secs(10), async {
        while tokio::net::TcpListener::bind(address).await.is_err() {
            tokio::task::yield_now().await;
        }
    });
    bound.await.unwrap();
    let error = fetcher.fetch_bytes(&get(&url)).await.unwrap_err();
    assert_eq!(error.class(), FetchClass::Connect, "{error}");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[tokio::test]
async fn a_token_ends_a_fetch_wherever_it_is() {
    let server = Server::start(|request| match path(request) {
        "/silent" => vec![Step::Hang],
        _ => vec![
            head("Content-Length: 10\r\n"),
            Step::Send(b"12345".to_vec()),
            Step::Hang,
        ],
    })
    .await;
    let fetcher = fetcher(&[&server]);
    let folder = tempfile::tempdir().unwrap();
    for (index, path) in ["/silent", "/stops"].into_iter().enumerate() {
        let token = CancellationToken::new();
        let request = get(&server.url(path)).cancel(token.clone());
        let file = folder.path().join("feed");
        let fetch = fetcher.fetch_to_file(&request, &file);
        let cancel = async {
            while server.heads().len() <= index {
                tokio::task::yield_now().await;
            }
            token.cancel();
        };
        let (fetched, ()) = tokio::join!(fetch, cancel);
        assert_eq!(
            fetched.unwrap_err().class(),
            FetchClass::Cancelled,
            "{path}"
        );
        assert!(!file.exists());
    }
}

#[test]
fn fetches_may_be_spawned() {
    fn is_send<T: Send>(_: &T) {}
    let server_free = trawler_net::NetConfig::of("Trawler-test/0 (+mailto:test@shop.example)");
    let fetcher = trawler_net::Fetcher::new(&server_free).unwrap();
    let request = get("http://127.0.0.1/");
    is_send(&fetcher.fetch_bytes(&request));
    is_send(&fetcher.fetch_to_file(&request, std::path::Path::new("x")));
}

//! Bodies: every coding, both sinks, truncation, progress.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use trawler_net::{Codings, FetchClass, Limits};

use super::server::{Server, Step, answer, fetcher, get, head, limits, ok, path};

fn text() -> Vec<u8> {
    (0..50_000_u32)
        .flat_map(|n| format!("{n}\tname {}\n", n * 7).into_bytes())
        .collect()
}

fn encoded(coding: &str, body: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::fast();
    match coding {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "br" => {
            let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 4, 22);
            encoder.write_all(body).unwrap();
            encoder.into_inner()
        }
        "zstd" => zstd::encode_all(body, 1).unwrap(),
        _ => body.to_vec(),
    }
}

#[tokio::test]
async fn every_coding_is_removed_into_memory_and_into_a_file() {
    let server = Server::start(|head| {
        let coding = path(head).trim_start_matches('/');
        answer(
            "200 OK",
            &[("Content-Encoding", coding)],
            &encoded(coding, &text()),
        )
    })
    .await;
    let fetcher = fetcher(&[&server]);
    let folder = tempfile::tempdir().unwrap();
    for coding in ["identity", "gzip", "deflate", "br", "zstd"] {
        let request = get(&server.url(&format!("/{coding}")));
        let fetched = fetcher
            .fetch_bytes(&request)
            .await
            .unwrap()
            .into_body()
            .unwrap();
        assert!(fetched.body == text(), "{coding}");
        let raw = u64::try_from(encoded(coding, &text()).len()).unwrap();
        assert_eq!(fetched.raw_bytes, raw, "{coding}");

        let file = folder.path().join(coding);
        let fetched = fetcher
            .fetch_to_file(&request, &file)
            .await
            .unwrap()
            .into_body()
            .unwrap();
        assert!(std::fs::read(&file).unwrap() == text(), "{coding}");
        assert_eq!(fetched.body.sha256[..], Sha256::digest(text())[..]);
        assert_eq!(fetched.body.raw_bytes, raw);
        assert_eq!(
            fetched.body.decoded_bytes,
            u64::try_from(text().len()).unwrap()
        );
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        5,
        "no part is left"
    );
    assert!(server.heads()[0].contains("gzip, br, zstd, deflate"));
}

#[tokio::test]
async fn a_compressed_file_stays_compressed() {
    let file = encoded("gzip", &text());
    let served = file.clone();
    let server = Server::start(move |head| match path(head) {
        // The file alone, and the file in a coding of its own.
        "/feed.gz" => answer("200 OK", &[("Content-Type", "application/gzip")], &served),
        _ => answer(
            "200 OK",
            &[("Content-Encoding", "gzip")],
            &encoded("gzip", &served),
        ),
    })
    .await;
    let fetcher = fetcher(&[&server]);
    for name in ["/feed.gz", "/coded.gz"] {
        let request = get(&server.url(name)).codings(Codings::Identity);
        let fetched = fetcher
            .fetch_bytes(&request)
            .await
            .unwrap()
            .into_body()
            .unwrap();
        assert!(fetched.body == file, "{name}");
    }
    assert!(
        server.heads()[0]
            .to_ascii_lowercase()
            .contains("accept-encoding: identity")
    );
}

#[tokio::test]
async fn a_body_that_ends_early_is_truncated_and_leaves_no_file() {
    let server = Server::start(|request| match path(request) {
        "/length" => vec![
            head("Content-Length: 1000\r\n"),
            Step::Send(vec![b'x'; 400]),
            Step::Close,
        ],
        "/chunked" => vec![
            head("Transfer-Encoding: chunked\r\n"),
            Step::Send(b"190\r\n".to_vec()),
            Step::Send(vec![b'x'; 400]),
            Step::Send(b"\r\n".to_vec()),
            Step::Close,
        ],
        // The length is right; the coding's own end is missing.
        _ => {
            let body = encoded("gzip", &text());
            answer("200 OK", &[("Content-Encoding", "gzip")], &body[..400])
        }
    })
    .await;
    let fetcher = fetcher(&[&server]);
    let folder = tempfile::tempdir().unwrap();
    for (path, part) in [
        ("/length", "ended after 400 bytes of 1000"),
        ("/chunked", "ended after 400 bytes before its end"),
        ("/coded", "ended after 400 bytes before its end"),
    ] {
        let request = get(&server.url(path));
        let error = fetcher.fetch_bytes(&request).await.unwrap_err();
        assert_eq!(error.class(), FetchClass::Truncated, "{path}: {error}");
        assert!(error.to_string().contains(part), "{path}: {error}");
        let file = folder.path().join("feed");
        let error = fetcher.fetch_to_file(&request, &file).await.unwrap_err();
        assert_eq!(error.class(), FetchClass::Truncated, "{path}: {error}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn nonsense_is_told_apart() {
    let server = Server::start(|request| match path(request) {
        "/not-gzip" => answer("200 OK", &[("Content-Encoding", "gzip")], b"<html></html>"),
        "/unknown" => answer("200 OK", &[("Content-Encoding", "compress")], b"x"),
        "/not-http" => vec![Step::Send(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()), Step::Close],
        "/bad-chunk" => vec![
            head("Transfer-Encoding: chunked\r\n"),
            Step::Send(b"zz\r\n".to_vec()),
            Step::Hang,
        ],
        "/partial" => answer("206 Partial Content", &[], b"x"),
        "/empty" => vec![Step::Send(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())],
        _ => vec![Step::Close],
    })
    .await;
    let fetcher = fetcher(&[&server]);
    for (path, class) in [
        ("/not-gzip", FetchClass::Decode),
        ("/unknown", FetchClass::Decode),
        ("/not-http", FetchClass::Protocol),
        ("/bad-chunk", FetchClass::Protocol),
        ("/partial", FetchClass::Protocol),
        ("/empty", FetchClass::Protocol),
        ("/closes", FetchClass::Connect),
    ] {
        let error = fetcher
            .fetch_bytes(&get(&server.url(path)))
            .await
            .unwrap_err();
        assert_eq!(error.class(), class, "{path}: {error}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_a_disk_error() {
    let server = Server::start(|_| ok(b"body")).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("missing/feed");
    let error = fetcher(&[&server])
        .fetch_to_file(&get(&server.url("/")), &file)
        .await
        .unwrap_err();
    assert_eq!(error.class(), FetchClass::Disk);
    assert!(error.to_string().contains("missing"), "{error}");
}

#[tokio::test]
async fn progress_and_counters_agree_with_the_bytes() {
    let body = vec![b'x'; 300_000];
    let server = Server::start(move |_| ok(&body)).await;
    let seen = Arc::new(AtomicU64::new(0));
    let last = Arc::clone(&seen);
    let request = get(&server.url("/"))
        .limits(Limits { ..limits() })
        .observer(Arc::new(move |progress| {
            assert_eq!(progress.expected, Some(300_000));
            last.store(progress.raw_bytes, Ordering::SeqCst);
        }));
    let fetcher = fetcher(&[&server]);
    fetcher.fetch_bytes(&request).await.unwrap();
    assert_eq!(seen.load(Ordering::SeqCst), 300_000);
    let stats = fetcher.stats();
    assert_eq!(
        (stats.requests, stats.bytes_down, stats.failed),
        (1, 300_000, 0)
    );
}

#[tokio::test]
async fn connections_are_used_again_also_after_errors_with_small_bodies() {
    let server = Server::start(|request| match path(request) {
        "/gone" => answer("404 Not Found", &[], b"not here"),
        _ => ok(b"body"),
    })
    .await;
    let fetcher = fetcher(&[&server]);
    for path in ["/a", "/gone", "/b", "/gone", "/c"] {
        let _ = fetcher.fetch_bytes(&get(&server.url(path))).await;
    }
    assert_eq!(server.heads().len(), 5);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn of_a_prefix_the_rest_never_comes() {
    // A body without an end, in pieces.
    let endless = |head: &str| match path(head) {
        "/endless" => {
            let endless = Step::Endless(vec![b'x'; 64 << 10]);
            vec![self::head("Connection: close\r\n"), endless]
        }
        "/bomb" => answer(
            "200 OK",
            &[("Content-Encoding", "gzip")],
            &encoded("gzip", &vec![b'x'; 64 << 20]),
        ),
        coding => answer(
            "200 OK",
            &[("Content-Encoding", coding.trim_start_matches('/'))],
            &encoded(coding.trim_start_matches('/'), &text()),
        ),
    };
    let server = Server::start(endless).await;
    let fetcher = fetcher(&[&server]);
    let whole = text();
    for (what, cap, is_whole) in [
        ("/endless", 100_000, false),
        ("/bomb", 100_000, false),
        ("/identity", 100_000, false),
        ("/gzip", 100_000, false),
        ("/zstd", 100_000, false),
        ("/identity", 10_000_000, true),
        ("/gzip", 10_000_000, true),
    ] {
        let limits = Limits {
            raw_bytes_max: cap,
            decoded_bytes_max: cap,
            ..limits()
        };
        let request = get(&server.url(what)).limits(limits);
        let fetched = fetcher.fetch_prefix(&request).await;
        let body = fetched.unwrap_or_else(|error| panic!("{what}: {error}"));
        let body = body.into_body().unwrap().body;
        assert_eq!(body.is_whole, is_whole, "{what} {cap}");
        let room = usize::try_from(cap).unwrap();
        assert!(body.bytes.len() <= room, "{what}: {}", body.bytes.len());
        if !matches!(what, "/endless" | "/bomb") {
            assert!(whole.starts_with(&body.bytes), "{what}");
            assert_eq!(body.bytes.len() == whole.len(), is_whole, "{what}");
        }
        assert!(!body.bytes.is_empty(), "{what} {cap}");
    }
}

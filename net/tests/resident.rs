//! What a compressed body costs in memory, measured: a bomb is cut off at its
//! cap, and beyond the cap, and the window that its coding asks a decoder to
//! hold, at most 1 MiB has become resident.
#![allow(clippy::unwrap_used)]

use std::io::Write;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use trawler_net::{AllowedHost, FetchClass, Fetcher, Limits, NetConfig, Request, RetryPolicy};

const MIB: usize = 1024 * 1024;
const CAP: usize = 8 * MIB;
/// Tells the child what to measure: the peak is that of a process.
const CODING: &str = "TRAWLER_TEST_RESIDENT";

/// The peak and the present of this process's memory, in bytes.
fn resident() -> (usize, usize) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024
    };
    (field("VmHWM:"), field("VmRSS:"))
}

/// A Content-Encoding, what its decoder has to hold besides (its window, by RFC
/// 1951, 7932 and 9659), and so many zeros in it.
fn bomb(coding: &str, bytes: usize) -> (usize, Vec<u8>) {
    let zeros = vec![0; bytes];
    let level = flate2::Compression::best();
    match coding {
        "gzip" => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), level);
            gzip.write_all(&zeros).unwrap();
            (0, gzip.finish().unwrap())
        }
        "deflate" => {
            let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), level);
            zlib.write_all(&zeros).unwrap();
            (0, zlib.finish().unwrap())
        }
        "br" => {
            let mut brotli = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
            brotli.write_all(&zeros).unwrap();
            (4 * MIB, brotli.into_inner())
        }
        _ => {
            let mut zstd = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
            zstd.window_log(23).unwrap();
            zstd.write_all(&zeros).unwrap();
            (8 * MIB, zstd.finish().unwrap())
        }
    }
}

/// In the child: fetches a bomb and says how far the memory rose.
async fn fetch(coding: &str, listener: TcpListener) -> usize {
    let address = listener.local_addr().unwrap();
    let config = NetConfig {
        allow: vec![AllowedHost::Socket(address)],
        retry: RetryPolicy::never(),
        ..NetConfig::of("Trawler-test/0 (+mailto:test@shop.example)")
    };
    let fetcher = Fetcher::new(&config).unwrap();
    let limits = Limits {
        decoded_bytes_max: u64::try_from(CAP).unwrap(),
        ..Limits::default()
    };
    let request = Request::get(&format!("http://{address}/")).unwrap();
    let request = request.limits(limits);
    let serve = async |body: &[u8]| {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await.unwrap();
        let head = format!(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(body).await;
    };
    // Once with little, so that code and threads are there before it is measured.
    let (_, small) = bomb(coding, MIB);
    let (fetched, ()) = tokio::join!(fetcher.fetch_bytes(&request), serve(&small));
    assert_eq!(fetched.unwrap().into_body().unwrap().body.len(), MIB);
    let (_, large) = bomb(coding, 64 * MIB);
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let (_, before) = resident();
    let (fetched, ()) = tokio::join!(fetcher.fetch_bytes(&request), serve(&large));
    let (peak, _) = resident();
    assert_eq!(fetched.unwrap_err().class(), FetchClass::TooLarge);
    peak.saturating_sub(before)
}

#[test]
fn a_bomb_makes_no_more_than_its_cap_a_window_and_one_mib_resident() {
    if let Ok(coding) = std::env::var(CODING) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let rose = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            fetch(&coding, listener).await
        });
        println!("rose by {rose} bytes");
        return;
    }
    if std::fs::write("/proc/self/clear_refs", "5").is_err() {
        println!("skipped: this system does not tell the peak of a process's memory");
        return;
    }
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--nocapture"])
            .env(CODING, coding)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let rose = text
            .split("rose by ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        let rose: usize = rose
            .unwrap_or_else(|| panic!("{coding}: {text}"))
            .parse()
            .unwrap();
        println!("{coding}: {} KiB", rose / 1024);
        let (window, _) = bomb(coding, 0);
        assert!(rose > CAP / 2, "{coding}: nothing was measured");
        assert!(rose <= CAP + window + MIB, "{coding}: {rose}");
    }
}

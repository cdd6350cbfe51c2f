//! What a fetch costs: CPU time of this process for one page over a pooled
//! loopback connection, everything included (pace, gate, address policy, HTTP,
//! caps, decoding). The server is a process of its own.
//!
//! ```text
//! cargo run --release -p trawler-net --example fetch_cost -- [FETCHES [plain|gzip [AT_ONCE]]]
//! ```
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use trawler_net::{AllowedHost, Fetcher, HostLimits, NetConfig, Pace, PaceSettings, Request};

/// The size of a product page of a simple shop.
const PAGE_BYTES: usize = 15 * 1024;

fn main() {
    let mut args = std::env::args().skip(1);
    let first = args.next().unwrap_or_else(|| "50000".to_owned());
    if first == "serve" {
        return serve(&args.next().unwrap());
    }
    let fetches: u64 = first.parse().unwrap();
    let coding = args.next().unwrap_or_else(|| "plain".to_owned());
    let at_once: usize = args.next().map_or(16, |text| text.parse().unwrap());

    let mut server = Command::new(std::env::current_exe().unwrap())
        .args(["serve", &coding])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut told = BufReader::new(server.stdout.take().unwrap());
    told.read_line(&mut line).unwrap();
    let address: SocketAddr = line.trim().parse().unwrap();

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut config = NetConfig::of("Trawler-bench/0 (+mailto:bench@shop.example)");
        config.allow = vec![AllowedHost::Socket(address)];
        config.hosts = HostLimits {
            concurrency: 1000,
            ..HostLimits::default()
        };
        let fetcher = Fetcher::new(&config).unwrap();
        let pace = Pace::new(PaceSettings {
            rate_per_s: f64::INFINITY,
            concurrency: 1000,
            ..PaceSettings::default()
        });
        run(&fetcher, &pace, address, 2_000, at_once).await;
        let (cpu, begun) = (cpu_time(), Instant::now());
        run(&fetcher, &pace, address, fetches, at_once).await;
        let (cpu, wall) = (cpu_time() - cpu, begun.elapsed());
        let each = cpu.as_secs_f64() * 1e6 / fetches as f64;
        let rate = fetches as f64 / wall.as_secs_f64();
        println!("{fetches} fetches of {PAGE_BYTES} bytes ({coding}), {at_once} at once: {each:.1} us CPU each, {rate:.0}/s");
    });
    // It ends with its standard input.
    drop(server.stdin.take());
    server.wait().unwrap();
}

async fn run(
    fetcher: &Fetcher,
    pace: &Arc<Pace>,
    address: SocketAddr,
    fetches: u64,
    at_once: usize,
) {
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..at_once {
        let (fetcher, pace, next) = (fetcher.clone(), Arc::clone(pace), Arc::clone(&next));
        tasks.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= fetches {
                    return;
                }
                let url =
                    format!("http://{address}/catalogue/some-product-or-other_{n}/index.html");
                let request = Request::get(&url).unwrap().pace(Arc::clone(&pace));
                let fetched = fetcher.fetch_bytes(&request).await.unwrap();
                let body = fetched.into_body().unwrap().body;
                assert_eq!(body.len(), PAGE_BYTES);
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.try_into().unwrap(),
        time.tv_nsec.try_into().unwrap(),
    )
}

/// Answers every request with the same page until standard input ends.
fn serve(coding: &str) {
    let page: String = (0..)
        .map(|n| format!("<p class=\"line\">text of line {n}</p>\n"))
        .take(PAGE_BYTES / 30)
        .collect();
    let page = &page.as_bytes()[..PAGE_BYTES.min(page.len())];
    let page = [page, &vec![b' '; PAGE_BYTES - page.len()]].concat();
    let (body, header) = match coding {
        "gzip" => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(&page).unwrap();
            (encoder.finish().unwrap(), "Content-Encoding: gzip\r\n")
        }
        _ => (page, ""),
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/html; charset=utf-8\r\nETag: \"abc\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n{header}Content-Length: {}\r\n\r\n",
        body.len()
    );
    let answer: Arc<[u8]> = [head.as_bytes(), &body].concat().into();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || answer_all(stream.unwrap(), &answer));
        }
    });
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

fn answer_all(mut stream: TcpStream, answer: &[u8]) {
    stream.set_nodelay(true).unwrap();
    let (mut held, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        held.extend_from_slice(&piece[..count]);
        if held.ends_with(b"\r\n\r\n") {
            held.clear();
            if stream.write_all(answer).is_err() {
                return;
            }
        }
    }
}

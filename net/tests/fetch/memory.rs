//! Bodies in memory share what there is: many large ones at once wait for each
//! other, come to an end, and never hold more than the room and one body.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use trawler_net::{Fetcher, Limits, NetConfig};

use super::server::{Server, answer, config, get, path};

const MIB: usize = 1024 * 1024;
const ROOM: usize = 8 * MIB;
const BODY: usize = 3 * MIB;
const BODIES: usize = 12;

/// Pairs of the path and what is served there under a Content-Encoding.
fn served(body: &[u8]) -> [(&'static str, Vec<u8>); 2] {
    let level = flate2::Compression::fast();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), level);
    gzip.write_all(body).unwrap();
    [
        ("identity", body.to_vec()),
        ("gzip", gzip.finish().unwrap()),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_share_the_room_and_come_to_an_end() {
    let body: Vec<u8> = (0..BODY).map(|at| (at * at % 251) as u8).collect();
    let served = served(&body);
    let server = Server::start(move |head| {
        let coding = path(head).trim_start_matches('/');
        let (coding, bytes) = served.iter().find(|(known, _)| *known == coding).unwrap();
        answer("200 OK", &[("Content-Encoding", coding)], bytes)
    })
    .await;
    let settings = NetConfig {
        memory_bytes: ROOM as u64,
        ..config(&[&server])
    };
    let fetcher = Fetcher::new(&settings).unwrap();
    let limits = Limits {
        raw_bytes_max: BODY as u64,
        decoded_bytes_max: BODY as u64,
        ..Limits::default()
    };
    let (held, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut fetches = JoinSet::new();
    for number in 0..BODIES {
        let coding = ["identity", "gzip"][number % 2];
        let request = get(&server.url(&format!("/{coding}"))).limits(limits);
        let (fetcher, held, most) = (fetcher.clone(), Arc::clone(&held), Arc::clone(&most));
        fetches.spawn(async move {
            let fetched = fetcher.fetch_bytes(&request).await.unwrap();
            let body = fetched.into_body().unwrap().body;
            let now = held.fetch_add(body.len(), Ordering::SeqCst) + body.len();
            most.fetch_max(now, Ordering::SeqCst);
            // As long as a page is read.
            tokio::time::sleep(Duration::from_millis(50)).await;
            held.fetch_sub(body.len(), Ordering::SeqCst);
            body.len()
        });
    }
    let lengths = fetches.join_all().await;
    assert_eq!(lengths, [BODY; BODIES]);
    let most = most.load(Ordering::SeqCst);
    assert!(most <= ROOM + BODY, "{most} bytes were held at once");
    assert!(most > BODY, "one after the other");
}

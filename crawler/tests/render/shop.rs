//! A shop on loopback for the browser's tests: pages by path, and a log of what
//! was asked for. And traps: listeners that nobody may reach.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use trawler_net::{Fetcher, LookedUp, Lookup, NetConfig, Parts};

/// The name of the shop; all names are at 127.0.0.1, `private.test` apart.
pub(crate) const NAME: &str = "shop.test";

pub(crate) struct Shop {
    pub(crate) port: u16,
    log: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Shop {
    /// Serves `pages` by their paths, without their queries.
    pub(crate) async fn serve(pages: &[(&'static str, &'static str, String)]) -> Self {
        let pages: HashMap<_, _> = pages
            .iter()
            .map(|(path, kind, body)| (*path, (*kind, body.clone())))
            .collect();
        let pages = Arc::new(pages);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let kept = Arc::clone(&log);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (pages, log) = (Arc::clone(&pages), Arc::clone(&kept));
                connections.spawn(async move {
                    let _ = answer(stream, &pages, &log).await;
                });
            }
        });
        Self {
            port,
            log,
            _tasks: tasks,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{NAME}:{}{path}", self.port)
    }

    /// Paths that were asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// A fetcher that reaches this shop and nothing else of the machine.
    pub(crate) fn fetcher(&self) -> Fetcher {
        let mut config = NetConfig::of("Trawler/0.1 (+https://trawler.test)");
        let allowed = format!("{NAME}:{}", self.port);
        config.allow.push(allowed.parse().unwrap());
        let parts = Parts {
            lookup: Arc::new(Names),
            ..Parts::default()
        };
        Fetcher::with_parts(&config, parts).unwrap()
    }
}

async fn answer(
    mut stream: TcpStream,
    pages: &HashMap<&'static str, (&'static str, String)>,
    log: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head);
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let path = target.split('?').next().unwrap_or_default();
    let found = pages.get(path).cloned();
    log.lock().unwrap().push(target.clone());
    let (status, (kind, body)) = match found {
        Some(page) => ("200 OK", page),
        None => ("404 Not Found", ("text/plain", String::new())),
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

struct Names;

impl Lookup for Names {
    fn lookup<'a>(&'a self, host: &'a str) -> LookedUp<'a> {
        Box::pin(async move {
            match host {
                "private.test" => Ok(vec![IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))]),
                name if name.ends_with(".test") => Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]),
                _ => Err(io::Error::other("no such name")),
            }
        })
    }
}

/// Listeners for TCP over both families and for UDP, which count who comes.
pub(crate) struct Traps {
    pub(crate) v4: u16,
    pub(crate) v6: u16,
    pub(crate) udp: u16,
    sprung: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl Traps {
    pub(crate) async fn set() -> Self {
        let sprung = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        let v4 = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let v6 = TcpListener::bind("[::1]:0").await;
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let traps = (
            v4.local_addr().unwrap().port(),
            v6.as_ref().map_or(9, |v6| v6.local_addr().unwrap().port()),
            udp.local_addr().unwrap().port(),
        );
        for listener in [Some(v4), v6.ok()].into_iter().flatten() {
            let sprung = Arc::clone(&sprung);
            tasks.spawn(async move {
                while listener.accept().await.is_ok() {
                    sprung.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let count = Arc::clone(&sprung);
        tasks.spawn(async move {
            let mut datagram = [0; 2048];
            while udp.recv_from(&mut datagram).await.is_ok() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self {
            v4: traps.0,
            v6: traps.1,
            udp: traps.2,
            sprung,
            _tasks: tasks,
        }
    }

    pub(crate) fn sprung(&self) -> u64 {
        self.sprung.load(Ordering::SeqCst)
    }
}

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

/// The name of a pipe's proxy.
pub(crate) const PROXY: &str = "proxy.test";

pub(crate) struct Shop {
    pub(crate) port: u16,
    log: Arc<Log>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Log {
    heads: Mutex<Vec<String>>,
    at_once: AtomicU64,
    most_at_once: AtomicU64,
}

impl Shop {
    /// Serves `pages` by their paths, without their queries unless they are
    /// named with one. What a query asks for is done: `status` (0 is none at
    /// all), `Set-Cookie`, `Cache-Control`.
    pub(crate) async fn serve(pages: &[(&'static str, &'static str, String)]) -> Self {
        let pages: HashMap<_, _> = pages
            .iter()
            .map(|(path, kind, body)| (*path, (*kind, body.clone())))
            .collect();
        let pages = Arc::new(pages);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let log = Arc::new(Log::default());
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
        let target = |head: &String| head.split(' ').nth(1).unwrap_or_default().to_owned();
        self.heads().iter().map(target).collect()
    }

    /// Heads of the requests.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.log.heads.lock().unwrap().clone()
    }

    /// Requests that were under way together.
    pub(crate) fn most_at_once(&self) -> u64 {
        self.log.most_at_once.load(Ordering::SeqCst)
    }

    /// A fetcher that reaches this shop and nothing else of the machine.
    pub(crate) fn fetcher(&self) -> Fetcher {
        self.fetcher_by(self.port)
    }

    /// The same by way of a proxy at that port.
    pub(crate) fn fetcher_by(&self, proxy: u16) -> Fetcher {
        let mut config = NetConfig::of("Trawler/0.1 (+https://trawler.test)");
        let allowed = [format!("{NAME}:{}", self.port), format!("{PROXY}:{proxy}")];
        let allowed = allowed.iter().map(|host| host.parse().unwrap());
        config.allow.extend(allowed);
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
    log: &Log,
) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let path = target.split('?').next().unwrap_or_default();
    let found = pages.get(target.as_str()).or_else(|| pages.get(path));
    let found = found.cloned();
    log.heads.lock().unwrap().push(head.clone());
    let at_once = log.at_once.fetch_add(1, Ordering::SeqCst) + 1;
    log.most_at_once.fetch_max(at_once, Ordering::SeqCst);
    let (status, (kind, body)) = match found {
        Some(page) => ("200", page),
        None => ("404", ("text/plain", String::new())),
    };
    let query = target
        .split_once('?')
        .and_then(|(_, query)| query.split_once('='));
    let (status, more) = match query {
        Some(("status", status)) => (status, String::new()),
        Some(("Set-Cookie", name)) => (status, format!("Set-Cookie: {name}=1; Path=/\r\n")),
        Some(("Cache-Control", _)) => (status, "Cache-Control: max-age=600\r\n".to_owned()),
        _ => (status, String::new()),
    };
    let answer = format!(
        "HTTP/1.1 {status} -\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{more}Connection: close\r\n\r\n{body}",
        body.len()
    );
    let sent = match status {
        "0" => Ok(()),
        _ => stream.write_all(answer.as_bytes()).await,
    };
    log.at_once.fetch_sub(1, Ordering::SeqCst);
    sent?;
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

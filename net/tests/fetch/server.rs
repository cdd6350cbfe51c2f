//! A server that answers as a script says, and a look-up that answers as a
//! table says.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use trawler_net::{
    AllowedHost, Fetcher, Limits, LookedUp, Lookup, NetConfig, Parts, Request, RetryPolicy,
    Timeouts,
};

/// One step of an answer.
#[derive(Clone)]
pub(crate) enum Step {
    Send(Vec<u8>),
    /// Sends this again and again until the other side leaves.
    Endless(Vec<u8>),
    /// One byte, a pause, one byte ...
    Drip(Duration),
    /// Takes its time.
    Pause(Duration),
    /// Says nothing until the other side leaves.
    Hang,
    Close,
}

pub(crate) type Script = Arc<dyn Fn(&str) -> Vec<Step> + Send + Sync>;

/// Requests under way, and the most of them that there ever were.
#[derive(Default)]
pub(crate) struct Load {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// A server on a loopback address; ends when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    at_once: Arc<Load>,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(script: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0", script).await.unwrap()
    }

    pub(crate) async fn at(
        address: &str,
        script: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let heads = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let script: Script = Arc::new(script);
        let mut tasks = JoinSet::new();
        let (log, count) = (Arc::clone(&heads), Arc::clone(&connections));
        let at_once = Arc::new(Load::default());
        let load = Arc::clone(&at_once);
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                let load = Arc::clone(&load);
                open.spawn(async move { serve_counted(stream, script, log, &load).await });
            }
        });
        Ok(Self {
            address,
            heads,
            at_once,
            connections,
            _tasks: tasks,
        })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The heads of the requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// The most requests that were under way at once.
    pub(crate) fn most_at_once(&self) -> usize {
        self.at_once.most.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Answers the requests of one connection.
pub(crate) async fn serve<T: AsyncRead + AsyncWrite + Unpin>(
    stream: T,
    script: Script,
    heads: Arc<Mutex<Vec<String>>>,
) {
    serve_counted(stream, script, heads, &Load::default()).await;
}

async fn serve_counted<T: AsyncRead + AsyncWrite + Unpin>(
    mut stream: T,
    script: Script,
    heads: Arc<Mutex<Vec<String>>>,
    load: &Load,
) {
    while let Some(head) = read_head(&mut stream).await {
        let now = load.now.fetch_add(1, Ordering::SeqCst) + 1;
        load.most.fetch_max(now, Ordering::SeqCst);
        heads.lock().unwrap().push(head.clone());
        let mut steps = script(&head).into_iter();
        let last = steps.next_back();
        for step in steps {
            if run(&mut stream, step).await.is_err() {
                load.now.fetch_sub(1, Ordering::SeqCst);
                return;
            }
        }
        // Before the other side can have the whole answer.
        load.now.fetch_sub(1, Ordering::SeqCst);
        if let Some(step) = last
            && run(&mut stream, step).await.is_err()
        {
            return;
        }
    }
}

async fn run<T: AsyncRead + AsyncWrite + Unpin>(stream: &mut T, step: Step) -> io::Result<()> {
    match step {
        Step::Send(bytes) => {
            stream.write_all(&bytes).await?;
            stream.flush().await
        }
        Step::Endless(bytes) => loop {
            stream.write_all(&bytes).await?;
        },
        Step::Drip(pause) => loop {
            stream.write_all(b"x").await?;
            tokio::time::sleep(pause).await;
        },
        Step::Pause(pause) => {
            tokio::time::sleep(pause).await;
            Ok(())
        }
        Step::Hang => {
            let mut rest = [0; 64];
            while stream.read(&mut rest).await? > 0 {}
            Err(io::ErrorKind::ConnectionAborted.into())
        }
        Step::Close => {
            let _ = stream.shutdown().await;
            Err(io::ErrorKind::ConnectionAborted.into())
        }
    }
}

async fn read_head<T: AsyncRead + Unpin>(stream: &mut T) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0; 1];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).await.ok()? == 0 {
            return None;
        }
        head.extend_from_slice(&byte);
    }
    String::from_utf8(head).ok()
}

/// The path of a request head.
pub(crate) fn path(head: &str) -> &str {
    head.split(' ').nth(1).unwrap()
}

/// A whole answer with a body.
pub(crate) fn answer(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<Step> {
    let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    vec![Step::Send([head.as_bytes(), body].concat())]
}

pub(crate) fn ok(body: &[u8]) -> Vec<Step> {
    answer("200 OK", &[], body)
}

pub(crate) fn redirect(status: &str, to: &str) -> Vec<Step> {
    answer(status, &[("Location", to)], b"moved")
}

/// A head alone, without a length.
pub(crate) fn head(lines: &str) -> Step {
    Step::Send(format!("HTTP/1.1 200 OK\r\n{lines}\r\n").into_bytes())
}

/// A configuration that lets in these servers.
pub(crate) fn config(servers: &[&Server]) -> NetConfig {
    let allow = servers.iter().map(|s| AllowedHost::Socket(s.address));
    NetConfig {
        allow: allow.collect(),
        retry: RetryPolicy::never(),
        ..NetConfig::of("Trawler-test/0 (+mailto:test@shop.example)")
    }
}

pub(crate) fn fetcher(servers: &[&Server]) -> Fetcher {
    Fetcher::new(&config(servers)).unwrap()
}

pub(crate) fn fetcher_with(servers: &[&Server], lookup: Arc<Table>) -> Fetcher {
    let parts = Parts {
        lookup,
        ..Parts::default()
    };
    Fetcher::with_parts(&config(servers), parts).unwrap()
}

pub(crate) fn get(url: &str) -> Request {
    Request::get(url).unwrap().limits(limits())
}

/// Limits small enough for a test that runs into them.
pub(crate) fn limits() -> Limits {
    Limits {
        raw_bytes_max: 1024 * 1024,
        decoded_bytes_max: 1024 * 1024,
        redirects_max: 5,
        timeouts: Timeouts {
            first_byte_ms: 20_000,
            idle_ms: 20_000,
            whole_ms: 60_000,
        },
    }
}

/// A look-up that answers from a table; the answers of a name take turns.
#[derive(Default)]
pub(crate) struct Table {
    names: HashMap<String, Vec<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl Table {
    pub(crate) fn of(names: &[(&str, &[&[&str]])]) -> Arc<Self> {
        let addresses = |texts: &&[&str]| texts.iter().map(|t| t.parse().unwrap()).collect();
        let names = names.iter().map(|(name, turns)| {
            let turns = turns.iter().map(addresses).collect();
            ((*name).to_owned(), turns)
        });
        Arc::new(Self {
            names: names.collect(),
            asked: AtomicUsize::new(0),
        })
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Lookup for Table {
    fn lookup<'a>(&'a self, host: &'a str) -> LookedUp<'a> {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            let turns = self.names.get(host).ok_or(io::ErrorKind::NotFound)?;
            Ok(turns[turn % turns.len()].clone())
        })
    }
}

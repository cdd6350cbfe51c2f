//! A server, a process of its own on another core than the clients': it ends when its input does,
//! so it cannot outlive the bench.

use std::convert::Infallible;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The server answers its statistics at once, or something is wrong.
const STATS_WAIT: Duration = Duration::from_secs(10);

/// What a server has given out.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct ServerStats {
    /// Product pages or images.
    pub(crate) things: u64,
    /// Bytes of them.
    pub(crate) bytes: u64,
}

impl ServerStats {
    /// What was given out since then.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            things: self.things - before.things,
            bytes: self.bytes - before.bytes,
        }
    }

    pub(crate) fn bytes_mean(&self) -> u64 {
        self.bytes / self.things.max(1)
    }
}

/// What a server says when it is ready.
#[derive(Debug, Serialize, Deserialize)]
struct Ready {
    /// What is crawled.
    url: String,
    /// Where the statistics are asked for.
    stats: SocketAddr,
}

/// A running server; dropping it ends it.
pub(crate) struct Server {
    child: Child,
    ready: Ready,
}

impl Server {
    pub(crate) fn start(mut serving: Command) -> Result<Server> {
        let mut child = serving
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the server")?;
        let output = child.stdout.take().context("the server has an output")?;
        let mut line = String::new();
        BufReader::new(output)
            .read_line(&mut line)
            .context("wait for the server")?;
        let ready = serde_json::from_str(&line).context("the server did not start");
        match ready {
            Ok(ready) => Ok(Server { child, ready }),
            Err(error) => {
                end(&mut child);
                Err(error)
            }
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.ready.url
    }

    pub(crate) fn stats(&self) -> Result<ServerStats> {
        let asked = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect_timeout(&self.ready.stats, STATS_WAIT)?;
            stream.set_read_timeout(Some(STATS_WAIT))?;
            stream.write_all(b"?")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        };
        let text = asked().context("ask the server for its statistics")?;
        serde_json::from_str(&text).context("read the server's statistics")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    // The end of its input ends it.
    drop(child.stdin.take());
    let _ = child.wait();
}

pub(crate) fn run(serving: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?
        .block_on(serving)
}

/// Says that the server is ready, and serves and tells statistics until the input ends.
pub(crate) async fn until_input_ends(
    url: String,
    serving: impl Future<Output = ()>,
    stats: impl Fn() -> ServerStats,
) -> Result<()> {
    let asked = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .context("bind a port for statistics")?;
    let stats_addr = asked.local_addr().context("bound")?;
    let ready = Ready {
        url,
        stats: stats_addr,
    };
    println!("{}", serde_json::to_string(&ready)?);
    let telling = async {
        while let Ok((mut stream, _)) = asked.accept().await {
            let text = serde_json::to_string(&stats()).unwrap_or_default();
            let mut one = [0];
            // Who asks and leaves gets no answer, and needs none.
            let _ = stream.read(&mut one).await;
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, text.as_bytes()).await;
        }
    };
    let input_ends = tokio::task::spawn_blocking(|| {
        let mut nothing = Vec::new();
        std::io::stdin().read_to_end(&mut nothing)
    });
    tokio::select! {
        () = serving => {}
        () = telling => {}
        _ = input_ends => {}
    }
    Ok(())
}

/// Binds a free port of this machine; its URL without a path.
pub(crate) async fn bind() -> Result<(TcpListener, String)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.context("bind a port")?;
    let url = format!("http://{}", listener.local_addr().context("bound")?);
    Ok((listener, url))
}

/// Answers whoever comes, for ever.
pub(crate) async fn accept<F>(listener: TcpListener, answer: F)
where
    F: Fn(&Request<Incoming>) -> Response<Full<Bytes>> + Send + Sync + 'static,
{
    let answer = Arc::new(answer);
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        // Small answers go out at once; a failure only costs latency.
        let _ = stream.set_nodelay(true);
        let answer = Arc::clone(&answer);
        connections.spawn(async move {
            let service = service_fn(|request| {
                let answered = answer(&request);
                async move { Ok::<_, Infallible>(answered) }
            });
            // Clients leave when they are done.
            let _ = http1::Builder::new()
                .pipeline_flush(true)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

//! The server, a process of its own on another core than the clients': it ends when its input does,
//! so it cannot outlive the bench.

use std::convert::Infallible;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use trawler_shop::{PageMarkup, Shop, ShopSpec, SiteSpec};

use super::books::Books;
use super::{Pages, SHOP_PADDING_BYTES, SitePlan};
use crate::case;

/// Products of a category page of the generated shop.
const SHOP_PAGE_SIZE: u32 = 200;
/// The server answers its statistics at once, or something is wrong.
const STATS_WAIT: Duration = Duration::from_secs(10);

/// What a server has given out.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct ServerStats {
    /// Product pages.
    pub(super) products: u64,
    /// Bytes of product pages.
    pub(super) bytes: u64,
}

impl ServerStats {
    pub(super) fn page_bytes_mean(&self) -> u64 {
        self.bytes / self.products.max(1)
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
pub(super) struct Server {
    child: Child,
    ready: Ready,
}

impl Server {
    pub(super) fn start(pages: Pages, plan: &SitePlan<'_>) -> Result<Server> {
        let mut child = case::serving(pages, plan)?
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

    pub(super) fn url(&self) -> &str {
        &self.ready.url
    }

    pub(super) fn stats(&self) -> Result<ServerStats> {
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

/// Serves the book pages until the input ends.
pub(crate) fn serve_books(folder: &Path, products: u32) -> Result<()> {
    run(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("bind a port")?;
        let url = format!("http://{}", listener.local_addr().context("bound")?);
        let books = Arc::new(Books::read(folder, products, url.clone())?);
        let counts = Arc::new(Counts::default());
        let counted = Arc::clone(&counts);
        until_input_ends(url, accept(listener, books, counts), move || ServerStats {
            products: counted.products.load(Relaxed),
            bytes: counted.bytes.load(Relaxed),
        })
        .await
    })
}

/// Serves a generated shop until the input ends.
pub(crate) fn serve_shop(products: u32) -> Result<()> {
    run(async {
        let spec = ShopSpec {
            page_markup: PageMarkup::Plain,
            page_size: SHOP_PAGE_SIZE,
            sitemap_part_urls: 5_000,
            seen_max: 1,
            site: SiteSpec {
                padding_bytes: SHOP_PADDING_BYTES,
                ..SiteSpec::PLAIN
            },
            ..ShopSpec::new("Bench", 1, products)
        };
        let shop = Shop::start(spec).await.context("start the shop")?;
        let url = shop.url("");
        let stats = || {
            let page = shop.stats().page;
            ServerStats {
                products: page.requests,
                bytes: page.body_bytes,
            }
        };
        until_input_ends(url, std::future::pending(), stats).await
    })
}

fn run(serving: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?
        .block_on(serving)
}

/// Says that the server is ready, and serves and tells statistics until the input ends.
async fn until_input_ends(
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

#[derive(Default)]
struct Counts {
    products: AtomicU64,
    bytes: AtomicU64,
}

async fn accept(listener: TcpListener, books: Arc<Books>, counts: Arc<Counts>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        // Small answers go out at once; a failure only costs latency.
        let _ = stream.set_nodelay(true);
        let (books, counts) = (Arc::clone(&books), Arc::clone(&counts));
        connections.spawn(async move {
            let service = service_fn(|request| {
                let answer = answer(&request, &books, &counts);
                async move { Ok::<_, Infallible>(answer) }
            });
            // Clients leave when they are done.
            let _ = http1::Builder::new()
                .pipeline_flush(true)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn answer(request: &Request<Incoming>, books: &Books, counts: &Counts) -> Response<Full<Bytes>> {
    let Some(found) = books.get(request.uri().path()) else {
        let mut missing = Response::new(Full::new(Bytes::from_static(b"not found\n")));
        *missing.status_mut() = StatusCode::NOT_FOUND;
        return missing;
    };
    if found.is_product {
        counts.products.fetch_add(1, Relaxed);
        counts.bytes.fetch_add(found.body.len() as u64, Relaxed);
    }
    let mut response = Response::new(Full::new(found.body));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(found.content_type),
    );
    response
}

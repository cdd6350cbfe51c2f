//! https: the certificate is checked against the name, not against the address.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use trawler_net::{AllowedHost, FetchClass, Fetcher, Parts};

use super::server::{Server, Step, Table, config, get, ok, redirect, serve};

pub(crate) const AUTHORITY: &[u8] = include_bytes!("../data/ca.pem");
const CERTIFICATE: &[u8] = include_bytes!("../data/shop.test.der");
const KEY: &[u8] = include_bytes!("../data/shop.test.key.der");

pub(crate) fn acceptor(protocols: &[&[u8]]) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from(CERTIFICATE)],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(KEY)),
        )
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// A TLS server for the name shop.test; ends when the set is dropped.
pub(crate) async fn start(
    script: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static,
) -> (SocketAddr, JoinSet<()>) {
    let acceptor = acceptor(&[]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let script: super::server::Script = Arc::new(script);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(
                    stream,
                    Arc::clone(&script),
                    Arc::new(Mutex::new(Vec::new())),
                )
                .await;
            }
        }
    });
    (address, tasks)
}

fn fetcher(addresses: &[SocketAddr], authority: &[u8]) -> Fetcher {
    let mut config = config(&[]);
    config.allow = addresses
        .iter()
        .map(|address| AllowedHost::Socket(*address))
        .collect();
    let loopback: &[&[&str]] = &[&["127.0.0.1"]];
    let parts = Parts {
        lookup: Table::of(&[("shop.test", loopback), ("other.test", loopback)]),
        extra_roots_pem: authority.to_vec(),
        ..Parts::default()
    };
    Fetcher::with_parts(&config, parts).unwrap()
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_is_accepted() {
    let (address, _tasks) = start(|_| ok(b"body")).await;
    let fetcher = fetcher(&[address], AUTHORITY);
    let url = format!("https://shop.test:{}/", address.port());
    let fetched = fetcher
        .fetch_bytes(&get(&url))
        .await
        .unwrap()
        .into_body()
        .unwrap();
    assert_eq!(&fetched.body[..], b"body");
}

#[tokio::test]
async fn another_name_or_an_unknown_authority_is_refused() {
    let (address, _tasks) = start(|_| ok(b"body")).await;
    let port = address.port();
    for (authority, host) in [(AUTHORITY, "other.test"), (b"".as_slice(), "shop.test")] {
        let fetcher = fetcher(&[address], authority);
        let url = format!("https://{host}:{port}/");
        let error = fetcher.fetch_bytes(&get(&url)).await.unwrap_err();
        assert_eq!(error.class(), FetchClass::Tls, "{host}: {error}");
        assert!(!error.is_transient());
    }
}

#[tokio::test]
async fn a_redirect_from_https_to_http_is_refused_unless_allowed() {
    let plain = Server::start(|_| ok(b"plain")).await;
    let to = plain.url("/");
    let (address, _tasks) = start(move |_| redirect("302 Found", &to)).await;
    let fetcher = fetcher(&[address, plain.address], AUTHORITY);
    let request = get(&format!("https://shop.test:{}/", address.port()));
    let error = fetcher.fetch_bytes(&request).await.unwrap_err();
    assert_eq!(error.class(), FetchClass::BadUrl, "{error}");
    assert!(error.to_string().contains("leaves https"), "{error}");
    let request = request.downgrade(trawler_net::Downgrade::Allowed);
    let fetched = fetcher
        .fetch_bytes(&request)
        .await
        .unwrap()
        .into_body()
        .unwrap();
    assert_eq!(&fetched.body[..], b"plain");
}

/// An HTTP/2 server: `/cut` promises more than it sends.
async fn start_h2() -> (SocketAddr, Arc<AtomicUsize>, JoinSet<()>) {
    let acceptor = acceptor(&[b"h2"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut open = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else {
                continue;
            };
            count.fetch_add(1, Ordering::SeqCst);
            let service = service_fn(
                |request: hyper::Request<hyper::body::Incoming>| async move {
                    assert_eq!(request.version(), hyper::Version::HTTP_2);
                    let mut answer = hyper::Response::new(Full::new(Bytes::from_static(b"body")));
                    if request.uri().path() == "/cut" {
                        let length = "1000".parse().unwrap();
                        answer.headers_mut().insert("content-length", length);
                    }
                    Ok::<_, std::convert::Infallible>(answer)
                },
            );
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            open.spawn(server.serve_connection(TokioIo::new(stream), service));
        }
    });
    (address, connections, tasks)
}

#[tokio::test]
async fn http_2_is_spoken_where_the_server_offers_it() {
    let (address, connections, _tasks) = start_h2().await;
    let fetcher = fetcher(&[address], AUTHORITY);
    let url = |path: &str| format!("https://shop.test:{}{path}", address.port());
    fetcher.fetch_bytes(&get(&url("/first"))).await.unwrap();
    let mut all = JoinSet::new();
    for n in 0..30 {
        let request = get(&url(&format!("/{n}")));
        let fetcher = fetcher.clone();
        all.spawn(async move { fetcher.fetch_bytes(&request).await });
    }
    while let Some(fetched) = all.join_next().await {
        let fetched = fetched.unwrap().unwrap().into_body().unwrap();
        assert_eq!(&fetched.body[..], b"body");
    }
    let error = fetcher.fetch_bytes(&get(&url("/cut"))).await.unwrap_err();
    assert_eq!(error.class(), FetchClass::Truncated, "{error}");
    let connections = connections.load(Ordering::SeqCst);
    assert_eq!(connections, 1, "all over one connection");
}

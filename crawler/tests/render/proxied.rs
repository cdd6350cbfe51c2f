//! A pipe with a proxy: what a page's scripts ask for goes through it, and the
//! proxy is given judged addresses, never names.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use trawler_net::Proxy;

use super::shop::{PROXY, Shop};
use super::{Yard, built, document};

/// A forward proxy that knows CONNECT alone, and notes the heads it is sent.
struct Upstream {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Upstream {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let log = Arc::clone(&heads);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&log)));
            }
        });
        Self {
            port,
            heads,
            _tasks: tasks,
        }
    }
}

async fn serve(mut stream: TcpStream, log: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap().to_owned();
    log.lock().unwrap().push(head);
    let Ok(mut host) = TcpStream::connect(target).await else {
        let _ = stream.write_all(b"HTTP/1.1 502 Bad\r\n\r\n").await;
        return;
    };
    let _ = stream.write_all(b"HTTP/1.1 200 Fine\r\n\r\n").await;
    let _ = copy_bidirectional(&mut stream, &mut host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_8_a_pipes_proxy_gets_the_judged_address_in_connect_from_a_browser_too() {
    let upstream = Upstream::start().await;
    let data = r#"{"name":"Lamp"}"#.to_owned();
    let shop = Shop::serve(&[("/api", "application/json", data)]).await;
    let proxy = Proxy::new(&format!("http://{PROXY}:{}", upstream.port)).unwrap();
    let fetcher = shop.fetcher_by(upstream.port).through(proxy);
    let yard = Yard::new(|_| {});
    let session = yard.session_with(&fetcher, |_| {}).await;
    let page = "<p>one moment</p><script>\
        const show = text => document.body.append(text);\
        fetch('/api').then(a => a.json()).then(a => show(a.name), () => show('no name'));\
        fetch('https://shop.test:SHOP/tls', {mode: 'no-cors'}).catch(() => 0);\
        fetch('http://private.test/', {mode: 'no-cors'}).catch(() => 0);\
        fetch('https://private.test/', {mode: 'no-cors'}).catch(() => 0)</script>"
        .replace("SHOP", &shop.port.to_string());
    let page = document(&shop.url("/"), &page);
    let built = built(session.render(&page).await.unwrap());
    assert!(built.html.contains("Lamp"), "{}", built.html);
    let heads = upstream.heads.lock().unwrap().clone();
    // In the open and encrypted; of what is private the proxy hears nothing.
    assert!(heads.len() >= 2, "{heads:?}");
    for head in &heads {
        let line = format!("CONNECT 127.0.0.1:{} HTTP/1.1", shop.port);
        assert!(head.starts_with(&line), "{head}");
        assert!(!head.contains(".test"), "addresses alone: {head}");
    }
    let tls = built
        .broken
        .iter()
        .find(|broken| broken.url.path() == "/tls");
    assert!(
        tls.is_some_and(|tls| tls.why.starts_with("net::ERR_")),
        "{built:?}"
    );
    let refused = session.refused().join("\n");
    assert!(refused.contains("10.0.0.1"), "{refused}");
}

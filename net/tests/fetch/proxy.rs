//! A pipe's proxy: it is given judged addresses and nothing else, and TLS is
//! with the shop behind it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use trawler_net::{
    AllowedHost, FetchClass, Fetcher, FixedEgress, NoFixedEgress, Parts, Proxy, Secret,
    StatusClass, Unreached,
};

use super::server::{Server, Step, Table, answer, config, get, head, limits, ok, path, redirect};
use super::tls::{AUTHORITY, acceptor, start};

/// What a proxy answers to CONNECT.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Connects to whatever it is told, if the credentials are there.
    Open,
    /// The same, over TLS, as shop.test.
    Encrypted,
    /// The same, in SOCKS5 and without credentials.
    Socks,
    Says(&'static str),
}

/// A forward proxy on loopback; ends when dropped.
pub(crate) struct FakeProxy {
    pub(crate) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl FakeProxy {
    pub(crate) async fn start(kind: Kind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&heads);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let log = Arc::clone(&log);
                open.spawn(async move {
                    if kind == Kind::Encrypted {
                        if let Ok(stream) = acceptor(&[]).accept(stream).await {
                            serve(stream, kind, log).await;
                        }
                    } else if kind == Kind::Socks {
                        serve_socks(stream, log).await;
                    } else {
                        serve(stream, kind, log).await;
                    }
                });
            }
        });
        Self {
            address,
            heads,
            _tasks: tasks,
        }
    }

    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// The targets that it was asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        let heads = self.heads();
        let target = |head: &String| head.split(' ').nth(1).unwrap().to_owned();
        heads.iter().map(target).collect()
    }
}

/// One connection through SOCKS5; what was asked for is logged as for CONNECT.
async fn serve_socks(mut stream: TcpStream, log: Arc<Mutex<Vec<String>>>) {
    let mut greeting = [0; 3];
    stream.read_exact(&mut greeting).await.unwrap();
    assert_eq!(greeting, [5, 1, 0]);
    stream.write_all(&[5, 0]).await.unwrap();
    let mut ask = [0; 10];
    stream.read_exact(&mut ask).await.unwrap();
    assert_eq!(ask[..4], [5, 1, 0, 1], "an IPv4 address, no name");
    let ip = std::net::Ipv4Addr::new(ask[4], ask[5], ask[6], ask[7]);
    let target = SocketAddr::from((ip, u16::from_be_bytes([ask[8], ask[9]])));
    log.lock().unwrap().push(format!("SOCKS {target}"));
    let mut host = TcpStream::connect(target).await.unwrap();
    let _ = stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await;
    let _ = copy_bidirectional(&mut stream, &mut host).await;
}

async fn serve<T>(mut stream: T, kind: Kind, log: Arc<Mutex<Vec<String>>>)
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    log.lock().unwrap().push(head.clone());
    if let Kind::Says(words) = kind {
        let _ = stream.write_all(words.as_bytes()).await;
        return;
    }
    let target = head.split(' ').nth(1).unwrap();
    // One that would resolve names if it were given any.
    match TcpStream::connect(target).await {
        Ok(mut host) => {
            let _ = stream.write_all(b"HTTP/1.1 200 Fine\r\n\r\n").await;
            let _ = copy_bidirectional(&mut stream, &mut host).await;
        }
        Err(_) => {
            let _ = stream.write_all(b"HTTP/1.1 502 Bad\r\n\r\n").await;
        }
    }
}

/// A fetcher that may reach these, with `shop.test` and others on loopback.
pub(crate) fn fetcher(allowed: &[SocketAddr]) -> Fetcher {
    fetcher_with_egress(allowed, FixedEgress::None)
}

/// The same, whose operator names a proxy.
fn fetcher_with_egress(allowed: &[SocketAddr], fixed_egress: FixedEgress) -> Fetcher {
    let mut config = config(&[]);
    config.fixed_egress = fixed_egress;
    config.allow = allowed.iter().map(|a| AllowedHost::Socket(*a)).collect();
    let loopback: &[&[&str]] = &[&["127.0.0.1"]];
    let parts = Parts {
        lookup: Table::of(&[
            ("shop.test", loopback),
            ("proxy.test", loopback),
            ("two.test", &[&["2606:4700::1111", "127.0.0.1"]]),
            ("evil.test", &[&["10.0.0.1"]]),
        ]),
        extra_roots_pem: AUTHORITY.to_vec(),
        ..Parts::default()
    };
    Fetcher::with_parts(&config, parts).unwrap()
}

fn proxy(proxy: &FakeProxy) -> Proxy {
    Proxy::new(&format!("http://proxy.test:{}", proxy.address.port())).unwrap()
}

#[tokio::test]
async fn a_proxy_is_given_judged_addresses_and_never_a_name() {
    let plain = Server::start(|_| ok(b"plain")).await;
    let (encrypted, _tasks) = start(|_| ok(b"encrypted")).await;
    let asked = FakeProxy::start(Kind::Open).await;
    let direct = fetcher(&[plain.address, encrypted, asked.address]);
    let secret = Secret::new("hunter2");
    let through = direct.through(proxy(&asked).credentials("me", &secret).unwrap());
    let (plain_port, port) = (plain.address.port(), encrypted.port());
    for (url, body) in [
        (format!("http://shop.test:{plain_port}/a"), "plain"),
        (format!("http://shop.test:{plain_port}/b"), "plain"),
        (format!("http://127.0.0.1:{plain_port}/c"), "plain"),
        // The certificate is that of shop.test.
        (format!("https://shop.test:{port}/"), "encrypted"),
        (format!("http://two.test:{plain_port}/"), "plain"),
    ] {
        let fetched = through.fetch_bytes(&get(&url)).await.unwrap();
        assert_eq!(fetched.into_body().unwrap().body, body, "{url}");
    }
    // Pooled: /a and /b came over one connection. IPv4 is asked for first.
    assert_eq!(
        asked.asked(),
        [
            format!("127.0.0.1:{plain_port}"),
            format!("127.0.0.1:{plain_port}"),
            format!("127.0.0.1:{port}"),
            format!("127.0.0.1:{plain_port}"),
        ]
    );
    for head in asked.heads() {
        assert!(head.contains("Proxy-Authorization: Basic bWU6aHVudGVyMg=="));
        assert!(!head.contains(".test"), "{head}");
    }
    // The shop sees the name and not the credentials.
    for head in plain.heads() {
        let head = head.to_ascii_lowercase();
        assert!(!head.contains("proxy-") && head.contains("get /"), "{head}");
    }
    // Others go their own way.
    direct.fetch_bytes(&get(&plain.url("/"))).await.unwrap();
    assert_eq!(asked.heads().len(), 4);
}

#[tokio::test]
async fn through_a_proxy_the_policy_holds_all_the_same() {
    let inside = Server::start(|_| ok(b"secret")).await;
    let to = inside.url("/");
    let shop = Server::start(move |_| redirect("302 Found", &to)).await;
    let asked = FakeProxy::start(Kind::Open).await;
    let through = fetcher(&[shop.address, asked.address]).through(proxy(&asked));
    for url in [
        inside.url("/"),
        "http://evil.test/".to_owned(),
        "http://169.254.169.254/".to_owned(),
        "http://[::ffff:127.0.0.1]/".to_owned(),
        shop.url("/"),
        format!("http://{}/", asked.address.ip()),
    ] {
        let error = through.fetch_bytes(&get(&url)).await.unwrap_err();
        assert_eq!(error.class(), FetchClass::RefusedAddress, "{url}: {error}");
    }
    assert_eq!(asked.asked(), [shop.address.to_string()]);
    assert_eq!(inside.connections(), 0);
}

#[tokio::test]
async fn the_proxys_own_address_is_judged() {
    let shop = Server::start(|_| ok(b"body")).await;
    let asked = FakeProxy::start(Kind::Open).await;
    let port = asked.address.port();
    for at in ["127.0.0.1", "proxy.test", "evil.test", "[::ffff:127.0.0.1]"] {
        let proxy = Proxy::new(&format!("http://{at}:{port}")).unwrap();
        let through = fetcher(&[shop.address]).through(proxy);
        let error = through.fetch_bytes(&get(&shop.url("/"))).await.unwrap_err();
        assert_eq!(error.class(), FetchClass::RefusedAddress, "{at}: {error}");
        assert!(
            error.to_string().contains(at.trim_matches(['[', ']'])),
            "{error}"
        );
    }
    assert_eq!(asked.heads().len(), 0);
}

#[tokio::test]
async fn the_operators_proxy_may_be_at_a_private_address_and_opens_it_to_nobody() {
    let shop = Server::start(|_| ok(b"body")).await;
    let asked = FakeProxy::start(Kind::Open).await;
    let port = asked.address.port();
    // Neither by address nor by name is it in `net.allow`.
    for at in ["127.0.0.1", "proxy.test"] {
        let egress = FixedEgress::At(format!("http://{at}:{port}"));
        let direct = fetcher_with_egress(&[shop.address], egress);
        let fixed = direct.fixed().unwrap();
        for url in [
            shop.url("/"),
            format!("http://shop.test:{}/", shop.address.port()),
        ] {
            let fetched = fixed.fetch_bytes(&get(&url)).await.unwrap();
            assert_eq!(fetched.into_body().unwrap().body, "body", "{url}");
        }
        // What a partner or a pipe names is judged as ever: also where it is the
        // proxy itself.
        for url in [
            format!("http://{}/", asked.address),
            format!("http://proxy.test:{port}/"),
            "http://evil.test/".to_owned(),
            "http://169.254.169.254/".to_owned(),
        ] {
            for fetcher in [&direct, &fixed] {
                let error = fetcher.fetch_bytes(&get(&url)).await.unwrap_err();
                assert_eq!(error.class(), FetchClass::RefusedAddress, "{url}: {error}");
            }
        }
        let own = direct.through(proxy(&asked));
        let error = own.fetch_bytes(&get(&shop.url("/"))).await.unwrap_err();
        assert_eq!(error.class(), FetchClass::RefusedAddress, "{error}");
        // All pipes share its connections.
        let again = direct.fixed().unwrap();
        again.fetch_bytes(&get(&shop.url("/"))).await.unwrap();
        assert_ne!(fixed.way(), direct.way());
        assert_eq!(fixed.way(), again.way());
    }
    let to = shop.address.to_string();
    assert!(asked.asked().iter().all(|target| *target == to));
    assert_eq!(asked.asked().len(), 4, "two names, by each of two ways");
    assert_eq!(shop.connections(), 4, "none came directly");
}

#[tokio::test]
async fn without_a_proxy_for_a_fixed_address_nothing_is_asked_and_it_says_what_to_do() {
    let none = fetcher(&[]).fixed().err().unwrap();
    assert_eq!(none, NoFixedEgress::NotConfigured);
    let why = "the environment has no variable EGRESS".to_owned();
    let untold = fetcher_with_egress(&[], FixedEgress::Untold { why });
    let untold = untold.fixed().err().unwrap();
    for (error, parts) in [
        (none, ["net.fixed_egress", "Egress=fixed"]),
        (untold, ["no variable EGRESS", "is not known"]),
    ] {
        let told = error.to_string();
        assert!(parts.iter().all(|part| told.contains(part)), "{told}");
    }
    // One that does not answer is its operator's to look at.
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let shop = Server::start(|_| ok(b"body")).await;
    let egress = FixedEgress::At(format!("http://{gone}"));
    let fixed = fetcher_with_egress(&[shop.address], egress)
        .fixed()
        .unwrap();
    let error = fixed.fetch_bytes(&get(&shop.url("/"))).await.unwrap_err();
    assert_eq!(error.class(), FetchClass::Proxy, "{error}");
    assert!(error.is_transient());
    let told = format!("{error:?}");
    assert!(
        told.contains("net.fixed_egress") && !told.contains("fetch.proxy"),
        "{told}"
    );
    assert_eq!(shop.connections(), 0);
}

#[tokio::test]
async fn ssh_goes_by_the_way_of_its_fetcher_to_judged_addresses() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let asked = FakeProxy::start(Kind::Open).await;
    let egress = FixedEgress::At(format!("http://{}", asked.address));
    let direct = fetcher_with_egress(&[address], egress);
    let fixed = direct.fixed().unwrap();
    for (fetcher, connects) in [(&direct, 0), (&fixed, 1)] {
        let host = fetcher.ssh("shop.test", address.port()).await.unwrap();
        assert_eq!(host.addresses(), [address]);
        let mut ours = host.connect().await.unwrap();
        let (mut theirs, _) = server.accept().await.unwrap();
        ours.write_all(b"SSH").await.unwrap();
        let mut heard = [0; 3];
        theirs.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"SSH");
        assert_eq!(asked.asked().len(), connects);
    }
    assert_eq!(asked.asked(), [address.to_string()]);
    assert!(fixed.ssh("evil.test", 22).await.is_err());

    // A pipe's own proxy has its address judged here too.
    let own = fetcher(&[address]).through(proxy(&asked));
    let host = own.ssh("shop.test", address.port()).await.unwrap();
    let Err(Unreached::Refused(refusal)) = host.connect().await else {
        panic!("the proxy is on loopback");
    };
    assert!(refusal.to_string().contains("net.allow"), "{refusal}");
    drop(server);
    let host = direct.ssh("shop.test", address.port()).await.unwrap();
    let Err(Unreached::Failed { port, .. }) = host.connect().await else {
        panic!("nobody is there");
    };
    assert_eq!(port, address.port());
}

#[tokio::test]
async fn a_proxy_may_be_asked_over_tls() {
    let (encrypted, _tasks) = start(|_| ok(b"encrypted")).await;
    let asked = FakeProxy::start(Kind::Encrypted).await;
    let direct = fetcher(&[encrypted, asked.address]);
    let url = format!("https://shop.test:{}/", encrypted.port());
    let at = |name: &str| {
        let proxy = Proxy::new(&format!("https://{name}:{}", asked.address.port()));
        direct.through(proxy.unwrap())
    };
    let fetched = at("shop.test").fetch_bytes(&get(&url)).await.unwrap();
    assert_eq!(fetched.into_body().unwrap().body, "encrypted");
    assert_eq!(asked.asked(), [encrypted.to_string()]);
    let error = at("proxy.test").fetch_bytes(&get(&url)).await.unwrap_err();
    assert_eq!(error.class(), FetchClass::Proxy, "another name: {error}");
}

#[tokio::test]
async fn a_socks_proxy_is_given_addresses_too() {
    let (encrypted, _tasks) = start(|_| ok(b"encrypted")).await;
    let asked = FakeProxy::start(Kind::Socks).await;
    let direct = fetcher(&[encrypted, asked.address]);
    let proxy = Proxy::new(&format!("socks5://proxy.test:{}", asked.address.port()));
    let through = direct.through(proxy.unwrap());
    let url = format!("https://shop.test:{}/", encrypted.port());
    let fetched = through.fetch_bytes(&get(&url)).await.unwrap();
    assert_eq!(fetched.into_body().unwrap().body, "encrypted");
    assert_eq!(asked.asked(), [encrypted.to_string()]);
    let error = through.fetch_bytes(&get("http://evil.test/")).await;
    assert_eq!(error.unwrap_err().class(), FetchClass::RefusedAddress);
}

#[tokio::test]
async fn a_proxy_that_fails_is_told_from_the_shop() {
    let shop = Server::start(|_| answer("200 OK", &[], b"body")).await;
    let check = async |said: &'static str, expected: &str| {
        let asked = FakeProxy::start(Kind::Says(said)).await;
        let direct = fetcher(&[shop.address, asked.address]);
        let secret = Secret::new("hunter2");
        let through = direct.through(proxy(&asked).credentials("me", &secret).unwrap());
        let error = through.fetch_bytes(&get(&shop.url("/"))).await.unwrap_err();
        assert_eq!(error.class(), FetchClass::Proxy, "{said}: {error}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(expected), "{shown}");
        assert!(shown.contains("fetch.proxy"), "{shown}");
        assert!(
            !shown.contains("hunter2") && !shown.contains("bWU6"),
            "{shown}"
        );
    };
    check("HTTP/1.1 407 No\r\n\r\n", "other credentials").await;
    check("HTTP/1.1 403 No\r\n\r\n", "refuses CONNECT").await;
    check("HTTP/1.1 502 No\r\n\r\n", "no way to the host").await;
    check("<html>", "closed the connection").await;
    check(
        "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        "more than an answer",
    )
    .await;
    assert_eq!(shop.connections(), 0);
    // Nobody is there.
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let proxy = Proxy::new(&format!("http://{gone}")).unwrap();
    let through = fetcher(&[shop.address, gone]).through(proxy);
    let error = through.fetch_bytes(&get(&shop.url("/"))).await.unwrap_err();
    assert_eq!(error.class(), FetchClass::Proxy, "{error}");
    assert!(error.to_string().contains("cannot be reached"), "{error}");
    assert!(error.is_transient());
}

/// Two HTTP libraries, one account of what went wrong.
#[tokio::test]
async fn faults_of_the_shop_are_the_same_behind_a_proxy() {
    let shop = Server::start(|request| match path(request) {
        "/cut" => vec![
            head("Content-Length: 10\r\n"),
            Step::Send(b"half".to_vec()),
            Step::Close,
        ],
        "/cut-chunks" => vec![
            head("Transfer-Encoding: chunked\r\n"),
            Step::Send(b"4\r\nhalf\r\n".to_vec()),
            Step::Close,
        ],
        "/bad-chunk" => vec![
            head("Transfer-Encoding: chunked\r\n"),
            Step::Send(b"zz\r\n".to_vec()),
            Step::Hang,
        ],
        "/not-http" => vec![Step::Send(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()), Step::Close],
        "/long-head" => vec![head(&format!("X: {}\r\n", "x".repeat(70_000)))],
        "/endless-head" => vec![Step::Endless(b"HTTP/1.1 200 OK\r\nX: x\r\n".to_vec())],
        "/large" => answer("200 OK", &[], &[b'x'; 2 * 1024 * 1024]),
        "/silent" => vec![Step::Hang],
        "/stalls" => vec![head("Content-Length: 10\r\n"), Step::Hang],
        "/gone" => answer("410 Gone", &[], b""),
        _ => vec![Step::Close],
    })
    .await;
    let (encrypted, _tasks) = start(|_| ok(b"encrypted")).await;
    let asked = FakeProxy::start(Kind::Open).await;
    let direct = fetcher(&[shop.address, encrypted, asked.address]);
    let through = direct.through(proxy(&asked));
    // The certificate is that of shop.test.
    let other_name = format!("https://proxy.test:{}/", encrypted.port());
    for (url, expected) in [
        (shop.url("/cut"), FetchClass::Truncated),
        (shop.url("/cut-chunks"), FetchClass::Truncated),
        (shop.url("/bad-chunk"), FetchClass::Protocol),
        (shop.url("/not-http"), FetchClass::Protocol),
        (shop.url("/long-head"), FetchClass::TooLarge),
        (shop.url("/endless-head"), FetchClass::TooLarge),
        (shop.url("/large"), FetchClass::TooLarge),
        (shop.url("/silent"), FetchClass::Timeout),
        (shop.url("/stalls"), FetchClass::Timeout),
        (shop.url("/gone"), FetchClass::Status(StatusClass::Gone)),
        (shop.url("/closes"), FetchClass::Connect),
        (other_name, FetchClass::Tls),
    ] {
        let mut limits = limits();
        if expected == FetchClass::Timeout {
            limits.timeouts.whole_ms = 500;
        }
        let request = get(&url).limits(limits);
        let [one, two] = [&direct, &through].map(|fetcher| fetcher.fetch_bytes(&request));
        let (one, two) = (one.await.unwrap_err(), two.await.unwrap_err());
        assert_eq!(one.class(), expected, "{one}");
        assert_eq!(one.to_string(), two.to_string());
    }
}

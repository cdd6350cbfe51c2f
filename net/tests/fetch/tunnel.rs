//! The tunnel on the wire: what it refuses, what it lets through, its caps.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use trawler_net::{Fetcher, Proxy, Ruling, Tunnel, TunnelAsk, TunnelRules, TunnelSettings};

use super::proxy::{FakeProxy, Kind, fetcher};
use super::server::{Server, Step, answer, head, ok, path};

async fn tunnel(fetcher: &Fetcher) -> Tunnel {
    let settings = TunnelSettings::default();
    fetcher.tunnel(settings, None).await.unwrap()
}

/// The credential as a header line.
fn credential(tunnel: &Tunnel) -> String {
    let pair = format!("{}:{}", tunnel.user(), tunnel.password().reveal());
    format!("Proxy-Authorization: Basic {}\r\n", base64(pair.as_bytes()))
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for place in 0..4 {
            let six = usize::try_from((bits >> (18 - 6 * place)) & 63).unwrap();
            text.push(if place > group.len() {
                '='
            } else {
                char::from(ALPHABET[six])
            });
        }
    }
    text
}

/// Sends bytes to a tunnel and reads until it closes or `until` has come.
async fn say(address: SocketAddr, bytes: &str, until: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    listen(&mut stream, until).await
}

async fn listen(stream: &mut TcpStream, until: &str) -> String {
    let (mut heard, mut piece) = (Vec::new(), [0; 4096]);
    let end = async {
        loop {
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => return,
                Ok(count) => heard.extend_from_slice(&piece[..count]),
            }
            if String::from_utf8_lossy(&heard).contains(until) {
                return;
            }
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(20), end).await;
    assert!(ended.is_ok(), "no end: {}", String::from_utf8_lossy(&heard));
    String::from_utf8(heard).unwrap()
}

/// One request over a connection of its own; the whole answer.
async fn ask(tunnel: &Tunnel, line: &str) -> String {
    let head = format!(
        "{line} HTTP/1.1\r\nConnection: close\r\n{}\r\n",
        credential(tunnel)
    );
    say(tunnel.address(), &head, "\u{0}").await
}

fn status(answer: &str) -> u16 {
    let word = answer.split(' ').nth(1);
    word.unwrap_or_else(|| panic!("no answer: {answer:?}"))
        .parse()
        .unwrap()
}

#[tokio::test]
async fn nothing_private_is_reached_by_connect_or_by_url() {
    let inside = Server::start(|_| ok(b"secret")).await;
    let port = inside.address.port();
    let tunnel = tunnel(&fetcher(&[])).await;
    let own = tunnel.address().port();
    let hosts = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "localhost",
        "0.0.0.0",
        "10.0.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "shop.test",
        "evil.test",
        "shop.test.",
        "SHOP.test",
    ];
    for host in hosts {
        for line in [
            format!("CONNECT {host}:{port}"),
            format!("GET http://{host}:{port}/"),
        ] {
            let answer = ask(&tunnel, &line).await;
            let status = status(&answer);
            // These have no address in the table of names.
            let unknown = ["localhost", "shop.test."].contains(&host);
            let expected = if unknown { 502 } else { 403 };
            assert_eq!(status, expected, "{line}: {answer}");
        }
    }
    // Not itself either, and no ports of other protocols.
    let answer = ask(&tunnel, &format!("CONNECT 127.0.0.1:{own}")).await;
    assert_eq!(status(&answer), 403, "{answer}");
    assert!(answer.contains("loopback"), "the reason is told: {answer}");
    assert_eq!(status(&ask(&tunnel, "CONNECT 93.184.215.14:25").await), 403);
    assert_eq!(inside.connections(), 0);
    let figures = tunnel.figures();
    assert_eq!((figures.allowed, figures.bytes_down), (0, 0));
    assert_eq!(figures.refused, 2 * u64::try_from(hosts.len()).unwrap() + 2);
    tunnel.stop().await;
}

#[tokio::test]
async fn without_its_credential_a_tunnel_does_nothing() {
    let shop = Server::start(|_| ok(b"body")).await;
    let fetcher = fetcher(&[shop.address]);
    let (tunnel, other) = (tunnel(&fetcher).await, tunnel(&fetcher).await);
    for line in [
        format!("CONNECT {}", shop.address),
        format!("GET {}", shop.url("/")),
        "GET /".to_owned(),
    ] {
        for given in [
            String::new(),
            credential(&other),
            "Proxy-Authorization: x\r\n".to_owned(),
        ] {
            let head = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{given}\r\n");
            let answer = say(tunnel.address(), &head, "\u{0}").await;
            assert_eq!(status(&answer), 407, "{answer}");
            assert!(
                answer
                    .to_ascii_lowercase()
                    .contains("proxy-authenticate: basic")
            );
        }
    }
    assert_eq!(shop.connections(), 0);
    let log = tunnel.log();
    assert!(
        log.iter().all(|entry| entry.asked == "no credential"),
        "{log:?}"
    );
    assert_ne!(tunnel.password().reveal(), other.password().reveal());
}

#[tokio::test]
async fn allowed_hosts_are_reached_by_connect_and_by_url() {
    let shop = Server::start(|request| match path(request) {
        "/cookie" => answer(
            "200 OK",
            &[("Set-Cookie", "a=1"), ("Keep-Alive", "x")],
            b"body",
        ),
        "/moved" => answer("302 Found", &[("Location", "http://10.0.0.1/")], b""),
        _ => ok(b"body"),
    })
    .await;
    let port = shop.address.port();
    let tunnel = tunnel(&fetcher(&[shop.address])).await;
    // By CONNECT: what is said inside is nobody's.
    let mut stream = TcpStream::connect(tunnel.address()).await.unwrap();
    let head = format!(
        "CONNECT shop.test:{port} HTTP/1.1\r\n{}\r\n",
        credential(&tunnel)
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = listen(&mut stream, "\r\n\r\n").await;
    assert_eq!(status(&answer), 200, "{answer}");
    for _ in 0..2 {
        stream
            .write_all(b"GET /inside HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        let answer = listen(&mut stream, "body").await;
        assert!(answer.ends_with("body"), "{answer}");
    }
    // By URL, several over one connection.
    let mut stream = TcpStream::connect(tunnel.address()).await.unwrap();
    for path in ["/a", "/cookie"] {
        let head = format!(
            "GET http://shop.test:{port}{path} HTTP/1.1\r\nHost: evil.test\r\nX-Own: 1\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n{}\r\n",
            credential(&tunnel)
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = listen(&mut stream, "body").await;
        assert_eq!(status(&answer), 200, "{answer}");
        assert_eq!(answer.contains("a=1"), path == "/cookie", "{answer}");
        assert!(
            !answer.to_ascii_lowercase().contains("keep-alive: x"),
            "{answer}"
        );
    }
    let answer = ask(&tunnel, &format!("GET {}", shop.url("/moved"))).await;
    assert_eq!(status(&answer), 302, "redirects are its user's: {answer}");
    let heads = shop.heads();
    let seen = heads.iter().find(|head| head.contains("GET /a ")).unwrap();
    let seen = seen.to_ascii_lowercase();
    assert!(seen.contains(&format!("host: shop.test:{port}")), "{seen}");
    assert!(
        seen.contains("x-own: 1") && !seen.contains("x-hop"),
        "{seen}"
    );
    assert!(!seen.contains("proxy-authorization"), "{seen}");
    // A body goes up.
    let head = format!(
        "POST {} HTTP/1.1\r\nContent-Length: 5\r\nConnection: close\r\n{}\r\nhello",
        shop.url("/post"),
        credential(&tunnel)
    );
    let answer = say(tunnel.address(), &head, "body").await;
    assert_eq!(status(&answer), 200, "{answer}");
    let figures = tunnel.figures();
    assert_eq!((figures.allowed, figures.refused), (5, 0));
    assert!(
        figures.bytes_up > 60 && figures.bytes_down > 80,
        "{figures:?}"
    );
    let asked: Vec<String> = tunnel.log().into_iter().map(|entry| entry.asked).collect();
    assert_eq!(asked[0], format!("CONNECT shop.test:{port}"));
    assert_eq!(asked[1], format!("GET http://shop.test:{port}/a"));
    for line in ["PUT", "DELETE", "OPTIONS"] {
        let answer = ask(&tunnel, &format!("{line} {}", shop.url("/"))).await;
        assert_eq!(status(&answer), 403, "{answer}");
    }
    let answer = ask(&tunnel, "CONNECT unknown.test:443").await;
    assert_eq!(status(&answer), 502, "{answer}");
}

/// Lets nothing through whose URL or host holds a word.
struct Not(&'static str);

impl TunnelRules for Not {
    fn judge<'a>(&'a self, ask: &'a TunnelAsk) -> Ruling<'a> {
        Box::pin(async move {
            let held = match ask {
                TunnelAsk::Connect { host, .. } => host.contains(self.0),
                TunnelAsk::Plain { url, .. } => url.as_str().contains(self.0),
            };
            if held {
                return Err(format!("the pipe's rules refuse {}", self.0));
            }
            Ok(())
        })
    }
}

#[tokio::test]
async fn rules_are_asked_before_anything_is_passed_on() {
    let shop = Server::start(|_| ok(b"body")).await;
    let port = shop.address.port();
    let settings = TunnelSettings::default();
    let rules: Arc<dyn TunnelRules> = Arc::new(Not("two"));
    let tunnel = fetcher(&[shop.address]).tunnel(settings, Some(rules)).await;
    let tunnel = tunnel.unwrap();
    for (line, expected) in [
        (format!("GET http://shop.test:{port}/one"), 200),
        (format!("GET http://shop.test:{port}/two"), 403),
        (format!("CONNECT two.test:{port}"), 403),
    ] {
        let answer = ask(&tunnel, &line).await;
        assert_eq!(status(&answer), expected, "{line}: {answer}");
        assert_eq!(
            answer.contains("rules refuse two"),
            expected == 403,
            "{answer}"
        );
    }
    assert_eq!(shop.heads().len(), 1);
    let refused: Vec<_> = tunnel.log().into_iter().filter_map(|e| e.refused).collect();
    assert_eq!(refused.len(), 2);
}

#[tokio::test]
async fn a_pipes_proxy_gets_addresses_from_the_tunnel_too() {
    let shop = Server::start(|_| ok(b"body")).await;
    let port = shop.address.port();
    let upstream = FakeProxy::start(Kind::Open).await;
    let proxy = Proxy::new(&format!("http://proxy.test:{}", upstream.address.port()));
    let through = fetcher(&[shop.address, upstream.address]).through(proxy.unwrap());
    let tunnel = tunnel(&through).await;
    let answer = ask(&tunnel, &format!("GET http://shop.test:{port}/")).await;
    assert!(answer.ends_with("body"), "{answer}");
    let mut stream = TcpStream::connect(tunnel.address()).await.unwrap();
    let head = format!(
        "CONNECT shop.test:{port} HTTP/1.1\r\n{}\r\n",
        credential(&tunnel)
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    listen(&mut stream, "\r\n\r\n").await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert!(listen(&mut stream, "body").await.ends_with("body"));
    assert_eq!(status(&ask(&tunnel, "CONNECT evil.test:443").await), 403);
    assert_eq!(upstream.asked(), vec![shop.address.to_string(); 2]);
    for head in upstream.heads() {
        assert!(!head.contains(".test"), "addresses alone: {head}");
        assert!(!head.contains(tunnel.password().reveal()));
    }
}

fn small() -> TunnelSettings {
    TunnelSettings {
        connection_bytes_max: 200_000,
        bytes_max: 300_000,
        idle_ms: 300,
        ..TunnelSettings::default()
    }
}

/// Endless one way or the other, or silent.
async fn endless() -> Server {
    Server::start(|request| match path(request) {
        "/silent" => vec![Step::Hang],
        _ => vec![
            head("Connection: close\r\n"),
            Step::Endless(vec![b'x'; 10_000]),
        ],
    })
    .await
}

#[tokio::test]
async fn bytes_are_capped_for_a_connection_and_in_all() {
    let shop = endless().await;
    let tunnel = fetcher(&[shop.address])
        .tunnel(small(), None)
        .await
        .unwrap();
    let connect = format!(
        "CONNECT {} HTTP/1.1\r\n{}\r\n",
        shop.address,
        credential(&tunnel)
    );
    let url = format!(
        "GET {} HTTP/1.1\r\n{}\r\n",
        shop.url("/x"),
        credential(&tunnel)
    );
    let mut stream = TcpStream::connect(tunnel.address()).await.unwrap();
    stream.write_all(connect.as_bytes()).await.unwrap();
    listen(&mut stream, "\r\n\r\n").await;
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let heard = listen(&mut stream, "\u{0}").await.len();
    assert!((100_000..300_000).contains(&heard), "{heard}");
    let heard = say(tunnel.address(), &url, "\u{0}").await.len();
    assert!((50_000..200_000).contains(&heard), "{heard}");
    let answer = ask(&tunnel, &format!("GET {}", shop.url("/x"))).await;
    assert_eq!(status(&answer), 403, "{answer}");
    assert!(answer.contains("moved all it may"), "{answer}");
    assert!(tunnel.figures().bytes_down < 600_000);
}

#[tokio::test]
async fn silence_and_long_lives_are_ended() {
    let shop = endless().await;
    let fetcher = fetcher(&[shop.address]);
    for settings in [
        small(),
        TunnelSettings {
            whole_ms: 300,
            ..TunnelSettings::default()
        },
    ] {
        let tunnel = fetcher.tunnel(settings, None).await.unwrap();
        // Each of these waits for the tunnel to close.
        say(tunnel.address(), "", "\u{0}").await;
        say(tunnel.address(), "CONNECT", "\u{0}").await;
        let head = format!(
            "CONNECT {} HTTP/1.1\r\n{}\r\n",
            shop.address,
            credential(&tunnel)
        );
        say(tunnel.address(), &head, "\u{0}").await;
    }
}

#[tokio::test]
async fn connections_at_once_are_bounded_and_end_with_the_tunnel() {
    let shop = endless().await;
    let settings = TunnelSettings {
        connections_max: 2,
        ..TunnelSettings::default()
    };
    let tunnel = fetcher(&[shop.address])
        .tunnel(settings, None)
        .await
        .unwrap();
    let head = format!(
        "CONNECT {} HTTP/1.1\r\n{}\r\n",
        shop.address,
        credential(&tunnel)
    );
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(tunnel.address()).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        listen(&mut stream, "\r\n\r\n").await;
        open.push(stream);
    }
    let mut third = TcpStream::connect(tunnel.address()).await.unwrap();
    third.write_all(head.as_bytes()).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(200), third.read_u8()).await;
    assert!(waited.is_err(), "no room for a third");
    drop(open.pop());
    assert_eq!(status(&listen(&mut third, "\r\n\r\n").await), 200);
    open.push(third);
    tunnel.stop().await;
    for mut stream in open {
        assert_eq!(listen(&mut stream, "\u{0}").await, "", "closed");
    }
}

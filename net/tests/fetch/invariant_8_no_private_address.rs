//! Invariant 8: no partner can make a worker talk to a private, loopback,
//! link-local or metadata address, nor read its credentials. What a connection
//! goes to is tested on both ways of a request, direct and through a proxy.

use std::sync::Arc;

use trawler_net::{
    AllowedHost, Auth, FetchClass, Fetched, Fetcher, NetConfig, Parts, Proxy, Secret,
};

use super::proxy::{FakeProxy, Kind};
use super::server::{
    Server, Step, Table, answer, config, fetcher, fetcher_with, get, head, ok, path, redirect,
};

/// The ways that a request can take.
#[derive(Clone, Copy)]
enum Way<'a> {
    Direct,
    Through(&'a FakeProxy),
}

impl<'a> Way<'a> {
    fn both(proxy: &'a FakeProxy) -> [Self; 2] {
        [Self::Direct, Self::Through(proxy)]
    }

    /// A new fetcher that may reach these servers, and its proxy.
    fn fetcher(self, servers: &[&Server], lookup: Arc<Table>) -> Fetcher {
        let mut config = config(servers);
        if let Self::Through(proxy) = self {
            config.allow.push(AllowedHost::Socket(proxy.address));
        }
        let parts = Parts {
            lookup,
            ..Parts::default()
        };
        let fetcher = Fetcher::with_parts(&config, parts).unwrap();
        match self {
            Self::Direct => fetcher,
            Self::Through(proxy) => {
                fetcher.through(Proxy::new(&format!("http://{}", proxy.address)).unwrap())
            }
        }
    }
}

#[tokio::test]
async fn literal_addresses_are_refused_in_every_spelling() {
    let config = NetConfig::of("Trawler-test/0 (+mailto:test@shop.example)");
    let fetcher = Fetcher::new(&config).unwrap();
    let hosts = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "0",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "169.254.170.2",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "[::]",
        "[::1]",
        "[::127.0.0.1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:a9fe:a9fe]",
        "[::ffff:0:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::7f00:1]",
        "[100::1]",
        "[2001::1]",
        "[2001:2::1]",
        "[2001:10::1]",
        "[2001:20::1]",
        "[2001:db8::1]",
        "[2002:7f00:1::]",
        "[2002:a9fe:a9fe::]",
        "[3fff::1]",
        "[5f00::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[fd12:3456::1]",
        "[fe80::1]",
        "[fec0::1]",
        "[ff02::1]",
        "[2606:4700::5efe:10.0.0.1]",
        "\u{2460}27.0.0.1",
        "127\u{3002}0\u{3002}0\u{3002}1",
    ];
    for host in hosts {
        let error = fetcher
            .fetch_bytes(&get(&format!("http://{host}/")))
            .await
            .unwrap_err();
        assert_eq!(error.class(), FetchClass::RefusedAddress, "{host}: {error}");
        assert!(error.to_string().contains("net.allow"), "{error}");
        assert!(!error.is_transient());
    }
    let refused = u64::try_from(hosts.len()).unwrap();
    assert_eq!(fetcher.stats().refused, refused);
    assert_eq!(
        fetcher.stats().requests,
        0,
        "refused before anything is sent"
    );
}

#[tokio::test]
async fn redirects_are_judged_anew() {
    let inside = Server::start(|_| ok(b"secret")).await;
    let port = inside.address.port();
    let targets = [
        format!("http://127.0.0.1:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("//[::ffff:127.0.0.1]:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://[fd00:ec2::254]/".to_owned(),
        "http://10.0.0.1/".to_owned(),
        format!("http://inside.test:{port}/"),
    ];
    for target in targets {
        let to = target.clone();
        let shop = Server::start(move |_| redirect("302 Found", &to)).await;
        let lookup = Table::of(&[("inside.test", &[&["127.0.0.1"]])]);
        let fetcher = fetcher_with(&[&shop], lookup);
        let error = fetcher.fetch_bytes(&get(&shop.url("/"))).await.unwrap_err();
        assert_eq!(
            error.class(),
            FetchClass::RefusedAddress,
            "{target}: {error}"
        );
        assert!(error.to_string().contains("redirected to"), "{error}");
    }
    assert_eq!(inside.connections(), 0);
}

#[tokio::test]
async fn names_that_resolve_to_private_addresses_are_refused() {
    let inside = Server::start(|_| ok(b"secret")).await;
    let port = inside.address.port();
    let checks: &[&[&str]] = &[
        &["127.0.0.1"],
        &["::1"],
        &["10.0.0.1", "192.168.0.1"],
        &["169.254.169.254"],
        &["fd00:ec2::254"],
        &["::ffff:127.0.0.1"],
        &["64:ff9b::7f00:1"],
        &["2002:7f00:1::"],
        &["0.0.0.0"],
    ];
    let proxy = FakeProxy::start(Kind::Open).await;
    for (addresses, way) in checks
        .iter()
        .flat_map(|addresses| Way::both(&proxy).map(|way| (addresses, way)))
    {
        let lookup = Table::of(&[("evil.test", &[addresses])]);
        let fetcher = way.fetcher(&[], lookup);
        let url = format!("http://evil.test:{port}/");
        let error = fetcher.fetch_bytes(&get(&url)).await.unwrap_err();
        assert_eq!(
            error.class(),
            FetchClass::RefusedAddress,
            "{addresses:?}: {error}"
        );
        assert!(error.to_string().contains("evil.test"), "{error}");
        let judged = fetcher.judge(&url).await.unwrap_err();
        assert_eq!(judged.class(), FetchClass::RefusedAddress);
    }
    assert_eq!(inside.connections(), 0);
    assert_eq!(proxy.heads().len(), 0);
}

/// 127.0.0.1 on one port is allowed, 127.0.0.2 on the same port is not: a name
/// that has both must reach the first and never the second.
async fn pair() -> (Server, Server) {
    let allowed = Server::start(|_| answer("200 OK", &[("Connection", "close")], b"public")).await;
    let address = format!("127.0.0.2:{}", allowed.address.port());
    let private = Server::at(&address, |_| ok(b"secret")).await.unwrap();
    (allowed, private)
}

#[tokio::test]
async fn of_mixed_answers_only_the_judged_addresses_are_connected_to() {
    let (allowed, private) = pair().await;
    let orders: &[&[&str]] = &[
        &["127.0.0.2", "127.0.0.1"],
        &["127.0.0.1", "127.0.0.2"],
        &["10.0.0.1", "::1", "127.0.0.2", "127.0.0.1"],
    ];
    let proxy = FakeProxy::start(Kind::Open).await;
    for (addresses, way) in orders
        .iter()
        .flat_map(|addresses| Way::both(&proxy).map(|way| (addresses, way)))
    {
        let lookup = Table::of(&[("mixed.test", &[addresses])]);
        let fetcher = way.fetcher(&[&allowed], lookup);
        let url = format!("http://mixed.test:{}/", allowed.address.port());
        assert_eq!(fetcher.judge(&url).await.unwrap(), [allowed.address]);
        let body = fetcher
            .fetch_bytes(&get(&url))
            .await
            .unwrap()
            .into_body()
            .unwrap();
        assert_eq!(&body.body[..], b"public");
    }
    assert_eq!(allowed.connections(), 2 * orders.len());
    assert_eq!(private.connections(), 0);
    let asked = vec![allowed.address.to_string(); orders.len()];
    assert_eq!(proxy.asked(), asked, "the judged address, no name");
}

#[tokio::test]
async fn a_name_that_changes_its_address_reaches_only_what_was_judged() {
    let (allowed, private) = pair().await;
    let url = format!("http://rebind.test:{}/", allowed.address.port());
    let proxy = FakeProxy::start(Kind::Open).await;
    for way in Way::both(&proxy) {
        let lookup = Table::of(&[("rebind.test", &[&["127.0.0.1"], &["127.0.0.2"]])]);
        let (mut bodies, mut refusals) = (0, 0);
        for _ in 0..10 {
            // A new fetcher each time, so that no cache or pool hides the change.
            let fetcher = way.fetcher(&[&allowed], lookup.clone());
            for _ in 0..3 {
                match fetcher.fetch_bytes(&get(&url)).await {
                    Ok(fetched) => {
                        assert_eq!(&fetched.into_body().unwrap().body[..], b"public");
                        bodies += 1;
                    }
                    Err(error) => {
                        assert_eq!(error.class(), FetchClass::RefusedAddress);
                        refusals += 1;
                    }
                }
            }
        }
        // One look-up a fetcher: the answer that was judged is the one that is used.
        assert_eq!(lookup.asked(), 10);
        assert_eq!((bodies, refusals), (15, 15));
    }
    assert_eq!(private.connections(), 0);
    let asked = vec![allowed.address.to_string(); 15];
    assert_eq!(proxy.asked(), asked, "the judged address, no name");
}

#[tokio::test]
async fn an_allowance_opens_one_port_and_no_other() {
    let first = Server::start(|_| ok(b"one")).await;
    let second = Server::start(|_| ok(b"two")).await;
    let proxy = FakeProxy::start(Kind::Open).await;
    for way in Way::both(&proxy) {
        let fetcher = way.fetcher(&[&first], Table::of(&[]));
        assert!(fetcher.fetch_bytes(&get(&first.url("/"))).await.is_ok());
        let error = fetcher
            .fetch_bytes(&get(&second.url("/")))
            .await
            .unwrap_err();
        assert_eq!(error.class(), FetchClass::RefusedAddress);
    }
    assert_eq!(first.connections(), 2);
    assert_eq!(second.connections(), 0);
    assert_eq!(proxy.asked(), [first.address.to_string()]);
}

#[tokio::test]
async fn a_name_reaches_the_allowed_port_and_no_other() {
    let second = Server::start(|_| ok(b"two")).await;
    let to = format!("http://shop.test:{}/", second.address.port());
    let first = Server::start(move |head| match path(head) {
        "/away" => redirect("302 Found", &to),
        _ => ok(b"one"),
    })
    .await;
    let (one, two) = (first.address.port(), second.address.port());
    let url = |port: u16, path: &str| format!("http://shop.test:{port}{path}");
    let proxy = FakeProxy::start(Kind::Open).await;
    for way in Way::both(&proxy) {
        let lookup = Table::of(&[("shop.test", &[&["127.0.0.1"]])]);
        let fetcher = way.fetcher(&[&first], lookup);
        // In turns, so that neither the client nor the cache of the other port
        // helps.
        for _ in 0..3 {
            let fetched = fetcher.fetch_bytes(&get(&url(one, "/"))).await;
            assert!(fetched.is_ok(), "{fetched:?}");
            for refused in [url(two, "/"), url(one, "/away")] {
                let error = fetcher.fetch_bytes(&get(&refused)).await.unwrap_err();
                assert_eq!(error.class(), FetchClass::RefusedAddress, "{error}");
            }
        }
        assert_eq!(fetcher.stats().refused, 6);
    }
    assert_eq!(second.connections(), 0);
}

/// Runs a test of this file again, which goes both ways, in a process whose
/// environment names a proxy that nobody listens at.
#[test]
fn proxies_of_the_environment_are_not_used() {
    let mut test = std::process::Command::new(std::env::current_exe().unwrap());
    let name = "invariant_8_no_private_address::an_allowance_opens_one_port_and_no_other";
    test.args(["--exact", name])
        .env_remove("no_proxy")
        .env_remove("NO_PROXY");
    for variable in [
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ] {
        test.env(variable, "http://127.0.0.1:9");
    }
    let output = test.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}

#[tokio::test]
async fn a_name_may_be_allowed_and_other_names_are_not() {
    let server = Server::start(|_| ok(b"shop")).await;
    let port = server.address.port();
    let mut config = config(&[]);
    config.allow = vec![AllowedHost::Name {
        host: "shop.internal".into(),
        port,
    }];
    let lookup = Table::of(&[
        ("shop.internal", &[&["127.0.0.1"]]),
        ("evil.test", &[&["127.0.0.1"]]),
    ]);
    let parts = trawler_net::Parts {
        lookup,
        ..Default::default()
    };
    let fetcher = Fetcher::with_parts(&config, parts).unwrap();
    let fetched = fetcher
        .fetch_bytes(&get(&format!("http://shop.internal:{port}/")))
        .await;
    assert!(matches!(fetched, Ok(Fetched::Body(_))));
    let error = fetcher
        .fetch_bytes(&get(&format!("http://evil.test:{port}/")))
        .await;
    assert_eq!(error.unwrap_err().class(), FetchClass::RefusedAddress);
}

#[tokio::test]
async fn credentials_are_dropped_when_the_host_changes() {
    let stranger = Server::start(|_| ok(b"body")).await;
    let to = stranger.url("/there");
    let own = Server::start(move |head| match path(head) {
        "/first" => redirect("302 Found", "/second"),
        _ => redirect("302 Found", &to),
    })
    .await;
    let request = get(&own.url("/first"))
        .auth(&Auth::Basic {
            user: "me".into(),
            password: Secret::new("hunter2"),
        })
        .unwrap()
        .header("Cookie", "session=hunter2")
        .unwrap()
        .secret_header("X-Partner", &Secret::new("hunter2"))
        .unwrap()
        .header("Accept-Language", "ko")
        .unwrap()
        .referer(&own.url("/list?page=2"))
        .unwrap();
    fetcher(&[&own, &stranger])
        .fetch_bytes(&request)
        .await
        .unwrap();
    for head in own.heads() {
        let head = head.to_ascii_lowercase();
        assert!(
            head.contains("authorization: basic bwu6ahvudgvymg=="),
            "{head}"
        );
        assert!(head.contains("cookie: session=hunter2"));
        assert!(head.contains("x-partner: hunter2"));
        assert!(head.contains("/list?page=2"));
    }
    assert_eq!(own.heads().len(), 2);
    let [head] = &stranger.heads()[..] else {
        panic!("one request")
    };
    let head = head.to_ascii_lowercase();
    for secret in ["authorization", "cookie", "x-partner", "page=2"] {
        assert!(!head.contains(secret), "{secret} in {head}");
    }
    assert!(head.contains("accept-language: ko"));
    assert!(head.contains("user-agent: trawler-test/0"));
}

#[tokio::test]
async fn errors_show_no_secret() {
    let server = Server::start(|_| answer("404 Not Found", &[], b"")).await;
    let url = server.url("/feed?api_key=hunter2&lang=ko");
    let error = fetcher(&[&server])
        .fetch_bytes(&get(&url))
        .await
        .unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("lang=ko"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
    // Those of the HTTP library, which likes to show the URL that it was about.
    let server = Server::start(|request| match path(request).split('?').next() {
        Some("/not-http") => vec![Step::Send(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()), Step::Close],
        Some("/bad-chunk") => vec![
            head("Transfer-Encoding: chunked\r\n"),
            Step::Send(b"zz\r\n".to_vec()),
            Step::Hang,
        ],
        _ => vec![Step::Close],
    })
    .await;
    let proxy = FakeProxy::start(Kind::Open).await;
    for (path, way) in ["/not-http", "/bad-chunk", "/closes"]
        .iter()
        .flat_map(|path| Way::both(&proxy).map(|way| (path, way)))
    {
        let url = server.url(&format!("{path}?api_key=hunter2"));
        let error = way
            .fetcher(&[&server], Table::of(&[]))
            .fetch_bytes(&get(&url))
            .await
            .unwrap_err();
        let mut shown = format!("{error} {error:?}");
        let mut source = std::error::Error::source(&error);
        assert!(source.is_some(), "{path}: {error}");
        while let Some(error) = source {
            shown.push_str(&format!(" {error} {error:?}"));
            source = error.source();
        }
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let error = trawler_net::Request::get("http://me:hunter2@shop.test/").unwrap_err();
    assert_eq!(error.class(), FetchClass::BadUrl);
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
}

#[tokio::test]
async fn a_literal_ipv6_address_takes_the_same_way() {
    let Ok(server) = Server::at("[::1]:0", |_| ok(b"body")).await else {
        println!("skipped: this machine has no IPv6 loopback");
        return;
    };
    let allowed = fetcher(&[&server]);
    assert!(allowed.fetch_bytes(&get(&server.url("/"))).await.is_ok());
    let error = fetcher(&[]).fetch_bytes(&get(&server.url("/"))).await;
    assert_eq!(error.unwrap_err().class(), FetchClass::RefusedAddress);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_pooled_connection_serves_the_name_that_it_was_judged_for_alone() {
    let proxy = FakeProxy::start(Kind::Open).await;
    for way in Way::both(&proxy) {
        let shop = Server::start(|_| ok(b"public")).await;
        let port = shop.address.port();
        // Both may be at this address; each says so itself.
        let loopback: &[&[&str]] = &[&["127.0.0.1"]];
        let lookup = Table::of(&[
            ("one.test", loopback),
            ("two.test", loopback),
            ("gone.test", &[&["10.0.0.1"]]),
        ]);
        let fetcher = way.fetcher(&[&shop], lookup.clone());
        for _ in 0..3 {
            for host in ["one.test", "two.test"] {
                let request = get(&format!("http://{host}:{port}/"));
                assert!(fetcher.fetch_bytes(&request).await.is_ok());
            }
            let request = get(&format!("http://gone.test:{port}/"));
            let error = fetcher.fetch_bytes(&request).await.unwrap_err();
            assert_eq!(error.class(), FetchClass::RefusedAddress);
        }
        assert_eq!(shop.connections(), 2, "one for each name, used again");
        assert_eq!(lookup.asked(), 3, "one look-up for each name");
    }
}

//! Pages that behave badly.

use std::time::{Duration, Instant};

use trawler_crawler::render::RenderError;

use super::shop::{Shop, Traps};
use super::{Yard, built, document};

/// Tries whatever a page has to reach the network.
const TRIES: &str = r#"<!doctype html><p>tries</p>
<link rel="dns-prefetch" href="//private.test"><link rel="preconnect" href="http://127.0.0.1:V4">
<link rel="prefetch" href="http://127.0.0.1:V4/prefetch"><link rel="prefetch" href="/private/prefetch">
<link rel="modulepreload" href="http://127.0.0.1:V4/m.js">
<script type="speculationrules">
{"prefetch":[{"urls":["/private/speculation"],"eagerness":"immediate"}],
 "prerender":[{"urls":["/private/prerender"],"eagerness":"immediate"}]}
</script>
<iframe src="http://127.0.0.1:V4/frame"></iframe><iframe src="/private/frame"></iframe>
<object data="http://127.0.0.1:V4/object"></object>
<video src="http://127.0.0.1:V4/video" autoplay></video>
<img src="http://127.0.0.1:V4/img">
<script src="http://127.0.0.1:V4/script.js"></script>
<script>
const urls = [
    'http://169.254.169.254/latest/meta-data/', 'http://127.0.0.1:V4/', 'http://localhost:V4/',
    'http://shop.test:V4/', 'http://2130706433:V4/', 'http://0x7f.1:V4/', 'https://127.0.0.1:V4/',
    'http://[::1]:V6/', 'http://[::ffff:127.0.0.1]:V4/', 'http://private.test/', 'http://rebind.test:V4/',
    'http://rebind.test:V4/?again', 'http://0.0.0.0:V4/', 'file:///etc/passwd',
];
const attempt = (name, work) => { try { return work(); } catch (error) { return name + ' threw'; } };
const all = urls.map(url => fetch(url, { mode: 'no-cors' }).then(() => 'answered', () => 'no'));
const other = {
    socket: () => new WebSocket('ws://127.0.0.1:V4/socket'),
    secure: () => new WebSocket('wss://127.0.0.1:V4/socket'),
    events: () => new EventSource('http://127.0.0.1:V4/events'),
    beacon: () => navigator.sendBeacon('http://127.0.0.1:V4/beacon', 'x'),
    own: () => navigator.sendBeacon('/private/beacon', 'x'),
    popup: () => window.open('http://127.0.0.1:V4/popup'),
    worker: () => new Worker(URL.createObjectURL(new Blob(["fetch('http://shop.test:SHOP/private/worker')"]))),
    shared: () => new SharedWorker('/private/shared.js'),
    service: () => navigator.serviceWorker.register('/private/service.js'),
    transport: () => new WebTransport('https://127.0.0.1:UDP/'),
    peers: () => {
        const peer = new RTCPeerConnection({ iceServers: [
            { urls: 'stun:127.0.0.1:UDP' },
            { urls: 'turn:127.0.0.1:V4?transport=tcp', username: 'u', credential: 'c' },
        ] });
        peer.createDataChannel('x');
        return peer.createOffer().then(offer => peer.setLocalDescription(offer));
    },
    form: () => {
        const form = document.createElement('form');
        form.action = 'http://127.0.0.1:V4/form'; form.method = 'post'; form.target = '_blank';
        document.body.append(form); form.submit();
    },
    download: () => {
        const link = document.createElement('a');
        link.href = '/private/download'; link.download = 'x';
        document.body.append(link); link.click();
    },
    question: () => alert('hello'),
};
Object.entries(other).forEach(([name, work]) => attempt(name, () => Promise.resolve(work()).catch(() => 0)));
Promise.all(all).then(ends => document.body.append('ENDS ' + JSON.stringify(ends)));
</script>"#;

#[tokio::test(flavor = "multi_thread")]
async fn invariant_8_a_page_reaches_nothing_private_whatever_it_tries() {
    let (shop, traps) = (Shop::serve(&[]).await, Traps::set().await);
    let yard = Yard::new(|settings| settings.quiet = Duration::from_secs(3));
    let session = yard.session(&shop).await;
    let html = TRIES
        .replace("V4", &traps.v4.to_string())
        .replace("V6", &traps.v6.to_string())
        .replace("UDP", &traps.udp.to_string())
        .replace("SHOP", &shop.port.to_string());
    let page = document(&shop.url("/hostile"), &html);
    let built = built(session.render(&page).await.unwrap());
    // The tunnel's refusals are answers; a page cannot read them.
    assert!(built.html.contains("ENDS ["), "{}", built.html);
    assert_eq!(traps.sprung(), 0);
    assert_eq!(shop.asked(), [""; 0]);
    let refused = format!("{:?} {:?}", built.broken, session.refused());
    for private in ["169.254.169.254", "10.0.0.1", "[::1]", "rebind.test"] {
        assert!(refused.contains(private), "{private}: {refused}");
    }
    // The traps do see who comes.
    let _ = std::net::TcpStream::connect(("127.0.0.1", traps.v4));
    trawler_wait(|| traps.sprung() == 1).await;
}

/// Until something is so, within a bound.
async fn trawler_wait(is_so: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < until, "it was never so");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_without_an_end_are_ended_and_the_next_page_is_built() {
    let shop = Shop::serve(&[]).await;
    let yard = Yard::new(|settings| {
        settings.browsers = 1;
        settings.page_wait = Duration::from_secs(20);
    });
    let session = yard.session(&shop).await;
    for html in [
        "<p>a</p><script>while (true) {}</script>",
        "<p>a</p><script>onload = () => setTimeout(() => { while (true) {} }, 50)</script>",
    ] {
        let started = Instant::now();
        let ended = session.render(&document(&shop.url("/"), html)).await;
        assert!(matches!(ended, Err(RenderError::Time { .. })), "{ended:?}");
        assert!(
            started.elapsed() < Duration::from_secs(45),
            "{:?}",
            started.elapsed()
        );
    }
    let next = document(&shop.url("/"), "<script>document.write('built')</script>");
    let next = built(session.render(&next).await.unwrap());
    assert!(next.html.contains("built</body>"), "{}", next.html);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_never_rests_is_read_when_its_time_is_up() {
    let shop = Shop::serve(&[("/tick", "text/plain", "x".to_owned())]).await;
    let yard = Yard::new(|settings| settings.page_wait = Duration::from_secs(20));
    let session = yard.session(&shop).await;
    let html = "<p>ready</p><script>setInterval(() => fetch('/tick'), 100)</script>";
    let page = built(
        session
            .render(&document(&shop.url("/"), html))
            .await
            .unwrap(),
    );
    assert!(page.html.contains("<p>ready</p>") && !page.is_settled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_takes_memory_is_ended_at_its_bound() {
    let shop = Shop::serve(&[]).await;
    let yard = Yard::new(|settings| settings.memory_bytes_max = 600 << 20);
    let session = yard.session(&shop).await;
    let html = "<script>const held = []; \
        setInterval(() => held.push(new Uint8Array(16 << 20).fill(7)), 20); \
        setInterval(() => fetch('/x'), 100)</script>";
    let ended = session.render(&document(&shop.url("/"), html)).await;
    assert!(
        matches!(ended, Err(RenderError::Memory { .. })),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_page_says_at_once_is_bounded() {
    let shop = Shop::serve(&[]).await;
    let yard = Yard::new(|settings| settings.html_bytes_max = 1 << 20);
    let session = yard.session(&shop).await;
    let large = "<p></p><script>document.body.append('x'.repeat(3 << 20))</script>";
    let ended = session.render(&document(&shop.url("/"), large)).await;
    assert!(
        matches!(ended, Err(RenderError::TooLarge { .. })),
        "{ended:?}"
    );
    let said = "<script>fetch('data:text/plain,' + 'x'.repeat(30 << 20))</script>";
    let started = Instant::now();
    let ended = session.render(&document(&shop.url("/"), said)).await;
    assert!(ended.is_err(), "{ended:?}");
    assert!(started.elapsed() < Duration::from_secs(55), "{ended:?}");
}

//! Partners that mean harm, or are broken as if they did: bodies without end,
//! fast and slow, bombs in every coding, redirects to where nobody may go, and
//! the crafted files of `bombs`, through a whole run of the real program.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use trawler_shop::{BombCoding, Fault, FeedFormat, Shop, ShopSpec};

use crate::bombs::{MEGAPIXELS, bombs};
use crate::child::{Running, assert_tidy, scratch};
use crate::hostile::{MEMORY_MAX, PIXEL_BYTES_MAX};
use crate::look::{SMALL_VARIANT, feed_table, text};
use crate::server::{Answer, Server};
use crate::support::{Folder, pipe};

/// Of one image, and of all that are on their way at once.
const SOURCE_MIB: u64 = 4;
const MEMORY_MIB: u64 = 16;
/// What Linux lets both ends of a connection buffer at most.
const BUFFERED_MIB: u64 = 10;
/// Bodies that never end, or say that they will not soon; and one more for all
/// the small ones.
const ENDLESS: u64 = 2 + 1;

/// How long one image may take, and how long a partner may say nothing.
const IMAGE_S: u64 = 6;
const SILENCE_S: u64 = 2;

/// A debug build with nothing to do has 60 MiB resident. To that comes what is on
/// its way, and on each thread what a file alone may take: see `hostile`.
const RUN_MEMORY_MAX: u64 = (64 << 20)
    + (MEMORY_MIB << 20)
    + THREADS * (MEMORY_MAX + MEGAPIXELS as u64 * 1_000_000 * PIXEL_BYTES_MAX);
const THREADS: u64 = 2;

/// A request that takes its time is sent three times by the fetcher.
const RUN_MAX: Duration = Duration::from_secs(90);

/// What each bomb and each endless body would become.
const DECODED: u64 = 256 << 20;

/// What a partner does, and what that makes of the image.
fn faults() -> Vec<(Fault, &'static str)> {
    let coded = |coding| Fault::CodedBomb {
        coding,
        decoded_bytes: DECODED,
    };
    let drops = |millis| Fault::Drip {
        piece_bytes: 1,
        every: Duration::from_millis(millis),
    };
    let status = |code| Fault::Status {
        code,
        retry_after_s: None,
    };
    let address = |to: &str| Fault::RedirectTo(to.to_owned());
    vec![
        (Fault::Right, "stored"),
        (Fault::Endless, "too_large"),
        (Fault::Huge { bytes: DECODED }, "too_large"),
        (coded(BombCoding::Gzip), "too_large"),
        (coded(BombCoding::Brotli), "too_large"),
        (coded(BombCoding::Zstd), "too_large"),
        (Fault::PixelBomb { side_px: 65_536 }, "too_large"),
        // Never silent for long, and never done.
        (drops(300), "timeout"),
        (Fault::Stall { after_bytes: 100 }, "timeout"),
        (
            Fault::Delay(Duration::from_secs(2 * SILENCE_S + 1)),
            "timeout",
        ),
        (Fault::Truncate { after_bytes: 200 }, "truncated"),
        (Fault::LengthTooLong { by: 100 }, "truncated"),
        (Fault::Reset, "unreachable"),
        (Fault::RedirectLoop, "unreachable"),
        (
            address("http://169.254.169.254/latest/meta-data"),
            "refused_address",
        ),
        (address("http://[::1]/image"), "refused_address"),
        (Fault::HtmlInstead, "not_an_image"),
        (Fault::BlockPage, "not_an_image"),
        (Fault::Label("text/html".to_owned()), "stored"),
        (status(403), "blocked"),
        (status(404), "not_found"),
        (status(503), "unreachable"),
    ]
}

fn configure(folder: &Folder, hosts: &[String]) {
    let hosts: Vec<String> = hosts.iter().map(|host| format!("{host:?}")).collect();
    let text = format!(
        "[net]\ncontact = \"https://example.com/test\"\nallow = [{}]\n\
         connect_s = {SILENCE_S}\nfirst_byte_s = {SILENCE_S}\nidle_s = {SILENCE_S}\nmemory_mib = {MEMORY_MIB}\n\n\
         [scheduler]\ntick_ms = 50\n\n[workers]\npoll_s = 1\nimage_threads = {THREADS}\n\n\
         [retry]\nattempts_max = 1\n\n\
         [images]\nsource_mib_max = {SOURCE_MIB}\nmegapixels_max = {MEGAPIXELS}\n\
         timeout_s = {IMAGE_S}\n\n{SMALL_VARIANT}",
        hosts.join(", ")
    );
    fs::write(folder.path().join("trawler.toml"), text).expect("write trawler.toml");
}

/// A server of the crafted files that are no larger than a source may be, and a
/// feed of them; what becomes of each product's image, and the bytes of all.
fn crafted() -> (Server, BTreeMap<String, &'static str>, u64) {
    let small = bombs().filter(|bomb| bomb.file.len() as u64 <= SOURCE_MIB << 20);
    let files: Vec<_> = small.collect();
    let bytes = files.iter().map(|bomb| bomb.file.len() as u64).sum();
    let name = |at: usize| format!("crafted-{at:02}");
    let expected = files.iter().enumerate();
    let expected = expected.map(|(at, bomb)| (name(at), bomb.status)).collect();
    let server = Server::start(move |path| {
        // The host goes into the query, since the server is told it afterwards.
        if let Some(host) = path.strip_prefix("/feed?") {
            let mut feed = "id\ttitle\tprice_pc\tlink\timage_link\n".to_owned();
            for (at, bomb) in files.iter().enumerate() {
                let (id, title) = (name(at), bomb.name);
                let link = format!("https://a.test/{id}");
                feed += &format!("{id}\t{title}\t1000\t{link}\thttp://{host}/{at}\n");
            }
            return Answer::of(feed);
        }
        let at = path.trim_start_matches('/').parse::<usize>();
        let bomb = at.ok().and_then(|at| files.get(at));
        bomb.map_or_else(Answer::not_found, |bomb| Answer::of(bomb.file.clone()))
    });
    (server, expected, bytes)
}

/// Asks for a bomb, so that the shop has made it: packing takes seconds of a
/// debug build, in which it would be slow and nothing else.
fn make(shop: SocketAddr, path: &str) {
    let mut stream = TcpStream::connect(shop).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: {shop}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut packed = Vec::new();
    stream.read_to_end(&mut packed).unwrap();
    assert!(packed.starts_with(b"HTTP/1.1 200"), "a bomb at {path}");
}

/// A shop that does all of it, each to one product's image.
async fn hostile() -> (Shop, BTreeMap<String, (String, &'static str)>) {
    let faults = faults();
    let spec = ShopSpec {
        image_px: 64,
        extra_images_max: 0,
        ..ShopSpec::new("hostile images", 23, faults.len() as u32)
    };
    let shop = Shop::start(spec).await.unwrap();
    let addr = shop.addr();
    let mut expected = BTreeMap::new();
    for (product, (fault, status)) in shop.products(0).into_iter().zip(faults) {
        let at = product.image_link.find("/img/").unwrap();
        let what = format!("{fault:?}");
        let path = &product.image_link[at..];
        let is_bomb = matches!(fault, Fault::CodedBomb { .. });
        shop.misbehave(path, fault);
        if is_bomb {
            make(addr, path);
        }
        expected.insert(product.id, (what, status));
    }
    (shop, expected)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partners_that_mean_harm_cost_little_time_and_memory() {
    let (shop, of_shop) = hostile().await;
    let (server, of_server, crafted_bytes) = crafted();
    let before = shop.stats().image.body_bytes;
    let folder = Folder::new(&[], "");
    configure(&folder, &[shop.addr().to_string(), server.host()]);
    let feed = feed_table(FeedFormat::NaverEp);
    folder.pipe("hostile", &pipe(&shop.feed_url(), &feed, ""));
    let url = server.url(&format!("/feed?{}", server.host()));
    folder.pipe("crafted", &pipe(&url, &feed, ""));

    let running = Running::start(&folder, &["run", "--once", "--json"]);
    let watched = running.watch(&scratch(&folder), RUN_MAX);
    println!(
        "{:?}, {} MiB resident",
        watched.took,
        watched.memory_bytes >> 20
    );
    assert!(watched.took < RUN_MAX, "{:?}", watched.took);
    assert!(
        watched.memory_bytes < RUN_MEMORY_MAX,
        "{} bytes resident",
        watched.memory_bytes
    );
    let ended = watched.ended.with_code(0);
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
    assert_tidy(&folder);

    let mut problems = Vec::new();
    let mut check = |row: Option<&Value>, what: &str, status: &str| {
        let row = row.unwrap_or(&Value::Null);
        let found = (text(row, "image_status"), text(row, "image_reason"));
        println!("{what}: {} {}", found.0, found.1);
        if found.0 != status {
            problems.push(format!("{what}: {found:?}, expected {status}"));
        }
    };
    let rows = folder.rows("hostile");
    for (id, (what, status)) in &of_shop {
        check(rows.get(id), what, status);
    }
    let rows = folder.rows("crafted");
    for (id, status) in &of_server {
        let title = rows.get(id).map(|row| text(row, "title"));
        check(rows.get(id), &title.unwrap_or_default(), status);
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    // Nobody reads more of an endless body than may be kept, and the piece that
    // tells; what was under way when it stopped lies in the buffers of both ends.
    let read = ended.json()["figures"]["image_bytes_down"].as_u64();
    let read = read.unwrap() - crafted_bytes;
    let sent = shop.stats().image.body_bytes - before;
    println!("{} KiB read of {} KiB sent", read >> 10, sent >> 10);
    assert!(
        read < ENDLESS * ((SOURCE_MIB + 1) << 20),
        "{read} bytes read"
    );
    assert!(read <= sent, "{read} bytes read of {sent}");
    let buffered = ENDLESS * (BUFFERED_MIB << 20);
    assert!(sent < read + buffered, "{sent} bytes sent, {read} read");
    shop.stop().await;
}

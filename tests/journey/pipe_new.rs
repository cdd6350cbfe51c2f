//! `pipe new`: from the address of a feed or a shop to its exact catalogue,
//! without a line of a pipe file written by hand; and what it says of
//! addresses that lead to neither.

use std::process::Command;
use std::time::{Duration, Instant};

use trawler_shop::{
    Charset, Compression, Currency, Fault, FeedFormat, Packing, PageMarkup, Rule, Shop, ShopSpec,
};

use crate::look::{assert_same, truth};
use crate::server::{Answer, Server};
use crate::support::{Ended, Folder};

/// Longest that a look at something hostile may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Images are none of this journey's matter, the shop is not in a hurry, and
/// what was drafted is looked at and found good.
fn without_images(folder: &Folder, id: &str) {
    let path = folder.path().join("pipes").join(format!("{id}.toml"));
    let mut text = std::fs::read_to_string(&path).unwrap();
    text = text.replace("rate_per_s = 5 ", "rate_per_s = 10000 ");
    assert!(text.contains("state = \"draft\""), "{text}");
    text = text.replace("state = \"draft\"", "state = \"live\"");
    text.push_str("\n[images]\ncollect = false\n");
    std::fs::write(path, text).unwrap();
}

fn drafted(folder: &Folder, id: &str) -> String {
    let path = folder.path().join("pipes").join(format!("{id}.toml"));
    std::fs::read_to_string(path).unwrap()
}

/// The draft as it was written is checked and tried, and its run ends with the
/// shop's catalogue.
#[track_caller]
fn collected(folder: &Folder, id: &str, url: &str, shop: &Shop) {
    folder.trawler(&["check"]).with_code(0);
    let text = drafted(folder, id);
    let tried = folder.trawler(&["try", "feed", url, "--format", id, "--json"]);
    let tried = tried.with_code(0).json();
    assert_eq!(tried["rejected"], 0, "{tried:#}\n{text}");
    assert_eq!(
        tried["bad_values"],
        serde_json::json!({}),
        "{tried:#}\n{text}"
    );
    without_images(folder, id);
    folder.run_pipe(id).with_code(0);
    assert_same(&folder.told(id), &truth(shop.products(0)));
}

fn spec(format: FeedFormat, charset: Charset, compression: Compression) -> ShopSpec {
    ShopSpec {
        format,
        charset,
        compression,
        ..ShopSpec::new("onboard", 61, 60)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_shape_of_feed_is_drafted_and_collected_to_the_exact_catalogue() {
    let mut specs = vec![
        spec(FeedFormat::NaverEp, Charset::Cp949, Compression::Gzip),
        spec(FeedFormat::NaverEp, Charset::Utf8, Compression::Brotli),
        spec(FeedFormat::GoogleTsv, Charset::Utf16Le, Compression::Zip),
        spec(FeedFormat::Rss, Charset::Utf8, Compression::Zstd),
        spec(FeedFormat::Atom, Charset::Cp949, Compression::None),
        spec(FeedFormat::Csv, Charset::Cp949, Compression::None),
        spec(FeedFormat::Json, Charset::Utf8, Compression::Gzip),
        spec(FeedFormat::JsonLines, Charset::Cp949, Compression::None),
    ];
    for separator in [b';', b'|', b'^', b'\t'] {
        specs.push(ShopSpec {
            csv_separator: separator,
            ..spec(FeedFormat::Csv, Charset::Utf8, Compression::None)
        });
    }
    specs.push(ShopSpec {
        packing: Packing::ContentEncoding,
        currency: Currency::Usd,
        ..spec(FeedFormat::Csv, Charset::Utf8, Compression::Brotli)
    });
    for (at, spec) in specs.into_iter().enumerate() {
        let (format, charset, packed) = (spec.format, spec.charset, spec.compression);
        let shape = format!("{format:?} {charset:?} {packed:?} {}", spec.csv_separator);
        let shop = Shop::start(spec).await.unwrap();
        let folder = Folder::new(&[shop.addr().to_string()], "");
        let (id, url) = (format!("shop-{at}"), shop.feed_url());
        let args = ["pipe", "new", &id, "--from", &url];
        // Nobody has said yet what the feed is: nothing is written.
        let asked = folder.trawler(&args).with_code(2);
        assert!(asked.stdout.contains("--mode full"), "{shape}: {asked:?}");
        assert!(!folder.path().join(format!("pipes/{id}.toml")).exists());
        let said = [&args[..], &["--mode", "full"]].concat();
        folder.trawler(&said).with_code(0);
        println!("{shape}");
        collected(&folder, &id, &url, &shop);
        // What is there is never touched.
        let before = drafted(&folder, &id);
        let again = folder.trawler(&said).with_code(2);
        assert!(again.stderr.contains("exists already"), "{again:?}");
        assert_eq!(drafted(&folder, &id), before);
        shop.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_summary_is_drafted_as_one_when_the_user_says_so() {
    let shop = Shop::start(spec(
        FeedFormat::NaverEpSummary,
        Charset::Utf8,
        Compression::None,
    ));
    let shop = shop.await.unwrap();
    let folder = Folder::new(&[shop.addr().to_string()], "");
    let url = shop.feed_url();
    let args = ["pipe", "new", "s", "--from", &url];
    let asked = folder.trawler(&args).with_code(2);
    assert!(asked.stdout.contains("--mode summary"), "{asked:?}");
    folder
        .trawler(&[&args[..], &["--mode", "summary"]].concat())
        .with_code(0);
    collected(&folder, "s", &url, &shop);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_is_surveyed_politely_and_collected_to_the_exact_catalogue() {
    for markup in [
        PageMarkup::JsonLd,
        PageMarkup::Microdata,
        PageMarkup::OpenGraph,
    ] {
        let shop = Shop::start(ShopSpec {
            page_markup: markup,
            seen_max: 10_000,
            ..ShopSpec::new("site", 62, 40)
        })
        .await
        .unwrap();
        let folder = Folder::new(&[shop.addr().to_string()], "");
        let home = shop.url("/");
        let args = ["pipe", "new", "site", "--from", &home, "--json"];
        let report = folder.trawler(&args).with_code(0).json();
        let asked = shop.stats().requests();
        assert!(asked <= 10, "{asked} requests were made");
        let pages = report["draft"]["what"]["site"]["pages"].as_array().unwrap();
        assert!(pages.iter().any(|page| page["products"] == 1), "{report:#}");
        folder.trawler(&["check"]).with_code(0);
        let page = shop.products(0).remove(0).link;
        folder
            .trawler(&["try", "page", &page, "--pipe", "site"])
            .with_code(0);
        without_images(&folder, "site");
        folder.run_pipe("site").with_code(0);
        assert_same(&folder.told("site"), &truth(shop.products(0)));
        shop.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_robots_txt_forbids_is_not_surveyed() {
    let shop = Shop::start(ShopSpec::new("closed", 63, 3)).await.unwrap();
    let folder = Folder::new(&[shop.addr().to_string()], "");
    let cart = shop.url("/cart");
    let denied = folder
        .trawler(&["pipe", "new", "x", "--from", &cart])
        .with_code(1);
    assert!(denied.stderr.contains("Disallow: /cart"), "{denied:?}");
    assert_eq!(shop.stats().requests(), 1, "robots.txt alone was asked for");
    let fault = Fault::Status {
        code: 503,
        retry_after_s: None,
    };
    shop.misbehave_by(Rule::new("/robots.txt", fault));
    let home = shop.url("/");
    let unknown = folder
        .trawler(&["pipe", "new", "x", "--from", &home])
        .with_code(1);
    assert!(unknown.stderr.contains("allows nothing"), "{unknown:?}");
    shop.stop().await;
}

/// The program on a place, without a folder.
fn looked(from: &str, more: &[&str]) -> Ended {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(crate::support::TRAWLER);
    let args = [
        "pipe", "new", "x", "--print", "--mode", "full", "--from", from,
    ];
    let ended = command
        .current_dir(dir.path())
        .args(args)
        .args(more)
        .output();
    Ended::from(ended.unwrap())
}

#[test]
fn what_is_no_feed_says_what_it_is_and_what_to_do() {
    let answers: &[(&str, &str, &str)] = &[
        ("/empty.tsv", "", "it is empty"),
        (
            "/page.xml",
            "<!DOCTYPE html><html><head><title>Sorry</title></head><body>x</body></html>",
            "HTML page (\"Sorry\")",
        ),
        (
            "/login.csv",
            "<html><form><input type=\"password\"></form></html>",
            "asks for a login",
        ),
        (
            "/php.tsv",
            "<br />\n<b>Fatal error</b>:  Allowed memory size exhausted in <b>/ep.php</b>",
            "error text of the shop's server",
        ),
        (
            "/map.xml",
            "<urlset><url><loc>http://a/</loc></url></urlset>",
            "it is a sitemap",
        ),
        (
            "/other.xml",
            "<products><product/></products>",
            "root element is <products>",
        ),
        ("/text.txt", "hello\nworld\n", "have no columns"),
        ("/header.csv", "id,title,link,price\n", "not one product"),
        (
            "/nolink.csv",
            "id,title\n1,Coat\n2,Cup\n",
            "the product's link",
        ),
        (
            "/none.json",
            "{\"status\":\"ok\",\"items\":[]}",
            "no array of objects",
        ),
        ("/broken.gz", "\u{1f}\u{fffd}not gzip", "no text"),
    ];
    let server = Server::start(move |path| {
        let answer = answers.iter().find(|(known, _, _)| *known == path);
        match (path, answer) {
            ("/huge.csv", _) => Answer::of(vec![b'x'; 16 << 20]),
            ("/binary.tsv", _) => Answer::of(vec![7; 16 << 20]),
            ("/drip.tsv", _) => Answer::of("id\ttitle\tlink\n").missing(10_000_000),
            (_, Some((_, body, _))) => Answer::of(*body),
            (_, None) => Answer::not_found(),
        }
    });
    let host = server.host();
    let allow = ["--allow", &*host];
    let more = [
        ("/huge.csv", "", "does not end"),
        ("/binary.tsv", "", "it is no text"),
        ("/drip.tsv", "", "not one product"),
        ("/absent.tsv", "", "check the address"),
    ];
    for (path, _, expected) in answers.iter().chain(&more) {
        let begun = Instant::now();
        let ended = looked(&server.url(path), &allow).with_code(1);
        assert!(ended.stderr.contains(expected), "{path}: {ended:?}");
        assert!(ended.stdout.is_empty(), "{path}: {ended:?}");
        assert!(begun.elapsed() < PATIENCE, "{path}: {:?}", begun.elapsed());
    }
    // An address that is not public says how to let it in.
    let refused = looked(&server.url("/empty.tsv"), &[]).with_code(1);
    assert!(refused.stderr.contains("net.allow"), "{refused:?}");
    // What no place is.
    for wrong in ["-", "sftp://shop.example/feed", "ftp://shop.example/feed"] {
        looked(wrong, &[]).with_code(2);
    }
    looked("absent.csv", &[]).with_code(1);
    looked("/", &[]).with_code(1);
}

#[test]
fn an_endless_feed_is_looked_at_and_left() {
    let row = "1\tCoat\thttps://shop.example/1\t5000\n";
    let body: Vec<u8> = ["id\ttitle\tlink\tprice_pc\n", &row.repeat(1_000_000)]
        .concat()
        .into();
    let server = Server::start(move |_| Answer::of(body.clone()).missing(usize::MAX >> 8));
    let host = server.host();
    let begun = Instant::now();
    let ended = looked(&server.url("/ep.tsv"), &["--allow", &host]).with_code(0);
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert!(ended.stdout.contains("format = \"naver-ep\""), "{ended:?}");
    // Equal ids are told.
    assert!(ended.stdout.contains("ids repeat"), "{ended:?}");
}

#[test]
fn a_file_below_the_folder_is_named_from_there() {
    let folder = Folder::new(&[], "");
    std::fs::create_dir(folder.path().join("feeds")).unwrap();
    let feed = folder.path().join("feeds/cups.csv");
    let text = "id,title,price,link\n1,White cup,12 EUR,https://shop.example/1\n";
    std::fs::write(&feed, text).unwrap();
    let from = feed.to_str().unwrap();
    let args = ["pipe", "new", "cups", "--from", from, "--mode", "full"];
    folder.trawler(&args).with_code(0);
    assert!(drafted(&folder, "cups").contains("path = \"feeds/cups.csv\""));
    without_images(&folder, "cups");
    folder.run_pipe("cups").with_code(0);
    assert_eq!(folder.rows("cups").len(), 1);
}

#[test]
fn a_credential_in_the_address_does_not_reach_the_file() {
    let server = Server::start(|_| {
        Answer::of("id,title,price,link\n1,White cup,12 EUR,https://shop.example/1\n")
    });
    let host = server.host();
    let url = server.url("/feed.csv?lang=ko&api_key=hunter2");
    let folder = Folder::new(&[host], "");
    let args = [
        "pipe", "new", "shop-a", "--from", &url, "--mode", "full", "--json",
    ];
    let ended = folder.trawler(&args).with_code(0);
    let text = drafted(&folder, "shop-a");
    assert!(
        !text.contains("hunter2") && !ended.stdout.contains("hunter2"),
        "{text}"
    );
    assert!(text.contains("feed.csv?lang=ko\""), "{text}");
    assert!(
        text.contains("query = { api_key = \"env:SHOP_A_API_KEY\" }"),
        "{text}"
    );
    folder.trawler(&["check"]).with_code(0);
    without_images(&folder, "shop-a");
    let mut run = folder.command(&["run", "--once", "--pipe", "shop-a"]);
    let ran = run.env("SHOP_A_API_KEY", "hunter2").output().unwrap();
    Ended::from(ran).with_code(0);
    // It is sent, from where the pipe says.
    assert!(server.heads().matches("api_key=hunter2").count() >= 2);
}

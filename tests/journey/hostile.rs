//! Partners that are slow, wrong or hostile, met by the whole program.

use std::time::{Duration, Instant};

use trawler_shop::{Charset, Compression, Fault, FeedFormat, Rule, Shop, ShopSpec};

use crate::look::{EVERY_RUN, NO_IMAGES, SMALL_VARIANT, assert_same, feed_table, text, truth};
use crate::server::{Answer, Server};
use crate::support::{Folder, pipe};

/// Two attempts of a job, half a second apart: a failing run ends soon.
const FAIL_SOON: &str = "[retry]\nattempts_max = 2\nbackoff_base_ms = 100\nbackoff_max_ms = 500\n";

fn spec(products: u32) -> ShopSpec {
    ShopSpec {
        image_px: 32,
        extra_images_max: 0,
        ..ShopSpec::new("hostile", 21, products)
    }
}

/// A shop and a pipe `bad` on it.
async fn bad_shop(spec: ShopSpec, more: &str) -> (Shop, Folder) {
    let shop = Shop::start(spec).await.unwrap();
    let folder = Folder::new(
        &[shop.addr().to_string()],
        &format!("{FAIL_SOON}{SMALL_VARIANT}"),
    );
    let feed = feed_table(shop.model().spec().format);
    folder.pipe("bad", &pipe(&shop.feed_url(), &feed, more));
    (shop, folder)
}

fn status(code: u16, retry_after_s: Option<u32>) -> Fault {
    Fault::Status {
        code,
        retry_after_s,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_partner_is_waited_for_as_it_asks() {
    let (shop, folder) = bad_shop(spec(20), EVERY_RUN).await;
    shop.misbehave_by(Rule::new("/feed/", status(429, Some(2))).first(1));
    shop.misbehave_by(Rule::new("/img/", status(503, None)).share(0.2).first(1));
    let started = Instant::now();
    folder.run_pipe("bad").with_code(0);
    assert!(
        started.elapsed() >= Duration::from_secs(2),
        "it did not wait"
    );
    assert_same(&folder.told("bad"), &truth(shop.products(0)));
    for row in folder.rows("bad").values() {
        assert_eq!(row["image_status"], "stored", "{row:#}");
    }
    assert!(shop.stats().image.faults > 0);
    assert!(folder.dead_letters().is_empty());
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partner_that_stays_down_fails_the_run_and_is_redriven_when_it_is_back() {
    let (shop, folder) = bad_shop(spec(20), NO_IMAGES).await;
    shop.misbehave("/feed/", status(503, None));
    folder.run_pipe("bad").with_code(1);
    let run = folder.last_run("bad");
    assert_eq!(run["phase"], "failed", "{run:#}");
    assert!(text(&run, "reason").contains("503"), "{run:#}");
    let letters = folder.dead_letters();
    assert_eq!(letters.len(), 1, "{letters:#?}");
    assert_eq!(letters[0]["pipe"], "bad");
    assert_eq!(letters[0]["attempts"], 2, "{letters:#?}");
    assert!(text(&letters[0], "reason").contains("503"), "{letters:#?}");

    shop.heal();
    folder
        .trawler(&["dlq", "redrive", "--pipe", "bad"])
        .with_code(0);
    assert!(folder.dead_letters().is_empty());
    folder.trawler(&["run", "--once"]).with_code(0);
    assert_same(&folder.told("bad"), &truth(shop.products(0)));
    let failed = folder
        .runs("bad")
        .into_iter()
        .any(|run| run["phase"] == "failed");
    assert!(!failed, "{:#?}", folder.runs("bad"));
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_08_no_redirect_leads_to_a_private_address() {
    let canary = Server::start(|_| Answer::of("id\ttitle\n1\tsecret\n"));
    for target in [
        canary.url("/feed"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://[::ffff:127.0.0.1]/".to_owned(),
        "http://localhost/".to_owned(),
    ] {
        let (shop, folder) = bad_shop(spec(5), EVERY_RUN).await;
        shop.misbehave("/feed/", Fault::RedirectTo(target.clone()));
        folder.run_pipe("bad").with_code(1);
        let letters = folder.dead_letters();
        assert_eq!(letters.len(), 1, "{target}: {letters:#?}");
        assert_eq!(letters[0]["attempts"], 1, "{target}: no try can do better");

        // And an image is no other way in.
        shop.heal();
        shop.misbehave("/img/", Fault::RedirectTo(target.clone()));
        folder.run_pipe("bad").with_code(0);
        for row in folder.rows("bad").values() {
            assert_eq!(row["image_status"], "refused_address", "{target}: {row:#}");
        }
        shop.stop().await;
    }
    assert_eq!(canary.requests(), 0, "the canary was asked");

    // A feed or image that names such an address itself is refused as well.
    let told = format!(
        "id\ttitle\tprice_pc\tlink\timage_link\n1\tA\t10\thttps://a.example/\t{}\n2\tB\t10\thttps://a.example/\thttp://10.0.0.1/x.jpg\n",
        canary.url("/x.jpg")
    );
    let server = Server::start(move |_| Answer::of(told.clone()));
    let folder = Folder::new(&[server.host()], FAIL_SOON);
    let feed = feed_table(FeedFormat::NaverEp);
    folder.pipe("named", &pipe(&server.url("/feed"), &feed, ""));
    folder.pipe("itself", &pipe(&canary.url("/feed"), &feed, ""));
    folder.run_pipe("named").with_code(0);
    for row in folder.rows("named").values() {
        assert_eq!(row["image_status"], "refused_address", "{row:#}");
    }
    folder.run_pipe("itself").with_code(1);
    assert_eq!(canary.requests(), 0, "the canary was asked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_without_end_fail_the_run_and_leave_nothing_behind() {
    let faults = [
        (
            "a bomb",
            Fault::Bomb {
                decoded_bytes: 128 << 20,
            },
        ),
        ("an endless body", Fault::Endless),
        ("HTML", Fault::HtmlInstead),
        ("a redirect loop", Fault::RedirectLoop),
    ];
    let (shop, folder) = bad_shop(spec(20), NO_IMAGES).await;
    folder.run_pipe("bad").with_code(0);
    let feed = format!(
        "{}\nlimits = {{ decoded_bytes_max = {} }}",
        feed_table(FeedFormat::NaverEp),
        64 << 20
    );
    let text = pipe(&shop.feed_url(), &feed, NO_IMAGES);
    let small = text.replace("concurrency = 8", "concurrency = 8\nfeed_mib_max = 1");
    folder.pipe("bad", &small);
    for (name, fault) in faults {
        shop.heal();
        shop.misbehave("/feed/", fault);
        let ended = folder.run_pipe("bad");
        assert_eq!(ended.code, Some(1), "{name}: {ended:?}");
        let run = folder.last_run("bad");
        assert_eq!(run["phase"], "failed", "{name}: {run:#}");
        assert!(
            run["reason"].as_str().unwrap().len() > 20,
            "{name}: {run:#}"
        );
        assert_same(&folder.told("bad"), &truth(shop.products(0)));
    }
    assert_eq!(folder.dead_letters().len(), 4);
    shop.heal();
    let scratch = folder.path().join("trawler-data/scratch");
    assert!(crate::look::files(&scratch).is_empty(), "scratch is left");
    // All of them can be sent again; the newest complete run is what counts.
    folder
        .trawler(&["dlq", "redrive", "--queue", "crawl"])
        .with_code(0);
    folder.trawler(&["run", "--once"]).with_code(0);
    assert!(folder.dead_letters().is_empty());
    assert_same(&folder.told("bad"), &truth(shop.products(0)));
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_charset_label_does_not_spoil_the_titles() {
    for declared in ["", "charset = \"cp949\"\n"] {
        let (shop, folder) = bad_shop(
            ShopSpec {
                charset: Charset::Cp949,
                ..spec(60)
            },
            NO_IMAGES,
        )
        .await;
        let label = "text/tab-separated-values; charset=utf-8".to_owned();
        shop.misbehave("/feed/", Fault::Label(label));
        let feed = format!("{declared}{}", feed_table(FeedFormat::NaverEp));
        folder.pipe("bad", &pipe(&shop.feed_url(), &feed, NO_IMAGES));
        folder.run_pipe("bad").with_code(0);
        assert_same(&folder.told("bad"), &truth(shop.products(0)));
        shop.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_format_and_compression_gives_the_same_products() {
    let shop = Shop::start(spec(15)).await.unwrap();
    let folder = Folder::new(&[shop.addr().to_string()], "");
    let mut ids = Vec::new();
    for (f, format) in FeedFormat::ALL.into_iter().enumerate() {
        for (c, compression) in Compression::ALL.into_iter().enumerate() {
            let url = shop.url(&format!("{}{}", format.path(), compression.suffix()));
            let declared = match compression {
                Compression::Brotli => "compression = \"brotli\"\n",
                _ => "",
            };
            let feed = format!("{declared}{}", feed_table(format));
            let id = format!("format-{f}-{c}");
            folder.pipe(&id, &pipe(&url, &feed, NO_IMAGES));
            ids.push(id);
        }
    }
    // All of them are due at 03:15, the last one that there was.
    folder.trawler(&["run", "--once"]).with_code(0);
    let expected = truth(shop.products(0));
    for id in &ids {
        assert_same(&folder.told(id), &expected);
    }
    folder.trawler(&["run", "--once"]).with_code(0);
    let all = folder
        .trawler(&["runs", "--json", "--limit", "1000"])
        .json();
    assert_eq!(all.as_array().unwrap().len(), ids.len(), "never twice");
    shop.stop().await;
}

#[test]
fn invariant_08_a_redirect_to_another_host_gets_no_header_of_the_pipe() {
    let feed = "id\ttitle\tprice_pc\tlink\n1\tA\t10\thttps://a.example/\n";
    let other = Server::start(move |_| Answer::of(feed));
    let there = other.url("/feed");
    let partner = Server::start(move |_| Answer {
        status: 302,
        headers: vec![("Location", there.clone())],
        ..Answer::of("")
    });
    let folder = Folder::new(&[partner.host(), other.host()], FAIL_SOON);
    let table = feed_table(FeedFormat::NaverEp);
    let token = folder.path().join("token");
    std::fs::write(&token, "Bearer plain\n").unwrap();
    let headers = format!(
        "concurrency = 8\nheaders = {{ Authorization = \"file:{}\", X-Client = \"written out\" }}",
        token.display()
    );
    let text = pipe(&partner.url("/feed"), &table, "").replace("concurrency = 8", &headers);
    folder.pipe("keyed", &text);
    folder.run_pipe("keyed").with_code(0);
    assert_eq!(folder.rows("keyed").len(), 1);
    for secret in ["authorization: bearer plain", "x-client: written out"] {
        assert!(
            partner.heads().contains(secret),
            "the partner gets {secret}"
        );
        assert!(!other.heads().contains(secret), "nobody else gets {secret}");
    }
}

//! A pipe whose partner lets in one address: everything that is fetched for it
//! goes through the fleet's proxy, and without one nothing is fetched at all.
//!
//! The partner is at an address at which nobody is; only the proxy knows the way
//! from there to the shop of the test. So whatever arrives came through it.

use std::fs;
use std::process::Command;

use trawler_shop::{DayChange, Kind, Shop, ShopSpec};
use trawler_tests::ConnectProxy;

use crate::inbox::pipe_from;
use crate::look::{SMALL_VARIANT, feed_table};
use crate::support::{Ended, Folder, pipe};

/// Of documentation (RFC 5737), let in by `net.allow` as a partner's would be
/// without it.
const PARTNER: &str = "203.0.113.7:8080";
const PRODUCTS: u32 = 12;

/// A job that fails is given up soon.
const RETRY: &str = "[retry]\nattempts_max = 2\nbackoff_base_ms = 100\nbackoff_max_ms = 500\n";

/// Where the configuration finds the proxy, as on a machine of a stack.
const VARIABLE: &str = "TRAWLER_FIXED_EGRESS";

const FIXED: &str = "[fetch]\nrate_per_s = 1000\nconcurrency = 8\negress = \"fixed\"\n";

async fn shop() -> Shop {
    let spec = ShopSpec {
        image_px: 32,
        extra_images_max: 0,
        day_change: DayChange::NONE,
        public_url: Some(format!("http://{PARTNER}")),
        ..ShopSpec::new("fixed", 23, PRODUCTS)
    };
    Shop::start(spec).await.unwrap()
}

/// A folder whose configuration names the proxy where `net` says.
fn folder(net: &str) -> Folder {
    let folder = Folder::new(&[], "");
    let text = format!(
        "[net]\ncontact = \"https://example.com/test\"\nallow = [{PARTNER:?}]\nconnect_s = 2\n{net}\n\
         [scheduler]\ntick_ms = 50\n\n[workers]\npoll_s = 1\n\n{SMALL_VARIANT}\n{RETRY}"
    );
    fs::write(folder.path().join("trawler.toml"), text).unwrap();
    folder
}

fn ended(command: &mut Command) -> Ended {
    command
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap()
        .into()
}

fn feed_pipe(shop: &Shop) -> String {
    let table = feed_table(shop.model().spec().format);
    let pipe = pipe(&shop.feed_url(), &table, "");
    pipe.replace("[fetch]\n", "[fetch]\negress = \"fixed\"\n")
}

fn site_pipe() -> String {
    format!(
        "[source]\nkind = \"site\"\nurl = \"http://{PARTNER}/\"\n\n\
         [schedule]\ncron = \"15 3 * * *\"\n\n{FIXED}"
    )
}

/// All products are there with their pictures.
fn is_collected(folder: &Folder, pipe: &str) {
    let rows = folder.rows(pipe);
    assert_eq!(rows.len(), PRODUCTS as usize);
    for (id, row) in rows {
        assert_eq!(row["image_status"], "stored", "{id}: {row}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn feed_and_images_of_a_fixed_pipe_come_through_the_fleets_proxy() {
    let shop = shop().await;
    let proxy = ConnectProxy::leading(&[(PARTNER, shop.addr())]).await;
    let folder = folder(&format!("fixed_egress = \"env:{VARIABLE}\""));
    folder.pipe("shop", &feed_pipe(&shop));
    // The configuration says where it is told: whether it is, a machine knows.
    folder.trawler(&["check"]).with_code(0);
    let url = format!("http://{}", proxy.addr());
    let run = ["run", "--once", "--pipe", "shop", "--json"];
    ended(folder.command(&run).env(VARIABLE, &url)).with_code(0);
    is_collected(&folder, "shop");
    let stats = shop.stats();
    assert!(stats.of(Kind::Feed).requests > 0 && stats.of(Kind::Image).requests > 0);

    // A machine that is not told fails the job, and says what is missing.
    shop.forget_seen();
    let told = ended(folder.command(&run).env_remove(VARIABLE)).with_code(1);
    for part in ["fetch.egress", VARIABLE, "Egress=fixed"] {
        assert!(told.stdout.contains(part), "{part}: {told:?}");
    }
    assert!(shop.seen().is_empty(), "{:?}", shop.seen());
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn robots_sitemaps_pages_and_images_of_a_fixed_pipe_come_through_the_fleets_proxy() {
    let shop = shop().await;
    let proxy = ConnectProxy::leading(&[(PARTNER, shop.addr())]).await;
    let folder = folder(&format!("fixed_egress = \"http://{}\"", proxy.addr()));
    folder.pipe("shop", &site_pipe());
    folder.trawler(&["check"]).with_code(0);
    folder.run_pipe("shop").with_code(0);
    is_collected(&folder, "shop");
    let stats = shop.stats();
    for kind in [Kind::Robots, Kind::Sitemap, Kind::Page, Kind::Image] {
        assert!(stats.of(kind).requests > 0, "{kind:?}: {stats:?}");
    }
    let seen = proxy.seen();
    assert!(
        seen.iter().all(|tunnel| tunnel.target == PARTNER),
        "{seen:?}"
    );
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipe_is_tried_and_drafted_by_its_fixed_address() {
    let shop = shop().await;
    let proxy = ConnectProxy::leading(&[(PARTNER, shop.addr())]).await;
    let folder = folder(&format!("fixed_egress = \"http://{}\"", proxy.addr()));
    folder.pipe("shop", &feed_pipe(&shop));
    folder.pipe("pages", &site_pipe());
    let product = shop.products(0).into_iter().next().unwrap();
    let (page, picture) = (product.link.clone(), product.image_link.clone());
    let robots = shop.url("/robots.txt");
    let feed = shop.feed_url();
    let tried: [&[&str]; 7] = [
        // By what the pipe says.
        &["try", "feed", &feed, "--format", "shop"],
        &["try", "page", &page, "--pipe", "pages"],
        // By what the command says.
        &["try", "page", &page, "--egress", "fixed"],
        &["try", "image", &picture, "--egress", "fixed"],
        &[
            "try", "robots", &robots, "TestBot", "/", "--egress", "fixed",
        ],
        &["try", "url", &feed, "--egress", "fixed"],
        &[
            "pipe", "new", "other", "--from", &feed, "--mode", "full", "--print", "--egress",
            "fixed",
        ],
    ];
    for args in tried {
        let before = proxy.seen().len();
        let ended = folder.trawler(args).with_code(0);
        assert!(proxy.seen().len() > before, "{args:?}: {ended:?}");
        if args[0] == "pipe" {
            let says = ended.stdout.contains("[fetch]\negress = \"fixed\"");
            assert!(says, "{}", ended.stdout);
        }
    }
    // Who says that this machine's address will do, goes from there.
    let (before, at_shop) = (proxy.seen().len(), shop.stats().requests());
    folder.trawler(&["try", "url", &feed, "--egress", "any"]);
    assert_eq!(proxy.seen().len(), before);
    assert_eq!(shop.stats().requests(), at_shop);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_fixed_address_a_pipe_that_wants_one_asks_nobody_and_says_what_to_do() {
    let shop = shop().await;
    // The partner is to be had directly here, which must not be used.
    let url = format!("http://{}", shop.addr());
    let folder = Folder::new(
        &[shop.addr().to_string()],
        &format!("{SMALL_VARIANT}\n{RETRY}"),
    );
    let table = feed_table(shop.model().spec().format);
    let with_feed = pipe(
        &format!("{url}{}", shop.model().spec().feed_path()),
        &table,
        "",
    );
    let with_feed = with_feed.replace("[fetch]\n", "[fetch]\negress = \"fixed\"\n");
    let with_site = site_pipe().replace(&format!("http://{PARTNER}"), &url);
    // A feed of one's own, whose pictures are the partner's.
    let rows =
        format!("id\ttitle\tprice_pc\tlink\timage_link\n1\tA\t10\t{url}/p/1\t{url}/img/1.jpg\n");
    fs::write(folder.path().join("feed.tsv"), rows).unwrap();
    let with_images = pipe_from("kind = \"file\"\npath = \"feed.tsv\"");
    let with_images = with_images.replace("collect = false", "collect = true") + FIXED;

    for (id, text) in [("feed", &with_feed), ("site", &with_site)] {
        folder.pipe(id, text);
        let told = folder.run_pipe(id).with_code(1);
        for part in ["fetch.egress", "net.fixed_egress", "infra/README.md"] {
            assert!(told.stdout.contains(part), "{id}: {part}: {told:?}");
        }
        let letter = folder.dead_letters().pop().unwrap();
        assert!(
            letter["reason"]
                .as_str()
                .unwrap()
                .contains("net.fixed_egress"),
            "{letter}"
        );
        fs::remove_file(folder.path().join(format!("pipes/{id}.toml"))).unwrap();
    }
    folder.pipe("images", &with_images);
    folder.run_pipe("images");
    let row = &folder.rows("images")["1"];
    assert_eq!(row["image_status"], "unreachable", "{row}");
    assert!(
        row["image_reason"]
            .as_str()
            .unwrap_or_default()
            .contains("net.fixed_egress"),
        "{row}"
    );

    // A person hears of it before.
    let told = folder.trawler(&["check"]).with_code(2);
    let said = format!("{}{}", told.stdout, told.stderr);
    for part in [
        "pipes/images.toml",
        "fetch.egress",
        "net.fixed_egress",
        "Egress=fixed",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    folder
        .trawler(&["try", "url", &url, "--egress", "fixed"])
        .with_code(2);
    let own = FIXED.to_owned() + "proxy = { url = \"http://proxy.example:3128\" }\n";
    folder.pipe("images", &with_images.replace(FIXED, &own));
    let told = folder.trawler(&["check"]).with_code(2);
    let said = format!("{}{}", told.stdout, told.stderr);
    assert!(
        said.contains("fetch.egress") && said.contains("not both"),
        "{said}"
    );

    assert!(shop.seen().is_empty(), "{:?}", shop.seen());
    shop.stop().await;
}

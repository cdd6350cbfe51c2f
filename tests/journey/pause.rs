//! Invariant 10: what is paused is parked and loses nothing.

use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::Value;
use trawler_shop::{Fault, Shop, ShopSpec};
use trawler_tests::until;

use crate::look::{EVERY_RUN, SMALL_VARIANT, assert_same, feed_table, text, truth};
use crate::support::{Ended, Folder, pipe};

/// The flag may be cached for 2 s and a step takes at most 5 s; the rest is for
/// a machine under load.
const PARK_MAX: Duration = Duration::from_secs(15);

async fn shop(products: u32) -> (Shop, Folder) {
    let shop = Shop::start(ShopSpec {
        image_px: 32,
        extra_images_max: 0,
        ..ShopSpec::new("pause", 31, products)
    })
    .await
    .unwrap();
    let folder = Folder::new(&[shop.addr().to_string()], SMALL_VARIANT);
    let feed = feed_table(shop.model().spec().format);
    folder.pipe("still", &pipe(&shop.feed_url(), &feed, EVERY_RUN));
    (shop, folder)
}

fn start(folder: &Folder, args: &[&str]) -> Child {
    let mut command = folder.command(args);
    command.stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    command.spawn().unwrap()
}

fn end(child: Child) -> Ended {
    child.wait_with_output().unwrap().into()
}

fn status(folder: &Folder) -> Value {
    folder.trawler(&["status", "--json"]).with_code(0).json()
}

/// Everything is there, and was collected by one run.
fn check_whole(folder: &Folder, shop: &Shop) {
    assert_same(&folder.told("still"), &truth(shop.products(0)));
    for row in folder.rows("still").values() {
        assert_eq!(text(row, "image_status"), "stored", "{row:#}");
    }
    let runs = folder.runs("still");
    assert_eq!(runs.len(), 1, "{runs:#?}");
    assert_eq!(runs[0]["phase"], "finished", "{runs:#?}");
    let (changes, _) = folder.changes("0");
    let inserts = changes
        .iter()
        .filter(|change| change["_change_type"] == "insert");
    assert_eq!(
        inserts.count(),
        shop.products(0).len(),
        "nothing is doubled"
    );
    assert!(folder.dead_letters().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_10_a_pause_before_the_run_parks_it_and_resume_lets_it_go_on() {
    for scope in [
        &["--pipe", "still"][..],
        &["--queue", "crawl"],
        &["--fleet"],
    ] {
        let (shop, folder) = shop(12).await;
        folder
            .trawler(&[&["pause", "--reason", "moving"], scope].concat())
            .with_code(0);
        let parked = folder
            .trawler(&["run", "--once", "--json"])
            .with_code(3)
            .json();
        assert_eq!(parked["parked"], 1, "{parked:#}");
        assert_eq!(shop.stats().requests(), 0, "the shop was asked");
        let told = status(&folder);
        assert_eq!(told["queues"]["crawl"]["jobs"]["parked"], 1, "{told:#}");
        assert_eq!(told["paused"].as_array().unwrap().len(), 1, "{told:#}");
        // However often it is started.
        folder.trawler(&["run", "--once"]).with_code(3);
        folder.trawler(&[&["resume"], scope].concat()).with_code(0);
        folder.trawler(&["run", "--once"]).with_code(0);
        check_whole(&folder, &shop);
        shop.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_10_a_pause_in_the_middle_of_the_feed_parks_the_run() {
    let (shop, folder) = shop(40).await;
    // Half a minute for the whole feed.
    let piece_bytes = 150;
    let every = Duration::from_millis(250);
    shop.misbehave("/feed/", Fault::Drip { piece_bytes, every });
    let running = start(&folder, &["run", "--once"]);
    until("the feed is asked for", || shop.stats().feed.in_flight > 0).await;
    folder.trawler(&["pause", "--pipe", "still"]).with_code(0);
    let paused = Instant::now();
    end(running).with_code(3);
    assert!(paused.elapsed() < PARK_MAX, "{:?}", paused.elapsed());
    assert_eq!(status(&folder)["queues"]["crawl"]["jobs"]["parked"], 1);
    assert!(folder.rows("still").is_empty());
    shop.heal();
    folder.trawler(&["resume", "--pipe", "still"]).with_code(0);
    folder.trawler(&["run", "--once"]).with_code(0);
    check_whole(&folder, &shop);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_10_a_pause_among_the_images_parks_what_is_left_of_them() {
    let (shop, folder) = shop(40).await;
    shop.misbehave("/img/", Fault::Delay(Duration::from_millis(500)));
    let running = start(&folder, &["run", "--once"]);
    until("images are asked for", || shop.stats().image.requests > 4).await;
    folder.trawler(&["pause", "--pipe", "still"]).with_code(0);
    end(running).with_code(3);
    let told = status(&folder);
    assert!(
        told["queues"]["image"]["jobs"]["parked"].as_u64() > Some(0),
        "{told:#}"
    );
    shop.heal();
    folder.trawler(&["resume", "--pipe", "still"]).with_code(0);
    folder.trawler(&["run", "--once"]).with_code(0);
    check_whole(&folder, &shop);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_10_a_paused_image_queue_leaves_products_going() {
    let (shop, folder) = shop(12).await;
    folder.trawler(&["pause", "--queue", "image"]).with_code(0);
    folder.trawler(&["run", "--once"]).with_code(3);
    assert_same(&folder.told("still"), &truth(shop.products(0)));
    for row in folder.rows("still").values() {
        assert_eq!(text(row, "image_status"), "pending", "{row:#}");
    }
    assert_eq!(shop.stats().image.requests, 0);
    folder.trawler(&["resume", "--queue", "image"]).with_code(0);
    folder.trawler(&["run", "--once"]).with_code(0);
    check_whole(&folder, &shop);
    shop.stop().await;
}

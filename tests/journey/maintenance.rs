//! Maintenance windows: what they touch waits, and goes on afterwards.

use std::time::{Duration, Instant};

use serde_json::Value;
use trawler_core::ports::Clock;
use trawler_local::SystemClock;
use trawler_shop::{Shop, ShopSpec};

use crate::look::{EVERY_RUN, SMALL_VARIANT, assert_same, feed_table, text, truth};
use crate::support::{Folder, pipe};

async fn shop() -> (Shop, Folder) {
    let shop = Shop::start(ShopSpec {
        image_px: 32,
        extra_images_max: 0,
        ..ShopSpec::new("maintenance", 51, 8)
    })
    .await
    .unwrap();
    let folder = Folder::new(&[shop.addr().to_string()], SMALL_VARIANT);
    let feed = feed_table(shop.model().spec().format);
    folder.pipe("inn", &pipe(&shop.feed_url(), &feed, EVERY_RUN));
    (shop, folder)
}

fn check_whole(folder: &Folder, shop: &Shop) {
    assert_same(&folder.told("inn"), &truth(shop.products(0)));
    for row in folder.rows("inn").values() {
        assert_eq!(text(row, "image_status"), "stored", "{row:#}");
    }
    assert!(folder.dead_letters().is_empty());
}

fn declared(folder: &Folder) -> Vec<Value> {
    let listed = folder.trawler(&["maintenance", "list", "--json"]);
    listed.with_code(0).json()["declared"]
        .as_array()
        .unwrap()
        .clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declared_window_parks_what_it_touches_until_it_is_off() {
    for target in [
        &["--host", "127.0.0.1"][..],
        &["--pipe", "inn"],
        &["--catalogue"],
        &["--fleet"],
    ] {
        let (shop, folder) = shop().await;
        let args = ["maintenance", "add", "--until", "1h", "--reason", "moving"];
        folder.trawler(&[&args, target].concat()).with_code(0);
        let parked = folder.trawler(&["run", "--once", "--json"]);
        assert_eq!(parked.with_code(3).json()["parked"], 1, "{target:?}");
        assert_eq!(shop.stats().requests(), 0, "the shop was asked");
        let windows = declared(&folder);
        assert_eq!(windows[0]["reason"], "moving", "{windows:#?}");
        let id = text(&windows[0], "id");
        let off = folder.trawler(&["maintenance", "remove", &id, "--json"]);
        assert_eq!(off.with_code(0).json()["woken"], 1);
        folder.trawler(&["maintenance", "remove", &id]).with_code(2);
        folder.trawler(&["run", "--once"]).with_code(0);
        check_whole(&folder, &shop);
        shop.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_of_the_pipe_file_is_waited_for_and_is_no_failure() {
    let (shop, folder) = shop().await;
    let feed = feed_table(shop.model().spec().format);
    let clock = SystemClock::new();
    let soon = clock.now() + chrono::Duration::seconds(6);
    let (from, until) = (soon - chrono::Duration::hours(1), soon);
    let window = format!(
        "{EVERY_RUN}\n[[maintenance]]\nfrom = \"{}\"\nuntil = \"{}\"\nreason = \"inventory\"\n",
        from.to_rfc3339(),
        until.to_rfc3339()
    );
    folder.pipe("inn", &pipe(&shop.feed_url(), &feed, &window));
    folder.trawler(&["check"]).with_code(0);
    let began = Instant::now();
    folder.trawler(&["run", "--once"]).with_code(0);
    assert!(clock.now() >= until, "it waited for the end");
    assert!(began.elapsed() < Duration::from_secs(60));
    check_whole(&folder, &shop);
    assert_eq!(folder.runs("inn").len(), 1);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_window_is_told() {
    let (shop, folder) = shop().await;
    for wrong in [
        &["--fleet", "--until", "soon"][..],
        &["--fleet", "--until", "2020-01-01T00:00:00Z"],
        &["--host", "https://a.test/", "--until", "1h"],
        &["--pipe", "nobody", "--until", "1h"],
        &["--until", "1h"],
    ] {
        folder
            .trawler(&[&["maintenance", "add"], wrong].concat())
            .with_code(2);
    }
    assert!(declared(&folder).is_empty());
    let feed = feed_table(shop.model().spec().format);
    let window = "[[maintenance]]\ndays = [\"sunday\"]\nfrom = \"02:00\"\nuntil = \"04:00\"\n";
    folder.pipe("inn", &pipe(&shop.feed_url(), &feed, window));
    let checked = folder.trawler(&["check"]).with_code(2);
    assert!(checked.stderr.contains("maintenance.days"), "{checked:?}");
    assert!(checked.stderr.contains("mon, tue"), "{checked:?}");
    shop.stop().await;
}

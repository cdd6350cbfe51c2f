//! `trawler run` without `--once`: follows the schedules until it is told to
//! leave.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use trawler_shop::{Fault, Shop, ShopSpec};
use trawler_tests::until;

use crate::look::{SMALL_VARIANT, assert_same, feed_table, text, truth};
use crate::support::{Ended, Folder, pipe};

/// Invariant 9: a worker that is told to leave is gone after so long.
const LEAVE_MAX: Duration = Duration::from_secs(25);

async fn hourly_shop() -> (Shop, Folder) {
    let shop = Shop::start(ShopSpec {
        image_px: 32,
        extra_images_max: 0,
        ..ShopSpec::new("hourly", 41, 20)
    })
    .await
    .unwrap();
    let folder = Folder::new(&[shop.addr().to_string()], SMALL_VARIANT);
    let feed = feed_table(shop.model().spec().format);
    let text = pipe(&shop.feed_url(), &feed, "").replace("15 3 * * *", "0 * * * *");
    folder.pipe("hourly", &text);
    (shop, folder)
}

fn terminate(process: u32) {
    let told = Command::new("kill")
        .args(["-TERM", &process.to_string()])
        .status();
    assert!(told.unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missed_run_is_caught_up_once_and_sigterm_ends_the_program() {
    let (shop, folder) = hourly_shop().await;
    let mut running = folder
        .command(&["run"])
        .stderr(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + trawler_tests::WAIT_MAX;
    loop {
        let rows = folder.rows("hourly");
        let stored = |row: &serde_json::Value| text(row, "image_status") == "stored";
        if rows.len() == 20 && rows.values().all(stored) {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "the due run is not done: {rows:#?}"
        );
        assert!(running.try_wait().unwrap().is_none(), "it left by itself");
    }
    assert_same(&folder.told("hourly"), &truth(shop.products(0)));
    let told = Instant::now();
    terminate(running.id());
    let ended = Ended::from(running.wait_with_output().unwrap());
    assert!(told.elapsed() < LEAVE_MAX, "{:?}", told.elapsed());
    // Told to leave, with nothing in hand.
    let ended = ended.with_code(0);
    let left = "left on request; what was in hand is back in the queue";
    assert!(ended.stdout.contains(left), "{ended:?}");

    // What was due is done: another start has nothing to do, unless the hour
    // has just turned.
    folder.trawler(&["run", "--once"]).with_code(0);
    let runs = folder.runs("hourly");
    let ids: BTreeSet<String> = runs.iter().map(|run| text(run, "id")).collect();
    assert_eq!(ids.len(), runs.len(), "never twice");
    assert!(runs.len() <= 2, "{runs:#?}");
    for id in &ids {
        assert!(id.ends_with(":00:00.000Z"), "{id} is not due by the hour");
    }
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_in_the_middle_of_a_feed_hands_the_run_back() {
    let (shop, folder) = hourly_shop().await;
    shop.misbehave(
        "/feed/",
        Fault::Drip {
            piece_bytes: 100,
            every: Duration::from_millis(200),
        },
    );
    let mut running = folder
        .command(&["run"])
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("the feed is asked for", || shop.stats().feed.in_flight > 0).await;
    let told = Instant::now();
    terminate(running.id());
    running.wait().unwrap();
    assert!(told.elapsed() < LEAVE_MAX, "{:?}", told.elapsed());
    shop.heal();
    let again = Instant::now();
    folder.trawler(&["run", "--once"]).with_code(0);
    // The lease was handed back: nobody had to wait for its end (300 s).
    assert!(
        again.elapsed() < trawler_tests::WAIT_MAX,
        "{:?}",
        again.elapsed()
    );
    assert_same(&folder.told("hourly"), &truth(shop.products(0)));
    shop.stop().await;
}

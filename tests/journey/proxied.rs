//! A pipe that is asked through its proxy: feed and images go that way, by
//! addresses that were judged here, and nothing goes directly.

use trawler_shop::{DayChange, Shop, ShopSpec};
use trawler_tests::{ConnectProxy, Connected};

use crate::look::{SMALL_VARIANT, feed_table};
use crate::support::{Folder, pipe};

const PRODUCTS: u32 = 20;
/// `ann:s3cret`.
const AUTHORIZATION: &str = "Basic YW5uOnMzY3JldA==";

/// A job that fails is given up soon.
const RETRY: &str = "[retry]\nattempts_max = 2\nbackoff_base_ms = 100\nbackoff_max_ms = 500\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn feed_and_images_of_a_pipe_come_through_its_proxy() {
    let spec = ShopSpec {
        image_px: 32,
        extra_images_max: 0,
        day_change: DayChange::NONE,
        ..ShopSpec::new("proxied", 19, PRODUCTS)
    };
    let shop = Shop::start(spec).await.unwrap();
    let proxy = ConnectProxy::start(AUTHORIZATION).await;
    let allow = [shop.addr().to_string(), proxy.addr().to_string()];
    let folder = Folder::new(&allow, &format!("{SMALL_VARIANT}\n{RETRY}"));
    let password = folder.path().join("password");
    std::fs::write(&password, "s3cret\n").unwrap();
    let way = |user: &str| {
        format!(
            "[fetch.proxy]\nurl = \"http://{}\"\nuser = {user:?}\npassword = \"file:{}\"\n",
            proxy.addr(),
            password.display()
        )
    };
    let feed = feed_table(shop.model().spec().format);
    folder.pipe("shop", &pipe(&shop.feed_url(), &feed, &way("ann")));
    folder.run_pipe("shop").with_code(0);

    let rows = folder.rows("shop");
    assert_eq!(rows.len(), PRODUCTS as usize);
    let stored = rows.values().filter(|row| row["image_status"] == "stored");
    assert_eq!(stored.count(), PRODUCTS as usize);
    let seen = proxy.seen();
    let here = shop.addr().to_string();
    assert!(seen.iter().all(|tunnel| tunnel.target == here), "{seen:?}");
    // The shop sent nothing by another way.
    let through: u64 = seen
        .iter()
        .map(|Connected { bytes_down, .. }| bytes_down)
        .sum();
    let stats = shop.stats();
    assert!(
        through > stats.body_bytes() && stats.body_bytes() > 0,
        "{through} bytes through the proxy, {} sent",
        stats.body_bytes()
    );

    // A proxy that wants another password is the pipe's trouble, not a way round.
    shop.forget_seen();
    folder.pipe("shop", &pipe(&shop.feed_url(), &feed, &way("eve")));
    folder.run_pipe("shop");
    assert!(shop.seen().is_empty(), "{:?}", shop.seen());
    shop.stop().await;
}

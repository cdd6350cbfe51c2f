//! Other variants are configured: what is stored is made anew, at a set rate,
//! and of kept originals without asking the shop. Days pass by a clock that is
//! ahead.

use std::collections::BTreeSet;

use serde_json::Value;
use trawler_shop::{Shop, ShopSpec};

use crate::look::{feed_table, files, text};
use crate::support::{Folder, pipe};

const PRODUCTS: u32 = 40;

/// A pipe whose images are looked at once.
const NEVER_AGAIN: &str = "[images]\nrecheck = \"never\"\n";

struct Journey {
    shop: Shop,
    folder: Folder,
    images: &'static str,
}

impl Journey {
    async fn start(images: &'static str) -> Self {
        let shop = Shop::start(ShopSpec {
            image_px: 48,
            extra_images_max: 0,
            ..ShopSpec::new("remade", 17, PRODUCTS)
        })
        .await
        .unwrap();
        let folder = Folder::new(&[shop.addr().to_string()], &config(images, 16));
        let feed = feed_table(shop.model().spec().format);
        folder.pipe("shop", &pipe(&shop.feed_url(), &feed, NEVER_AGAIN));
        Self {
            shop,
            folder,
            images,
        }
    }

    /// The renditions of the configuration from now on.
    fn side(&self, px: u32) {
        let allow = [self.shop.addr().to_string()];
        self.folder.configure(&allow, &config(self.images, px));
    }

    /// A run so many days from now; the images that the shop was asked for.
    fn run(&self, days: u64) -> u64 {
        let before = self.shop.stats().image.requests;
        let args = ["run", "--once", "--pipe", "shop", "--json"];
        self.folder.hours_later(24 * days, &args).with_code(0);
        self.shop.stats().image.requests - before
    }

    /// Rows whose variant is so many pixels wide. All are stored.
    fn of_side(&self, px: u64) -> usize {
        let rows = self.folder.rows("shop");
        assert_eq!(rows.len(), PRODUCTS as usize);
        for row in rows.values() {
            assert_eq!(text(row, "image_status"), "stored", "{row:#}");
        }
        rows.values()
            .filter(|row| row["image_variants"][0]["width"] == px)
            .count()
    }

    fn keys(&self) -> BTreeSet<String> {
        let rows = self.folder.rows("shop");
        let variants = rows
            .values()
            .flat_map(|row| row["image_variants"].as_array().unwrap());
        variants.map(|variant| text(variant, "key")).collect()
    }

    fn command(&self, args: &[&str]) -> Value {
        self.folder.trawler(args).with_code(0).json()
    }
}

fn config(images: &str, px: u32) -> String {
    format!(
        "[catalogue]\nrestore_days = 1\n\n[images]\nretry = \"never\"\n{images}\n\n[[images.variants]]\nname = \"small\"\n\
         width = {px}\nheight = {px}\nfit = \"contain\"\nformat = \"jpeg\"\nquality = 70\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_variants_are_made_of_kept_originals_without_asking_the_shop() {
    let journey = Journey::start("originals = \"keep\"\nremake_days = 1").await;
    let first = journey.run(0);
    assert!(first > 0);
    assert_eq!(journey.of_side(16), PRODUCTS as usize);
    let bytes_down = journey.shop.stats().image.body_bytes;
    journey.side(24);
    assert_eq!(journey.run(1), 0);
    assert_eq!(journey.of_side(24), PRODUCTS as usize);
    assert_eq!(journey.shop.stats().image.body_bytes, bytes_down);
    // Nothing is left to do.
    assert_eq!(journey.run(2), 0);
    assert_eq!(journey.folder.last_run("shop")["counts"]["images"], 0);

    // Whoever looks after stored images knows originals as what belongs to a
    // picture: they are counted, sound, and used.
    let keys = journey.keys();
    let originals = keys.iter().filter(|key| key.contains("/original."));
    assert_eq!(originals.count() * 2, keys.len());
    let stats = journey.command(&["images", "stats", "--json"]);
    assert_eq!(stats["all"]["variants"], keys.len(), "{stats:#}");
    let verified = journey.command(&["images", "verify", "--all", "--json"]);
    assert_eq!(verified["verified"]["objects"], keys.len(), "{verified:#}");
    let unused = journey
        .folder
        .hours_later(24 * 30, &["images", "gc", "--grace-days", "1", "--json"]);
    let unused = unused.with_code(0).json();
    assert_eq!(unused["used"]["objects"], keys.len(), "{unused:#}");
    // The variants of the first day.
    assert_eq!(unused["unused"]["objects"], keys.len() / 2, "{unused:#}");
    let stored = files(&journey.folder.blobs().join("images"));
    assert_eq!(stored.len(), keys.len() * 3 / 2);
    journey.shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_originals_other_variants_are_downloaded_at_the_set_rate() {
    let journey = Journey::start("remake_days = 4").await;
    let all = journey.run(0);
    journey.side(24);
    let (mut requests, mut remade) = (0, 0);
    let mut most = 0;
    // Four days; should a day pass by the real clock meanwhile, its share comes
    // four days later.
    for day in 1..=9 {
        let asked = journey.run(day);
        let now = journey.of_side(24);
        assert!(
            asked <= (now - remade) as u64,
            "{asked} for {now} - {remade}"
        );
        most = most.max(now - remade);
        (requests, remade) = (requests + asked, now);
    }
    assert_eq!(remade, PRODUCTS as usize);
    assert!(requests >= all, "{requests} of {all}");
    // A quarter of forty, give or take.
    assert!(most <= 20, "{most} at once");
    let seen = journey.shop.seen();
    let conditional = seen.iter().filter(|seen| seen.path().starts_with("/img/"));
    assert_eq!(conditional.filter(|seen| seen.conditional).count(), 0);
    journey.shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_wants_made_anew_stays() {
    let journey = Journey::start("remake_days = 0").await;
    journey.run(0);
    journey.side(24);
    for day in 1..4 {
        assert_eq!(journey.run(day), 0);
    }
    assert_eq!(journey.of_side(16), PRODUCTS as usize);
    journey.shop.stop().await;
}

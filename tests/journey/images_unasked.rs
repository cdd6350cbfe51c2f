//! Images that nobody is asked for: of pipes that collect none, and of a pipe
//! that goes while its images wait. Each is fetched when its pipe wants it.

use std::collections::BTreeMap;
use std::fs;

use trawler_shop::{Shop, ShopSpec};

use crate::look::{EVERY_RUN, NO_IMAGES, SMALL_VARIANT, feed_table, text};
use crate::support::{Folder, pipe};

const PRODUCTS: u32 = 12;

struct Journey {
    shop: Shop,
    folder: Folder,
}

impl Journey {
    async fn start(images: &str) -> Self {
        let shop = Shop::start(ShopSpec {
            image_px: 32,
            extra_images_max: 0,
            ..ShopSpec::new("unasked", 23, PRODUCTS)
        })
        .await
        .unwrap();
        let folder = Folder::new(&[shop.addr().to_string()], SMALL_VARIANT);
        let journey = Self { shop, folder };
        journey.pipe(images);
        journey
    }

    fn pipe(&self, images: &str) {
        let feed = feed_table(self.shop.model().spec().format);
        let text = pipe(&self.shop.feed_url(), &feed, images);
        self.folder.pipe("shop", &text);
    }

    fn requests(&self) -> u64 {
        self.shop.stats().image.requests
    }

    #[track_caller]
    fn assert_all(&self, status: &str) {
        let mut found: BTreeMap<String, u32> = BTreeMap::new();
        for row in self.folder.rows("shop").values() {
            *found.entry(text(row, "image_status")).or_default() += 1;
        }
        assert_eq!(found, BTreeMap::from([(status.to_owned(), PRODUCTS)]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn images_that_a_pipe_does_not_collect_are_fetched_once_it_does() {
    let journey = Journey::start(NO_IMAGES).await;
    let folder = &journey.folder;
    folder.run_pipe("shop").with_code(0);
    journey.assert_all("not_collected");
    assert_eq!(folder.last_run("shop")["counts"]["image_jobs"], 0);
    assert_eq!(journey.requests(), 0);
    let retry = ["images", "retry", "--all", "--work", "--json"];
    folder.trawler(&retry).with_code(0);
    assert_eq!(journey.requests(), 0);

    journey.pipe(EVERY_RUN);
    folder.run_pipe("shop").with_code(0);
    journey.assert_all("stored");
    let requests = journey.requests();
    assert!(requests > 0);

    // What is stored stays, and is left alone.
    journey.pipe(NO_IMAGES);
    folder.run_pipe("shop").with_code(0);
    journey.assert_all("stored");
    assert_eq!(journey.requests(), requests);
    journey.shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn images_that_wait_when_a_pipe_stops_collecting_are_not_asked_for() {
    let journey = Journey::start(EVERY_RUN).await;
    let folder = &journey.folder;
    folder.trawler(&["pause", "--queue", "image"]).with_code(0);
    folder.run_pipe("shop").with_code(3);
    journey.assert_all("pending");
    journey.pipe(NO_IMAGES);
    folder.trawler(&["resume", "--queue", "image"]).with_code(0);
    folder.trawler(&["run", "--once"]).with_code(0);
    journey.assert_all("not_collected");
    assert_eq!(journey.requests(), 0);
    assert!(folder.dead_letters().is_empty());
    journey.shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn images_of_a_pipe_that_is_removed_are_paused_until_it_is_back() {
    let journey = Journey::start(EVERY_RUN).await;
    let folder = &journey.folder;
    // Paused, its jobs park and its images wait, whoever looks and however long.
    folder.trawler(&["pause", "--pipe", "shop"]).with_code(0);
    folder.trawler(&["pause", "--queue", "image"]).with_code(0);
    folder.trawler(&["resume", "--pipe", "shop"]).with_code(0);
    folder.run_pipe("shop").with_code(3);
    folder.trawler(&["pause", "--pipe", "shop"]).with_code(0);
    folder.trawler(&["resume", "--queue", "image"]).with_code(0);
    for days in [0, 2, 40] {
        let args = ["run", "--once", "--json"];
        folder.hours_later(24 * days, &args).with_code(3);
        journey.assert_all("pending");
    }
    assert_eq!(journey.requests(), 0);
    assert!(folder.dead_letters().is_empty());

    // Removed, there is nobody to resume it.
    let file = folder.path().join("pipes/shop.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    folder.trawler(&["resume", "--pipe", "shop"]).with_code(0);
    folder.trawler(&["run", "--once"]);
    journey.assert_all("pipe_paused");
    assert!(!folder.dead_letters().is_empty());
    assert_eq!(journey.requests(), 0);

    // Back, its next run fetches them.
    fs::write(&file, text).unwrap();
    folder.run_pipe("shop").with_code(0);
    journey.assert_all("stored");
    journey.shop.stop().await;
}

//! A summary feed: what the partner says, and nothing by absence.

use trawler_shop::{DayChange, FeedFormat, Shop, ShopSpec};

use crate::look::{NO_IMAGES, assert_same, feed_table, truth};
use crate::support::{Folder, pipe};

async fn shop(gone_share: f64) -> (Shop, Folder) {
    let shop = Shop::start(ShopSpec {
        format: FeedFormat::NaverEpSummary,
        day_change: DayChange {
            new_share: 0.05,
            changed_share: 0.1,
            gone_share,
            ..DayChange::NONE
        },
        ..ShopSpec::new("summary", 3, 200)
    })
    .await
    .unwrap();
    let folder = Folder::new(&[shop.addr().to_string()], "");
    let feed = feed_table(FeedFormat::NaverEpSummary);
    folder.pipe("short", &pipe(&shop.feed_url(), &feed, NO_IMAGES));
    (shop, folder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inserts_updates_and_explicit_deletes_of_a_summary_are_applied() {
    let (shop, folder) = shop(0.05).await;
    for day in 0..4 {
        shop.set_day(day);
        folder.run_pipe("short").with_code(0);
        assert_same(&folder.told("short"), &truth(shop.products(day)));
        let (run, told) = (folder.last_run("short"), shop.model().changes(day));
        let counts = &run["counts"];
        assert_eq!(run["mode"], "summary");
        assert_eq!(counts["inserts"], told.new.len(), "{run:#}");
        assert_eq!(counts["updates"], told.changed.len(), "{run:#}");
        assert_eq!(counts["deletes"], told.gone.len(), "{run:#}");
    }
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_explicit_deletes_are_held_until_a_person_lets_them_pass() {
    let (shop, folder) = shop(0.5).await;
    folder.run_pipe("short").with_code(0);
    shop.set_day(1);
    let told = shop.model().changes(1);
    folder.run_pipe("short").with_code(3);
    let run = folder.last_run("short");
    assert_eq!(run["counts"]["held_deletes"], told.gone.len(), "{run:#}");
    assert_eq!(run["counts"]["deletes"], 0, "{run:#}");
    assert!(run["incomplete"][0].as_str().unwrap().contains("max_drop"));
    // What else the summary says is applied.
    let mut expected = truth(shop.products(1));
    let gone = truth(shop.products(0)).into_iter();
    expected.extend(gone.filter(|(id, _)| told.gone.contains(id)));
    assert_same(&folder.told("short"), &expected);

    let more = format!("{NO_IMAGES}\n[judge]\nmax_drop = 0.9\n");
    let feed = feed_table(FeedFormat::NaverEpSummary);
    folder.pipe("short", &pipe(&shop.feed_url(), &feed, &more));
    folder.run_pipe("short").with_code(0);
    assert_same(&folder.told("short"), &truth(shop.products(1)));
    shop.stop().await;
}

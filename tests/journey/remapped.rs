//! What the validators of a feed are bound to: a feed that says "not modified"
//! is read all the same once the pipe or its mapping tables give other rows.

use std::fs;

use trawler_shop::{FeedFormat, Shop, ShopSpec, Validators};

use crate::look::{NO_IMAGES, feed_table};
use crate::support::{Folder, pipe};

const PRODUCTS: u32 = 60;

/// Rows read and rows changed by a run now.
fn run(folder: &Folder) -> (u64, u64) {
    folder.run_pipe("mapped").with_code(0);
    let counts = folder.last_run("mapped")["counts"].clone();
    let count = |name: &str| counts[name].as_u64().expect("a count");
    (
        count("rows"),
        count("inserts") + count("updates") + count("deletes"),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_mapping_or_pipe_forces_a_full_read_of_an_unchanged_feed() {
    let shop = Shop::start(ShopSpec {
        format: FeedFormat::NaverEp,
        validators: Validators::ALL,
        ..ShopSpec::new("mapped", 11, PRODUCTS)
    })
    .await
    .unwrap();
    let folder = Folder::new(&[shop.addr().to_string()], "");
    let feed = feed_table(FeedFormat::NaverEp);
    folder.pipe("mapped", &pipe(&shop.feed_url(), &feed, NO_IMAGES));
    let all = u64::from(PRODUCTS);
    assert_eq!(run(&folder), (all, all), "the first load");
    assert_eq!(run(&folder), (0, 0), "not modified");

    let rows = folder.rows("mapped");
    let category = rows.values().next().unwrap()["category_path"]
        .as_str()
        .unwrap()
        .to_owned();
    let same = |row: &&serde_json::Value| row["category_path"] == *category;
    let of_category = rows.values().filter(same).count() as u64;
    fs::create_dir(folder.path().join("mappings")).unwrap();
    let table = format!("from,to\n\"{category}\",Ours\n");
    fs::write(folder.path().join("mappings/category.csv"), table).unwrap();
    assert_eq!(run(&folder), (all, of_category), "a new mapping table");
    let mapped = folder.rows("mapped");
    let ours = mapped
        .values()
        .filter(|row| row["category_mapped"] == "Ours")
        .count();
    assert_eq!(ours as u64, of_category);
    assert_eq!(run(&folder), (0, 0), "not modified again");

    let feed = format!("{feed}\nmax_bad_share = 0.01");
    folder.pipe("mapped", &pipe(&shop.feed_url(), &feed, NO_IMAGES));
    assert_eq!(run(&folder), (all, 0), "another way to read the same rows");
    assert_eq!(run(&folder), (0, 0), "not modified again");
    shop.stop().await;
}

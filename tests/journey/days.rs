//! A full feed over several days: products, changes and images follow the
//! shop, and a day on which nothing changes costs nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use trawler_shop::{DayChange, FeedFormat, Shop, ShopSpec, Validators};

use crate::look::{EVERY_RUN, SMALL_VARIANT, assert_same, feed_table, files, text, truth};
use crate::server::Server;
use crate::support::{Folder, pipe};

/// A log entry that adds no file: a few hundred bytes, far below this.
const ENTRY_BYTES_MAX: u64 = 1024;

fn spec(products: u32, day_change: DayChange) -> ShopSpec {
    ShopSpec {
        image_px: 32,
        extra_images_max: 0,
        day_change,
        ..ShopSpec::new("days", 11, products)
    }
}

fn folder_of(shop: &Shop) -> Folder {
    let folder = Folder::new(&[shop.addr().to_string()], SMALL_VARIANT);
    let feed = feed_table(shop.model().spec().format);
    folder.pipe("days", &pipe(&shop.feed_url(), &feed, EVERY_RUN));
    folder
}

/// Ids of changes by kind: of the run's own commit, and of folds after it.
#[derive(Debug, Default)]
struct Seen {
    inserted: BTreeSet<String>,
    updated: BTreeSet<String>,
    deleted: BTreeSet<String>,
    folded: BTreeSet<String>,
    before: usize,
}

fn sort(changes: &[Value], run_version: i64) -> Seen {
    let mut seen = Seen::default();
    for change in changes {
        let (id, own) = (
            text(change, "id"),
            change["_commit_version"].as_i64() == Some(run_version),
        );
        let fresh = match (text(change, "_change_type").as_str(), own) {
            ("insert", true) => seen.inserted.insert(id),
            ("update_postimage", true) => seen.updated.insert(id),
            ("delete", true) => seen.deleted.insert(id),
            ("update_postimage", false) => {
                // Two folds may touch a row one after the other.
                seen.folded.insert(id);
                true
            }
            ("update_preimage", _) => {
                seen.before += 1;
                true
            }
            (kind, own) => panic!("{kind} (own commit: {own}) of {id}"),
        };
        assert!(fresh, "a change of one commit is told twice: {change}");
    }
    seen
}

/// The products whose picture, or what is known of it, differs from yesterday.
fn changed_pictures(shop: &Shop, day: u32) -> BTreeSet<String> {
    let model = shop.model();
    let live = model.products(day).filter(|product| {
        let image = model.image_ids(product.slot)[0];
        let known = day > 0 && model.product(product.slot, day - 1).is_some();
        let look = |day: u32| {
            let state = model.image(image, day);
            (state.version, state.moves, state.broken)
        };
        !known || look(day) != look(day - 1)
    });
    live.map(|product| product.id).collect()
}

fn set(ids: Vec<String>) -> BTreeSet<String> {
    ids.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_day_the_catalogue_the_changes_and_the_images_are_the_shops() {
    let shop = Shop::start(spec(
        120,
        DayChange {
            new_share: 0.05,
            changed_share: 0.1,
            gone_share: 0.04,
            image_changed_share: 0.08,
            image_broken_share: 0.05,
            image_moved_share: 0.05,
        },
    ))
    .await
    .unwrap();
    let folder = folder_of(&shop);
    let mut since = "0".to_owned();
    for day in 0..3 {
        shop.set_day(day);
        folder.run_pipe("days").with_code(0);
        assert_same(&folder.told("days"), &truth(shop.products(day)));

        let version = folder.last_run("days")["version"].as_i64().unwrap();
        let (changes, next) = folder.changes(&since);
        let seen = sort(&changes, version);
        let expected = shop.model().changes(day);
        assert_eq!(seen.inserted, set(expected.new), "new on day {day}");
        assert_eq!(seen.updated, set(expected.changed), "changed on day {day}");
        assert_eq!(seen.deleted, set(expected.gone), "gone on day {day}");
        assert_eq!(seen.folded, changed_pictures(&shop, day), "images of {day}");
        assert!(day == 0 || seen.before >= seen.updated.len());
        let (rest, same) = folder.changes(&next);
        assert!(rest.is_empty() && same == next, "{next} is not the end");
        since = next;
        check_images(&folder, &shop, day);
    }
    shop.stop().await;
}

/// Broken pictures are told so, all others are stored where the row says.
fn check_images(folder: &Folder, shop: &Shop, day: u32) {
    let rows = folder.rows("days");
    for product in shop.products(day) {
        let image = shop.model().image_ids(product.slot)[0];
        let broken = shop.model().image(image, day).broken;
        let row = &rows[&product.id];
        let status = text(row, "image_status");
        if broken {
            assert_eq!(status, "not_found", "{row:#}");
            continue;
        }
        assert!(["stored", "unchanged"].contains(&&*status), "{row:#}");
        for variant in row["image_variants"].as_array().unwrap() {
            let path = folder.blobs().join(text(variant, "key"));
            let size = std::fs::metadata(&path).unwrap().len();
            assert_eq!(Some(size), variant["bytes"].as_u64(), "{}", path.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn same_url_new_bytes_with_the_feed_unchanged_updates_the_row() {
    let shop = Shop::start(spec(
        40,
        DayChange {
            image_changed_share: 0.25,
            ..DayChange::NONE
        },
    ))
    .await
    .unwrap();
    let folder = folder_of(&shop);
    folder.run_pipe("days").with_code(0);
    let before = folder.rows("days");
    let (_, since) = folder.changes("0");
    shop.set_day(1);
    folder.run_pipe("days").with_code(0);
    assert_eq!(shop.stats().feed.not_modified, 1, "the feed did not change");
    let run = folder.last_run("days");
    assert_eq!(run["counts"]["rewritten"], 0, "{run:#}");
    let after = folder.rows("days");
    let expected = changed_pictures(&shop, 1);
    assert!(!expected.is_empty());
    for (id, row) in &after {
        let same = row["image_sha256"] == before[id]["image_sha256"];
        assert_eq!(same, !expected.contains(id), "{row:#}");
        assert_eq!(row["title"], before[id]["title"]);
    }
    let (changes, _) = folder.changes(&since);
    let told: BTreeSet<String> = changes.iter().map(|change| text(change, "id")).collect();
    assert_eq!(told, expected);
    check_images(&folder, &shop, 1);
    shop.stop().await;
}

/// The same products in other bytes: a comment field that no column takes is
/// left out by the pipe, and the rows come in another order.
fn shuffled(day: u32) -> Vec<u8> {
    let mut text = "id\ttitle\tprice_pc\tlink\tbuilt\n".to_owned();
    for row in 0..50 {
        let n = if day.is_multiple_of(2) { row } else { 49 - row };
        writeln!(
            text,
            "s{n}\tSaw {n}\t{}\thttps://shop.example/{n}\tday {day}",
            1000 + n
        )
        .unwrap();
    }
    text.into_bytes()
}

/// What was asked for since this was last asked, by path: whether with
/// validators, and what the answer was.
fn asked_for_images(shop: &Shop) -> BTreeMap<String, Vec<(bool, u16)>> {
    let mut asked: BTreeMap<String, Vec<(bool, u16)>> = BTreeMap::new();
    for seen in shop.seen() {
        if seen.path().starts_with("/img/") {
            let answers = asked.entry(seen.path().to_owned()).or_default();
            answers.push((seen.conditional, seen.status));
        }
    }
    shop.forget_seen();
    asked
}

/// Without validators an unchanged image costs one request and one hash: that it
/// is not decoded holds
/// `the_same_bytes_without_validators_are_neither_decoded_nor_stored`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_06_images_without_validators_are_fetched_once_and_not_stored() {
    let shop = Shop::start(ShopSpec {
        validators: Validators {
            images: false,
            ..Validators::ALL
        },
        ..spec(40, DayChange::NONE)
    })
    .await
    .unwrap();
    let folder = folder_of(&shop);
    let first = folder.run_pipe("days").with_code(0).json();
    let images = asked_for_images(&shop).len() as u64;
    assert!(images > 0);
    assert_eq!(first["figures"]["images_stored"], images);
    let stored = || {
        let files = files(&folder.blobs().join("images")).into_iter();
        let with_time = files.map(|(path, bytes)| {
            let written = std::fs::metadata(&path).unwrap().modified().unwrap();
            (path, (bytes, written))
        });
        with_time.collect::<BTreeMap<_, _>>()
    };
    let (before, rows) = (stored(), folder.rows("days"));
    assert_eq!(before.len() as u64, images);
    let sent = shop.stats().image.body_bytes;

    let second = folder.run_pipe("days").with_code(0).json();
    let figures = &second["figures"];
    let asked = asked_for_images(&shop);
    assert_eq!(asked.len() as u64, images);
    let once = asked.values().all(|answers| answers[..] == [(false, 200)]);
    assert!(once, "each is asked for once: {asked:?}");
    assert_eq!(figures["images_stored"], 0, "{figures:#}");
    assert_eq!(figures["image_bytes_up"], 0, "{figures:#}");
    let down = shop.stats().image.body_bytes - sent;
    assert_eq!(
        (figures["image_bytes_down"].as_u64(), down),
        (Some(sent), sent)
    );
    assert_eq!(
        stored(),
        before,
        "no file is written, not even the same again"
    );
    assert_eq!(folder.rows("days"), rows);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_06_an_unchanged_day_writes_one_log_entry_a_pipe() {
    let told = Shop::start(spec(40, DayChange::NONE)).await.unwrap();
    let silent = Shop::start(ShopSpec {
        format: FeedFormat::JsonLines,
        validators: Validators {
            feed: false,
            ..Validators::ALL
        },
        ..spec(40, DayChange::NONE)
    })
    .await
    .unwrap();
    let body = Arc::new(Mutex::new(shuffled(0)));
    let server = Server::of_one_body(&body);
    let allow = [
        told.addr().to_string(),
        silent.addr().to_string(),
        server.host(),
    ];
    let folder = Folder::new(&allow, SMALL_VARIANT);
    for (id, shop) in [("told", &told), ("silent", &silent)] {
        let feed = feed_table(shop.model().spec().format);
        folder.pipe(id, &pipe(&shop.feed_url(), &feed, EVERY_RUN));
    }
    let feed = "format = \"naver-ep\"\nmode = \"full\"\nignore = [\"built\"]";
    folder.pipe("shuffled", &pipe(&server.url("/feed"), feed, EVERY_RUN));
    let pipes = ["told", "silent", "shuffled"];
    for id in pipes {
        folder.run_pipe(id).with_code(0);
    }

    let stores = || {
        (
            files(&folder.catalogue()),
            files(&folder.blobs().join("images")),
        )
    };
    let sent = || told.stats().image.body_bytes + silent.stats().image.body_bytes;
    let (before, sent_before) = (stores(), sent());
    let rows: BTreeMap<&str, _> = pipes.map(|id| (id, folder.rows(id))).into();
    let urls = [&told, &silent].map(|shop| asked_for_images(shop).into_keys().collect::<Vec<_>>());
    *body.lock().unwrap() = shuffled(1);
    for id in pipes {
        let run = folder.run_pipe(id).with_code(0).json();
        let figures = &run["figures"];
        for nothing in [
            "rows_rewritten",
            "images_stored",
            "image_bytes_up",
            "image_bytes_down",
        ] {
            assert_eq!(figures[nothing], 0, "{nothing} of {id}: {figures:#}");
        }
        let counts = &run["runs"][0]["counts"];
        assert_eq!(counts["unchanged"], rows[id].len(), "{id}: {counts:#}");
        assert_eq!(folder.rows(id), rows[id]);
    }
    for (shop, urls) in [&told, &silent].into_iter().zip(urls) {
        let again = asked_for_images(shop);
        assert!(again.keys().eq(&urls), "{again:?}, before {urls:?}");
        let once = again.values().all(|answers| answers[..] == [(true, 304)]);
        assert!(once, "each is asked for once, if it changed: {again:?}");
    }
    let after = stores();
    assert_eq!(after.1, before.1, "no image file");
    assert_eq!(sent(), sent_before, "no image byte");
    assert!(
        before.0.is_subset(&after.0),
        "nothing is rewritten in place"
    );
    let new: Vec<_> = after.0.difference(&before.0).collect();
    assert_eq!(new.len(), pipes.len(), "{new:?}");
    for (path, bytes) in new {
        assert_eq!(
            path.parent().unwrap(),
            folder.catalogue().join("_delta_log")
        );
        assert!(*bytes <= ENTRY_BYTES_MAX, "{}: {bytes}", path.display());
    }
    told.stop().await;
    silent.stop().await;
}

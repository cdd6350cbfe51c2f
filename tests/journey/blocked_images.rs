//! A blocked picture: no product shows it, it is not stored again, and it comes
//! back when it is unblocked, all without a crawl.

use std::io::Cursor;
use std::sync::{Arc, Mutex, OnceLock};

use image::{ImageFormat, RgbImage};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use trawler_shop::{FeedFormat, Shop, ShopSpec};

use crate::look::{EVERY_RUN, SMALL_VARIANT, feed_table, text};
use crate::partner::{Partner, product};
use crate::server::{Answer, Server};
use crate::support::{Ended, Folder, pipe};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_picture_is_shown_by_nobody_until_it_is_unblocked() {
    let shop = Shop::start(ShopSpec {
        image_px: 32,
        images_distinct: 3,
        extra_images_max: 0,
        ..ShopSpec::new("pictures", 23, 12)
    });
    let shop = shop.await.unwrap();
    let folder = Folder::new(&[shop.addr().to_string()], SMALL_VARIANT);
    let feed = feed_table(shop.model().spec().format);
    folder.pipe("shop", &pipe(&shop.feed_url(), &feed, EVERY_RUN));
    folder.run_pipe("shop").with_code(0);
    let (_, mut read) = folder.changes("0");
    let before = folder.rows("shop");
    let sha256 = text(before.values().next().unwrap(), "image_sha256");
    let showed = |status: &str| {
        let rows = folder.rows("shop").into_values();
        let with = rows.filter(|row| text(row, "image_sha256") == sha256);
        let (mut count, mut variants) = (0, 0);
        for row in with {
            assert_eq!(text(&row, "image_status"), status, "{row:#}");
            variants += row["image_variants"].as_array().map_or(0, Vec::len);
            count += 1;
        }
        (count, variants)
    };
    let (products, variants) = showed("stored");
    assert!(
        products > 1 && variants == products,
        "{products} {variants}"
    );

    let asked = shop.stats().requests();
    let block = [
        "block",
        "--image",
        &sha256,
        "--why",
        "not theirs",
        "--by",
        "ann",
    ];
    let said = folder.trawler(&block).with_code(0);
    assert!(
        said.stdout.contains(&format!("{products} product(s)")),
        "{said:?}"
    );
    assert_eq!(shop.stats().requests(), asked);
    assert_eq!(showed("placeholder"), (products, 0));
    let (changes, next) = folder.changes(&read);
    read = next;
    assert_eq!(changes.len(), 2 * products, "an update each");
    let listed = folder.trawler(&["block", "list"]).with_code(0).stdout;
    for part in [&*sha256, "ann", "not theirs"] {
        assert!(listed.contains(part), "{part:?} is not in {listed}");
    }
    // Later runs look at every picture again, and know it by its bytes.
    for _ in 0..2 {
        folder.run_pipe("shop").with_code(0);
        assert_eq!(showed("placeholder"), (products, 0));
    }
    assert!(folder.changes(&read).0.is_empty(), "all is as it was");
    let again = folder.trawler(&block).with_code(0);
    assert!(
        again.stdout.contains("blocked already: 0 product(s)"),
        "{again:?}"
    );
    let wrong = folder.trawler(&["block", "--image", "abc"]).with_code(2);
    assert!(wrong.stderr.contains("64 hex digits"), "{wrong:?}");

    let unblock = ["unblock", "--image", &sha256];
    let said = folder.trawler(&unblock).with_code(0);
    assert!(said.stdout.contains("fetched again"), "{said:?}");
    // Fetched already, and not planned twice: something is left to be done.
    let again = folder.trawler(&unblock).with_code(3);
    assert!(again.stderr.contains("being fetched again"), "{again:?}");
    let again = folder.trawler(&[&unblock[..], &["--json"]].concat());
    let again = again.with_code(3).json();
    assert_eq!(again["left"], json!(["shop"]), "{again:#}");
    assert_eq!(again["products"], 0, "{again:#}");
    folder.trawler(&["run", "--once"]).with_code(0);
    assert_eq!(showed("stored"), (products, variants));
    let (changes, _) = folder.changes(&read);
    assert_eq!(changes.len(), 2 * products, "an update each");
    let audit = folder.trawler(&["block", "decisions"]).with_code(0).stdout;
    for part in ["ann", "not theirs", &format!("unblock {sha256}")] {
        assert!(audit.contains(part), "{part:?} is not in {audit}");
    }
    let listed = folder.trawler(&["block", "list"]).with_code(0).stdout;
    assert!(listed.contains("nothing is blocked"), "{listed}");
}

/// Neither a product that comes back with what was known of it nor a restore
/// shows a picture that was blocked in between.
#[test]
fn rows_that_come_back_do_not_bring_a_blocked_picture_along() {
    let partner = Partner::new("");
    let theirs = partner.show("/theirs.png", 10);
    let own = partner.show("/own.png", 90);
    let row = |n: usize, picture: &str| {
        let mut row = product(n, 1_000);
        row["image"] = json!(picture);
        row
    };
    let serve = |rows: &[Value]| {
        partner.serve(rows);
        partner.runs(0)
    };
    let statuses = || -> Vec<(String, usize)> {
        let rows = partner.rows().into_values();
        let of = |row: Value| {
            let variants = row["image_variants"].as_array().map_or(0, Vec::len);
            (text(&row, "image_status"), variants)
        };
        rows.map(of).collect()
    };
    let stored = || ("stored".to_owned(), 1);
    let blocked = || ("placeholder".to_owned(), 0);
    let first = serve(&[row(0, &theirs), row(1, &theirs), row(2, &own)]);
    assert_eq!(statuses(), [stored(), stored(), stored()]);
    let before = partner.rows();
    let sha256 = text(&before["p0000"], "image_sha256");
    serve(&[row(0, &theirs), row(2, &own)]);

    let block = ["block", "--image", &sha256];
    let said = partner.folder.trawler(&block).with_code(0);
    assert!(said.stdout.contains("1 product(s)"), "{said:?}");
    assert_eq!(statuses(), [blocked(), stored()]);

    serve(&[row(0, &theirs), row(1, &theirs), row(2, &own)]);
    assert_eq!(statuses(), [blocked(), blocked(), stored()]);
    let back = partner.rows();
    assert_eq!(back["p0001"]["first_seen"], before["p0001"]["first_seen"]);

    serve(&[row(0, &own), row(2, &own)]);
    assert_eq!(statuses(), [stored(), stored()]);
    let restore = ["restore", "--to", &text(&first, "id")];
    partner.asks(&restore).with_code(0);
    assert_eq!(statuses(), [blocked(), blocked(), stored()]);

    let unblock = ["unblock", "--image", &sha256];
    let said = partner.folder.trawler(&unblock).with_code(0);
    assert!(said.stdout.contains("2 product(s)"), "{said:?}");
    partner.asks(&["resume"]).with_code(0);
    partner.folder.trawler(&["run", "--once"]).with_code(0);
    assert_eq!(statuses(), [stored(), stored(), stored()]);
}

/// The worker asked what is blocked before it asked for the picture, and stores
/// it: nobody is shown it all the same.
#[test]
fn a_picture_that_is_blocked_while_it_is_fetched_is_not_brought_in() {
    let mut png = Cursor::new(Vec::new());
    let picture = RgbImage::from_fn(40, 30, |x, y| image::Rgb([7, x as u8, y as u8]));
    picture.write_to(&mut png, ImageFormat::Png).unwrap();
    let png = png.into_inner();
    let sha256 = hex::encode(Sha256::digest(&png));
    let folder: Arc<OnceLock<Folder>> = Arc::default();
    let feed: Arc<Mutex<String>> = Arc::default();
    let blocked: Arc<Mutex<Vec<Ended>>> = Arc::default();
    let server = {
        let (folder, feed) = (Arc::clone(&folder), Arc::clone(&feed));
        let (blocked, sha256) = (Arc::clone(&blocked), sha256.clone());
        Server::start(move |path| {
            if path == "/feed" {
                return Answer::of(feed.lock().unwrap().clone());
            }
            let block = ["block", "--image", &sha256];
            let ended = folder.get().unwrap().trawler(&block);
            blocked.lock().unwrap().push(ended);
            Answer::of(png.clone())
        })
    };
    let mut row = product(0, 1_000);
    row["image"] = json!(server.url("/theirs.png"));
    *feed.lock().unwrap() = format!("{row}\n");
    let folder = folder.get_or_init(|| Folder::new(&[server.host()], SMALL_VARIANT));
    let table = feed_table(FeedFormat::JsonLines);
    folder.pipe("partner", &pipe(&server.url("/feed"), &table, ""));
    folder.run_pipe("partner").with_code(0);
    let blocked = std::mem::take(&mut *blocked.lock().unwrap());
    assert_eq!(blocked.len(), 1);
    for ended in blocked {
        assert!(ended.with_code(0).stdout.contains("0 product(s)"));
    }
    let stored = crate::look::files(&folder.blobs().join("images"));
    assert!(!stored.is_empty(), "the worker did not know");
    let rows = folder.rows("partner");
    let row = rows.values().next().unwrap();
    assert_eq!(text(row, "image_status"), "placeholder", "{row:#}");
    assert_eq!(text(row, "image_sha256"), sha256);
    assert_eq!(row["image_variants"], Value::Null);
    assert_eq!(text(row, "image_reason"), "it is blocked");
}

/// One pipe that cannot be looked at does not keep the others waiting, and is
/// named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_is_taken_from_all_pipes_that_can_be_reached() {
    let shop = Shop::start(ShopSpec {
        image_px: 32,
        images_distinct: 1,
        extra_images_max: 0,
        ..ShopSpec::new("pictures", 29, 6)
    });
    let shop = shop.await.unwrap();
    let folder = Folder::new(&[shop.addr().to_string()], SMALL_VARIANT);
    let feed = feed_table(shop.model().spec().format);
    for id in ["broken", "whole"] {
        folder.pipe(id, &pipe(&shop.feed_url(), &feed, EVERY_RUN));
        folder.run_pipe(id).with_code(0);
    }
    let sha256 = text(
        folder.rows("whole").values().next().unwrap(),
        "image_sha256",
    );
    let of_broken = crate::look::files(&folder.catalogue()).into_iter();
    let of_broken = of_broken.filter(|(path, _)| {
        let path = path.to_string_lossy();
        path.contains("pipe=broken") && path.ends_with(".parquet")
    });
    let mut away = Vec::new();
    for (path, _) in of_broken {
        let path = folder.catalogue().join(path);
        let aside = path.with_extension("aside");
        std::fs::rename(&path, &aside).unwrap();
        away.push((aside, path));
    }
    assert!(!away.is_empty());

    let block = ["block", "--image", &sha256];
    let said = folder.trawler(&block).with_code(3);
    assert!(said.stderr.contains("pipe broken"), "{said:?}");
    assert!(said.stderr.contains("same command again"), "{said:?}");
    let told = folder.trawler(&[&block[..], &["--json"]].concat());
    assert_eq!(told.with_code(3).json()["left"], json!(["broken"]));
    let status = |id: &str| -> Vec<String> {
        let rows = folder.rows(id).into_values();
        rows.map(|row| text(&row, "image_status")).collect()
    };
    assert_eq!(status("whole"), ["placeholder"; 6]);

    for (aside, path) in away {
        std::fs::rename(aside, path).unwrap();
    }
    assert_eq!(status("broken"), ["stored"; 6]);
    folder.trawler(&block).with_code(0);
    assert_eq!(status("broken"), ["placeholder"; 6]);
}

//! The upkeep of stored images by the real program: failed ones are tried again
//! at growing ages, unused ones are removed and nothing else, missing and
//! damaged ones are found and repaired. Days pass by a clock that is ahead; each
//! journey ends with the ledger held against itself.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use chrono::Timelike;
use image::{ImageFormat, RgbImage};
use serde_json::{Value, json};
use trawler_core::QueueName;
use trawler_fleet::{Ports, audit};
use trawler_local::{CountingMetrics, LocalStore, QueueOptions, SystemClock};
use trawler_shop::{Shop, ShopSpec};
use trawler_tests::until;

use crate::look::{SMALL_VARIANT, feed_table, files, text};
use crate::server::{Answer, Server};
use crate::support::{Ended, Folder, pipe};

/// A pipe whose images are looked at once.
const NEVER_AGAIN: &str = "[images]\nrecheck = \"never\"\n";

/// No retries but those that the journey asks for.
const NO_RETRY: &str = "[images]\nretry = \"never\"\n";

/// A partner whose feed and pictures the journey changes.
#[derive(Default)]
struct Partner {
    /// Product and path of its picture.
    feed: Mutex<Vec<(String, String)>>,
    pictures: Mutex<BTreeMap<String, Vec<u8>>>,
    /// A picture that is not answered until it is let go.
    held: Mutex<Option<String>>,
    let_go: Condvar,
}

impl Partner {
    fn show(&self, path: &str, shade: u8) {
        let mut png = Cursor::new(Vec::new());
        let picture = RgbImage::from_fn(40, 30, |x, y| image::Rgb([shade, x as u8, y as u8]));
        picture.write_to(&mut png, ImageFormat::Png).unwrap();
        let mut pictures = self.pictures.lock().unwrap();
        pictures.insert(path.to_owned(), png.into_inner());
    }

    fn sell(&self, products: &[(&str, &str)]) {
        let owned = products.iter();
        *self.feed.lock().unwrap() = owned
            .map(|(id, path)| ((*id).to_owned(), (*path).to_owned()))
            .collect();
    }

    fn hold(&self, path: Option<&str>) {
        *self.held.lock().unwrap() = path.map(str::to_owned);
        self.let_go.notify_all();
    }

    fn answer(&self, path: &str, host: &str) -> Answer {
        if path == "/feed" {
            let mut feed = "id\ttitle\tprice_pc\tlink\timage_link\n".to_owned();
            for (id, picture) in self.feed.lock().unwrap().iter() {
                feed +=
                    &format!("{id}\tProduct {id}\t1000\thttps://a.test/{id}\t{host}{picture}\n");
            }
            return Answer::of(feed);
        }
        let held = self.held.lock().unwrap();
        drop(
            self.let_go
                .wait_while(held, |held| held.as_deref() == Some(path))
                .unwrap(),
        );
        match self.pictures.lock().unwrap().get(path) {
            Some(picture) => Answer::of(picture.clone()),
            None => Answer::not_found(),
        }
    }
}

struct Journey {
    partner: Arc<Partner>,
    server: Server,
    folder: Folder,
}

impl Journey {
    fn new(more: &str) -> Self {
        let partner = Arc::new(Partner::default());
        let host = Arc::new(Mutex::new(String::new()));
        let (serving, named) = (Arc::clone(&partner), Arc::clone(&host));
        let server = Server::start(move |path| serving.answer(path, &named.lock().unwrap()));
        *host.lock().unwrap() = server.url("");
        // So that images need not be kept for longer than the journey says.
        let more = format!("[catalogue]\nrestore_days = 1\n\n{more}{SMALL_VARIANT}");
        let folder = Folder::new(&[server.host()], &more);
        let feed = "format = \"naver-ep\"\nmode = \"full\"";
        folder.pipe("shop", &pipe(&server.url("/feed"), feed, NEVER_AGAIN));
        Self {
            partner,
            server,
            folder,
        }
    }

    fn asked_for(&self, path: &str) -> usize {
        self.server.heads().matches(&format!("get {path} ")).count()
    }

    fn run(&self, hours: u64) -> Ended {
        let args = ["run", "--once", "--pipe", "shop", "--json"];
        self.folder.hours_later(hours, &args)
    }

    fn status_of(&self, product: &str) -> String {
        text(&self.folder.rows("shop")[product], "image_status")
    }

    /// Where the one variant of a product is.
    fn file_of(&self, product: &str) -> PathBuf {
        let row = &self.folder.rows("shop")[product];
        let variants = row["image_variants"].as_array().unwrap();
        self.folder.blobs().join(text(&variants[0], "key"))
    }

    fn retry(&self, hours: u64, args: &[&str]) -> (u64, Ended) {
        let args = [&["images", "retry", "--json"], args].concat();
        let ended = self.folder.hours_later(hours, &args);
        let pipes = ended.json()["pipes"].as_array().unwrap().clone();
        (
            pipes
                .first()
                .map_or(0, |pipe| pipe["due"].as_u64().unwrap()),
            ended,
        )
    }

    fn gc(&self, hours: u64, args: &[&str]) -> Ended {
        let args = [&["images", "gc", "--grace-days", "1", "--json"], args].concat();
        self.folder.hours_later(hours, &args)
    }
}

impl Drop for Journey {
    /// A picture that is held would hold the server up for ever.
    fn drop(&mut self) {
        self.partner.hold(None);
    }
}

/// Every planned job is settled, and nothing contradicts itself.
async fn check_ledger(folder: &Folder) {
    let clock = Arc::new(SystemClock::new());
    let dir = folder.path().join("trawler-data");
    let store = LocalStore::open(dir, clock.clone()).await.unwrap();
    let options = QueueOptions {
        visibility: Duration::from_secs(60),
        receive_count_max: 1000,
    };
    let queue = |name| Arc::new(store.queue(name, options).unwrap());
    let ports = Ports {
        state: Arc::new(store.state()),
        blobs: Arc::new(store.blobs()),
        crawl: queue(QueueName::Crawl),
        image: queue(QueueName::Image),
        clock,
        metrics: Arc::new(CountingMetrics::new()),
    };
    let audit = audit(&ports).await.unwrap();
    assert!(audit.is_settled(), "{audit:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_images_are_tried_again_at_growing_ages_by_command() {
    let journey = Journey::new(NO_RETRY);
    journey.partner.show("/a.png", 1);
    let products = [("a", "/a.png"), ("b", "/b.png"), ("c", "/c.png")];
    journey.partner.sell(&products);
    journey.run(0).with_code(0);
    assert_eq!(journey.status_of("b"), "not_found");
    let asked = || (journey.asked_for("/b.png"), journey.asked_for("/c.png"));
    let first = asked();
    let rows = journey.folder.rows("shop");

    // A run a day later leaves them alone, and so does the upkeep before then.
    journey.run(23).with_code(0);
    let (due, ended) = journey.retry(23, &[]);
    ended.with_code(0);
    assert_eq!((due, asked()), (0, first));
    let (due, ended) = journey.retry(25, &["--dry-run"]);
    assert_eq!(ended.with_code(0).json()["pipes"][0]["failed"], 2);
    assert_eq!((due, asked()), (2, first));

    // It is a job for whoever works; a second one is not planned beside it.
    let (_, ended) = journey.retry(25, &[]);
    let job = ended.with_code(0).json()["pipes"][0]["job"].clone();
    assert_eq!(job, "shop#refetch@1");
    let (_, ended) = journey.retry(25, &[]);
    assert_eq!(ended.with_code(3).json()["pipes"][0]["job"], Value::Null);
    assert_eq!(asked(), first);
    let working = journey
        .folder
        .hours_later(25, &["images", "retry", "--work"]);
    assert!(working.stderr.contains("already"), "{working:?}");
    journey
        .folder
        .hours_later(25, &["run", "--once"])
        .with_code(0);
    assert_eq!(asked(), (first.0 + 1, first.1 + 1));
    assert_eq!(
        journey.folder.rows("shop"),
        rows,
        "the same failure is no change"
    );

    // The next age is two days; then one of them is there.
    let (due, _) = journey.retry(26, &[]);
    assert_eq!(due, 0);
    let (due, _) = journey.retry(47, &[]);
    assert_eq!(due, 0);
    journey.partner.show("/b.png", 2);
    let (due, ended) = journey.retry(49, &["--work"]);
    ended.with_code(0);
    assert_eq!((due, asked()), (2, (first.0 + 2, first.1 + 2)));
    assert_eq!(journey.status_of("b"), "stored");
    let (due, _) = journey.retry(80, &["--dry-run"]);
    assert_eq!(due, 0, "the next age is four days");
    let (due, _) = journey.retry(97, &["--dry-run", "--status", "timeout"]);
    assert_eq!(due, 0);
    let (due, _) = journey.retry(97, &["--dry-run", "--status", "not_found"]);
    assert_eq!(due, 1);
    let (due, ended) = journey.retry(80, &["--all", "--work"]);
    ended.with_code(0);
    assert_eq!((due, asked().1), (1, first.1 + 3));

    let wrong = journey
        .folder
        .trawler(&["images", "retry", "--status", "stored"]);
    let wrong = wrong.with_code(2);
    assert!(wrong.stderr.contains("not_found, blocked"), "{wrong:?}");
    assert!(journey.folder.dead_letters().is_empty());
    check_ledger(&journey.folder).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_images_are_tried_again_by_the_clock() {
    let hourly = "[images]\nretry = \"0 * * * *\"\n";
    let journey = Journey::new(hourly);
    journey.partner.show("/a.png", 1);
    journey.partner.sell(&[("a", "/a.png"), ("b", "/b.png")]);
    let once = |hours| {
        journey
            .folder
            .hours_later(hours, &["run", "--once"])
            .with_code(0)
    };
    once(0);
    let first = journey.asked_for("/b.png");
    // Hours at which it is tried: the first hour that finds it older than a day,
    // and then than two.
    let mut asked = Vec::new();
    for hours in [2, 20, 26, 27, 40, 50, 51, 90] {
        once(hours);
        asked.push(journey.asked_for("/b.png") - first);
    }
    assert_eq!(asked, [0, 0, 1, 1, 1, 2, 2, 2]);
    journey.partner.show("/b.png", 2);
    once(98);
    assert_eq!(journey.status_of("b"), "stored");
    assert_eq!(journey.asked_for("/a.png"), 1);
    check_ledger(&journey.folder).await;
}

/// Runs the pipe by a clock that is ahead, and leaves it at work.
fn start_run(journey: &Journey, hours: u64) -> Child {
    let args = ["run", "--once", "--pipe", "shop", "--json"];
    let mut command = journey.folder.command_later(hours, &args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gc_takes_what_a_delisted_product_left_and_nothing_that_a_run_in_flight_finds() {
    let journey = Journey::new(NO_RETRY);
    let (partner, folder) = (&journey.partner, &journey.folder);
    for (path, shade) in [("/a.png", 1), ("/b.png", 2), ("/c.png", 3), ("/e.png", 5)] {
        partner.show(path, shade);
    }
    partner.sell(&[("a", "/a.png"), ("b", "/b.png"), ("c", "/c.png")]);
    journey.run(0).with_code(0);
    let (of_b, of_c) = (journey.file_of("b"), journey.file_of("c"));
    let images = || files(&folder.blobs().join("images"));
    let all = images();
    assert_eq!(all.len(), 3);
    partner.sell(&[("a", "/a.png")]);
    // Too large a drop is held where there are many; here it is one in three.
    journey.run(1).with_code(0);
    assert_eq!(folder.rows("shop").len(), 1);

    // A reader may be a day behind.
    let counted = journey.gc(20, &[]).with_code(0).json();
    assert_eq!(counted["unused"]["objects"], 0, "{counted:#}");
    let counted = journey.gc(30, &[]).with_code(0).json();
    assert_eq!(counted["unused"]["objects"], 2, "{counted:#}");
    assert_eq!(counted["used"]["objects"], 1, "{counted:#}");
    assert_eq!(images(), all, "counting touches nothing");
    let marked = journey.gc(30, &["--delete"]).with_code(3).json();
    assert_eq!(marked["resting"]["marked"]["objects"], 2, "{marked:#}");
    let rests = journey.gc(40, &["--delete"]).with_code(3).json();
    assert_eq!((&rests["looked"], images()), (&json!(false), all.clone()));

    // A day later a new product shows the picture of one that is marked; its run
    // is not through with another picture while the gc takes what is marked.
    partner.show("/d.png", 2);
    partner.sell(&[("a", "/a.png"), ("d", "/d.png"), ("e", "/e.png")]);
    partner.hold(Some("/e.png"));
    let running = start_run(&journey, 56);
    let removals = folder.blobs().join("removals");
    let is_kept = || {
        files(&removals)
            .iter()
            .any(|(path, _)| path.ends_with(of_b.file_name().unwrap()))
    };
    until("the worker keeps what it found", is_kept).await;
    // What it found is marked anew, since nothing refers to it yet; then its
    // result does.
    let swept = journey.gc(56, &["--delete"]).with_code(3).json();
    assert_eq!(swept["removed"]["objects"], 1, "{swept:#}");
    assert_eq!(swept["spared"], 1, "{swept:#}");
    assert!(of_b.exists() && !of_c.exists());
    partner.hold(None);
    Ended::from(running.wait_with_output().unwrap()).with_code(0);
    assert_eq!(journey.file_of("d"), of_b);
    let swept = journey.gc(81, &["--delete"]).with_code(0).json();
    assert_eq!(swept["removed"]["objects"], 0, "{swept:#}");
    assert_eq!(swept["spared"], 1, "{swept:#}");
    assert!(files(&removals).is_empty());
    let verified = folder.trawler(&["images", "verify", "--all", "--json"]);
    let verified = verified.with_code(0).json();
    assert_eq!(verified["verified"]["objects"], 3, "{verified:#}");
    let left: Vec<_> = all.iter().filter(|(path, _)| !path.exists()).collect();
    assert_eq!(left.len(), 1, "nothing else went: {left:?}");
    check_ledger(folder).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_finds_a_removed_and_a_damaged_image_and_repairs_both() {
    let shop = Shop::start(ShopSpec {
        image_px: 32,
        extra_images_max: 0,
        ..ShopSpec::new("sound", 13, 30)
    })
    .await
    .unwrap();
    let folder = Folder::new(
        &[shop.addr().to_string()],
        &format!("{NO_RETRY}{SMALL_VARIANT}"),
    );
    let feed = feed_table(shop.model().spec().format);
    folder.pipe("sound", &pipe(&shop.feed_url(), &feed, NEVER_AGAIN));
    folder.run_pipe("sound").with_code(0);
    let rows = folder.rows("sound");
    let before = files(&folder.blobs().join("images"));
    let verify = |args: &[&str]| {
        let args = [&["images", "verify", "--json"], args].concat();
        folder.trawler(&args)
    };
    let sound = verify(&["--all"]).with_code(0).json();
    assert_eq!(sound["verified"]["rows"], 30, "{sound:#}");
    assert_eq!(
        verify(&["--sample", "7"]).with_code(0).json()["verified"]["rows"],
        7
    );

    let mut paths = before.iter().map(|(path, _)| path.clone());
    let (gone, damaged) = (paths.next().unwrap(), paths.next().unwrap());
    let good: Vec<Vec<u8>> = [&gone, &damaged].map(|path| fs::read(path).unwrap()).into();
    let mut bad = good[1].clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 0xff;
    fs::remove_file(&gone).unwrap();
    // Stored objects may be read-only; it is replaced as a bad disk would do it.
    fs::remove_file(&damaged).unwrap();
    fs::write(&damaged, &bad).unwrap();
    let found = verify(&["--all"]).with_code(3).json();
    assert_eq!(found["verified"]["missing"], 1, "{found:#}");
    assert_eq!(found["verified"]["damaged"], 1, "{found:#}");
    assert_eq!(fs::read(&damaged).unwrap(), bad, "looking changes nothing");
    let asked = shop.stats().image;

    // The shop would answer 304 to what the row knows; nothing is asked with it.
    let repaired = verify(&["--all", "--repair", "--work"]).with_code(0).json();
    assert_eq!(repaired["after"]["missing"], 0, "{repaired:#}");
    let now = shop.stats().image;
    assert_eq!(now.not_modified, asked.not_modified);
    assert_eq!(
        now.requests,
        asked.requests + repaired["planned"].as_u64().unwrap()
    );
    let again: Vec<Vec<u8>> = [&gone, &damaged].map(|path| fs::read(path).unwrap()).into();
    assert_eq!(again, good);
    assert_eq!(files(&folder.blobs().join("images")), before);
    assert_eq!(folder.rows("sound"), rows, "the rows said so all along");

    let stats = folder.trawler(&["images", "stats", "--objects", "--json"]);
    let stats = stats.with_code(0).json();
    assert_eq!(
        stats["pipes"]["sound"]["statuses"]["stored"], 30,
        "{stats:#}"
    );
    assert_eq!(stats["objects"]["objects"], before.len(), "{stats:#}");
    assert_eq!(stats["all"]["variants"], before.len(), "{stats:#}");
    let bytes: u64 = before.iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(stats["all"]["bytes"], bytes, "{stats:#}");
    shop.stop().await;
    check_ledger(&folder).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retired_pipe_is_asked_for_no_image_and_nothing_of_it_is_removed() {
    let journey = Journey::new(NO_RETRY);
    let (partner, folder) = (&journey.partner, &journey.folder);
    partner.show("/a.png", 1);
    partner.show("/b.png", 2);
    partner.sell(&[("a", "/a.png"), ("b", "/b.png"), ("c", "/c.png")]);
    journey.run(0).with_code(0);
    let (of_a, of_b) = (journey.file_of("a"), journey.file_of("b"));
    let sha256_of_a = text(&folder.rows("shop")["a"], "image_sha256");
    let good = fs::read(&of_b).unwrap();
    fs::remove_file(&of_a).unwrap();
    fs::remove_file(&of_b).unwrap();
    fs::write(&of_b, &good[1..]).unwrap();
    let asked = || ["/a.png", "/b.png", "/c.png"].map(|path| journey.asked_for(path));
    let first = asked();
    let is = |state: &str| {
        let args = ["pipe", state, "shop", "--why", "contract ended"];
        folder.trawler(&args).with_code(0);
    };
    let repair = |more: &[&str]| {
        let args = [&["images", "verify", "--all", "--repair", "--json"], more].concat();
        folder.trawler(&args)
    };

    is("retire");
    let found = repair(&[]).with_code(3).json();
    assert_eq!(found["verified"]["left"], 2, "{found:#}");
    assert_eq!(found["verified"]["repairs"], json!([]), "{found:#}");
    assert_eq!(found["planned"], 0, "{found:#}");
    assert!(of_b.exists(), "nobody could fetch it again");
    assert!(files(&folder.blobs().join("refetches")).is_empty());
    let retried = folder.trawler(&["images", "retry", "--all", "--pipe", "shop"]);
    let retried = retried.with_code(2);
    assert!(
        retried.stderr.contains("retired and not collected"),
        "{retried:?}"
    );
    folder.trawler(&["images", "retry", "--all"]).with_code(0);
    let image = ["--image", &sha256_of_a];
    let block = [&["block", "--why", "not theirs"], &image[..]].concat();
    folder.trawler(&block).with_code(0);
    let unblock = [&["unblock", "--why", "theirs", "--json"], &image[..]].concat();
    let unblocked = folder.trawler(&unblock).with_code(0);
    assert_eq!(unblocked.json()["products"], 0);
    assert!(unblocked.stderr.contains("not collected"), "{unblocked:?}");
    folder.trawler(&["run", "--once"]).with_code(0);
    assert_eq!(asked(), first);

    // What was planned before it was retired is not fetched either.
    is("show");
    let found = repair(&[]).with_code(3).json();
    assert_eq!(found["planned"], 1, "{found:#}");
    assert!(!of_b.exists());
    is("retire");
    folder.trawler(&["run", "--once"]).with_code(0);
    assert_eq!(asked(), first);

    is("show");
    let repaired = repair(&["--work"]).with_code(0).json();
    assert_eq!(repaired["after"]["missing"], 0, "{repaired:#}");
    assert_eq!(fs::read(&of_b).unwrap(), good);
    assert!(folder.dead_letters().is_empty());
    check_ledger(folder).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unused_images_go_and_damaged_ones_are_repaired_by_the_clock() {
    // Half an hour away, so that looking again at once finds nothing due: a second
    // verification may meet the repair at work, and have it done once more.
    let minute = (chrono::Utc::now().minute() + 30) % 60;
    let hourly = format!(
        "[images]\nretry = \"never\"\ngc = \"{minute} * * * *\"\ngc_grace_days = 1\n\
         verify = \"{minute} * * * *\"\nverify_products = 10\n"
    );
    let journey = Journey::new(&hourly);
    let (partner, folder) = (&journey.partner, &journey.folder);
    partner.show("/a.png", 1);
    partner.show("/b.png", 2);
    partner.sell(&[("a", "/a.png"), ("b", "/b.png")]);
    let once = |hours| folder.hours_later(hours, &["run", "--once"]).with_code(0);
    once(0);
    let (of_a, of_b) = (journey.file_of("a"), journey.file_of("b"));

    // Stored objects may be read-only; it is replaced as a bad disk would do it.
    let good = fs::read(&of_b).unwrap();
    fs::remove_file(&of_b).unwrap();
    fs::write(&of_b, &good[1..]).unwrap();
    let pause = |verb| folder.trawler(&[verb, "--pipe", "trawler-upkeep"]);
    pause("pause").with_code(0);
    folder.hours_later(2, &["run", "--once"]).with_code(3);
    assert_ne!(fs::read(&of_b).unwrap(), good);
    pause("resume").with_code(0);
    once(2);
    assert_eq!(fs::read(&of_b).unwrap(), good);
    assert_eq!(journey.asked_for("/b.png"), 2);
    assert_eq!(journey.asked_for("/a.png"), 1);

    partner.sell(&[("a", "/a.png")]);
    once(27);
    assert_eq!(folder.rows("shop").len(), 1);
    // A reader may be a day behind; then it is marked, and a day later it goes.
    for (hours, is_there) in [(40, true), (54, true), (70, true), (80, false)] {
        once(hours);
        assert_eq!(of_b.exists(), is_there, "{hours}");
    }
    assert!(of_a.exists());
    assert!(folder.dead_letters().is_empty());
    check_ledger(folder).await;
}

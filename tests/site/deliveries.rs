//! Deliveries of one crawl, one after the other: what is put away when a store
//! fails, who gives way to whom, long rests and pauses, and which counts go on.

use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use trawler_core::pause::PauseScope;
use trawler_core::run::RunPhase;
use trawler_core::verdict::Ending;
use trawler_fleet::{Drain, Pauses};
use trawler_tests::until;

use crate::desk::{Desk, Made, html, product_page, sitemap, status};
use crate::server::Answer;
use crate::{turns, wait};

const PAGES: usize = 60;

/// A second of pages is what a death may cost here, with a machine under load.
const LOST_MAX: usize = 25;

const RATE: &str = "rate_per_s = 20.0, concurrency = 2";

fn number(path: &str, prefix: &str) -> Option<usize> {
    path.strip_prefix(prefix)?.parse().ok()
}

/// A sitemap of so many products, and their pages.
fn products(path: &str, pages: usize) -> Answer {
    match (path, number(path, "/p/")) {
        ("/sitemap.xml", _) => sitemap((0..pages).map(|n| format!("/p/{n}"))),
        (_, Some(n)) if n < pages => product_page(&format!("id-{n}"), &format!("Thing {n}")),
        _ => Answer::not_found(),
    }
}

fn shop(pages: usize) -> Made {
    Made::start(move |path, _| products(path, pages))
}

/// Whether the run is in the catalogue with all its pages.
async fn assert_whole(desk: &Desk, pages: usize) {
    let run = desk.run().await;
    assert_eq!(run.phase, RunPhase::Finished, "{run:?}");
    assert!(run.incomplete.is_empty(), "{run:?}");
    assert_eq!(run.counts.inserts, pages as u64, "{run:?}");
}

/// Pages that were asked for beyond once.
fn again(made: &Made) -> usize {
    made.asked("/p/").values().map(|count| count - 1).sum()
}

/// What cannot be put away now is put away the next time, in order: a death
/// afterwards costs what came after that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_store_did_not_take_is_put_away_the_next_time() {
    let _beside = turns::beside().await;
    for store in ["blobs", "state"] {
        let made = shop(PAGES);
        let desk = Desk::new(&made, &[], RATE, "").await;
        let ailing = match store {
            "blobs" => {
                desk.blobs.fail("/crawl/", 3);
                &desk.blobs
            }
            _ => {
                desk.state.fail("checkpoints/", 3);
                &desk.state
            }
        };
        let drain = Drain::new();
        let delivery = desk.start(&drain);
        until("the store has refused it three times", || {
            ailing.failed.load(Ordering::SeqCst) == 3
        })
        .await;
        until("and takes it", || ailing.done.load(Ordering::SeqCst) >= 2).await;
        until("there is much to lose", || {
            made.requests("/p/") >= PAGES * 2 / 3
        })
        .await;
        assert!(!delivery.is_finished(), "a store that fails ends no crawl");
        delivery.abort();
        assert!(delivery.await.is_err());
        let before = made.requests("/p/");
        assert_eq!(desk.deliver(&drain).await, Ending::Done, "{store}");
        assert_whole(&desk, PAGES).await;
        println!("{store}: {} of {before} again", again(&made));
        assert!(again(&made) <= LOST_MAX, "{store}: {}", again(&made));
    }
}

/// A delivery that somebody has overtaken stops asking, commits nothing, and
/// leaves the checkpoint as the later one wrote it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overtaken_crawl_hands_back_and_stops_asking() {
    let _beside = turns::beside().await;
    let made = shop(200);
    let desk = Desk::new(&made, &[], RATE, "").await;
    let drain = Drain::new();
    let delivery = desk.start(&drain);
    until("it crawls", || made.requests("/p/") >= 10).await;
    let later = desk.take().await;
    let mark = json!({ "later": true });
    let ctx = desk.context(&later, &drain);
    ctx.save_checkpoint(&mark).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(10), delivery).await;
    let ended = ended.expect("it notices").unwrap();
    assert_eq!(ended, Ending::HandedBack);
    let asked = made.requests("/p/");
    assert!(asked < 150, "{asked} pages");
    assert_eq!(desk.checkpoint().await, Some(mark));
    assert_eq!(desk.run().await.counts.inserts, 0);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(made.requests("/p/"), asked, "it still asks");
}

/// So many seconds a shop asks to be left alone: longer than a worker waits.
const REST_S: u64 = 90;

/// The pages of a shop that asks for a rest once, in the middle.
fn resting() -> Made {
    Made::start(|path, before| match path {
        "/p/15" if before == 0 => status(429, vec![("Retry-After", REST_S.to_string())]),
        _ => products(path, PAGES),
    })
}

async fn worked_ms(desk: &Desk) -> u64 {
    let checkpoint = desk.checkpoint().await.expect("it was put away");
    checkpoint["tally"]["worked_ms"].as_u64().unwrap()
}

/// A rest that is longer than a minute is spent parked, and no longer than the
/// shop asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_rest_is_spent_parked_and_counts_as_work() {
    let _beside = turns::beside().await;
    // The rest alone is longer than the first bound, and shorter than the other.
    for (whole_s, is_complete) in [(60, false), (600, true)] {
        let made = resting();
        let site = format!("[site.limits]\nwhole_s = {whole_s}\n");
        let desk = Desk::new(&made, &[], RATE, &site).await;
        let drain = Drain::new();
        let ending = desk.deliver(&drain).await;
        let Ending::NotBefore { due, reason } = ending else {
            panic!("{ending:?}");
        };
        let wait = due - desk.ports.clock.now();
        assert!(
            wait > TimeDelta::seconds(80) && wait <= TimeDelta::seconds(90),
            "{wait}"
        );
        assert!(reason.contains("left alone for"), "{reason}");
        let worked = worked_ms(&desk).await;
        println!("{wait} to wait, {worked} ms worked");
        assert!(
            (REST_S * 1_000..REST_S * 1_000 + 15_000).contains(&worked),
            "{worked} ms"
        );
        let asked = made.requests("/p/");
        assert!(asked < PAGES, "it waited");
        // However much later it goes on.
        desk.clock.advance(Duration::from_secs(3_600));
        assert_eq!(desk.deliver(&drain).await, Ending::Done);
        let run = desk.run().await;
        if is_complete {
            assert_whole(&desk, PAGES).await;
            let twice = again(&made);
            assert!(twice <= 1, "{twice} beyond the page that rested");
        } else {
            let told = run.incomplete.join("; ");
            assert!(told.contains("whole_s = 60"), "{told}");
            assert!(made.requests("/p/") < PAGES, "it went on: {run:?}");
        }
    }
}

/// A pause is not work, however long it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_does_not_count_as_work() {
    let _beside = turns::beside().await;
    let made = shop(PAGES);
    let site = "[site.limits]\nwhole_s = 60\n";
    let desk = Desk::new(&made, &[], RATE, site).await;
    let drain = Drain::new();
    let delivery = desk.start(&drain);
    until("it crawls", || made.requests("/p/") >= 10).await;
    let pauses = Pauses::new(&desk.ports);
    let scope = PauseScope::Pipe(desk.pipe_id());
    pauses.pause(&scope, "for the test").await.unwrap();
    assert_eq!(delivery.await.unwrap(), Ending::Paused);
    let worked = worked_ms(&desk).await;
    assert!(worked > 0 && worked < 30_000, "{worked} ms");
    assert!(made.requests("/p/") < PAGES, "paused in the middle");
    desk.clock.advance(Duration::from_secs(3_600));
    pauses.resume(&scope).await.unwrap();
    assert_eq!(desk.deliver(&drain).await, Ending::Done);
    assert_whole(&desk, PAGES).await;
    assert_eq!(again(&made), 0, "what was settled is settled");
}

/// Filters that combine without end, on few paths.
const QUERIES_MAX: usize = 12;

fn filters(path: &str) -> Answer {
    let links = |from: usize| {
        let links = (from * 3..from * 3 + 8).map(|n| format!("<a href=\"/f?q={n}\">{n}</a>"));
        html(&links.collect::<String>())
    };
    match (path, number(path, "/f?q=")) {
        ("/", _) => {
            let products = (0..PAGES).map(|n| format!("<a href=\"/p/{n}\">{n}</a>"));
            let filters = (0..6).map(|n| format!("<a href=\"/f?q={n}\">{n}</a>"));
            html(&filters.chain(products).collect::<String>())
        }
        (_, Some(from)) => links(from),
        _ => products(path, PAGES),
    }
}

/// `urls_per_path_max` is that of the run, however often it is taken up again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bound_of_urls_a_path_survives_a_death() {
    let _beside = turns::beside().await;
    let site = format!(
        "sitemaps = \"none\"\n[site.links]\nfollow = true\nproducts = [\"/p/\"]\n\
         [site.limits]\nurls_per_path_max = {QUERIES_MAX}\n"
    );
    let made = Made::start(|path, _| filters(path));
    let desk = Desk::new(&made, &[], RATE, &site).await;
    let drain = Drain::new();
    for dies_at in [8, 20, 35] {
        let delivery = desk.start(&drain);
        until("it crawls", || made.asked("/").len() >= dies_at).await;
        let (puts, blobs) = (desk.blobs.done.load(Ordering::SeqCst), &desk.blobs);
        blobs.fail("/crawl/", 0);
        until("it is put away", || {
            blobs.done.load(Ordering::SeqCst) > puts + 1
        })
        .await;
        delivery.abort();
        assert!(delivery.await.is_err());
    }
    assert_eq!(desk.deliver(&drain).await, Ending::Done);
    let queries = made.asked("/f?");
    println!("{} queries of one path", queries.len());
    assert_eq!(queries.len(), QUERIES_MAX, "{queries:?}");
    let run = desk.run().await;
    let told = run.incomplete.join("; ");
    assert!(told.contains("urls_per_path_max = 12"), "{told}");
    assert_eq!(run.counts.inserts, PAGES as u64, "{run:?}");
}

/// Sitemaps are counted over the whole run: parts of an index that is read
/// after a death meet the same bound.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bound_of_sitemaps_survives_a_death() {
    let _beside = turns::beside().await;
    let index = |parts: &[String]| {
        let parts = parts.iter();
        let parts: String = parts
            .map(|part| format!("<sitemap><loc>{part}.xml</loc></sitemap>"))
            .collect();
        Answer::of(format!("<sitemapindex>{parts}</sitemapindex>"))
    };
    // Each names three parts, with one product each.
    let made = Made::start(move |path, _| match path {
        "/sitemap.xml" => index(&["/half-a".to_owned(), "/half-b".to_owned()]),
        "/half-a.xml" | "/half-b.xml" => {
            let of = path.trim_end_matches(".xml");
            index(&[1, 2, 3].map(|n| format!("{of}/{n}")))
        }
        _ if path.starts_with("/half-") => sitemap([format!("/p{path}")]),
        _ if path.starts_with("/p/") => product_page(path, path),
        _ => Answer::not_found(),
    });
    // The halves and two of their parts; the first index is where it begins.
    let site = "[site.limits]\nsitemap_files_max = 4\n";
    let desk = Desk::new(&made, &[], "rate_per_s = 0.8, concurrency = 2", site).await;
    let drain = Drain::new();
    desk.blobs.fail("/crawl/", 0);
    let delivery = desk.start(&drain);
    until("a half is read", || made.requests("/half-") == 1).await;
    let puts = desk.blobs.done.load(Ordering::SeqCst);
    until("it is put away", || {
        desk.blobs.done.load(Ordering::SeqCst) > puts
    })
    .await;
    wait::wait_for("State knows of its parts", WAIT, async || {
        let checkpoint = desk.checkpoint().await;
        let tally = checkpoint.map(|checkpoint| checkpoint["tally"].clone());
        tally.is_some_and(|tally| tally["sitemaps"].as_u64() >= Some(4))
    })
    .await;
    delivery.abort();
    assert!(delivery.await.is_err());
    assert_eq!(made.requests("/half-"), 1, "it died before the second half");
    let before = desk.checkpoint().await.unwrap()["tally"]["bytes_down"].clone();
    assert_eq!(desk.deliver(&drain).await, Ending::Done);
    let run = desk.run().await;
    let told = run.incomplete.join("; ");
    assert!(told.contains("4 sitemap(s) were not read"), "{told}");
    let asked = made.asked("/half-");
    assert_eq!(asked.len(), 4, "{asked:?}");
    // What was brought down before the death counts as well.
    let before = before.as_u64().unwrap();
    assert!(before > 100, "{before} bytes");
    let pages = product_page("/p/half-a/1", "/p/half-a/1").body.len() as u64;
    assert!(run.counts.bytes_down >= before + 2 * pages, "{run:?}");
}

const WAIT: Duration = Duration::from_secs(10);

//! Crawls end with exactly the catalogue that the shop's model knows: with all
//! of its peculiarities at once, and with each alone, so that a failure points
//! at its cause.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::Utc;
use trawler_shop::{
    CharsetMix, CodingMix, Currency, DayChange, Gone, Lastmod, Model, PageMarkup, PagingMix,
    Places, ProductPaths, Seen, Shop, ShopSpec, SiteSpec, SitemapStyle, Validators,
};

use crate::child::{Running, assert_tidy, scratch};
use crate::look::{files, text};
use crate::rows::{Rows, assert_exact, found, truth};
use crate::shops::{
    PIPE, Says, World, by_everything, by_links, by_lists, by_sitemaps, full, plain,
};
use crate::turns;

/// About 20,000 pages with categories, redirects and what sells nothing.
pub(crate) const PRODUCTS: u32 = 17_500;

/// Pages of the large shop, sitemaps and lists included, that are asked for at
/// least.
const PAGES_MIN: u64 = 18_000;

/// Products of a shop with one peculiarity.
const PRODUCTS_SMALL: u32 = 1_200;

/// The large crawl takes a minute or two of a debug build; a machine under load
/// gets more.
const RUN_MAX: Duration = Duration::from_secs(400);

/// A log entry that adds no file: a few hundred bytes, far below this.
const ENTRY_BYTES_MAX: u64 = 1024;

/// `lastmod` and validators decide, and not the age of what is known.
const RARE_RECHECK: &str = "\n[site.unchanged]\nrecheck_days = 365\n";

#[track_caller]
fn crawl(world: &World) -> Duration {
    let running = Running::start(&world.folder, &["run", "--once", "--pipe", PIPE, "--json"]);
    let watched = running.watch(&scratch(&world.folder), RUN_MAX);
    let ended = watched.ended.with_code(0);
    println!(
        "{:?}, {} MiB resident, {} MiB of scratch",
        watched.took,
        watched.memory_bytes >> 20,
        watched.scratch_bytes >> 20
    );
    let run = ended.json()["runs"][0].clone();
    println!("{}", run["remarks"]);
    assert_eq!(run["phase"], "finished", "{run:#}");
    assert!(
        run["incomplete"].as_array().is_none_or(Vec::is_empty),
        "{run:#}"
    );
    assert_tidy(&world.folder);
    watched.took
}

/// The catalogue is exactly the shop's of `day`.
#[track_caller]
fn check(world: &World, day: u32, what: &str) -> Rows {
    let rows = found(&world.folder, PIPE);
    assert_exact(&rows, &truth(world.model(), day), what);
    rows
}

/// Three days of the whole: the first load, changes, and nothing new.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_with_all_peculiarities_is_crawled_to_the_exact_catalogue() {
    let _alone = turns::alone().await;
    let spec = ShopSpec {
        sitemap_part_urls: 5_000,
        ..full("full", 101, PRODUCTS)
    };
    let says = |model: &Model| Says::of(by_everything(model) + RARE_RECHECK);
    let world = World::start(spec, says).await;
    let took = crawl(&world);
    let pages = world.shop.stats().requests();
    let seconds = took.as_secs_f64();
    println!(
        "{pages} requests in {seconds:.1} s: {:.0} a second",
        pages as f64 / seconds
    );
    assert!(pages >= PAGES_MIN, "{pages} requests");
    check(&world, 0, "the first load");
    check_manners(&world.shop);

    let began = Utc::now().date_naive();
    world.shop.set_day(1);
    world.shop.forget_seen();
    crawl(&world);
    check(&world, 1, "a day of changes");
    check_manners(&world.shop);
    if Utc::now().date_naive() == began {
        check_read_again(&world.shop, &moved_on_day_1(world.model()));
    }

    world.shop.forget_seen();
    unchanged(&world);
    if Utc::now().date_naive() == began {
        // A page that says "gone" with status 200 has nothing to remember.
        let gone = world.model().changes(1).gone;
        let gone = gone.iter().filter_map(|id| world.model().slot_of(id));
        check_read_again(&world.shop, &gone.collect());
    }
    world.shop.stop().await;
}

/// A day on which nothing changed writes one log entry and nothing else.
#[track_caller]
fn unchanged(world: &World) {
    let catalogue = world.folder.catalogue();
    let (before, rows) = (files(&catalogue), found(&world.folder, PIPE));
    crawl(world);
    let after = files(&catalogue);
    assert!(before.is_subset(&after), "nothing is rewritten in place");
    let new: Vec<&(PathBuf, u64)> = after.difference(&before).collect();
    assert_eq!(new.len(), 1, "{new:?}");
    let (path, bytes) = new[0];
    assert_eq!(path.parent().unwrap(), catalogue.join("_delta_log"));
    assert!(*bytes <= ENTRY_BYTES_MAX, "{}: {bytes}", path.display());
    assert_eq!(found(&world.folder, PIPE), rows);
    let run = world.folder.last_run(PIPE);
    let counts = &run["counts"];
    assert_eq!(counts["unchanged"], rows.len(), "{run:#}");
    assert_eq!(counts["rewritten"], 0, "{run:#}");
}

/// Nothing that robots.txt forbids was asked for.
#[track_caller]
fn check_manners(shop: &Shop) {
    let rude: Vec<String> = shop
        .seen()
        .into_iter()
        .filter(|seen| shop.model().site_forbids(&seen.target))
        .map(|seen| seen.target)
        .collect();
    assert!(rude.is_empty(), "forbidden and asked for: {rude:?}");
}

/// The slots whose pages differ from those of the day before.
fn moved_on_day_1(model: &Model) -> BTreeSet<u32> {
    let changes = model.changes(1);
    let ids = [changes.new, changes.changed, changes.gone].concat();
    ids.iter().filter_map(|id| model.slot_of(id)).collect()
}

/// The slot of a product's page, however its address is spelled.
fn slot_of(model: &Model, target: &str) -> Option<u32> {
    let is_listing = [
        "/category/",
        "/list/",
        "/shelf/",
        "/scroll/",
        "/api/",
        "/enter",
    ];
    if is_listing.iter().any(|prefix| target.starts_with(prefix)) {
        return None;
    }
    // Ids are the only numbers of ten digits.
    let mut digits = target.split(|c: char| !c.is_ascii_digit());
    digits.find_map(|number| model.slot_of(number))
}

/// Of the products whose pages are as they were none was sent again: each was
/// not asked for, or answered with 304, behind redirects too.
#[track_caller]
fn check_read_again(shop: &Shop, moved: &BTreeSet<u32>) {
    let model = shop.model();
    let asked: Vec<(u32, Seen)> = shop
        .seen()
        .into_iter()
        .filter_map(|seen| Some((slot_of(model, &seen.target)?, seen)))
        .collect();
    let read_again: Vec<&str> = asked
        .iter()
        .filter(|(slot, seen)| seen.status == 200 && !moved.contains(slot))
        .map(|(_, seen)| seen.target.as_str())
        .collect();
    assert!(
        read_again.is_empty(),
        "{} unchanged pages were sent again: {:?}",
        read_again.len(),
        &read_again[..read_again.len().min(8)]
    );
    let slots: BTreeSet<u32> = asked.iter().map(|(slot, _)| *slot).collect();
    let not_modified = asked.iter().filter(|(_, seen)| seen.status == 304).count();
    println!(
        "asked again about {} products, {not_modified} answers of 304, {} products have moved",
        slots.len(),
        moved.len()
    );
    assert!(
        not_modified > 0,
        "pages without lastmod are asked with validators"
    );
}

/// One shop of `PRODUCTS_SMALL` products, crawled on two days.
async fn crawls_exactly(what: &str, spec: ShopSpec, site: impl FnOnce(&Model) -> String) {
    let _beside = turns::beside().await;
    let world = World::start(spec, |model| Says::of(site(model))).await;
    for day in 0..2 {
        world.shop.set_day(day);
        crawl(&world);
        check(&world, day, &format!("{what}, day {day}"));
        check_manners(&world.shop);
    }
    world.shop.stop().await;
}

fn with_site(seed: u64, edit: impl FnOnce(&mut SiteSpec)) -> ShopSpec {
    let mut site = SiteSpec::PLAIN;
    edit(&mut site);
    ShopSpec {
        site,
        ..plain("one peculiarity", seed, PRODUCTS_SMALL)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_of_markup_gives_every_field() {
    let _beside = turns::beside().await;
    for (seed, page_markup) in (120..).zip(PageMarkup::KINDS) {
        let spec = ShopSpec {
            page_markup,
            ..plain("markup", seed, 150)
        };
        let world = World::start(spec, |_| Says::of(by_sitemaps())).await;
        crawl(&world);
        check(&world, 0, &format!("{page_markup:?}"));
        world.shop.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_in_dollars_is_read_in_dollars() {
    let spec = ShopSpec {
        currency: Currency::Usd,
        page_markup: PageMarkup::All,
        ..plain("dollars", 132, 600)
    };
    let site = |_: &Model| by_sitemaps().replace("KRW", "USD");
    crawls_exactly("dollars", spec, site).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_of_pagination_leads_to_the_last_page() {
    let spec = with_site(133, |site| {
        site.paging = PagingMix::Mixed;
        site.places.linked_share = 1.0;
    });
    crawls_exactly("lists alone", spec, by_lists).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_alone_lead_to_every_product() {
    let spec = with_site(134, |site| {
        site.notices = 20;
        site.places = Places {
            linked_share: 0.5,
            related_share: 0.2,
            ..Places::EVERYWHERE
        };
    });
    crawls_exactly("links alone", spec, |_| by_links()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_style_of_sitemap_is_read() {
    let spec = ShopSpec {
        sitemap_part_urls: 300,
        ..with_site(135, |site| {
            site.sitemap = SitemapStyle::Mixed;
            site.sitemap_names_itself = true;
            site.notices = 20;
            site.places.orphan_share = 0.8;
        })
    };
    crawls_exactly("sitemaps alone", spec, |_| by_sitemaps()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_charset_and_wrong_label_is_read() {
    let spec = with_site(136, |site| site.charsets = CharsetMix::Mixed);
    crawls_exactly("charsets", spec, |_| by_sitemaps()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_content_coding_is_read() {
    let spec = with_site(137, |site| site.codings = CodingMix::Mixed);
    crawls_exactly("codings", spec, |_| by_sitemaps()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_product_under_many_spellings_is_one_row() {
    let spec = with_site(138, |site| {
        site.paths = ProductPaths::Mixed;
        site.respelled_share = 1.0;
    });
    crawls_exactly("spellings", spec, by_everything).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_are_followed_to_the_product() {
    let spec = with_site(139, |site| {
        site.moved_share = 0.6;
        site.places.linked_share = 0.5;
    });
    crawls_exactly("redirects", spec, by_everything).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wall_that_wants_a_cookie_is_passed() {
    let spec = with_site(140, |site| site.walled_share = 0.4);
    crawls_exactly("cookies", spec, |_| by_sitemaps()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gone_products_go_however_the_shop_says_so() {
    let spec = ShopSpec {
        day_change: DayChange {
            gone_share: 0.1,
            ..DayChange::NONE
        },
        ..with_site(141, |site| site.gone = Gone::Mixed)
    };
    crawls_exactly("404, 410 and 200", spec, |_| by_sitemaps()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forbidden_products_are_left_and_allowed_ones_within_are_not() {
    let spec = with_site(142, |site| {
        site.places.forbidden_share = 0.2;
        site.places.reallowed_share = 0.2;
    });
    crawls_exactly("areas", spec, by_everything).await;
}

/// What `lastmod` and validators are worth, asked of the shop's log.
async fn asks_again(
    what: &str,
    spec: ShopSpec,
    site: impl FnOnce(&Model) -> String,
    expected: Again,
) {
    let _beside = turns::beside().await;
    let began = Utc::now().date_naive();
    let world = World::start(spec, |model| Says::of(site(model) + RARE_RECHECK)).await;
    crawl(&world);
    world.shop.set_day(1);
    world.shop.forget_seen();
    crawl(&world);
    let rows = check(&world, 1, what);
    // Midnight may make a page due that the test does not know of.
    if Utc::now().date_naive() == began {
        let model = world.model();
        let moved = moved_on_day_1(model);
        let answers = |status: u16| -> BTreeSet<u32> {
            let seen = world.shop.seen();
            let of_status = seen.iter().filter(|seen| seen.status == status);
            of_status
                .filter_map(|seen| slot_of(model, &seen.target))
                .collect()
        };
        let (read, kept) = (answers(200), answers(304));
        let live: BTreeSet<u32> = rows.keys().filter_map(|id| model.slot_of(id)).collect();
        let still: BTreeSet<u32> = live.difference(&moved).copied().collect();
        let fresh: BTreeSet<u32> = live.intersection(&moved).copied().collect();
        match expected {
            Again::OnlyMoved => assert_eq!((&read, kept.len()), (&fresh, 0), "{what}"),
            Again::OthersConditionally => assert_eq!((&read, &kept), (&fresh, &still), "{what}"),
            Again::All => assert_eq!((&read, kept.len()), (&live, 0), "{what}"),
        }
    }
    world.shop.stop().await;
}

fn sitemaps(_: &Model) -> String {
    by_sitemaps()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    OnlyMoved,
    OthersConditionally,
    All,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_whose_lastmod_did_not_move_are_not_asked_for() {
    let spec = with_site(143, |_| {});
    asks_again("lastmod", spec, sitemaps, Again::OnlyMoved).await;
}

/// Lists and links name the same pages without `lastmod`: they are followed
/// once the sitemaps are read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_and_links_do_not_ask_for_what_the_sitemap_says_is_unchanged() {
    let spec = with_site(149, |site| {
        site.paging = PagingMix::Mixed;
        site.places.related_share = 0.0;
    });
    let what = "lastmod beside lists and links";
    asks_again(what, spec, by_everything, Again::OnlyMoved).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_lastmod_pages_are_asked_for_with_their_validators() {
    for (seed, lastmod) in [(144, Lastmod::Absent), (145, Lastmod::Today)] {
        let spec = with_site(seed, |site| site.lastmod = lastmod);
        let what = format!("lastmod {lastmod:?}");
        asks_again(&what, spec, sitemaps, Again::OthersConditionally).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_without_lastmod_and_validators_is_read_whole_and_costs_no_file() {
    let spec = ShopSpec {
        validators: Validators::NONE,
        ..with_site(147, |site| site.lastmod = Lastmod::Absent)
    };
    asks_again("nothing to go by", spec.clone(), sitemaps, Again::All).await;
    let _beside = turns::beside().await;
    let world = World::start(spec, |_| Says::of(by_sitemaps())).await;
    crawl(&world);
    unchanged(&world);
    world.shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lastmod_that_is_not_trusted_is_not_believed() {
    let _beside = turns::beside().await;
    let spec = with_site(146, |_| {});
    let unchanged = "\n[site.unchanged]\nlastmod = \"ignore\"\nrecheck_days = 365\n";
    let world = World::start(spec, |_| Says::of(by_sitemaps() + unchanged)).await;
    crawl(&world);
    world.shop.forget_seen();
    crawl(&world);
    let rows = check(&world, 0, "lastmod ignored");
    let seen = world.shop.seen();
    let pages = seen
        .iter()
        .filter(|seen| slot_of(world.model(), &seen.target).is_some());
    let statuses: Vec<u16> = pages.map(|seen| seen.status).collect();
    assert_eq!(statuses.len(), rows.len());
    assert!(statuses.iter().all(|status| *status == 304), "{statuses:?}");
    world.shop.stop().await;
}

/// With no days between two readings every page is read by every run, whatever
/// it says of itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_days_between_two_readings_every_page_is_read_again() {
    let _beside = turns::beside().await;
    let spec = ShopSpec {
        ..plain("every page", 150, 300)
    };
    let unchanged = "\n[site.unchanged]\nrecheck_days = 0\n";
    let world = World::start(spec, |_| Says::of(by_sitemaps() + unchanged)).await;
    crawl(&world);
    world.shop.forget_seen();
    crawl(&world);
    let rows = check(&world, 0, "read again");
    let seen = world.shop.seen();
    let pages = seen
        .iter()
        .filter(|seen| slot_of(world.model(), &seen.target).is_some());
    let statuses: Vec<u16> = pages.map(|seen| seen.status).collect();
    assert_eq!(statuses.len(), rows.len());
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    world.shop.stop().await;
}

/// A page that is not read again still leads to what it linked to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_are_not_read_again_keep_what_they_lead_to() {
    let spec = with_site(148, |site| site.places.related_share = 0.4);
    let _beside = turns::beside().await;
    let world = World::start(spec, |model| Says::of(by_everything(model))).await;
    for (day, what) in [(0, "first"), (0, "again"), (1, "next day")] {
        world.shop.set_day(day);
        let started = Instant::now();
        crawl(&world);
        println!("{what}: {:?}", started.elapsed());
        check(&world, day, what);
    }
    let run = world.folder.last_run(PIPE);
    assert_eq!(text(&run, "phase"), "finished");
    world.shop.stop().await;
}

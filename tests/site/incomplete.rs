//! Crawls that did not see everything: they say why, apply what they saw and
//! delist nobody; a failed page below the limit keeps its rows, and the next
//! complete crawl delists.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use trawler_shop::{DayChange, Fault, Paging, PagingMix, Places, Rule, ShopSpec, SiteSpec};

use crate::child::Running;
use crate::rows::{assert_exact, found, truth};
use crate::shops::{PIPE, Says, World, by_lists, by_sitemaps, plain};
use crate::turns;

const RUN_MAX: Duration = Duration::from_secs(150);

const PRODUCTS: u32 = 600;

const BROKEN: Fault = Fault::Status {
    code: 500,
    retry_after_s: None,
};

fn spec(seed: u64) -> ShopSpec {
    ShopSpec {
        day_change: DayChange {
            new_share: 0.05,
            changed_share: 0.1,
            gone_share: 0.05,
            ..DayChange::NONE
        },
        sitemap_part_urls: 150,
        page_size: 6,
        ..plain("incomplete", seed, PRODUCTS)
    }
}

fn limits(lines: &str) -> Says {
    Says::of(format!("{}\n[site.limits]\n{lines}", by_sitemaps()))
}

fn crawl(world: &World) -> (Option<i32>, Value) {
    let running = Running::start(&world.folder, &["run", "--once", "--pipe", PIPE, "--json"]);
    let ended = running.end(RUN_MAX);
    (ended.code, world.folder.last_run(PIPE))
}

/// Day 0, complete; then the shop is at day 1.
async fn healthy(spec: ShopSpec, says: impl FnOnce(&trawler_shop::Model) -> Says) -> World {
    let world = World::start(spec, says).await;
    let (code, run) = crawl(&world);
    assert_eq!(code, Some(0), "{run:#}");
    assert_exact(
        &found(&world.folder, PIPE),
        &truth(world.model(), 0),
        "healthy",
    );
    world.shop.set_day(1);
    world
}

/// A crawl that is told to be incomplete for this reason, holds its deletes and
/// applies what it saw.
#[track_caller]
fn held(world: &World, says: &str) {
    let (code, run) = crawl(world);
    assert_eq!(code, Some(3), "{run:#}");
    let told = run["incomplete"].to_string();
    assert!(told.contains(says), "{says:?} is not in {run:#}");
    // People see as much.
    let shown = world.folder.trawler(&["runs", "--pipe", PIPE]).with_code(0);
    assert!(
        shown.stdout.contains(says),
        "{says:?} is not in {}",
        shown.stdout
    );
    assert_eq!(run["phase"], "finished", "{run:#}");
    assert_eq!(run["counts"]["deletes"], 0, "{run:#}");
    assert!(run["counts"]["held_deletes"].as_u64() > Some(0), "{run:#}");
    let rows = found(&world.folder, PIPE);
    let (old, new) = (truth(world.model(), 0), truth(world.model(), 1));
    let ids = |rows: &crate::rows::Rows| rows.keys().cloned().collect::<BTreeSet<_>>();
    assert!(ids(&rows).is_superset(&ids(&old)), "somebody was delisted");
    let mut fresh = 0;
    for (id, row) in &rows {
        let (as_old, as_new) = (old.get(id) == Some(row), new.get(id) == Some(row));
        assert!(as_old || as_new, "{id} is of no day: {row:?}");
        fresh += u64::from(as_new && !as_old);
    }
    assert!(fresh > 0, "nothing of the day was applied: {run:#}");
}

/// A complete crawl of day 1 delists.
#[track_caller]
fn heals(world: &World) {
    world.shop.heal();
    let (code, run) = crawl(world);
    assert_eq!(code, Some(0), "{run:#}");
    assert_exact(
        &found(&world.folder, PIPE),
        &truth(world.model(), 1),
        "healed",
    );
    let gone = world.model().changes(1).gone.len();
    assert_eq!(run["counts"]["deletes"], gone, "{run:#}");
}

/// The first page of this list comes, its further ones do not.
fn break_further_pages(world: &World, path: &str, fault: Fault) {
    world.shop.misbehave(path, fault);
    world
        .shop
        .misbehave_by(Rule::new(path, Fault::Right).first(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_05_a_broken_page_of_pagination_holds_the_deletes() {
    let _beside = turns::beside().await;
    let spec = ShopSpec {
        site: SiteSpec {
            paging: PagingMix::Mixed,
            places: Places {
                linked_share: 1.0,
                ..Places::EVERYWHERE
            },
            ..SiteSpec::PLAIN
        },
        ..spec(601)
    };
    let world = healthy(spec, |model| Says::of(by_lists(model))).await;
    for paging in Paging::ALL {
        let categories = world.model().site_categories(1);
        let broken = categories
            .iter()
            .find(|category| category.paging == paging && category.pages > 2);
        let broken = broken.unwrap_or_else(|| panic!("no long category of {paging:?}"));
        let url = broken.endpoint.as_ref().unwrap_or(&broken.url);
        let path = url.strip_prefix(world.model().base_url()).unwrap();
        let path = path.split('?').next().unwrap();
        // A wall that is answered with 200 looks like a list's last page.
        for fault in [BROKEN, Fault::BlockPage] {
            world.shop.heal();
            break_further_pages(&world, path, fault);
            held(&world, path);
        }
    }
    heals(&world);
    world.shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_05_a_failing_sitemap_part_holds_the_deletes() {
    let _beside = turns::beside().await;
    let world = healthy(spec(602), |_| Says::of(by_sitemaps())).await;
    let gone = Fault::Status {
        code: 404,
        retry_after_s: None,
    };
    for fault in [
        BROKEN,
        gone,
        Fault::Truncate { after_bytes: 2_000 },
        Fault::Reset,
    ] {
        world.shop.heal();
        world.shop.misbehave("/sitemap-2.xml", fault);
        held(&world, "/sitemap-2.xml");
    }
    heals(&world);
    world.shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_05_a_failing_packed_sitemap_part_holds_the_deletes() {
    let _beside = turns::beside().await;
    let spec = ShopSpec {
        sitemap_gzip: true,
        ..spec(603)
    };
    let world = healthy(spec, |_| Says::of(by_sitemaps())).await;
    let part = "/sitemap-1.xml.gz";
    for fault in [Fault::Truncate { after_bytes: 300 }, Fault::HtmlInstead] {
        world.shop.heal();
        world.shop.misbehave(part, fault);
        held(&world, part);
    }
    heals(&world);
    world.shop.stop().await;
}

/// Errors that the fetcher does not take for the host's trouble, so that the
/// crawl is not slowed down: what is asked here is the share.
const REFUSED: Fault = Fault::Status {
    code: 403,
    retry_after_s: None,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_05_an_error_share_above_the_limit_holds_the_deletes() {
    let _beside = turns::beside().await;
    // Everything is asked for, so that shares are those of the shop.
    let every = "max_error_share = 0.1\n\n[site.unchanged]\nlastmod = \"ignore\"\n";
    let world = healthy(spec(604), |_| limits(every)).await;
    world
        .shop
        .misbehave_by(Rule::new("/product/", REFUSED).share(0.25));
    held(&world, "max_error_share = 0.1");
    heals(&world);
    world.shop.stop().await;
}

/// Below the limit the run is complete: what is gone goes, and a page that
/// failed keeps its rows, also where it would have brought others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_failed_below_the_limit_keep_their_rows() {
    let _beside = turns::beside().await;
    let every = "max_error_share = 0.3\n\n[site.unchanged]\nlastmod = \"ignore\"\n";
    let world = healthy(spec(605), |_| limits(every)).await;
    world
        .shop
        .misbehave_by(Rule::new("/product/", REFUSED).share(0.15));
    world.shop.forget_seen();
    let (code, run) = crawl(&world);
    assert_eq!(code, Some(0), "{run:#}");
    assert!(
        run["incomplete"].as_array().is_none_or(Vec::is_empty),
        "{run:#}"
    );
    let refused: BTreeSet<String> = world
        .shop
        .seen()
        .into_iter()
        .filter(|seen| seen.status == 403)
        .map(|seen| world.shop.url(&seen.target))
        .collect();
    let (old, mut expected) = (truth(world.model(), 0), truth(world.model(), 1));
    let (mut kept, mut missing) = (0, 0);
    expected.retain(|id, row| {
        if !refused.contains(&row.link) {
            return true;
        }
        match old.get(id) {
            Some(before) => {
                kept += usize::from(before != row);
                *row = before.clone();
                true
            }
            None => {
                missing += 1;
                false
            }
        }
    });
    println!(
        "{} refused, {kept} kept as they were, {missing} not seen yet",
        refused.len()
    );
    assert!(kept > 0, "no changed page failed");
    assert_exact(&found(&world.folder, PIPE), &expected, "below the limit");
    assert!(run["counts"]["deletes"].as_u64() > Some(0), "{run:#}");
    // And once they come, they are as of the day.
    world.shop.heal();
    let (code, run) = crawl(&world);
    assert_eq!(code, Some(0), "{run:#}");
    assert_exact(
        &found(&world.folder, PIPE),
        &truth(world.model(), 1),
        "healed",
    );
    world.shop.stop().await;
}

/// Nor does what such a page alone leads to go: the links that it had are
/// followed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_failed_below_the_limit_lead_to_what_they_led_to() {
    let _beside = turns::beside().await;
    let spec = ShopSpec {
        day_change: DayChange::NONE,
        site: SiteSpec {
            places: Places {
                related_share: 0.4,
                ..Places::EVERYWHERE
            },
            ..SiteSpec::PLAIN
        },
        ..spec(609)
    };
    let rules = "max_error_share = 0.3\n\n[site.links]\nfollow = true\n\
                 products = [\"/product/\"]\n\n[site.unchanged]\nlastmod = \"ignore\"\n";
    let world = healthy(spec, |_| limits(rules)).await;
    world
        .shop
        .misbehave_by(Rule::new("/product/", REFUSED).share(0.15));
    world.shop.forget_seen();
    let (code, run) = crawl(&world);
    assert_eq!(code, Some(0), "{run:#}");
    let seen = world.shop.seen().into_iter();
    let refused = seen.filter(|seen| seen.status == 403).count();
    assert!(refused > 50, "{refused} refused");
    let rows = found(&world.folder, PIPE);
    assert_exact(&rows, &truth(world.model(), 0), "below the limit");
    world.shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_05_a_bound_of_the_crawl_holds_the_deletes() {
    let _beside = turns::beside().await;
    let ignore = "[site.unchanged]\nlastmod = \"ignore\"\n";
    let world = healthy(spec(606), |_| limits(ignore)).await;
    world.write(&limits(&format!("pages_max = 200\n\n{ignore}")));
    held(&world, "pages_max = 200");
    world.shop.forget_seen();
    let time = limits(&format!("whole_s = 3\n\n{ignore}"));
    world.write(&Says {
        rate_per_s: 60.0,
        ..time
    });
    held(&world, "whole_s = 3");
    world.write(&limits(ignore));
    heals(&world);
    world.shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_05_bounds_of_sitemaps_and_lists_hold_the_deletes() {
    let _beside = turns::beside().await;
    let world = healthy(spec(607), |_| limits("")).await;
    for (lines, says) in [
        ("sitemap_files_max = 3\n", "sitemap_files_max"),
        ("sitemap_urls_max = 100\n", "sitemap_urls_max"),
        ("sitemap_bytes_max = 8000\n", "over 8000 bytes"),
    ] {
        world.write(&limits(lines));
        held(&world, says);
    }
    let lists = by_lists(world.model());
    world.write(&Says::of(format!(
        "{lists}\n[site.limits]\nlisting_pages_max = 2\n"
    )));
    held(&world, "more than 2 pages");
    world.write(&limits(""));
    heals(&world);
    world.shop.stop().await;
}

/// A first crawl that is incomplete brings what it saw.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_crawl_that_is_incomplete_brings_what_it_saw() {
    let _beside = turns::beside().await;
    let world = World::start(spec(608), |_| Says::of(by_sitemaps())).await;
    world.shop.misbehave("/sitemap-1.xml", BROKEN);
    let (code, run) = crawl(&world);
    assert_eq!(code, Some(3), "{run:#}");
    let (rows, all) = (found(&world.folder, PIPE), truth(world.model(), 0));
    assert!(
        rows.len() >= 400 && rows.len() < all.len(),
        "{} rows",
        rows.len()
    );
    assert!(rows.iter().all(|(id, row)| all.get(id) == Some(row)));
    world.shop.heal();
    let (code, run) = crawl(&world);
    assert_eq!(code, Some(0), "{run:#}");
    assert_exact(&found(&world.folder, PIPE), &all, "healed");
    world.shop.stop().await;
}

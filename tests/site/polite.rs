//! How a shop is treated, asserted from its own log of requests: robots.txt,
//! rates, rests that it asks for, hours, credentials, pauses.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use serde_json::Value;
use trawler_shop::{DayChange, Fault, PageMarkup, Places, Rule, Seen, Shop, ShopSpec, SiteSpec};
use trawler_tests::until;

use crate::child::Running;
use crate::rows::{Rows, assert_exact, found, truth};
use crate::server::{Answer, Server};
use crate::shops::{PIPE, Says, World, by_everything, by_links, by_sitemaps, full, plain};
use crate::turns;

/// Each of these crawls takes seconds; a machine under load gets more.
const RUN_MAX: Duration = Duration::from_secs(120);

/// The flag may be cached for 2 s and a step takes at most 5 s; the rest is for
/// a machine under load.
const PARK_MAX: Duration = Duration::from_secs(15);

/// What a request may be early by the shop's clock, which it reaches after a
/// way through two schedulers.
const JITTER: Duration = Duration::from_millis(40);

/// A job that fails is given up soon.
const RETRY: &str = "[retry]\nattempts_max = 2\nbackoff_base_ms = 100\nbackoff_max_ms = 500\n";

const USER_AGENT: &str = "Trawler/";
const CONTACT: &str = "+https://example.com/test";

fn still(seed: u64, products: u32) -> ShopSpec {
    ShopSpec {
        day_change: DayChange::NONE,
        ..plain("polite", seed, products)
    }
}

fn status(code: u16, retry_after_s: Option<u32>) -> Fault {
    Fault::Status {
        code,
        retry_after_s,
    }
}

fn run(world: &World) -> crate::support::Ended {
    Running::start(&world.folder, &["run", "--once", "--pipe", PIPE, "--json"]).end(RUN_MAX)
}

#[track_caller]
fn run_complete(world: &World) -> Rows {
    run(world).with_code(0);
    let rows = found(&world.folder, PIPE);
    assert_exact(
        &rows,
        &truth(world.model(), world.shop.day()),
        "a complete crawl",
    );
    rows
}

fn of(shop: &Shop, prefix: &str) -> Vec<Seen> {
    let seen = shop.seen().into_iter();
    let mut seen: Vec<Seen> = seen
        .filter(|seen| seen.path().starts_with(prefix))
        .collect();
    seen.sort_by_key(|seen| seen.at);
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn robots_is_asked_for_first_and_once_and_obeyed() {
    let _beside = turns::beside().await;
    let spec = ShopSpec {
        robots_disallow: vec!["/notice/1".to_owned()],
        ..full("robots", 501, 400)
    };
    let world = World::start(spec, |model| Says::of(by_everything(model))).await;
    // Redirects into what is forbidden are not followed.
    world
        .shop
        .misbehave("/notice/2", Fault::RedirectTo(world.shop.url("/cart")));
    run_complete(&world);
    let redirected = of(&world.shop, "/notice/2");
    let redirected = redirected.iter().find(|seen| seen.path() == "/notice/2");
    assert_eq!(
        redirected.expect("it was asked for").status,
        302,
        "it redirects"
    );
    let seen = of(&world.shop, "/");
    assert_eq!(seen[0].path(), "/robots.txt");
    let later = seen[1].at;
    assert!(
        seen[0].ended.is_some_and(|ended| ended <= later + JITTER),
        "{:?}",
        seen[0]
    );
    assert_eq!(of(&world.shop, "/robots.txt").len(), 1);
    for seen in &seen {
        assert!(
            !world.model().site_forbids(&seen.target),
            "{} is forbidden",
            seen.target
        );
        let agent = seen.user_agent.as_deref().unwrap_or_default();
        assert!(
            agent.starts_with(USER_AGENT) && agent.contains(CONTACT),
            "{seen:?}"
        );
        assert_eq!(seen.method, "GET");
    }
    let allowed = seen
        .iter()
        .any(|seen| seen.path().starts_with("/private/open/"));
    assert!(allowed, "what a longer rule allows is asked for");
    world.shop.stop().await;
}

/// 5xx and no answer mean that nobody knows: nothing is asked, the run is tried
/// again and fails in the end, and nobody is delisted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreachable_robots_deny_everything_and_delist_nobody() {
    let _beside = turns::beside().await;
    let spec = ShopSpec {
        day_change: DayChange {
            gone_share: 0.1,
            ..DayChange::NONE
        },
        ..plain("unreachable", 502, 80)
    };
    let world = World::start(spec, |model| Says {
        net: "first_byte_s = 1\nidle_s = 1\n",
        more: RETRY.to_owned(),
        ..Says::of(by_everything(model))
    })
    .await;
    let before = run_complete(&world);
    world.shop.set_day(1);
    let silence = Fault::Stall { after_bytes: 5 };
    for fault in [status(503, None), Fault::Reset, silence] {
        world.shop.heal();
        world.shop.forget_seen();
        world.shop.misbehave("/robots.txt", fault.clone());
        let ended = run(&world);
        assert_eq!(ended.code, Some(1), "{fault:?}: {ended:?}");
        let run = world.folder.last_run(PIPE);
        assert_eq!(run["phase"], "failed", "{fault:?}: {run:#}");
        assert!(
            run["reason"].to_string().contains("robots.txt"),
            "{fault:?}: {run:#}"
        );
        assert_eq!(found(&world.folder, PIPE), before, "{fault:?}");
        let asked: BTreeSet<String> = world
            .shop
            .seen()
            .into_iter()
            .map(|seen| seen.target)
            .collect();
        assert_eq!(asked, ["/robots.txt".to_owned()].into(), "{fault:?}");
    }
    assert_eq!(world.folder.dead_letters().len(), 3);
    world.shop.heal();
    run_complete(&world);
    world.shop.stop().await;
}

/// 4xx means that there is no such file: everything is allowed, and the sitemap
/// is looked for where sitemaps are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn absent_robots_allow_everything() {
    let _beside = turns::beside().await;
    for code in [404, 403] {
        let spec = ShopSpec {
            site: SiteSpec {
                places: Places {
                    forbidden_share: 0.3,
                    ..Places::EVERYWHERE
                },
                ..SiteSpec::PLAIN
            },
            ..still(503, 100)
        };
        let world = World::start(spec, |_| Says::of(by_sitemaps())).await;
        world.shop.misbehave("/robots.txt", status(code, None));
        run(&world).with_code(0);
        assert_eq!(found(&world.folder, PIPE).len(), 100, "{code}");
        assert!(!of(&world.shop, "/private/").is_empty(), "{code}");
        world.shop.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crawl_delay_is_kept_between_any_two_requests() {
    let _beside = turns::beside().await;
    let delay = Duration::from_millis(400);
    let spec = ShopSpec {
        crawl_delay: Some(delay),
        ..still(504, 12)
    };
    let world = World::start(spec, |_| Says::of(by_sitemaps())).await;
    run_complete(&world);
    let seen = of(&world.shop, "/");
    assert!(seen.len() >= 14, "{seen:?}");
    // The robots file says it, and comes before it is known.
    for pair in seen[1..].windows(2) {
        let apart = pair[1].at - pair[0].at;
        assert!(
            apart + JITTER >= delay,
            "{} {apart:?} after {}",
            pair[1].target,
            pair[0].target
        );
    }
    world.shop.stop().await;
}

/// Starts within any second.
fn most_a_second(seen: &[Seen]) -> usize {
    let starts: Vec<Duration> = seen.iter().map(|seen| seen.at).collect();
    let within = |from: &Duration| {
        let until = *from + Duration::from_secs(1);
        starts
            .iter()
            .filter(|at| (*from..until).contains(*at))
            .count()
    };
    starts.iter().map(within).max().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rate_and_concurrency_are_those_of_the_pipe() {
    let _alone = turns::alone().await;
    let world = World::start(still(505, 150), |_| Says {
        rate_per_s: 30.0,
        concurrency: 2,
        ..Says::of(by_sitemaps())
    })
    .await;
    let started = Instant::now();
    run_complete(&world);
    let took = started.elapsed();
    let seen = of(&world.shop, "/");
    let most = most_a_second(&seen);
    println!(
        "{} requests in {took:?}, at most {most} in a second",
        seen.len()
    );
    assert!(most <= 33, "{most} requests in a second");
    // The first is that of robots.txt, for which nobody waits.
    let paced = &seen[1..];
    let span = (paced[paced.len() - 1].at - paced[0].at).as_secs_f64();
    let expected = (paced.len() - 1) as f64 / 30.0;
    println!("{span:.2} s from the first page to the last, {expected:.2} s by the rate");
    assert!(
        span >= expected * 0.97,
        "{span} s, by the rate {expected} s"
    );
    // Nor is the shop asked slower than the pipe says.
    assert!(span <= expected * 1.3, "{span} s, by the rate {expected} s");
    let at_once = seen.iter().map(|seen| seen.in_flight).max();
    assert!(at_once <= Some(2), "{at_once:?} at once");
    world.shop.stop().await;

    // Without a rate the concurrency alone bounds it, and is made use of.
    let world = World::start(still(506, 150), |_| Says {
        concurrency: 4,
        ..Says::of(by_sitemaps())
    })
    .await;
    world
        .shop
        .misbehave("/product/", Fault::Delay(Duration::from_millis(60)));
    run_complete(&world);
    let at_once = of(&world.shop, "/").iter().map(|seen| seen.in_flight).max();
    assert_eq!(at_once, Some(4), "requests at once");
    world.shop.stop().await;
}

/// Retry-After is kept to the second, by everything that is asked of the shop.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_that_asks_for_a_rest_has_it() {
    let _beside = turns::beside().await;
    for code in [429, 503] {
        let world = World::start(still(507, 60), |_| Says {
            concurrency: 2,
            ..Says::of(by_sitemaps())
        })
        .await;
        let resting = world.shop.products(0)[20].link.clone();
        let path = resting.strip_prefix(world.model().base_url()).unwrap();
        world
            .shop
            .misbehave_by(Rule::new(path, status(code, Some(2))).first(1));
        run_complete(&world);
        let seen = of(&world.shop, "/");
        let asked = seen
            .iter()
            .find(|seen| seen.status == code)
            .expect("it was asked");
        let from = asked.at + JITTER;
        let until = asked.at + Duration::from_secs(2) - JITTER;
        let early: Vec<&Seen> = seen
            .iter()
            .filter(|seen| (from..until).contains(&seen.at))
            .collect();
        // One may have been on its way.
        assert!(early.len() <= 1, "{code}: {early:?}");
        assert_eq!(
            seen.iter().filter(|seen| seen.status == code).count(),
            1,
            "{code}"
        );
        world.shop.stop().await;
    }
}

/// 429 without a word of how long: the pipe finds out what the shop bears.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_that_is_asked_too_often_is_asked_less() {
    let _beside = turns::beside().await;
    let world = World::start(still(508, 400), |_| Says::of(by_sitemaps())).await;
    let often = Fault::Rate {
        per_s: 50,
        code: 429,
        retry_after_s: None,
    };
    world.shop.misbehave("/product/", often);
    run_complete(&world);
    let seen = of(&world.shop, "/product/");
    let refused = seen.iter().filter(|seen| seen.status == 429).count();
    println!("{refused} of {} requests were refused", seen.len());
    assert!(refused > 0, "it was never asked too often");
    assert!(
        refused * 2 <= seen.len(),
        "{refused} of {} were refused",
        seen.len()
    );
    world.shop.stop().await;
}

/// Slower when latency rises, back when it falls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_under_load_is_slowed_down_to_and_sped_up_again() {
    let _alone = turns::alone().await;
    let world = World::start(still(509, 3_000), |_| Says {
        concurrency: 16,
        ..Says::of(by_sitemaps())
    })
    .await;
    let shop = &world.shop;
    let light = Fault::Loaded {
        least: Duration::from_millis(30),
        each: Duration::ZERO,
    };
    let heavy = Fault::Loaded {
        least: Duration::from_millis(50),
        each: Duration::from_millis(250),
    };
    shop.misbehave("/product/", light.clone());
    let running = Running::start(&world.folder, &["run", "--once", "--pipe", PIPE]);
    let pages = || shop.stats().page.requests;
    until("it is at full speed", || {
        shop.stats().page.in_flight_max >= 16
    })
    .await;
    shop.misbehave("/product/", heavy);
    let known = pages();
    until("it has met the load", || pages() >= known + 100).await;
    let slowed = of(shop, "/product/");
    shop.heal();
    shop.misbehave("/product/", light);
    shop.forget_seen();
    running.end(RUN_MAX).with_code(0);
    let at_once = |seen: &[Seen]| -> f64 {
        let tail = &seen[seen.len().saturating_sub(30)..];
        tail.iter().map(|seen| seen.in_flight as f64).sum::<f64>() / tail.len() as f64
    };
    let (under_load, afterwards) = (at_once(&slowed), at_once(&of(shop, "/product/")[..]));
    let peak = of(shop, "/product/")
        .iter()
        .map(|seen| seen.in_flight)
        .max();
    println!("at once: {under_load:.1} under load, {afterwards:.1} at the end, {peak:?} at most");
    assert!(under_load <= 8.0, "{under_load} at once under load, of 16");
    assert_eq!(peak, Some(16), "it comes back to full speed");
    assert_exact(
        &found(&world.folder, PIPE),
        &truth(world.model(), 0),
        "loaded",
    );
    world.shop.stop().await;
}

/// Credentials and cookies are the shop's alone, wherever it links, redirects
/// or keeps its sitemap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_08_credentials_and_cookies_stay_with_the_shop() {
    let _beside = turns::beside().await;
    let other = Server::start(|path| match path {
        "/sitemap.xml" => {
            Answer::of("<urlset><url><loc>http://nowhere.invalid/</loc></url></urlset>")
        }
        "/robots.txt" => Answer::not_found(),
        _ => Answer::of("<html><body>another shop</body></html>"),
    });
    // By name, as another host than the shop's.
    let there = other.url("").replace("127.0.0.1", "localhost");
    let spec = ShopSpec {
        site: SiteSpec {
            walled_share: 0.3,
            traps: vec![
                trawler_shop::Trap::RedirectTo(format!("{there}/redirected")),
                trawler_shop::Trap::Links(vec![format!("{there}/linked")]),
            ],
            ..SiteSpec::PLAIN
        },
        ..still(510, 120)
    };
    let world = World::start(spec, |model| Says::of(by_everything(model))).await;
    let token = world.folder.path().join("token");
    std::fs::write(&token, "open sesame\n").unwrap();
    let says = Says {
        allow: vec![other.host().replace("127.0.0.1", "localhost"), other.host()],
        fetch: format!(
            "auth = {{ kind = \"bearer\", token = \"file:{0}\" }}\nheaders = {{ X-Client = \"of the pipe\" }}\n",
            token.display()
        ),
        site: format!(
            "hosts = [\"localhost\"]\nsitemaps = [\"{there}/sitemap.xml\"]\n{}",
            by_everything(world.model())
        ),
        ..Says::of("")
    };
    world.write(&says);
    run_complete(&world);
    let heads = other.heads();
    for path in ["get /sitemap.xml", "get /linked", "get /redirected"] {
        assert!(heads.contains(path), "{path} is not in {heads}");
    }
    for secret in ["authorization", "sesame", "x-client", "cookie"] {
        assert!(!heads.contains(secret), "{secret} is in {heads}");
    }
    let cookies: BTreeSet<String> = world
        .shop
        .seen()
        .into_iter()
        .filter_map(|seen| seen.cookie)
        .collect();
    assert!(
        cookies.iter().any(|cookie| cookie.contains("visit=")),
        "{cookies:?}"
    );
    let foreign = cookies.iter().find(|cookie| cookie.contains("foreign"));
    assert_eq!(foreign, None, "another host's cookie");
    world.shop.stop().await;
}

/// The shop gets its credentials, and pages behind a wall of cookies are not
/// there for a pipe that keeps none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipe_without_cookies_sends_none() {
    let _beside = turns::beside().await;
    let spec = ShopSpec {
        site: SiteSpec {
            walled_share: 0.1,
            ..SiteSpec::PLAIN
        },
        ..still(511, 100)
    };
    let world = World::start(spec, |model| Says {
        fetch: "cookies = false\n".to_owned(),
        ..Says::of(by_everything(model))
    })
    .await;
    run(&world);
    let sent: Vec<Seen> = of(&world.shop, "/")
        .into_iter()
        .filter(|seen| seen.cookie.is_some())
        .collect();
    assert!(sent.is_empty(), "{sent:?}");
    let enter = of(&world.shop, "/enter").len();
    assert!(enter > 0, "the wall was met");
    assert!(of(&world.shop, "/").len() < 400, "no walking in circles");
    world.shop.stop().await;
}

/// Outside of the pipe's hours nobody is asked, and a crawl that is not done by
/// their end goes on when they begin again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outside_off_peak_hours_the_shop_is_left_alone() {
    let _beside = turns::beside().await;
    let concurrency = 2;
    // The shop's log counts from its start.
    let (now, began) = (Utc::now(), Instant::now());
    let world = World::start(still(512, 150), |_| Says::of(by_sitemaps())).await;
    let window = |from_s: i64, until_s: i64| {
        let at = |s: i64| (now + TimeDelta::seconds(s)).to_rfc3339();
        format!(
            "{{ from = \"{}\", until = \"{}\" }}",
            at(from_s),
            at(until_s)
        )
    };
    world.write(&Says {
        top: format!("off_peak = [{}, {}]\n", window(2, 8), window(14, 1_000)),
        rate_per_s: 15.0,
        concurrency,
        ..Says::of(by_sitemaps())
    });
    Running::start(&world.folder, &["run", "--once"])
        .end(RUN_MAX)
        .with_code(0);
    assert_exact(
        &found(&world.folder, PIPE),
        &truth(world.model(), 0),
        "off-peak",
    );
    assert!(
        began.elapsed() >= Duration::from_secs(14),
        "it waited for the next hours"
    );
    let seen = of(&world.shop, "/");
    // A request that had been started, and the look at the clock every 0.5 s.
    let is_outside = |seen: &&Seen| {
        let at = seen.at.as_secs_f64();
        at < 2.0 - 0.5 || (8.0 + 2.0..14.0 - 0.5).contains(&at)
    };
    let outside: Vec<&Seen> = seen.iter().filter(is_outside).collect();
    assert!(outside.is_empty(), "{outside:?}");
    let early = seen
        .iter()
        .filter(|seen| seen.at < Duration::from_secs(12))
        .count();
    assert!(
        early > 20 && early < seen.len(),
        "{early} of {}",
        seen.len()
    );
    let twice = twice(&world.shop);
    assert!(
        twice.len() <= concurrency as usize,
        "asked for twice: {twice:?}"
    );
    assert_eq!(world.folder.runs(PIPE).len(), 1);
    world.shop.stop().await;
}

fn run_parked(world: &World) -> Value {
    let ended = Running::start(&world.folder, &["run", "--once", "--json"]).end(RUN_MAX);
    ended.with_code(3).json()
}

/// What was asked for more than once, but robots.txt.
fn twice(shop: &Shop) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for seen in shop
        .seen()
        .iter()
        .filter(|seen| seen.path() != "/robots.txt")
    {
        *counts.entry(seen.target.clone()).or_default() += 1;
    }
    counts.retain(|_, count| *count > 1);
    counts.into_keys().collect()
}

/// Invariant 10: a pause in the middle of a crawl parks it, and what was
/// settled is not asked for again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_10_a_pause_parks_a_crawl_and_resume_goes_on() {
    let _beside = turns::beside().await;
    let concurrency = 4;
    let world = World::start(still(513, 500), |_| Says {
        rate_per_s: 60.0,
        concurrency,
        ..Says::of(by_sitemaps())
    })
    .await;
    let running = Running::start(&world.folder, &["run", "--once", "--json"]);
    until("it crawls", || world.shop.stats().page.requests > 100).await;
    world
        .folder
        .trawler(&["pause", "--pipe", PIPE])
        .with_code(0);
    let paused = Instant::now();
    let ended = running.end(RUN_MAX).with_code(3);
    assert!(paused.elapsed() < PARK_MAX, "{:?}", paused.elapsed());
    assert_eq!(ended.json()["parked"], 1, "{ended:?}");
    let asked = world.shop.stats().page.requests;
    assert!(asked < 500, "{asked} pages before the pause was heard");
    assert!(found(&world.folder, PIPE).is_empty());
    // However often it is started.
    run_parked(&world);
    assert_eq!(
        world.shop.stats().page.requests,
        asked,
        "asked while paused"
    );
    world
        .folder
        .trawler(&["resume", "--pipe", PIPE])
        .with_code(0);
    Running::start(&world.folder, &["run", "--once"])
        .end(RUN_MAX)
        .with_code(0);
    assert_exact(
        &found(&world.folder, PIPE),
        &truth(world.model(), 0),
        "resumed",
    );
    let twice = twice(&world.shop);
    assert!(
        twice.len() <= concurrency as usize,
        "asked for twice: {twice:?}"
    );
    assert_eq!(world.folder.runs(PIPE).len(), 1);
    world.shop.stop().await;
}

/// Links alone, without product patterns: what sells nothing is told apart, and
/// every page is asked for once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_page_is_asked_for_twice() {
    let _beside = turns::beside().await;
    let spec = ShopSpec {
        page_markup: PageMarkup::All,
        site: SiteSpec {
            notices: 10,
            respelled_share: 0.0,
            ..SiteSpec::PLAIN
        },
        ..still(514, 300)
    };
    let world = World::start(spec, |_| Says::of(by_links())).await;
    run_complete(&world);
    let twice = twice(&world.shop);
    assert!(twice.is_empty(), "asked for twice: {twice:?}");
    world.shop.stop().await;
}

//! Shops that mean harm, or are broken as if they did: a crawl of them ends in
//! bounded time, memory and disk, reaches nothing private, and never delists
//! what it was kept from seeing.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use serde_json::Value;
use trawler_shop::{BombCoding, DayChange, Fault, Rule, Shop, ShopSpec, SiteSpec, Trap};

use crate::child::{Running, assert_tidy, scratch};
use crate::rows::{assert_exact, found, truth};
use crate::shops::{PIPE, Says, World, by_sitemaps, plain};
use crate::turns;

/// So long a crawl may take, by its own bound and with what follows it: pages
/// under way, and the commit of what was seen.
const WHOLE_S: u64 = 12;
const RUN_MAX: Duration = Duration::from_secs(WHOLE_S + 15);

/// A debug build with nothing to do has 60 MiB resident; the largest page here
/// is 1 MiB, and sixteen are read at once.
const MEMORY_MAX: u64 = 128 << 20;

/// The journal, the tables and the rows of a few hundred pages.
const SCRATCH_MAX: u64 = 64 << 20;

const PRODUCTS: u32 = 120;

/// What every bomb and every endless body would become.
const DECODED: u64 = 256 << 20;

/// Bounds that are met soon.
const LIMITS: &str = "\n[site.limits]\npages_max = 500\npage_bytes_max = 1048576\nwhole_s = 12\n\
                      sitemap_files_max = 20\nsitemap_bytes_max = 4194304\n\
                      sitemap_urls_max = 5000\nlisting_pages_max = 40\n";

/// How long a host is waited for that says nothing.
const NET: &str = "connect_s = 2\nfirst_byte_s = 2\nidle_s = 2\n";

/// A job that fails is given up soon.
const RETRY: &str = "[retry]\nattempts_max = 2\nbackoff_base_ms = 100\nbackoff_max_ms = 500\n";

/// Names and addresses that the pipe itself takes for the shop's, so that
/// nothing but the address policy keeps a crawl from them.
const HOSTS: &str = "hosts = [\"localhost\", \"10.0.0.1\", \"127.0.0.2\", \"169.254.169.254\", \
                     \"*.localhost\"]\n";

/// How a crawl of a hostile day has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// With everything that the shop sells.
    Complete,
    /// With a reason that says this.
    Incomplete(&'static str),
    /// Not at all: the run failed for a reason that says this, and nothing was
    /// committed.
    Failed(&'static str),
}

fn spec(seed: u64) -> ShopSpec {
    ShopSpec {
        day_change: DayChange {
            new_share: 0.05,
            changed_share: 0.1,
            gone_share: 0.1,
            ..DayChange::NONE
        },
        sitemap_part_urls: 40,
        ..plain("hostile", seed, PRODUCTS)
    }
}

/// Sitemaps alone.
fn says() -> Says {
    Says {
        net: NET,
        more: RETRY.to_owned(),
        concurrency: 8,
        ..Says::of(format!("{HOSTS}{}{LIMITS}", by_sitemaps()))
    }
}

/// Every link as well.
fn says_follow() -> Says {
    let follow = "\n[site.links]\nfollow = true\nproducts = [\"/product/\"]\n";
    let mut says = says();
    says.site.push_str(follow);
    says
}

/// Listeners that nobody may reach.
struct Canaries(Vec<TcpListener>);

impl Canaries {
    fn set() -> Self {
        let at = |address: &str| {
            let listener = TcpListener::bind(address).ok()?;
            listener.set_nonblocking(true).unwrap();
            Some(listener)
        };
        // A machine without IPv6 has none there.
        let set: Vec<_> = ["127.0.0.1:0", "127.0.0.2:0", "[::1]:0"]
            .into_iter()
            .filter_map(at)
            .collect();
        assert!(set.len() >= 2, "loopback addresses");
        Self(set)
    }

    /// Ways to say where they are, and other addresses inside.
    fn urls(&self) -> Vec<String> {
        let mut urls = vec![
            "http://169.254.169.254/latest/meta-data/product/1".to_owned(),
            "http://10.0.0.1/product/1".to_owned(),
        ];
        for listener in &self.0 {
            let address = listener.local_addr().unwrap();
            urls.push(format!("http://{address}/product/1"));
            let port = address.port();
            for host in [
                "localhost",
                "shop.localhost",
                "0x7f000001",
                "2130706433",
                "[::ffff:127.0.0.1]",
            ] {
                urls.push(format!("http://{host}:{port}/product/2"));
            }
        }
        urls
    }

    /// Not even a connection was made: the system would have queued it.
    #[track_caller]
    fn assert_silent(&self, what: &str) {
        for listener in &self.0 {
            let accepted = listener.accept();
            let error = accepted.expect_err(what);
            assert_eq!(error.kind(), ErrorKind::WouldBlock, "{what}");
        }
    }
}

/// A crawl on a hostile day, within all bounds; its run.
#[track_caller]
fn endure(world: &World, what: &str) -> Value {
    let running = Running::start(&world.folder, &["run", "--once", "--pipe", PIPE, "--json"]);
    let watched = running.watch(&scratch(&world.folder), RUN_MAX);
    println!(
        "{what}: {:?}, {} MiB resident, {} KiB of scratch",
        watched.took,
        watched.memory_bytes >> 20,
        watched.scratch_bytes >> 10
    );
    assert!(watched.took < RUN_MAX, "{what}: {:?}", watched.took);
    assert!(
        watched.memory_bytes < MEMORY_MAX,
        "{what}: {} bytes resident",
        watched.memory_bytes
    );
    assert!(
        watched.scratch_bytes < SCRATCH_MAX,
        "{what}: {} bytes of scratch",
        watched.scratch_bytes
    );
    assert!(
        !watched.ended.stderr.contains("panicked"),
        "{what}: {:?}",
        watched.ended
    );
    assert_tidy(&world.folder);
    world.folder.last_run(PIPE)
}

/// The run ended as it must, and the catalogue is what follows from that.
#[track_caller]
fn check(world: &World, run: &Value, end: End, what: &str) {
    let reasons = run["incomplete"].as_array().cloned().unwrap_or_default();
    let phase = match end {
        End::Complete | End::Incomplete(_) => "finished",
        End::Failed(_) => "failed",
    };
    assert_eq!(run["phase"], phase, "{what}: {run:#}");
    match end {
        End::Failed(says) => {
            assert!(run["reason"].to_string().contains(says), "{what}: {run:#}");
            nobody_is_delisted(world, what);
        }
        End::Complete => {
            assert!(reasons.is_empty(), "{what}: {run:#}");
            assert_exact(&found(&world.folder, PIPE), &truth(world.model(), 1), what);
        }
        End::Incomplete(says) => {
            let told = Value::from(reasons).to_string();
            assert!(
                told.contains(says) && told.len() > 2,
                "{what}: {says:?} is not in {run:#}"
            );
            assert_eq!(run["counts"]["deletes"], 0, "{what}: {run:#}");
            assert!(
                run["counts"]["held_deletes"].as_u64() > Some(0),
                "{what}: {run:#}"
            );
            nobody_is_delisted(world, what);
        }
    }
}

#[track_caller]
fn nobody_is_delisted(world: &World, what: &str) {
    let rows = found(&world.folder, PIPE);
    let (old, new) = (truth(world.model(), 0), truth(world.model(), 1));
    for id in old.keys() {
        assert!(rows.contains_key(id), "{what}: {id} was delisted");
    }
    for (id, row) in &rows {
        let known = old.get(id) == Some(row) || new.get(id) == Some(row);
        assert!(known, "{what}: {id} is of no day: {row:?}");
    }
}

/// A healthy day, then a hostile one with this trap linked from the home page.
async fn lays(seed: u64, trap: Trap, end: End) {
    lays_to(seed, trap, end, |_| says_follow()).await;
}

/// The same; the pipe says this of the shop on the hostile day.
async fn lays_to(seed: u64, trap: Trap, end: End, says_on_day_1: impl FnOnce(&World) -> Says) {
    let _beside = turns::beside().await;
    let canaries = Canaries::set();
    let what = format!("{trap:?}");
    let what = &what[..what.floor_char_boundary(60)];
    let site = SiteSpec {
        traps: vec![trap],
        ..SiteSpec::PLAIN
    };
    let spec = ShopSpec { site, ..spec(seed) };
    let world = World::start(spec, |_| says()).await;
    if what.starts_with("Bomb") {
        make(&world.shop, "/trap/0/0");
    }
    let healthy = endure(&world, "healthy");
    assert!(
        healthy["incomplete"].as_array().is_none_or(Vec::is_empty),
        "{healthy:#}"
    );
    assert_exact(
        &found(&world.folder, PIPE),
        &truth(world.model(), 0),
        "healthy",
    );
    world.shop.set_day(1);
    world.write(&says_on_day_1(&world));
    let before = world.shop.stats().requests();
    world.shop.forget_seen();
    let run = endure(&world, what);
    let asked = world.shop.stats().requests() - before;
    let met = world.shop.seen().into_iter();
    let met = met
        .filter(|seen| seen.path().starts_with("/trap/0/"))
        .count();
    println!("{what}: {asked} requests, {met} of them for the trap");
    assert!(met > 0, "{what}: the trap was never asked for");
    // Pages, and what is asked beside them: sitemaps, robots, second tries.
    assert!(asked < 700, "{what}: {asked} requests");
    check(&world, &run, end, what);
    canaries.assert_silent(what);
    world.shop.stop().await;
}

macro_rules! traps {
    ($($name:ident: $seed:literal, $trap:expr, $end:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            lays($seed, $trap, $end).await;
        }
    )*};
}

const PAGES: End = End::Incomplete("pages_max = 500");

// Far behind the products lies nothing that a pipe would miss: `depth_max` is a
// rule, so that a line of pages ends there; what branches meets a bound.
traps! {
    endless_pages_end_at_the_depth: 401, Trap::EndlessPages, End::Complete;
    a_calendar_ends_at_the_bound_of_pages: 402, Trap::Calendar, PAGES;
    a_link_farm_ends_at_the_bound_of_pages: 403, Trap::LinkFarm { links: 300 }, PAGES;
    deep_nesting_is_read: 404, Trap::DeepNesting { levels: 90_000 }, End::Complete;
    a_page_of_100_megabytes_is_left: 405, Trap::Huge { bytes: 100 << 20 }, End::Complete;
    a_gzip_bomb_is_left: 406, bomb(BombCoding::Gzip), End::Complete;
    a_brotli_bomb_is_left: 407, bomb(BombCoding::Brotli), End::Complete;
    a_zstd_bomb_is_left: 408, bomb(BombCoding::Zstd), End::Complete;
    a_redirect_loop_is_left: 409, Trap::RedirectLoop, End::Complete;
    a_body_without_end_is_left: 410, Trap::Endless, End::Complete;
    a_page_in_drops_is_left: 411, Trap::Drip { every: Duration::from_millis(900) }, DRIP;
}

/// The pipe declares the trap as a category of the shop.
fn says_category(world: &World, pages: &str) -> Says {
    let url = world.shop.url("/trap/0/0");
    let category =
        format!("\n[[site.categories]]\nurl = \"{url}\"\nproducts = \"ul.products a\"\n{pages}");
    let mut says = says();
    says.site.push_str(&category);
    says
}

const NUMBERED: &str = "pages = { parameter = \"page\" }\n";

/// Every page brings links that no other has: that ends at the bound of a list,
/// and nobody knows what is behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_category_without_end_ends_at_its_bound() {
    let end = End::Incomplete("more than 40 pages");
    let says = |world: &World| says_category(world, NUMBERED);
    lays_to(431, Trap::EndlessCategory, end, says).await;
}

/// A number too high shows the same products as the one before: the list has
/// ended, and everything was seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_category_that_repeats_its_pages_ends_by_rule() {
    let says = |world: &World| says_category(world, NUMBERED);
    lays_to(432, Trap::RepeatingCategory, End::Complete, says).await;
}

/// Each page names a next one, and none brings anything new: whether there was
/// more nobody knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_category_that_leads_on_and_on_ends_by_rule() {
    let end = End::Incomplete("bring nothing new");
    let says = |world: &World| says_category(world, "");
    lays_to(433, Trap::EndlessPages, end, says).await;
}

/// The page is still on its way when the crawl's time is over.
const DRIP: End = End::Incomplete("whole_s = 12");

fn bomb(coding: BombCoding) -> Trap {
    Trap::Bomb {
        coding,
        decoded_bytes: DECODED,
    }
}

/// Invariant 8: what pages link and redirect to is judged, whatever the pipe
/// says about hosts, and however it is spelled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_08_links_and_redirects_of_pages_lead_nowhere_private() {
    let _beside = turns::beside().await;
    let canaries = Canaries::set();
    let mut traps: Vec<Trap> = canaries.urls().into_iter().map(Trap::RedirectTo).collect();
    let other = [
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:text/html,<a>",
        "http://[::]/",
    ];
    let links = canaries
        .urls()
        .into_iter()
        .chain(other.map(str::to_owned))
        .collect();
    traps.push(Trap::Links(links));
    let site = SiteSpec {
        traps,
        ..SiteSpec::PLAIN
    };
    let spec = ShopSpec { site, ..spec(412) };
    let world = World::start(spec, |_| says_follow()).await;
    world.shop.set_day(1);
    let run = endure(&world, "private links");
    assert!(
        world.shop.stats().other.requests >= 10,
        "the traps were met"
    );
    assert_exact(
        &found(&world.folder, PIPE),
        &truth(world.model(), 1),
        "private links",
    );
    // The pipe says that these hosts are the shop's, and they were not seen.
    let told = run["incomplete"].to_string();
    assert!(told.contains("refused by the address policy"), "{run:#}");
    canaries.assert_silent("links and redirects");
    world.shop.stop().await;
}

/// What goes wrong on one day.
struct Day {
    what: &'static str,
    rules: Vec<Rule>,
    end: End,
}

fn day(what: &'static str, prefix: &str, fault: Fault, says: &'static str) -> Day {
    Day {
        what,
        rules: vec![Rule::new(prefix, fault)],
        end: End::Incomplete(says),
    }
}

fn some(what: &'static str, share: f64, fault: Fault, says: &'static str) -> Day {
    Day {
        what,
        rules: vec![Rule::new("/product/", fault).share(share)],
        end: End::Incomplete(says),
    }
}

/// A healthy day, then these one after the other, none of which delists
/// anybody; then a healthy one, which does.
async fn endures(seed: u64, days: Vec<Day>) {
    let _beside = turns::beside().await;
    let canaries = Canaries::set();
    let world = World::start(spec(seed), |_| says()).await;
    endure(&world, "healthy");
    assert_exact(
        &found(&world.folder, PIPE),
        &truth(world.model(), 0),
        "healthy",
    );
    world.shop.set_day(1);
    for day in days {
        if matches!(day.rules[0].fault, Fault::CodedBomb { .. }) {
            let whole = Rule {
                share: 1.0,
                ..day.rules[0].clone()
            };
            misbehave(&world.shop, vec![whole]);
            make(&world.shop, &format!("{}1", day.rules[0].prefix));
        }
        misbehave(&world.shop, day.rules);
        let run = endure(&world, day.what);
        check(&world, &run, day.end, day.what);
        canaries.assert_silent(day.what);
    }
    world.shop.heal();
    let run = endure(&world, "healthy again");
    check(&world, &run, End::Complete, "healthy again");
    let gone = world.model().changes(1).gone.len();
    assert_eq!(run["counts"]["deletes"], gone, "{run:#}");
    world.shop.stop().await;
}

/// Asks for a bomb, so that the shop has made it: packing takes seconds of a
/// debug build, in which it would be slow and nothing else.
fn make(shop: &Shop, path: &str) {
    let mut stream = std::net::TcpStream::connect(shop.addr()).unwrap();
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        shop.addr()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut packed = Vec::new();
    stream.read_to_end(&mut packed).unwrap();
    assert!(packed.starts_with(b"HTTP/1.1 200"), "a bomb at {path}");
}

fn misbehave(shop: &Shop, rules: Vec<Rule>) {
    shop.heal();
    for rule in rules {
        shop.misbehave_by(rule);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_sitemaps_never_delist() {
    let part = "/sitemap-1.xml";
    let bomb = |coding| Fault::CodedBomb {
        coding,
        decoded_bytes: DECODED,
    };
    let refused = Fault::Status {
        code: 403,
        retry_after_s: None,
    };
    endures(
        421,
        vec![
            day(
                "entity bomb",
                "/sitemap.xml",
                Fault::EntityBomb,
                "sitemap.xml",
            ),
            day("self-naming index", "/sitemap.xml", Fault::SelfIndex, ""),
            day(
                "truncated part",
                part,
                Fault::Truncate { after_bytes: 900 },
                part,
            ),
            day("cut part", part, Fault::LengthTooLong { by: 50 }, part),
            day("HTML part", part, Fault::HtmlInstead, part),
            day("endless part", part, Fault::Endless, part),
            // Tries of it take what is left of the crawl's time.
            day("stalling part", part, Fault::Stall { after_bytes: 900 }, ""),
            day("forbidden part", part, refused, part),
            day("gzip bomb", part, bomb(BombCoding::Gzip), part),
            day("brotli bomb", part, bomb(BombCoding::Brotli), part),
            day("zstd bomb", part, bomb(BombCoding::Zstd), part),
            day("looping part", part, Fault::RedirectLoop, part),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_do_not_come_never_delist() {
    let bomb = |coding| Fault::CodedBomb {
        coding,
        decoded_bytes: DECODED,
    };
    endures(
        422,
        vec![
            some("block pages", 0.3, Fault::BlockPage, "max_error_share"),
            day("a wall before all", "/product/", Fault::BlockPage, ""),
            some(
                "redirect loops",
                0.3,
                Fault::RedirectLoop,
                "max_error_share",
            ),
            some("endless pages", 0.3, Fault::Endless, "max_error_share"),
            some("gzip bombs", 0.3, bomb(BombCoding::Gzip), "max_error_share"),
            some(
                "brotli bombs",
                0.3,
                bomb(BombCoding::Brotli),
                "max_error_share",
            ),
            some("zstd bombs", 0.3, bomb(BombCoding::Zstd), "max_error_share"),
            some(
                "announced 100 MB",
                0.3,
                Fault::Huge { bytes: 100 << 20 },
                "max_error_share",
            ),
            some("closed connections", 0.3, Fault::Reset, ""),
            some("silence", 0.3, Fault::Stall { after_bytes: 100 }, ""),
            Day {
                end: End::Failed("robots.txt"),
                ..day("the whole shop is away", "/", Fault::Reset, "")
            },
            day("a wall before everything", "/", Fault::BlockPage, ""),
        ],
    )
    .await;
}

/// Invariant 8, where it is the sitemap, robots.txt or every page that leads
/// inside.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_08_sitemaps_and_robots_lead_nowhere_private() {
    let _beside = turns::beside().await;
    let canaries = Canaries::set();
    let world = World::start(spec(423), |_| says()).await;
    endure(&world, "healthy");
    world.shop.set_day(1);
    for url in canaries.urls() {
        for path in ["/robots.txt", "/sitemap.xml", "/sitemap-1.xml", "/product/"] {
            let what = format!("{path} -> {url}");
            // The many spellings are tried on one path, and one on all.
            if path != "/product/" && !url.contains("//127.0.0.1") {
                continue;
            }
            misbehave(
                &world.shop,
                vec![Rule::new(path, Fault::RedirectTo(url.clone()))],
            );
            let run = endure(&world, &what);
            let end = match path {
                "/robots.txt" => End::Failed("robots.txt"),
                _ => End::Incomplete(""),
            };
            check(&world, &run, end, &what);
            canaries.assert_silent(&what);
        }
    }
    // And named by the pipe itself.
    world.shop.heal();
    let inside: Vec<String> = canaries
        .urls()
        .iter()
        .map(|url| format!("{url:?}"))
        .collect();
    let sitemaps = format!(
        "sitemaps = [\"{}\", {}]\n",
        world.shop.url("/sitemap.xml"),
        inside.join(", ")
    );
    world.write(&Says {
        site: sitemaps + &says().site,
        ..says()
    });
    let run = endure(&world, "sitemaps of the pipe");
    check(
        &world,
        &run,
        End::Incomplete("refused by the address policy"),
        "sitemaps of the pipe",
    );
    canaries.assert_silent("sitemaps of the pipe");
    world.shop.stop().await;
}

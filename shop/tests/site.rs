//! The site against its own truth: a small crawl by the rules finds exactly what the model says, and
//! every page says it in its own markup, charset and coding.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::io::Read;
use std::time::{Duration, Instant};

use common::{Reply, get, get_with};
use trawler_shop::{
    BombCoding, DayChange, Fault, PageMarkup, Paging, Place, Rule, Shop, ShopSpec, SiteSpec, Trap,
};

const ALL_CODINGS: (&str, &str) = ("Accept-Encoding", "gzip, br, zstd, deflate");

fn full(products: u32) -> ShopSpec {
    ShopSpec {
        image_px: 48,
        page_markup: PageMarkup::All,
        page_size: 7,
        sitemap_part_urls: 300,
        day_change: DayChange {
            new_share: 0.02,
            changed_share: 0.05,
            gone_share: 0.04,
            ..DayChange::NONE
        },
        site: SiteSpec::full(),
        ..ShopSpec::new("Full Shop", 11, products)
    }
}

fn unpacked(reply: &Reply) -> Vec<u8> {
    let mut out = Vec::new();
    let body = &reply.body[..];
    match reply.header("content-encoding") {
        "gzip" => drop(flate2::read::GzDecoder::new(body).read_to_end(&mut out)),
        "deflate" => drop(flate2::read::ZlibDecoder::new(body).read_to_end(&mut out)),
        "br" => drop(brotli::Decompressor::new(body, 4_096).read_to_end(&mut out)),
        "zstd" => out = zstd::decode_all(body).unwrap(),
        _ => out.extend_from_slice(body),
    }
    out
}

/// The text of a page, from the bytes alone.
fn text(reply: &Reply) -> String {
    let bytes = unpacked(reply);
    if bytes.starts_with(b"\xFF\xFE") {
        return encoding_rs::UTF_16LE.decode(&bytes).0.into_owned();
    }
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let (text, _, malformed) = encoding_rs::EUC_KR.decode(error.as_bytes());
            assert!(!malformed);
            text.into_owned()
        }
    }
}

fn unescaped(text: &str) -> String {
    text.replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

fn after<'a>(text: &'a str, start: &str, end: char) -> Vec<&'a str> {
    let pieces = text.split(start).skip(1);
    pieces.map(|rest| rest.split(end).next().unwrap()).collect()
}

/// A link as it is asked for: path and query on this host; none for other hosts and schemes.
fn target(base: &str, link: &str) -> Option<String> {
    let link = unescaped(link);
    let link = link.split('#').next().unwrap();
    let path = match link.to_ascii_lowercase().strip_prefix(base) {
        Some(_) => link[base.len()..].to_owned(),
        None if link.starts_with('/') => link.to_owned(),
        None if link.contains(':') => return None,
        None => format!("/{link}"),
    };
    let path = path.replace("/category/..", "");
    // What a browser sends for letters outside of ASCII.
    Some(path.chars().map(ascii).collect())
}

fn ascii(c: char) -> String {
    if c.is_ascii() {
        return c.to_string();
    }
    let mut bytes = [0; 4];
    let bytes = c.encode_utf8(&mut bytes).bytes();
    bytes.map(|byte| format!("%{byte:02X}")).collect()
}

/// Crawls by the rules and gives the slots of the product pages that were read with success.
struct Crawl<'a> {
    shop: &'a Shop,
    day: u32,
    cookie: String,
    seen: HashSet<String>,
    queue: VecDeque<String>,
    found: BTreeSet<u32>,
}

impl Crawl<'_> {
    async fn ask(&self, target: &str) -> Reply {
        get_with(
            self.shop.addr(),
            target,
            &[ALL_CODINGS, ("Cookie", &self.cookie)],
        )
        .await
    }

    fn add(&mut self, link: &str) {
        let Some(target) = target(&self.shop.url(""), link) else {
            return;
        };
        if !self.shop.model().site_forbids(&target) && self.seen.insert(target.clone()) {
            self.queue.push_back(target);
        }
    }

    async fn sources(&mut self) {
        let robots = get(self.shop.addr(), "/robots.txt").await.text();
        let mut maps: Vec<String> = after(&robots, "Sitemap: ", '\n')
            .iter()
            .map(|url| (*url).to_owned())
            .collect();
        while let Some(map) = maps.pop() {
            let path = &map[self.shop.url("").len()..];
            let reply = self.ask(path).await;
            assert_eq!(reply.status, 200, "{path}");
            let text = if path.ends_with(".gz") {
                let mut text = String::new();
                flate2::read::GzDecoder::new(&reply.body[..])
                    .read_to_string(&mut text)
                    .unwrap();
                text
            } else {
                reply.text()
            };
            let mut links = after(&text, "<loc>", '<');
            if text.contains("<sitemapindex") {
                maps.extend(links.iter().map(|url| (*url).to_owned()));
                continue;
            }
            links.extend(after(&text, "<item><title>-</title><link>", '<'));
            links.extend(after(&text, "<link href=\"", '"'));
            if path.ends_with(".txt") {
                links.extend(text.trim_start_matches('\u{FEFF}').lines());
            }
            for link in links {
                self.add(link);
            }
        }
        for category in self.shop.model().site_categories(self.day) {
            match category.paging {
                // Only these cannot be followed by links.
                Paging::UntilEmpty | Paging::UntilNotFound => {
                    for page in 1..=category.pages {
                        self.add(&category.url.replace("page=1", &format!("page={page}")));
                    }
                    let after_last = category.pages + 1;
                    let past = category
                        .url
                        .replace("page=1", &format!("page={after_last}"));
                    let reply = self.ask(&target(&self.shop.url(""), &past).unwrap()).await;
                    if category.paging == Paging::UntilEmpty {
                        assert!(text(&reply).contains("상품이 없습니다"));
                    } else {
                        assert_eq!(reply.status, 404);
                    }
                }
                Paging::Json => self.scroll(&category.endpoint.unwrap()).await,
                Paging::NextLink | Paging::Numbered => self.add(&category.url),
            }
        }
    }

    async fn scroll(&mut self, endpoint: &str) {
        let mut next = Some(target(&self.shop.url(""), endpoint).unwrap());
        while let Some(path) = next {
            let reply = self.ask(&path).await;
            let data: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
            for item in data["items"].as_array().unwrap() {
                self.add(item["url"].as_str().unwrap());
            }
            next = data["next"].as_str().map(str::to_owned);
        }
    }

    async fn run(&mut self) {
        self.add("/");
        self.sources().await;
        while let Some(path) = self.queue.pop_front() {
            let reply = self.ask(&path).await;
            match reply.status {
                200 => self.read(&text(&reply)),
                301 | 302 | 303 | 307 | 308 => {
                    if let Some(pass) = reply.headers.get("set-cookie") {
                        self.cookie = pass.split(';').next().unwrap().to_owned();
                    }
                    // Relative to a path of two segments.
                    let location = reply.header("location").trim_start_matches("..");
                    self.seen
                        .remove(&target(&self.shop.url(""), location).unwrap());
                    self.add(location);
                }
                404 | 410 => {}
                other => panic!("{other} from {path}"),
            }
        }
    }

    fn read(&mut self, html: &str) {
        for href in after(html, "href=\"", '"') {
            self.add(href);
        }
        let model = self.shop.model();
        let is_goods = html.contains("goods-code")
            || html.contains("itemtype=\"https://schema.org/Product\"")
            || html.contains("typeof=\"Product\"")
            || html.contains("\"@type\":\"Product")
            || html.contains("\"availability\":")
            || html.contains("product:price:amount")
            || html.contains("ProductJson");
        if is_goods {
            let digits = |at: usize| html[at..].bytes().take_while(u8::is_ascii_digit).count();
            let ids = [
                "sku\":\"",
                "sku\" content=\"",
                "item_id\" content=\"",
                "상품번호 <b>",
                "GroupID\":\"",
            ];
            let id = ids.iter().find_map(|start| {
                let at = html.find(start)? + start.len();
                Some(&html[at..at + digits(at)])
            });
            self.found.insert(model.slot_of(id.unwrap()).unwrap());
        }
    }
}

async fn check_crawl(shop: &Shop, day: u32) {
    shop.set_day(day);
    let mut crawl = Crawl {
        shop,
        day,
        cookie: String::new(),
        seen: HashSet::new(),
        queue: VecDeque::new(),
        found: BTreeSet::new(),
    };
    crawl.run().await;
    let expected: BTreeSet<u32> = shop.model().site_slots(day).collect();
    let lost: Vec<_> = expected.difference(&crawl.found).collect();
    let extra: Vec<_> = crawl.found.difference(&expected).collect();
    assert!(
        lost.is_empty() && extra.is_empty(),
        "day {day}, not found: {:?}; found beside: {extra:?}",
        lost.iter()
            .map(|slot| (**slot, shop.model().place(**slot)))
            .collect::<Vec<_>>()
    );
    let asked_forbidden = shop
        .seen()
        .into_iter()
        .filter(|seen| shop.model().site_forbids(&seen.target))
        .count();
    assert_eq!(asked_forbidden, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crawl_by_the_rules_finds_exactly_the_catalogue() {
    let spec = ShopSpec {
        seen_max: 20_000,
        ..full(1_500)
    };
    let shop = Shop::start(spec).await.unwrap();
    for day in [0, 2] {
        check_crawl(&shop, day).await;
    }
    let model = shop.model();
    let mut places: Vec<Place> = (0..1_500).map(|slot| model.place(slot)).collect();
    places.sort_by_key(|place| *place as u32);
    places.dedup();
    assert_eq!(places.len(), 6, "every place occurs");
    let rows = model.site_catalogue(2);
    let ids: HashSet<_> = rows.iter().map(|row| &row.id).collect();
    assert_eq!(ids.len(), rows.len());
    assert!(rows.iter().any(|row| row.group_id.is_some()));
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_says_what_the_catalogue_says() {
    let spec = ShopSpec {
        site: SiteSpec {
            walled_share: 0.0,
            ..SiteSpec::full()
        },
        ..full(600)
    };
    let shop = Shop::start(spec).await.unwrap();
    let (mut markups, mut codings, mut types) = (HashSet::new(), HashSet::new(), HashSet::new());
    for row in shop.model().site_catalogue(0) {
        let path = target(&shop.url(""), &row.link).unwrap();
        let reply = get_with(shop.addr(), &path, &[ALL_CODINGS]).await;
        assert_eq!(reply.status, 200, "{path}");
        markups.insert(row.markup);
        codings.insert(reply.header("content-encoding").to_owned());
        types.insert(reply.header("content-type").to_owned());
        let html = unescaped(&unescaped(&text(&reply)).replace("\\\"", "\""));
        let thousands = |price: &str| match price.len() {
            7.. => format!(
                "{},{},{}",
                &price[..price.len() - 6],
                &price[price.len() - 6..price.len() - 3],
                &price[price.len() - 3..]
            ),
            4.. => format!(
                "{},{}",
                &price[..price.len() - 3],
                &price[price.len() - 3..]
            ),
            _ => price.to_owned(),
        };
        let price = match row.markup {
            PageMarkup::Plain => thousands(&row.price),
            _ => row.price.clone(),
        };
        for expected in [&row.id, &unescaped(&row.title), &price] {
            assert!(
                html.contains(expected.as_str()),
                "{:?} {path}: {expected}\n{html}",
                row.markup
            );
        }
        for image in &row.images {
            assert!(
                html.contains(image.trim_start_matches("http:")),
                "{:?}",
                row.markup
            );
        }
        assert!(html.contains(row.brand), "{:?}", row.markup);
    }
    assert_eq!(markups.len(), PageMarkup::KINDS.len());
    assert_eq!(codings.len(), 5, "{codings:?}");
    assert_eq!(types.len(), 4, "{types:?}");
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn walled_pages_need_the_cookie_and_moved_ones_redirect() {
    let shop = Shop::start(full(600)).await.unwrap();
    let model = shop.model();
    let home = get(shop.addr(), "/").await;
    let cookie = home.header("set-cookie").to_owned();
    let mut walled = 0;
    for product in shop.products(0) {
        let path = target(&shop.url(""), &product.link).unwrap();
        let reply = get(shop.addr(), &path).await;
        if reply.status == 200 {
            continue;
        }
        walled += 1;
        assert!(reply.header("location").starts_with("/enter?to="));
        let entered = get(shop.addr(), reply.header("location")).await;
        assert_eq!(
            (entered.status, entered.header("location")),
            (303, path.as_str())
        );
        let pass = entered.header("set-cookie").split(';').next().unwrap();
        assert_eq!(
            get_with(shop.addr(), &path, &[("Cookie", pass)])
                .await
                .status,
            200
        );
    }
    assert!(
        walled > 0 && cookie.contains("foreign=1"),
        "{walled} {cookie}"
    );
    // No other place than this shop.
    for outside in ["//evil.example/", "https://evil.example/"] {
        let entered = get(shop.addr(), &format!("/enter?to={outside}")).await;
        assert_eq!(entered.header("location"), "/");
    }
    let first = get(shop.addr(), &format!("/old/{}", model.id(3))).await;
    assert_eq!(
        (first.status, first.header("location")),
        (301, &*format!("/moved/{}?from=old", model.id(3)))
    );
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traps_are_laid_where_the_home_page_links() {
    let traps = vec![
        Trap::EndlessPages,
        Trap::Calendar,
        Trap::LinkFarm { links: 3_000 },
        Trap::DeepNesting { levels: 10_000 },
        Trap::Huge { bytes: 3_000_000 },
        Trap::Bomb {
            coding: BombCoding::Gzip,
            decoded_bytes: 1 << 30,
        },
        Trap::RedirectLoop,
        Trap::RedirectTo("http://169.254.169.254/".into()),
        Trap::Links(vec!["http://inside.shop.example/".into()]),
        Trap::Drip {
            every: Duration::from_millis(1),
        },
        Trap::EndlessCategory,
        Trap::RepeatingCategory,
    ];
    let spec = ShopSpec {
        site: SiteSpec {
            traps,
            ..SiteSpec::PLAIN
        },
        ..ShopSpec::new("Hostile", 3, 40)
    };
    let shop = Shop::start(spec).await.unwrap();
    let home = get(shop.addr(), "/").await.text();
    let links = after(&home, "href=\"/trap/", '"');
    assert_eq!(links.len(), 12);
    let mut replies = Vec::new();
    for link in &links {
        replies.push(get(shop.addr(), &format!("/trap/{link}")).await);
    }
    assert!(
        replies[0]
            .text()
            .contains("rel=\"next\" href=\"/trap/0/1\"")
    );
    let again = get(shop.addr(), "/trap/1/0").await.text();
    assert_ne!(replies[1].text(), again, "links of a calendar are fresh");
    assert_eq!(replies[2].text().matches("href=\"/trap/2/").count(), 3_000);
    assert_eq!(replies[3].text().matches("<div>").count(), 10_000);
    assert!(replies[4].complete && replies[4].body.len() > 3_000_000);
    assert!(
        replies[5].body.len() < 2_000_000,
        "{}",
        replies[5].body.len()
    );
    assert_eq!(replies[5].header("content-encoding"), "gzip");
    assert!(
        replies[6].status == 302 && replies[6].header("location").starts_with("/trap/6/0?hop=")
    );
    assert_eq!(replies[7].header("location"), "http://169.254.169.254/");
    assert!(replies[8].text().contains("http://inside.shop.example/"));
    assert!(replies[9].complete && replies[9].status == 200);
    let mut pages = [Vec::new(), Vec::new()];
    for (at, trap) in [10, 11].into_iter().enumerate() {
        for page in [1, 2, 100_000] {
            let text = get(shop.addr(), &format!("/trap/{trap}/0?page={page}")).await;
            pages[at].push(after(&text.text(), "<li><a href=\"", '"').join(" "));
        }
    }
    let [fresh, same] = pages;
    assert!(
        fresh[0] != fresh[1] && fresh[1] != fresh[2] && !fresh[2].is_empty(),
        "{fresh:?}"
    );
    assert!(
        same[0] == same[1] && same[1] == same[2] && same[0].contains("/product/"),
        "{same:?}"
    );
    assert_eq!(get(shop.addr(), "/trap/99/0").await.status, 404);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn load_slows_the_shop_down_and_limits_are_told() {
    let shop = Shop::start(ShopSpec::new("Loaded", 3, 40)).await.unwrap();
    let each = Duration::from_millis(40);
    shop.misbehave(
        "/",
        Fault::Loaded {
            least: Duration::ZERO,
            each,
        },
    );
    shop.misbehave("/robots.txt", Fault::Right);
    let asked = Instant::now();
    let addr = shop.addr();
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        readers.spawn(async move { get(addr, "/").await.status });
    }
    while let Some(status) = readers.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    assert!(
        asked.elapsed() >= each,
        "four at a time wait for each other"
    );
    let seen = shop.seen();
    assert!(seen.iter().any(|seen| seen.in_flight > 1));
    for one in &seen {
        assert!(one.ended.unwrap() >= one.at);
    }
    let rate = Fault::Rate {
        per_s: 1,
        code: 429,
        retry_after_s: Some(2),
    };
    shop.misbehave_by(Rule::new("/login", rate));
    let mut refused = 0;
    for _ in 0..3 {
        let reply = get(addr, "/login").await;
        refused += u32::from(reply.status == 429 && reply.header("retry-after") == "2");
    }
    assert!(refused >= 1);
    shop.forget_seen();
    let headers = [
        ("Referer", "/a"),
        ("If-None-Match", "\"x\""),
        ("Cookie", "a=b"),
    ];
    get_with(addr, "/robots.txt", &headers).await;
    let seen = shop.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].referer.as_deref(), Some("/a"));
    assert_eq!(seen[0].if_none_match.as_deref(), Some("\"x\""));
    assert_eq!(seen[0].cookie.as_deref(), Some("a=b"));
    assert_eq!(seen[0].host, Some(addr.to_string()));
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_sitemaps_block_pages_and_wrong_lengths() {
    let shop = Shop::start(ShopSpec::new("Broken", 3, 40)).await.unwrap();
    shop.misbehave("/sitemap-0.xml", Fault::EntityBomb);
    let reply = get(shop.addr(), "/sitemap-0.xml").await;
    assert!(reply.body.len() < 2_000 && reply.text().contains("<!ENTITY l9"));
    shop.misbehave("/sitemap.xml", Fault::SelfIndex);
    let own = format!("<loc>{}</loc>", shop.url("/sitemap.xml"));
    assert!(get(shop.addr(), "/sitemap.xml").await.text().contains(&own));
    shop.misbehave("/category/", Fault::BlockPage);
    let reply = get(shop.addr(), "/category/0").await;
    assert!(reply.status == 200 && reply.text().contains("captcha"));
    shop.heal();
    let right = get(shop.addr(), "/category/0").await;
    shop.misbehave("/category/", Fault::LengthTooLong { by: 10 });
    let reply = get(shop.addr(), "/category/0").await;
    assert!(!reply.complete && reply.body == right.body);
    shop.misbehave("/category/", Fault::Stall { after_bytes: 100 });
    let stalled = common::fetch(shop.addr(), "/category/0", &[], 300);
    let raw = tokio::time::timeout(Duration::from_secs(10), stalled).await;
    assert!(raw.is_ok(), "the first bytes come");
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lastmod_moves_with_the_page_alone() {
    let shop = Shop::start(full(900)).await.unwrap();
    let model = shop.model();
    let mut parts = Vec::new();
    for day in [0, 1] {
        shop.set_day(day);
        let part = get(shop.addr(), "/sitemap-0.xml").await.text();
        let urls: Vec<String> = part.split("<url>").skip(1).map(str::to_owned).collect();
        parts.push(urls);
    }
    let changes = model.changes(1);
    let moved = parts[0]
        .iter()
        .zip(&parts[1])
        .filter(|(before, after)| before != after)
        .count();
    let listed = |id: &String| {
        let slot = model.slot_of(id).unwrap();
        let in_part = !matches!(model.place(slot), Place::Linked | Place::Related);
        slot < 300 && in_part && parts[0].iter().any(|url| url.contains(id))
    };
    let expected = changes.changed.iter().chain(&changes.gone);
    assert_eq!(moved, expected.filter(|id| listed(id)).count());
    assert!(moved > 0);
    shop.stop().await;
}

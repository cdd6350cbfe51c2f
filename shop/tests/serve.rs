//! What the running shop serves: determinism, days, validators, site, images, statistics, stop.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::Read;
use std::time::Duration;

use common::{get, get_with, parse};
use trawler_shop::{
    Charset, Compression, DayChange, FeedFormat, ImageMix, Kind, Packing, PageMarkup, Shop,
    ShopSpec, Validators, render_feed,
};

fn small() -> ShopSpec {
    ShopSpec {
        image_px: 48,
        ..ShopSpec::new("Test Shop", 5, 200)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_feed_served_is_the_feed_rendered() {
    let shop = Shop::start(small()).await.unwrap();
    for format in FeedFormat::ALL {
        for compression in Compression::ALL {
            let mut expected = Vec::new();
            render_feed(shop.model(), format, compression, 0, &mut expected).unwrap();
            let path = format!("{}{}", format.path(), compression.suffix());
            let reply = get(shop.addr(), &path).await;
            assert_eq!(reply.status, 200, "{path}");
            assert!(reply.complete && reply.body == expected, "{path}");
            assert_eq!(reply.header("content-length"), expected.len().to_string());
        }
    }
    assert_eq!(get(shop.addr(), "/feed/none.tsv").await.status, 404);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_feed_is_streamed_in_chunks() {
    let spec = ShopSpec::new("Large", 5, 12_000);
    let shop = Shop::start(spec).await.unwrap();
    let reply = get(shop.addr(), FeedFormat::NaverEp.path()).await;
    assert_eq!(reply.header("transfer-encoding"), "chunked");
    assert!(reply.complete && reply.body.len() > 4 << 20);
    assert_eq!(reply.text().lines().count(), 12_001);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_can_be_a_content_coding() {
    let spec = ShopSpec {
        packing: Packing::ContentEncoding,
        compression: Compression::Gzip,
        charset: Charset::Cp949,
        ..small()
    };
    let path = spec.feed_path();
    let shop = Shop::start(spec).await.unwrap();
    assert_eq!(shop.feed_url(), shop.url("/feed/naver-ep.tsv"));
    let plain = get(shop.addr(), &path).await;
    assert_eq!(plain.header("content-encoding"), "");
    let content_type = "text/tab-separated-values; charset=euc-kr";
    assert_eq!(plain.header("content-type"), content_type);
    let coded = get_with(shop.addr(), &path, &[("Accept-Encoding", "br, gzip")]).await;
    assert_eq!(coded.header("content-encoding"), "gzip");
    assert_eq!(coded.header("content-type"), content_type);
    assert_ne!(coded.header("etag"), plain.header("etag"));
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&coded.body[..])
        .read_to_end(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, plain.body);
    shop.stop().await;
}

/// Asks twice for a path, the second time with each validator; both must be 304 without a body.
async fn check_not_modified(shop: &Shop, path: &str) {
    let first = get(shop.addr(), path).await;
    assert_eq!(first.status, 200, "{path}");
    let etag = first.header("etag").to_owned();
    let modified = first.header("last-modified").to_owned();
    assert!(!etag.is_empty() && !modified.is_empty(), "{path}");
    for headers in [
        vec![("If-None-Match", etag.as_str())],
        vec![("If-Modified-Since", modified.as_str())],
        vec![("If-None-Match", "\"x\", W/\"y\", *")],
    ] {
        let again = get_with(shop.addr(), path, &headers).await;
        assert_eq!(again.status, 304, "{path} {headers:?}");
        assert!(again.body.is_empty());
        assert_eq!(again.header("etag"), etag);
    }
    // The tag goes first: a wrong one is not outweighed by a right date.
    let headers = [
        ("If-None-Match", "\"x\""),
        ("If-Modified-Since", modified.as_str()),
    ];
    assert_eq!(get_with(shop.addr(), path, &headers).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn validators_answer_304_for_feeds_pages_and_images() {
    let shop = Shop::start(small()).await.unwrap();
    let product = &shop.products(0)[0];
    let product_path = format!("/product/{}", product.id);
    let image_path = product.image_link[shop.url("").len()..].to_owned();
    for path in [
        FeedFormat::NaverEp.path(),
        "/feed/rss.xml.gz",
        "/",
        "/category/0",
        &product_path,
        "/sitemap.xml",
        "/sitemap-0.xml",
        &image_path,
    ] {
        check_not_modified(&shop, path).await;
    }
    assert_eq!(shop.stats().image.not_modified, 3);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_validators_nothing_is_304() {
    let spec = ShopSpec {
        validators: Validators::NONE,
        ..small()
    };
    let shop = Shop::start(spec).await.unwrap();
    for path in [FeedFormat::Csv.path(), "/", "/img/0-0.jpg"] {
        let reply = get_with(shop.addr(), path, &[("If-None-Match", "*")]).await;
        assert_eq!(reply.status, 200, "{path}");
        assert_eq!(reply.header("etag"), "", "{path}");
    }
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unchanged_day_keeps_the_validators_and_a_changed_one_does_not() {
    let path = FeedFormat::NaverEp.path();
    for (share, expected) in [(0.0, 304), (0.1, 200)] {
        let spec = ShopSpec {
            day_change: DayChange {
                changed_share: share,
                ..DayChange::NONE
            },
            ..small()
        };
        let shop = Shop::start(spec).await.unwrap();
        let etag = get(shop.addr(), path).await.header("etag").to_owned();
        shop.set_day(1);
        let again = get_with(shop.addr(), path, &[("If-None-Match", &etag)]).await;
        assert_eq!(again.status, expected, "share {share}");
        shop.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn images_change_break_and_move_as_the_model_says() {
    let spec = ShopSpec {
        day_change: DayChange {
            image_changed_share: 0.1,
            image_broken_share: 0.1,
            image_moved_share: 0.1,
            ..DayChange::NONE
        },
        image_mix: ImageMix {
            png_share: 0.2,
            webp_share: 0.2,
            gif_share: 0.2,
        },
        images_distinct: 40,
        ..small()
    };
    let shop = Shop::start(spec).await.unwrap();
    let mut met = [0; 4];
    for image in 0..40 {
        shop.set_day(0);
        let (before, after) = (shop.model().image(image, 0), shop.model().image(image, 1));
        let first = get(shop.addr(), &before.path()).await;
        assert_eq!(first.status, 200);
        assert_eq!(first.header("content-type"), before.format.media_type());
        assert!(image::load_from_memory(&first.body).is_ok());
        let etag = first.header("etag").to_owned();
        shop.set_day(1);
        let headers = [("If-None-Match", etag.as_str())];
        let second = get_with(shop.addr(), &before.path(), &headers).await;
        if after.broken {
            met[0] += 1;
            assert_eq!(second.status, 404);
        } else if after.moves > 0 {
            met[1] += 1;
            assert_eq!(second.status, 301);
            assert_eq!(second.header("location"), shop.url(&after.path()));
            assert_eq!(get(shop.addr(), &after.path()).await.body, first.body);
        } else if after.version > 0 {
            met[2] += 1;
            assert_eq!(second.status, 200);
            assert_ne!(second.body, first.body);
        } else {
            met[3] += 1;
            assert_eq!(second.status, 304);
        }
    }
    assert!(met[..3].iter().all(|n| (3..=5).contains(n)), "{met:?}");
    assert_eq!(get(shop.addr(), "/img/40-0.jpg").await.status, 404);
    shop.stop().await;
}

/// All values of `attribute="..."` in a page.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    html.split(&format!("{attribute}=\""))
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_product_is_reached_by_links_and_by_the_sitemap() {
    let spec = ShopSpec {
        page_size: 3,
        sitemap_part_urls: 50,
        day_change: DayChange {
            gone_share: 0.1,
            ..DayChange::NONE
        },
        ..small()
    };
    let shop = Shop::start(spec).await.unwrap();
    shop.set_day(1);
    let mut expected: Vec<String> = shop.products(1).into_iter().map(|p| p.link).collect();
    expected.sort();

    let mut by_links = Vec::new();
    let home = get(shop.addr(), "/").await.text();
    for category in values(&home, "href")
        .iter()
        .filter(|href| href.starts_with("/category/"))
    {
        let mut next = Some((*category).to_owned());
        while let Some(path) = next {
            let html = get(shop.addr(), &path).await.text();
            let links = values(&html, "href");
            let products = links.iter().filter(|href| href.starts_with("/product/"));
            by_links.extend(products.map(|href| shop.url(href)));
            next = html
                .split_once("<link rel=\"next\" href=\"")
                .map(|(_, rest)| rest.split('"').next().unwrap().to_owned());
        }
    }
    by_links.sort();
    assert_eq!(by_links, expected);

    let mut by_sitemap = Vec::new();
    let locations = |xml: &str| -> Vec<String> {
        let parts = xml.split("<loc>").skip(1);
        parts
            .map(|rest| rest.split('<').next().unwrap().to_owned())
            .collect()
    };
    let parts = locations(&get(shop.addr(), "/sitemap.xml").await.text());
    assert_eq!(parts.len(), 4);
    for part in parts {
        let xml = get(shop.addr(), &part[shop.url("").len()..]).await.text();
        by_sitemap.extend(locations(&xml));
    }
    by_sitemap.sort();
    assert_eq!(by_sitemap, expected);

    let gone = &shop.model().changes(1).gone[0];
    assert_eq!(
        get(shop.addr(), &format!("/product/{gone}")).await.status,
        404
    );
    assert_eq!(get(shop.addr(), "/category/0?page=99").await.status, 404);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn product_pages_say_the_price_in_every_markup() {
    let all = [
        (PageMarkup::JsonLd, "\"@type\":\"Product\""),
        (PageMarkup::JsonLdGraph, "\"@graph\""),
        (PageMarkup::OpenGraph, "product:price:amount"),
        (PageMarkup::Microdata, "itemprop=\"price\""),
    ];
    for (page_markup, sign) in all {
        let spec = ShopSpec {
            page_markup,
            page_charset: Charset::Cp949,
            ..small()
        };
        let shop = Shop::start(spec).await.unwrap();
        for product in shop.products(0).iter().take(10) {
            let reply = get(shop.addr(), &format!("/product/{}", product.id)).await;
            assert_eq!(reply.header("content-type"), "text/html; charset=euc-kr");
            let (html, _, malformed) = encoding_rs::EUC_KR.decode(&reply.body);
            assert!(!malformed && html.contains(sign), "{page_markup:?}");
            assert!(html.contains(&product.price_minor.to_string()));
            for json in html.split("<script type=\"application/ld+json\">").skip(1) {
                let json = json.split("</script>").next().unwrap();
                let data: serde_json::Value = serde_json::from_str(json).unwrap();
                let data = data["@graph"].get(1).unwrap_or(&data);
                assert_eq!(data["name"], *product.title);
                assert_eq!(data["offers"]["price"], product.price_minor.to_string());
            }
            // The mobile address shows the same page.
            let mobile = get(shop.addr(), &format!("/m/product/{}", product.id)).await;
            assert_eq!(mobile.body, reply.body);
        }
        shop.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn robots_and_packed_sitemaps() {
    let spec = ShopSpec {
        crawl_delay: Some(Duration::from_millis(1_500)),
        robots_disallow: vec!["/m/".into()],
        sitemap_gzip: true,
        public_url: Some("http://shop.example/".into()),
        ..small()
    };
    let shop = Shop::start(spec).await.unwrap();
    assert_eq!(
        get(shop.addr(), "/robots.txt").await.text(),
        "User-agent: *\nDisallow: /cart\nDisallow: /m/\nCrawl-delay: 1.5\n\n\
         Sitemap: http://shop.example/sitemap.xml\n"
    );
    let index = get(shop.addr(), "/sitemap.xml").await.text();
    assert!(index.contains("<loc>http://shop.example/sitemap-0.xml.gz</loc>"));
    let part = get(shop.addr(), "/sitemap-0.xml.gz").await;
    let mut xml = String::new();
    flate2::read::GzDecoder::new(&part.body[..])
        .read_to_string(&mut xml)
        .unwrap();
    assert_eq!(xml.matches("<url>").count(), 200);
    assert_eq!(get(shop.addr(), "/cart").await.status, 200);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn images_can_live_on_another_host() {
    let images = Shop::start(small()).await.unwrap();
    let spec = ShopSpec {
        public_image_url: Some(images.url("")),
        ..small()
    };
    let shop = Shop::start(spec).await.unwrap();
    let product = &shop.products(0)[0];
    assert!(product.link.starts_with(&shop.url("/product/")));
    let path = product.image_link.strip_prefix(&images.url("")).unwrap();
    let (there, here) = (get(images.addr(), path).await, get(shop.addr(), path).await);
    assert!(there.status == 200 && there.body == here.body);
    shop.stop().await;
    images.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_counted_and_remembered() {
    let shop = Shop::start(small()).await.unwrap();
    let reply = get_with(shop.addr(), "/img/0-0.jpg", &[("User-Agent", "tester/1")]).await;
    get_with(shop.addr(), "/img/0-0.jpg?again", &[("If-None-Match", "*")]).await;
    get(shop.addr(), "/robots.txt").await;
    let stats = shop.stats();
    assert_eq!(stats.image.requests, 2);
    assert_eq!(stats.image.not_modified, 1);
    assert_eq!(stats.image.body_bytes, reply.body.len() as u64);
    assert_eq!(stats.image.in_flight_max, 1);
    assert_eq!(stats.of(Kind::Robots).requests, 1);
    assert_eq!(stats.requests(), 3);
    let seen = shop.seen();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[0].user_agent.as_deref(), Some("tester/1"));
    assert_eq!(seen[1].target, "/img/0-0.jpg?again");
    assert!(seen[1].conditional && seen[1].status == 304 && !seen[0].conditional);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_can_have_a_chosen_port_and_frees_it_when_stopped() {
    let first = Shop::start(small()).await.unwrap();
    let addr = first.addr();
    let one = get(addr, FeedFormat::Json.path()).await.body;
    first.stop().await;
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
    let second = Shop::start_on(small(), addr).await.unwrap();
    assert_eq!(get(addr, FeedFormat::Json.path()).await.body, one);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_get_and_head_are_answered() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let shop = Shop::start(small()).await.unwrap();
    for (method, status) in [("POST", 405), ("HEAD", 200)] {
        let mut stream = tokio::net::TcpStream::connect(shop.addr()).await.unwrap();
        let request = format!("{method} / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut raw = Vec::new();
        stream.read_to_end(&mut raw).await.unwrap();
        let reply = parse(&raw).unwrap();
        assert_eq!(reply.status, status);
        assert!(reply.body.is_empty());
    }
    shop.stop().await;
}

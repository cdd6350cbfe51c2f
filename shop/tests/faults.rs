//! Each fault does over a real connection what it says.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::{fetch, get, get_with, parse};
use trawler_shop::{Fault, FeedFormat, Rule, Shop, ShopSpec};

const FEED: &str = "/feed/naver-ep.tsv";
const IMAGE: &str = "/img/0-0.jpg";

async fn start(rules: Vec<Rule>) -> Shop {
    let spec = ShopSpec {
        image_px: 48,
        misbehaviour: rules,
        ..ShopSpec::new("Bad Shop", 5, 300)
    };
    Shop::start(spec).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_comes_with_retry_after_and_heals() {
    let shop = start(vec![]).await;
    let fault = Fault::Status {
        code: 429,
        retry_after_s: Some(7),
    };
    shop.misbehave("/img/", fault);
    let reply = get(shop.addr(), IMAGE).await;
    assert_eq!((reply.status, reply.header("retry-after")), (429, "7"));
    assert_eq!(get(shop.addr(), FEED).await.status, 200, "another prefix");
    shop.heal();
    assert_eq!(get(shop.addr(), IMAGE).await.status, 200);
    assert_eq!(shop.stats().image.faults, 1);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_ends_after_the_first_requests_of_each_path() {
    let fault = Fault::Status {
        code: 503,
        retry_after_s: None,
    };
    let shop = start(vec![Rule::new("/img/", fault).first(2)]).await;
    for (path, expected) in [
        (IMAGE, 503),
        (IMAGE, 503),
        (IMAGE, 200),
        ("/img/1-0.jpg", 503),
    ] {
        assert_eq!(get(shop.addr(), path).await.status, expected, "{path}");
    }
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delay_and_a_drip_are_slow_but_right() {
    let shop = start(vec![]).await;
    let right = get(shop.addr(), IMAGE).await;
    let pause = Duration::from_millis(20);
    let pieces = 5;
    let piece_bytes = right.body.len().div_ceil(pieces);
    let drip = Fault::Drip {
        piece_bytes,
        every: pause,
    };
    for (fault, least) in [(Fault::Delay(pause), pause), (drip, pause * pieces as u32)] {
        shop.misbehave("/img/", fault);
        let asked = Instant::now();
        let reply = get(shop.addr(), IMAGE).await;
        assert!(asked.elapsed() >= least);
        assert!(reply.complete && reply.body == right.body);
        assert_eq!(
            reply.header("content-length"),
            right.header("content-length")
        );
    }
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_truncated_body_announces_more_than_it_sends() {
    let shop = start(vec![]).await;
    let right = get(shop.addr(), FEED).await;
    let length = right.body.len();
    for (after, expected) in [(1_000, 1_000), (u64::MAX, length - 1), (0, 0)] {
        shop.misbehave("/feed/", Fault::Truncate { after_bytes: after });
        let reply = get(shop.addr(), FEED).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-length"), length.to_string());
        assert!(
            !reply.complete && reply.body == right.body[..expected],
            "{after}"
        );
    }
    // A conditional request is still answered: there is nothing to cut.
    let again = get_with(
        shop.addr(),
        FEED,
        &[("If-None-Match", right.header("etag"))],
    )
    .await;
    assert_eq!(again.status, 304);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_truncated_stream_ends_without_its_last_chunk() {
    let spec = ShopSpec {
        misbehaviour: vec![Rule::new(
            "/feed/",
            Fault::Truncate {
                after_bytes: 5_000_000,
            },
        )],
        ..ShopSpec::new("Large", 5, 14_000)
    };
    let shop = Shop::start(spec).await.unwrap();
    let reply = get(shop.addr(), FEED).await;
    assert_eq!(reply.header("transfer-encoding"), "chunked");
    assert!(!reply.complete);
    assert_eq!(reply.body.len(), 5_000_000);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_and_html_instead() {
    let shop = start(vec![]).await;
    let right = get(shop.addr(), FEED).await;
    let label = "text/plain; charset=euc-kr";
    shop.misbehave("/feed/", Fault::Label(label.into()));
    let reply = get(shop.addr(), FEED).await;
    assert_eq!(reply.header("content-type"), label);
    assert_eq!(reply.body, right.body);
    shop.misbehave("/img/", Fault::HtmlInstead);
    let reply = get(shop.addr(), IMAGE).await;
    assert_eq!(reply.status, 200);
    assert!(reply.header("content-type").starts_with("text/html"));
    assert!(reply.text().starts_with("<!DOCTYPE html>"));
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_loop_or_lead_where_they_should_not() {
    let shop = start(vec![]).await;
    shop.misbehave("/img/", Fault::RedirectLoop);
    let mut path = IMAGE.to_owned();
    for hop in 1..=20 {
        let reply = get(shop.addr(), &path).await;
        assert_eq!(reply.status, 302);
        path = reply.header("location").to_owned();
        assert_eq!(path, format!("{IMAGE}?hop={hop}"));
    }
    let target = "http://169.254.169.254/latest/meta-data/";
    shop.misbehave("/img/", Fault::RedirectTo(target.into()));
    let reply = get(shop.addr(), IMAGE).await;
    assert_eq!((reply.status, reply.header("location")), (302, target));
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_closes_without_an_answer() {
    let shop = start(vec![Rule::new("/img/", Fault::Reset)]).await;
    assert!(fetch(shop.addr(), IMAGE, &[], usize::MAX).await.is_empty());
    assert_eq!(shop.seen()[0].status, 0);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_body_goes_on_until_the_reader_leaves() {
    let shop = start(vec![Rule::new("/img/", Fault::Endless)]).await;
    let raw = fetch(shop.addr(), IMAGE, &[], 20 << 20).await;
    let reply = parse(&raw).unwrap();
    assert_eq!(reply.status, 200);
    assert!(!reply.complete && reply.body.len() > 19 << 20);
    // Stopping joins the feeding task, so it also proves that the task has ended.
    tokio::time::timeout(Duration::from_secs(10), shop.stop())
        .await
        .expect("the endless feeder ends with its reader");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_huge_body_announces_its_length() {
    let shop = start(vec![Rule::new("/img/", Fault::Huge { bytes: 3_000_000 })]).await;
    let reply = get(shop.addr(), IMAGE).await;
    assert_eq!(reply.header("content-length"), "3000000");
    assert!(reply.complete && reply.body.len() == 3_000_000);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_does_not_wait_for_slow_answers() {
    let shop = start(vec![
        Rule::new("/img/", Fault::Endless),
        Rule::new("/feed/", Fault::Delay(Duration::from_secs(600))),
    ])
    .await;
    let addr = shop.addr();
    let mut readers = tokio::task::JoinSet::new();
    for path in [IMAGE, FEED] {
        readers.spawn(async move { fetch(addr, path, &[], usize::MAX).await });
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while shop.stats().requests() < 2 {
        assert!(Instant::now() < deadline, "both requests arrive");
        tokio::task::yield_now().await;
    }
    let stopped = tokio::time::timeout(Duration::from_secs(10), shop.stop()).await;
    assert!(stopped.is_ok());
    while readers.join_next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bombs_are_small_on_the_wire() {
    let decoded_bytes = 30_000_000;
    let shop = start(vec![
        Rule::new("/", Fault::Bomb { decoded_bytes }),
        Rule::new("/img/", Fault::PixelBomb { side_px: 60_000 }),
    ])
    .await;
    for (path, coding) in [(FEED, "gzip"), ("/feed/naver-ep.tsv.gz", "")] {
        let reply = get(shop.addr(), path).await;
        assert!(reply.complete && reply.body.len() < 100_000);
        assert_eq!(reply.header("content-encoding"), coding);
        let mut decoder = flate2::read::GzDecoder::new(&reply.body[..]);
        assert_eq!(
            std::io::copy(&mut decoder, &mut std::io::sink()).unwrap(),
            decoded_bytes
        );
    }
    let reply = get(shop.addr(), IMAGE).await;
    assert!(reply.body.starts_with(b"\x89PNG") && reply.body.len() < 2_000);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_of_paths_misbehaves() {
    let rule = Rule::new("/img/", Fault::HtmlInstead).share(0.5);
    let shop = start(vec![rule]).await;
    let mut html = 0;
    for image in 0..60 {
        let path = shop.model().image(image, 0).path();
        let reply = get(shop.addr(), &path).await;
        html += usize::from(reply.header("content-type").starts_with("text/html"));
    }
    assert!((15..=45).contains(&html), "{html} of 60");
    assert_eq!(FeedFormat::NaverEp.path(), FEED);
    shop.stop().await;
}

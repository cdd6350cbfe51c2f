//! Pages that behave.

use trawler_crawler::render::Rendered;

use super::shop::Shop;
use super::{Yard, built, document};

const PAGE: &str = r#"<!doctype html><title>Shop</title>
<link rel="stylesheet" href="/style.css"><div id="app">one moment</div>
<script>document.cookie = 'seen=1'</script><script src="/app.js"></script>"#;

const APP: &str = r#"
const put = async () => {
    const product = await (await fetch('/api/product.json')).json();
    const more = await fetch('/private/stock.json').then(() => 'stock', () => 'no stock');
    document.getElementById('app').innerHTML =
        `<h1>${product.name}</h1><p class="price">${product.price}</p><p>${more}</p>
         <img src="/img/1.jpg" onerror="this.remove()"><p>${document.cookie}</p>
         <p>${navigator.userAgent}</p>`;
};
put();
"#;

async fn shop() -> Shop {
    Shop::serve(&[
        ("/app.js", "text/javascript", APP.to_owned()),
        (
            "/style.css",
            "text/css",
            "@font-face { font-family: f; src: url(/f.woff2) } h1 { font-family: f }".to_owned(),
        ),
        (
            "/api/product.json",
            "application/json",
            r#"{"name":"Lamp Ö","price":"12,000원"}"#.to_owned(),
        ),
        ("/private/stock.json", "application/json", "{}".to_owned()),
        ("/img/1.jpg", "image/jpeg", "x".to_owned()),
        ("/f.woff2", "font/woff2", "x".to_owned()),
    ])
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_builds_itself_is_built_without_images_and_within_robots_txt() {
    let (shop, yard) = (shop().await, Yard::new(|_| {}));
    let session = yard.session(&shop).await;
    let page = document(&shop.url("/p/1"), PAGE);
    let built = built(session.render(&page).await.unwrap());
    for needed in [
        "<h1>Lamp Ö</h1>",
        "12,000원",
        "no stock",
        "seen=1",
        "src=\"/img/1.jpg\"",
        "Trawler/0.1 (+https://trawler.test)",
    ] {
        assert!(built.html.contains(needed), "{needed}: {}", built.html);
    }
    assert!(built.is_settled);
    let mut asked = shop.asked();
    asked.sort();
    assert_eq!(asked, ["/api/product.json", "/app.js", "/style.css"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_wants_to_be_elsewhere_says_so_and_does_not_go() {
    let (shop, yard) = (shop().await, Yard::new(|_| {}));
    let session = yard.session(&shop).await;
    for html in [
        "<script>location.href = '/p/2'</script>",
        "<meta http-equiv=refresh content='0; url=/p/2'>",
    ] {
        let page = document(&shop.url("/p/1"), html);
        let rendered = session.render(&page).await.unwrap();
        let elsewhere = shop.url("/p/2").parse().unwrap();
        assert_eq!(rendered, Rendered::Moved(elsewhere), "{html}");
    }
    assert_eq!(shop.asked(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_browser_serves_page_after_page_and_crawls_do_not_share_cookies() {
    let shop = shop().await;
    let yard = Yard::new(|settings| settings.browsers = 1);
    let (one, other) = (yard.session(&shop).await, yard.session(&shop).await);
    let set = document(
        &shop.url("/"),
        "<script>document.cookie = 'of=one'</script>",
    );
    let show = document(
        &shop.url("/"),
        "<script>document.write(document.cookie + '.')</script>",
    );
    built(one.render(&set).await.unwrap());
    let of_one = built(one.render(&show).await.unwrap());
    let of_other = built(other.render(&show).await.unwrap());
    assert!(of_one.html.contains("of=one."), "{}", of_one.html);
    assert!(!of_other.html.contains("of=one."), "{}", of_other.html);
    assert_eq!(yard.browsers.started(), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: prints what a page takes"]
async fn measured() {
    let (shop, yard) = (shop().await, Yard::new(|settings| settings.browsers = 1));
    let session = yard.session(&shop).await;
    let page = document(&shop.url("/p/1"), PAGE);
    let started = std::time::Instant::now();
    built(session.render(&page).await.unwrap());
    println!(
        "first page, with the start of a browser: {:?}",
        started.elapsed()
    );
    let started = std::time::Instant::now();
    for _ in 0..20 {
        built(session.render(&page).await.unwrap());
    }
    println!("a page: {:?}", started.elapsed() / 20);
    println!(
        "memory of the browser: {} MiB",
        yard.browsers.memory_bytes() >> 20
    );
}

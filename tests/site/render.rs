//! A shop whose pages build themselves by script, crawled with a browser
//! (`site.render = "chromium"`): the real program, a real Chromium.
//!
//! What a page in a browser may reach and cost is tested beside the browsers
//! (`crawler/tests/render`); here, that it is part of the crawl.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::child::{Running, assert_tidy};
use crate::rows::found;
use crate::server::{Answer, Server};
use crate::shops::PIPE;
use crate::support::Folder;
use crate::turns;

/// A browser takes seconds to start on a machine that does other things.
const RUN_MAX: Duration = Duration::from_secs(180);

const PRODUCTS: usize = 6;

/// What the shop answers on one day.
type Day = fn(&str) -> Answer;

/// What every page comes as: nothing, and a script.
const EMPTY: &str =
    "<!doctype html><title>Shop</title><div id=app></div><script src=/app.js></script>";

/// Products by JSON, their links on the home page, one page that has moved.
const APP: &str = r#"
(async () => {
    const app = document.getElementById('app');
    const id = location.pathname.split('/p/')[1];
    if (location.pathname === '/moved') { location.replace('/p/6'); return; }
    if (!id) {
        const ids = await (await fetch('/api/products.json')).json();
        app.innerHTML = ids.map(id => `<a href="/p/${id}">${id}</a>`).join('') + '<a href="/moved">6</a>';
        return;
    }
    const product = await (await fetch(`/api/products/${id}.json`)).json();
    const secret = await fetch('/secret/stock.json').then(() => 'InStock', () => 'OutOfStock');
    const data = { '@context': 'https://schema.org', '@type': 'Product', ...product,
        image: `/img/${id}.jpg`, offers: { '@type': 'Offer', price: product.price,
        priceCurrency: 'EUR', availability: `https://schema.org/${secret}` } };
    app.innerHTML = `<h1>${product.name}</h1><img src="/img/${id}.jpg">
        <script type="application/ld+json">${JSON.stringify(data)}<\/script>`;
})();
"#;

fn serve(path: &str) -> Answer {
    let typed = |kind: &str, body: String| Answer {
        headers: vec![("Content-Type", kind.to_owned())],
        ..Answer::of(body)
    };
    let product = path
        .strip_prefix("/api/products/")
        .and_then(|name| name.strip_suffix(".json"));
    match (path, product) {
        (_, Some(id)) => typed(
            "application/json",
            format!(r#"{{"name":"Lamp {id}","sku":"L{id}","price":"{id}.50"}}"#),
        ),
        ("/robots.txt", _) => typed(
            "text/plain",
            "User-agent: *\nDisallow: /secret/\n".to_owned(),
        ),
        ("/app.js", _) => typed("text/javascript", APP.to_owned()),
        // The last is found by way of the page that has moved alone.
        ("/api/products.json", _) => typed("application/json", "[1,2,3,4,5]".to_owned()),
        ("/" | "/moved", _) => typed("text/html; charset=utf-8", EMPTY.to_owned()),
        (path, _) if path.starts_with("/p/") => typed("text/html; charset=utf-8", EMPTY.to_owned()),
        _ => Answer::not_found(),
    }
}

/// The shop while the data of product 3 cannot be had.
fn serve_broken(path: &str) -> Answer {
    match path {
        "/api/products/3.json" => Answer {
            status: 503,
            ..Answer::of("")
        },
        path => serve(path),
    }
}

/// The shop when product 3 is gone.
fn serve_gone(path: &str) -> Answer {
    match path {
        "/api/products/3.json" => Answer::not_found(),
        path => serve(path),
    }
}

fn folder(server: &Server, render: &str) -> Folder {
    let folder = Folder::new(&[server.host()], "");
    let pipe = format!(
        "[source]\nkind = \"site\"\nurl = \"{}\"\n\n[schedule]\ncron = \"15 3 * * *\"\n\n\
         [images]\ncollect = false\n\n[fetch]\nrate_per_s = 1000.0\nconcurrency = 2\n\n\
         [site]\nsitemaps = \"none\"\nrender = \"{render}\"\n\n[site.links]\nfollow = true\n",
        server.url("/")
    );
    folder.pipe(PIPE, &pipe);
    folder
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_that_builds_itself_by_script_is_crawled_with_a_browser() {
    let _alone = turns::alone().await;
    let server = Server::start(serve);
    let folder = folder(&server, "chromium");
    let run = Running::start(&folder, &["run", "--once", "--pipe", PIPE, "--json"]);
    run.end(RUN_MAX).with_code(0);
    let rows = found(&folder, PIPE);
    assert_eq!(rows.len(), PRODUCTS, "{rows:?}");
    for row in rows.values() {
        // What robots.txt forbids was not asked for.
        assert_eq!(row.availability, "out_of_stock", "{row:?}");
        assert!(row.title.starts_with("Lamp "), "{row:?}");
    }
    let heads = server.heads();
    assert!(!heads.contains("get /secret/"), "{heads}");
    assert!(!heads.contains("get /img/"), "{heads}");
    assert_tidy(&folder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_05_a_page_whose_data_did_not_come_is_a_failed_page_and_delists_nobody() {
    let _alone = turns::alone().await;
    let day: Arc<Mutex<Day>> = Arc::new(Mutex::new(serve));
    let today = Arc::clone(&day);
    let server = Server::start(move |path| {
        let serve = *today.lock().unwrap();
        serve(path)
    });
    let folder = folder(&server, "chromium");
    let crawl = |code: i32| {
        let run = Running::start(&folder, &["run", "--once", "--pipe", PIPE, "--json"]);
        run.end(RUN_MAX).with_code(code);
        (found(&folder, PIPE), folder.last_run(PIPE))
    };
    let (healthy, _) = crawl(0);
    assert_eq!(healthy.len(), PRODUCTS, "{healthy:?}");
    *day.lock().unwrap() = serve_broken;
    let (rows, run) = crawl(3);
    assert_eq!(rows, healthy, "{run:#}");
    let told = run["incomplete"].to_string();
    assert!(told.contains("/api/products/3.json: status 503"), "{run:#}");
    // That it is not there is an answer.
    *day.lock().unwrap() = serve_gone;
    let (rows, run) = crawl(0);
    assert_eq!(rows.len(), PRODUCTS - 1, "{run:#}");
    assert_tidy(&folder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_chromium_check_and_the_run_say_what_to_install() {
    let _beside = turns::beside().await;
    let server = Server::start(serve);
    let folder = folder(&server, "chromium");
    let config = folder.path().join("trawler.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace(
        "[workers]\n",
        "[workers]\nchromium = \"/nowhere/chromium\"\n",
    );
    std::fs::write(&config, text).unwrap();
    let check = folder.trawler(&["check"]);
    assert!(
        check.stderr.contains("/nowhere/chromium"),
        "{}",
        check.stderr
    );
    let run = folder.trawler(&["run", "--once", "--pipe", PIPE, "--json"]);
    assert_ne!(run.code, Some(0));
    assert!(
        folder
            .last_run(PIPE)
            .to_string()
            .contains("/nowhere/chromium"),
        "{} {}",
        run.stdout,
        run.stderr
    );
    assert_eq!(server.requests(), 0);
}

//! Crawls that saw every page and are incomplete all the same: ids that are
//! none, and a host that has cost too much.

use trawler_core::run::Run;
use trawler_core::verdict::Ending;
use trawler_fleet::Drain;

use crate::desk::{Desk, Made, product_page, sitemap, status};
use crate::server::Answer;
use crate::turns;

const PAGES: usize = 200;

const FAST: &str = "rate_per_s = 1000.0, concurrency = 8";

async fn crawl(made: &Made, site: &str) -> Run {
    let desk = Desk::new(made, &[], FAST, site).await;
    assert_eq!(desk.deliver(&Drain::new()).await, Ending::Done);
    desk.run().await
}

/// A shop of which so many pages have the id of the first one.
fn with_one_id(of_them: usize) -> Made {
    Made::start(move |path, _| {
        let number = |path: &str| path.strip_prefix("/p/")?.parse::<usize>().ok();
        match (path, number(path)) {
            ("/sitemap.xml", _) => sitemap((0..PAGES).map(|n| format!("/p/{n}"))),
            (_, Some(n)) => {
                let id = if n <= of_them { 0 } else { n };
                product_page(&format!("id-{id}"), &format!("Thing {n}"))
            }
            _ => Answer::not_found(),
        }
    })
}

/// A few products are renamed while a shop is crawled; more than one in a
/// hundred rows means that the id is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_that_different_products_share_make_the_run_incomplete() {
    let _beside = turns::beside().await;
    for (of_them, is_complete) in [(1, true), (4, false)] {
        let run = crawl(&with_one_id(of_them), "").await;
        assert_eq!(run.counts.inserts as usize, PAGES - of_them, "{run:?}");
        let told = run.incomplete.join("; ");
        if is_complete {
            assert_eq!(told, "", "{run:?}");
        } else {
            let says = "4 row(s) have the id of another product, such as id-0";
            assert!(told.contains(says), "{told}");
        }
    }
}

/// A host that leads in circles is given up when it has cost twice the pages of
/// the run; what was not asked for then has failed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_is_given_up_makes_the_run_incomplete() {
    let _beside = turns::beside().await;
    let made = Made::start(|path, _| {
        let steps = path.matches("/on").count();
        match path {
            "/robots.txt" => Answer::not_found(),
            "/sitemap.xml" => sitemap((0..60).map(|n| format!("/p/{n}"))),
            _ if steps < 4 => status(302, vec![("Location", format!("{path}/on"))]),
            _ => {
                let id = path.replace("/on", "").replace("/p/", "id-");
                product_page(&id, &id)
            }
        }
    });
    let run = crawl(&made, "[site.limits]\npages_max = 100\n").await;
    let told = run.incomplete.join("; ");
    println!("{told}");
    assert!(told.contains("max_error_share"), "{told}");
    assert!(told.contains("200 requests"), "{told}");
    // The file of robots is asked for by the process, and not by the crawl.
    let asked = made.requests("/") - made.requests("/robots.txt");
    assert_eq!(asked, 200, "requests");
    assert!(
        run.counts.inserts > 20 && run.counts.inserts < 60,
        "{run:?}"
    );
}

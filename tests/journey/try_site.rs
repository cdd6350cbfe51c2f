//! `try robots` and `try url`: what a site's robots file says, and what the
//! address policy decides on the way of a URL.

use std::net::TcpListener;
use std::process::Command;

use serde_json::Value;
use trawler_shop::{Fault, Rule, Shop, ShopSpec};

use crate::server::{Answer, Server};
use crate::support::{Ended, TRAWLER};

/// The program without a folder of its own.
fn trawler(args: &[&str]) -> Ended {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(TRAWLER);
    Ended::from(command.current_dir(dir.path()).args(args).output().unwrap())
}

/// What `try robots` says; allowed or denied, it has done what was asked.
fn robots(input: &str, agent: &str, url: &str, more: &[&str]) -> Value {
    let args = [&["try", "robots", input, agent, url, "--json"], more].concat();
    trawler(&args).with_code(0).json()
}

fn way(url: &str, more: &[&str]) -> Ended {
    trawler(&[&["try", "url", url, "--json"], more].concat())
}

fn redirect(to: &str) -> Answer {
    Answer {
        status: 302,
        headers: vec![("Location", to.to_owned())],
        ..Answer::of("")
    }
}

#[test]
fn try_robots_says_which_line_of_a_file_decides() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("robots.txt");
    let file = path.to_str().unwrap();
    std::fs::write(
        &path,
        "User-agent: *\nDisallow: /cart\nAllow: /cart/help\nCrawl-delay: 1.5\n\
         User-agent: FooBot\nDisallow: /\nSitemap: https://shop.example/s.xml\n",
    )
    .unwrap();
    for (agent, url, allowed, line) in [
        ("BarBot", "https://shop.example/cart/1?a=b", false, Some(2)),
        ("BarBot", "/cart/help", true, Some(3)),
        ("BarBot", "/item", true, None),
        ("foobot", "/item", false, Some(6)),
        ("FooBot/1.0 (+https://foo.example)", "/item", false, Some(6)),
        ("FooBot", "", false, Some(6)),
        ("FooBot", "/robots.txt", true, None),
        ("", "/cart", false, Some(2)),
        ("", "", true, None),
    ] {
        let report = robots(file, agent, url, &[]);
        assert_eq!(report["allowed"], allowed, "{agent:?} {url:?}: {report:#}");
        let expected = line.map_or(Value::Null, Value::from);
        assert_eq!(report["line"], expected, "{agent:?} {url:?}: {report:#}");
        assert_eq!(report["rule"].is_string(), line.is_some(), "{report:#}");
        assert_eq!(report["availability"], "found");
        assert_eq!(report["sitemaps"][0], "https://shop.example/s.xml");
    }
    assert_eq!(robots(file, "a", "/", &[])["crawl_delay_s"], 1.5);
    // People see as much.
    let told = trawler(&["try", "robots", file, "a", "/cart"]).with_code(0);
    assert_eq!(
        told.stdout,
        "denied: line 2, Disallow: /cart\ncrawl delay: 1.5 s\nsitemap: https://shop.example/s.xml\n"
    );
    // A partner's control characters do not reach the terminal.
    std::fs::write(
        &path,
        "User-agent: *\nDisallow: /\u{1b}[31m*\nDisallow: /\n",
    )
    .unwrap();
    let told = trawler(&["try", "robots", file, "a", "/%1b[31mx"]).with_code(0);
    assert!(!told.stdout.contains('\u{1b}'), "{told:?}");
    // Nothing in it, and nothing there.
    std::fs::write(&path, "").unwrap();
    let report = robots(file, "", "", &[]);
    assert_eq!(
        (&report["allowed"], &report["line"]),
        (&true.into(), &Value::Null)
    );
    let absent = trawler(&["try", "robots", "absent.txt", "a", "/"]).with_code(1);
    assert!(absent.stderr.contains("absent.txt"), "{absent:?}");
    trawler(&["try", "robots", file, "a"]).with_code(2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn try_robots_tells_what_a_status_means() {
    let shop = Shop::start(ShopSpec::new("robots", 81, 3)).await.unwrap();
    let (host, url) = (shop.addr().to_string(), shop.url("/robots.txt"));
    let allow = ["--allow", &*host];
    let page = shop.products(0).remove(0).link;
    // Not let in, nothing is asked: that is no answer of the shop.
    let refused = trawler(&["try", "robots", &url, "a", &page]).with_code(1);
    assert!(refused.stderr.contains("net.allow"), "{refused:?}");
    assert_eq!(shop.stats().requests(), 0);
    // The shop's own file.
    let cart = robots(&url, "a", &shop.url("/cart"), &allow);
    assert_eq!(
        (&cart["allowed"], &cart["line"]),
        (&false.into(), &2.into())
    );
    assert_eq!(cart["sitemaps"][0], *shop.url("/sitemap.xml"));
    assert_eq!(
        robots(&url, "a", &page, &allow)["because"],
        "no_rule_matches"
    );
    for (status, allowed, availability) in [
        (403, true, "unavailable"),
        (404, true, "unavailable"),
        (410, true, "unavailable"),
        (500, false, "unreachable"),
        (503, false, "unreachable"),
    ] {
        shop.heal();
        let fault = Fault::Status {
            code: status,
            retry_after_s: None,
        };
        shop.misbehave_by(Rule::new("/robots.txt", fault));
        let report = robots(&url, "a", &page, &allow);
        assert_eq!(report["allowed"], allowed, "{status}: {report:#}");
        assert_eq!(report["availability"], availability, "{status}: {report:#}");
        assert_eq!(report["because"], availability);
        assert_eq!(report["line"], Value::Null);
        let reason = report["reason"].as_str().unwrap();
        assert!(reason.contains(&status.to_string()), "{reason}");
    }
    let told = [&["try", "robots", &*url, "a", &*page][..], &allow].concat();
    let told = trawler(&told).with_code(0);
    assert!(told.stdout.starts_with("denied: nobody knows"), "{told:?}");
    shop.stop().await;
}

#[test]
fn try_robots_follows_five_redirects_and_takes_more_for_no_file() {
    let server = Server::start(|path| match path {
        "/robots.txt" => Answer::of("User-agent: *\nDisallow: /x\n"),
        "/silent" => Answer {
            status: 204,
            ..Answer::of("")
        },
        "/inside" => redirect("http://127.0.0.2:9/robots.txt"),
        "/endless" => redirect("/endless/"),
        path if path.starts_with("/endless/") => redirect(&format!("{path}x")),
        path => match path.trim_start_matches('/').parse::<u32>() {
            Ok(1) => redirect("/robots.txt"),
            Ok(more) => redirect(&format!("/{}", more - 1)),
            Err(_) => Answer::not_found(),
        },
    });
    let host = server.host();
    let allow = ["--allow", &*host];
    for (path, allowed, because) in [
        ("/robots.txt", false, "rule"),
        ("/5", false, "rule"),
        ("/6", true, "unavailable"),
        ("/endless", true, "unavailable"),
        ("/none", true, "unavailable"),
        // Nothing to say is an empty file.
        ("/silent", true, "no_group"),
        // What we may not ask for is not there for us.
        ("/inside", false, "unreachable"),
    ] {
        let report = robots(&server.url(path), "a", "/x", &allow);
        assert_eq!(report["allowed"], allowed, "{path}: {report:#}");
        assert_eq!(report["because"], because, "{path}: {report:#}");
    }
    // Nobody listens there any more.
    let gone = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://{gone}/robots.txt");
    let report = robots(&url, "a", "/y", &["--allow", &gone.to_string()]);
    assert_eq!(report["because"], "unreachable", "{report:#}");
    assert_eq!(report["allowed"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn try_url_says_what_is_decided_at_each_hop() {
    let shop = Shop::start(ShopSpec::new("way", 82, 3)).await.unwrap();
    let page = shop.products(0).remove(0).link;
    let (shop_host, to) = (shop.addr().to_string(), page.clone());
    let entrance = Server::start(move |path| match path {
        "/start" => redirect("/next"),
        "/metadata" => redirect("http://169.254.169.254/latest/meta-data/"),
        "/file" => redirect("file:///etc/passwd"),
        _ => redirect(&to),
    });
    let (start, host) = (entrance.url("/start"), entrance.host());
    // Nothing is let in: refused, and nothing was asked.
    let report = way(&start, &[]).with_code(0).json();
    assert_eq!(report["end"], "refused", "{report:#}");
    let address = &report["hops"][0]["addresses"][0];
    assert_eq!(address["address"], *host);
    assert_eq!(address["allowed"], false);
    assert!(
        address["reason"].as_str().unwrap().contains("loopback"),
        "{report:#}"
    );
    assert_eq!(entrance.requests(), 0);
    // Two hops are let in, the third is not.
    let allow = ["--allow", &*host];
    let report = way(&start, &allow).with_code(0).json();
    assert_eq!(report["end"], "refused", "{report:#}");
    let hops = report["hops"].as_array().unwrap();
    let allowed: Vec<&Value> = hops.iter().map(|hop| &hop["allowed"]).collect();
    assert_eq!(allowed, [true, true, false], "{report:#}");
    assert_eq!(hops[1]["location"], *page);
    assert_eq!(
        (&hops[1]["status"], &hops[2]["status"]),
        (&302.into(), &Value::Null)
    );
    assert_eq!(shop.stats().requests(), 0);
    // All three are.
    let all = ["--allow", &*host, "--allow", &*shop_host];
    let report = way(&start, &all).with_code(0).json();
    assert_eq!(report["end"], "answered", "{report:#}");
    assert_eq!(
        (&report["status"], &report["reason"]),
        (&200.into(), &Value::Null)
    );
    assert_eq!(report["hops"][2]["url"], *page);
    let told = [&["try", "url", &*start][..], &all].concat();
    let told = trawler(&told).with_code(0).stdout;
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], start, "{told}");
    assert_eq!(lines[1], format!("  {host} is allowed"));
    assert_eq!(lines[2], "  answered with status 302, to /next");
    assert_eq!(lines.last(), Some(&"allowed: every hop may be asked for"));
    // The way inside is refused wherever it begins; one that leads nowhere fails.
    let report = way(&entrance.url("/metadata"), &all).with_code(0).json();
    assert_eq!(report["end"], "refused", "{report:#}");
    let reason = report["hops"][1]["addresses"][0]["reason"]
        .as_str()
        .unwrap();
    assert!(reason.contains("169.254.169.254"), "{reason}");
    let report = way(&entrance.url("/file"), &all).with_code(1).json();
    assert_eq!(report["end"], "failed", "{report:#}");
    // What is no URL for the web is a mistake of the command line.
    for wrong in [
        "shop.example",
        "ftp://shop.example/",
        "http://a:b@shop.example/",
        "",
    ] {
        way(wrong, &[]).with_code(2);
    }
    way(&start, &["--allow", "127.0.0.1"]).with_code(2);
    shop.stop().await;
}

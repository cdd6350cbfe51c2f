#![allow(clippy::unwrap_used)]

use serde_json::json;
use url::Url;

use super::*;

fn start() -> Url {
    Url::parse("https://www.shop.example/").unwrap()
}

fn read(value: serde_json::Value) -> Result<SiteOptions, String> {
    let options: SiteOptions = serde_json::from_value(value).map_err(|e| e.to_string())?;
    match options.problems(&start()).first() {
        None => Ok(options),
        Some(problem) => Err(format!(
            "{} = {}: {}",
            problem.key, problem.found, problem.allowed
        )),
    }
}

#[test]
fn an_empty_table_is_enough() {
    let options = read(json!({})).unwrap();
    assert_eq!(options, SiteOptions::default());
    assert_eq!(options.sitemaps, Sitemaps::Word(SitemapWord::Robots));
    let back = serde_json::to_value(&options).unwrap();
    assert_eq!(read(back).unwrap(), options);
}

#[test]
fn everything_can_be_said() {
    let options = read(json!({
        "hosts": ["m.shop.example", "*.cdn.example"],
        "robots": "ignore",
        "robots_ignored_because": "our own outlet",
        "sitemaps": ["https://static.example/map.xml.gz"],
        "sitemap_allow": ["/sitemap_products_*"],
        "urls": ["https://m.shop.example/p/1"],
        "categories": [
            {"url": "https://shop.example/shoes"},
            {"url": "https://shop.example/hats", "next": "a.next", "products": ".card a"},
            {"url": "https://shop.example/bags", "pages": "one"},
            {"url": "https://shop.example/belts", "pages": {"parameter": "page", "first": 0}},
            {"url": "https://shop.example/socks", "pages": {"template": "/socks/{page}/"}, "pages_max": 5},
        ],
        "json": [
            {"url": "https://shop.example/api?page={page}", "link": "url", "items": "data.items"},
            {"url": "https://shop.example/api?after={cursor}", "link": "/p/{handle}", "next": "meta.cursor"},
            {"url": "https://shop.example/api?from={offset}", "link": "url", "step": 50, "first": 0},
        ],
        "links": {"follow": true, "products": ["/p/*.html$"], "deny": ["*sort="], "depth_max": 3},
        "canonical": {"keep_query": ["id", "v_*"], "trailing_slash": "remove",
            "host_aliases": {"www.shop.example": "shop.example"}, "scheme": "https"},
        "extract": {"fields": {"price": ["meta.p@content", ".price"], "title": "h1"}, "variants": "main"},
        "unchanged": {"lastmod": "ignore", "recheck_days": 0},
        "limits": {"pages_max": 10},
        "render": "none",
        "currency": "EUR",
    }))
    .unwrap();
    let back = serde_json::to_value(&options).unwrap();
    assert_eq!(read(back).unwrap(), options);
    assert_eq!(options.extract.fields["title"].as_slice(), ["h1"]);
    assert_eq!(options.categories[3].pages, {
        let parameter = Some("page".to_owned());
        Some(CategoryPages::Numbered(NumberedPages {
            parameter,
            template: None,
            first: 0,
            step: 1,
        }))
    });
}

#[test]
fn what_is_wrong_is_named() {
    let check = |value: serde_json::Value, said: &str| {
        let error = read(value.clone()).unwrap_err();
        assert!(error.contains(said), "{value}: {error}");
    };
    check(json!({"sitemap": "none"}), "unknown field");
    check(json!({"sitemaps": "all"}), "a list of absolute URLs");
    check(json!({"sitemaps": []}), "sitemaps = []");
    check(json!({"sitemaps": ["ftp://shop.example/m"]}), "http://");
    check(json!({"sitemaps": "none"}), "nothing else to begin with");
    check(
        json!({"urls": ["https://ann:pw@shop.example/"]}),
        "credentials (not shown)",
    );
    check(json!({"urls": ["https://other.example/"]}), "site.hosts");
    check(json!({"hosts": ["https://m.shop.example"]}), "hosts = ");
    check(json!({"hosts": ["*"]}), "hosts = ");
    check(json!({"robots": "ignore"}), "robots_ignored_because");
    check(
        json!({"robots_ignored_because": "our own outlet"}),
        "only with robots",
    );
    check(json!({"links": {"deny": ["cart"]}}), "links.deny");
    check(json!({"links": {"depth_max": 1001}}), "links.depth_max");
    check(
        json!({"canonical": {"keep_query": ["a"], "drop_query": ["b"]}}),
        "canonical.drop_query",
    );
    check(
        json!({"canonical": {"host_aliases": {"a.example": "b.example", "b.example": "c.example"}}}),
        "no alias itself",
    );
    check(json!({"canonical": {"index_names": [".."]}}), "index_names");
    check(
        json!({"extract": {"fields": {"Price": "p"}}}),
        "extract.fields.Price",
    );
    check(
        json!({"extract": {"fields": {"price": []}}}),
        "at least one",
    );
    check(
        json!({"extract": {"fields": {"price": 5}}}),
        "a CSS selector or a list",
    );
    check(json!({"unchanged": {"recheck_days": 366}}), "0 to 365");
    check(
        json!({"limits": {"max_error_share": 1.5}}),
        "max_error_share",
    );
    check(json!({"limits": {"pages_max": 0}}), "limits.pages_max");
    check(
        json!({"limits": {"page_bytes_max": 9 << 20}}),
        "page_bytes_max",
    );
}

#[test]
fn contradictions_of_listings_are_named() {
    let category = |more: serde_json::Value, said: &str| {
        let mut value = json!({"url": "https://shop.example/c"});
        value
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let error = read(json!({"categories": [value]})).unwrap_err();
        assert!(error.contains(said), "{more}: {error}");
    };
    category(json!({"next": " "}), "categories[0].next");
    category(json!({"next": "a", "pages": "one"}), "either next or pages");
    category(json!({"pages": "all"}), "\"one\" or a table");
    category(json!({"pages": {}}), "neither");
    category(
        json!({"pages": {"parameter": "p", "template": "/{page}"}}),
        "both",
    );
    category(json!({"pages": {"template": "/c/page"}}), "{page} once");
    category(json!({"pages": {"parameter": "a&b"}}), "parameter");
    category(
        json!({"pages": {"parameter": "p", "step": 0}}),
        "pages.step",
    );
    category(json!({"pages_max": 0}), "categories[0].pages_max");
    let endpoint = |url: &str, more: serde_json::Value, said: &str| {
        let mut value = json!({"url": url, "link": "url"});
        value
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let error = read(json!({"json": [value]})).unwrap_err();
        assert!(error.contains(said), "{url} {more}: {error}");
    };
    let api = "https://shop.example/api";
    endpoint("/api", json!({}), "an absolute URL");
    endpoint("https://evil.example/api", json!({}), "site.hosts");
    endpoint(
        "https://shop{page}.example/api",
        json!({}),
        "behind the host",
    );
    endpoint(
        "https://shop.example/{page}/{offset}",
        json!({}),
        "at most one",
    );
    endpoint(
        "https://shop.example/?c={cursor}",
        json!({}),
        "json[0].next",
    );
    endpoint(api, json!({"first": 1}), "only with {page}");
    endpoint(api, json!({"link": "/p/{handle"}), "json[0].link");
    endpoint(api, json!({"link": ""}), "json[0].link");
    endpoint(api, json!({"items": "a..b"}), "json[0].items");
    endpoint(
        "https://shop.example/?p={page}",
        json!({"next": "meta.next"}),
        "one way to go on",
    );
}

#[test]
fn hosts_of_the_shop() {
    let options = SiteOptions {
        hosts: vec!["m.shop.example".to_owned(), "*.brand.example".to_owned()],
        ..SiteOptions::default()
    };
    let check = |host: &str, expected: bool| {
        assert_eq!(
            options.is_host("www.shop.example", host),
            expected,
            "{host}"
        );
    };
    check("www.shop.example", true);
    check("shop.example", true);
    check("m.shop.example", true);
    check("x.m.shop.example", false);
    check("a.brand.example", true);
    check("brand.example", false);
    check("notbrand.example", false);
    check("othershop.example", false);
    assert!(options.is_host("shop.example", "www.shop.example"));
}

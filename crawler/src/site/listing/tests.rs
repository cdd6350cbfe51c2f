//! What comes behind a page, without HTML.

#![allow(clippy::unwrap_used)]

use serde_json::json;
use trawler_core::site::{CategoryOptions, JsonOptions, LinkOptions, SiteLimits, SiteOptions};

use super::super::links::LinkRules;
use super::super::url::CanonicalRules;
use super::page::NextLink;
use super::*;

fn url(text: &str) -> CanonicalUrl {
    let text = match text.starts_with('/') {
        true => format!("https://shop.example{text}"),
        false => text.to_owned(),
    };
    CanonicalUrl::stored(&text).unwrap()
}

fn links() -> LinkRules {
    let options = SiteOptions {
        links: LinkOptions {
            products: vec!["/p/".to_owned()],
            ..LinkOptions::default()
        },
        ..SiteOptions::default()
    };
    LinkRules::new(&options, &url("/"))
}

fn category(options: serde_json::Value) -> Category {
    let options: CategoryOptions = serde_json::from_value(options).unwrap();
    let limits = SiteLimits {
        listing_pages_max: 100,
        ..SiteLimits::default()
    };
    Category::new(0, &options, &limits, &CanonicalRules::default()).unwrap()
}

fn page(products: usize, next: Option<&str>) -> CategoryPage {
    CategoryPage {
        products: (0..products).map(|n| url(&format!("/p/{n}"))).collect(),
        listed: products as u64,
        bad: 0,
        next: next.map_or(NextLink::None, |next| NextLink::Page(url(next))),
    }
}

fn at(page: u32, number: i64) -> Place {
    Place { page, number }
}

/// `/path page number`, or why there is none.
fn shown(next: &Next) -> String {
    match next {
        Next::Page(url, place) => {
            format!("{} {} {}", url.path_and_query(), place.page, place.number)
        }
        Next::End(end) => format!("end: {end}"),
        Next::Broken(why) => format!("broken: {why}"),
    }
}

#[test]
fn categories_go_on_by_number() {
    let numbered = category(json!({
        "url": "https://shop.example/shoes?sort=up", "pages": {"parameter": "page"}
    }));
    assert_eq!(numbered.start(), (url("/shoes?sort=up"), Place::START));
    let check = |place: Place, products: usize, new: u64, expected: &str| {
        let next = numbered.next(place, &url("/shoes"), &page(products, None), new, &links());
        assert_eq!(shown(&next), expected, "{place:?} {products} {new}");
    };
    check(at(0, 0), 20, 20, "/shoes?page=2&sort=up 1 0");
    check(at(1, 0), 20, 1, "/shoes?page=3&sort=up 2 0");
    check(
        at(2, 0),
        20,
        0,
        "end: the page lists nothing that the pages before did not",
    );
    check(at(2, 0), 0, 0, "end: the page lists nothing");
    // What other lists and sitemaps name does not end this one.
    check(at(0, 0), 20, 0, "/shoes?page=2&sort=up 1 0");
    check(
        at(0, 0),
        0,
        0,
        "end: the list is empty from its first page on",
    );
    check(at(98, 0), 20, 20, "/shoes?page=100&sort=up 99 0");
    check(
        at(99, 0),
        20,
        20,
        "broken: the list has more than 100 pages; its pages_max, or else limits.listing_pages_max, is the bound",
    );
    let left = CategoryPage {
        listed: 20,
        ..page(0, None)
    };
    let next = numbered.next(at(2, 0), &url("/shoes"), &left, 0, &links());
    assert_eq!(shown(&next), "/shoes?page=4&sort=up 3 0");
    assert_eq!(
        shown(&numbered.gone(at(5, 0))),
        "end: the page is not there"
    );
    assert!(shown(&numbered.gone(at(0, 0))).starts_with("broken: "));
    let moved = numbered.moved(at(5, 0), &url("/shoes?sort=up"), &links());
    assert_eq!(shown(&moved), "end: the page leads back to the first one");
}

#[test]
fn numbers_stand_where_the_pipe_says() {
    let second = |options: serde_json::Value| {
        let category = category(options);
        let (start, place) = category.start();
        shown(&category.next(place, &start, &page(1, None), 1, &links()))
    };
    let c = "https://shop.example/c/";
    let parameter = json!({"parameter": "p[no]", "first": 0, "step": 24});
    assert_eq!(
        second(json!({"url": c, "pages": parameter})),
        "/c/?p%5Bno%5D=24 1 0"
    );
    let set = "https://shop.example/c?page=1&a=b";
    assert_eq!(
        second(json!({"url": set, "pages": {"parameter": "page"}})),
        "/c?a=b&page=2 1 0"
    );
    let template = json!({"template": "/c/page/{page}/"});
    assert_eq!(
        second(json!({"url": c, "pages": template})),
        "/c/page/2/ 1 0"
    );
    let absolute = json!({"template": "https://shop.example/list?c=1&o={page}", "step": 10});
    assert_eq!(
        second(json!({"url": c, "pages": absolute})),
        "/list?c=1&o=11 1 0"
    );
    assert_eq!(
        second(json!({"url": c, "pages": "one"})),
        "end: it is a list of one page"
    );
}

#[test]
fn categories_go_on_by_link() {
    let linked = category(json!({"url": "https://shop.example/shoes"}));
    let check = |place: Place, page: &CategoryPage, new: u64, expected: &str| {
        let next = linked.next(place, &url("/shoes?page=2"), page, new, &links());
        assert_eq!(shown(&next), expected, "{place:?} {page:?}");
    };
    let next = Some("/shoes?page=3");
    check(at(1, 0), &page(9, next), 9, "/shoes?page=3 2 0");
    check(
        at(1, 0),
        &page(9, None),
        9,
        "end: the page names no next one",
    );
    check(
        at(0, 0),
        &page(0, None),
        0,
        "end: the list is empty from its first page on",
    );
    check(
        at(1, 0),
        &page(9, Some("/shoes?page=2")),
        9,
        "end: the page names itself as the next one",
    );
    check(
        at(1, 0),
        &page(9, Some("/shoes")),
        9,
        "end: the page leads back to the first one",
    );
    // Products move while a list is read; a page may bring nothing new.
    check(at(1, 0), &page(9, next), 0, "/shoes?page=3 2 1");
    check(at(2, 1), &page(0, next), 0, "/shoes?page=3 3 2");
    check(at(3, 1), &page(9, next), 1, "/shoes?page=3 4 0");
    check(
        at(3, 2),
        &page(9, next),
        0,
        "broken: 3 pages one behind the other name a next one and bring nothing new",
    );
    check(
        at(99, 0),
        &page(9, next),
        9,
        "broken: the list has more than 100 pages; its pages_max, or else limits.listing_pages_max, is the bound",
    );
    check(
        at(1, 0),
        &page(9, Some("https://b.example/")),
        9,
        "broken: the next page would be on b.example, which is not a host of the shop",
    );
    assert!(shown(&linked.gone(at(3, 0))).starts_with("broken: "));
    let moved = linked.moved(at(3, 0), &url("/shoes/3"), &links());
    assert_eq!(shown(&moved), "/shoes/3 3 0");
}

#[test]
fn a_parameter_that_products_do_without_still_numbers_pages() {
    let rules = CanonicalRules::new(&trawler_core::site::CanonicalOptions {
        keep_query: vec!["id".to_owned()],
        ..Default::default()
    });
    let options = json!({"url": "https://shop.example/c?x=1", "pages": {"parameter": "page"}});
    let options: CategoryOptions = serde_json::from_value(options).unwrap();
    let category = Category::new(0, &options, &SiteLimits::default(), &rules).unwrap();
    let next = category.next(Place::START, &url("/c?x=1"), &page(1, None), 1, &links());
    assert_eq!(shown(&next), "/c?page=2&x=1 1 0");
}

#[test]
fn what_cannot_be_used_is_told_at_once() {
    let check = |options: serde_json::Value, said: &str| {
        let options: CategoryOptions = serde_json::from_value(options).unwrap();
        let limits = SiteLimits::default();
        let error = Category::new(3, &options, &limits, &CanonicalRules::default()).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    };
    let c = "https://shop.example/c";
    check(json!({"url": c, "next": "a["}), "site.categories[3].next");
    check(
        json!({"url": c, "products": "::before"}),
        "site.categories[3].products",
    );
    check(
        json!({"url": c, "pages": {"template": "ftp://{page}"}}),
        "site.categories[3].pages",
    );
    check(
        json!({"url": "https://ann@shop.example/"}),
        "site.categories[3].url",
    );
}

fn endpoint(options: serde_json::Value) -> Endpoint {
    let options: JsonOptions = serde_json::from_value(options).unwrap();
    let limits = SiteLimits::default();
    Endpoint::new(0, &options, &limits, &CanonicalRules::default()).unwrap()
}

fn read(endpoint: &Endpoint, body: &str) -> Result<JsonPage, Broken> {
    let from = url("/api");
    endpoint.read(&from, body.as_bytes(), &CanonicalRules::default(), &links())
}

#[test]
fn endpoints_are_read_until_they_are_empty() {
    let walk = |options: serde_json::Value, answers: &[&str]| {
        let endpoint = endpoint(options);
        let (mut at, mut place) = endpoint.start().unwrap();
        let mut asked = Vec::new();
        for answer in answers {
            asked.push(at.path_and_query().to_owned());
            let page = read(&endpoint, answer).unwrap();
            let new = page.products.len() as u64;
            match endpoint.next(place, &at, &page, new, &links()) {
                Next::Page(next, after) => (at, place) = (next, after),
                ended => {
                    asked.push(shown(&ended));
                    break;
                }
            }
        }
        asked.join(" | ")
    };
    let api = "https://shop.example/api";
    let two = r#"{"data": {"items": [{"url": "/p/1"}, {"url": "/p/2"}]}}"#;
    let none = r#"{"data": {"items": []}}"#;
    let options = |url: String| json!({"url": url, "items": "data.items", "link": "url"});
    assert_eq!(
        walk(options(format!("{api}?page={{page}}")), &[two, two, none]),
        "/api?page=1 | /api?page=2 | /api?page=3 | end: the page lists nothing"
    );
    assert_eq!(
        walk(options(format!("{api}/{{offset}}/x")), &[two, two, none]),
        "/api/0/x | /api/2/x | /api/4/x | end: the page lists nothing"
    );
    let mut stepped = options(format!("{api}?from={{offset}}"));
    stepped["step"] = json!(50);
    stepped["first"] = json!(1);
    assert_eq!(
        walk(stepped, &[two, none]),
        "/api?from=1 | /api?from=51 | end: the page lists nothing"
    );
    let cursor = json!({"url": format!("{api}?after={{cursor}}"), "items": "items", "link": "u", "next": "meta.next"});
    let answer =
        |next: &str| format!(r#"{{"items": [{{"u": "/p/1"}}], "meta": {{"next": {next}}}}}"#);
    assert_eq!(
        walk(
            cursor.clone(),
            &[&answer("\"a+/= b\""), &answer("17"), &answer("null")]
        ),
        "/api?after= | /api?after=a%2B%2F%3D%20b | /api?after=17 | end: the page names no next one"
    );
    let linked = json!({"url": api, "items": "items", "link": "u", "next": "meta.next"});
    assert_eq!(
        walk(
            linked.clone(),
            &[
                &answer("\"/api?c=2\""),
                &answer("\"https://shop.example/api?c=3\""),
                &answer("false")
            ]
        ),
        "/api | /api?c=2 | /api?c=3 | end: the page names no next one"
    );
    assert_eq!(
        walk(linked.clone(), &[r#"{"items": [{"u": "/p/1"}]}"#]),
        "/api | end: the page names no next one"
    );
    assert_eq!(
        walk(linked, &[&answer("\"https://b.example/\"")]),
        "/api | broken: the next page would be on b.example, which is not a host of the shop"
    );
    let twice = walk(cursor.clone(), &[&answer("1"), &answer("1")]);
    assert!(twice.ends_with("broken: the answer names itself as the next one and is not empty"));
    let object = walk(cursor, &[&answer("{}")]);
    assert!(object.ends_with("what is at meta.next: an object is neither a cursor nor a URL"));
}

#[test]
fn an_endpoint_that_repeats_itself_ends() {
    let endpoint = endpoint(json!({"url": "https://shop.example/api?page={page}", "link": "url"}));
    let page = read(&endpoint, r#"[{"url": "/p/1"}]"#).unwrap();
    let next = endpoint.next(at(4, 5), &url("/api?page=5"), &page, 0, &links());
    assert_eq!(next, Next::End(End::NothingNew));
    assert_eq!(endpoint.gone(at(4, 5)), Next::End(End::Gone));
    assert_eq!(endpoint.gone(at(0, 1)), Next::Broken(Broken::Gone));
}

#[test]
fn items_say_where_their_pages_are() {
    let products = |link: &str, body: &str| {
        let endpoint = endpoint(json!({"url": "https://shop.example/api", "link": link}));
        read(&endpoint, body).map(|page| {
            let products: Vec<&str> = page
                .products
                .iter()
                .map(CanonicalUrl::path_and_query)
                .collect();
            format!("{} bad {}", products.join(" "), page.bad)
        })
    };
    let check = |link: &str, body: &str, expected: &str| {
        assert_eq!(products(link, body).unwrap(), expected, "{link} {body}");
    };
    check(
        "url",
        r#"[{"url": "/p/1?utm_source=x"}, {"url": "https://shop.example/p/1"}]"#,
        "/p/1 bad 0",
    );
    check(
        "links.0.href",
        r#"[{"links": [{"href": "/p/2"}]}]"#,
        "/p/2 bad 0",
    );
    check(
        "/p/{handle}.html",
        r#"[{"handle": "a b/c"}]"#,
        "/p/a%20b%2Fc.html bad 0",
    );
    check(
        "/p/{ids.no}-{name}",
        r#"[{"ids": {"no": 7}, "name": "x"}]"#,
        "/p/7-x bad 0",
    );
    check(
        "url",
        r#"[{"url": "/p/1"}, {"url": null}, {}, {"url": ""}, 5]"#,
        "/p/1 bad 4",
    );
    check(
        "url",
        r#"[{"url": "/blog/1"}, {"url": "https://b.example/p/1"}]"#,
        " bad 0",
    );
    check("url", "\u{feff}[]", " bad 0");
    let why = products("url", r#"[{"link": "/p/1"}]"#).unwrap_err();
    assert_eq!(why, Broken::NoLinks(1, "url".to_owned()));
}

#[test]
fn answers_that_are_no_lists_are_broken() {
    let check = |items: Option<&str>, body: &str, said: &str| {
        let endpoint =
            endpoint(json!({"url": "https://shop.example/api", "link": "url", "items": items}));
        let why = read(&endpoint, body).unwrap_err().to_string();
        assert!(why.contains(said), "{body}: {why}");
    };
    check(None, "<html>", "no JSON");
    check(None, "", "no JSON");
    check(None, r#"[{"url": "/p/1"}"#, "no JSON");
    check(None, "{}", "no array at (the answer): an object is there");
    check(
        Some("data.items"),
        r#"{"error": "denied", "code": 1}"#,
        "no key \"data\" among code, error",
    );
    check(Some("a.b"), r#"{"a": 5}"#, "before \"b\" there is a number");
    check(Some("a"), r#"{"a": "x"}"#, "text is there");
    check(Some("0.a"), "[]", "no item \"0\" among 0");
    let deep = "[".repeat(100_000);
    check(None, &deep, "no JSON");
    let many = format!("[{}1]", "1,".repeat(20_000));
    check(None, &many, "more than are read at once");
    // Some servers write nothing so.
    let endpoint =
        endpoint(json!({"url": "https://shop.example/api", "link": "url", "items": "a"}));
    assert_eq!(read(&endpoint, r#"{"a": null}"#).unwrap().items, 0);
}

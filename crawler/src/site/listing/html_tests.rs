//! Pages of categories as HTML.

#![allow(clippy::unwrap_used)]

use serde_json::json;
use trawler_core::site::{CategoryOptions, LinkOptions, SiteLimits, SiteOptions};

use super::super::links::LinkRules;
use super::super::url::{CanonicalRules, CanonicalUrl};
use super::Category;
use super::page::NextLink;
use crate::document::Document;

const PAGE: &str = "https://shop.example/shoes?page=2";

fn links(products: &[&str]) -> LinkRules {
    let options = SiteOptions {
        links: LinkOptions {
            products: products.iter().map(|text| (*text).to_owned()).collect(),
            deny: vec!["/cart".to_owned()],
            ..LinkOptions::default()
        },
        ..SiteOptions::default()
    };
    LinkRules::new(&options, &CanonicalUrl::stored(PAGE).unwrap())
}

/// Products and next link of a page at `at`.
fn read_at(at: &str, more: serde_json::Value, links: &LinkRules, html: &str) -> (String, String) {
    let mut options = json!({"url": "https://shop.example/shoes"});
    let fields = options.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    let options: CategoryOptions = serde_json::from_value(options).unwrap();
    let rules = CanonicalRules::default();
    let category = Category::new(0, &options, &SiteLimits::default(), &rules).unwrap();
    let url = CanonicalUrl::stored(at).unwrap();
    let page = category.read(&url, &Document::parse(html), &rules, links);
    let products: Vec<&str> = page
        .products
        .iter()
        .map(CanonicalUrl::path_and_query)
        .collect();
    let next = match &page.next {
        NextLink::None => String::new(),
        NextLink::Page(next) => next.path_and_query().to_owned(),
        NextLink::Refused(why) => why.to_string(),
    };
    (format!("{} bad {}", products.join(" "), page.bad), next)
}

#[test]
fn products_are_found_by_selector_or_by_rules() {
    let html = "<a href=/>Home</a><a href='?page=3'>3</a><a href=/cart>Cart</a><a href=mailto:a@b>x</a>
        <div class=card data-x><h3>A</h3><a href='/p/1?utm_source=list'>A</a><a href=/p/1#reviews>5</a></div>
        <div class=card><a href=/p/2><img></a></div><a href=/p/3><div class=card>C</div></a>
        <div class=card>no link</div><div class=card><a href='mailto:x'>x</a></div>
        <a href=https://b.example/p/4>other</a><a href=/about>About</a>";
    let check = |more: serde_json::Value, products: &[&str], expected: &str| {
        let found = read_at(PAGE, more.clone(), &links(products), html).0;
        assert_eq!(found, expected, "{more} {products:?}");
    };
    check(json!({}), &["/p/"], "/p/1 /p/2 /p/3 bad 0");
    check(json!({}), &[], "/ /p/1 /p/2 /p/3 /about bad 0");
    check(json!({"products": ".card"}), &[], "/p/1 /p/2 /p/3 bad 2");
    check(json!({"products": ".card a"}), &[], "/p/1 /p/2 bad 1");
    check(json!({"products": "a"}), &["/p/"], "/p/1 /p/2 /p/3 bad 2");
    let based = "<base href=/de/><a href=p/1>1</a>";
    assert_eq!(
        read_at(PAGE, json!({}), &links(&[]), based).0,
        "/de/p/1 bad 0"
    );
}

#[test]
fn the_next_page_is_found() {
    let check = |html: &str, expected: &str| {
        assert_eq!(
            read_at(PAGE, json!({}), &links(&["/p/"]), html).1,
            expected,
            "{html}"
        );
    };
    check("<link rel=next href='?page=3'>", "/shoes?page=3");
    check(
        "<a rel='nofollow next' href='/shoes?page=3&gclid=1'>x</a>",
        "/shoes?page=3",
    );
    check("<a href='?page=3'>Next</a>", "/shoes?page=3");
    check("<a href='?page=3'>\n 다음 페이지 </a>", "/shoes?page=3");
    check(
        "<a href='?page=3' aria-label='Nächste Seite'><svg></svg></a>",
        "/shoes?page=3",
    );
    check(
        "<a href='?page=3' title='Page suivante'>3</a>",
        "/shoes?page=3",
    );
    check(
        "<nav class='c-Pagination'><ul><li><a href='?page=3'>›</a></nav>",
        "/shoes?page=3",
    );
    check(
        "<div id=pager><a class='btn next' href='/shoes/page/3'>x</a></div>",
        "/shoes/page/3",
    );
    // The first that says so wins, and what is said wins over what is called.
    check(
        "<a href='?page=9'>next</a><link rel=next href='?page=3'>",
        "/shoes?page=3",
    );
    // No pagination: a picture that moves, the next article, another page.
    check(
        "<div class=carousel><a class=next href='?slide=2'>›</a></div>",
        "",
    );
    check("<a href='/blog/next-article'>Next</a>", "");
    check("<a href='https://b.example/shoes?page=3'>Next</a>", "");
    check(
        "<a href='#'>Next</a><a href='javascript:void(0)'>Next</a>",
        "",
    );
    check("<a href='?page=2'>Next</a>", "");
    check(
        "<a href='?page=3'>Next generation running shoes by Acme</a>",
        "",
    );
    // Switched off at the end.
    check("<a rel=next href='#'>x</a>", "");
    check("<a rel=next href=''>x</a>", "");
    check("<a rel=next href='javascript:void(0)'>x</a>", "");
    check("<a rel=next>x</a>", "");
    check("<a rel=next href='https://a b/'>x</a>", "it is no URL");
}

#[test]
fn the_next_page_is_what_the_pipe_selects() {
    let check = |html: &str, expected: &str| {
        let more = json!({"next": ".more a"});
        assert_eq!(read_at(PAGE, more, &links(&[]), html).1, expected, "{html}");
    };
    check(
        "<link rel=next href='?page=9'><p class=more><a href='?page=3'>x</a></p>",
        "/shoes?page=3",
    );
    check("<link rel=next href='?page=9'>", "");
    check("<p class=more><a href='#top'>x</a></p>", "");
}

#[test]
fn pages_in_the_path_go_on() {
    let check = |at: &str, href: &str, expected: &str| {
        let html = format!("<a href='{href}'>Next</a>");
        let at = format!("https://shop.example{at}");
        let found = read_at(&at, json!({}), &links(&["/p/"]), &html).1;
        assert_eq!(found, expected, "{at} {href}");
    };
    check("/shoes/", "page/2/", "/shoes/page/2/");
    check("/shoes/page/2/", "/shoes/page/3/", "/shoes/page/3/");
    check("/shoes/page-2.html", "page-3.html", "/shoes/page-3.html");
    check("/shoes", "/shoes-2", "");
    check("/shoes", "/shoes/2", "/shoes/2");
    check("/shoes/boots", "/hats/caps", "");
}

#[test]
fn a_real_shape_of_catalogue_pages() {
    // The sandbox shop's listing: relative links, `li.next`.
    let html = "<ol class=row><li><article class=product_pod><h3><a href='../../a-light_1000/index.html' \
        title='A Light'>A Light ...</a></h3></article></li></ol>\
        <ul class=pager><li class=current>Page 1 of 50</li><li class=next><a href='page-2.html'>next</a></li></ul>";
    let at = "https://shop.example/catalogue/category/books_1/index.html";
    let (products, next) = read_at(
        at,
        json!({"products": ".product_pod h3 a"}),
        &links(&[]),
        html,
    );
    assert_eq!(products, "/catalogue/a-light_1000/index.html bad 0");
    assert_eq!(next, "/catalogue/category/books_1/page-2.html");
}

//! The same elements as `scraper` selects, on real pages; and what a wrong
//! selector is told.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use html5ever::ParseOpts;
use html5ever::tendril::TendrilSink;
use html5ever::tree_builder::TreeBuilderOpts;

use super::builder_tests::real_pages;
use super::{Document, Selector};

const SELECTORS: &[&str] = &[
    "*",
    "a",
    "A",
    "div",
    "h1, h2, h3",
    "#product_gallery",
    "#product_gallery img",
    ".price_color",
    ".product_main .price_color",
    "p.price_color",
    ".PRICE_COLOR",
    "div.row > article",
    "article > div",
    "ul.breadcrumb li:last-child",
    "ul.breadcrumb > li:nth-child(3) > a",
    "table tr:nth-child(2n+1) > td",
    "tr:nth-last-child(1)",
    "td:first-of-type",
    "li:nth-of-type(2)",
    "li:nth-last-of-type(2)",
    "p:only-child",
    "a:only-of-type",
    "h1 + p",
    "h1 ~ p",
    "#product_description + p",
    "a[href]",
    "a[href='../../index.html']",
    "a[href$='.html' i]",
    "[class~=row]",
    "[class^=col]",
    "[class*=col-sm]",
    "[lang|=en]",
    "meta[name=description]",
    "META[NAME=Description]",
    "meta[name='DESCRIPTION' i]",
    "meta[name='DESCRIPTION' s]",
    "input[type=HIDDEN]",
    "link[rel=STYLESHEET]",
    "[itemprop]",
    "[itemscope][itemtype*='schema.org']",
    "[itemprop=price], [itemprop=name]",
    "[property^='og:']",
    "[data-unknown-attribute]",
    "script[type='application/ld+json']",
    "div:has(> h1)",
    "article:has(.price_color)",
    "li:not(.active)",
    "div:not(:has(p))",
    ":is(h1, h2) a",
    ":where(.row) > div",
    "p:empty",
    ":root",
    "html:root > body",
    ":scope",
    "body *:not(script):not(style)",
    "unknown-element",
    "svg path",
    "a:not([href^='http']):not([rel~=nofollow])",
    "div div div p",
    "table.table-striped tr:nth-child(1) td",
    "th ~ td",
    "section *",
    "a img[src]",
    "[id]",
    "[id=default].default",
];

/// `scraper`'s tree with what stands in `<noscript>` read, as here.
fn parse_without_scripts(page: &str) -> scraper::Html {
    let options = ParseOpts {
        tree_builder: TreeBuilderOpts {
            scripting_enabled: false,
            ..TreeBuilderOpts::default()
        },
        ..ParseOpts::default()
    };
    let sink = scraper::HtmlTreeSink::new(scraper::Html::new_document());
    html5ever::parse_document(sink, options).one(page)
}

/// Every element as its number in document order.
fn numbers_of_scraper(html: &scraper::Html, selector: &scraper::Selector) -> Vec<usize> {
    let numbers: HashMap<_, _> = html
        .tree
        .root()
        .descendants()
        .filter(|node| node.value().is_element())
        .enumerate()
        .map(|(number, node)| (node.id(), number))
        .collect();
    html.select(selector)
        .map(|found| numbers[&found.id()])
        .collect()
}

fn numbers(document: &Document, selector: &Selector) -> Vec<usize> {
    let positions: Vec<usize> = document.elements().map(|e| e.position()).collect();
    let number = |position| positions.binary_search(&position).unwrap();
    document
        .select(selector)
        .map(|found| number(found.position()))
        .collect()
}

#[test]
fn the_same_elements_are_selected_as_by_scraper() {
    let mut pages = real_pages("books");
    pages.truncate(5);
    pages.extend(real_pages("structured"));
    if pages.is_empty() {
        return;
    }
    let mut found = vec![0; SELECTORS.len()];
    for (path, page) in &pages {
        // `scraper` counts what stands in a template apart.
        if page.contains("<template") {
            continue;
        }
        let html = parse_without_scripts(page);
        let document = Document::parse(page.as_str());
        for (at, text) in SELECTORS.iter().enumerate() {
            let theirs = numbers_of_scraper(&html, &scraper::Selector::parse(text).unwrap());
            let ours = numbers(&document, &Selector::parse(text).unwrap());
            assert_eq!(ours, theirs, "{text} in {}", path.display());
            found[at] += ours.len();
        }
    }
    let useful = found.iter().filter(|count| **count > 0).count();
    println!(
        "{} pages, {useful} of {} selectors found elements",
        pages.len(),
        found.len()
    );
    assert!(
        pages.is_empty() || useful * 10 > SELECTORS.len() * 8,
        "{found:?}"
    );
}

#[test]
fn selectors_find_what_they_say() {
    let page = "<ul id=top class='a B'><li class=x>1<li class='y x'>2<li>3</ul>\
        <svg viewBox='0 0 1 1'><linearGradient id=g /></svg><x-item data-Kind=Big>4</x-item>\
        <input type=Hidden><a href=/1 rel='nofollow'>5</a>";
    let document = Document::parse(page);
    let check = |selector: &str, expected: &[&str]| {
        let selector = Selector::parse(selector).unwrap();
        let found: Vec<String> = document
            .select(&selector)
            .map(|element| match element.text(10) {
                text if text.is_empty() => element.name().to_owned(),
                text => text,
            })
            .collect();
        assert_eq!(found, expected, "{selector:?}");
    };
    check("li", &["1", "2", "3"]);
    check("LI.x", &["1", "2"]);
    check("li:nth-child(2 of .x)", &["2"]);
    check("#top > li:last-child", &["3"]);
    check(".b", &[]);
    check(".B .y", &["2"]);
    check("x-item", &["4"]);
    check("X-ITEM[data-kind=Big]", &["4"]);
    check("x-item[data-kind=big]", &[]);
    check("input[type=hidden]", &["input"]);
    check("linearGradient", &["linearGradient"]);
    check("#g", &["linearGradient"]);
    check("svg[viewBox]", &["svg"]);
    check("[rel~=nofollow]", &["5"]);
    let list = document
        .select(&Selector::parse("ul").unwrap())
        .next()
        .unwrap();
    let below = |selector: &str| list.select(&Selector::parse(selector).unwrap()).count();
    assert_eq!(below(":scope > li"), 3);
    assert_eq!(below("ul"), 0);
    assert_eq!(below("body li"), 3);
    assert_eq!(below("a"), 0);
    assert!(list.matches(&Selector::parse("body > ul.a.B").unwrap()));
}

#[test]
fn a_wrong_selector_is_told_where_it_is_wrong() {
    let check = |selector: &str, expected: &str| {
        let error = Selector::parse(selector).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.contains(":nth-*"), "{error}");
    };
    check("", "* is missing at character 1, the end");
    check(
        "div >",
        "a combinator has nothing after it at character 6, the end",
    );
    check("div, , p", "* is missing at character 6");
    check("a:hover", "not supported at character 8");
    check("p::before", "not supported at character 10");
    check("a[href=", "it ends too early at character 8, the end");
    check("a[=x]", "the attribute in brackets is not written right");
    check(".5", "* is missing");
    check("div..x", "no name of a class");
    check("svg|a", "no namespace prefix");
    check(":is(a, ::x)", "something unexpected");
    check("a\"", "something unexpected");
    check("한국::x", "at character 6");
    check(&"a ".repeat(2000), "more than 2000 characters");
}

#[test]
fn selectors_are_shared_by_threads() {
    fn is_shared<T: Send + Sync + Clone + 'static>() {}
    is_shared::<Selector>();
}

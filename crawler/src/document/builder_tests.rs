//! Both builders give the same document, or the fast one declines: on real
//! pages, on generated ones and on mutations of both.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::{Builder, Document};
use crate::real::real;

/// The pages of a folder of real ones, all of them; none where it is absent,
/// which is told.
pub(super) fn real_pages(name: &str) -> Vec<(PathBuf, String)> {
    let Some(root) = real(name) else {
        return Vec::new();
    };
    let mut pages = Vec::new();
    let mut pending = vec![root];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|kind| kind == "html") {
                let bytes = fs::read(&path).unwrap();
                pages.push((path, String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
    }
    pages.sort();
    let expected = match name {
        "books" => 200,
        _ => 56,
    };
    assert_eq!(pages.len(), expected, "pages of {name}");
    pages
}

fn outline(document: &Document) -> String {
    let mut outline = String::new();
    document.outline(&mut outline).unwrap();
    outline
}

/// Whether the fast builder read the page; panics where it reads another
/// document than the full one.
fn compare(page: &str, what: &str) -> Builder {
    let fast = Document::parse(page);
    if fast.builder() == Builder::Fast {
        let full = Document::parse_full(page);
        let (fast, full) = (outline(&fast), outline(&full));
        if fast != full {
            let (at, _) = fast
                .lines()
                .zip(full.lines())
                .enumerate()
                .find(|(_, (a, b))| a != b)
                .unwrap_or((fast.lines().count().min(full.lines().count()), ("", "")));
            let near = |outline: &str| -> String {
                let lines: Vec<&str> = outline
                    .lines()
                    .skip(at.saturating_sub(6))
                    .take(10)
                    .collect();
                lines.join("\n")
            };
            let shown: String = page.chars().take(3000).collect();
            panic!(
                "{what}: line {at} differs\nfast:\n{}\nfull:\n{}\npage: {shown:?}",
                near(&fast),
                near(&full)
            );
        }
    }
    fast.builder()
}

#[derive(Default)]
struct Tally {
    fast: usize,
    declined: BTreeMap<String, usize>,
}

impl Tally {
    fn add(&mut self, builder: Builder) {
        match builder {
            Builder::Fast => self.fast += 1,
            Builder::Full(declined) => {
                *self.declined.entry(format!("{declined:?}")).or_default() += 1
            }
        }
    }

    fn print(&self, what: &str) {
        let declined: usize = self.declined.values().sum();
        println!(
            "{what}: {} fast, {declined} declined {:?}",
            self.fast, self.declined
        );
    }
}

#[test]
fn real_pages_are_the_same_document() {
    for folder in ["books", "structured"] {
        let mut tally = Tally::default();
        let pages = real_pages(folder);
        if pages.is_empty() {
            continue;
        }
        for (path, page) in pages {
            let builder = compare(&page, &path.display().to_string());
            if let Builder::Full(declined) = builder {
                println!("{}: {declined:?}", path.display());
            }
            tally.add(builder);
        }
        tally.print(folder);
        let declined: usize = tally.declined.values().sum();
        match folder {
            "books" => assert_eq!(declined, 0),
            _ => assert!(declined * 5 <= tally.fast, "too many pages declined"),
        }
    }
}

/// SplitMix64: small, and the same everywhere.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(super) fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

const COMMON: &[&str] = &[
    "div", "p", "span", "a", "b", "i", "ul", "li", "h1", "h2", "img", "br", "strong", "section",
    "table", "tr", "td", "em", "form", "input", "script", "title",
];

const ALL: &[&str] = &[
    "a",
    "abbr",
    "address",
    "applet",
    "area",
    "article",
    "aside",
    "audio",
    "b",
    "base",
    "basefont",
    "bgsound",
    "big",
    "blockquote",
    "body",
    "br",
    "button",
    "caption",
    "center",
    "cite",
    "code",
    "col",
    "colgroup",
    "custom-element",
    "data",
    "dd",
    "del",
    "details",
    "dialog",
    "dir",
    "div",
    "dl",
    "dt",
    "em",
    "embed",
    "fieldset",
    "figure",
    "font",
    "footer",
    "form",
    "frame",
    "h1",
    "h2",
    "h6",
    "head",
    "header",
    "hr",
    "html",
    "i",
    "iframe",
    "image",
    "img",
    "input",
    "ins",
    "keygen",
    "label",
    "li",
    "link",
    "listing",
    "main",
    "marquee",
    "menu",
    "meta",
    "nav",
    "nobr",
    "noembed",
    "noframes",
    "noscript",
    "object",
    "ol",
    "optgroup",
    "option",
    "p",
    "param",
    "path",
    "pre",
    "rb",
    "rp",
    "rt",
    "rtc",
    "ruby",
    "s",
    "script",
    "search",
    "section",
    "select",
    "small",
    "source",
    "span",
    "strike",
    "strong",
    "style",
    "sub",
    "summary",
    "sup",
    "svg",
    "table",
    "tbody",
    "td",
    "textarea",
    "tfoot",
    "th",
    "thead",
    "time",
    "title",
    "tr",
    "track",
    "tt",
    "u",
    "ul",
    "video",
    "wbr",
    "xmp",
    "DIV",
    "Span",
    "linearGradient",
    "clippath",
    "desc",
    "g",
    "x",
    "unknown-name-of-an-element",
];

/// Without what nearly always declines, so that long pages stay fast.
const GENTLE: &[&str] = &[
    "abbr",
    "address",
    "article",
    "audio",
    "blockquote",
    "body",
    "br",
    "button",
    "cite",
    "custom-element",
    "dd",
    "del",
    "div",
    "dl",
    "dt",
    "fieldset",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "head",
    "hr",
    "html",
    "iframe",
    "image",
    "img",
    "input",
    "label",
    "li",
    "link",
    "main",
    "meta",
    "nav",
    "noscript",
    "ol",
    "optgroup",
    "option",
    "p",
    "param",
    "pre",
    "rb",
    "rp",
    "rt",
    "rtc",
    "ruby",
    "script",
    "section",
    "select",
    "source",
    "span",
    "style",
    "summary",
    "sup",
    "textarea",
    "time",
    "title",
    "ul",
    "video",
    "wbr",
    "x",
];

const TABLE: &[&str] = &[
    "table", "tr", "td", "th", "tbody", "thead", "tfoot", "caption", "col", "colgroup", "td", "tr",
    "table", "p", "div", "b", "a", "form", "script", "style", "select", "option", "li", "object",
];

const SVG: &[&str] = &[
    "svg",
    "path",
    "g",
    "title",
    "desc",
    "linearGradient",
    "lineargradient",
    "use",
    "style",
    "script",
    "a",
    "font",
    "clippath",
    "svg",
    "g",
    "div",
    "circle",
    "text",
    "metadata",
];

const INLINE: &[&str] = &[
    "a", "b", "i", "em", "font", "nobr", "s", "u", "span", "code", "p", "li", "button",
];

const TEXTS: &[&str] = &[
    " ",
    "\n",
    "\t\n ",
    "text",
    " two words ",
    "a&amp;b",
    "&lt;",
    "&copy",
    "&copy;x",
    "&notit;",
    "&#65;",
    "&#x20;",
    "&#10;",
    "&#128;",
    "&#0;",
    "&",
    "&&",
    "&;",
    "&#",
    "&#x",
    "&bogus;",
    "한국어",
    "é",
    "\u{feff}",
    "<",
    "< b",
    "<3",
    "</",
    "</ x>",
    "</>",
    "<!-- c -->",
    "<!--->",
    "<!-->",
    "<!-- a --!>",
    "<!x>",
    "<?php ?>",
    "<![CDATA[x]]>",
    "\r\n",
    "\r",
    "\n\n",
    "--",
    "]]>",
    "&nbsp;",
    "\u{c}",
    "=",
    "\"",
    "'",
];

const ATTRIBUTES: &[&str] = &[
    "id=a",
    "class='x y'",
    "class=\"x\"",
    "href=/a?b=1&copy=2",
    "href='&amp;'",
    "title",
    "title=''",
    "ID=b",
    "data-a=1",
    "data-a=2",
    "DATA-B='x'",
    "type=hidden",
    "type=text",
    "TYPE=HIDDEN",
    "/",
    "=",
    "a=b=c",
    "a\n=\nb",
    "\"",
    "'",
    "x<y",
    "style='a:b'",
    "é=ü",
    "color=red",
    "face=x",
    "viewbox='0 0 1 1'",
    "refx=1",
    "name=n",
    "content=c",
    "charset=utf-8",
    "alt=\"a&quot;b\"",
    "checked",
    "a='\n'",
    "b=\"&#x41\"",
    "c=&ampx",
    "d=`",
];

fn attributes(random: &mut Random, page: &mut String) {
    while random.one_in(3) {
        page.push_str(random.pick(&[" ", " ", " ", "\n", "/", "", "\t", "\r\n"]));
        page.push_str(random.pick(ATTRIBUTES));
    }
}

const RAW_TEXTS: &[&str] = &[
    "x",
    "<b>",
    "<!--",
    "-->",
    "<script>",
    "</script",
    "</style>",
    "</titl",
    "&amp;",
    "\n",
    "<!",
    "</",
    "<",
    "--",
    "{\"a\":1}",
    "&#10;",
    "<script ",
    "</SCRIPT",
    "'</p>'",
];

/// A page of random pieces; `names` are used most.
fn generated(random: &mut Random, names: &[&str]) -> String {
    let mut page = String::new();
    page.push_str(random.pick(&[
        "<!doctype html>", "<!DOCTYPE HTML>\n", "", " ", "<!-- x -->",
        "<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\" \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">",
        "<!DOCTYPE html PUBLIC \"-//W3C//DTD HTML 4.01 Transitional//EN\">", "<!doctype>", "<!doctype html",
        "<!doctype html SYSTEM 'x'>",
    ]));
    page.push_str(random.pick(&[
        "",
        "<html>",
        "<html><head>",
        "<head></head>",
        "<html lang=en><head><title>t</title></head><body>",
        "<html><head></head>\n<script>x</script> <link> <body>",
        "<body>",
        "<table>",
        "<p>",
        "</head>",
        "</br>",
        "<head><noscript><link></noscript>",
        "<table><tr><td>",
        "<svg>",
    ]));
    let mut open: Vec<&str> = Vec::new();
    for _ in 0..random.below(40) {
        match random.below(12) {
            0..=4 => {
                let name = random.pick(names);
                page.push('<');
                page.push_str(name);
                attributes(random, &mut page);
                if random.one_in(30) {
                    continue;
                }
                page.push_str(random.pick(&[">", ">", ">", ">", ">", " >", "/>", " /"]));
                if matches!(
                    name,
                    "script"
                        | "style"
                        | "title"
                        | "textarea"
                        | "iframe"
                        | "xmp"
                        | "noembed"
                        | "noframes"
                ) && !random.one_in(20)
                {
                    while random.one_in(2) {
                        page.push_str(random.pick(RAW_TEXTS));
                    }
                    page.push_str("</");
                    page.push_str(name);
                    attributes(random, &mut page);
                    page.push('>');
                } else {
                    open.push(name);
                }
            }
            5..=7 => {
                // Mostly what is open, mostly in order.
                let at = match random.below(4) {
                    0 if !open.is_empty() => Some(random.below(open.len())),
                    1 => None,
                    _ => open.len().checked_sub(1),
                };
                let name = match at {
                    Some(at) => open.remove(at),
                    None => random.pick(names),
                };
                page.push_str("</");
                page.push_str(name);
                if random.one_in(10) {
                    attributes(random, &mut page);
                }
                page.push('>');
            }
            _ => page.push_str(random.pick(TEXTS)),
        }
    }
    if random.one_in(3) {
        page.push_str(random.pick(&[
            "</body>",
            "</body></html>",
            "</html>\n",
            "</body> x",
            "</body><p>x",
            "</html><!-- -->",
        ]));
        page.push_str(random.pick(TEXTS));
    }
    page
}

/// A page with some of it gone, twice there or out of place.
fn mutated(random: &mut Random, page: &str) -> String {
    let mut page = page.to_owned();
    let boundary = |page: &str, at: usize| {
        (at..=page.len())
            .find(|at| page.is_char_boundary(*at))
            .unwrap()
    };
    for _ in 0..=random.below(4) {
        if page.is_empty() {
            break;
        }
        let start = random.below(page.len());
        // Often at a tag, which is where pages break.
        let start = match page.as_bytes()[start..].iter().position(|b| *b == b'<') {
            Some(ahead) if random.one_in(2) => start + ahead,
            _ => boundary(&page, start),
        };
        let span = 1 + random.below(30);
        let end = boundary(&page, (start + span).min(page.len()));
        match random.below(5) {
            0 => page.replace_range(start..end, ""),
            1 => {
                let copy = page[start..end].to_owned();
                let to = random.below(page.len() + 1);
                let to = boundary(&page, to);
                page.insert_str(to, &copy);
            }
            2 => {
                let name = random.pick(ALL);
                let tag = if random.one_in(2) {
                    format!("<{name}>")
                } else {
                    format!("</{name}>")
                };
                page.insert_str(start, &tag);
            }
            3 => page.insert_str(start, random.pick(TEXTS)),
            _ => page.truncate(boundary(
                &page,
                start.max(page.len() * 9 / 10).min(page.len()),
            )),
        }
    }
    page
}

/// How many pages of each kind are generated; `TRAWLER_PAGES` sets more.
fn pages_wanted() -> u64 {
    std::env::var("TRAWLER_PAGES")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(1000)
}

#[test]
fn generated_pages_are_the_same_document() {
    for (kind, names) in [
        ("common", COMMON),
        ("all", ALL),
        ("gentle", GENTLE),
        ("table", TABLE),
        ("svg", SVG),
        ("inline", INLINE),
    ] {
        let mut tally = Tally::default();
        for seed in 0..pages_wanted() {
            let mut random = Random(seed ^ (names.len() as u64) << 32);
            let page = generated(&mut random, names);
            tally.add(compare(&page, &format!("{kind}, seed {seed}")));
        }
        tally.print(kind);
        // Otherwise the test would say nothing about the fast builder.
        assert!(tally.fast as u64 * 6 > pages_wanted(), "{kind}");
    }
}

#[test]
fn mutated_pages_are_the_same_document() {
    let mut sources = real_pages("structured");
    sources.extend(real_pages("books").into_iter().take(20));
    sources.retain(|(_, page)| page.len() < 100_000);
    if sources.is_empty() {
        return;
    }
    let mut tally = Tally::default();
    for seed in 0..pages_wanted() {
        let mut random = Random(seed);
        let (path, page) = &sources[random.below(sources.len())];
        let page = mutated(&mut random, page);
        tally.add(compare(&page, &format!("{}, seed {seed}", path.display())));
    }
    tally.print("mutated");
}

#[test]
fn what_the_fast_builder_knows_and_what_it_declines() {
    let check = |page: &str, expected: Option<super::Declined>| {
        let builder = compare(page, page);
        let expected = expected.map_or(Builder::Fast, Builder::Full);
        assert_eq!(builder, expected, "{page}");
    };
    use super::Declined::*;
    for page in [
        "",
        "x",
        "<p>a<p>b<ul><li>c<li>d</ul><dl><dt>e<dd>f</dl>",
        "<p><b>a<p>b</b>c",
        "<b><b><b><b>a<p>b",
        "<a href=1>a<a href=2>b</a>",
        "<table><tr><td>a<td>b<tr><th>c</table>",
        "<table><caption>a<col><tr><td><table><td>b</table>c</table>",
        "<table><form><input type=hidden><tr><td></form></table>",
        "<form><div></form>x</div>y",
        "<select><option>a<option>b<optgroup><option>c</select>",
        "<svg viewbox='0 0 1 1'><title>t</title><path/><linearGradient/></svg>x",
        "<svg><![CDATA[<b>]]></svg>",
        "<head></head> <title>t</title> <p>x",
        "<noscript><p>x</noscript>",
        "<body a=1><body a=2 b=3><html c=4>",
        "a</br>b</p>c",
        "<textarea>\n\n<b></textarea><pre>\nx</pre>",
        "<button><p>a<button>b",
        "<ruby>a<rt>b<rp>c",
        "<p><object><p>x</object>y",
        "<h1>a<h2>b</h1>c",
        "\u{feff}x",
    ] {
        check(page, None);
    }
    check("\0", Some(Null));
    check("<table>x", Some(TextInTable));
    check("<table><div>", Some(MarkupInTable));
    check("<b><p></b>", Some(Misnested));
    check("<a><div><a>", Some(Misnested));
    check("<template>", Some(Template));
    check("<frameset>", Some(Frameset));
    check("<plaintext>", Some(Plaintext));
    check("<math>", Some(MathMl));
    check("<svg><p>", Some(MarkupInForeign));
    check("<svg><foreignObject>", Some(MarkupInForeign));
    check("<svg><title><b>", Some(MarkupInForeignText));
    check("<svg><![CDATA[", Some(Cdata));
    check("<!doctype html system 'x'><p><table>", Some(Doctype));
}

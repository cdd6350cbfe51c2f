#![allow(clippy::unwrap_used)]

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

const LIMITS: SitemapLimits = SitemapLimits {
    bytes_max: 256 << 20,
    urls_max: 1_000_000,
};

/// What was handed on, one a line: `page loc date`.
fn lines_of(bytes: &[u8], above: u32) -> (String, Result<Summary, SitemapError>) {
    let mut found = String::new();
    let result = read(bytes, &LIMITS, above, |entry| {
        let (kind, loc, lastmod) = match entry {
            Entry::Page { loc, lastmod } => ("page", loc, lastmod),
            Entry::Part { loc, lastmod } => ("part", loc, lastmod),
        };
        let date = lastmod.map(|date| format!(" {date}")).unwrap_or_default();
        found += &format!("{kind} {loc}{date}\n");
        ControlFlow::Continue(())
    });
    (found, result)
}

fn check(bytes: impl AsRef<[u8]>, expected: &[&str]) -> Summary {
    let bytes = bytes.as_ref();
    let shown = String::from_utf8_lossy(bytes);
    let (found, result) = lines_of(bytes, 0);
    let expected: String = expected.iter().map(|line| format!("{line}\n")).collect();
    assert_eq!(found, expected, "{shown}");
    let summary = result.unwrap_or_else(|error| panic!("{shown}: {error}"));
    assert_eq!(
        summary.pages + summary.parts,
        expected.lines().count() as u64
    );
    summary
}

fn refused(bytes: impl AsRef<[u8]>, said: &str, pages: usize) {
    let bytes = bytes.as_ref();
    let (found, result) = lines_of(bytes, 0);
    let shown: String = String::from_utf8_lossy(bytes).chars().take(300).collect();
    let error = result.expect_err(&shown).to_string();
    assert!(error.contains(said), "{shown}: {error}");
    assert_eq!(found.lines().count(), pages, "{shown}");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn urlset(urls: u32) -> String {
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<urlset \
        xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n"
        .to_owned();
    for n in 0..urls {
        text += &format!(
            "<url><loc>https://shop.example/p/{n}</loc><lastmod>2026-11-22</lastmod></url>\n"
        );
    }
    text + "</urlset>\n"
}

#[test]
fn url_sets() {
    let summary = check(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!-- made by hand -->
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"
  xmlns:image="http://www.google.com/schemas/sitemap-image/1.1" xmlns:xhtml="http://www.w3.org/1999/xhtml">
  <url>
    <loc> https://shop.example/p?a=1&amp;b=2 </loc>
    <lastmod>2026-11-22T07:20:00+09:00</lastmod><changefreq>daily</changefreq><priority>0.5</priority>
    <image:image><image:loc>https://cdn.example/1.jpg</image:loc></image:image>
    <image:loc>https://cdn.example/2.jpg</image:loc>
    <xhtml:link rel="alternate" hreflang="de" href="https://shop.example/de"/>
  </url>
  <url><lastmod>soon</lastmod><loc><![CDATA[https://shop.example/p?a=1&b=2]]></loc></url>
  <url><loc>https://shop.example/&#x61;&apos;&quot;&lt;</loc></url>
  <url><loc>https://shop.example/a?b&c=d</loc></url>
</urlset>
<!-- 3 URLs -->
"#,
        &[
            "page https://shop.example/p?a=1&b=2 2026-11-21T22:20:00Z",
            "page https://shop.example/p?a=1&b=2",
            "page https://shop.example/a'\"<",
            "page https://shop.example/a?b&c=d",
        ],
    );
    assert_eq!(summary.kind, SitemapKind::UrlSet);
    assert_eq!((summary.bad_dates, summary.bad), (1, 0));
    check("<urlset/>", &[]);
    check("<urlset></urlset>", &[]);
}

#[test]
fn prefixes_and_namespaces_of_any_kind() {
    let page = ["page https://shop.example/1"];
    check(
        "<urlset><url><loc>https://shop.example/1</loc></url></urlset>",
        &page,
    );
    check(
        r#"<sm:urlset xmlns:sm="http://www.sitemaps.org/schemas/sitemap/0.9"><sm:url>
           <sm:loc>https://shop.example/1</sm:loc><loc>https://no.example/</loc></sm:url></sm:urlset>"#,
        &page,
    );
    check(
        r#"<urlset xmlns="http://www.google.com/schemas/sitemap/0.84"><url xmlns="x">
           <loc>https://shop.example/1</loc></url></urlset>"#,
        &page,
    );
    check(
        "<urlset><a><url><loc>https://no.example/</loc></url></a><url><b><loc>no</loc></b>\
         <loc>https://shop.example/1</loc></url></urlset>",
        &page,
    );
}

#[test]
fn indexes_and_their_depth() {
    let index = "<sitemapindex><sitemap><loc>https://shop.example/1.xml.gz</loc>\
                 <lastmod>2026</lastmod></sitemap></sitemapindex>";
    let summary = check(
        index,
        &["part https://shop.example/1.xml.gz 2026-01-01T00:00:00Z"],
    );
    assert_eq!((summary.kind, summary.parts), (SitemapKind::Index, 1));
    assert!(lines_of(index.as_bytes(), 1).1.is_ok());
    let (found, result) = lines_of(index.as_bytes(), 2);
    assert_eq!(found, "");
    assert!(
        matches!(result, Err(SitemapError::NestedIndex { .. })),
        "{result:?}"
    );
    check(
        "<sitemapindex><url><loc>https://shop.example/1</loc></url></sitemapindex>",
        &["page https://shop.example/1"],
    );
}

#[test]
fn feeds_are_sitemaps_too() {
    let summary = check(
        r#"<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom"><channel>
        <link>https://shop.example/</link><atom:link href="https://shop.example/feed" rel="self"/>
        <item><title>A</title><link>https://shop.example/1</link><guid>x</guid>
          <atom:link href="https://no.example/"/><pubDate>Sun, 22 Nov 2026 07:20:30 GMT</pubDate></item>
        <item><guid>no link</guid></item>
        </channel></rss>"#,
        &["page https://shop.example/1 2026-11-22T07:20:30Z"],
    );
    assert_eq!((summary.kind, summary.bad), (SitemapKind::Rss, 1));
    check(
        r#"<rdf:RDF xmlns:rdf="r" xmlns="http://purl.org/rss/1.0/" xmlns:dc="d">
        <channel><link>https://shop.example/</link></channel>
        <item><link>https://shop.example/1</link><dc:date>2026-11-22</dc:date></item></rdf:RDF>"#,
        &["page https://shop.example/1 2026-11-22T00:00:00Z"],
    );
    let summary = check(
        r#"<feed xmlns="http://www.w3.org/2005/Atom"><link href="https://shop.example/"/>
        <entry><link rel="self" href="https://no.example/"/><link href="https://shop.example/1?a&amp;b"/>
          <updated>2026-11-22T07:20:30Z</updated><content>x</content></entry>
        <entry><link rel="alternate" href="https://shop.example/2"/></entry></feed>"#,
        &[
            "page https://shop.example/1?a&b 2026-11-22T07:20:30Z",
            "page https://shop.example/2",
        ],
    );
    assert_eq!(summary.kind, SitemapKind::Atom);
}

#[test]
fn text_with_one_url_a_line() {
    let summary = check(
        "\u{feff}\n https://shop.example/1 \r\nHTTPS://shop.example/2\r\rhttps://shop.example/한\nnone\n\nhttps://shop.example/4",
        &[
            "page https://shop.example/1",
            "page HTTPS://shop.example/2",
            "page https://shop.example/한",
            "page https://shop.example/4",
        ],
    );
    assert_eq!((summary.kind, summary.bad), (SitemapKind::Text, 1));
    let why = WhyBad::NoUrlOnLine("none".to_owned());
    assert_eq!(summary.bad_entries[0].why, why);
    refused("Not found\n", "its first line no URL: \"Not found\"", 0);
    refused("{\"a\": 1}", "it is no XML", 0);
    refused("", "empty", 0);
    refused(" \n\t ", "empty", 0);
}

#[test]
fn gzip_is_told_by_its_first_bytes() {
    let plain = urlset(3);
    let pages: Vec<String> = (0..3)
        .map(|n| format!("page https://shop.example/p/{n} 2026-11-22T00:00:00Z"))
        .collect();
    let pages: Vec<&str> = pages.iter().map(String::as_str).collect();
    let packed = gzip(plain.as_bytes());
    check(&packed, &pages);
    check(gzip(&packed), &pages);
    refused(gzip(&gzip(&packed)), "packed more than 2 times", 0);
    let (first, second) = plain.as_bytes().split_at(100);
    check([gzip(first), gzip(second)].concat(), &pages);
    for cut in [10, packed.len() / 2, packed.len() - 9] {
        let (_, result) = lines_of(&packed[..cut], 0);
        assert!(
            matches!(result, Err(SitemapError::Truncated { .. })),
            "{cut}: {result:?}"
        );
    }
    let mut damaged = gzip(urlset(5_000).as_bytes());
    let middle = damaged.len() / 2;
    damaged[middle..middle + 8].fill(0xff);
    let (_, result) = lines_of(&damaged, 0);
    let said = result.unwrap_err().to_string();
    assert!(
        said.contains("damaged") || said.contains("XML is wrong"),
        "{said}"
    );
    check(
        gzip(b"https://shop.example/1"),
        &["page https://shop.example/1"],
    );
}

#[test]
fn character_sets() {
    let text = |label: &str| {
        format!(
            "<?xml version='1.0' encoding='{label}'?><urlset><url><loc>https://shop.example/코트</loc></url></urlset>"
        )
    };
    let page = ["page https://shop.example/코트"];
    check(text("utf-8"), &page);
    check([b"\xef\xbb\xbf", text("utf-8").as_bytes()].concat(), &page);
    for label in ["euc-kr", "CP949", "ks_c_5601-1987"] {
        check(encoding_rs::EUC_KR.encode(&text(label)).0, &page);
    }
    let wide = |little: bool, mark: bool| -> Vec<u8> {
        let units = mark.then_some(0xfeff).into_iter();
        let text = text("utf-16");
        let units = units.chain(text.encode_utf16());
        units
            .flat_map(|unit| {
                if little {
                    unit.to_le_bytes()
                } else {
                    unit.to_be_bytes()
                }
            })
            .collect()
    };
    for (little, mark) in [(true, true), (true, false), (false, true), (false, false)] {
        check(wide(little, mark), &page);
    }
    // It says UTF-16 and is not.
    check(text("utf-16"), &page);
    // Damage is told, not passed on.
    let summary = check(encoding_rs::EUC_KR.encode(&text("utf-8")).0, &[]);
    assert_eq!(summary.bad_entries[0].why, WhyBad::Damaged);
}

#[test]
fn what_is_no_sitemap_is_told() {
    refused(
        "<!DOCTYPE html><html><body>404</body></html>",
        "HTML page",
        0,
    );
    refused("\n\n<!doctype HTML>", "HTML page", 0);
    refused("<HTML><head>", "HTML page", 0);
    refused(
        "<html xmlns='http://www.w3.org/1999/xhtml'/>",
        "HTML page",
        0,
    );
    refused(
        "<Error><Code>NoSuchKey</Code></Error>",
        "root element is <Error>",
        0,
    );
    refused("<!-- nothing -->", "no element", 0);
    refused("<?xml version='1.0'?>", "no element", 0);
    refused("<>", "no sitemap", 0);
}

#[test]
fn truncated_files_are_incomplete() {
    let whole = urlset(4);
    for cut in 1..whole.len() - "</urlset>\n".len() {
        let (_, result) = lines_of(&whole.as_bytes()[..cut], 0);
        let error = result.expect_err(&whole[..cut]);
        // In the declaration there is no element yet.
        let told = matches!(
            error,
            SitemapError::Truncated { .. } | SitemapError::NotASitemap { .. }
        );
        assert!(told, "{}: {error}", &whole[..cut]);
        if cut > 120 {
            assert!(
                matches!(error, SitemapError::Truncated { .. }),
                "{cut} {error}"
            );
        }
    }
    refused(&whole[..whole.len() - 11], "ends in the middle", 4);
}

#[test]
fn what_follows_the_end() {
    let page = "<urlset><url><loc>https://shop.example/1</loc></url></urlset>";
    check(
        format!("{page}\n<!-- 0.2 s -->\n"),
        &["page https://shop.example/1"],
    );
    check(
        format!("{page} Warning: x & y"),
        &["page https://shop.example/1"],
    );
    check(format!("{page}</urlset>"), &["page https://shop.example/1"]);
    refused(format!("{page}{page}"), "another document", 1);
    refused(
        format!("{page}\n<?xml version='1.0'?>{page}"),
        "another document",
        1,
    );
}

#[test]
fn malformed_xml_is_told_where() {
    refused(
        "<urlset><url><loc>https://shop.example/1</loc></url><url><loc>x</url></urlset>",
        "XML is wrong at byte",
        1,
    );
    refused("<urlset><url></urlset>", "XML is wrong", 0);
    let deep = format!("<urlset>{}", "<a>".repeat(100));
    refused(deep, "nest deeper than 64", 0);
    let summary = check(
        format!(
            "<urlset><url><loc>a&nbsp;b</loc></url><url/><url><loc> </loc></url><url><loc>{}</loc></url></urlset>",
            "a".repeat(9_000)
        ),
        &[],
    );
    let whys: Vec<String> = summary
        .bad_entries
        .iter()
        .map(|bad| bad.why.to_string())
        .collect();
    assert_eq!(summary.bad, 4);
    assert_eq!(
        whys[0],
        "its URL has the entity &nbsp; which XML does not know"
    );
    assert_eq!(
        whys[1..],
        [
            "it has no URL",
            "it has no URL",
            "its URL is longer than 8192 bytes"
        ]
    );
    let two = check(
        "<urlset><url><loc>https://a.example/</loc><loc>x</loc></url></urlset>",
        &[],
    );
    assert_eq!(two.bad_entries[0].why, WhyBad::TwoUrls);
    let many = format!("<urlset>{}</urlset>", "<url/>".repeat(1_000));
    let summary = check(many, &[]);
    assert_eq!((summary.bad, summary.bad_entries.len()), (1_000, SHOWN_MAX));
}

#[test]
fn entities_are_neither_declared_nor_expanded() {
    let laughs = "<?xml version='1.0'?><!DOCTYPE urlset [<!ENTITY a 'ha'>\
        <!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'><!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;'>]>\
        <urlset><url><loc>https://shop.example/&c;</loc></url></urlset>";
    refused(laughs, "declares entities", 0);
    let file = "<!DOCTYPE urlset [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><urlset/>";
    refused(file, "declares entities", 0);
    let parameter =
        "<!DOCTYPE urlset [ <!ENTITY % x SYSTEM 'http://evil.example/x.dtd'> %x; ]><urlset/>";
    refused(parameter, "declares entities", 0);
    // One that is only named is not asked for.
    check(
        "<!DOCTYPE urlset SYSTEM 'http://evil.example/x.dtd'><urlset/>",
        &[],
    );
}

#[test]
fn bounds_of_a_file() {
    let small = SitemapLimits {
        bytes_max: 1_000,
        urls_max: 5,
    };
    let ask = |bytes: &[u8]| {
        let mut pages = 0;
        let result = read(bytes, &small, 0, |_| {
            pages += 1;
            ControlFlow::Continue(())
        });
        (pages, result.map(|summary| summary.pages))
    };
    let (pages, result) = ask(urlset(6).as_bytes());
    assert_eq!(pages, 5);
    assert!(
        matches!(result, Err(SitemapError::TooManyUrls { max: 5 })),
        "{result:?}"
    );
    assert!(matches!(ask(urlset(5).as_bytes()), (5, Ok(5))));
    let (_, result) = ask(urlset(20).as_bytes());
    assert!(
        matches!(result, Err(SitemapError::TooLarge { max: 1_000 })),
        "{result:?}"
    );
    let (_, result) = ask(&gzip(urlset(20).as_bytes()));
    assert!(
        matches!(result, Err(SitemapError::TooLarge { max: 1_000 })),
        "{result:?}"
    );
}

#[test]
fn gzip_bombs_end_soon() {
    let bomb = gzip(&vec![b' '; 16 << 20]);
    refused(&bomb, "more than 300 times its size", 0);
    refused(gzip(&bomb), "more than 300 times its size", 0);
}

#[test]
fn one_event_is_bounded() {
    let long = "a".repeat(300 << 10);
    for text in [
        format!("<urlset><!-- {long} --></urlset>"),
        format!("<urlset><url><loc><![CDATA[{long}]]></loc></url></urlset>"),
        format!("<urlset><url a='{long}'/></urlset>"),
        format!("<urlset>{}</urlset>", long),
        format!("https://shop.example/{long}\n"),
    ] {
        let (_, result) = lines_of(text.as_bytes(), 0);
        assert!(
            matches!(result, Err(SitemapError::TooLong { .. })),
            "{result:?}"
        );
    }
}

#[test]
fn the_one_who_takes_may_stop() {
    let text = urlset(10);
    let mut pages = 0;
    let result = read(text.as_bytes(), &LIMITS, 0, |_| {
        pages += 1;
        if pages == 3 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    let summary = result.unwrap();
    assert_eq!((pages, summary.pages, summary.stopped), (3, 3, true));
}

/// Hands out a little at a time and fails at its end.
struct Broken<'b>(&'b [u8]);

impl Read for Broken<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionReset,
                "reset by the shop",
            ));
        }
        let bytes = self.0.len().min(7).min(into.len());
        let (now, later) = self.0.split_at(bytes);
        into[..bytes].copy_from_slice(now);
        self.0 = later;
        Ok(bytes)
    }
}

#[test]
fn a_connection_that_breaks_is_no_short_sitemap() {
    let text = urlset(3);
    let packed = gzip(text.as_bytes());
    for bytes in [
        &text.as_bytes()[..text.len() - 15],
        &packed[..packed.len() - 10],
        &text.as_bytes()[..5],
    ] {
        let result = read(Broken(bytes), &LIMITS, 0, |_| ControlFlow::Continue(()));
        let error = result.unwrap_err();
        assert!(error.is_transient());
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, "reset by the shop");
    }
}

/// An endless sitemap, made as it is read.
struct Endless {
    pending: Vec<u8>,
    at: usize,
    number: u64,
}

impl Endless {
    fn new() -> Self {
        Self {
            pending: b"<urlset>".to_vec(),
            at: 0,
            number: 0,
        }
    }
}

impl Read for Endless {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.pending.len() {
            self.at = 0;
            self.pending.clear();
            for _ in 0..100 {
                let n = self.number;
                self.number += 1;
                write!(
                    self.pending,
                    "<url><loc>https://shop.example/p/{n}</loc></url>"
                )?;
            }
        }
        let bytes = into.len().min(self.pending.len() - self.at);
        into[..bytes].copy_from_slice(&self.pending[self.at..][..bytes]);
        self.at += bytes;
        Ok(bytes)
    }
}

/// Of this process, from the kernel: such as `VmHWM`, the most it ever was.
fn memory_kib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

const ALONE: &str = "TRAWLER_TEST_ALONE";

/// In a process of its own, since other tests run beside this one.
#[test]
#[cfg(target_os = "linux")]
fn memory_does_not_grow_with_the_file() {
    if std::env::var_os(ALONE).is_none() {
        let name = std::thread::current().name().unwrap().to_owned();
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        let status = command
            .env(ALONE, "1")
            .args(["--exact", &name])
            .output()
            .unwrap();
        assert!(
            status.status.success(),
            "{}",
            String::from_utf8_lossy(&status.stdout)
        );
        return;
    }
    let limits = SitemapLimits {
        bytes_max: 4 << 20,
        urls_max: u64::MAX,
    };
    let pages_of = |limits: &SitemapLimits| {
        let mut pages = 0_u64;
        let result = read(Endless::new(), limits, 0, |_| {
            pages += 1;
            ControlFlow::Continue(())
        });
        assert!(
            matches!(result, Err(SitemapError::TooLarge { .. })),
            "{result:?}"
        );
        pages
    };
    // What is loaded and kept at the first time is not counted, and neither is
    // what the first look at the memory loads: up to a mebibyte of code.
    let short = SitemapLimits {
        bytes_max: 256 << 10,
        ..limits
    };
    pages_of(&short);
    memory_kib("VmHWM:");
    let before = memory_kib("VmHWM:");
    let pages = pages_of(&limits);
    assert!(pages > 80_000, "{pages}");
    // Two buffers of 32 KiB, one event, and what the test itself costs.
    let grown = memory_kib("VmHWM:").saturating_sub(before);
    assert!(grown < 1 << 10, "{grown} KiB");
}

/// Whatever comes, it is read or refused, and never more than was sent.
#[test]
fn damaged_sitemaps_do_no_harm() {
    let (seed, mut state) = (0x5eed_0004_u64, 0x5eed_0004_u64);
    let mut roll = |sides: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % sides
    };
    let whole = urlset(5).into_bytes();
    let packed = gzip(&whole);
    const BYTES: &[u8] = b"<>&;/!?[]-\"' \0\xff\xfeaA:=\n\x1f\x8b";
    for round in 0..3_000 {
        let mut bytes = if round % 3 == 0 {
            packed.clone()
        } else {
            whole.clone()
        };
        for _ in 0..1 + roll(4) {
            let at = roll(bytes.len().max(1));
            match roll(4) {
                _ if bytes.is_empty() => {}
                0 => bytes[at] = BYTES[roll(BYTES.len())],
                1 => drop(bytes.drain(at..bytes.len().min(at + 1 + roll(30)))),
                2 => bytes.insert(at, BYTES[roll(BYTES.len())]),
                _ => bytes.truncate(at.max(1)),
            }
        }
        let mut handed_on = 0;
        let result = read(&bytes[..], &LIMITS, 0, |_| {
            handed_on += 1;
            ControlFlow::Continue(())
        });
        assert!(handed_on <= 6, "seed {seed:#x} round {round}: {result:?}");
        if let Ok(summary) = result {
            let counted = summary.pages + summary.parts;
            assert_eq!(counted, handed_on, "seed {seed:#x} round {round}");
        }
    }
}

//! Sitemaps of text: one URL a line.

use std::io::BufRead;
use std::ops::ControlFlow;

use super::error::{SitemapError, WhyBad, of_io};
use super::text::Text;
use super::{Entry, LOC_BYTES_MAX, Taker};

/// Characters of a line that are shown.
const SHOWN_CHARS: usize = 60;

pub(super) fn read(text: &mut Text<'_>, taker: &mut Taker<'_>) -> Result<(), SitemapError> {
    let mut line = Vec::new();
    let mut first = true;
    loop {
        line.clear();
        text.grant();
        let offset = text.offset();
        let read = text.read_until(b'\n', &mut line);
        if read.map_err(|error| of_io(&error, offset))? == 0 {
            return Ok(());
        }
        let whole = String::from_utf8_lossy(&line);
        // Old files end their lines with CR alone.
        for url in whole
            .split('\r')
            .map(str::trim)
            .filter(|url| !url.is_empty())
        {
            let why = bad(url);
            if first && let Some(WhyBad::NoUrlOnLine(found)) = why {
                return Err(SitemapError::NotASitemap {
                    found: format!("it is no XML, and its first line no URL: {found:?}"),
                });
            }
            first = false;
            if let Some(why) = why {
                taker.bad(why, offset);
                continue;
            }
            let page = Entry::Page {
                loc: url,
                lastmod: None,
            };
            if let ControlFlow::Break(()) = taker.entry(page, offset)? {
                return Ok(());
            }
        }
    }
}

fn bad(url: &str) -> Option<WhyBad> {
    let bytes = url.as_bytes();
    let starts = |scheme: &str| {
        bytes
            .get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme.as_bytes()))
    };
    match url {
        _ if !(starts("http://") || starts("https://")) => {
            let shown = url.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS);
            Some(WhyBad::NoUrlOnLine(shown.collect()))
        }
        _ if url.len() > LOC_BYTES_MAX => Some(WhyBad::TooLong),
        _ if url.contains('\u{fffd}') => Some(WhyBad::Damaged),
        _ => None,
    }
}

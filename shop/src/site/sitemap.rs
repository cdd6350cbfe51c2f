//! Sitemaps: the index, its parts, the same in other formats, and broken ones.

use std::ops::Range;

use super::push;
use crate::markup::escaped;
use crate::model::{LinkFrom, Model, Place};
use crate::site_spec::{Gone, Lastmod, SitemapStyle};

/// What a further sitemap is written in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extra {
    Rss,
    Atom,
    Text,
    /// XML, with pages that sell nothing.
    Pages,
}

/// Paths of further sitemaps of [`SitemapStyle::Mixed`].
pub(crate) const EXTRA_SITEMAPS: [(&str, Extra); 4] = [
    ("/sitemap-new.rss", Extra::Rss),
    ("/sitemap-new.atom", Extra::Atom),
    ("/sitemap-list.txt", Extra::Text),
    ("/sitemap-pages.xml", Extra::Pages),
];

/// Levels of entities, each ten times the one before: 10^9 copies of a text.
const ENTITY_LEVELS: u32 = 9;

const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
const NAMESPACE: &str = "http://www.sitemaps.org/schemas/sitemap/0.9";

pub(crate) fn sitemap_index(model: &Model, day: u32) -> String {
    let mut out = format!("{XML}<sitemapindex xmlns=\"{NAMESPACE}\">\n");
    let base = escaped(model.base_url());
    let mixed = model.spec().site.sitemap == SitemapStyle::Mixed;
    if model.spec().site.sitemap_names_itself {
        push(
            &mut out,
            format_args!("<sitemap><loc>{base}/sitemap.xml</loc></sitemap>\n"),
        );
    }
    for part in 0..part_count(model, day) {
        let suffix = if is_part_packed(model, part) {
            ".gz"
        } else {
            ""
        };
        let changed = if mixed {
            part_day(model, part, day)
        } else {
            model.content_day(day)
        };
        let date = model.published(changed).to_rfc3339();
        push(
            &mut out,
            format_args!(
                "<sitemap><loc>{base}/sitemap-{part}.xml{suffix}</loc><lastmod>{date}</lastmod></sitemap>\n"
            ),
        );
    }
    out.push_str("</sitemapindex>\n");
    out
}

/// One part of the sitemap, counted from 0.
pub(crate) fn sitemap_part(model: &Model, part: u32, day: u32) -> Option<String> {
    if part >= part_count(model, day) {
        return None;
    }
    let dates = Dates::new(model, part, day);
    let mut out = format!("{XML}<urlset xmlns=\"{NAMESPACE}\">\n");
    for slot in listed(model, slots(model, part, day), day) {
        // Of the orphans, three of four are in other formats alone.
        if extra_of(model, slot).is_some() {
            continue;
        }
        push(
            &mut out,
            format_args!(
                "<url><loc>{}</loc>{}</url>\n",
                escaped(&model.spelled(slot, LinkFrom::Sitemap)),
                dates.lastmod(slot)
            ),
        );
    }
    out.push_str("</urlset>\n");
    Some(out)
}

/// A further sitemap; none where the shop has only the plain one.
pub(crate) fn extra_sitemap(model: &Model, extra: Extra, day: u32) -> Option<String> {
    if model.spec().site.sitemap != SitemapStyle::Mixed {
        return None;
    }
    if extra == Extra::Pages {
        return Some(pages(model));
    }
    let links = listed(model, 0..model.universe(day), day)
        .filter(|slot| extra_of(model, *slot) == Some(extra))
        .map(|slot| escaped(&model.spelled(slot, LinkFrom::Sitemap)));
    let base = escaped(model.base_url());
    let mut out = String::new();
    match extra {
        Extra::Text => {
            // As Windows editors save it.
            out.push('\u{FEFF}');
            for slot in listed(model, 0..model.universe(day), day) {
                if extra_of(model, slot) == Some(extra) {
                    out.push_str(&model.spelled(slot, LinkFrom::Sitemap));
                    out.push_str("\r\n");
                }
            }
        }
        Extra::Rss => {
            out.push_str(XML);
            out.push_str("<rss version=\"2.0\"><channel><title>new</title>");
            push(&mut out, format_args!("<link>{base}/</link>\n"));
            for link in links {
                push(
                    &mut out,
                    format_args!("<item><title>-</title><link>{link}</link></item>\n"),
                );
            }
            out.push_str("</channel></rss>\n");
        }
        _ => {
            out.push_str(XML);
            out.push_str("<feed xmlns=\"http://www.w3.org/2005/Atom\"><title>new</title>\n");
            for link in links {
                push(
                    &mut out,
                    format_args!("<entry><title>-</title><link href=\"{link}\"/></entry>\n"),
                );
            }
            out.push_str("</feed>\n");
        }
    }
    Some(out)
}

fn pages(model: &Model) -> String {
    let base = escaped(model.base_url());
    let mut out = format!("{XML}<urlset xmlns=\"{NAMESPACE}\">\n");
    push(&mut out, format_args!("<url><loc>{base}/</loc></url>\n"));
    push(
        &mut out,
        format_args!("<url><loc>{base}/login</loc></url>\n"),
    );
    for number in 1..=model.spec().site.notices {
        push(
            &mut out,
            format_args!("<url><loc>{base}/notice/{number}</loc></url>\n"),
        );
    }
    out.push_str("</urlset>\n");
    out
}

pub(crate) fn part_count(model: &Model, day: u32) -> u32 {
    model.universe(day).div_ceil(model.spec().sitemap_part_urls)
}

pub(crate) fn is_part_packed(model: &Model, part: u32) -> bool {
    match model.spec().site.sitemap {
        SitemapStyle::Plain => model.spec().sitemap_gzip,
        SitemapStyle::Mixed => !part.is_multiple_of(2),
    }
}

/// A sitemap whose entities grow to a billion copies of a text ("billion laughs").
pub(crate) fn entity_bomb() -> String {
    let mut out =
        String::from("<?xml version=\"1.0\"?>\n<!DOCTYPE urlset [\n<!ENTITY l0 \"laugh\">\n");
    for level in 1..=ENTITY_LEVELS {
        let ten = format!("&l{};", level - 1).repeat(10);
        push(&mut out, format_args!("<!ENTITY l{level} \"{ten}\">\n"));
    }
    push(
        &mut out,
        format_args!("]>\n<urlset><url><loc>&l{ENTITY_LEVELS};</loc></url></urlset>\n"),
    );
    out
}

/// An index that has itself as its only part.
pub(crate) fn self_index(model: &Model, path: &str) -> String {
    let base = escaped(model.base_url());
    format!(
        "{XML}<sitemapindex xmlns=\"{NAMESPACE}\"><sitemap><loc>{base}{}</loc></sitemap></sitemapindex>\n",
        escaped(path)
    )
}

fn slots(model: &Model, part: u32, day: u32) -> Range<u32> {
    let size = model.spec().sitemap_part_urls;
    let first = part.saturating_mul(size);
    first..first.saturating_add(size).min(model.universe(day))
}

/// Slots that a sitemap of `day` lists.
fn listed(model: &Model, slots: Range<u32>, day: u32) -> impl Iterator<Item = u32> + '_ {
    slots.filter(move |slot| is_listed(model, *slot, day))
}

fn is_listed(model: &Model, slot: u32, day: u32) -> bool {
    let there = match model.spec().site.gone {
        Gone::NotFound => model.is_on_sale(slot, day),
        Gone::Mixed => true,
    };
    there && !matches!(model.place(slot), Place::Linked | Place::Related)
}

/// The further sitemap that an orphan is in, in place of the parts of the index.
fn extra_of(model: &Model, slot: u32) -> Option<Extra> {
    let mixed = model.spec().site.sitemap == SitemapStyle::Mixed;
    let elsewhere = mixed && model.place(slot) == Place::Orphan;
    let turn = slot / crate::vocabulary::LEAF_COUNT % 4;
    match turn {
        1 if elsewhere => Some(Extra::Rss),
        2 if elsewhere => Some(Extra::Atom),
        3 if elsewhere => Some(Extra::Text),
        _ => None,
    }
}

/// The last day on which anything of a part changed.
fn part_day(model: &Model, part: u32, day: u32) -> u32 {
    slots(model, part, day)
        .filter_map(|slot| model.page_day(slot, day))
        .max()
        .unwrap_or(0)
}

/// `lastmod` of every day, written once.
struct Dates<'a> {
    model: &'a Model,
    texts: Vec<String>,
    today: u32,
}

impl<'a> Dates<'a> {
    fn new(model: &'a Model, part: u32, today: u32) -> Self {
        let texts = (0..=today).map(|day| {
            let at = model.published(day);
            if model.spec().site.sitemap == SitemapStyle::Plain {
                return at.to_rfc3339();
            }
            match part % 3 {
                0 => at.to_rfc3339(),
                1 => at.format("%Y-%m-%dT%H:%MZ").to_string(),
                // The date in Seoul, which is that of the day; the protocol allows it alone.
                _ => model.published_seoul(day)[..10].to_owned(),
            }
        });
        Dates {
            texts: texts.collect(),
            model,
            today,
        }
    }

    fn lastmod(&self, slot: u32) -> String {
        let day = match self.model.spec().site.lastmod {
            Lastmod::Absent => return String::new(),
            Lastmod::Today => self.today,
            Lastmod::True => self.model.page_day(slot, self.today).unwrap_or(0),
        };
        format!("<lastmod>{}</lastmod>", self.texts[day as usize])
    }
}

//! Sitemaps, RSS and Atom: XML event by event.

use std::ops::ControlFlow;

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::date::{self, Lastmod};
use super::error::{SitemapError, WhyBad, of_io};
use super::text::Text;
use super::{Entry, LOC_BYTES_MAX, SitemapKind, Taker};

/// Elements may nest this deep; a sitemap with images needs five levels.
const DEPTH_MAX: usize = 64;

/// Bytes of a date.
const DATE_BYTES_MAX: usize = 64;

/// Characters of a name that are shown.
const SHOWN_CHARS: usize = 60;

pub(super) fn read(text: &mut Text<'_>, taker: &mut Taker<'_>) -> Result<(), SitemapError> {
    let mut reader = Reader::from_reader(text);
    // A lone `&` is common in hand-made sitemaps and has one meaning only.
    reader.config_mut().allow_dangling_amp = true;
    let mut parser = Parser::default();
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        reader.get_mut().grant();
        let offset = reader.buffer_position();
        let event = match reader.read_event_into(&mut buffer) {
            Ok(event) => event,
            Err(error) => {
                let (ended, at) = (reader.get_ref().at_end(), reader.error_position());
                return match &error {
                    quick_xml::Error::Io(error) => Err(of_io(error, at)),
                    // The document is whole; what follows it is some text.
                    _ if parser.is_over() => Ok(()),
                    error => Err(parser.explain(error, ended, at)),
                };
            }
        };
        if let ControlFlow::Break(()) = parser.event(event, offset, taker)? {
            return Ok(());
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Loc,
    Date,
}

#[derive(Default)]
struct Parser {
    kind: Option<SitemapKind>,
    depth: usize,
    /// Depth of an entry's element, where one is open.
    entry: Option<OpenEntry>,
    loc: String,
    date: String,
    problem: Option<WhyBad>,
}

struct OpenEntry {
    depth: usize,
    offset: u64,
    is_part: bool,
    /// Its prefix, with colon; the fields have the same.
    prefix: String,
    /// The field that is open, one level below.
    field: Option<Field>,
}

impl Parser {
    fn event(
        &mut self,
        event: Event<'_>,
        offset: u64,
        taker: &mut Taker<'_>,
    ) -> Result<ControlFlow<()>, SitemapError> {
        match event {
            Event::Eof => return self.end(offset).map(|()| ControlFlow::Break(())),
            Event::DocType(declaration) => doc_type(&declaration)?,
            Event::Start(start) => self.start(&start, offset, taker)?,
            Event::Empty(start) => {
                self.start(&start, offset, taker)?;
                return self.close(taker);
            }
            Event::End(_) => return self.close(taker),
            Event::Text(text) => self.text(&text),
            Event::CData(text) => self.text(&text),
            Event::GeneralRef(entity) => self.entity(&entity),
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Whether the root element was closed.
    fn is_over(&self) -> bool {
        self.kind.is_some() && self.depth == 0
    }

    fn end(&self, offset: u64) -> Result<(), SitemapError> {
        match self.kind {
            Some(_) if self.depth == 0 => Ok(()),
            Some(_) => Err(SitemapError::Truncated { offset }),
            None => Err(SitemapError::NotASitemap {
                found: "it has no element".to_owned(),
            }),
        }
    }

    fn explain(&self, error: &quick_xml::Error, ended: bool, offset: u64) -> SitemapError {
        let unclosed = matches!(error, quick_xml::Error::Syntax(_));
        match (unclosed && ended, self.kind) {
            (true, _) => SitemapError::Truncated { offset },
            (false, None) => SitemapError::NotASitemap {
                found: error.to_string(),
            },
            (false, Some(_)) => SitemapError::Malformed {
                offset,
                why: error.to_string(),
            },
        }
    }

    fn start(
        &mut self,
        start: &BytesStart<'_>,
        offset: u64,
        taker: &mut Taker<'_>,
    ) -> Result<(), SitemapError> {
        let name = start.name();
        let name = name.as_ref();
        let (prefix, local) = match name.rfind(':') {
            Some(at) => name.split_at(at + 1),
            None => ("", name),
        };
        if self.is_over() {
            return Err(SitemapError::GoesOn { offset });
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let why = format!("elements nest deeper than {DEPTH_MAX}");
            return Err(SitemapError::Malformed { offset, why });
        }
        let Some(kind) = self.kind else {
            let kind = kind_of(local)?;
            self.kind = Some(kind);
            taker.summary.kind = kind;
            return Ok(());
        };
        match &mut self.entry {
            None => self.open(kind, prefix, local, offset),
            Some(entry) if self.depth == entry.depth + 1 && prefix == entry.prefix => {
                entry.field = field_of(kind, local);
                // Put together they would be a third.
                if entry.field == Some(Field::Loc)
                    && kind != SitemapKind::Atom
                    && !self.loc.is_empty()
                {
                    self.problem.get_or_insert(WhyBad::TwoUrls);
                }
                if kind == SitemapKind::Atom && entry.field == Some(Field::Loc) {
                    entry.field = None;
                    self.atom_link(start);
                }
            }
            // Dublin Core's date is what RSS 1.0 has.
            Some(entry) if self.depth == entry.depth + 1 => {
                let dated = kind == SitemapKind::Rss && local == "date" && self.date.is_empty();
                entry.field = dated.then_some(Field::Date);
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Opens an entry, if this element is one.
    fn open(&mut self, kind: SitemapKind, prefix: &str, local: &str, offset: u64) {
        let (is_entry, is_part) = match kind {
            // Some files have the children of the other.
            SitemapKind::UrlSet | SitemapKind::Index => {
                let here = self.depth == 2;
                (
                    here && matches!(local, "url" | "sitemap"),
                    local == "sitemap",
                )
            }
            SitemapKind::Rss => (self.depth <= 3 && local == "item", false),
            SitemapKind::Atom => (self.depth == 2 && local == "entry", false),
            SitemapKind::Text => (false, false),
        };
        if is_entry {
            self.loc.clear();
            self.date.clear();
            self.problem = None;
            self.entry = Some(OpenEntry {
                depth: self.depth,
                offset,
                is_part,
                prefix: prefix.to_owned(),
                field: None,
            });
        }
    }

    fn close(&mut self, taker: &mut Taker<'_>) -> Result<ControlFlow<()>, SitemapError> {
        let depth = self.depth;
        self.depth = depth.saturating_sub(1);
        let Some(entry) = &mut self.entry else {
            return Ok(ControlFlow::Continue(()));
        };
        if depth == entry.depth + 1 {
            entry.field = None;
        }
        if depth != entry.depth {
            return Ok(ControlFlow::Continue(()));
        }
        let (offset, is_part) = (entry.offset, entry.is_part);
        self.entry = None;
        let loc = self.loc.trim();
        if let Some(why) = self.problem.take() {
            taker.bad(why, offset);
        } else if loc.is_empty() {
            taker.bad(WhyBad::NoUrl, offset);
        } else if loc.contains('\u{fffd}') {
            taker.bad(WhyBad::Damaged, offset);
        } else {
            let lastmod = lastmod(self.kind, &self.date, taker);
            let entry = match is_part {
                true => Entry::Part { loc, lastmod },
                false => Entry::Page { loc, lastmod },
            };
            return taker.entry(entry, offset);
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Atom's links stand in attributes; the one without `rel`, or with
    /// `alternate`, is the page.
    fn atom_link(&mut self, start: &BytesStart<'_>) {
        let (mut href, mut is_page) = (None, true);
        for attribute in start.attributes().with_checks(false).flatten() {
            let value = || attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0);
            match attribute.key.as_ref() {
                "href" => href = value().ok().map(|value| value.into_owned()),
                "rel" => is_page = value().is_ok_and(|value| value.trim() == "alternate"),
                _ => {}
            }
        }
        if let Some(href) = href.filter(|_| is_page && self.loc.is_empty()) {
            self.push(Field::Loc, &href);
        }
    }

    /// The field that text belongs to.
    fn field(&self) -> Option<Field> {
        let entry = self.entry.as_ref()?;
        entry.field.filter(|_| self.depth == entry.depth + 1)
    }

    fn text(&mut self, text: &str) {
        if let Some(field) = self.field() {
            self.push(field, text);
        }
    }

    fn push(&mut self, field: Field, text: &str) {
        match field {
            Field::Loc if self.loc.len() + text.len() > LOC_BYTES_MAX => {
                self.problem = Some(WhyBad::TooLong);
            }
            Field::Loc => self.loc.push_str(text),
            // A longer one is no date, and will not be found to be one.
            Field::Date if self.date.len() > DATE_BYTES_MAX => {}
            Field::Date => {
                let room = DATE_BYTES_MAX + 1;
                self.date.extend(text.chars().take(room));
            }
        }
    }

    fn entity(&mut self, entity: &BytesRef<'_>) {
        let Some(field) = self.field() else {
            return;
        };
        let character = match entity.resolve_char_ref() {
            Ok(Some(character)) => Some(character),
            Ok(None) | Err(_) => match entity.as_ref() {
                "amp" => Some('&'),
                "lt" => Some('<'),
                "gt" => Some('>'),
                "quot" => Some('"'),
                "apos" => Some('\''),
                _ => None,
            },
        };
        match (character, field) {
            (Some(character), _) => self.push(field, character.encode_utf8(&mut [0; 4])),
            (None, Field::Loc) => {
                let name = entity.chars().take(SHOWN_CHARS).collect();
                self.problem.get_or_insert(WhyBad::Entity(name));
            }
            (None, Field::Date) => self.push(field, "&"),
        }
    }
}

fn kind_of(root: &str) -> Result<SitemapKind, SitemapError> {
    match root {
        "urlset" => Ok(SitemapKind::UrlSet),
        "sitemapindex" => Ok(SitemapKind::Index),
        "rss" | "RDF" => Ok(SitemapKind::Rss),
        "feed" => Ok(SitemapKind::Atom),
        _ if root.eq_ignore_ascii_case("html") => Err(SitemapError::Html),
        _ => {
            let name: String = root.chars().take(SHOWN_CHARS).collect();
            let found =
                format!("its root element is <{name}>, not urlset, sitemapindex, rss or feed");
            Err(SitemapError::NotASitemap { found })
        }
    }
}

fn field_of(kind: SitemapKind, local: &str) -> Option<Field> {
    match (kind, local) {
        (SitemapKind::UrlSet | SitemapKind::Index, "loc") => Some(Field::Loc),
        (SitemapKind::UrlSet | SitemapKind::Index, "lastmod") => Some(Field::Date),
        (SitemapKind::Rss | SitemapKind::Atom, "link") => Some(Field::Loc),
        (SitemapKind::Rss, "pubDate") => Some(Field::Date),
        (SitemapKind::Atom, "updated") => Some(Field::Date),
        _ => None,
    }
}

/// A document type may be named; what declares something is not read.
fn doc_type(declaration: &str) -> Result<(), SitemapError> {
    let name = declaration.trim_start();
    match name.get(..4) {
        Some(start) if start.eq_ignore_ascii_case("html") => Err(SitemapError::Html),
        _ if declaration.contains('[') => Err(SitemapError::EntityDeclaration),
        _ => Ok(()),
    }
}

fn lastmod(kind: Option<SitemapKind>, text: &str, taker: &mut Taker<'_>) -> Option<Lastmod> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let found = match kind {
        Some(SitemapKind::Rss) => date::rfc_822(text).or_else(|| date::w3c(text)),
        Some(_) | None => date::w3c(text).or_else(|| date::rfc_822(text)),
    };
    taker.summary.bad_dates += u64::from(found.is_none());
    found
}

//! RSS 2.0 and Atom feeds with Google's `g:` attributes, streamed element by
//! element. Namespaces go by URI. Document types are not read, and an entity
//! that XML does not define by itself is never expanded.

use std::io;

use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use trawler_core::feed::FeedLimits;

use super::control::Control;
use super::error::{FeedError, Incomplete};
use super::fields::PLAIN;
use super::mapper::{FieldSpan, Mapper, Record};
use super::rejected::Reason;
use super::text::{READ_AHEAD_BYTES, Text, TextReader};

const GOOGLE: &str = "http://base.google.com/ns/1.0";
const GOOGLE_CUSTOM: &str = "http://base.google.com/cns/1.0";

/// Elements may nest this deep; a feed needs five levels.
const DEPTH_MAX: usize = 64;

/// Attributes with parts, in the order in which text feeds join them.
const PARTS: &[(&str, &[&str])] = &[
    ("shipping", &["country", "region", "service", "price"]),
    ("tax", &["country", "region", "rate", "tax_ship"]),
    (
        "installment",
        &["months", "amount", "downpayment", "credit_type"],
    ),
    ("subscription_cost", &["period", "period_length", "amount"]),
    (
        "certification",
        &[
            "certification_authority",
            "certification_name",
            "certification_code",
        ],
    ),
    (
        "product_detail",
        &["section_name", "attribute_name", "attribute_value"],
    ),
    ("free_shipping_threshold", &["country", "price_threshold"]),
    (
        "loyalty_program",
        &[
            "program_label",
            "tier_label",
            "price",
            "cashback_for_future_use",
            "loyalty_points",
        ],
    ),
    ("loyalty_points", &["name", "points_value", "ratio"]),
];

pub(super) fn read<'c>(
    text: Text<'c>,
    limits: &FeedLimits,
    mapper: &mut Mapper<'_>,
    control: &'c Control<'c>,
) -> io::Result<()> {
    let mut reader = NsReader::from_reader(TextReader::new(text, control));
    // A lone `&` is common in feeds and has one meaning only.
    reader.config_mut().allow_dangling_amp = true;
    let mut parser = Parser::default();
    let mut buffer = Vec::new();
    let row_bytes = limits.row_bytes_max + READ_AHEAD_BYTES;
    control.grant(row_bytes);
    loop {
        buffer.clear();
        let offset = reader.buffer_position();
        let (namespace, event) = match reader.read_resolved_event_into(&mut buffer) {
            Ok((resolved, event)) => (Vocabulary::of(&resolved), event),
            Err(error) => {
                let ended = reader.get_ref().at_end();
                let offset = reader.error_position();
                return Err(explain(&error, ended, offset, control));
            }
        };
        match event {
            Event::Eof => return parser.end(offset, control),
            Event::DocType(declaration) if declaration.contains('[') => {
                return Err(control.error(FeedError::EntityDeclaration));
            }
            Event::Start(start) => parser.start(&start, namespace, offset, mapper, control)?,
            Event::Empty(start) => {
                parser.start(&start, namespace, offset, mapper, control)?;
                if parser.close(mapper, control)? {
                    control.grant(row_bytes);
                }
            }
            Event::End(_) => {
                if parser.close(mapper, control)? {
                    control.grant(row_bytes);
                }
            }
            Event::Text(text) => parser.text(&text),
            Event::CData(text) => parser.text(&text),
            Event::GeneralRef(entity) => parser.entity(&entity),
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) | Event::DocType(_) => {}
        }
        if parser.text.len() > limits.row_bytes_max {
            let row = control.progress().rows + 1;
            return Err(control.error(FeedError::RowTooLong { row }));
        }
        if parser.item.is_none() {
            control.grant(row_bytes);
        }
    }
}

fn explain(error: &quick_xml::Error, ended: bool, offset: u64, control: &Control<'_>) -> io::Error {
    if control.has_fault() {
        return io::Error::other("reading ended early");
    }
    let unclosed = matches!(error, quick_xml::Error::Syntax(_));
    if ended && unclosed {
        let what = "XML";
        return control.incomplete(Incomplete::Truncated { what, offset });
    }
    control.error(FeedError::Malformed {
        format: "XML",
        offset,
        why: error.to_string(),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Vocabulary {
    Google,
    /// RSS, which has no namespace, or Atom.
    Plain,
    Other,
}

impl Vocabulary {
    fn of(resolved: &ResolveResult<'_>) -> Self {
        match resolved {
            ResolveResult::Bound(Namespace(GOOGLE | GOOGLE_CUSTOM)) => Self::Google,
            ResolveResult::Unbound
            | ResolveResult::Bound(Namespace("http://www.w3.org/2005/Atom")) => Self::Plain,
            // A prefix that is declared nowhere, as in many hand-made feeds.
            ResolveResult::Unknown(prefix) if prefix == "g" => Self::Google,
            ResolveResult::Bound(_) | ResolveResult::Unknown(_) => Self::Other,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Root {
    Rss,
    Atom,
}

#[derive(Default)]
struct Parser {
    root: Option<Root>,
    depth: usize,
    /// Items seen.
    number: u64,
    item: Option<Item>,
    text: String,
    values: Vec<FieldSpan>,
}

/// The item being read.
struct Item {
    /// Depth of the item's element.
    depth: usize,
    offset: u64,
    field: Option<Field>,
    problem: Option<String>,
}

/// The field being read.
struct Field {
    number: u32,
    name: String,
    start: usize,
    /// Parts of a field with elements of its own, with their names.
    parts: Vec<(String, String)>,
    part: Option<(String, usize)>,
}

impl Parser {
    fn start(
        &mut self,
        start: &BytesStart<'_>,
        vocabulary: Vocabulary,
        offset: u64,
        mapper: &mut Mapper<'_>,
        control: &Control<'_>,
    ) -> io::Result<()> {
        let local = start.local_name();
        let local = local.as_ref();
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(control.error(FeedError::Malformed {
                format: "XML",
                offset,
                why: format!("elements nest deeper than {DEPTH_MAX}"),
            }));
        }
        let Some(root) = self.root else {
            self.root = Some(match local {
                "rss" | "RDF" => Root::Rss,
                "feed" => Root::Atom,
                found => {
                    let found = super::convert::cut(found, 100).to_owned();
                    return Err(control.error(FeedError::NotAFeed { found }));
                }
            });
            return Ok(());
        };
        let Some(item) = &mut self.item else {
            let opens = match root {
                Root::Rss => local == "item" && self.depth <= 3,
                Root::Atom => local == "entry" && self.depth == 2,
            };
            if opens {
                self.number += 1;
                self.text.clear();
                self.values.clear();
                self.item = Some(Item {
                    depth: self.depth,
                    offset,
                    field: None,
                    problem: None,
                });
            }
            return Ok(());
        };
        if self.depth == item.depth + 1 {
            let name = match vocabulary {
                Vocabulary::Google => local.to_owned(),
                Vocabulary::Plain => format!("{PLAIN}{local}"),
                Vocabulary::Other => start.name().as_ref().to_owned(),
            };
            let number = mapper.fields.number(&name);
            let number = number.map_err(|error| control.error(error))? as u32;
            let begin = self.text.len();
            if vocabulary == Vocabulary::Plain && local == "link" {
                self.text.push_str(&atom_link(start));
            }
            item.field = Some(Field {
                number,
                name: local.to_owned(),
                start: begin,
                parts: Vec::new(),
                part: None,
            });
        } else if let Some(field) = &mut item.field
            && self.depth == item.depth + 2
        {
            field.part = Some((local.to_owned(), self.text.len()));
        }
        Ok(())
    }

    /// Closes the innermost element; true when it was an item.
    fn close(&mut self, mapper: &mut Mapper<'_>, control: &Control<'_>) -> io::Result<bool> {
        let depth = self.depth;
        self.depth = depth.saturating_sub(1);
        let Some(item) = &mut self.item else {
            return Ok(false);
        };
        if depth == item.depth + 2 {
            if let Some(field) = &mut item.field
                && let Some((name, start)) = field.part.take()
            {
                let value = self.text[start..].trim().to_owned();
                self.text.truncate(start);
                field.parts.push((name, value));
            }
            return Ok(false);
        }
        if depth == item.depth + 1 {
            if let Some(field) = item.field.take() {
                if !field.parts.is_empty() {
                    self.text.truncate(field.start);
                    self.text.push_str(&joined(&field));
                }
                let span = (field.number, field.start as u32, self.text.len() as u32);
                self.values.push(span);
                // Keeps the values apart for a reader of the report.
                self.text.push(' ');
            }
            return Ok(false);
        }
        if depth != item.depth {
            return Ok(false);
        }
        let at = (self.number, item.offset);
        let problem = item.problem.take();
        self.item = None;
        if let Some(why) = problem {
            mapper.reject(Reason::Malformed, 1, at, &self.text, why)?;
        } else {
            mapper.row(&Record {
                text: &self.text,
                values: &self.values,
                line: at.0,
                offset: at.1,
            })?;
        }
        let _ = control;
        Ok(true)
    }

    fn text(&mut self, text: &str) {
        if self.item.as_ref().is_some_and(|item| item.field.is_some()) {
            self.text.push_str(text);
        }
    }

    fn entity(&mut self, entity: &quick_xml::events::BytesRef<'_>) {
        let Some(item) = &mut self.item else {
            return;
        };
        let character = match entity.resolve_char_ref() {
            Ok(Some(character)) => Some(character),
            Ok(None) => match entity.as_ref() {
                "amp" => Some('&'),
                "lt" => Some('<'),
                "gt" => Some('>'),
                "quot" => Some('"'),
                "apos" => Some('\''),
                // The one HTML entity that shop software lets through.
                "nbsp" => Some('\u{a0}'),
                _ => None,
            },
            Err(_) => None,
        };
        match character {
            Some(character) if item.field.is_some() => self.text.push(character),
            Some(_) => {}
            None => {
                let name = super::convert::cut(entity, 40);
                item.problem = Some(format!("holds the unknown entity &{name};"));
            }
        }
    }

    fn end(&self, offset: u64, control: &Control<'_>) -> io::Result<()> {
        if self.root.is_none() {
            return Err(control.incomplete(Incomplete::Empty));
        }
        if self.depth > 0 {
            let what = "XML";
            return Err(control.incomplete(Incomplete::Truncated { what, offset }));
        }
        Ok(())
    }
}

/// The address of an Atom link to the page itself; RSS has none here.
fn atom_link(start: &BytesStart<'_>) -> String {
    let mut href = String::new();
    for attribute in start.attributes().flatten() {
        match attribute.key.as_ref() {
            "href" => {
                let version = quick_xml::XmlVersion::Implicit1_0;
                href = attribute
                    .normalized_value(version)
                    .map(|value| value.into_owned())
                    .unwrap_or_default();
            }
            "rel" if attribute.value.as_ref() != "alternate" => return String::new(),
            _ => {}
        }
    }
    href
}

/// Parts in the order of the table, else as they came, joined by colons.
fn joined(field: &Field) -> String {
    let order = PARTS.iter().find(|(name, _)| *name == field.name);
    let values: Vec<&str> = match order {
        Some((_, order)) => {
            let value_of = |part: &&str| {
                let found = field.parts.iter().find(|(name, _)| name == part);
                found.map_or("", |(_, value)| value.as_str())
            };
            order.iter().map(value_of).collect()
        }
        None => field
            .parts
            .iter()
            .map(|(_, value)| value.as_str())
            .collect(),
    };
    let text = values.join(":");
    text.trim_end_matches(':').to_owned()
}

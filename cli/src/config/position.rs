//! Where in a TOML text something stands.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// 1-based.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|b| *b == b'\n').count()
}

/// Line of a dotted key, or of the nearest table above it that is written.
pub(super) fn line_of_key(text: &str, key: &str) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let mut line = None;
    let mut at: &DeTable<'_> = table.get_ref();
    for part in key.split('.') {
        let Some((name, value)) = at.iter().find(|(name, _)| name.get_ref() == part) else {
            break;
        };
        line = Some(line_of(text, name.span().start));
        match value.get_ref() {
            DeValue::Table(inner) => at = inner,
            DeValue::Array(items) => match items.iter().next().map(Spanned::get_ref) {
                Some(DeValue::Table(inner)) => at = inner,
                _ => break,
            },
            _ => break,
        }
    }
    line
}

/// Dotted key whose name or value covers the byte offset.
pub(super) fn key_at(text: &str, offset: usize) -> String {
    let mut path = Vec::new();
    if let Ok(table) = DeTable::parse(text) {
        collect_key(table.get_ref(), offset, &mut path);
    }
    path.join(".")
}

fn collect_key(table: &DeTable<'_>, offset: usize, path: &mut Vec<String>) -> bool {
    let covers = |span: Range<usize>| span.contains(&offset) || span.start == offset;
    for (name, value) in table.iter() {
        path.push(name.get_ref().to_string());
        let inside = match value.get_ref() {
            DeValue::Table(inner) => collect_key(inner, offset, path),
            _ => false,
        };
        if inside || covers(name.span()) || covers(value.span()) {
            return true;
        }
        path.pop();
    }
    false
}

/// A value that is no table, under its dotted key.
pub(super) struct Leaf {
    pub(super) key: String,
    /// Where the value is a text.
    pub(super) text: Option<String>,
}

/// Every value below a dotted key, in order of key.
pub(super) fn leaves(text: &str, below: &str) -> Vec<Leaf> {
    let mut found = Vec::new();
    if let Ok(table) = DeTable::parse(text) {
        collect_leaves(table.get_ref(), "", &mut found);
    }
    let below = format!("{below}.");
    found.retain(|leaf| leaf.key.starts_with(&below));
    found
}

fn collect_leaves(table: &DeTable<'_>, above: &str, found: &mut Vec<Leaf>) {
    for (name, value) in table.iter() {
        let key = format!("{above}{}", name.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) => collect_leaves(inner, &format!("{key}."), found),
            DeValue::String(text) => found.push(Leaf {
                key,
                text: Some(text.to_string()),
            }),
            _ => found.push(Leaf { key, text: None }),
        }
    }
}

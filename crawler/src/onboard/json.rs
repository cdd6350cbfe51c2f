//! Where the products are in a JSON document, and the first of them. The text
//! may end in the middle.

use std::collections::BTreeMap;

use serde_json::Value;

use super::table::{FIELDS_MAX, ROWS_MAX, Table};

/// Containers may nest this deep.
const DEPTH_MAX: usize = 64;

/// Paths of arrays that are counted.
const PATHS_MAX: usize = 1_000;

/// An array of objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Items {
    /// Dotted; empty where the document is the array.
    pub(super) path: String,
    /// Where the first object begins.
    first: usize,
    /// Objects seen.
    count: usize,
    depth: usize,
}

struct Frame {
    is_array: bool,
    /// The path of this container, if a dotted path leads to it.
    path: Option<String>,
    /// The key that is being read.
    key: Option<String>,
    wants_key: bool,
}

/// The array with the most objects, among those that a dotted path leads to.
pub(super) fn find_items(text: &str) -> Option<Items> {
    let bytes = text.as_bytes();
    let mut found: BTreeMap<String, Items> = BTreeMap::new();
    let mut stack: Vec<Frame> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            open @ (b'{' | b'[') => {
                if stack.len() >= DEPTH_MAX {
                    break;
                }
                let parent = stack.last();
                if let Some(Frame {
                    is_array: true,
                    path: Some(path),
                    ..
                }) = parent
                    && open == b'{'
                    && (found.contains_key(path) || found.len() < PATHS_MAX)
                {
                    let items = found.entry(path.clone()).or_insert_with(|| Items {
                        path: path.clone(),
                        first: at,
                        count: 0,
                        depth: stack.len(),
                    });
                    items.count += 1;
                }
                let path = below(parent);
                stack.push(Frame {
                    is_array: open == b'[',
                    path,
                    key: None,
                    wants_key: open == b'{',
                });
            }
            b'}' | b']' => {
                stack.pop();
            }
            b',' => {
                if let Some(frame) = stack.last_mut() {
                    frame.wants_key = !frame.is_array;
                }
            }
            b'"' => {
                let Some(end) = string_end(bytes, at) else {
                    break;
                };
                if let Some(frame) = stack.last_mut()
                    && frame.wants_key
                {
                    frame.key = Some(text[at + 1..end].to_owned());
                    frame.wants_key = false;
                }
                at = end;
            }
            _ => {}
        }
        at += 1;
    }
    let best = |items: &Items| (items.count, std::cmp::Reverse(items.depth));
    found.into_values().max_by_key(best)
}

/// The path of a container in this one.
fn below(parent: Option<&Frame>) -> Option<String> {
    let Some(parent) = parent else {
        return Some(String::new());
    };
    let key = parent.key.as_deref()?;
    let path = parent.path.as_deref()?;
    // A dot or an escape in a key is none of a dotted path.
    if parent.is_array || key.is_empty() || key.contains(['.', '\\']) {
        return None;
    }
    Some(match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    })
}

fn string_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from + 1;
    loop {
        match bytes.get(at)? {
            b'\\' => at += 2,
            b'"' => return Some(at),
            _ => at += 1,
        }
    }
}

/// The first objects of the array, flattened as the reader of feeds does.
pub(super) fn sample(text: &str, items: &Items) -> Table {
    let mut table = Table::default();
    let mut rest = &text[items.first..];
    while table.rows.len() < ROWS_MAX {
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let Some(Ok(value)) = values.next() else {
            break;
        };
        rest = rest[values.byte_offset()..].trim_start_matches([' ', '\t', '\r', '\n', ',']);
        push(&mut table, &value);
    }
    table
}

/// The first lines, each an object.
pub(super) fn sample_lines(text: &str) -> Table {
    let mut table = Table::default();
    for line in text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .take(ROWS_MAX)
    {
        if let Ok(value) = serde_json::from_str::<Value>(line) {
            push(&mut table, &value);
        }
    }
    table
}

fn push(table: &mut Table, value: &Value) {
    let mut row = vec![String::new(); table.names.len()];
    flatten(table, &mut row, "", value);
    table.rows.push(row);
}

fn flatten(table: &mut Table, row: &mut Vec<String>, path: &str, value: &Value) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let path = match path {
                    "" => name.clone(),
                    path => format!("{path}.{name}"),
                };
                flatten(table, row, &path, value);
            }
        }
        Value::Array(values) => {
            for value in values {
                flatten(table, row, path, value);
            }
        }
        Value::Null => {}
        Value::String(text) => set(table, row, path, text),
        scalar => set(table, row, path, &scalar.to_string()),
    }
}

fn set(table: &mut Table, row: &mut Vec<String>, path: &str, value: &str) {
    let at = match table.names.iter().position(|name| name == path) {
        Some(at) => at,
        None if table.names.len() < FIELDS_MAX => {
            table.names.push(path.to_owned());
            table.names.len() - 1
        }
        None => return,
    };
    row.resize(table.names.len().max(row.len()), String::new());
    // Of several values the first stands for all.
    if row[at].is_empty() {
        row[at] = value.to_owned();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_items_are_the_array_with_the_most_objects() {
        let check = |text: &str, expected: Option<(&str, usize)>| {
            let found = find_items(text);
            let found = found.as_ref().map(|items| (&*items.path, items.count));
            assert_eq!(found, expected, "{text}");
        };
        check("[{\"id\":1},{\"id\":2}]", Some(("", 2)));
        check(
            "{\"meta\":{\"pages\":[{\"n\":1}]},\"data\":{\"items\":[{\"a\":\"]}\"},{\"a\":2}",
            Some(("data.items", 2)),
        );
        // Lists within products are not the products.
        check(
            "{\"p\":[{\"v\":[{},{},{}]},{\"v\":[{},{}]}]}",
            Some(("p", 2)),
        );
        check("{\"a.b\":[{}]}", None);
        check("{\"a\":[1,2]}", None);
        check("{\"a\":[\"{\\\"\"", None);
        check(&"[".repeat(1_000), None);
        check("", None);
    }

    #[test]
    fn objects_are_flattened_as_the_reader_does() {
        let text = "{\"x\":[{\"id\":1,\"offer\":{\"price\":5.5},\"images\":[\"a\",\"b\"],\"no\":null},\
                    {\"id\":2,\"new\":true},{\"id\":";
        let table = sample(text, &find_items(text).unwrap());
        let mut names = table.names.clone();
        names.sort();
        assert_eq!(names, ["id", "images", "new", "offer.price"]);
        assert_eq!(table.rows.len(), 2);
        assert_eq!(table.values("offer.price").collect::<Vec<_>>(), ["5.5"]);
        assert_eq!(table.values("images").collect::<Vec<_>>(), ["a"]);
        let lines = sample_lines("{\"id\":1}\n\nnonsense\n{\"id\":2}\n");
        assert_eq!(lines.values("id").collect::<Vec<_>>(), ["1", "2"]);
    }
}

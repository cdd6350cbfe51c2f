//! Dotted paths into JSON, and links that are put together of values.

use serde_json::Value;

use super::words::encoded;

/// A path of keys and positions: `data.items.0`.
#[derive(Debug, Clone)]
pub(super) struct Path {
    /// As it was declared.
    text: String,
}

impl Path {
    pub(super) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// What is there; an error says what there is instead.
    pub(super) fn find<'v>(&self, value: &'v Value) -> Result<&'v Value, String> {
        let mut at = value;
        for key in self.text.split('.') {
            at = step(at, key).ok_or_else(|| match at {
                Value::Object(map) => format!("no key {key:?} among {}", keys(map)),
                Value::Array(items) => format!("no item {key:?} among {}", items.len()),
                other => format!("before {key:?} there is {}", kind(other)),
            })?;
        }
        Ok(at)
    }
}

fn step<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    match value {
        Value::Object(map) => map.get(key),
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        _ => None,
    }
}

/// The first keys of an object, for people.
fn keys(map: &serde_json::Map<String, Value>) -> String {
    const SHOWN_MAX: usize = 20;
    const CHARS_MAX: usize = 40;
    let cut = |key: &String| key.chars().take(CHARS_MAX).collect::<String>();
    let shown: Vec<String> = map.keys().take(SHOWN_MAX).map(cut).collect();
    match shown.is_empty() {
        true => "none".to_owned(),
        false => shown.join(", "),
    }
}

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Text or number, not empty.
pub(super) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// How an item says where its page is.
#[derive(Debug, Clone)]
pub(super) enum LinkOf {
    Path(Path),
    /// Texts, each with the path behind it, and the last text.
    Template(Vec<(String, Path)>, String),
}

impl LinkOf {
    pub(super) fn new(declared: &str) -> Self {
        if !declared.contains('{') {
            return Self::Path(Path::new(declared));
        }
        let mut parts = Vec::new();
        let mut rest = declared;
        while let Some((text, after)) = rest.split_once('{') {
            let (path, after) = after.split_once('}').unwrap_or((after, ""));
            parts.push((text.to_owned(), Path::new(path)));
            rest = after;
        }
        Self::Template(parts, rest.to_owned())
    }

    /// The reference, unless a value is missing.
    pub(super) fn of(&self, item: &Value) -> Option<String> {
        match self {
            Self::Path(path) => text_of(path.find(item).ok()?),
            Self::Template(parts, end) => {
                let mut link = String::new();
                for (text, path) in parts {
                    link.push_str(text);
                    link.push_str(&encoded(&text_of(path.find(item).ok()?)?));
                }
                Some(link + end)
            }
        }
    }
}

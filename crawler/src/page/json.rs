//! Reads JSON as shops write it between `<script type="application/ld+json">`
//! tags, and tells what it had to forgive; and the literals of JavaScript that
//! scripts give to variables. Nothing is ever executed: what is no literal is
//! null.
//!
//! Beyond RFC 8259 it accepts comments (`//`, `/* */`, `<!-- -->`), CDATA
//! marks, control characters in strings, needless and missing commas, single
//! quotes, bare keys, wrong escapes, quotes that should have been escaped,
//! missing values, a semicolon at the end, several values in a row and HTML
//! entities for the quotes. Nothing else is guessed: a block that cannot be
//! read is an error with its place.

mod script;

use std::fmt;

use super::dom::decode_entities;
use super::limits::{JSON_DEPTH_MAX, JSON_VALUES_MAX};
use super::remarks::quoted;
use super::value::Value;

pub(super) use script::literal;

/// A place in the block, both counted from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    line: usize,
    column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why} at {place}, before {near}")]
pub(super) struct JsonError {
    why: String,
    place: Place,
    near: String,
}

/// A value and what was forgiven on the way, each kind once with its place.
#[derive(Debug, PartialEq)]
pub(super) struct Parsed {
    pub(super) value: Value,
    pub(super) repairs: Vec<(&'static str, Place)>,
}

/// Entities that stand for the quotes of JSON.
const QUOTES: &[&str] = &["&quot;", "&#34;", "&#x22;", "&#X22;"];

/// Reads one block. Blank text is `None`.
pub(super) fn parse(text: &str) -> Result<Option<Parsed>, JsonError> {
    match Parser::new(text).document() {
        Err(error) if QUOTES.iter().any(|quote| text.contains(quote)) => {
            let decoded = decode_entities(text);
            let Ok(parsed) = Parser::new(&decoded).document() else {
                return Err(error);
            };
            Ok(parsed.map(|mut parsed| {
                let start = Place { line: 1, column: 1 };
                parsed.repairs.insert(0, ("HTML entities", start));
                parsed
            }))
        }
        result => result,
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    values: usize,
    /// Whether this is JavaScript: expressions stand where values do.
    is_script: bool,
    /// Whether the innermost open value is an object.
    in_object: bool,
    /// Kind of repair and byte where it was first needed.
    repairs: Vec<(&'static str, usize)>,
}

type Step<T> = Result<T, (String, usize)>;

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
            values: 0,
            is_script: false,
            in_object: false,
            repairs: Vec::new(),
        }
    }

    fn document(mut self) -> Result<Option<Parsed>, JsonError> {
        let values = match self.top_level() {
            Ok(values) => values,
            Err((why, at)) => {
                return Err(JsonError {
                    why,
                    place: place(self.text, at),
                    near: match self.text.get(at..).unwrap_or_default().trim() {
                        "" => "the end".to_owned(),
                        near => quoted(near),
                    },
                });
            }
        };
        let repairs = self
            .repairs
            .iter()
            .map(|(what, at)| (*what, place(self.text, *at)))
            .collect();
        let mut values = values;
        let value = match values.len() {
            0 => return Ok(None),
            1 => values.remove(0),
            _ => Value::List(values),
        };
        Ok(Some(Parsed { value, repairs }))
    }

    fn top_level(&mut self) -> Step<Vec<Value>> {
        let mut values = Vec::new();
        loop {
            self.blank()?;
            match self.peek() {
                None => return Ok(values),
                Some(b';') => self.forgive("semicolon after the value", 1),
                Some(b',') if !values.is_empty() => self.forgive("several values in a row", 1),
                Some(b'{' | b'[') if !values.is_empty() => {
                    self.note("several values in a row");
                    values.push(self.value()?);
                }
                Some(_) if values.is_empty() => values.push(self.value()?),
                Some(_) => {
                    self.note("text after the value was not read");
                    return Ok(values);
                }
            }
        }
    }

    fn value(&mut self) -> Step<Value> {
        self.values += 1;
        if self.values > JSON_VALUES_MAX {
            return self.fail(format!("more than {JSON_VALUES_MAX} values"));
        }
        match self.peek() {
            Some(b'{') => self.nested(true, Self::object),
            Some(b'[') => self.nested(false, Self::list),
            Some(quote @ (b'"' | b'\'' | b'`')) if self.is_script => {
                self.string(quote, |_| true).map(Value::Text)
            }
            Some(_) if self.is_script && !self.starts_number() => self.script_word(),
            Some(quote @ (b'"' | b'\'')) => {
                self.string(quote, Self::value_ends_here).map(Value::Text)
            }
            Some(b'-' | b'+' | b'.' | b'0'..=b'9') => self.number(),
            Some(b) if b.is_ascii_alphabetic() => self.word(),
            Some(_) => self.fail("expected a value".to_owned()),
            None => self.fail("the block ends where a value should be".to_owned()),
        }
    }

    fn nested(&mut self, is_object: bool, read: fn(&mut Self) -> Step<Value>) -> Step<Value> {
        if self.depth == JSON_DEPTH_MAX {
            return self.fail(format!("values nest deeper than {JSON_DEPTH_MAX} levels"));
        }
        let outer = std::mem::replace(&mut self.in_object, is_object);
        self.depth += 1;
        self.at += 1;
        let value = read(self);
        self.depth -= 1;
        self.in_object = outer;
        value
    }

    fn object(&mut self) -> Step<Value> {
        let mut entries = Vec::new();
        loop {
            if self.separator(b'}', entries.is_empty())? {
                return Ok(Value::Object(entries));
            }
            let key = self.key()?;
            self.blank()?;
            if self.is_script && self.peek() != Some(b':') {
                // `{name}`, `{get x() {…}}`, `{...rest}`: not for us.
                self.skip_expression();
                entries.push((key, Value::Null));
                continue;
            }
            if self.peek() != Some(b':') {
                return self.fail(format!("expected ':' after the key {}", quoted(&key)));
            }
            self.at += 1;
            self.blank()?;
            let value = if matches!(self.peek(), Some(b',' | b'}')) {
                self.note("missing value");
                Value::Null
            } else {
                self.member()?
            };
            entries.push((key, value));
        }
    }

    fn list(&mut self) -> Step<Value> {
        let mut values = Vec::new();
        loop {
            if self.separator(b']', values.is_empty())? {
                return Ok(Value::List(values));
            }
            let value = self.member()?;
            values.push(value);
        }
    }

    /// A value inside another. In a script it may be the start of an
    /// expression, whose result nobody knows.
    fn member(&mut self) -> Step<Value> {
        let value = self.value()?;
        if !self.is_script {
            return Ok(value);
        }
        self.blank()?;
        match self.peek() {
            None | Some(b',' | b'}' | b']') => Ok(value),
            Some(_) => {
                self.skip_expression();
                Ok(Value::Null)
            }
        }
    }

    /// What stands between members. `true`: the end was there and is passed.
    fn separator(&mut self, end: u8, first: bool) -> Step<bool> {
        self.blank()?;
        let mut commas = 0_usize;
        let mut needless_at = self.at;
        while self.peek() == Some(b',') {
            if commas > 0 || first {
                self.note("needless comma");
            }
            needless_at = self.at;
            commas += 1;
            self.at += 1;
            self.blank()?;
        }
        match self.peek() {
            Some(b) if b == end => {
                if commas > 0 {
                    self.note_at("needless comma", needless_at);
                }
                self.at += 1;
                Ok(true)
            }
            None => self.fail(format!("the block ends before its {:?}", char::from(end))),
            Some(b'}' | b']') => self.fail(format!("expected {:?}", char::from(end))),
            Some(_) => {
                if commas == 0 && !first {
                    self.note("missing comma");
                }
                Ok(false)
            }
        }
    }

    fn key(&mut self) -> Step<String> {
        match self.peek() {
            // Keys have no quotes inside.
            Some(quote @ (b'"' | b'\'')) => self.string(quote, |_| true),
            Some(b'.' | b'[') if self.is_script => Ok(String::new()),
            Some(b)
                if b.is_ascii_alphabetic()
                    || matches!(b, b'_' | b'@' | b'$')
                    || (self.is_script && b.is_ascii_digit()) =>
            {
                self.note("key without quotes");
                let rest = &self.text[self.at..];
                let length = rest
                    .find(|c: char| {
                        !c.is_ascii_alphanumeric() && !matches!(c, '_' | '@' | '$' | '-')
                    })
                    .unwrap_or(rest.len());
                self.at += length;
                Ok(rest[..length].to_owned())
            }
            _ => self.fail("expected a key in quotes".to_owned()),
        }
    }

    fn number(&mut self) -> Step<Value> {
        let rest = &self.text[self.at..];
        let length = rest
            .find(|c: char| !c.is_ascii_digit() && !matches!(c, '-' | '+' | '.' | 'e' | 'E'))
            .unwrap_or(rest.len());
        let digits = &rest[..length];
        if !digits.bytes().any(|b| b.is_ascii_digit()) {
            return self.fail("expected a number".to_owned());
        }
        self.at += length;
        Ok(Value::Number(digits.to_owned()))
    }

    fn word(&mut self) -> Step<Value> {
        let rest = &self.text[self.at..];
        let length = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        let value = match &rest[..length] {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" => Value::Null,
            "undefined" | "NaN" | "None" => {
                self.note("word of another language for null");
                Value::Null
            }
            word => {
                let why = format!("{} is not a JSON value", quoted(word));
                return self.fail(why);
            }
        };
        self.at += length;
        Ok(value)
    }

    fn string(&mut self, quote: u8, ends_here: fn(&Self) -> bool) -> Step<String> {
        if quote == b'\'' {
            self.note("single quotes");
        }
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest
                .bytes()
                .position(|b| b == quote || b == b'\\' || b < 0x20)
                .unwrap_or(rest.len());
            text.push_str(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                None => return Err(("the string is not closed that starts".to_owned(), start)),
                Some(b'\\') => self.escape(&mut text)?,
                Some(b) if b == quote => {
                    if ends_here(self) {
                        self.at += 1;
                        return Ok(text);
                    }
                    self.note("unescaped quote in a string");
                    text.push(char::from(quote));
                    self.at += 1;
                }
                Some(control) => {
                    self.note("control character in a string");
                    text.push(char::from(control));
                    self.at += 1;
                }
            }
        }
    }

    /// A quote ends the string if what follows can follow a string. Only
    /// then is the quote in `17" wide` told from an end.
    fn value_ends_here(&self) -> bool {
        let after = &self.text[self.at + 1..];
        let next = after.trim_start();
        let gap = &after[..after.len() - next.len()];
        match next.as_bytes().first() {
            None | Some(b'}' | b']' | b':' | b';') => true,
            Some(b',') => self.goes_on_after(&next[1..]),
            Some(b'/') => next.starts_with("//") || next.starts_with("/*"),
            Some(b'<') => next.starts_with("<!--"),
            // The comma between two members was forgotten.
            Some(b'"' | b'\'') => gap.contains('\n') || (self.in_object && is_key(next)),
            Some(_) => false,
        }
    }

    /// Whether what follows a comma can be the next member. The comma in
    /// `"He said "no", and left"` is part of the text.
    fn goes_on_after(&self, after: &str) -> bool {
        let next = after.trim_start();
        match next.as_bytes().first() {
            None | Some(b'}' | b']' | b',' | b'/' | b'<') => true,
            Some(b'"' | b'\'') => !self.in_object || is_key(next),
            Some(_) if self.in_object => is_bare_key(next),
            Some(b'{' | b'[' | b'-' | b'0'..=b'9') => true,
            Some(_) => ["true", "false", "null"]
                .iter()
                .any(|word| next.starts_with(word)),
        }
    }

    fn escape(&mut self, text: &mut String) -> Step<()> {
        let Some(c) = self.text[self.at + 1..].chars().next() else {
            return self.fail("the block ends in an escape".to_owned());
        };
        match c {
            '"' | '\\' | '/' => text.push(c),
            'b' => text.push('\u{8}'),
            'f' => text.push('\u{c}'),
            'n' => text.push('\n'),
            'r' => text.push('\r'),
            't' => text.push('\t'),
            'u' => return self.unicode_escape(text),
            'x' if self.is_script => return self.hex_escape(text),
            // A line that goes on in the next.
            '\n' if self.is_script => {}
            other => {
                self.note("unknown escape");
                text.push(other);
            }
        }
        self.at += 1 + c.len_utf8();
        Ok(())
    }

    fn unicode_escape(&mut self, text: &mut String) -> Step<()> {
        let Some(unit) = self.hex_unit(self.at) else {
            self.note("unknown escape");
            text.push('u');
            self.at += 2;
            return Ok(());
        };
        let second = self
            .hex_unit(self.at + 6)
            .filter(|_| (0xd800..0xdc00).contains(&unit));
        let units = [unit, second.unwrap_or_default()];
        let used = if second.is_some() { 2 } else { 1 };
        match char::decode_utf16(units.into_iter().take(used)).next() {
            Some(Ok(c)) => {
                text.push(c);
                self.at += 6 * c.len_utf16();
            }
            Some(Err(_)) | None => {
                self.note("half of a surrogate pair");
                text.push(char::REPLACEMENT_CHARACTER);
                self.at += 6;
            }
        }
        Ok(())
    }

    /// The value of `\uXXXX` at a byte.
    fn hex_unit(&self, at: usize) -> Option<u16> {
        let digits = self.text.get(at..at + 6)?.strip_prefix("\\u")?;
        let all_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
        all_hex.then(|| u16::from_str_radix(digits, 16).ok())?
    }

    /// Passes white space, comments and the marks that hide scripts from
    /// very old browsers.
    fn blank(&mut self) -> Step<()> {
        loop {
            let rest = &self.text[self.at..];
            let next = rest.trim_start_matches(|c: char| {
                c.is_whitespace() || matches!(c, '\u{feff}' | '\u{0}' | '\u{200b}')
            });
            self.at += rest.len() - next.len();
            if let Some(line) = next.strip_prefix("//") {
                let inner = line.trim_start_matches([' ', '\t']);
                let marks = 2 + line.len() - inner.len();
                if inner.starts_with("<![CDATA[") || inner.starts_with("]]>") {
                    self.at += marks;
                } else {
                    self.forgive("comment", line.find('\n').map_or(next.len(), |at| at + 3));
                }
            } else if next.starts_with("/*") {
                let length = self.until(next, "*/")?;
                self.forgive("comment", length);
            } else if let Some(inner) = next.strip_prefix("<!--") {
                // A comment before the value, or the whole value in one?
                if inner.trim_start().starts_with(['{', '[']) {
                    self.forgive("HTML comment mark", 4);
                } else {
                    let length = self.until(next, "-->")?;
                    self.forgive("comment", length);
                }
            } else if next.starts_with("-->") {
                self.forgive("HTML comment mark", 3);
            } else if next.starts_with("<![CDATA[") {
                self.forgive("CDATA mark", 9);
            } else if next.starts_with("]]>") {
                self.forgive("CDATA mark", 3);
            } else {
                return Ok(());
            }
        }
    }

    fn until(&self, text: &str, end: &str) -> Step<usize> {
        match text.find(end) {
            Some(at) => Ok(at + end.len()),
            None => self.fail(format!("the comment is not closed by {end}")),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn fail<T>(&self, why: String) -> Step<T> {
        Err((why, self.at))
    }

    fn forgive(&mut self, what: &'static str, length: usize) {
        self.note(what);
        self.at += length;
    }

    fn note(&mut self, what: &'static str) {
        self.note_at(what, self.at);
    }

    fn note_at(&mut self, what: &'static str, at: usize) {
        if !self.repairs.iter().any(|(noted, _)| *noted == what) {
            self.repairs.push((what, at));
        }
    }
}

/// Longest key that is looked at to tell it from a quotation in a text.
const KEY_BYTES_MAX: usize = 200;

/// Whether a text that starts with a quote starts with a key and its colon.
/// One that is too long to tell is taken for one.
fn is_key(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (quote, rest) = (bytes[0], &bytes[1..]);
    let looked_at = &rest[..rest.len().min(KEY_BYTES_MAX)];
    match looked_at.iter().position(|b| *b == quote) {
        Some(end) if looked_at[..end].contains(&b'\\') => true,
        Some(end) => {
            let after = &rest[end + 1..];
            let next = after.iter().find(|b| !b.is_ascii_whitespace());
            next == Some(&b':')
        }
        None => true,
    }
}

fn is_bare_key(text: &str) -> bool {
    let looked_at = &text.as_bytes()[..text.len().min(KEY_BYTES_MAX)];
    let length = looked_at
        .iter()
        .position(|b| !b.is_ascii_alphanumeric() && !matches!(b, b'_' | b'@' | b'$' | b'-'));
    length.is_some_and(|length| {
        let next = looked_at[length..]
            .iter()
            .find(|b| !b.is_ascii_whitespace());
        length > 0 && matches!(next, None | Some(b':' | b'}' | b','))
    })
}

fn place(text: &str, at: usize) -> Place {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Place {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}

#[cfg(test)]
mod tests;

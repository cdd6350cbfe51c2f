//! JavaScript as far as its literals go: what is no literal is passed over and
//! null. Nothing is ever executed.

use super::super::value::Value;
use super::{Parser, Step};

/// Reads the object or array literal that a script's text starts with: the
/// value, if there is one, and the bytes that were read.
pub(in crate::page) fn literal(text: &str) -> (Option<Value>, usize) {
    let mut parser = Parser::new(text);
    parser.is_script = true;
    let value = parser.value().ok();
    (value, parser.at)
}

impl Parser<'_> {
    pub(super) fn starts_number(&self) -> bool {
        matches!(
            self.peek(),
            Some(b'-' | b'+' | b'.' | b'0'..=b'9' | b'{' | b'[')
        )
    }

    /// A word of JavaScript: a literal, text that is to be parsed as JSON, or
    /// an expression that is passed over.
    pub(super) fn script_word(&mut self) -> Step<Value> {
        const PARSE: &str = "JSON.parse(";
        let rest = &self.text[self.at..];
        if let Some(argument) = rest.strip_prefix(PARSE) {
            self.at += PARSE.len();
            return self.parsed_text(argument);
        }
        let length = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '$')
            .unwrap_or(rest.len());
        let value = match &rest[..length] {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "" if rest.starts_with("!0") => Value::Bool(true),
            "" if rest.starts_with("!1") => Value::Bool(false),
            "" => {
                self.skip_expression();
                return Ok(Value::Null);
            }
            _ => Value::Null,
        };
        self.at += length.max(if length == 0 { 2 } else { 0 });
        Ok(value)
    }

    /// The argument of `JSON.parse`, if it is a string literal.
    fn parsed_text(&mut self, argument: &str) -> Step<Value> {
        let start = argument.len() - argument.trim_start().len();
        self.at += start;
        let mut value = Value::Null;
        if let Some(quote @ (b'"' | b'\'' | b'`')) = self.peek() {
            let text = self.string(quote, |_| true)?;
            // The value stands at this place of the tree, so its own depth
            // adds to ours.
            let mut inner = Parser::new(&text);
            inner.depth = self.depth;
            inner.values = self.values;
            if let Ok(parsed) = inner.value() {
                self.values = inner.values;
                value = parsed;
            }
        }
        self.skip_expression();
        if self.peek() == Some(b')') {
            self.at += 1;
        }
        Ok(value)
    }

    /// Passes what is left of an expression: up to the comma or bracket that
    /// ends it, brackets and strings in it included.
    pub(super) fn skip_expression(&mut self) {
        let bytes = self.text.as_bytes();
        let mut open = 0_usize;
        while let Some(b) = self.peek() {
            match b {
                b'(' | b'[' | b'{' => open += 1,
                b')' | b']' | b'}' if open == 0 => return,
                b')' | b']' | b'}' => open -= 1,
                b',' | b';' if open == 0 => return,
                b'"' | b'\'' | b'`' => {
                    self.at += 1;
                    while let Some(inner) = bytes.get(self.at).filter(|inner| **inner != b) {
                        self.at += if *inner == b'\\' { 2 } else { 1 };
                    }
                }
                _ => {}
            }
            self.at += 1;
        }
        // An escape at the very end was passed as two bytes.
        self.at = self.at.min(bytes.len());
    }

    /// `\x41` of JavaScript.
    pub(super) fn hex_escape(&mut self, text: &mut String) -> Step<()> {
        let digits = self.text.get(self.at + 2..self.at + 4);
        let code = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match code {
            Some(code) => {
                text.push(char::from(code));
                self.at += 4;
            }
            None => {
                text.push('x');
                self.at += 2;
            }
        }
        Ok(())
    }
}

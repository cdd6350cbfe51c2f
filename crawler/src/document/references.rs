//! Decodes character references (`&amp;`, `&#39;`, `&copy` without its
//! semicolon) as the HTML standard does, in text and in attribute values.
//!
//! The table of names is that of the `html5ever` crate.

use html5ever::data::{C1_REPLACEMENTS, NAMED_ENTITIES};
use memchr::memchr;

/// Where a reference stands; names without semicolon are read differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Text,
    Attribute,
}

/// A text with its references decoded as a page's text is.
pub fn decode_references(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    decode(text, Place::Text, &mut out);
    out
}

/// Appends `text` with its references decoded.
pub(super) fn decode(text: &str, place: Place, out: &mut String) {
    let mut rest = text;
    while let Some(at) = memchr(b'&', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let read = one(rest.as_bytes(), place, out);
        if read == 0 {
            out.push('&');
            rest = &rest[1..];
        } else {
            rest = &rest[read..];
        }
    }
    out.push_str(rest);
}

/// Appends what the reference at the start of `text` stands for, and returns
/// its bytes; 0 if it is none.
fn one(text: &[u8], place: Place, out: &mut String) -> usize {
    // These six are nearly all that pages use.
    const USUAL: &[(&[u8], char)] = &[
        (b"&amp;", '&'),
        (b"&#39;", '\''),
        (b"&quot;", '"'),
        (b"&nbsp;", '\u{a0}'),
        (b"&lt;", '<'),
        (b"&gt;", '>'),
    ];
    for (name, c) in USUAL {
        if text.starts_with(name) {
            out.push(*c);
            return name.len();
        }
    }
    match text.get(1) {
        Some(b'#') => numeric(text, out),
        Some(b) if b.is_ascii_alphanumeric() => named(text, place, out),
        _ => 0,
    }
}

fn numeric(text: &[u8], out: &mut String) -> usize {
    let (base, digits_at) = match text.get(2) {
        Some(b'x' | b'X') => (16, 3),
        _ => (10, 2),
    };
    let mut code = 0_u32;
    let mut at = digits_at;
    while let Some(digit) = text.get(at).and_then(|b| char::from(*b).to_digit(base)) {
        // Stays too large once it is.
        code = code.saturating_mul(base).saturating_add(digit);
        at += 1;
    }
    if at == digits_at {
        return 0;
    }
    out.push(match code {
        // Pages mean Windows-1252 where they write C1 controls.
        0x80..=0x9f => C1_REPLACEMENTS[(code - 0x80) as usize]
            .or(char::from_u32(code))
            .unwrap_or(char::REPLACEMENT_CHARACTER),
        0 => char::REPLACEMENT_CHARACTER,
        _ => char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
    });
    at + usize::from(text.get(at) == Some(&b';'))
}

/// The longest name in the table that the text starts with.
fn named(text: &[u8], place: Place, out: &mut String) -> usize {
    let mut found = None;
    let mut end = 2;
    // The table holds every start of a name too, so this ends with the first
    // byte that no name has there; the longest name has 32.
    while let Some(name) = text.get(1..end) {
        let Ok(name) = std::str::from_utf8(name) else {
            break;
        };
        match NAMED_ENTITIES.get(name) {
            None => break,
            Some((0, _)) => {}
            Some(codes) => found = Some((end, *codes)),
        }
        end += 1;
    }
    let Some((end, (first, second))) = found else {
        return 0;
    };
    if place == Place::Attribute && text[end - 1] != b';' {
        // `?a=1&copy=2` in a link is no copyright sign.
        let next = text.get(end);
        if next.is_some_and(|b| *b == b'=' || b.is_ascii_alphanumeric()) {
            return 0;
        }
    }
    out.extend(char::from_u32(first));
    if second != 0 {
        out.extend(char::from_u32(second));
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_decoded_as_browsers_do() {
        let check = |place, text: &str, expected: &str| {
            let mut out = String::new();
            decode(text, place, &mut out);
            assert_eq!(out, expected, "{text}");
        };
        for place in [Place::Text, Place::Attribute] {
            check(place, "a &amp; b", "a & b");
            check(place, "&#39;&#x27;&#X41;&#65", "''AA");
            check(
                place,
                "&#128;&#x81;&#0;&#xd800;&#99999999999;",
                "€\u{81}\u{fffd}\u{fffd}\u{fffd}",
            );
            check(place, "&#;&#x;&#xg;&;& &", "&#;&#x;&#xg;&;& &");
            check(
                place,
                "&notin;&not &notit;",
                "∉¬ &notit;"
                    .replace(
                        "&notit;",
                        if place == Place::Text {
                            "¬it;"
                        } else {
                            "&notit;"
                        },
                    )
                    .as_str(),
            );
            check(place, "&ngE;&NotEqualTilde;", "≧\u{338}≂\u{338}");
            check(
                place,
                "&unknown; &ampx",
                if place == Place::Text {
                    "&unknown; &x"
                } else {
                    "&unknown; &ampx"
                },
            );
            check(place, "&한", "&한");
        }
        check(Place::Text, "?a=1&copy=2", "?a=1©=2");
        check(Place::Attribute, "?a=1&copy=2&copy", "?a=1&copy=2©");
    }
}

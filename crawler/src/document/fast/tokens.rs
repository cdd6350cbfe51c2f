//! Reads tags, texts, comments and the doctype (section 13.2.5 of the HTML
//! standard), and hands them to the rules of the insertion mode.

use std::collections::HashSet;

use memchr::{memchr, memchr2, memmem};

use super::super::arena::{Arena, Attribute, Content, Span, is_space};
use super::super::limits::TAG_ATTRIBUTES_MAX;
use super::super::name::{KNOWN_BYTES_MAX, KNOWN_NAMES, Name};
use super::super::references::{Place, decode};
use super::{Builder, Mode, Quirks, Step, Tag, raw};

/// The names of attributes that one tag has so far.
#[derive(Default)]
struct TagNames {
    /// The known ones, a bit each.
    known: [u64; KNOWN_NAMES.div_ceil(64)],
    other_count: usize,
    /// The others, if they are so many that comparing each with all would
    /// take long.
    others: HashSet<Box<str>>,
}

impl TagNames {
    const COMPARED_MAX: usize = 16;

    /// Whether the tag, whose attributes begin at `first`, has not had this
    /// name; remembers it.
    fn is_new(&mut self, arena: &Arena, page: &str, first: usize, name: Name) -> bool {
        if name.is_known() {
            let (word, bit) = (name.0 as usize / 64, 1 << (name.0 % 64));
            let is_new = self.known[word] & bit == 0;
            self.known[word] |= bit;
            return is_new;
        }
        self.other_count += 1;
        let attributes = &arena.attributes[first..];
        if self.other_count <= Self::COMPARED_MAX {
            return !attributes
                .iter()
                .any(|other| arena.is_same_name(page, other.name, name));
        }
        if self.others.is_empty() {
            let texts = attributes
                .iter()
                .map(|other| arena.name_text(page, other.name).into());
            self.others.extend(texts);
        }
        self.others.insert(arena.name_text(page, name).into())
    }
}

impl Builder<'_> {
    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.page.as_bytes().get(at).copied()
    }

    /// Reads the page to its end, or until the document is as large as it
    /// may be.
    pub(super) fn read(&mut self) -> Step {
        while self.at < self.page.len() && !self.is_full() {
            let rest = &self.page.as_bytes()[self.at..];
            if rest[0] == b'<' {
                self.markup()?;
                continue;
            }
            let start = self.at;
            let span = match memchr2(b'<', b'&', rest) {
                Some(length) if rest[length] == b'<' => {
                    self.at = start + length;
                    Span::of_page(start, self.at)
                }
                Some(_) => {
                    self.at = start + memchr(b'<', rest).unwrap_or(rest.len());
                    self.run(start, self.at, Place::Text)
                }
                None => {
                    self.at = self.page.len();
                    Span::of_page(start, self.at)
                }
            };
            self.take_text(span)?;
        }
        Ok(())
    }

    /// A run of the page with its references decoded.
    pub(super) fn run(&mut self, start: usize, end: usize, place: Place) -> Span {
        let run = &self.page[start..end];
        if memchr(b'&', run.as_bytes()).is_none() {
            return Span::of_page(start, end);
        }
        self.arena.make(|made| decode(run, place, made))
    }

    /// What starts with `<`.
    fn markup(&mut self) -> Step {
        match self.byte(self.at + 1) {
            Some(b) if b.is_ascii_alphabetic() => self.start_tag(),
            Some(b'/') => match self.byte(self.at + 2) {
                Some(b) if b.is_ascii_alphabetic() => self.end_tag(),
                Some(b'>') => {
                    self.at += 3;
                    Ok(())
                }
                Some(_) => self.bogus_comment(2),
                None => self.plain(2),
            },
            Some(b'!') => self.declaration(),
            Some(b'?') => self.bogus_comment(1),
            Some(_) | None => self.plain(1),
        }
    }

    /// Bytes that look like markup but are text.
    fn plain(&mut self, length: usize) -> Step {
        let span = Span::of_page(self.at, self.at + length);
        self.at += length;
        self.take_text(span)
    }

    fn bogus_comment(&mut self, from: usize) -> Step {
        let rest = &self.page.as_bytes()[self.at + from..];
        let length = memchr(b'>', rest).map_or(rest.len(), |at| at + 1);
        self.at += from + length;
        self.skips_line_feed = false;
        Ok(())
    }

    fn declaration(&mut self) -> Step {
        let rest = &self.page.as_bytes()[self.at + 2..];
        if rest.starts_with(b"--") {
            self.at += 4 + raw::comment(&rest[2..]);
            self.skips_line_feed = false;
            return Ok(());
        }
        let starts_with = |word: &[u8]| {
            rest.get(..word.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(word))
        };
        if starts_with(b"doctype") {
            let rest = &self.page[self.at + 9..];
            let (doctype, length) = match memchr(b'>', rest.as_bytes()) {
                Some(at) => (&rest[..at], at + 1),
                None => (rest, rest.len()),
            };
            self.at += 9 + length;
            self.skips_line_feed = false;
            if self.mode == Mode::Initial {
                self.quirks = quirks_of(doctype);
                self.mode = Mode::BeforeHtml;
            }
            return Ok(());
        }
        let is_foreign = self
            .open
            .last()
            .is_some_and(|open| open.space != super::Space::Html);
        if is_foreign && rest.starts_with(b"[CDATA[") {
            let start = self.at + 9;
            let Some(length) = memmem::find(&self.page.as_bytes()[start..], b"]]>") else {
                return Err(super::Declined::Cdata);
            };
            self.at = start + length + 3;
            return self.take_text(Span::of_page(start, start + length));
        }
        self.bogus_comment(2)
    }

    fn start_tag(&mut self) -> Step {
        let start = self.at;
        let attributes_before = self.arena.attributes.len();
        let nodes_before = self.node_count();
        let mark = self.arena.mark();
        self.at += 1;
        let name = self.tag_name();
        let Some(is_self_closing) = self.attributes(start) else {
            return Ok(());
        };
        let attributes = self.arena.attributes.len();
        let tag = Tag {
            name,
            attributes: Content::attributes(attributes_before, attributes),
            is_self_closing,
        };
        self.skips_line_feed = false;
        self.take_start_tag(&tag)?;
        // A tag that came to nothing leaves nothing. Otherwise many of them
        // between two texts would part these, and joining texts that are
        // parted costs their length each time.
        if self.node_count() == nodes_before && self.arena.attributes.len() == attributes {
            self.arena.attributes.truncate(attributes_before);
            self.arena.reset(mark);
        }
        Ok(())
    }

    fn end_tag(&mut self) -> Step {
        let start = self.at;
        let mark = self.arena.mark();
        self.at += 2;
        let name = self.tag_name();
        if self.byte(self.at) == Some(b'>') {
            self.at += 1;
        } else {
            let attributes_before = self.arena.attributes.len();
            let is_whole = self.attributes(start).is_some();
            self.arena.attributes.truncate(attributes_before);
            if !is_whole {
                return Ok(());
            }
        }
        self.skips_line_feed = false;
        let nodes_before = self.node_count();
        self.take_end_tag(name)?;
        if self.node_count() == nodes_before {
            self.arena.reset(mark);
        }
        Ok(())
    }

    /// Reads what is left of the end tag of a text that is no markup.
    pub(super) fn skip_end_tag(&mut self) {
        let start = self.at;
        if start == self.page.len() {
            return;
        }
        let mark = self.arena.mark();
        let attributes_before = self.arena.attributes.len();
        self.at += 2;
        self.tag_name();
        // At the end of the page nothing is left to do with it either.
        let _ = self.attributes(start);
        self.arena.attributes.truncate(attributes_before);
        self.arena.reset(mark);
    }

    fn tag_name(&mut self) -> Name {
        let start = self.at;
        let bytes = self.page.as_bytes();
        let length = bytes[start..]
            .iter()
            .position(|b| is_space(*b) || matches!(b, b'/' | b'>'));
        self.at = length.map_or(bytes.len(), |length| start + length);
        self.name(start, self.at)
    }

    /// The number of the name in this range, which may be in upper case.
    fn name(&mut self, start: usize, end: usize) -> Name {
        let length = end - start;
        let bytes = self.page.as_bytes();
        if length <= KNOWN_BYTES_MAX {
            let key = match bytes.get(start..start + KNOWN_BYTES_MAX) {
                Some(window) => {
                    let window: [u8; KNOWN_BYTES_MAX] =
                        window.try_into().expect("it has as many bytes");
                    let all = u128::from_le_bytes(window);
                    // A name has a byte at least, so this is less than 128.
                    let unused = 8 * (KNOWN_BYTES_MAX - length);
                    (all << unused) >> unused
                }
                None => {
                    let mut window = [0; KNOWN_BYTES_MAX];
                    window[..length].copy_from_slice(&bytes[start..end]);
                    u128::from_le_bytes(window)
                }
            };
            if let Some(name) = Name::of_packed(lower(key)) {
                return name;
            }
        }
        let text = &self.page[start..end];
        let span = if text.bytes().any(|b| b.is_ascii_uppercase()) {
            self.arena.make(|made| {
                made.extend(text.chars().map(|c| c.to_ascii_lowercase()));
            })
        } else {
            Span::of_page(start, end)
        };
        self.arena.name_at(span)
    }

    /// Reads the attributes of a tag and its end. `None` if the page ends in
    /// the tag or is not read on from it, else whether the tag closes itself.
    fn attributes(&mut self, tag_start: usize) -> Option<bool> {
        let bytes = self.page.as_bytes();
        let first = self.arena.attributes.len();
        let mut names = TagNames::default();
        let mut at = self.at;
        for _ in 0..=TAG_ATTRIBUTES_MAX {
            let Some((after, is_self_closing)) = self.tag_end_or_attribute(at) else {
                self.at = bytes.len();
                return None;
            };
            at = after;
            if let Some(is_self_closing) = is_self_closing {
                self.at = at;
                return Some(is_self_closing);
            }
            let name_start = at;
            // The first byte of a name may be '='.
            at += 1;
            while at < bytes.len()
                && !is_space(bytes[at])
                && !matches!(bytes[at], b'=' | b'>' | b'/')
            {
                at += 1;
            }
            let name_end = at;
            at = self.skip_space(at);
            let mut value = Span::EMPTY;
            if bytes.get(at) == Some(&b'=') {
                (value, at) = self.value(self.skip_space(at + 1))?;
            }
            let name = self.name(name_start, name_end);
            if names.is_new(&self.arena, self.page, first, name) {
                self.arena.attributes.push(Attribute { name, value });
            }
        }
        self.cut.long_tag_at = Some(tag_start);
        self.at = bytes.len();
        None
    }

    fn skip_space(&self, mut at: usize) -> usize {
        let bytes = self.page.as_bytes();
        while at < bytes.len() && is_space(bytes[at]) {
            at += 1;
        }
        at
    }

    /// Where the next attribute starts, or where the tag ended and whether it
    /// closes itself; `None` at the end of the page.
    fn tag_end_or_attribute(&self, mut at: usize) -> Option<(usize, Option<bool>)> {
        let bytes = self.page.as_bytes();
        loop {
            at = self.skip_space(at);
            match bytes.get(at)? {
                b'>' => return Some((at + 1, Some(false))),
                b'/' if bytes.get(at + 1) == Some(&b'>') => return Some((at + 2, Some(true))),
                b'/' => at += 1,
                _ => return Some((at, None)),
            }
        }
    }

    /// The value of an attribute, and where reading goes on. `None` if the
    /// page ends in it.
    fn value(&mut self, at: usize) -> Option<(Span, usize)> {
        let bytes = self.page.as_bytes();
        let (start, end, next) = match bytes.get(at) {
            None => {
                self.at = bytes.len();
                return None;
            }
            Some(quote @ (b'"' | b'\'')) => {
                let start = at + 1;
                let rest = &bytes[start..];
                let Some(plain) = memchr2(*quote, b'&', rest) else {
                    self.at = bytes.len();
                    return None;
                };
                if rest[plain] == *quote {
                    let end = start + plain;
                    return Some((Span::of_page(start, end), end + 1));
                }
                let Some(length) = memchr(*quote, rest) else {
                    self.at = bytes.len();
                    return None;
                };
                (start, start + length, start + length + 1)
            }
            Some(_) => {
                let length = bytes[at..].iter().position(|b| is_space(*b) || *b == b'>');
                let Some(length) = length else {
                    self.at = bytes.len();
                    return None;
                };
                (at, at + length, at + length)
            }
        };
        Some((self.run(start, end, Place::Attribute), next))
    }
}

/// ASCII letters in lower case, all sixteen bytes at once.
#[inline]
fn lower(key: u128) -> u128 {
    const ONES: u128 = u128::from_le_bytes([1; 16]);
    let low_bits = key & (ONES * 0x7f);
    // The high bit of a byte is set where it is at least 'A', above 'Z'.
    let from_a = low_bits + ONES * u128::from(0x80 - b'A');
    let above_z = low_bits + ONES * u128::from(0x7f - b'Z');
    let is_upper = (from_a ^ above_z) & !key & (ONES * 0x80);
    key | (is_upper >> 2)
}

/// Whether a page with this doctype (what is after `<!doctype`) is in quirks
/// mode.
fn quirks_of(doctype: &str) -> Quirks {
    // Starts of public identifiers that are not, if a system one follows.
    const STANDARD: &[&str] = &[
        "-//w3c//dtd html 4.01//",
        "-//w3c//dtd html 4.01 transitional//",
        "-//w3c//dtd xhtml 1.0 strict//",
        "-//w3c//dtd xhtml 1.0 transitional//",
        "-//w3c//dtd xhtml 1.1//",
        "-//w3c//dtd xhtml+rdfa 1.",
    ];
    let doctype = doctype.trim_ascii().to_ascii_lowercase();
    let Some(rest) = doctype.strip_prefix("html") else {
        return Quirks::Unknown;
    };
    if rest.is_empty() {
        return Quirks::No;
    }
    let quoted: Vec<&str> = rest.split('"').collect();
    let is_blank = |text: &str| text.trim_ascii().is_empty();
    match quoted[..] {
        [public, id, between, system, end]
            if public.trim_ascii() == "public"
                && public.starts_with(|c: char| c.is_ascii_whitespace())
                && is_blank(between)
                && is_blank(end)
                && system.starts_with("http://www.w3.org/")
                && STANDARD.iter().any(|start| id.starts_with(start)) =>
        {
            Quirks::No
        }
        _ => Quirks::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_become_lower_case_and_nothing_else_changes() {
        for byte in 0..=u8::MAX {
            let key = u128::from_le_bytes([byte; 16]);
            let expected = u128::from_le_bytes([byte.to_ascii_lowercase(); 16]);
            assert_eq!(lower(key), expected, "{byte}");
        }
    }

    #[test]
    fn quirks_are_known_or_not_guessed() {
        let check = |doctype: &str, expected| assert_eq!(quirks_of(doctype), expected, "{doctype}");
        check(" html", Quirks::No);
        check(" HTML ", Quirks::No);
        check(
            " HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\" \"http://www.w3.org/TR/html4/strict.dtd\"",
            Quirks::No,
        );
        check(
            " html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\"\n \
             \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\"",
            Quirks::No,
        );
        check(
            " HTML PUBLIC \"-//W3C//DTD HTML 4.01 Transitional//EN\"",
            Quirks::Unknown,
        );
        check(" html SYSTEM \"about:legacy-compat\"", Quirks::Unknown);
        check("", Quirks::Unknown);
        check(" htm", Quirks::Unknown);
        check(" html5", Quirks::Unknown);
    }
}

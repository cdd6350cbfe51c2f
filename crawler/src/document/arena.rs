//! The nodes of a page in document order, in one vector, with their names,
//! attributes and text as ranges.
//!
//! A subtree is a run of nodes: it ends where the next node outside it
//! starts, which is all that a walk needs.

use memchr::memchr;

use super::name::{KNOWN_NAMES, Name};

/// No node.
pub(super) const NOWHERE: u32 = u32::MAX;

/// Set in the start of a [`Span`] of text that does not stand in the page.
const MADE: u32 = 1 << 31;

/// A run of the page's text, or of the text made from it (decoded character
/// references, names in lower case).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    length: u32,
}

/// Narrows an offset; texts are bounded to 32 MiB by `limits`.
pub(super) fn narrow(offset: usize) -> u32 {
    u32::try_from(offset).expect("texts, nodes and attributes are bounded")
}

impl Span {
    pub(super) const EMPTY: Self = Self {
        start: 0,
        length: 0,
    };

    #[inline]
    pub(super) fn of_page(start: usize, end: usize) -> Self {
        Self {
            start: narrow(start),
            length: narrow(end - start),
        }
    }

    #[inline]
    pub(super) fn is_empty(self) -> bool {
        self.length == 0
    }

    fn is_made(self) -> bool {
        self.start & MADE != 0
    }

    fn end(self) -> u32 {
        self.start + self.length
    }

    /// Both as one, if the other follows right behind in the same text.
    #[inline]
    pub(super) fn followed_by(self, other: Self) -> Option<Self> {
        let follows = self.is_made() == other.is_made() && self.end() == other.start;
        follows.then(|| Self {
            start: self.start,
            length: self.length + other.length,
        })
    }

    /// The span without its first `bytes` bytes.
    pub(super) fn skip(self, bytes: usize) -> Self {
        let bytes = narrow(bytes);
        Self {
            start: self.start + bytes,
            length: self.length - bytes,
        }
    }

    pub(super) fn first(self, bytes: usize) -> Self {
        Self {
            start: self.start,
            length: narrow(bytes),
        }
    }
}

/// Which vocabulary an element belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Space {
    Html,
    Svg,
    MathMl,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    /// [`Name::TEXT`] of a text, [`Name::DOCUMENT`] of the first node.
    pub(super) name: Name,
    pub(super) space: Space,
    pub(super) parent: u32,
    /// The sibling before this one.
    pub(super) previous: u32,
    /// The first node after the subtree.
    pub(super) end: u32,
    /// Of a text its text; of an element its attributes.
    pub(super) content: Content,
}

/// Text of a text node; range of attributes of an element. The node's name
/// says which of both it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content {
    start: u32,
    length: u32,
}

impl Content {
    pub(super) const NONE: Self = Self {
        start: 0,
        length: 0,
    };

    pub(super) fn text(span: Span) -> Self {
        Self {
            start: span.start,
            length: span.length,
        }
    }

    #[inline]
    pub(super) fn as_text(self) -> Span {
        Span {
            start: self.start,
            length: self.length,
        }
    }

    pub(super) fn attributes(start: usize, end: usize) -> Self {
        Self {
            start: narrow(start),
            length: narrow(end - start),
        }
    }

    #[inline]
    pub(super) fn as_attributes(self) -> std::ops::Range<usize> {
        self.start as usize..(self.start + self.length) as usize
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Attribute {
    pub(super) name: Name,
    pub(super) value: Span,
}

/// The nodes of a page; the page's own text is kept beside it.
#[derive(Debug)]
pub(super) struct Arena {
    pub(super) nodes: Vec<Node>,
    pub(super) attributes: Vec<Attribute>,
    /// Names that are not known beforehand, each use its own.
    names: Vec<Span>,
    /// Text that does not stand in the page.
    made: String,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    names: usize,
    made: usize,
}

impl Arena {
    /// With the document node alone, and room for what a page of so many
    /// bytes usually has.
    pub(super) fn for_page(bytes: usize) -> Self {
        // Book and shop pages have a node in 25 to 60 bytes, an attribute in
        // 60 to 120, and a byte made in 20; hostile ones grow the vectors.
        const BYTES_A_NODE: usize = 24;
        const BYTES_AN_ATTRIBUTE: usize = 64;
        const BYTES_A_MADE_ONE: usize = 16;
        let mut nodes = Vec::with_capacity(bytes / BYTES_A_NODE + 16);
        nodes.push(Node {
            name: Name::DOCUMENT,
            space: Space::Html,
            parent: NOWHERE,
            previous: NOWHERE,
            end: NOWHERE,
            content: Content::NONE,
        });
        Self {
            nodes,
            attributes: Vec::with_capacity(bytes / BYTES_AN_ATTRIBUTE + 16),
            names: Vec::new(),
            made: String::with_capacity(bytes / BYTES_A_MADE_ONE),
        }
    }

    /// The same for a page all of whose text will be made.
    pub(super) fn for_made_page(bytes: usize) -> Self {
        let mut arena = Self::for_page(bytes);
        arena.made.reserve(bytes);
        arena
    }

    #[inline]
    pub(super) fn slice<'t>(&'t self, page: &'t str, span: Span) -> &'t str {
        let start = (span.start & !MADE) as usize;
        let text = if span.is_made() { &self.made } else { page };
        &text[start..start + span.length as usize]
    }

    /// Appends a node; [`Self::finish`] finds its siblings and its end.
    #[inline]
    pub(super) fn push(&mut self, name: Name, space: Space, parent: u32, content: Content) -> u32 {
        let at = narrow(self.nodes.len());
        self.nodes.push(Node {
            name,
            space,
            parent,
            previous: NOWHERE,
            end: NOWHERE,
            content,
        });
        at
    }

    /// Appends a text, or makes the last node longer if it is a text of the
    /// same parent.
    pub(super) fn push_text(&mut self, page: &str, parent: u32, span: Span) {
        let last = self.nodes.len() - 1;
        let before = self.nodes[last];
        if before.name == Name::TEXT && before.parent == parent {
            let joined = self.join(page, before.content.as_text(), span);
            self.nodes[last].content = Content::text(joined);
        } else {
            self.push(Name::TEXT, Space::Html, parent, Content::text(span));
        }
    }

    /// Both texts as one. What was joined last is made longer in place, so
    /// that joining many costs no more than their length.
    pub(super) fn join(&mut self, page: &str, before: Span, after: Span) -> Span {
        if before.is_empty() {
            return after;
        }
        if let Some(both) = before.followed_by(after) {
            return both;
        }
        let is_last = before.is_made() && before.end() == self.made_end();
        let start = if is_last {
            before.start
        } else {
            let start = self.made_end();
            self.copy(page, before);
            start
        };
        self.copy(page, after);
        Span {
            start,
            length: before.length + after.length,
        }
    }

    /// Bytes of text that do not stand in the page.
    #[cfg(test)]
    pub(super) fn made_bytes(&self) -> usize {
        self.made.len()
    }

    fn made_end(&self) -> u32 {
        MADE | narrow(self.made.len())
    }

    fn copy(&mut self, page: &str, span: Span) {
        let start = (span.start & !MADE) as usize;
        let range = start..start + span.length as usize;
        if span.is_made() {
            self.made.extend_from_within(range);
        } else {
            self.made.push_str(&page[range]);
        }
    }

    /// Text that does not stand in the page, as `write` writes it.
    pub(super) fn make(&mut self, write: impl FnOnce(&mut String)) -> Span {
        let start = self.made_end();
        write(&mut self.made);
        Span {
            start,
            length: self.made_end() - start,
        }
    }

    /// How much text and how many names there are, to go back to.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            names: self.names.len(),
            made: self.made.len(),
        }
    }

    /// Forgets what was made since; nothing may refer to it.
    pub(super) fn reset(&mut self, mark: Mark) {
        self.names.truncate(mark.names);
        self.made.truncate(mark.made);
    }

    /// Numbers a name that is not known beforehand.
    pub(super) fn name_at(&mut self, span: Span) -> Name {
        let number = KNOWN_NAMES + self.names.len();
        self.names.push(span);
        Name(narrow(number))
    }

    /// The number of a name that does not stand in the page.
    pub(super) fn name_of(&mut self, text: &str) -> Name {
        Name::of(text).unwrap_or_else(|| {
            let span = self.make(|made| made.push_str(text));
            self.name_at(span)
        })
    }

    pub(super) fn name_text<'t>(&'t self, page: &'t str, name: Name) -> &'t str {
        match name.known_text() {
            Some(text) => text,
            None => self.slice(page, self.names[name.0 as usize - KNOWN_NAMES]),
        }
    }

    #[inline]
    pub(super) fn is_same_name(&self, page: &str, one: Name, other: Name) -> bool {
        one == other
            || (!one.is_known()
                && !other.is_known()
                && self.name_text(page, one) == self.name_text(page, other))
    }

    /// Finds siblings and ends, which follow from parents and order. Until
    /// then a node's `end` is its last child.
    pub(super) fn finish(&mut self) {
        for at in 1..self.nodes.len() {
            let parent = self.nodes[at].parent as usize;
            let previous = std::mem::replace(&mut self.nodes[parent].end, at as u32);
            self.nodes[at].previous = previous;
        }
        for at in (0..self.nodes.len()).rev() {
            let last_child = self.nodes[at].end;
            self.nodes[at].end = match last_child {
                NOWHERE => at as u32 + 1,
                // Children come after their parents, so its end is known.
                child => self.nodes[child as usize].end,
            };
        }
    }
}

/// Whether a byte is ASCII white space as HTML has it.
#[inline]
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\x0c' | b'\r')
}

/// Bytes of white space that a text starts with.
pub(super) fn leading_space(text: &str) -> usize {
    text.bytes()
        .position(|byte| !is_space(byte))
        .unwrap_or(text.len())
}

/// Line breaks as HTML wants them: CR LF and CR are LF. Most pages have none.
pub(super) fn with_line_feeds(text: String) -> String {
    if memchr(b'\r', text.as_bytes()).is_none() {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = memchr(b'\r', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        out.push('\n');
        rest = &rest[at + 1..];
        rest = rest.strip_prefix('\n').unwrap_or(rest);
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_become_line_feeds() {
        let check = |text: &str, expected: &str| {
            assert_eq!(with_line_feeds(text.to_owned()), expected);
        };
        check("a\nb", "a\nb");
        check("a\r\nb\rc\r\r\n", "a\nb\nc\n\n");
    }

    #[test]
    fn texts_are_joined_wherever_they_lie() {
        let page = "one two three";
        let mut arena = Arena::for_page(page.len());
        let one = Span::of_page(0, 3);
        let two = Span::of_page(3, 7);
        let three = Span::of_page(8, 13);
        let both = arena.join(page, one, two);
        assert_eq!(both, Span::of_page(0, 7));
        let all = arena.join(page, both, three);
        assert_eq!(arena.slice(page, all), "one twothree");
        let again = arena.join(page, all, all);
        assert_eq!(arena.slice(page, again), "one twothreeone twothree");
        assert_eq!(again.start, all.start);
        let made = arena.make(|made| made.push('!'));
        let last = arena.join(page, one, made);
        assert_eq!(arena.slice(page, last), "one!");
    }
}

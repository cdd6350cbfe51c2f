//! Patterns of paths as in robots.txt: `*` for anything, `$` at the end for
//! the end (RFC 9309, section 2.2.3).
//!
//! Not the matcher of `robots`: that one has to compare spellings as the RFC
//! does, of any URL; here both sides are spelt canonically, and plain bytes are
//! compared. The parts between the `*` are looked for one behind the other,
//! each at its first place, by a linear search: no pattern takes more steps
//! than it and the path have bytes.

use memchr::memmem::Finder;

use super::super::url::spelling;

/// Several patterns of which one has to match.
#[derive(Debug, Clone, Default)]
pub struct Patterns(Vec<Pattern>);

impl Patterns {
    pub fn new(texts: &[String]) -> Self {
        Self(texts.iter().map(|text| Pattern::new(text)).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one matches the path and query of a canonical URL.
    pub fn matches(&self, path_and_query: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(path_and_query))
    }
}

/// One pattern, ready to be compared.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// What it has to begin with.
    head: Box<[u8]>,
    /// What follows in this order, with anything between.
    parts: Vec<Finder<'static>>,
    end: End,
}

#[derive(Debug, Clone)]
enum End {
    /// Anything may follow.
    Open,
    /// Nothing may follow the head.
    Head,
    /// It has to end with this, which follows a `*`.
    Tail(Box<[u8]>),
}

impl Pattern {
    pub fn new(text: &str) -> Self {
        let spelt = spelling(text);
        let (body, anchored) = match spelt.strip_suffix('$') {
            Some(body) => (body, true),
            None => (spelt.as_str(), false),
        };
        let mut pieces = body.split('*').map(str::as_bytes);
        let head = pieces.next().unwrap_or_default().into();
        let mut parts: Vec<&[u8]> = pieces.collect();
        let end = match (anchored, anchored.then(|| parts.pop()).flatten()) {
            (false, _) => End::Open,
            (true, None) => End::Head,
            (true, Some(tail)) => End::Tail(tail.into()),
        };
        parts.retain(|part| !part.is_empty());
        let parts = parts.into_iter().map(|part| Finder::new(part).into_owned());
        Self {
            head,
            parts: parts.collect(),
            end,
        }
    }

    pub fn matches(&self, path_and_query: &str) -> bool {
        let Some(mut rest) = path_and_query.as_bytes().strip_prefix(&*self.head) else {
            return false;
        };
        for part in &self.parts {
            match part.find(rest) {
                Some(at) => rest = &rest[at + part.needle().len()..],
                None => return false,
            }
        }
        match &self.end {
            End::Open => true,
            End::Head => rest.is_empty(),
            End::Tail(tail) => rest.ends_with(tail),
        }
    }
}

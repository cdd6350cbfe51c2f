//! Patterns of rules: `*` for anything, `$` at the end for the end. [2.2.3]
//!
//! The parts between the `*` are looked for one behind the other, each at its
//! first place, which finds a match if there is one; each search is linear
//! (Knuth, Morris and Pratt), so that no pattern takes more steps than it and
//! the path have octets.

use super::octets::{Address, ENCODED_QUESTION, ENCODED_SLASH, Octet, Symbol, next, width};

/// A pattern, ready to be matched.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    octets: usize,
    /// Symbols that a path must have at least.
    symbols: usize,
    /// What the path has to begin with.
    head: Box<[Symbol]>,
    /// What follows in this order, with anything between.
    parts: Vec<Part>,
    end: End,
}

#[derive(Debug, Clone)]
enum End {
    /// Anything may follow.
    Open,
    /// There is a `$` and no `*`: nothing may follow the head.
    Head,
    /// There are both: the path has to end with this.
    Tail(Part),
}

impl Pattern {
    pub(super) fn parse(text: &[u8]) -> Self {
        let (body, anchored) = match text {
            [body @ .., b'$'] => (body, true),
            _ => (text, false),
        };
        let mut pieces: Vec<Vec<Spelt>> = vec![Vec::new()];
        let (mut octets, mut symbols) = (usize::from(anchored), 0);
        let mut in_query = false;
        let mut rest = body;
        while let Some((octet, after)) = next(rest) {
            rest = after;
            if octet == Octet::Plain(b'*') {
                octets += 1;
                pieces.push(Vec::new());
                continue;
            }
            in_query |= octet == Octet::Plain(b'?');
            let spelt = Spelt {
                symbol: octet.symbol(in_query),
                in_query: octet.symbol(true),
            };
            octets += width(spelt.symbol);
            symbols += 1;
            let piece = pieces.last_mut().expect("it begins with one");
            piece.push(spelt);
        }
        let mut pieces = pieces.into_iter();
        let head = pieces.next().unwrap_or_default();
        let mut parts: Vec<Vec<Spelt>> = pieces.collect();
        let end = match (anchored, anchored.then(|| parts.pop()).flatten()) {
            (false, _) => End::Open,
            (true, None) => End::Head,
            (true, Some(tail)) => End::Tail(Part::new(&tail)),
        };
        let parts = parts.iter().filter(|part| !part.is_empty());
        Self {
            octets,
            symbols,
            head: head.iter().map(|spelt| spelt.symbol).collect(),
            parts: parts.map(|part| Part::new(part)).collect(),
            end,
        }
    }

    /// How specific it is.
    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    /// Nothing at all, as in `Disallow:`.
    pub(super) fn is_empty(&self) -> bool {
        self.octets == 0
    }

    pub(super) fn matches(&self, address: &Address) -> bool {
        let (path, query) = (address.symbols(), address.query_at());
        if path.len() < self.symbols || !path.starts_with(&self.head) {
            return false;
        }
        let mut from = self.head.len();
        for part in &self.parts {
            match part.find(path, from, query) {
                Some(end) => from = end,
                None => return false,
            }
        }
        match &self.end {
            End::Open => true,
            End::Head => from == path.len(),
            End::Tail(tail) => tail.ends(path, from, query),
        }
    }
}

/// An octet of a pattern: as it is compared where it seems to stand, and in a
/// query.
#[derive(Debug, Clone, Copy)]
struct Spelt {
    symbol: Symbol,
    in_query: Symbol,
}

/// A piece behind a `*`. Whether it stands in the path or in the query is not
/// known before, and that makes a difference where a divider is encoded.
#[derive(Debug, Clone)]
struct Part {
    anywhere: Needle,
    /// Counts behind the `?` only.
    in_query: Option<Needle>,
}

impl Part {
    fn new(spelt: &[Spelt]) -> Self {
        let divided = spelt
            .iter()
            .any(|spelt| matches!(spelt.symbol, ENCODED_SLASH | ENCODED_QUESTION));
        Self {
            anywhere: Needle::new(spelt.iter().map(|spelt| spelt.symbol).collect()),
            in_query: divided
                .then(|| Needle::new(spelt.iter().map(|spelt| spelt.in_query).collect())),
        }
    }

    /// Where its first occurrence at `from` or behind it ends.
    fn find(&self, path: &[Symbol], from: usize, query: usize) -> Option<usize> {
        let behind = |needle: &Needle, from: usize| Some(from + needle.end_in(path.get(from..)?)?);
        let anywhere = behind(&self.anywhere, from);
        let in_query = self.in_query.as_ref();
        let in_query = in_query.and_then(|needle| behind(needle, from.max(query)));
        // They are of one length, so that the first to end is the first.
        anywhere.into_iter().chain(in_query).min()
    }

    /// Whether the path ends with it, `from` or behind.
    fn ends(&self, path: &[Symbol], from: usize, query: usize) -> bool {
        let ends = |needle: &Needle, from: usize| {
            path.get(from..)
                .is_some_and(|rest| rest.ends_with(&needle.symbols))
        };
        let in_query = self.in_query.as_ref();
        ends(&self.anywhere, from) || in_query.is_some_and(|needle| ends(needle, from.max(query)))
    }
}

/// What is looked for.
#[derive(Debug, Clone)]
struct Needle {
    symbols: Box<[Symbol]>,
    /// For each length that matches, how much of it matches still when the next
    /// symbol does not.
    fallback: Box<[u32]>,
}

impl Needle {
    fn new(symbols: Box<[Symbol]>) -> Self {
        let mut fallback = vec![0_u32; symbols.len()];
        let mut held = 0;
        for at in 1..symbols.len() {
            while held > 0 && symbols[at] != symbols[held] {
                held = fallback[held - 1] as usize;
            }
            held += usize::from(symbols[at] == symbols[held]);
            fallback[at] = u32::try_from(held).expect("a line is shorter than a file may be");
        }
        Self {
            symbols,
            fallback: fallback.into_boxed_slice(),
        }
    }

    /// Where its first occurrence ends. It is not empty.
    fn end_in(&self, text: &[Symbol]) -> Option<usize> {
        let mut held = 0;
        for (at, symbol) in text.iter().enumerate() {
            while held > 0 && *symbol != self.symbols[held] {
                held = self.fallback[held - 1] as usize;
            }
            held += usize::from(*symbol == self.symbols[held]);
            if held == self.symbols.len() {
                return Some(at + 1);
            }
        }
        None
    }
}

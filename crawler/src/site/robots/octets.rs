//! Paths as they are compared. [2.2.2]
//!
//! An octet is the same whether it is percent-encoded or not: `~` and `%7E`,
//! `%3c` and `%3C`, a letter of any script and its encoded UTF-8, a comma and
//! `%2C`. The exceptions are the two that divide a path: an encoded `/` is not
//! a `/` there, and an encoded `?` does not begin the query. In the query, as
//! in the example of the RFC, `/` and `%2F` are the same.

/// One octet, or one of the encoded dividers.
pub(super) type Symbol = u16;

/// `%2F` in a path.
pub(super) const ENCODED_SLASH: Symbol = 0x100;
/// `%3F` in a path.
pub(super) const ENCODED_QUESTION: Symbol = 0x101;

/// Path and query of a URL.
#[derive(Debug)]
pub(super) struct Address {
    symbols: Vec<Symbol>,
    query_at: usize,
}

impl Address {
    pub(super) fn of(url: &str) -> Self {
        let path = path_and_query(url);
        let mut symbols = Vec::with_capacity(path.len() + 1);
        if !path.starts_with('/') {
            symbols.push(Symbol::from(b'/'));
        }
        let mut query_at = None;
        let mut rest = path.as_bytes();
        while let Some((octet, after)) = next(rest) {
            if octet == Octet::Plain(b'?') {
                query_at = query_at.or(Some(symbols.len() + 1));
            }
            symbols.push(octet.symbol(query_at.is_some()));
            rest = after;
        }
        Self {
            query_at: query_at.unwrap_or(symbols.len()),
            symbols,
        }
    }

    /// Where the query begins, behind its `?`; the end if there is none.
    pub(super) fn query_at(&self) -> usize {
        self.query_at
    }

    pub(super) fn symbols(&self) -> &[Symbol] {
        &self.symbols
    }

    /// `/robots.txt` and nothing more.
    pub(super) fn is_robots_file(&self) -> bool {
        let path = b"/robots.txt".iter().copied().map(Symbol::from);
        self.symbols.iter().copied().eq(path)
    }
}

/// What follows the authority, without fragment.
fn path_and_query(url: &str) -> &str {
    let url = url.split('#').next().unwrap_or_default();
    let after_authority = |rest: &str| rest.find(['/', '?']).unwrap_or(rest.len());
    if let Some(rest) = url.strip_prefix("//") {
        return &rest[after_authority(rest)..];
    }
    if url.starts_with(['/', '?']) {
        return url;
    }
    let rest = match url.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?']) => rest,
        // A host without a scheme, as people write it.
        Some(_) | None => url,
    };
    &rest[after_authority(rest)..]
}

/// One octet as it is spelt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Octet {
    Plain(u8),
    Encoded(u8),
}

impl Octet {
    /// As it is compared.
    pub(super) fn symbol(self, in_query: bool) -> Symbol {
        match self {
            Self::Encoded(b'/') if !in_query => ENCODED_SLASH,
            Self::Encoded(b'?') if !in_query => ENCODED_QUESTION,
            Self::Plain(octet) | Self::Encoded(octet) => Symbol::from(octet),
        }
    }
}

/// The first octet and the rest. A `%` that encodes nothing stands for itself.
pub(super) fn next(text: &[u8]) -> Option<(Octet, &[u8])> {
    match text {
        [b'%', high, low, rest @ ..] => match (hex(*high), hex(*low)) {
            (Some(high), Some(low)) => Some((Octet::Encoded(high << 4 | low), rest)),
            _ => Some((Octet::Plain(b'%'), &text[1..])),
        },
        [octet, rest @ ..] => Some((Octet::Plain(*octet), rest)),
        [] => None,
    }
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

/// Octets of a symbol in the spelling in which patterns are measured: reserved
/// and unreserved characters as they are, everything else encoded.
pub(super) fn width(symbol: Symbol) -> usize {
    const PLAIN: &[u8] = b"-._~:/?#[]@!&'()+,;=";
    match u8::try_from(symbol) {
        Ok(octet) if octet.is_ascii_alphanumeric() || PLAIN.contains(&octet) => 1,
        // `*` and `$` as well, which mean themselves only when encoded.
        Ok(_) | Err(_) => 3,
    }
}

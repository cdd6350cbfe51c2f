//! Percent-encoding in one spelling (RFC 3986, sections 2 and 6.2.2).
//!
//! Unreserved characters stand for themselves, hexadecimal digits are upper
//! case, what may not stand in a URL is encoded, and reserved characters stay
//! as they are spelt, since `a%2Fb` is not `a/b`. A `%` that encodes nothing is
//! itself encoded, which servers read as the same.

/// What a byte may be without being encoded.
const PATH: u8 = 1;
const QUERY: u8 = 2;
const UNRESERVED: u8 = 4;

/// `'` may not stand in a query by the URL standard.
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        let unreserved = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        let delimiter = matches!(
            byte,
            b'!' | b'$'
                | b'&'
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'@'
                | b'/'
        );
        classes[at] = match byte {
            _ if unreserved => PATH | QUERY | UNRESERVED,
            _ if delimiter => PATH | QUERY,
            b'\'' => PATH,
            b'?' => QUERY,
            _ => 0,
        };
        at += 1;
    }
    classes
};

#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Path,
    Query,
}

impl Part {
    fn class(self) -> u8 {
        match self {
            Self::Path => PATH,
            Self::Query => QUERY,
        }
    }

    /// Whether nothing in it needs encoding or could be spelt otherwise.
    pub(super) fn is_clean(self, text: &str) -> bool {
        let class = self.class();
        text.bytes()
            .all(|byte| CLASSES[usize::from(byte)] & class != 0)
    }

    /// Whether everything in it passes the URL parser unchanged; `%` does.
    pub(super) fn is_parsed(self, text: &str) -> bool {
        let class = self.class();
        text.bytes()
            .all(|byte| CLASSES[usize::from(byte)] & class != 0 || byte == b'%')
    }

    /// Appends `text` in its one spelling.
    pub(super) fn write(self, text: &str, out: &mut String) {
        let class = self.class();
        let mut rest = text;
        loop {
            let mut bytes = rest.bytes();
            let dirty = bytes.position(|byte| CLASSES[usize::from(byte)] & class == 0);
            let Some(at) = dirty else {
                return out.push_str(rest);
            };
            // What is clean is ASCII, so that a character begins behind it.
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            rest = match rest.as_bytes() {
                [b'%', high, low, ..] => match (hex(*high), hex(*low)) {
                    (Some(high), Some(low)) => {
                        push_decoded(high << 4 | low, out);
                        &rest[3..]
                    }
                    (None, _) | (_, None) => push_first(rest, out),
                },
                _ => push_first(rest, out),
            };
        }
    }
}

/// Encodes the first character and returns what is behind it.
fn push_first<'t>(text: &'t str, out: &mut String) -> &'t str {
    let bytes = text.chars().next().map_or(0, char::len_utf8);
    let (first, rest) = text.split_at(bytes);
    for byte in first.bytes() {
        push_encoded(byte, out);
    }
    rest
}

fn push_decoded(byte: u8, out: &mut String) {
    if CLASSES[usize::from(byte)] & UNRESERVED != 0 {
        out.push(char::from(byte));
    } else {
        push_encoded(byte, out);
    }
}

fn push_encoded(byte: u8, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

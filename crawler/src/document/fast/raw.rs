//! Where text ends that is not markup: scripts, styles, titles, comments.

use memchr::{memchr, memchr_iter, memchr2, memmem};

use crate::document::arena::is_space;

/// Bytes of a comment's text and of the comment with its end, from after its
/// `<!--`; an unfinished one is the rest of the page.
pub(super) fn comment(bytes: &[u8]) -> usize {
    if bytes.first() == Some(&b'>') {
        return 1;
    }
    if bytes.starts_with(b"->") {
        return 2;
    }
    let mut at = 0;
    while let Some(dashes) = memmem::find(&bytes[at..], b"--") {
        at += dashes;
        while bytes.get(at) == Some(&b'-') {
            at += 1;
        }
        match bytes.get(at) {
            Some(b'>') => return at + 1,
            Some(b'!') if bytes.get(at + 1) == Some(&b'>') => return at + 2,
            _ => {}
        }
    }
    bytes.len()
}

/// Whether a `</` starts the end tag of this name, given what is after it.
fn is_end_of(after: &[u8], name: &str) -> bool {
    let (Some(found), Some(next)) = (after.get(..name.len()), after.get(name.len())) else {
        return false;
    };
    found.eq_ignore_ascii_case(name.as_bytes()) && ends_name(*next)
}

fn ends_name(byte: u8) -> bool {
    is_space(byte) || matches!(byte, b'/' | b'>')
}

/// Bytes of text before the `</name`; all of them if it never comes.
pub(super) fn until_end_tag(bytes: &[u8], name: &str) -> usize {
    memchr_iter(b'<', bytes)
        .find(|at| bytes.get(at + 1) == Some(&b'/') && is_end_of(&bytes[at + 2..], name))
        .unwrap_or(bytes.len())
}

/// Bytes of a script before its end tag. What looks like a comment with a
/// `<script>` in it hides the end tag of that one.
pub(super) fn until_script_end(bytes: &[u8]) -> usize {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        Plain,
        Escaped,
        DoubleEscaped,
    }
    let mut state = State::Plain;
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        let next = match state {
            State::Plain => memchr(b'<', rest),
            State::Escaped | State::DoubleEscaped => memchr2(b'<', b'-', rest),
        };
        let Some(next) = next else {
            return bytes.len();
        };
        at += next;
        let rest = &bytes[at..];
        if rest[0] == b'-' {
            if rest.starts_with(b"-->") {
                state = State::Plain;
            }
            at += 1;
            continue;
        }
        let is_end = rest.get(1) == Some(&b'/') && is_end_of(&rest[2..], "script");
        state = match state {
            State::Plain | State::Escaped if is_end => return at,
            // From the first dash on, so that `<!-->` is whole.
            State::Plain if rest.starts_with(b"<!--") => {
                at += 1;
                State::Escaped
            }
            State::Escaped if is_end_of(&rest[1..], "script") => State::DoubleEscaped,
            State::DoubleEscaped if is_end => State::Escaped,
            state => state,
        };
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_end_where_browsers_end_them() {
        let check = |text: &str, rest: &str| {
            assert_eq!(&text[comment(text.as_bytes())..], rest, "{text:?}");
        };
        check(" a -->b", "b");
        check(">b", "b");
        check("->b", "b");
        check("-->b", "b");
        check("--->b", "b");
        check(" a --!>b", "b");
        check("--!>b", "b");
        check("-!>b-->c", "c");
        check(" a -- > - ->--x-->b", "b");
        check("<!-->b", "b");
        check("--!-->b", "b");
        check(" never", "");
        check("", "");
    }

    #[test]
    fn scripts_end_where_browsers_end_them() {
        let check = |text: &str, rest: &str| {
            assert_eq!(&text[until_script_end(text.as_bytes())..], rest, "{text:?}");
        };
        check("a</script>b", "</script>b");
        check("a</SCRIPT\n>b", "</SCRIPT\n>b");
        check("'</scripts>'</script/>b", "</script/>b");
        check("<!--</script>b", "</script>b");
        check("<!--<script></script>x</script>b", "</script>b");
        check("<!--<script></script>--></script>b", "</script>b");
        check("<!--<script>--></script>b", "</script>b");
        check("<!--><script></script>b", "</script>b");
        check("<!--<scripty></script>b", "</script>b");
        check("<!--<script", "");
        check("never</script", "");
    }
}

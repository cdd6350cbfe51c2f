//! Percent-encoding of paths, as far as a shop needs it.

use std::borrow::Cow;

/// A path without percent-encoding; left as it is where that would not be UTF-8.
pub(crate) fn decoded(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let bytes = path.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = path
            .get(at + 1..at + 3)
            .filter(|_| bytes[at] == b'%')
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8(out).map_or(Cow::Borrowed(path), Cow::Owned)
}

/// Writes a text so that it can be a part of a path or a value of a query.
pub(crate) fn push_encoded(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoding_is_undone_by_decoding() {
        let mut out = String::new();
        push_encoded(&mut out, "원피스 a/b?c=%");
        assert_eq!(out, "%EC%9B%90%ED%94%BC%EC%8A%A4%20a%2Fb%3Fc%3D%25");
        assert_eq!(decoded(&out), "원피스 a/b?c=%");
        for same in ["/plain", "/100%", "/%zz", "/%ff", "/%", "/%4"] {
            assert_eq!(decoded(same), same);
        }
        assert_eq!(decoded("/%70roduct/%ea%b0%80"), "/product/가");
    }
}

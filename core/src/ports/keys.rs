//! The rule for keys of blobs and state documents, one for every adapter. It
//! keeps every key inside its root: no part of a key can climb out of a
//! folder, or hide from a listing.

/// Longest key, in ASCII characters.
pub const KEY_CHARS_MAX: usize = 512;

/// Largest page of a list.
pub const LIST_MAX: usize = 1000;

const RULE: &str = "use 1 to 512 ASCII letters, digits and -_.@#=+:, in parts separated by '/', none of them empty, '.' or '..'";

/// Whether a key follows the rule; the error is the reason, for people.
pub fn check_key(key: &str) -> Result<(), String> {
    let ok = (1..=KEY_CHARS_MAX).contains(&key.len()) && key.split('/').all(is_key_part);
    if ok {
        Ok(())
    } else {
        Err(format!("the key is not valid: {RULE}"))
    }
}

/// A prefix is what a key can start with: empty, or whole parts and the
/// beginning of one more.
pub fn check_prefix(prefix: &str) -> Result<(), String> {
    let (parents, rest) = split_prefix(prefix);
    let ok = prefix.len() <= KEY_CHARS_MAX
        && parents.is_none_or(|parents| parents.split('/').all(is_key_part))
        && rest.bytes().all(is_key_byte);
    if ok {
        Ok(())
    } else {
        Err(format!("no key can start with the prefix: {RULE}"))
    }
}

/// The bounds of a list, for blobs and documents alike.
pub fn check_list(prefix: &str, after: Option<&str>, limit: usize) -> Result<(), String> {
    check_prefix(prefix)?;
    if let Some(after) = after {
        check_prefix(after).map_err(|_| format!("`after` {after:?} cannot be a key: {RULE}"))?;
    }
    if (1..=LIST_MAX).contains(&limit) {
        Ok(())
    } else {
        Err(format!(
            "the limit {limit} is outside the bounds 1 to {LIST_MAX}"
        ))
    }
}

/// Splits a prefix into its whole parts and the beginning of the next one.
pub fn split_prefix(prefix: &str) -> (Option<&str>, &str) {
    match prefix.rsplit_once('/') {
        Some((parents, rest)) => (Some(parents), rest),
        None => (None, prefix),
    }
}

/// Whether a text can be one part of a key.
pub fn is_key_part(part: &str) -> bool {
    !matches!(part, "" | "." | "..") && part.bytes().all(is_key_byte)
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'_' | b'.' | b'@' | b'#' | b'=' | b'+' | b':' | b','
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_the_rule() {
        let check = |key: &str, ok: bool| assert_eq!(check_key(key).is_ok(), ok, "{key:?}");
        check("a", true);
        check("images/ab/abc/256-deadbeef.jpg", true);
        check("runs/shop-a@2026-11-21T03:00:00.000Z", true);
        check("-_.@#=+:,", true);
        check("...", true);
        check(&"a/".repeat(255), false);
        check(&"a".repeat(512), true);
        check(&"a".repeat(513), false);
        check("", false);
        check("/a", false);
        check("a/", false);
        check("a//b", false);
        check("a/./b", false);
        check("../a", false);
        check("a/..", false);
        check("a b", false);
        check("a\\b", false);
        check("a\0b", false);
        check("~tmp/a", false);
        check("가", false);
    }

    #[test]
    fn prefixes_are_beginnings_of_keys() {
        let check =
            |prefix: &str, ok: bool| assert_eq!(check_prefix(prefix).is_ok(), ok, "{prefix:?}");
        check("", true);
        check("a/", true);
        check("a/b", true);
        check("a/.", true);
        check("a/..", true);
        check("/", false);
        check("a//", false);
        check("../", false);
        check("a/../b", false);
        check("~tmp", false);
    }
}

//! A picture that stands for "no picture yet", as a configuration names it: by
//! its bytes, or by its look.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::phash::{PLAIN_BITS, Phash};

/// Bits in which a picture may differ from a placeholder that says no distance
/// of its own. The same picture at another size or quality differs in 0 to 5,
/// two different ones in 20 and more: what is taken for a placeholder by mistake
/// costs a product its picture. Test:
/// `a_photograph_hashes_alike_at_any_size_quality_and_format`.
pub const DISTANCE: u32 = 6;

/// Most bits that may be allowed to differ, less than what is set in the hash of
/// any placeholder: else plain pictures would be taken for it.
pub const DISTANCE_MAX: u32 = 10;

/// One entry of `images.placeholders`: `"sha256:{64 hex digits}"`,
/// `"phash:{16 hex digits}"`, or with a distance `"phash:{16 hex digits}~6"`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Placeholder {
    /// Files of these very bytes; lower-case hex.
    Sha256(String),
    /// Pictures that differ from this one in at most so many bits.
    Phash { hash: Phash, within: u32 },
}

/// A text that is no placeholder. It says so in serde's words, by which a list
/// of them is told apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid value: string {found:?}, expected \"sha256:\" and 64 hex digits, or \"phash:\" and 16 hex digits with, if need be, ~ and the bits that may differ, 0 to {DISTANCE_MAX}, such as \"phash:e1b0c3d49a5f2786~6\"; a picture with fewer than {PLAIN_BITS} bits set is too plain to be known by its look: give its sha256, or images.blank if it is of one colour"
)]
pub struct NoPlaceholder {
    pub found: String,
}

impl Placeholder {
    fn of_bytes(digits: &str) -> Option<Self> {
        let plain = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        plain.then(|| Self::Sha256(digits.to_ascii_lowercase()))
    }

    fn of_look(text: &str) -> Option<Self> {
        let (hash, within) = match text.split_once('~') {
            Some((hash, bits)) => {
                let plain = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
                (hash, plain.then(|| bits.parse().ok()).flatten()?)
            }
            None => (text, DISTANCE),
        };
        let hash: Phash = hash.parse().ok()?;
        let is_told = within <= DISTANCE_MAX && !hash.is_plain();
        is_told.then_some(Self::Phash { hash, within })
    }
}

impl TryFrom<String> for Placeholder {
    type Error = NoPlaceholder;

    fn try_from(text: String) -> Result<Self, NoPlaceholder> {
        let entry = match text.strip_prefix("sha256:") {
            Some(digits) => Self::of_bytes(digits),
            None => text.strip_prefix("phash:").and_then(Self::of_look),
        };
        entry.ok_or(NoPlaceholder { found: text })
    }
}

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digits) => write!(f, "sha256:{digits}"),
            Self::Phash { hash, within } => write!(f, "phash:{hash}~{within}"),
        }
    }
}

impl From<Placeholder> for String {
    fn from(entry: Placeholder) -> Self {
        entry.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_name_bytes_or_a_look() {
        let check = |text: &str, expected: Option<Placeholder>| {
            let found = Placeholder::try_from(text.to_owned()).ok();
            assert_eq!(found, expected, "{text}");
            if let Some(entry) = found {
                let again = Placeholder::try_from(String::from(entry.clone()));
                assert_eq!(again, Ok(entry), "{text}");
            }
        };
        let digits = "ab".repeat(32);
        let of_bytes = Some(Placeholder::Sha256(digits.clone()));
        check(&format!("sha256:{digits}"), of_bytes.clone());
        check(&format!("sha256:{}", digits.to_uppercase()), of_bytes);
        check(&format!("sha256:{digits}0"), None);
        check(&digits, None);
        let of_look = |within| {
            let hash = Phash(0xe1b0_c3d4_9a5f_2786);
            Some(Placeholder::Phash { hash, within })
        };
        check("phash:e1b0c3d49a5f2786", of_look(DISTANCE));
        check("phash:e1b0c3d49a5f2786~0", of_look(0));
        check("phash:e1b0c3d49a5f2786~10", of_look(10));
        check("phash:e1b0c3d49a5f2786~11", None);
        check("phash:e1b0c3d49a5f2786~", None);
        check("phash:e1b0c3d49a5f2786~+3", None);
        check("phash:e1b0c3d49a5f278", None);
        check("phash:0000000000000000", None);
        check("phash:80000000000003ff", None);
        check("md5:e1b0c3d49a5f2786", None);
    }
}

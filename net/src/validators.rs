//! What makes a request conditional: ETag and Last-Modified.
//!
//! Kept and sent back as they came; nothing here compares or parses them.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::{Deserialize, Serialize};

/// Validators longer than this are not stored or sent: they come from the
/// partner and are kept for every image.
pub const VALIDATOR_BYTES_MAX: usize = 512;
/// What a server sent to recognise a version of a resource; sent back verbatim.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Validators {
    /// ETag, weak or strong, with its quotes.
    pub etag: Option<String>,
    /// Last-Modified as the server wrote it.
    pub last_modified: Option<String>,
}

impl Validators {
    /// The validators of an answer. Overlong or unprintable ones are left out:
    /// without them the next request is simply not conditional.
    pub fn of(headers: &HeaderMap) -> Self {
        let read = |name: HeaderName| {
            let text = headers.get(name)?.to_str().ok()?.trim();
            let fits = !text.is_empty() && text.len() <= VALIDATOR_BYTES_MAX;
            fits.then(|| text.to_owned())
        };
        Self {
            etag: read(header::ETAG),
            last_modified: read(header::LAST_MODIFIED),
        }
    }

    /// Whether there is nothing to ask with.
    pub fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }

    pub(crate) fn put_into(&self, headers: &mut HeaderMap) -> bool {
        let mut asked = false;
        let pairs = [
            (header::IF_NONE_MATCH, &self.etag),
            (header::IF_MODIFIED_SINCE, &self.last_modified),
        ];
        for (name, value) in pairs {
            let value = value
                .as_deref()
                .filter(|text| text.len() <= VALIDATOR_BYTES_MAX)
                .and_then(|text| HeaderValue::from_str(text).ok());
            if let Some(value) = value {
                headers.insert(name, value);
                asked = true;
            }
        }
        asked
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn overlong_validators_are_left_out() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ETAG, "W/\"abc\"".parse().unwrap());
        let long = "x".repeat(VALIDATOR_BYTES_MAX + 1);
        headers.insert(header::LAST_MODIFIED, long.parse().unwrap());
        let found = Validators::of(&headers);
        assert_eq!(found.etag.as_deref(), Some("W/\"abc\""));
        assert_eq!(found.last_modified, None);
    }
}

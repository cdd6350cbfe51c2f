//! What is remembered of a settled entry besides its rows: for people, and for
//! the next run's page book.

use serde::{Deserialize, Serialize};

/// The longest reason that is kept of one entry.
const REASON_BYTES_MAX: usize = 500;

/// Facts of one settled entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Facts {
    #[serde(rename = "u")]
    pub(super) url: String,
    /// Why it ended as it did, where that needs a word.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<String>,
    /// What people should know of it, though it ended well.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<String>,
    /// Of a page that was seen, in this run or an earlier one.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub(super) page: Option<PageFacts>,
}

/// What the next run wants to know of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PageFacts {
    /// As its sitemap said when it was seen.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub(super) lastmod: Option<i64>,
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub(super) etag: Option<String>,
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub(super) last_modified: Option<String>,
    /// Where it came from, if its URL leads elsewhere; the validators are that
    /// place's.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<String>,
    /// When its bytes were last read, in seconds since 1970.
    #[serde(rename = "r")]
    pub(super) read_at: i64,
    /// The links of the page that the rules let through: a page that is not
    /// read again still leads to them.
    #[serde(rename = "a", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) links: Vec<String>,
}

impl Facts {
    pub(super) fn of(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            ..Self::default()
        }
    }

    pub(super) fn because(mut self, why: &str) -> Self {
        let cut = why.floor_char_boundary(REASON_BYTES_MAX);
        self.why = Some(why[..cut].to_owned());
        self
    }

    pub(super) fn noting(mut self, note: &str) -> Self {
        let cut = note.floor_char_boundary(REASON_BYTES_MAX);
        self.note = Some(note[..cut].to_owned());
        self
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts, numbers and lists have a JSON form")
    }

    /// What is not ours to read is nothing.
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn facts_come_back_as_they_were() {
        let facts = Facts {
            page: Some(PageFacts {
                lastmod: Some(7),
                etag: Some("\"a\"".to_owned()),
                last_modified: None,
                from: Some("https://a.test/c".to_owned()),
                read_at: 12,
                links: vec!["https://a.test/b".to_owned()],
            }),
            ..Facts::of("https://a.test/")
                .because("it was ö")
                .noting("so")
        };
        assert_eq!(Facts::of_bytes(&facts.to_bytes()).unwrap(), facts);
        assert_eq!(Facts::of_bytes(b"?"), None);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let facts = Facts::of("u").because(&"ö".repeat(400));
        assert_eq!(facts.why.unwrap().len(), REASON_BYTES_MAX);
    }
}

//! URLs that a list names and the rules of the pipe leave: counted by why, so
//! that a rule which leaves too much is seen.

use std::collections::BTreeMap;

use super::super::links::Leave;
use super::super::url::CanonicalUrl;

#[derive(Debug, Default)]
pub(super) struct LeftUrls(BTreeMap<Leave, (u64, String)>);

impl LeftUrls {
    pub(super) fn note(&mut self, why: Leave, url: &CanonicalUrl) {
        let left = self.0.entry(why);
        left.or_insert_with(|| (0, url.to_string())).0 += 1;
    }

    /// `None` where none was left.
    pub(super) fn words(&self) -> Option<String> {
        let parts = self
            .0
            .iter()
            .map(|(why, (count, example))| format!("{count} because {why}, such as {example}"));
        let parts: Vec<String> = parts.collect();
        (!parts.is_empty()).then(|| format!("left URL(s) out: {}", parts.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn urls_are_counted_by_why_they_are_left() {
        let mut left = LeftUrls::default();
        assert_eq!(left.words(), None);
        for path in ["a", "b"] {
            let url = CanonicalUrl::stored(&format!("https://other.test/{path}")).unwrap();
            left.note(Leave::OtherSite, &url);
        }
        let words = left.words().unwrap();
        assert!(
            words.starts_with("left URL(s) out: 2 because its host"),
            "{words}"
        );
        assert!(words.ends_with("such as https://other.test/a"), "{words}");
    }
}

//! `[images]`: what is done with the pipe's images.

use serde::{Deserialize, Serialize};
use url::Url;

use super::problems::Problems;
use crate::image::Recheck;
use crate::image_policy::{OnBlank, OnDamaged, PLACEHOLDERS_MAX};
use crate::placeholder::Placeholder;

/// What is done with the pipe's images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImageOptions {
    /// Whether images are fetched at all; default true. Those of a pipe that
    /// says no are `not_collected`: the first run after it says yes fetches
    /// them. What was stored before it said no stays.
    pub collect: bool,
    /// When images whose URL did not change are looked at again: `"never"`,
    /// `"every_run"` or `{ every_days = N }`; default every 30 days.
    pub recheck: Recheck,
    /// Hours before a failed image is tried again; default 24, bound 1 to 720.
    pub retry_hours: u32,
    /// Jobs of one image host that may be in flight; default 2, bound 1 to 64.
    pub shards: u32,
    /// Sent as Referer with image requests, for hosts that demand one; default
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referer: Option<Url>,
    /// Pictures of this partner that stand for "no picture yet", besides those
    /// of `trawler.toml`: `"sha256:..."` or `"phash:..."`, default none, at
    /// most 1,000.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub placeholders: Vec<Placeholder>,
    /// What becomes of pictures of one colour, `"store"` or `"placeholder"`;
    /// default what `images.blank` of `trawler.toml` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blank: Option<OnBlank>,
    /// What becomes of files that can be decoded in part only, `"refuse"` or
    /// `"store"`; default what `images.damaged` of `trawler.toml` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damaged: Option<OnDamaged>,
    /// Sent as User-Agent with image requests instead of the configuration's,
    /// for hosts that let nobody else in; printable ASCII, at most 256 bytes.
    /// Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

/// Longest User-Agent, as for all requests.
const USER_AGENT_BYTES_MAX: usize = 256;

impl Default for ImageOptions {
    fn default() -> Self {
        Self {
            collect: true,
            recheck: Recheck::default(),
            retry_hours: 24,
            shards: 2,
            referer: None,
            placeholders: Vec::new(),
            blank: None,
            damaged: None,
            user_agent: None,
        }
    }
}

impl ImageOptions {
    pub(super) fn problems(&self, found: &mut Problems) {
        found.within("images.retry_hours", u64::from(self.retry_hours), 1, 720);
        found.within("images.shards", u64::from(self.shards), 1, 64);
        let entries = self.placeholders.len() as u64;
        found.within("images.placeholders", entries, 0, PLACEHOLDERS_MAX as u64);
        if let Recheck::Days { every_days } = self.recheck {
            found.within("images.recheck.every_days", u64::from(every_days), 1, 3650);
        }
        if let Some(agent) = &self.user_agent {
            let visible = agent.bytes().all(|byte| (0x20..0x7f).contains(&byte));
            let short = (1..=USER_AGENT_BYTES_MAX).contains(&agent.len());
            let words = !agent.trim().is_empty();
            found.unless(
                visible && short && words,
                "images.user_agent",
                agent,
                "1 to 256 printable ASCII characters",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn recheck_is_a_word_or_a_number_of_days() {
        let check = |text: &str, expected: Recheck| {
            assert_eq!(
                serde_json::from_str::<Recheck>(text).unwrap(),
                expected,
                "{text}"
            );
        };
        check(r#""never""#, Recheck::Never);
        check(r#""every_run""#, Recheck::EveryRun);
        check(r#"{"every_days": 7}"#, Recheck::Days { every_days: 7 });
        assert!(serde_json::from_str::<Recheck>(r#""sometimes""#).is_err());
    }

    #[test]
    fn a_user_agent_is_short_and_printable() {
        let check = |agent: &str, is_allowed: bool| {
            let options = ImageOptions {
                user_agent: Some(agent.to_owned()),
                ..ImageOptions::default()
            };
            let mut found = Problems::default();
            options.problems(&mut found);
            let found = found.0;
            assert_eq!(found.is_empty(), is_allowed, "{agent:?}: {found:?}");
        };
        check("Shop-Bot/1.0 (+https://shop.test/bot)", true);
        check(&"a".repeat(256), true);
        check(&"a".repeat(257), false);
        check("", false);
        check(" ", false);
        check("a\r\nX-Evil: 1", false);
        check("봇", false);
    }
}

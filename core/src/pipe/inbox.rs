//! `source.kind = "inbox"`: a folder among the blobs that a partner uploads to.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::newest::{FileRule, Newest};
use super::problems::Problems;
use crate::ports::keys;

/// Folder among the blobs that holds the inboxes of all pipes. Nothing of ours
/// is in it, so that a partner can be let in here and nowhere else.
pub const INBOX: &str = "inbox/";

/// A file that appears in a folder of the inbox: of those that are finished,
/// the newest is the feed. Trawler removes none of them.
///
/// *Finished* is a file whose name is not that of a temporary one (`.part`,
/// `.tmp`, `.filepart`, `~` and the like at its end, `.`, `~` or `#` in front),
/// that is not empty, and that has not been modified for `settle_s`; with
/// `done`, one whose marker is there and not older than it. An object of S3
/// appears only when it is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InboxSource {
    /// Folder of the inbox, with `/` at its end: `"partners/shop-a/"` is the
    /// folder `inbox/partners/shop-a/` below `blobs/` of the store. Two pipes
    /// may share one if their patterns keep their files apart. The name of a
    /// file that is to be seen has ASCII letters, digits and `-_.@#=+:,` only.
    pub prefix: String,
    /// Names that the feed may have: `*` stands for any characters but `/`, `?`
    /// for one. Default `"*"`, any file of the folder itself.
    #[serde(default = "any", skip_serializing_if = "is_any")]
    pub pattern: String,
    /// `"modified"` or, for names with a date, `"name"`; default `"modified"`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub newest: Newest,
    /// Seconds for which a finished file has not been modified; default 10,
    /// bound 0 to 300.
    #[serde(default = "settle_s")]
    pub settle_s: u64,
    /// End of the name of a marker file, such as `".done"`: `feed.csv` is
    /// finished when `feed.csv.done` is there. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<String>,
}

pub(super) fn any() -> String {
    "*".to_owned()
}

pub(super) fn is_any(pattern: &str) -> bool {
    pattern == "*"
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

pub(super) fn settle_s() -> u64 {
    10
}

impl InboxSource {
    /// What its files have to be.
    pub fn rule(&self) -> FileRule<'_> {
        FileRule {
            pattern: &self.pattern,
            newest: self.newest,
            settle: Duration::from_secs(self.settle_s),
            done: self.done.as_deref(),
        }
    }

    /// What the keys of its files begin with.
    pub fn key_prefix(&self) -> String {
        format!("{INBOX}{}", self.prefix)
    }

    pub(super) fn problems(&self, found: &mut Problems) {
        let ok = self.prefix.ends_with('/') && keys::check_prefix(&self.key_prefix()).is_ok();
        let allowed = "a folder with '/' at its end, such as \"partners/shop-a/\": ASCII letters, digits and -_.@#=+:, in parts separated by '/'";
        found.unless(ok, "source.prefix", &format!("{:?}", self.prefix), allowed);
        self.rule().problems(found);
    }
}

impl fmt::Display for InboxSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.key_prefix(), self.pattern)
    }
}

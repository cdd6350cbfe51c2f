//! What came of asking for one entry.

use super::super::url::CanonicalUrl;
use super::facts::Facts;
use super::kind::{Kind, Outcome};
use super::lists::ListPage;

/// An entry that a visit found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Find {
    pub(super) kind: Kind,
    /// Canonical where it is a page.
    pub(super) url: String,
    pub(super) depth: u16,
    pub(super) source: u32,
    pub(super) page: u32,
    pub(super) lastmod: Option<i64>,
    /// Whether it is a page to be followed, of which a site may make endlessly
    /// many; product pages and what sitemaps and lists name are not counted.
    pub(super) is_counted: bool,
}

/// How a visit ended.
#[derive(Debug)]
pub(super) enum Visit {
    /// It is done.
    Done(Box<Done>),
    /// It may go better later.
    Again { why: String },
    /// The host asked for a rest; it was not tried.
    Resting {
        wait: std::time::Duration,
        why: String,
    },
}

impl Visit {
    pub(super) fn done(done: Done) -> Self {
        Self::Done(Box::new(done))
    }
}

/// A visit that is done.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) outcome: Outcome,
    pub(super) facts: Facts,
    /// Rows, as [`PageRows`](super::rows::PageRows) holds them.
    pub(super) rows: Vec<u8>,
    pub(super) finds: Vec<Find>,
    /// Of a page of a list.
    pub(super) list: Option<ListPage>,
    /// Where the page came from, if from elsewhere: it needs not be asked for
    /// there again.
    pub(super) also: Option<CanonicalUrl>,
    pub(super) bytes_down: u64,
}

impl Done {
    pub(super) fn of(outcome: Outcome, facts: Facts) -> Self {
        Self {
            outcome,
            facts,
            rows: Vec::new(),
            finds: Vec::new(),
            list: None,
            also: None,
            bytes_down: 0,
        }
    }
}

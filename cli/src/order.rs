//! What a process is to do, and until when.

use trawler_core::PipeId;

use crate::progress::Show;

/// One kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Schedule,
    Crawl,
    Images,
}

impl Role {
    pub(crate) const ALL: &[Self] = &[Self::Schedule, Self::Crawl, Self::Images];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Crawl => "crawl",
            Self::Images => "images",
        }
    }
}

/// What this process is to do.
#[derive(Debug, Clone)]
pub(crate) struct Order<'a> {
    pub(crate) roles: &'a [Role],
    pub(crate) plan: Plan,
    pub(crate) until: Until,
    pub(crate) show: Show,
}

/// When the work ends by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Until {
    /// Only when told to leave.
    Told,
    /// When nothing is left to do; for all roles together.
    Idle,
}

/// Which runs are planned besides those that are due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Plan {
    /// What is due by its schedule.
    Due,
    /// These pipes, now; nothing else.
    Now(Vec<PipeId>),
}

//! What the frontier holds: an [`Entry`] to be asked for, and how an entry
//! was [`Settled`].

/// Which queue an entry stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Sitemaps, category pages, JSON pages: what names other entries. These
    /// go first, so that the size of a site is known early.
    Source,
    /// Pages that may be products.
    Page,
}

impl Lane {
    /// In the order in which they are claimed from.
    pub const ALL: [Self; 2] = [Self::Source, Self::Page];

    pub(super) fn index(self) -> usize {
        self as usize
    }
}

/// Something to be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub url: String,
    /// Its queue.
    pub lane: Lane,
    /// How many links it is away from a start.
    pub depth: u16,
    /// What it is, in the caller's own numbering.
    pub kind: u8,
    /// Which source it came from, in the caller's own numbering.
    pub source: u32,
    /// Which page of its source it is.
    pub page: u32,
    /// When it changed last, as its sitemap says, in seconds since 1970.
    pub lastmod: Option<i64>,
    /// How often it was tried and put back.
    pub attempt: u8,
}

impl Entry {
    /// An entry of `lane` at `url`, with everything else 0.
    pub fn new(lane: Lane, url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            lane,
            depth: 0,
            kind: 0,
            source: 0,
            page: 0,
            lastmod: None,
            attempt: 0,
        }
    }
}

/// An entry that was taken out of its lane. Consumed by settling it or by
/// putting it back; dropped, it stays claimed until a replay.
#[derive(Debug)]
#[must_use = "a claimed entry is settled or put back, or it waits for the next replay"]
pub struct Claimed {
    pub(super) entry: Entry,
    pub(super) item: u64,
}

impl Claimed {
    /// What was claimed.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }
}

/// How an entry ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled<'a> {
    /// What became of it, in the caller's own numbering.
    pub outcome: u8,
    /// Its rows, as lines of JSON.
    pub payload: &'a [u8],
    /// What else is to be remembered of it.
    pub facts: &'a [u8],
}

/// A settled entry as it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The lane it was in.
    pub lane: Lane,
    /// What became of it.
    pub outcome: u8,
    /// Its rows.
    pub payload: Vec<u8>,
    /// What else is to be remembered of it.
    pub facts: Vec<u8>,
}

/// What became of an entry that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It was not known and is pending.
    New,
    /// Its key was met before.
    Seen,
    /// It was not known, and is refused for this bound: the crawl does not
    /// see all of the site, and is incomplete.
    Full(Bound),
}

/// What became of the payload and facts of a settled entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// They are kept.
    Whole,
    /// Only the outcome is kept, for this bound: the crawl is incomplete.
    OutcomeOnly(Bound),
}

/// A bound of the frontier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bound {
    /// [`entries_max`](super::FrontierLimits::entries_max).
    Entries,
    /// [`url_bytes_max`](super::FrontierLimits::url_bytes_max).
    UrlBytes,
    /// [`journal_bytes_max`](super::FrontierLimits::journal_bytes_max).
    JournalBytes,
    /// [`settled_bytes_max`](super::FrontierLimits::settled_bytes_max).
    SettledBytes,
}

impl Bound {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Entries,
        Self::UrlBytes,
        Self::JournalBytes,
        Self::SettledBytes,
    ];

    pub(super) fn index(self) -> usize {
        self as usize
    }
}

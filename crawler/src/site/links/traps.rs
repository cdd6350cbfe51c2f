//! URLs that a site makes without end: relative links that grow, filters that
//! combine, calendars that go on.
//!
//! What follows from one link to the next is bounded by `links.depth_max`; here
//! is what is wide rather than deep.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::super::url::CanonicalUrl;

/// Segments of a path. Category trees have ten levels.
const SEGMENTS_MAX: usize = 32;

/// Parameters of a query. Filters of a shop are rarely more than ten.
const PARAMETERS_MAX: usize = 24;

/// Bytes of a URL that is followed; product names in full sentences, encoded,
/// stay below.
const FOLLOWED_BYTES_MAX: usize = 2_048;

/// How often one segment may stand behind itself: `/0/0/0/` may be a page.
const SEGMENT_REPEATS_MAX: usize = 3;

/// How often a sequence of segments may: `/a/b/a/b/`.
const SEQUENCE_REPEATS_MAX: usize = 2;

/// Longest sequence that is looked for.
const SEQUENCE_MAX: usize = 6;

/// Paths whose URLs are counted; with 16 bytes each about 2 MiB. Beyond, a new
/// path is not counted, and `limits.pages_max` holds.
const PATHS_MAX: usize = 65_536;

/// A URL that looks like one of endlessly many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Trap {
    /// `/a/b/a/b/a/b`
    RepeatedSegments,
    ManySegments,
    ManyParameters,
    Long,
    /// There are `limits.urls_per_path_max` other queries of this path.
    ManyQueries,
}

impl Trap {
    /// By the URL alone.
    pub fn of(url: &CanonicalUrl) -> Option<Self> {
        if url.as_str().len() > FOLLOWED_BYTES_MAX {
            return Some(Self::Long);
        }
        if let Some(query) = url.query()
            && query.bytes().filter(|byte| *byte == b'&').count() >= PARAMETERS_MAX
        {
            return Some(Self::ManyParameters);
        }
        let path = url.path();
        let mut segments = [""; SEGMENTS_MAX];
        let mut count = 0;
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            if count == SEGMENTS_MAX {
                return Some(Self::ManySegments);
            }
            segments[count] = segment;
            count += 1;
        }
        repeats(&segments[..count]).then_some(Self::RepeatedSegments)
    }

    /// Whether products may have been missed for it.
    pub fn cuts(self) -> bool {
        match self {
            Self::ManyQueries => true,
            Self::RepeatedSegments | Self::ManySegments | Self::ManyParameters | Self::Long => {
                false
            }
        }
    }

    /// The word for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RepeatedSegments => "repeated_segments",
            Self::ManySegments => "many_segments",
            Self::ManyParameters => "many_parameters",
            Self::Long => "long",
            Self::ManyQueries => "many_queries",
        }
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RepeatedSegments => f.write_str("its path repeats itself"),
            Self::ManySegments => write!(f, "its path has more than {SEGMENTS_MAX} segments"),
            Self::ManyParameters => {
                write!(f, "its query has more than {PARAMETERS_MAX} parameters")
            }
            Self::Long => write!(f, "it is longer than {FOLLOWED_BYTES_MAX} bytes"),
            Self::ManyQueries => f.write_str(
                "its path has limits.urls_per_path_max URLs; say links.products, drop parameters \
                 with canonical.drop_query or deny the path",
            ),
        }
    }
}

/// Whether a sequence stands behind itself too often.
fn repeats(segments: &[&str]) -> bool {
    (1..=SEQUENCE_MAX).any(|length| {
        let allowed = match length {
            1 => SEGMENT_REPEATS_MAX,
            _ => SEQUENCE_REPEATS_MAX,
        };
        // So many segments in a row that equal the one `length` before them.
        let mut equal = 0;
        (length..segments.len()).any(|at| {
            equal = match segments[at] == segments[at - length] {
                true => equal + 1,
                false => 0,
            };
            equal >= length * allowed
        })
    })
}

/// Paths whose counts are kept for the next delivery, the fullest first: as
/// text about 100 KiB, of a document that may have 1 MiB. Of others a delivery
/// after a death counts anew.
const KEPT_MAX: usize = 4_096;

/// Counts the URLs of each path that differ in their query. What it says
/// depends on the order in which it is asked, and on nothing else.
#[derive(Debug)]
pub struct Traps {
    urls_per_path_max: u64,
    pub(super) paths: HashMap<u64, u64>,
}

impl Traps {
    pub fn new(urls_per_path_max: u64) -> Self {
        Self {
            urls_per_path_max,
            paths: HashMap::new(),
        }
    }

    /// As counted so far, of an earlier delivery; for as many paths as are kept.
    pub fn of(urls_per_path_max: u64, kept: &[(u64, u64)]) -> Self {
        Self {
            urls_per_path_max,
            paths: kept.iter().copied().collect(),
        }
    }

    /// What the next delivery has to know: paths that have more than one URL,
    /// by a hash that is the same everywhere.
    pub fn kept(&self) -> Vec<(u64, u64)> {
        let many = self.paths.iter().filter(|(_, count)| **count > 1);
        let mut kept: Vec<(u64, u64)> = many.map(|(path, count)| (*path, *count)).collect();
        kept.sort_unstable_by_key(|(path, count)| (std::cmp::Reverse(*count), *path));
        kept.truncate(KEPT_MAX);
        kept
    }

    /// To be asked once about each new URL that is followed; those of product
    /// pages and those that sitemaps and listings name do not count.
    pub fn admit(&mut self, url: &CanonicalUrl) -> Result<(), Trap> {
        if url.query().is_none() {
            return Ok(());
        }
        let mut hasher = DefaultHasher::new();
        (url.origin(), url.path()).hash(&mut hasher);
        let path = hasher.finish();
        if self.paths.len() == PATHS_MAX && !self.paths.contains_key(&path) {
            return Ok(());
        }
        let count = self.paths.entry(path).or_default();
        if *count == self.urls_per_path_max {
            return Err(Trap::ManyQueries);
        }
        *count += 1;
        Ok(())
    }
}

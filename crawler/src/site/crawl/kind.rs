//! What an entry of the frontier is, and what became of it, as the frontier's
//! journal carries both.

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A page that may be a product and may link to others.
    Page,
    /// A sitemap, an index of sitemaps, a news feed, a list of URLs.
    Sitemap,
    /// A page of a category.
    Category,
    /// An answer of a JSON endpoint.
    Json,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Page, Self::Sitemap, Self::Category, Self::Json];

    pub(super) fn code(self) -> u8 {
        self as u8
    }

    /// `None` for the journal of a later program.
    pub(super) fn of_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// Before the URL in the key of an entry, so that a list and a page of the
    /// same URL are two.
    pub(super) fn key(self, source: u32, url: &str) -> String {
        match self {
            Self::Page => url.to_owned(),
            Self::Sitemap => format!("sitemap {url}"),
            Self::Category => format!("category {source} {url}"),
            Self::Json => format!("json {source} {url}"),
        }
    }
}

/// What became of an entry. Numbers are in the journal and never used again
/// for anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Outcome {
    /// A page with at least one product.
    Product = 0,
    /// A page of another kind.
    NoProduct = 1,
    /// 304: its rows are those of the last complete run.
    NotModified = 2,
    /// Not asked for: its sitemap says that it has not changed.
    Skipped = 3,
    /// 404 or 410.
    Gone = 4,
    /// 200, and a page that says "not found".
    SoftGone = 5,
    /// robots.txt forbids it.
    Denied = 6,
    /// Nobody knows what robots.txt says.
    DeniedUnknown = 7,
    /// It leads to where this crawl does not go.
    MovedAway = 8,
    /// It did not come, as often as it was tried, or is no page that can be
    /// read.
    Failed = 9,
    /// The site did not want to show it: a wall, a challenge, a login.
    Blocked = 10,
    /// A sitemap or list that was read to its end.
    ListRead = 11,
    /// A sitemap or list that was not.
    ListBroken = 12,
    /// A sitemap that nobody had named and that is not there.
    ListAbsent = 13,
}

impl Outcome {
    const ALL: [Self; 14] = [
        Self::Product,
        Self::NoProduct,
        Self::NotModified,
        Self::Skipped,
        Self::Gone,
        Self::SoftGone,
        Self::Denied,
        Self::DeniedUnknown,
        Self::MovedAway,
        Self::Failed,
        Self::Blocked,
        Self::ListRead,
        Self::ListBroken,
        Self::ListAbsent,
    ];

    pub(super) fn code(self) -> u8 {
        self as u8
    }

    pub(super) fn of_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// Whether the page was asked for and its server answered or should have.
    pub(super) fn was_asked(self) -> bool {
        match self {
            Self::Product
            | Self::NoProduct
            | Self::NotModified
            | Self::Gone
            | Self::SoftGone
            | Self::MovedAway
            | Self::Failed
            | Self::Blocked => true,
            Self::Skipped
            | Self::Denied
            | Self::DeniedUnknown
            | Self::ListRead
            | Self::ListBroken
            | Self::ListAbsent => false,
        }
    }

    /// Whether it was a sitemap or a page of a list.
    pub(super) fn is_list(self) -> bool {
        matches!(self, Self::ListRead | Self::ListBroken | Self::ListAbsent)
    }

    /// Whether it counts towards the share of errors.
    pub(super) fn is_error(self) -> bool {
        matches!(self, Self::Failed | Self::Blocked | Self::MovedAway)
    }

    /// What people are told.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Product => "with a product",
            Self::NoProduct => "without a product",
            Self::NotModified => "not modified",
            Self::Skipped => "skipped as unchanged by lastmod",
            Self::Gone => "gone",
            Self::SoftGone => "gone but answered with 200",
            Self::Denied => "forbidden by robots.txt",
            Self::DeniedUnknown => "not asked for because robots.txt was unreachable",
            Self::MovedAway => "moved away from the shop",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
            Self::ListRead => "list(s) read",
            Self::ListBroken => "list(s) broken off",
            Self::ListAbsent => "guessed sitemap(s) not there",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_back_as_what_they_were() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of_code(kind.code()), Some(kind));
        }
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::of_code(outcome.code()), Some(outcome));
        }
        assert_eq!(Kind::of_code(200), None);
        assert_eq!(Outcome::of_code(200), None);
    }
}

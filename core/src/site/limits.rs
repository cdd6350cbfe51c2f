//! The bounds of one crawl.

use serde::{Deserialize, Serialize};

use super::check::Findings;

/// Bytes of a page that are read at most; the extractor's own bound. The
/// largest product pages seen are 2 MiB.
pub const PAGE_BYTES_MAX: u64 = 8 << 20;

/// What one run may cost. A run that reaches a bound is incomplete: what it
/// saw counts, and nothing is delisted for not having been seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SiteLimits {
    /// Pages that one run asks for, sitemaps and listings included. At ten a
    /// second, the default rate, more take longer than five hours. Default
    /// 200,000, bound 1 to 20,000,000.
    pub pages_max: u64,
    /// Bytes of a page after decompression; a longer one is an error. Default
    /// and most 8 MiB, at least 1 KiB.
    pub page_bytes_max: u64,
    /// Seconds that a run may work, all deliveries of its job together; rests
    /// that the shop asks for count, pauses, maintenance and the wait for
    /// off-peak hours do not. Default 72,000 (20 hours), so that a daily run
    /// ends before the next one is due; bound 1 to 604,800 (a week).
    pub whole_s: u64,
    /// Share of the pages asked for that may fail before the run is
    /// incomplete, 404 and 410 not counted; default 0.05, bound 0 to 1.
    pub max_error_share: f64,
    /// Sitemap files of one run; default 5,000, bound 1 to 50,000, which is
    /// what one index may name.
    pub sitemap_files_max: u64,
    /// Bytes of one sitemap after decompression. The protocol allows 50 MB;
    /// default 256 MiB, bound 1 KiB to 4 GiB.
    pub sitemap_bytes_max: u64,
    /// URLs of one sitemap. The protocol allows 50,000; default 1,000,000,
    /// bound 1 to 20,000,000.
    pub sitemap_urls_max: u64,
    /// Pages of one category or JSON endpoint, where it does not say another
    /// number; default 1,000, bound 1 to 100,000.
    pub listing_pages_max: u64,
    /// Links to one path with different queries that are followed; filters and
    /// calendars make endless ones. Not for URLs that `links.products` matches
    /// or that a sitemap or listing names. Default 10,000, bound 1 to
    /// 1,000,000.
    pub urls_per_path_max: u64,
}

impl Default for SiteLimits {
    fn default() -> Self {
        Self {
            pages_max: 200_000,
            page_bytes_max: PAGE_BYTES_MAX,
            whole_s: 72_000,
            max_error_share: 0.05,
            sitemap_files_max: 5_000,
            sitemap_bytes_max: 256 << 20,
            sitemap_urls_max: 1_000_000,
            listing_pages_max: 1_000,
            urls_per_path_max: 10_000,
        }
    }
}

impl SiteLimits {
    pub(super) fn problems(&self, found: &mut Findings) {
        let share = self.max_error_share;
        found.within("limits.pages_max", self.pages_max, 1, 20_000_000);
        found.within(
            "limits.page_bytes_max",
            self.page_bytes_max,
            1 << 10,
            PAGE_BYTES_MAX,
        );
        found.within("limits.whole_s", self.whole_s, 1, 604_800);
        found.unless(
            (0.0..=1.0).contains(&share),
            "limits.max_error_share",
            &share,
            "a share from 0 to 1",
        );
        found.within(
            "limits.sitemap_files_max",
            self.sitemap_files_max,
            1,
            50_000,
        );
        found.within(
            "limits.sitemap_bytes_max",
            self.sitemap_bytes_max,
            1 << 10,
            4 << 30,
        );
        found.within(
            "limits.sitemap_urls_max",
            self.sitemap_urls_max,
            1,
            20_000_000,
        );
        found.within(
            "limits.listing_pages_max",
            self.listing_pages_max,
            1,
            100_000,
        );
        found.within(
            "limits.urls_per_path_max",
            self.urls_per_path_max,
            1,
            1_000_000,
        );
    }
}

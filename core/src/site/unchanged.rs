//! When a page counts as unchanged without being read.

use serde::{Deserialize, Serialize};

use super::check::Findings;

/// Which pages the shop need not be asked for. What it answers with "not
/// modified" is unchanged anyway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UnchangedOptions {
    /// `"trust"` (default): a page whose `lastmod` in the sitemap is the same
    /// as last time is not asked for. `"ignore"` for shops that change prices
    /// without changing it.
    pub lastmod: LastmodTrust,
    /// Every page is really read at least every so many days, whatever it says
    /// of itself, pages spread over the days; 0 reads every page in every run.
    /// Default 7, bound 0 to 365.
    pub recheck_days: u32,
}

/// What a sitemap's `lastmod` is worth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastmodTrust {
    #[default]
    Trust,
    Ignore,
}

impl Default for UnchangedOptions {
    fn default() -> Self {
        Self {
            lastmod: LastmodTrust::Trust,
            recheck_days: 7,
        }
    }
}

impl UnchangedOptions {
    pub(super) fn problems(&self, found: &mut Findings) {
        let days = u64::from(self.recheck_days);
        found.within("unchanged.recheck_days", days, 0, 365);
    }
}

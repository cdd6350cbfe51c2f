//! `[queue]`: where jobs wait.

use std::time::Duration;

use serde::Deserialize;

use super::load::Bounds;

/// Which queue there is. The local one is a file below the store's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum QueueKind {
    Local,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct QueueConfig {
    /// `"local"` is the only kind so far.
    pub(crate) kind: QueueKind,
    /// Seconds a crawl job stays hidden before it is taken for lost; renewed
    /// at half. Default 300, bound 10 to 43200.
    pub(crate) crawl_visibility_s: u64,
    /// The same for image jobs. Default 120, bound 10 to 43200.
    pub(crate) image_visibility_s: u64,
    /// Deliveries before a message lands in the backstop dead-letter queue.
    /// Default 1000: attempts and crashes are bounded by `[retry]` long
    /// before. Bound 100 to 1000.
    pub(crate) receives_max: u32,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            kind: QueueKind::Local,
            crawl_visibility_s: 300,
            image_visibility_s: 120,
            receives_max: 1000,
        }
    }
}

impl QueueConfig {
    pub(crate) fn crawl_visibility(&self) -> Duration {
        Duration::from_secs(self.crawl_visibility_s)
    }

    pub(crate) fn image_visibility(&self) -> Duration {
        Duration::from_secs(self.image_visibility_s)
    }

    pub(crate) fn check(&self, bounds: &mut Bounds) {
        bounds.within(
            "queue.crawl_visibility_s",
            self.crawl_visibility_s,
            10,
            43_200,
        );
        bounds.within(
            "queue.image_visibility_s",
            self.image_visibility_s,
            10,
            43_200,
        );
        bounds.within(
            "queue.receives_max",
            u64::from(self.receives_max),
            100,
            1000,
        );
    }
}

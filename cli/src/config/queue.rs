//! `[queue]`: where jobs wait.

use std::time::Duration;

use serde::Deserialize;
use trawler_core::{Environment, QueueName};

use super::check::Bounds;

/// Which queue there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum QueueKind {
    /// A file below the store's folder.
    Local,
    /// FIFO queues of SQS.
    Sqs,
}

impl QueueKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Sqs => "sqs",
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct QueueConfig {
    /// `"local"`, the default, or `"sqs"`.
    pub(crate) kind: QueueKind,
    /// Name or URL of the crawl queue on SQS. Default
    /// `{environment}-crawl.fifo`.
    pub(crate) crawl: Option<String>,
    /// Name or URL of the image queue on SQS. Default
    /// `{environment}-image.fifo`.
    pub(crate) image: Option<String>,
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
            crawl: None,
            image: None,
            crawl_visibility_s: 300,
            image_visibility_s: 120,
            receives_max: 1000,
        }
    }
}

impl QueueConfig {
    pub(crate) fn visibility(&self, queue: QueueName) -> Duration {
        Duration::from_secs(match queue {
            QueueName::Crawl => self.crawl_visibility_s,
            QueueName::Image => self.image_visibility_s,
        })
    }

    /// Name or URL of a queue on SQS.
    pub(crate) fn on_sqs(&self, queue: QueueName, environment: &Environment) -> String {
        let given = match queue {
            QueueName::Crawl => &self.crawl,
            QueueName::Image => &self.image,
        };
        given
            .clone()
            .unwrap_or_else(|| format!("{environment}-{queue}.fifo"))
    }

    pub(crate) fn check(&self, bounds: &mut Bounds) {
        for (key, seconds) in [
            ("queue.crawl_visibility_s", self.crawl_visibility_s),
            ("queue.image_visibility_s", self.image_visibility_s),
        ] {
            bounds.within(key, seconds, 10, 43_200);
        }
        bounds.within(
            "queue.receives_max",
            u64::from(self.receives_max),
            100,
            1000,
        );
        for (key, name) in [("queue.crawl", &self.crawl), ("queue.image", &self.image)] {
            let Some(name) = name else { continue };
            bounds.unless(
                self.kind == QueueKind::Sqs,
                key,
                name,
                "no name where queue.kind = \"local\"",
            );
            bounds.unless(
                name.ends_with(".fifo"),
                key,
                name,
                "the name or URL of a FIFO queue, which ends with .fifo",
            );
        }
        let same = self.crawl.is_some() && self.crawl == self.image;
        bounds.unless(
            !same,
            "queue.image",
            &self.image.as_deref().unwrap_or_default(),
            "another queue than queue.crawl",
        );
    }
}

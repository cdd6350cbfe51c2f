//! `[workers]` and `[scheduler]`: how much is done at once, and how often.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::check::Bounds;
use super::queue::QueueKind;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WorkersConfig {
    /// Pipes collected at once. Default 2, bound 1 to 64.
    pub(crate) crawl_slots: usize,
    /// Image jobs worked on at once. Default 4, bound 1 to 64.
    pub(crate) image_slots: usize,
    /// Images of one job fetched at once, within the pipe's rate and
    /// concurrency. Default 8, bound 1 to 64.
    pub(crate) image_fetches: usize,
    /// Threads that decode, resize and encode. Default 0: as many as there
    /// are cores; bound 256.
    pub(crate) image_threads: usize,
    /// Long poll of a queue, in seconds. Default 2 with the local queue, where
    /// a poll costs nothing, and 15 with SQS, where it does and where a worker
    /// that is told to leave waits for its last one; bound 1 to 20.
    pub(crate) poll_s: Option<u64>,
    /// Seconds between two checkpoints of a site crawl: a killed worker does so
    /// much again. Default 30, bound 1 to 60.
    pub(crate) checkpoint_s: u64,
    /// Headless Chromium at once, for pipes with `site.render = "chromium"`;
    /// each has one page and takes up to 1 GiB. Default 2, bound 1 to 16.
    pub(crate) browsers: usize,
    /// The program; default the first of `chromium`, `chromium-browser`,
    /// `google-chrome` and `google-chrome-stable` in `PATH`.
    pub(crate) chromium: Option<PathBuf>,
}

impl Default for WorkersConfig {
    fn default() -> Self {
        Self {
            crawl_slots: 2,
            image_slots: 4,
            image_fetches: 8,
            image_threads: 0,
            poll_s: None,
            checkpoint_s: 30,
            browsers: 2,
            chromium: None,
        }
    }
}

impl WorkersConfig {
    pub(crate) fn poll(&self, kind: QueueKind) -> Duration {
        Duration::from_secs(self.poll_s.unwrap_or(match kind {
            QueueKind::Local => 2,
            QueueKind::Sqs => 15,
        }))
    }

    pub(crate) fn check(&self, bounds: &mut Bounds) {
        bounds.within("workers.crawl_slots", self.crawl_slots as u64, 1, 64);
        bounds.within("workers.image_slots", self.image_slots as u64, 1, 64);
        bounds.within("workers.image_fetches", self.image_fetches as u64, 1, 64);
        bounds.within("workers.image_threads", self.image_threads as u64, 0, 256);
        bounds.within("workers.browsers", self.browsers as u64, 1, 16);
        bounds.within("workers.checkpoint_s", self.checkpoint_s, 1, 60);
        bounds.within("workers.poll_s", self.poll_s.unwrap_or(1), 1, 20);
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SchedulerConfig {
    /// Milliseconds between two looks at what is due. Default 1000 with the
    /// local queue and 60000 with SQS, where looking costs requests; bound 50
    /// to 60000.
    pub(crate) tick_ms: Option<u64>,
    /// Seconds that image results of an unfinished set may wait before they
    /// are folded into the catalogue. Default 7200, bound 1 to 86400.
    pub(crate) fold_after_s: u64,
    /// Days that the records of jobs that ended, and the documents of settled
    /// manifests, are kept. Image results go as soon as they are all in the
    /// catalogue. Default 7, bound 1 to 365.
    pub(crate) settled_days: u32,
    /// Seconds that `run --once` waits for jobs that are parked until later
    /// (a partner's Retry-After, a back-off) before it leaves them for the
    /// next run and says so. Default 300, bound 0 to 86400.
    pub(crate) once_wait_s: u64,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            tick_ms: None,
            fold_after_s: 7200,
            settled_days: 7,
            once_wait_s: 300,
        }
    }
}

impl SchedulerConfig {
    pub(crate) fn tick(&self, kind: QueueKind) -> Duration {
        Duration::from_millis(self.tick_ms.unwrap_or(match kind {
            QueueKind::Local => 1_000,
            QueueKind::Sqs => 60_000,
        }))
    }

    pub(crate) fn check(&self, bounds: &mut Bounds) {
        bounds.within("scheduler.tick_ms", self.tick_ms.unwrap_or(50), 50, 60_000);
        bounds.within("scheduler.fold_after_s", self.fold_after_s, 1, 86_400);
        bounds.within(
            "scheduler.settled_days",
            u64::from(self.settled_days),
            1,
            365,
        );
        bounds.within("scheduler.once_wait_s", self.once_wait_s, 0, 86_400);
    }
}

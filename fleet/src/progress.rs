//! How far the jobs in hand are, for people who watch: the latest value of
//! each job, so that a slow watcher holds up nobody.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use trawler_core::{JobId, PipeId};

/// Where one job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    pub job: JobId,
    pub pipe: PipeId,
    /// What is being done, such as `download` or `images`.
    pub what: &'static str,
    pub done: u64,
    pub total: Option<u64>,
}

/// The latest progress of every job in hand; as many entries as there are
/// slots. Clones are the same board.
#[derive(Clone)]
pub struct ProgressBoard {
    jobs: Arc<Mutex<BTreeMap<JobId, Progress>>>,
    changes: Arc<watch::Sender<u64>>,
}

impl Default for ProgressBoard {
    fn default() -> Self {
        Self {
            jobs: Arc::default(),
            changes: Arc::new(watch::Sender::new(0)),
        }
    }
}

impl ProgressBoard {
    pub fn new() -> Self {
        Self::default()
    }

    /// The jobs in hand, in order of id.
    pub fn snapshot(&self) -> Vec<Progress> {
        self.jobs().values().cloned().collect()
    }

    /// Counts changes; wait for the next one with `changed`.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn show(&self, progress: Progress) {
        self.jobs().insert(progress.job.clone(), progress);
        self.changes.send_modify(|count| *count += 1);
    }

    pub(crate) fn remove(&self, job: &JobId) {
        self.jobs().remove(job);
        self.changes.send_modify(|count| *count += 1);
    }

    fn jobs(&self) -> MutexGuard<'_, BTreeMap<JobId, Progress>> {
        // Each statement leaves the map whole, also one that panicked.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Throws dead letters away. The job's record stays dead and says who did it,
//! so that nothing plans the job again.

use std::collections::VecDeque;

use tokio::task::JoinSet;
use trawler_core::ledger::{JobStatus, Purged};
use trawler_core::ports::Version;
use trawler_core::{JobId, QueueName};

use super::backup::Writer;
use super::redrive::CONCURRENCY;
use super::selection::{Found, Selection};
use super::{DeadLetters, Stopped, stop};
use crate::retry::joined;
use crate::{DocumentError, Drain, Jobs, JobsError};

/// What a purge did.
#[derive(Debug, Default)]
pub struct PurgeReport {
    pub backups: Vec<super::BackupEntry>,
    pub purged: u64,
    /// Letters that could not be read; they are as they were.
    pub unreadable: Vec<DocumentError>,
    pub stopped: Option<Stopped>,
    /// Letters that are left because of that.
    pub left: u64,
}

impl DeadLetters {
    /// Throws the letters that are meant away, after a backup if one is wanted.
    /// A paused fleet or queue, or the drain, ends it; again, it goes on.
    pub async fn purge(
        &self,
        selection: &Selection,
        by: &str,
        backup: Backup,
        drain: &Drain,
    ) -> Result<PurgeReport, JobsError> {
        let queues = selection.queues();
        let writer = match backup {
            Backup::First => Some(Writer::new(&self.jobs, "before a purge", by)),
            Backup::No => None,
        };
        let (letters, backups, unreadable) = self.gather(selection, writer, Thin::of).await?;
        let mut letters = VecDeque::from(letters);
        let mut report = PurgeReport {
            backups,
            unreadable,
            ..PurgeReport::default()
        };
        let mut purges: JoinSet<Result<(), JobsError>> = JoinSet::new();
        while report.stopped.is_none()
            && let Some(found) = letters.pop_front()
        {
            if purges.len() == CONCURRENCY
                && let Some(purged) = joined(purges.join_next().await)
            {
                purged?;
                report.purged += 1;
            }
            let (jobs, by) = (self.jobs.clone(), by.to_owned());
            purges.spawn(async move { purge_one(&jobs, &found, &by).await });
            report.stopped = stop(&self.pauses, drain, &queues).await?;
        }
        while let Some(purged) = joined(purges.join_next().await) {
            purged?;
            report.purged += 1;
        }
        report.left = letters.len() as u64;
        tracing::info!(
            by,
            purged = report.purged,
            "{by} purged {} dead letter(s)",
            report.purged
        );
        Ok(report)
    }
}

/// Whether letters are backed up before they are thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backup {
    First,
    No,
}

/// What a purge keeps in memory of a letter.
pub(super) struct Thin {
    queue: QueueName,
    /// `None` for a message that names no job.
    job: Option<JobId>,
    key: String,
    version: Version,
    body_at: Option<String>,
}

impl Thin {
    pub(super) fn of(found: Found) -> Self {
        let job = JobId::parse(&found.letter.job);
        Self {
            queue: found.letter.queue,
            job: job.ok().filter(|_| found.letter.is_job()),
            key: found.key,
            version: found.version,
            body_at: found.letter.body_at,
        }
    }
}

pub(super) async fn purge_one(jobs: &Jobs, letter: &Thin, by: &str) -> Result<(), JobsError> {
    if let Some(job) = &letter.job
        && jobs.find(letter.queue, job).await?.is_some()
    {
        let at = jobs.clock().now();
        let by = by.to_owned();
        jobs.transition("purge", letter.queue, job, |record| {
            if record.status == JobStatus::Dead && record.purged.is_none() {
                record.purged = Some(Purged { by: by.clone(), at });
            }
            Ok(())
        })
        .await?;
    }
    if let Some(key) = &letter.body_at {
        jobs.delete_body(key).await?;
    }
    jobs.documents
        .delete_at(&letter.key, &letter.version)
        .await?;
    tracing::debug!(letter = letter.key, by, "purged {}", letter.key);
    Ok(())
}

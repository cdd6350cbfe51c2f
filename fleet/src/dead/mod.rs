//! Dead letters: list, back up, redrive, purge. They are documents, so none of
//! this locks or reads a queue.
//!
//! Every step is idempotent and the letter goes last: who is stopped anywhere,
//! or dies, leaves letters by which the same command goes on and does nothing
//! twice. Tests: `a_hundred_thousand_letters_are_redriven_within_a_minute`,
//! `a_redrive_that_dies_anywhere_sends_each_job_once`.

mod backup;
mod coalesce;
mod item;
mod lanes;
mod message;
mod pace;
mod purge;
mod redrive;
mod selection;
mod step;

use std::io::Write;

use tokio::sync::mpsc;
use trawler_core::QueueName;
use trawler_core::dead::DeadLetter;
use trawler_core::ledger::{JobRecord, JobStatus};

pub use backup::BackupEntry;
pub use purge::{Backup, PurgeReport};
pub use redrive::{
    CONCURRENCY, Coalesced, REQUESTS_PER_S, RedriveBoard, RedriveFigures, RedriveOptions,
    RedriveReport, Refused, Stopped,
};
pub use selection::{Listed, Selection};

use crate::{DocumentError, Documents, Drain, Jobs, JobsError, Pauses, Ports, SendReport};
use selection::Found;

/// Backups that were written, and the letters that are in none.
#[derive(Debug, Default)]
pub struct BackedUp {
    pub backups: Vec<BackupEntry>,
    pub unreadable: Vec<DocumentError>,
}

/// What people do with dead letters.
#[derive(Clone)]
pub struct DeadLetters {
    jobs: Jobs,
    pauses: Pauses,
}

impl DeadLetters {
    pub fn new(ports: &Ports, pauses: &Pauses) -> Self {
        Self {
            jobs: ports.jobs(),
            pauses: pauses.clone(),
        }
    }

    /// The letters that are meant, in order of queue and name.
    pub async fn list(&self, selection: &Selection) -> Result<Listed, JobsError> {
        let (mut letters, unreadable) =
            selection::collect(self.documents(), selection, |found| found.letter).await?;
        letters.sort_by(|a, b| (a.queue, &a.job).cmp(&(b.queue, &b.job)));
        Ok(Listed {
            letters,
            unreadable,
        })
    }

    /// Writes the letters that are meant to blobs, a file a queue, whose names
    /// say when. `why` and `by` are kept with them.
    pub async fn backup(
        &self,
        selection: &Selection,
        why: &str,
        by: &str,
    ) -> Result<BackedUp, JobsError> {
        let writer = Some(backup::Writer::new(&self.jobs, why, by));
        let (_, backups, unreadable) = self.gather(selection, writer, |_| ()).await?;
        Ok(BackedUp {
            backups,
            unreadable,
        })
    }

    /// Reads the letters that are meant, into the backup, and keeps of each
    /// what `keep` makes of it.
    async fn gather<T>(
        &self,
        selection: &Selection,
        mut writer: Option<backup::Writer<'_>>,
        mut keep: impl FnMut(Found) -> T,
    ) -> Result<(Vec<T>, Vec<BackupEntry>, Vec<DocumentError>), JobsError> {
        let (to, mut found) = mpsc::channel::<Found>(selection::READS);
        let write = async {
            let mut kept = Vec::new();
            while let Some(found) = found.recv().await {
                if let Some(writer) = &mut writer {
                    writer.push(&found.letter).await?;
                }
                kept.push(keep(found));
            }
            // What is not read any more lets the reader end.
            drop(found);
            let backups = match writer {
                Some(writer) => writer.finish().await?,
                None => Vec::new(),
            };
            Ok::<_, JobsError>((kept, backups))
        };
        let read = selection::read(self.documents(), selection, to);
        let (read, written) = tokio::join!(read, write);
        let (kept, backups) = written?;
        Ok((kept, backups, read?))
    }

    /// Every backup, the oldest first.
    pub async fn backups(&self) -> Result<Vec<BackupEntry>, JobsError> {
        backup::list(&self.jobs.documents).await
    }

    /// Writes a backup out as one CSV file.
    pub async fn write_backup(
        &self,
        entry: &BackupEntry,
        out: &mut (dyn Write + Send),
    ) -> Result<(), JobsError> {
        backup::write_out(&self.jobs, entry, out).await
    }

    fn documents(&self) -> &Documents {
        &self.jobs.documents
    }
}

impl Jobs {
    /// The dead letters of a queue, in order of name.
    pub async fn dead_letters(&self, queue: QueueName) -> Result<Vec<DeadLetter>, JobsError> {
        let letters = self
            .documents
            .load::<DeadLetter>(&DeadLetter::prefix(queue), usize::MAX)
            .await?;
        Ok(letters
            .into_iter()
            .map(|letter| (*letter).clone())
            .collect())
    }

    /// Sends one dead job again, without a backup and whatever came after it:
    /// under a new dedup id, in its old group, with its counts cleared.
    pub async fn redrive(&self, queue: QueueName, name: &str) -> Result<SendReport, JobsError> {
        let found = selection::find(&self.documents, queue, name).await?;
        let Some(found) = found else {
            return Err(absent("redrive", queue, name));
        };
        let item = item::Item::of(found).map_err(|name| JobsError::NotAJob { name })?;
        let mut report = SendReport::default();
        match step::prepare(self, &item).await? {
            step::Prepared::Send(message) => {
                let unsent = step::send(self, queue, std::slice::from_ref(&message)).await?;
                if let Some((_, error)) = unsent.into_iter().next() {
                    step::take_back(self, &item, &error).await?;
                    return Err(error.into());
                }
                report.sent = 1;
            }
            step::Prepared::Superseded(note) | step::Prepared::Settled(note) => {
                tracing::info!(job = name, "{name} is not sent: {note}");
            }
        }
        step::finish(self, &item).await?;
        tracing::info!(%queue, job = name, "redriven {name}");
        Ok(report)
    }

    /// Throws one dead letter away for ever, without a backup.
    pub async fn purge(&self, queue: QueueName, name: &str) -> Result<(), JobsError> {
        match selection::find(&self.documents, queue, name).await? {
            Some(found) => {
                let thin = purge::Thin::of(found);
                purge::purge_one(self, &thin, "nobody that is known").await
            }
            None => Err(absent("purge", queue, name)),
        }
    }

    /// Whether a dead job was purged and needs no dead letter.
    pub fn is_purged(record: &JobRecord) -> bool {
        record.status == JobStatus::Dead && record.purged.is_some()
    }

    /// Parked jobs that wait for this reason become due now, so that the next
    /// tick sends them; says how many. For a maintenance window that is off,
    /// and that no worker knows any more ([`Maintenance::FORGOTTEN_AFTER`]): one
    /// that still did would park its jobs until the end of it. Test:
    /// `what_people_ask_for_reaches_a_fleet_that_works`.
    ///
    /// [`Maintenance::FORGOTTEN_AFTER`]: crate::Maintenance::FORGOTTEN_AFTER
    pub async fn wake(&self, reason_begins: &str) -> Result<u64, JobsError> {
        let now = self.clock().now();
        let mut woken = 0;
        for queue in QueueName::ALL {
            let survey = self.survey(queue).await?;
            for at in survey.jobs {
                let waits = |record: &JobRecord| {
                    record.status == JobStatus::Parked && record.reason.starts_with(reason_begins)
                };
                if !waits(&at.document) {
                    continue;
                }
                let job = &at.document.job;
                self.transition("wake", queue, job, |record| {
                    if waits(record) {
                        record.due = Some(now);
                    }
                    Ok(())
                })
                .await?;
                woken += 1;
            }
        }
        Ok(woken)
    }
}

fn absent(verb: &'static str, queue: QueueName, name: &str) -> JobsError {
    JobsError::Absent {
        verb,
        queue,
        job: name.to_owned(),
    }
}

/// What ends a redrive or a purge early.
async fn stop(
    pauses: &Pauses,
    drain: &Drain,
    queues: &[QueueName],
) -> Result<Option<Stopped>, JobsError> {
    if drain.requested() {
        return Ok(Some(Stopped::Drain));
    }
    for queue in queues {
        let scopes = trawler_core::pause::PauseScope::of_queue(*queue);
        if let Some(scope) = pauses.which(scopes).await? {
            return Ok(Some(Stopped::Paused(scope.to_string())));
        }
    }
    Ok(None)
}

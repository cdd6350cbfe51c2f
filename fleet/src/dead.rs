//! Dead letters: list, redrive, purge, backup. They are documents, so none of
//! this locks or reads a queue.

use std::io::Write;

use trawler_core::dead::DeadLetter;
use trawler_core::job::CrawlJob;
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::run::{Run, RunPhase};
use trawler_core::{JobId, QueueName};

use crate::{Jobs, JobsError, SendReport};

/// How a purged job's reason begins; it stays dead and has no document.
pub(crate) const PURGED: &str = "purged: ";

impl Jobs {
    /// The dead letters of a queue, in order of name.
    pub async fn dead_letters(&self, queue: QueueName) -> Result<Vec<DeadLetter>, JobsError> {
        let prefix = format!("dead/{queue}/");
        let letters = self
            .documents
            .load::<DeadLetter>(&prefix, usize::MAX)
            .await?;
        Ok(letters
            .into_iter()
            .map(|letter| (*letter).clone())
            .collect())
    }

    /// Opens a dead job again and sends it under a new dedup id, in its old
    /// group, with its counts cleared. The document goes last, so that a crash
    /// on the way leaves something to redrive.
    pub async fn redrive(&self, queue: QueueName, name: &str) -> Result<SendReport, JobsError> {
        let key = DeadLetter::key(queue, name);
        let letter = self.documents.get_versioned::<DeadLetter>(&key).await?;
        let job = JobId::parse(name).map_err(|_| absent("redrive", queue, name))?;
        let Some(found) = self.find(queue, &job).await? else {
            return Err(match letter {
                Some(_) => JobsError::NotAJob {
                    name: name.to_owned(),
                },
                None => absent("redrive", queue, name),
            });
        };
        let record = self.reopen(found).await?;
        if let Ok(CrawlJob::Collect { run }) = CrawlJob::decode(&record.body)
            && queue == QueueName::Crawl
        {
            self.reopen_run(&Run::key(&run)).await?;
        }
        let report = if record.needs_send() {
            self.send(&[record]).await?
        } else {
            SendReport::default()
        };
        if let Some((_, version)) = letter {
            // At another version it was buried anew meanwhile and stays.
            self.documents.delete_at(&key, &version).await?;
        }
        tracing::info!(%queue, job = name, "redriven {name}");
        Ok(report)
    }

    /// A redrive that died after this step finds the job open and goes on.
    async fn reopen(&self, found: JobRecord) -> Result<JobRecord, JobsError> {
        if found.in_hand {
            return Err(JobsError::InHand {
                verb: "redrive",
                job: found.job,
            });
        }
        if found.status == JobStatus::Open {
            return Ok(found);
        }
        self.transition("redrive", found.queue, &found.job, JobRecord::redrive)
            .await
    }

    async fn reopen_run(&self, key: &str) -> Result<(), JobsError> {
        self.documents
            .change(key, |run: &mut Run| {
                if run.phase == RunPhase::Failed {
                    run.phase = RunPhase::Planned;
                    run.finished = None;
                    run.reason.clear();
                }
            })
            .await?;
        Ok(())
    }

    /// Removes the dead letter for ever. The job's record stays dead, so that
    /// nothing plans the job again.
    pub async fn purge(&self, queue: QueueName, name: &str) -> Result<(), JobsError> {
        let key = DeadLetter::key(queue, name);
        let letter = self.documents.get_versioned::<DeadLetter>(&key).await?;
        let Some((_, version)) = letter else {
            return Err(absent("purge", queue, name));
        };
        if let Ok(job) = JobId::parse(name)
            && self.find(queue, &job).await?.is_some()
        {
            self.transition("purge", queue, &job, |record| {
                if record.status == JobStatus::Dead && !record.reason.starts_with(PURGED) {
                    record.reason.insert_str(0, PURGED);
                }
                Ok(())
            })
            .await?;
        }
        self.documents.delete_at(&key, &version).await?;
        tracing::info!(%queue, job = name, "purged {name}");
        Ok(())
    }

    /// Writes all dead letters of the queue as CSV with a header; says how many.
    pub async fn backup(
        &self,
        queue: QueueName,
        out: &mut (dyn Write + Send),
    ) -> Result<u64, JobsError> {
        let letters = self.dead_letters(queue).await?;
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record([
            "job", "queue", "pipe", "group", "reason", "attempts", "crashes", "buried", "body",
        ])
        .map_err(JobsError::Backup)?;
        for letter in &letters {
            csv.write_record([
                letter.job.as_str(),
                letter.queue.as_str(),
                letter.pipe.as_ref().map_or("", |pipe| pipe.as_str()),
                &letter.group,
                &letter.reason,
                &letter.attempts.to_string(),
                &letter.crashes.to_string(),
                &letter.buried.to_rfc3339(),
                &letter.body,
            ])
            .map_err(JobsError::Backup)?;
        }
        csv.flush()
            .map_err(|error| JobsError::Backup(error.into()))?;
        Ok(letters.len() as u64)
    }

    /// Whether a dead job was purged and needs no dead letter.
    pub fn is_purged(record: &JobRecord) -> bool {
        record.status == JobStatus::Dead && record.reason.starts_with(PURGED)
    }
}

fn absent(verb: &'static str, queue: QueueName, name: &str) -> JobsError {
    JobsError::Absent {
        verb,
        queue,
        job: name.to_owned(),
    }
}

//! Messages that the queue itself gave up, or that a worker buried there
//! because it could do nothing better: they become dead-letter documents.

use trawler_core::QueueName;
use trawler_core::dead::DeadLetter;
use trawler_core::image::ImageStatus;
use trawler_core::image_ended::EndedImages;
use trawler_core::job::ImageJob;
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::manifest::ImageResult;
use trawler_core::ports::Lease;
use trawler_fleet::{Brief, DocumentError, Jobs, JobsError, manifests};

use crate::error::SchedulerError;
use crate::tick::{Scheduler, TickReport};

/// Messages taken from a backstop dead-letter queue in one tick.
const SWEEP_MAX: usize = 1_000;

const SWEEP_BATCH: usize = 10;

const GIVEN_UP: &str = "the queue gave the message up after too many deliveries";

impl Scheduler {
    /// A queue or a message that cannot be swept is told, and holds up nothing
    /// else.
    pub(crate) async fn sweep_dead(&self, report: &mut TickReport) {
        for name in QueueName::ALL {
            if let Err(error) = self.sweep(name, report).await {
                report.tell(&error);
            }
        }
    }

    async fn sweep(&self, name: QueueName, report: &mut TickReport) -> Result<(), SchedulerError> {
        let queue = self.ports.queue(name);
        let mut looked_at = 0;
        while looked_at < SWEEP_MAX {
            let leases = queue.receive_dead(SWEEP_BATCH).await;
            let leases = leases.map_err(|source| SchedulerError::Sweep {
                queue: name,
                source,
            })?;
            if leases.is_empty() {
                break;
            }
            looked_at += leases.len();
            for lease in leases {
                if let Err(error) = self.bury_swept(name, &lease).await {
                    report.tell(&error);
                    continue;
                }
                queue.ack_dead(lease).await.map_err(|source| {
                    let queue = name;
                    SchedulerError::Sweep { queue, source }
                })?;
                report.dead_swept += 1;
            }
        }
        Ok(())
    }

    async fn bury_swept(&self, queue: QueueName, lease: &Lease) -> Result<(), SchedulerError> {
        let reason = match &lease.buried {
            Some(reason) => format!("buried in the queue: {reason}"),
            None => GIVEN_UP.to_owned(),
        };
        let job = Jobs::job_of(&lease.dedup_id);
        let record = match &job {
            Some(job) => self.jobs.find(queue, job).await?,
            None => None,
        };
        match (record, job) {
            (Some(record), _) => self.bury_record(record, &reason).await,
            // Settled, and its record taken away.
            (None, Some(job)) if self.jobs.settled_as(queue, &job).await?.is_some() => Ok(()),
            (None, _) => {
                self.jobs.keep_message(queue, lease, &reason).await?;
                Ok(())
            }
        }
    }

    async fn bury_record(&self, mut record: JobRecord, reason: &str) -> Result<(), SchedulerError> {
        if record.status != JobStatus::Open {
            // Settled or parked meanwhile: the message was only a hint.
            return Ok(());
        }
        let (queue, job, now) = (record.queue, record.job.clone(), self.now());
        if queue == QueueName::Image {
            self.put_given_up(&record, reason).await?;
        }
        let brief = Brief::of(&record, &self.pipes).await;
        // The letter tells what the record will.
        let buried = |record: &mut JobRecord| record.bury_unseen(reason, now);
        buried(&mut record).map_err(JobsError::from)?;
        let letter = DeadLetter::of_job(&record, reason, brief.input, now);
        // One of an earlier burial would tell the wrong reason.
        let key = DeadLetter::key(queue, &letter.job);
        self.documents.put(&key, &letter).await?;
        match self.jobs.transition("bury", queue, &job, buried).await {
            Ok(_) | Err(JobsError::Ledger(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Buried image jobs have a result too, or their manifest never settles.
    /// What a delivery had finished stays finished. A body that cannot be read
    /// has no images to speak for.
    async fn put_given_up(&self, record: &JobRecord, reason: &str) -> Result<(), SchedulerError> {
        let Ok(job) = ImageJob::decode(&record.body) else {
            return Ok(());
        };
        let ended: EndedImages = match self.jobs.checkpoint(record.queue, &record.job).await {
            Ok(ended) => ended.unwrap_or_default(),
            Err(DocumentError::Unreadable { .. }) => EndedImages::default(),
            Err(error) => return Err(error.into()),
        };
        let result = ImageResult {
            job: record.job.clone(),
            run: job.run.clone(),
            tried: self.now(),
            outcomes: ended.given_up(&job.images, ImageStatus::Unreachable, reason),
        };
        manifests::put_result(&self.ports, &result).await?;
        Ok(())
    }
}

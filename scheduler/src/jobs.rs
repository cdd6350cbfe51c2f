//! Jobs that have to go into the queue (again): never sent, parked and due,
//! resumed, lost. And messages that the queue itself gave up.

use trawler_core::QueueName;
use trawler_core::dead::DeadLetter;
use trawler_core::image::{ImageOutcome, ImageStatus};
use trawler_core::job::ImageJob;
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::manifest::ImageResult;
use trawler_core::ports::Lease;
use trawler_fleet::{Jobs, JobsError, manifests};

use crate::error::SchedulerError;
use crate::tick::{Scheduler, TickReport};

/// Messages taken from a backstop dead-letter queue in one tick.
const SWEEP_MAX: usize = 1_000;

const SWEEP_BATCH: usize = 10;

const GIVEN_UP: &str = "the queue gave the message up after too many deliveries";

impl Scheduler {
    pub(crate) async fn move_jobs(&self, report: &mut TickReport) -> Result<(), SchedulerError> {
        let now = self.now();
        for queue in QueueName::ALL {
            let mut unsent = Vec::new();
            let listed = self.jobs.list_readable(queue).await?;
            for error in listed.unreadable {
                report.keep(error)?;
            }
            for record in listed.documents {
                if record.needs_send() {
                    unsent.push((*record).clone());
                } else if record.is_lost(now, self.options.unseen_max) {
                    let resent = self
                        .jobs
                        .resend_lost(queue, &record.job, self.options.unseen_max)
                        .await?;
                    report.jobs_resent += resent.sent as u64;
                } else if record.status == JobStatus::Parked {
                    let paused = self.pauses.is_paused(queue, &record.pipe).await?;
                    if record.is_due(now, paused) {
                        report.jobs_unparked += self.unpark(&record).await?;
                    }
                }
            }
            report.jobs_sent += self.jobs.send(&unsent).await?.sent as u64;
        }
        Ok(())
    }

    async fn unpark(&self, record: &JobRecord) -> Result<u64, SchedulerError> {
        match self.jobs.unpark(record.queue, &record.job).await {
            Ok(sent) => Ok(sent.sent as u64),
            // Another scheduler was faster.
            Err(JobsError::Ledger(_)) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Turns what lies in the backstop dead-letter queues into dead-letter
    /// documents.
    pub(crate) async fn sweep_dead(&self, report: &mut TickReport) -> Result<(), SchedulerError> {
        for name in QueueName::ALL {
            let queue = self.ports.queue(name);
            let mut swept = 0;
            while swept < SWEEP_MAX {
                let leases = queue.receive_dead(SWEEP_BATCH).await?;
                if leases.is_empty() {
                    break;
                }
                for lease in leases {
                    self.bury_swept(name, &lease).await?;
                    queue.ack_dead(lease).await?;
                    swept += 1;
                    report.dead_swept += 1;
                }
            }
        }
        Ok(())
    }

    async fn bury_swept(&self, queue: QueueName, lease: &Lease) -> Result<(), SchedulerError> {
        let record = match Jobs::job_of(&lease.dedup_id) {
            Some(job) => self.jobs.find(queue, &job).await?,
            None => None,
        };
        let now = self.now();
        let letter = DeadLetter {
            job: record.as_ref().map_or_else(
                || format!("message-{}", lease.message_id),
                |record| record.job.to_string(),
            ),
            queue,
            pipe: record.as_ref().map(|record| record.pipe.clone()),
            group: lease.group.clone(),
            body: lease.body.clone(),
            reason: GIVEN_UP.to_owned(),
            attempts: record.as_ref().map_or(0, |record| record.attempts),
            crashes: record.as_ref().map_or(0, |record| record.crashes),
            buried: now,
        };
        if let Some(record) = &record {
            if record.status != JobStatus::Open {
                // Settled or parked meanwhile: the message was only a hint.
                return Ok(());
            }
            if queue == QueueName::Image {
                self.put_unreachable(record).await?;
            }
            // A letter of an earlier burial would tell the wrong reason.
            self.documents
                .put(&DeadLetter::key(queue, &letter.job), &letter)
                .await?;
            let buried = self.jobs.transition("bury", queue, &record.job, |record| {
                record.bury_unseen(GIVEN_UP, now)
            });
            return match buried.await {
                Ok(_) | Err(JobsError::Ledger(_)) => Ok(()),
                Err(error) => Err(error.into()),
            };
        }
        self.documents
            .create(&DeadLetter::key(queue, &letter.job), &letter)
            .await?;
        Ok(())
    }

    /// Buried image jobs have a result too, or their manifest never settles. A
    /// body that cannot be read has no images to speak for.
    async fn put_unreachable(&self, record: &JobRecord) -> Result<(), SchedulerError> {
        let Ok(job) = ImageJob::decode(&record.body) else {
            return Ok(());
        };
        let outcomes = job.images.iter().map(|image| ImageOutcome {
            product_id: image.product_id.clone(),
            url: image.url.clone(),
            status: ImageStatus::Unreachable,
            reason: GIVEN_UP.to_owned(),
            source: None,
            known: image.known.clone(),
            variants: Vec::new(),
        });
        let result = ImageResult {
            job: record.job.clone(),
            run: job.run.clone(),
            tried: self.now(),
            outcomes: outcomes.collect(),
        };
        manifests::put_result(&self.ports, &result).await?;
        Ok(())
    }
}

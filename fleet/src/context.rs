//! What a handler may ask while it works on a job.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use trawler_core::drain::PAUSE_CACHE;
use trawler_core::job_log::JobLog;
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::maintenance::after_window;
use trawler_core::ports::Clock;
use trawler_core::verdict::Ending;
use trawler_core::{JobId, PipeId, QueueName};

use crate::handler::Brief;
use crate::hold::{Hold, Interrupt};
use crate::{
    CheckpointError, DocumentError, Documents, Drain, Pauses, Ports, Progress, ProgressBoard,
    TakenJob, checkpoint,
};

/// For async code and, cloned, for blocking threads.
#[derive(Clone)]
pub struct JobContext {
    inner: Arc<Inner>,
}

struct Inner {
    job: JobId,
    queue: QueueName,
    pipe: PipeId,
    epoch: u64,
    group: String,
    brief: Brief,
    hold: Arc<Hold>,
    pauses: Pauses,
    documents: Documents,
    clock: Arc<dyn Clock>,
    board: ProgressBoard,
    has_checkpoint: AtomicBool,
    said: Mutex<Said>,
}

/// What the delivery said so far.
#[derive(Default)]
struct Said {
    log: JobLog,
    progress: Option<Progress>,
}

impl JobContext {
    pub(crate) fn new(
        taken: &TakenJob,
        brief: Brief,
        hold: Arc<Hold>,
        pauses: &Pauses,
        documents: &Documents,
        board: &ProgressBoard,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                job: taken.record.job.clone(),
                queue: taken.record.queue,
                pipe: taken.record.pipe.clone(),
                epoch: taken.epoch,
                group: taken.record.group.clone(),
                brief,
                clock: Arc::clone(hold.clock()),
                hold,
                pauses: pauses.clone(),
                documents: documents.clone(),
                board: board.clone(),
                has_checkpoint: AtomicBool::new(false),
                said: Mutex::default(),
            }),
        }
    }

    /// A context without a message, for handlers under test: the record has to
    /// be in State for [`JobContext::still_mine`], and no lease can be lost.
    pub fn unleased(ports: &Ports, taken: &TakenJob, drain: &Drain) -> Self {
        let hold = Hold::unleased(Arc::clone(&ports.clock), drain);
        let pauses = Pauses::new(ports);
        Self::new(
            taken,
            Brief::default(),
            Arc::new(hold),
            &pauses,
            &ports.documents(),
            &ProgressBoard::new(),
        )
    }

    pub fn job(&self) -> &JobId {
        &self.inner.job
    }

    pub fn epoch(&self) -> u64 {
        self.inner.epoch
    }

    /// Asked between every two steps (a step is at most 5 s, 1,000 rows or
    /// 8 MiB): the error is what the handler has to return, at once.
    pub async fn step(&self) -> Result<(), Ending> {
        let inner = &*self.inner;
        if let Some(interrupt) = inner.hold.interrupted() {
            return Err(interrupt.ending());
        }
        match inner.pauses.is_paused(inner.queue, &inner.pipe).await {
            Ok(paused) => {
                inner.hold.set_paused(paused);
                if paused {
                    return Err(Ending::Paused);
                }
                self.look_for_maintenance().await;
            }
            // A flag that cannot be looked up now is looked up at the next
            // step; failing the job for it would count against the job.
            Err(error) => {
                tracing::debug!(job = %inner.job, %error, "pause flags of {} not read", inner.job)
            }
        }
        // The look-up may have taken a while.
        match inner.hold.interrupted() {
            Some(Interrupt::Paused) => Err(self.not_before().unwrap_or(Ending::Paused)),
            Some(interrupt) => Err(interrupt.ending()),
            None => Ok(()),
        }
    }

    /// Work that has no steps of its own, for as long as the job may go on; then
    /// it is dropped, which has to end it.
    pub async fn unless_told<T>(&self, work: impl Future<Output = T>) -> Result<T, Ending> {
        let mut work = std::pin::pin!(work);
        let inner = &*self.inner;
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = inner.hold.token().cancelled() => {}
                () = inner.clock.sleep(PAUSE_CACHE) => {}
            }
            self.step().await?;
        }
    }

    /// Keeps the hold up to date with the windows that touch this job. What
    /// cannot be looked up now is looked up at the next step.
    pub(crate) async fn look_for_maintenance(&self) {
        let inner = &*self.inner;
        let maintenance = inner.pauses.maintenance();
        match maintenance.closed(&inner.brief.touches, &inner.pipe).await {
            Ok(closed) => inner.hold.set_closed(closed),
            Err(error) => {
                tracing::debug!(job = %inner.job, %error, "maintenance windows of {} not read", inner.job);
            }
        }
    }

    /// How the job ends because of a maintenance window, if there is one.
    pub(crate) fn not_before(&self) -> Option<Ending> {
        let closed = self.inner.hold.closed()?;
        let now = self.inner.clock.now();
        Some(Ending::NotBefore {
            due: after_window(closed.until, &self.inner.group, now),
            reason: closed.reason,
        })
    }

    pub(crate) fn brief(&self) -> &Brief {
        &self.inner.brief
    }

    /// A line for the job's log, which is kept while the job fails and with
    /// its dead letter. Bounded: the newest 4 KiB.
    pub fn note(&self, line: &str) {
        let now = self.inner.clock.now();
        self.said().log.push(now, line);
    }

    /// Everything that was noted, and how far the job was.
    pub(crate) fn take_log(&self) -> JobLog {
        let mut said = std::mem::take(&mut *self.said());
        if let Some(Progress {
            what, done, total, ..
        }) = said.progress
        {
            let of = total.map_or(String::new(), |total| format!(" of {total}"));
            let now = self.inner.clock.now();
            said.log
                .push(now, &format!("got as far as {what} {done}{of}"));
        }
        said.log
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        // Each statement leaves it whole, also one that panicked.
        self.inner
            .said
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Sync and cheap, for CPU loops in blocking threads; never blocks.
    pub fn interrupted(&self) -> Option<Interrupt> {
        self.inner.hold.interrupted()
    }

    /// Cancelled when the lease is lost or the worker leaves, for waits that
    /// are safe to drop. A pause does not cancel it.
    pub fn cancelled(&self) -> CancellationToken {
        self.inner.hold.token().clone()
    }

    /// The fence before a commit: the lease has time left by the monotonic
    /// clock, and State has no later delivery. What cannot be looked up is not
    /// ours.
    pub async fn still_mine(&self) -> bool {
        let inner = &*self.inner;
        let key = JobRecord::key(inner.queue, &inner.job);
        let ours = match inner.documents.get::<JobRecord>(&key).await {
            Ok(Some(record)) => {
                record.epoch == inner.epoch && record.in_hand && record.status == JobStatus::Open
            }
            Ok(None) | Err(_) => false,
        };
        ours && !inner.hold.is_lost()
    }

    /// What an earlier delivery, or this one, saved last.
    pub async fn checkpoint<T: DeserializeOwned>(&self) -> Result<Option<T>, DocumentError> {
        let found = checkpoint::load(&self.inner.documents, &self.checkpoint_key()).await;
        if !matches!(found, Ok(None)) {
            self.inner.has_checkpoint.store(true, Ordering::Release);
        }
        found
    }

    /// Refused when a later delivery has saved one.
    pub async fn save_checkpoint<T: Serialize>(&self, value: &T) -> Result<(), CheckpointError> {
        self.inner.has_checkpoint.store(true, Ordering::Release);
        let (job, epoch) = (&self.inner.job, self.inner.epoch);
        checkpoint::save(
            &self.inner.documents,
            &self.checkpoint_key(),
            job,
            epoch,
            value,
        )
        .await
    }

    /// The worker does this itself once the job is settled.
    pub async fn clear_checkpoint(&self) -> Result<(), DocumentError> {
        self.inner.documents.delete(&self.checkpoint_key()).await?;
        self.inner.has_checkpoint.store(false, Ordering::Release);
        Ok(())
    }

    /// Shows how far the job is. Never waits; only the latest value is kept.
    pub fn progress(&self, what: &'static str, done: u64, total: Option<u64>) {
        let progress = Progress {
            job: self.inner.job.clone(),
            pipe: self.inner.pipe.clone(),
            what,
            done,
            total,
        };
        self.said().progress = Some(progress.clone());
        self.inner.board.show(progress);
    }

    pub(crate) fn has_checkpoint(&self) -> bool {
        self.inner.has_checkpoint.load(Ordering::Acquire)
    }

    fn checkpoint_key(&self) -> String {
        checkpoint::key(self.inner.queue, &self.inner.job)
    }
}

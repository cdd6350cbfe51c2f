//! One delivery, from the lease to the verdict. What the verdict does to the
//! ledger and the queue is in `conclude`.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use trawler_core::dead::Input;
use trawler_core::drain::PAUSE_CACHE;
use trawler_core::job_log::JobLog;
use trawler_core::ports::Lease;
use trawler_core::verdict::{
    Ending, Failure, FailureClass, Verdict, after_crash, crashed_too_often, judge, release_max,
};

use crate::documents::chain;
use crate::hold::{EndWith, Hold};
use crate::keeper::Keeper;
use crate::worker::Shared;
use crate::{Brief, DocumentError, JobContext, JobsError, Take, TakenJob};

/// How long a delivery waits for dropped work to be gone. Work that computes
/// without looking up lives on in its thread, and finds itself interrupted.
const ABORT_WAIT: Duration = Duration::from_millis(500);

/// A job whose record did not answer is asked for again after so long.
const TAKE_AGAIN: Duration = Duration::from_secs(2);

/// A message whose record could not be read comes again after so long.
pub(crate) const UNREAD_WAIT: Duration = Duration::from_secs(10);

/// How a delivery ended, for the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    Done,
    Superseded,
    HandedBack,
    Retried,
    Parked,
    Buried,
    Stale,
    Unknown,
    Lost,
}

/// A lease with the tasks that look after it.
pub(crate) struct Held {
    lease: Arc<Lease>,
    pub(crate) hold: Arc<Hold>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Held {
    /// Stops the keeper and the watcher and waits for them; then the lease can
    /// be settled.
    pub(crate) async fn let_go(mut self) -> (Lease, Arc<Hold>) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        let lease = Arc::into_inner(self.lease)
            .expect("keeper and watcher have ended and nobody else has the lease");
        (lease, self.hold)
    }
}

/// How contained work ended.
enum Contained<T> {
    Returned(T),
    Panicked(String),
    /// Told to stop and not back in time.
    Dropped,
}

impl Shared {
    pub(crate) async fn deliver(self: &Arc<Self>, lease: Lease, asked: Duration) -> Settled {
        if self.drain.requested() {
            return self.release_untouched(lease, Duration::ZERO).await;
        }
        let queue = self.handler.queue();
        let held = self.hold(lease, asked);
        let taken = match self.take(&held).await {
            Ok(Take::Work(taken)) => taken,
            Ok(Take::Stale(status)) => {
                tracing::debug!(job = %held.lease.dedup_id, "{} is {}: its message is stale", held.lease.dedup_id, status.as_str());
                let (lease, _) = held.let_go().await;
                return self.ack(lease, Settled::Stale).await;
            }
            Ok(Take::Unknown) => {
                return self
                    .bury_message(held, "no job of this name was planned")
                    .await;
            }
            Err(JobsError::Document(error @ DocumentError::Unreadable { .. })) => {
                return self.bury_message(held, &error.to_string()).await;
            }
            Err(error) => {
                let reason = chain(&error);
                tracing::warn!(job = %held.lease.dedup_id, %reason, "take {} failed; it comes again", held.lease.dedup_id);
                self.takes.failed();
                let (lease, _) = held.let_go().await;
                let wait = UNREAD_WAIT.min(release_max(queue));
                return self.release_untouched(lease, wait).await;
            }
        };
        self.takes.worked();
        self.work(held, Arc::new(*taken)).await
    }

    /// Takes the job, once more if no answer came: the record may say that this
    /// delivery has it, and the next one would find a crash.
    async fn take(&self, held: &Held) -> Result<Take, JobsError> {
        let (queue, lease) = (self.handler.queue(), &held.lease);
        let delivery = lease.delivery();
        loop {
            match self.jobs.take(queue, &lease.dedup_id, &delivery).await {
                Err(error) if error.is_transient() && !held.hold.must_stop() => {
                    tokio::select! {
                        biased;
                        () = held.hold.token().cancelled() => return Err(error),
                        () = self.ports.clock.sleep(TAKE_AGAIN) => {}
                    }
                }
                taken => return taken,
            }
        }
    }

    fn hold(&self, lease: Lease, asked: Duration) -> Held {
        let name = self.handler.queue();
        let queue = Arc::clone(self.ports.queue(name));
        let clock = Arc::clone(&self.ports.clock);
        let hold = Hold::new(Arc::clone(&clock), &self.drain, asked, queue.visibility());
        let (lease, hold) = (Arc::new(lease), Arc::new(hold));
        let keeper = Keeper {
            queue,
            name,
            clock,
            metrics: Arc::clone(&self.ports.metrics),
            lease: Arc::clone(&lease),
            hold: Arc::clone(&hold),
            received: asked,
        };
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(keeper.run(stop.clone()));
        Held {
            lease,
            hold,
            stop,
            tasks,
        }
    }

    async fn work(self: &Arc<Self>, mut held: Held, taken: Arc<TakenJob>) -> Settled {
        let _end = EndWith(Arc::clone(&held.hold));
        let brief = tokio::select! {
            biased;
            () = held.hold.token().cancelled() => Brief::default(),
            brief = self.handler.brief(&taken) => brief,
        };
        let ctx = JobContext::new(
            &taken,
            brief,
            Arc::clone(&held.hold),
            &self.pauses,
            &self.documents,
            &self.board,
        );
        self.watch_pause(&mut held, &taken, &ctx);
        let (verdict, failed) = self.verdict(&held, &taken, &ctx).await;
        self.board.remove(&taken.record.job);
        let verdict = match verdict {
            Verdict::Bury { reason } if !held.hold.is_lost() => {
                self.before_bury(&held, &taken, &ctx, reason).await
            }
            verdict => verdict,
        };
        let said = Said {
            failed,
            log: ctx.take_log(),
            input: ctx.brief().input.clone(),
        };
        let settled = self.conclude(held, &taken, verdict, said).await;
        if ctx.has_checkpoint() && matches!(settled, Settled::Done | Settled::Superseded) {
            // What stays is pruned with the settled job.
            if let Err(error) = ctx.clear_checkpoint().await {
                tracing::debug!(job = %taken.record.job, %error, "checkpoint of {} not removed", taken.record.job);
            }
        }
        settled
    }

    /// The verdict, and whether it came from a failure, which is an attempt.
    async fn verdict(
        self: &Arc<Self>,
        held: &Held,
        taken: &Arc<TakenJob>,
        ctx: &JobContext,
    ) -> (Verdict, Failed) {
        let policy = &self.options.retry;
        let record = &taken.record;
        if let Some(verdict) = crashed_too_often(record.crashes, policy) {
            return (verdict, Failed::No);
        }
        let now = self.ports.clock.now();
        if record.has_just_crashed()
            && let Some(verdict) = after_crash(
                record.queue,
                record.crashes,
                record.job.as_str(),
                now,
                policy,
            )
        {
            return (verdict, Failed::No);
        }
        let ending = match ctx.step().await {
            Err(ending) => ending,
            Ok(()) => self.handle(held, taken, ctx).await,
        };
        // Told to leave, work fails in all kinds of ways that are not the job's.
        let ending = match ending {
            Ending::Failed(failure)
                if held.hold.must_leave() && failure.class != FailureClass::Permanent =>
            {
                Ending::HandedBack
            }
            ending => self.ending_under_maintenance(ending, ctx).await,
        };
        let failed = match &ending {
            Ending::Failed(failure) => Failed::Yes(failure.clone()),
            _ => Failed::No,
        };
        let attempt = record.attempts.saturating_add(1);
        let now = self.ports.clock.now();
        let job = record.job.as_str();
        let verdict = judge(ending, record.queue, attempt, job, now, policy);
        (verdict, failed)
    }

    /// A target in maintenance answers in all kinds of ways, which say nothing
    /// of the job; and blocking work ends by the flag alone, which does not
    /// say until when.
    async fn ending_under_maintenance(&self, ending: Ending, ctx: &JobContext) -> Ending {
        let may_be = match &ending {
            Ending::Paused => true,
            Ending::Failed(failure) => failure.class != FailureClass::Permanent,
            Ending::Done
            | Ending::HandedBack
            | Ending::NotBefore { .. }
            | Ending::Superseded { .. } => false,
        };
        if !may_be {
            return ending;
        }
        ctx.look_for_maintenance().await;
        ctx.not_before().unwrap_or(ending)
    }

    async fn handle(
        self: &Arc<Self>,
        held: &Held,
        taken: &Arc<TakenJob>,
        ctx: &JobContext,
    ) -> Ending {
        let (handler, job, context) = (Arc::clone(&self.handler), Arc::clone(taken), ctx.clone());
        let work = async move { handler.handle(&job, &context).await };
        match self.contain(work, held.hold.token()).await {
            Contained::Returned(ending) => ending,
            Contained::Dropped => Ending::HandedBack,
            Contained::Panicked(what) => {
                tracing::error!(job = %taken.record.job, "job {} panicked: {what}", taken.record.job);
                Ending::Failed(Failure::transient(format!("the job panicked: {what}")))
            }
        }
    }

    /// The handler's last word before the burial; without it the job is not
    /// buried now but fails once more, and so comes again.
    async fn before_bury(
        self: &Arc<Self>,
        held: &Held,
        taken: &Arc<TakenJob>,
        ctx: &JobContext,
        reason: String,
    ) -> Verdict {
        let (handler, job, why) = (Arc::clone(&self.handler), Arc::clone(taken), reason.clone());
        let context = ctx.clone();
        let work = async move { handler.before_bury(&job, &context, &why).await };
        let problem = match self.contain(work, held.hold.token()).await {
            Contained::Returned(Ok(())) => return Verdict::Bury { reason },
            Contained::Dropped => return Verdict::HandBack,
            Contained::Returned(Err(failure)) => failure.reason,
            Contained::Panicked(what) => format!("panicked: {what}"),
        };
        tracing::warn!(job = %taken.record.job, "job {} is not buried yet: {problem}", taken.record.job);
        Verdict::Retry {
            after: UNREAD_WAIT.min(release_max(taken.record.queue)),
        }
    }

    /// Runs work in a task of its own: a panic stays in it, and work that was
    /// told to stop and does not is dropped after the grace time.
    async fn contain<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
        token: &CancellationToken,
    ) -> Contained<T> {
        let clock = &self.ports.clock;
        let mut task = JoinSet::new();
        task.spawn(work);
        let joined = tokio::select! {
            biased;
            joined = task.join_next() => joined,
            () = async { token.cancelled().await; clock.sleep(self.options.grace).await } => {
                task.abort_all();
                tokio::select! {
                    biased;
                    joined = task.join_next() => joined,
                    () = clock.sleep(ABORT_WAIT) => None,
                }
            }
        };
        match joined {
            Some(Ok(value)) => Contained::Returned(value),
            Some(Err(error)) if error.is_panic() => Contained::Panicked(panic_text(error)),
            Some(Err(_)) | None => Contained::Dropped,
        }
    }

    /// Keeps the pause flag fresh for loops that cannot ask State.
    fn watch_pause(&self, held: &mut Held, taken: &Arc<TakenJob>, ctx: &JobContext) {
        let ctx = ctx.clone();
        let (pauses, hold) = (self.pauses.clone(), Arc::clone(&held.hold));
        let (clock, stop) = (Arc::clone(&self.ports.clock), held.stop.clone());
        let (queue, pipe) = (taken.record.queue, taken.record.pipe.clone());
        held.tasks.spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    () = clock.sleep(PAUSE_CACHE) => {}
                }
                // What cannot be read now is read in two seconds, and a look
                // that takes long keeps nobody from settling the job.
                let look = async {
                    if let Ok(paused) = pauses.is_paused(queue, &pipe).await {
                        hold.set_paused(paused);
                    }
                    ctx.look_for_maintenance().await;
                };
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    () = look => {}
                }
            }
        });
    }
}

/// What a delivery leaves behind beside its verdict.
pub(crate) struct Said {
    pub(crate) failed: Failed,
    pub(crate) log: JobLog,
    pub(crate) input: Input,
}

impl Said {
    /// Whether the job may have failed for want of the store that does not
    /// take its verdict now. That says nothing of the job.
    pub(crate) fn may_be_our_fault(&self, verdict: &Verdict) -> bool {
        let comes_again = matches!(verdict, Verdict::Retry { .. } | Verdict::Park { .. });
        comes_again && matches!(self.failed, Failed::Yes(_))
    }
}

/// Whether a verdict came from a failure, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failed {
    Yes(Failure),
    No,
}

impl Failed {
    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Self::Yes(failure) => Some(&failure.reason),
            Self::No => None,
        }
    }
}

fn panic_text(error: JoinError) -> String {
    let Ok(payload) = error.try_into_panic() else {
        return "no panic".to_owned();
    };
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "without a message".to_owned()
    }
}

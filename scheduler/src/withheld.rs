//! Pipes whose catalogue is behind what their file says, or what a person
//! decided about them: each has a fold, which carries it out before anything
//! else. Whoever decides does so himself; this is for those that died over it,
//! and for files that say another state. And how many pipes are overdue.

use chrono::{DateTime, TimeDelta, Utc};
use trawler_core::edition::Edition;
use trawler_core::folds::Folds;
use trawler_core::ledger::JobStatus;
use trawler_core::pipe::{Pipe, PipeState};
use trawler_core::ports::Metric;
use trawler_core::withheld::{FileState, Withholding};
use trawler_core::{JobName, PipeId, QueueName};
use trawler_fleet::PipeSet;

use crate::error::SchedulerError;
use crate::images::{Folding, folding};
use crate::look::Look;
use crate::tick::{Scheduler, TickReport};

/// When a pipe has another fold although the last one was done by a worker that
/// goes by older files: that may have been started again since. 288 a day.
const ASK_AGAIN: TimeDelta = TimeDelta::minutes(5);

impl Scheduler {
    pub(crate) async fn settle_withheld(
        &self,
        look: &Look,
        report: &mut TickReport,
    ) -> Result<(), SchedulerError> {
        let current = match self.pipes.current_set().await {
            Ok(current) => current,
            // Without pipes only what is decided counts; it waits for them.
            Err(error) => return report.keep(error),
        };
        self.record_overdue(look, &current.set);
        let now = self.now();
        let look_behind = |pipe| {
            let file = current.state_of(pipe)?;
            is_behind(file, look.withheld.get(pipe).map(AsRef::as_ref), now).then_some((pipe, file))
        };
        let behind = current.set.pipes.keys().filter_map(look_behind);
        let behind: Vec<(&PipeId, FileState)> = behind.collect();
        if behind.is_empty() {
            return Ok(());
        }
        let folding = folding(look);
        for (pipe, file) in behind {
            if look.unreadable.contains(&Withholding::key(pipe)) {
                continue;
            }
            match folding.get(pipe) {
                Some(Folding::UnderWay) => continue,
                Some(Folding::Dead(fold)) => {
                    let known = look.withheld.get(pipe);
                    let state = known.map_or(file.state, |known| known.state_with(file, now));
                    // Of a retired pipe there is no run that would do it.
                    report.tell(&SchedulerError::LeftUndone {
                        pipe: pipe.clone(),
                        state,
                        fold: fold.clone(),
                    });
                    continue;
                }
                None => {}
            }
            if let Err(error) = self.follow(look, pipe, file, report).await {
                report.keep(error)?;
            }
        }
        Ok(())
    }

    /// Plans a fold for a pipe that is behind, unless the last one was in vain.
    async fn follow(
        &self,
        look: &Look,
        pipe: &PipeId,
        file: FileState,
        report: &mut TickReport,
    ) -> Result<(), SchedulerError> {
        let decided = look.withheld.get(pipe);
        if !decided.is_some_and(|decided| decided.is_behind())
            && let Some(asked) = self.asked_since_read(pipe, file).await?
        {
            let now = self.now();
            // The look may be from before the fold did it.
            let known: Option<Withholding> = self.documents.get(&Withholding::key(pipe)).await?;
            if !is_behind(file, known.as_ref(), now) {
                return Ok(());
            }
            report.tell(&SchedulerError::OlderFiles {
                pipe: pipe.clone(),
                state: file.state,
            });
            if now - asked < ASK_AGAIN {
                return Ok(());
            }
        }
        report.folds_planned += u64::from(self.plan_fold(pipe).await?);
        Ok(())
    }

    /// When the pipe's last fold was planned, if that is done and the scheduler
    /// went by these files already. Of a published set nobody keeps an older one
    /// for longer than some seconds, and what comes from no files has no age.
    async fn asked_since_read(
        &self,
        pipe: &PipeId,
        file: FileState,
    ) -> Result<Option<DateTime<Utc>>, SchedulerError> {
        let read = match file.edition {
            Some(Edition::Folder { read }) => read,
            Some(Edition::Published { .. }) | None => return Ok(None),
        };
        let folds: Option<Folds> = self.documents.get(&Folds::key(pipe)).await?;
        let folds = folds.unwrap_or_default();
        let Some(asked) = folds.planned.filter(|planned| *planned >= read) else {
            return Ok(None);
        };
        if folds.done < folds.newest {
            let newest = JobName::fold_id(pipe, folds.newest);
            let record = self.jobs.find(QueueName::Crawl, &newest).await?;
            if record.is_none_or(|record| record.status != JobStatus::Done) {
                return Ok(None);
            }
        }
        Ok(Some(asked))
    }

    /// How many pipes are overdue, by what the tick has looked at anyway.
    fn record_overdue(&self, look: &Look, set: &PipeSet) {
        let now = self.now();
        let is_overdue = |pipe: &&Pipe| {
            let known = look.schedules.get(&pipe.id).map(AsRef::as_ref);
            pipe.overdue(look.state(pipe), known, now).is_some()
        };
        let pipes = set.pipes.values().filter(is_overdue).count() as u64;
        self.ports.metrics.record(Metric::PipesOverdue { pipes });
    }

    /// Whether a run may be planned that a person asks for.
    pub async fn check_collected(&self, pipe: &PipeId) -> Result<(), SchedulerError> {
        let set = self.pipes.current().await?;
        let pipe = set.pipe(pipe)?;
        let key = Withholding::key(&pipe.id);
        let known: Option<Withholding> = self.documents.get(&key).await?;
        let state = PipeState::that_counts(pipe.state, known.and_then(|known| known.said));
        if state.is_collected() {
            return Ok(());
        }
        let pipe = pipe.id.clone();
        Err(SchedulerError::NotCollected { pipe, state })
    }
}

fn is_behind(file: FileState, known: Option<&Withholding>, now: DateTime<Utc>) -> bool {
    match known {
        Some(known) => known.is_behind() || known.is_new_state(file, now),
        // A first run does it itself, before it commits anything; a pipe that
        // is not collected has none.
        None => file.state.withheld().is_some(),
    }
}

//! Pipes whose catalogue is behind what their file says, or what a person
//! decided about them: each has a fold, which carries it out before anything
//! else. Whoever decides does so himself; this is for those that died over it,
//! and for files that say another state. And how many pipes are overdue.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use trawler_core::PipeId;
use trawler_core::pipe::{Pipe, PipeState};
use trawler_core::ports::Metric;
use trawler_core::withheld::{FileState, Withholding};
use trawler_fleet::PipeSet;

use crate::error::SchedulerError;
use crate::images::{Folding, folding};
use crate::look::Look;
use crate::tick::{Scheduler, TickReport};

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
            is_behind(file, look.withheld.get(pipe), now).then_some((pipe, file))
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
            match self.plan_fold(pipe).await {
                Ok(planned) => report.folds_planned += u64::from(planned),
                Err(error) => report.keep(error)?,
            }
        }
        Ok(())
    }

    /// How many pipes are overdue, by what the tick has looked at anyway.
    fn record_overdue(&self, look: &Look, set: &PipeSet) {
        let now = self.now();
        let is_overdue = |pipe: &&Pipe| {
            let known = look.schedules.get(&pipe.id);
            let first = known.and_then(|known| known.first);
            let first = first.and_then(|seq| DateTime::from_timestamp_millis(seq.0));
            let complete = known.and_then(|known| known.complete);
            look.state(pipe).is_collected() && pipe.overdue(complete, first, now).is_some()
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
        let state = match known.and_then(|known| known.said) {
            Some(PipeState::Retired) => PipeState::Retired,
            Some(_) | None => pipe.state,
        };
        if state.is_collected() {
            return Ok(());
        }
        let pipe = pipe.id.clone();
        Err(SchedulerError::NotCollected { pipe, state })
    }
}

fn is_behind(file: FileState, known: Option<&Arc<Withholding>>, now: DateTime<Utc>) -> bool {
    match known {
        Some(known) => known.is_behind() || known.is_new_state(file, now),
        // A first run does it itself, before it commits anything; a pipe that
        // is not collected has none.
        None => file.state.withheld().is_some(),
    }
}

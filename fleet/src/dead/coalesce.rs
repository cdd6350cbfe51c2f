//! Which dead jobs need not be sent again, because something newer does or did
//! their work.
//!
//! Only a complete full run stands for older runs of its pipe, and a fold for
//! older folds. Images of a run that is superseded, or whose results are in the
//! catalogue, are looked at again by a later run of their pipe.

use std::collections::{BTreeMap, HashMap};

use trawler_core::feed::FeedMode;
use trawler_core::run::{Run, RunPhase};
use trawler_core::{PipeId, RunId};

use super::item::{Item, Work};
use crate::{Documents, JobsError, manifests};

/// Runs of one pipe that are looked at for a complete one, the newest first: a
/// month of hourly runs.
const LOOKS_MAX: usize = 750;

/// An item that need not be sent, and what stands for it.
pub(super) struct Needless {
    pub(super) item: Item,
    pub(super) by: String,
}

/// Parts what has to be sent from what need not.
pub(super) async fn coalesce(
    documents: &Documents,
    items: Vec<Item>,
) -> Result<(Vec<Item>, Vec<Needless>), JobsError> {
    let successors = Successors::look(documents, &items).await?;
    let (mut needed, mut needless) = (Vec::new(), Vec::new());
    for item in items {
        match successors.of(&item) {
            Some(by) => needless.push(Needless { item, by }),
            None => needed.push(item),
        }
    }
    Ok((needed, needless))
}

/// What stands for what.
#[derive(Default)]
struct Successors {
    /// The newest run of a pipe that stands for older ones, and why.
    runs: HashMap<PipeId, Vec<(RunId, &'static str)>>,
    /// The newest dead fold of a pipe.
    folds: HashMap<PipeId, i64>,
    /// Runs whose images need no job any more, and what stands for it.
    images: HashMap<RunId, String>,
}

impl Successors {
    async fn look(documents: &Documents, items: &[Item]) -> Result<Self, JobsError> {
        let mut dead: BTreeMap<&PipeId, Vec<&RunId>> = BTreeMap::new();
        let mut found = Self::default();
        for item in items {
            match &item.work {
                Work::Collect(run) => dead.entry(&run.pipe).or_default().push(run),
                Work::Fold { pipe, fold } => {
                    let newest = found.folds.entry(pipe.clone()).or_insert(*fold);
                    *newest = (*newest).max(*fold);
                }
                Work::Images(run) if !found.images.contains_key(run) => {
                    let by = image_successor(documents, run).await?;
                    found.images.insert(run.clone(), by.unwrap_or_default());
                }
                Work::Images(_) | Work::Alone | Work::Strange => {}
            }
        }
        for (pipe, runs) in dead {
            let of_pipe = run_successors(documents, pipe, runs).await?;
            found.runs.insert(pipe.clone(), of_pipe);
        }
        Ok(found)
    }

    fn of(&self, item: &Item) -> Option<String> {
        match &item.work {
            Work::Collect(run) => {
                let successors = self.runs.get(&run.pipe)?;
                let newer = successors.iter().find(|(by, _)| by.seq > run.seq);
                newer.map(|(by, why)| format!("{by}, {why}"))
            }
            Work::Fold { pipe, fold } => {
                let newest = self.folds.get(pipe).filter(|newest| *newest > fold)?;
                Some(format!("{pipe}#images@{newest}, a later fold"))
            }
            Work::Images(run) => self.images.get(run).filter(|by| !by.is_empty()).cloned(),
            Work::Alone | Work::Strange => None,
        }
    }
}

async fn run_successors(
    documents: &Documents,
    pipe: &PipeId,
    mut dead: Vec<&RunId>,
) -> Result<Vec<(RunId, &'static str)>, JobsError> {
    dead.sort_unstable_by_key(|run| std::cmp::Reverse(run.seq));
    let mut found = Vec::new();
    let Some(oldest) = dead.last() else {
        return Ok(found);
    };
    let after = Run::key(oldest);
    let mut keys = documents.keys(&format!("runs/{pipe}/")).await?;
    keys.retain(|key| *key > after);
    for key in keys.iter().rev().take(LOOKS_MAX) {
        let run: Option<Run> = documents.get(key).await?;
        if let Some(run) = run
            && run.mode == FeedMode::Full
            && run.phase == RunPhase::Finished
            && run.is_complete()
        {
            found.push((run.id, "a later full run that is complete"));
            break;
        }
    }
    // The newest of those that are sent now: the older ones would do its work
    // and be superseded by it.
    for id in dead {
        let run: Option<Run> = documents.get(&Run::key(id)).await?;
        if run.is_some_and(|run| run.mode == FeedMode::Full) {
            found.push((id.clone(), "a later full run that is redriven with it"));
            break;
        }
    }
    Ok(found)
}

async fn image_successor(documents: &Documents, run: &RunId) -> Result<Option<String>, JobsError> {
    let document: Option<Run> = documents.get(&Run::key(run)).await?;
    if document.is_some_and(|run| run.phase == RunPhase::Superseded) {
        return Ok(Some(format!("a later run: {run} is superseded")));
    }
    let manifest = manifests::find(documents, run).await?;
    Ok(match manifest {
        Some(manifest) if !manifest.settled => None,
        Some(_) | None => Some(format!(
            "the next run of the pipe, which tries failed images again: the results of {run} are in the catalogue"
        )),
    })
}

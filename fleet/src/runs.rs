//! Looking for one run among all that a pipe ever had. Run documents are never
//! pruned and hold 10 to 15 KB each, and a pipe with a run every ten minutes has
//! 52,000 a year: so keys are listed, which hold the numbers, and documents are
//! read one after another until the one is found.

use tokio::task::JoinSet;
use trawler_core::reprocess::is_newer;
use trawler_core::run::Run;
use trawler_core::{PipeId, RunId, RunSeq};

use crate::retry::joined;
use crate::{DocumentError, Documents};

/// Documents that are read at once where the first ones are not what is looked
/// for, all that is held of them.
const AT_ONCE_MAX: usize = 16;

impl Documents {
    /// The first run of the pipe after `after` that is looked for.
    pub async fn first_run_after(
        &self,
        after: &RunId,
        is_it: impl Fn(&Run) -> bool,
    ) -> Result<Option<Run>, DocumentError> {
        let runs = self.runs_after(after).await?;
        self.first_of(&after.pipe, &runs, is_it).await
    }

    /// The newest run that brought in something newer than the input of `input`,
    /// as of `landed`, the last run of the pipe in the catalogue.
    pub async fn newer_than_input(
        &self,
        input: &RunId,
        landed: Option<RunSeq>,
    ) -> Result<Option<RunId>, DocumentError> {
        let mut runs = self.runs_after(input).await?;
        runs.retain(|seq| Some(*seq) <= landed);
        runs.reverse();
        let found = self.first_of(&input.pipe, &runs, |run| is_newer(run, input, landed));
        Ok(found.await?.map(|run| run.id))
    }

    /// Numbers of the pipe's runs after this one, in order.
    async fn runs_after(&self, after: &RunId) -> Result<Vec<RunSeq>, DocumentError> {
        let prefix = Run::of_pipe(&after.pipe);
        let keys = self.keys_after(&prefix, &Run::key(after)).await?;
        let seq = |key: String| match key[prefix.len()..].parse() {
            Ok(seq) => Ok(RunSeq(seq)),
            Err(_) => Err(DocumentError::Unreadable {
                key,
                reason: "the key holds no number of a run".to_owned(),
            }),
        };
        keys.into_iter().map(seq).collect()
    }

    /// Most often the first is the one; the further it is, the more are read at
    /// once.
    async fn first_of(
        &self,
        pipe: &PipeId,
        runs: &[RunSeq],
        is_it: impl Fn(&Run) -> bool,
    ) -> Result<Option<Run>, DocumentError> {
        let (mut rest, mut width) = (runs, 1);
        while !rest.is_empty() {
            let (batch, more) = rest.split_at(width.min(rest.len()));
            let mut reads = JoinSet::new();
            for (at, seq) in batch.iter().enumerate() {
                let (documents, pipe, seq) = (self.clone(), pipe.clone(), *seq);
                let key = Run::key(&RunId { pipe, seq });
                reads.spawn(async move { (at, documents.get::<Run>(&key).await) });
            }
            let mut found: Vec<Option<Run>> = vec![None; batch.len()];
            while let Some((at, run)) = joined(reads.join_next().await) {
                found[at] = run?;
            }
            if let Some(run) = found.into_iter().flatten().find(&is_it) {
                return Ok(Some(run));
            }
            rest = more;
            width = (width * 2).min(AT_ONCE_MAX);
        }
        Ok(None)
    }
}

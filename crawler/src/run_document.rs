//! The document of a run, as one delivery may write it.

use trawler_core::RunId;
use trawler_core::run::Run;
use trawler_core::verdict::{Ending, Failure};
use trawler_fleet::{Documents, UpdateError};

use crate::failure::documents_failure;

/// A run and the delivery that works on it.
pub(crate) struct RunDocument<'a> {
    pub(crate) documents: &'a Documents,
    pub(crate) run: &'a RunId,
    pub(crate) epoch: u64,
}

/// A later delivery has the run.
#[derive(Debug, thiserror::Error)]
#[error("a later delivery has the run")]
struct Refused;

impl RunDocument<'_> {
    pub(crate) async fn load(&self) -> Result<Run, Ending> {
        let found = self
            .documents
            .get(&Run::key(self.run))
            .await
            .map_err(documents_failure)?;
        found.ok_or_else(|| self.lost())
    }

    /// Changes the document, unless a later delivery did or the run is over.
    pub(crate) async fn update(&self, change: impl Fn(&mut Run)) -> Result<Run, Ending> {
        let updated = self
            .documents
            .update::<Run, Refused>(&Run::key(self.run), |run| {
                if !run.admits(self.epoch) {
                    return Err(Refused);
                }
                run.epoch = self.epoch;
                change(run);
                Ok(())
            })
            .await;
        match updated {
            Ok(Some(run)) => Ok(run),
            Ok(None) => Err(self.lost()),
            Err(UpdateError::Change(Refused)) => Err(Ending::HandedBack),
            Err(UpdateError::Document(error)) => Err(documents_failure(error)),
        }
    }

    fn lost(&self) -> Ending {
        let key = Run::key(self.run);
        Ending::Failed(Failure::permanent(format!(
            "run {} has no document {key}; plan it anew",
            self.run
        )))
    }
}

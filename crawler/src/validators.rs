//! What the last complete run learned about its feed, so that an unchanged one
//! is neither sent nor read again.

use serde::{Deserialize, Serialize};
use trawler_core::verdict::Ending;
use trawler_core::{PipeId, RunSeq};
use trawler_fleet::{Created, Documents};
use trawler_net::Validators;

use crate::failure::documents_failure;

/// The document at `validators/{pipe}`, written after the commit of a complete
/// run and by nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedValidators {
    pub seq: RunSeq,
    pub fingerprint: String,
    pub http: Validators,
    /// Hex SHA-256 of the feed as it was stored on disk.
    pub sha256: String,
}

impl FeedValidators {
    /// Those of the pipe, if they are bound to what this run is.
    pub(crate) async fn known(
        documents: &Documents,
        pipe: &PipeId,
        fingerprint: &str,
    ) -> Result<Option<Self>, Ending> {
        let found: Option<Self> = documents
            .get(&Self::key(pipe))
            .await
            .map_err(documents_failure)?;
        Ok(found.filter(|found| found.fingerprint == fingerprint))
    }

    /// Keeps them for the next run; those of a later run stay.
    pub(crate) async fn keep(&self, documents: &Documents, pipe: &PipeId) -> Result<(), Ending> {
        let key = Self::key(pipe);
        if documents
            .create(&key, self)
            .await
            .map_err(documents_failure)?
            == Created::New
        {
            return Ok(());
        }
        let kept = documents.change(&key, |stored: &mut Self| {
            if stored.seq <= self.seq {
                stored.clone_from(self);
            }
        });
        kept.await.map(|_| ()).map_err(documents_failure)
    }

    pub fn key(pipe: &PipeId) -> String {
        format!("validators/{pipe}")
    }
}

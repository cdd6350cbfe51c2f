//! Reads and keeps what a complete run learned about its feed.

use trawler_core::feed_validators::FeedValidators;
use trawler_core::verdict::Ending;
use trawler_core::{PipeId, RunId};
use trawler_fleet::{Created, Documents};

use crate::failure::documents_failure;

/// Those of the pipe, if they are bound to what this run is.
pub(crate) async fn known(
    documents: &Documents,
    pipe: &PipeId,
    fingerprint: &str,
) -> Result<Option<FeedValidators>, Ending> {
    let found: Option<FeedValidators> = documents
        .get(&FeedValidators::key(pipe))
        .await
        .map_err(documents_failure)?;
    Ok(found.filter(|found| found.fingerprint == fingerprint))
}

/// Keeps them for the next run; those of a later run stay.
pub(crate) async fn keep(
    documents: &Documents,
    pipe: &PipeId,
    learned: &FeedValidators,
) -> Result<(), Ending> {
    let key = FeedValidators::key(pipe);
    if documents
        .create(&key, learned)
        .await
        .map_err(documents_failure)?
        == Created::New
    {
        return Ok(());
    }
    let kept = documents.change(&key, |stored: &mut FeedValidators| {
        if stored.seq <= learned.seq {
            stored.clone_from(learned);
        }
    });
    kept.await.map(|_| ()).map_err(documents_failure)
}

/// Forgets those of earlier runs: an incomplete run changed rows, so that bytes
/// which were brought in before it are no longer what is stored.
pub(crate) async fn forget(documents: &Documents, run: &RunId) -> Result<(), Ending> {
    let key = FeedValidators::key(&run.pipe);
    let found = documents.get_versioned::<FeedValidators>(&key).await;
    let Some((stored, version)) = found.map_err(documents_failure)? else {
        return Ok(());
    };
    if stored.seq <= run.seq {
        // One that changed meanwhile is a later run's.
        let deleted = documents.delete_at(&key, &version).await;
        deleted.map_err(documents_failure)?;
    }
    Ok(())
}

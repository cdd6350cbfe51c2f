//! What a failing store or catalogue means for the job.

use trawler_catalogue::{CatalogueError, CommitError};
use trawler_core::verdict::{Ending, Failure};
use trawler_fleet::DocumentError;
use trawler_fleet::manifests::ManifestError;

use trawler_fleet::chain;

pub(crate) fn catalogue_failure(error: CatalogueError) -> Ending {
    let reason = chain(&error);
    Ending::Failed(if error.is_transient() {
        Failure::transient(reason)
    } else {
        Failure::permanent(reason)
    })
}

pub(crate) fn documents_failure(error: DocumentError) -> Ending {
    Ending::Failed(error.into())
}

/// A commit that did not come about. Whoever lost the lease hands nothing in:
/// the delivery that has the job now goes on with it.
pub(crate) fn commit_failure(error: CommitError) -> Ending {
    match error {
        CommitError::FencedOff { .. } => Ending::HandedBack,
        CommitError::Conflict { .. } | CommitError::Contended { .. } => {
            Ending::Failed(Failure::transient(error.to_string()))
        }
        CommitError::Catalogue(error) => catalogue_failure(error),
    }
}

pub(crate) fn manifest_failure(error: ManifestError) -> Ending {
    Ending::Failed(error.into())
}

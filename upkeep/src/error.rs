//! Why a piece of upkeep did not come to its end. Everything it does can be
//! done again; whether it helps is another matter.

use chrono::{DateTime, Utc};
use trawler_catalogue::CatalogueError;
use trawler_core::ports::BlobError;
use trawler_core::verdict::{Failure, FailureClass};
use trawler_fleet::manifests::ManifestError;
use trawler_fleet::{DocumentError, JobsError, chain};

#[derive(Debug, thiserror::Error)]
pub enum UpkeepError {
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error(transparent)]
    Jobs(#[from] JobsError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error("cannot {doing} in the scratch folder {path}; check its free space")]
    Scratch {
        doing: &'static str,
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "unused images are being removed by somebody else (until {until} at the latest); try again then"
    )]
    Busy { until: DateTime<Utc> },
    #[error("the removal of unused images was begun by somebody else at the same time; try again")]
    Overtaken,
    #[error(
        "the sweep of images/{shard}/ ran out of its time and was stopped; call it again to go on"
    )]
    TooSlow { shard: String },
    #[error("the list {key} is damaged: {reason}; delete the document {document} to begin anew")]
    DamagedList {
        key: String,
        document: &'static str,
        reason: String,
    },
}

impl UpkeepError {
    /// What it means for a job whose work this was. Whoever waits for somebody
    /// else is not called before that one can have ended.
    pub fn into_failure(self, now: DateTime<Utc>) -> Failure {
        let reason = chain(&self);
        let judged = |is_transient| match is_transient {
            true => Failure::transient(reason.clone()),
            false => Failure::permanent(reason.clone()),
        };
        match self {
            Self::Catalogue(error) => judged(error.is_transient()),
            Self::Document(error) => judged(error.is_transient()),
            Self::Jobs(error) => judged(error.is_transient()),
            Self::Manifest(error) => judged(error.is_transient()),
            // Listed a moment ago and taken away since; the next look sees that.
            Self::Blob(BlobError::NotFound { .. }) => judged(true),
            Self::Blob(error) => judged(error.is_transient()),
            // Another machine may have the space, or this one later.
            Self::Scratch { .. } => judged(true),
            Self::Busy { until } => Failure {
                class: FailureClass::Transient,
                reason,
                retry_after_ms: u64::try_from((until - now).num_milliseconds()).ok(),
            },
            // Both say: call again.
            Self::Overtaken | Self::TooSlow { .. } => judged(true),
            // Somebody has to look at it.
            Self::DamagedList { .. } => judged(false),
        }
    }

    pub(crate) fn scratch(
        doing: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::Scratch {
            doing,
            path,
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_somebody_has_to_mend_is_given_up_at_once() {
        let now = DateTime::<Utc>::UNIX_EPOCH;
        let refused = |verb| BlobError::Refused {
            verb,
            key: "removals/trial".to_owned(),
            reason: "access denied".to_owned(),
        };
        let missing = BlobError::NotFound {
            verb: "get",
            key: "results/x".to_owned(),
        };
        let away = BlobError::Unavailable {
            verb: "get",
            key: "results/x".to_owned(),
            source: "no answer".into(),
        };
        let busy = |minutes| UpkeepError::Busy {
            until: now + chrono::Duration::minutes(minutes),
        };
        let slow = UpkeepError::TooSlow {
            shard: "0a".to_owned(),
        };
        let damaged = UpkeepError::DamagedList {
            key: "removals/1/marked/0a".to_owned(),
            document: "upkeep/images-removal",
            reason: "no text".to_owned(),
        };
        let full = std::io::Error::other("no space");
        let scratch = UpkeepError::scratch("keep", std::path::Path::new("/tmp"))(full);
        let check = |error: UpkeepError, class, wait_ms| {
            let failure = error.into_failure(now);
            let found = (failure.class, failure.retry_after_ms);
            assert_eq!(found, (class, wait_ms), "{}", failure.reason);
        };
        let (again, never) = (FailureClass::Transient, FailureClass::Permanent);
        check(refused("put").into(), never, None);
        check(ManifestError::Blob(refused("delete")).into(), never, None);
        check(CatalogueError::NoTable.into(), never, None);
        check(damaged, never, None);
        check(missing.into(), again, None);
        check(away.into(), again, None);
        check(scratch, again, None);
        check(slow, again, None);
        check(UpkeepError::Overtaken, again, None);
        check(busy(10), again, Some(600_000));
        check(busy(0), again, Some(0));
        // By the clock of another it is over.
        check(busy(-1), again, None);
    }
}

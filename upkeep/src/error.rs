//! Why a piece of upkeep did not come to its end. Everything it does can be
//! done again.

use chrono::{DateTime, Utc};
use trawler_catalogue::CatalogueError;
use trawler_core::ports::BlobError;
use trawler_fleet::manifests::ManifestError;
use trawler_fleet::{DocumentError, JobsError};

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

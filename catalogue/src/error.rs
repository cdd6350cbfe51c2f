//! What can go wrong in the catalogue, said so that the reader knows where,
//! why and what to do next.

use arrow_schema::ArrowError;
use parquet::errors::ParquetError;

pub type Result<T> = std::result::Result<T, CatalogueError>;

#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    #[error("cannot {doing} {path} in the catalogue's store")]
    Store {
        doing: &'static str,
        path: String,
        source: object_store::Error,
    },
    #[error("cannot {doing} {path}: the Parquet file is damaged or unreadable")]
    Parquet {
        doing: &'static str,
        path: String,
        source: ParquetError,
    },
    #[error("cannot {doing}")]
    Arrow {
        doing: &'static str,
        source: ArrowError,
    },
    #[error(
        "cannot {doing} in the scratch folder {path}; check its free space and that it is writable"
    )]
    Scratch {
        doing: &'static str,
        path: String,
        source: std::io::Error,
    },
    #[error("log entry {version} of the catalogue is malformed: {reason}")]
    MalformedLog { version: i64, reason: String },
    #[error("there is no catalogue here: log entry 0 and checkpoints are missing")]
    NoTable,
    #[error("version {asked} of the catalogue does not exist; the newest is {newest}")]
    NoSuchVersion { asked: i64, newest: i64 },
    /// The table asks for something that this writer does not do.
    #[error("the catalogue cannot be used: {reason}")]
    UnsupportedTable { reason: String },
    #[error("incoming rows do not have the catalogue's columns: {reason}")]
    WrongColumns { reason: String },
    #[error("incoming row {row} has no usable id: {reason}")]
    BadId { row: u64, reason: String },
    #[error("{0:?} is not a write id; use 1 to 80 of ASCII letters, digits, '.', '_' and '-'")]
    BadWriteId(String),
    #[error("{0:?} is not a watermark; write it as version:offset, such as 12:0")]
    BadWatermark(String),
    #[error("there is no column {0:?} in the catalogue")]
    NoSuchColumn(String),
    /// The asked-for part of the change feed is gone or never was.
    #[error(
        "the change feed cannot be continued from there ({reason}); read the products anew and go on from the watermark of that snapshot (resync)"
    )]
    Resync { reason: String },
    #[error("the work was given up because its caller went away")]
    Cancelled,
}

impl CatalogueError {
    pub(crate) fn store(
        doing: &'static str,
        path: impl ToString,
    ) -> impl FnOnce(object_store::Error) -> Self {
        let path = path.to_string();
        move |source| Self::Store {
            doing,
            path,
            source,
        }
    }

    pub(crate) fn parquet(
        doing: &'static str,
        path: impl ToString,
    ) -> impl FnOnce(ParquetError) -> Self {
        let path = path.to_string();
        move |source| Self::Parquet {
            doing,
            path,
            source,
        }
    }

    pub(crate) fn arrow(doing: &'static str) -> impl FnOnce(ArrowError) -> Self {
        move |source| Self::Arrow { doing, source }
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

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store { source, .. } => !matches!(
                source,
                object_store::Error::NotFound { .. }
                    | object_store::Error::NotImplemented { .. }
                    | object_store::Error::PermissionDenied { .. }
                    | object_store::Error::Unauthenticated { .. }
                    | object_store::Error::InvalidPath { .. }
            ),
            Self::Cancelled => true,
            Self::Parquet { .. }
            | Self::Arrow { .. }
            | Self::Scratch { .. }
            | Self::MalformedLog { .. }
            | Self::NoTable
            | Self::NoSuchVersion { .. }
            | Self::UnsupportedTable { .. }
            | Self::WrongColumns { .. }
            | Self::BadId { .. }
            | Self::BadWriteId(_)
            | Self::BadWatermark(_)
            | Self::NoSuchColumn(_)
            | Self::Resync { .. } => false,
        }
    }
}

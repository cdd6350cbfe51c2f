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
        move |error| match store_error(error) {
            Ok(source) => Self::Store {
                doing,
                path,
                source,
            },
            Err(source) => Self::Parquet {
                doing,
                path,
                source,
            },
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

/// A store that fails under a Parquet file says nothing about the file.
fn store_error(error: ParquetError) -> std::result::Result<object_store::Error, ParquetError> {
    let ParquetError::External(source) = error else {
        return Err(error);
    };
    let source = match source.downcast::<object_store::Error>() {
        Ok(source) => return Ok(*source),
        Err(other) => other,
    };
    // At the end of an upload it is told as an error of IO.
    match source.downcast::<std::io::Error>() {
        Ok(source) => source
            .downcast()
            .map_err(|other| ParquetError::External(Box::new(other))),
        Err(other) => Err(ParquetError::External(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreachable_store() -> object_store::Error {
        object_store::Error::Generic {
            store: "S3",
            source: "no answer".into(),
        }
    }

    /// A run whose upload met a throttled store was given up as damaged.
    #[test]
    fn a_store_that_fails_under_a_file_is_not_a_damaged_file() {
        let check = |error: ParquetError, is_transient: bool| {
            let error = CatalogueError::parquet("write", "a.parquet")(error);
            assert_eq!(error.is_transient(), is_transient, "{error:?}");
        };
        check(ParquetError::External(Box::new(unreachable_store())), true);
        let told_as_io = std::io::Error::from(unreachable_store());
        check(ParquetError::External(Box::new(told_as_io)), true);
        let other = std::io::Error::other("cannot be read");
        check(ParquetError::External(Box::new(other)), false);
        check(ParquetError::General("no footer".to_owned()), false);
    }
}

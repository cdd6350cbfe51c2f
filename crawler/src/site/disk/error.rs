//! What went wrong with a file on scratch disk.

use std::io;
use std::path::{Path, PathBuf};

/// An operation on a file of the scratch disk failed: it is full, gone, or
/// broken. Nothing was lost that had been uploaded.
#[derive(Debug, thiserror::Error)]
#[error("{what} {}", path.display())]
pub struct DiskError {
    /// Verb and object.
    pub what: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

impl DiskError {
    /// For `map_err`: what was being done, and to which file.
    pub(crate) fn of(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { what, path, source }
    }
}

//! A folder on scratch disk for one delivery, removed when it ends. What a
//! killed worker of the pipe left behind is removed when the next one starts:
//! one worker at a time has the pipe, and one that lost it must stop anyway.

use std::fs;
use std::path::{Path, PathBuf};

use trawler_core::PipeId;
use trawler_core::verdict::Failure;

/// The folder; removed when dropped.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(root: &Path, pipe: &PipeId, delivery: &str) -> Result<Self, Failure> {
        let of_pipe = root.join(pipe.as_str());
        let path = of_pipe.join(delivery);
        let create = || {
            if of_pipe.exists() {
                fs::remove_dir_all(&of_pipe)?;
            }
            fs::create_dir_all(&path)
        };
        match create() {
            Ok(()) => Ok(Self(path)),
            Err(error) => Err(Failure::transient(format!(
                "make scratch folder {}: {error}",
                path.display()
            ))),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, "remove scratch folder {}: {error}", self.0.display());
        }
    }
}

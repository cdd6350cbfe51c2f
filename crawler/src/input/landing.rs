//! The file on scratch disk that a feed is written to, and its hash.

use std::fmt::Display;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use trawler_core::verdict::Failure;
use trawler_net::Validators;

use super::{FEED_FILE, Input};

/// A feed as it comes.
pub(super) struct Landing {
    path: PathBuf,
    /// Not there while a piece is written.
    open: Option<Open>,
    bytes: u64,
}

struct Open {
    file: File,
    hash: Sha256,
}

impl Landing {
    pub(super) async fn create(scratch: &Path) -> Result<Self, Failure> {
        let path = scratch.join(FEED_FILE);
        let at = path.clone();
        let made = tokio::task::spawn_blocking(move || File::create(at)).await;
        let file = match made {
            Ok(Ok(file)) => file,
            Ok(Err(error)) => return Err(failed(&path, &error)),
            Err(error) => return Err(failed(&path, &error)),
        };
        Ok(Self {
            path,
            open: Some(Open {
                file,
                hash: Sha256::new(),
            }),
            bytes: 0,
        })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Hashes and writes off the reactor. What failed, or was dropped on the
    /// way, fails for good.
    pub(super) async fn write(&mut self, piece: Bytes) -> Result<(), Failure> {
        let bytes = piece.len() as u64;
        let Some(mut open) = self.open.take() else {
            return Err(self.failed(&"an earlier piece was not written"));
        };
        let written = tokio::task::spawn_blocking(move || {
            open.hash.update(&piece);
            open.file.write_all(&piece).map(|()| open)
        });
        match written.await {
            Ok(Ok(open)) => {
                self.open = Some(open);
                self.bytes += bytes;
                Ok(())
            }
            Ok(Err(error)) => Err(self.failed(&error)),
            Err(error) => Err(self.failed(&error)),
        }
    }

    pub(super) fn finish(self, validators: Validators, bytes_down: u64) -> Result<Input, Failure> {
        let Some(open) = self.open else {
            return Err(self.failed(&"a piece was not written"));
        };
        Ok(Input {
            path: self.path,
            sha256: hex::encode(open.hash.finalize()),
            validators,
            bytes_down,
            truncated: None,
        })
    }

    fn failed(&self, error: &dyn Display) -> Failure {
        failed(&self.path, error)
    }
}

fn failed(path: &Path, error: &dyn Display) -> Failure {
    Failure::transient(format!("write {}: {error}", path.display()))
}

//! A feed in a file on this machine, read where it lies.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use sha2::{Digest, Sha256};
use trawler_core::verdict::Failure;
use trawler_fleet::JobContext;
use trawler_net::Validators;

use super::Input;

/// The file is read in pieces of this size to be hashed.
const HASH_BYTES: usize = 1024 * 1024;

pub(super) async fn hash_file(path: PathBuf, ctx: JobContext) -> Result<Input, Failure> {
    let work = tokio::task::spawn_blocking(move || {
        let unreadable =
            |error: io::Error| Failure::permanent(format!("read feed {}: {error}", path.display()));
        let mut file = File::open(&path).map_err(unreadable)?;
        let mut hash = Sha256::new();
        let mut piece = vec![0; HASH_BYTES];
        loop {
            if ctx.interrupted().is_some() {
                return Err(Failure::transient("reading the feed was interrupted"));
            }
            match file.read(&mut piece).map_err(unreadable)? {
                0 => break,
                read => hash.update(&piece[..read]),
            }
        }
        Ok(Input {
            sha256: hex::encode(hash.finalize()),
            path,
            validators: Validators::default(),
            bytes_down: 0,
            truncated: None,
        })
    });
    work.await
        .unwrap_or_else(|error| Err(Failure::transient(format!("hash the feed: {error}"))))
}

//! A feed whose download took long, kept for the next delivery: whoever takes
//! the run up after an interruption does not ask the partner again.
//!
//! The bytes lie among the blobs in parts, so that no feed has to fit into
//! memory; the job's checkpoint names them. A feed that came quickly is not
//! kept: reading it again costs less than the requests. What cannot be kept or
//! found again costs a download and fails no run.

use std::path::Path;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use trawler_core::RunId;
use trawler_core::pipe::Source;
use trawler_core::ports::{BlobMeta, Blobs};
use trawler_core::verdict::Ending;
use trawler_fleet::manifests::DELETE_MAX;
use trawler_fleet::{JobContext, chain};
use trawler_net::Validators;

use crate::input::Input;

/// What an object store wants of a part, and all of a feed that is in memory.
const PART_BYTES: usize = 8 * 1024 * 1024;

const PART: BlobMeta = BlobMeta {
    content_type: "application/octet-stream",
    immutable: false,
};

/// The checkpoint of a crawl job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Where it came from, so that a changed pipe reads its new source.
    source: Source,
    /// `{prefix}/{number}`, six digits.
    prefix: String,
    parts: u32,
    sha256: String,
    validators: Validators,
    bytes_down: u64,
    truncated: Option<String>,
}

impl Kept {
    fn keys(&self) -> Vec<String> {
        (0..self.parts)
            .map(|part| part_key(&self.prefix, part))
            .collect()
    }
}

fn part_key(prefix: &str, part: u32) -> String {
    format!("{prefix}/{part:06}")
}

/// Keeps and finds the input of one run.
pub(crate) struct KeptInput<'a> {
    pub(crate) blobs: &'a dyn Blobs,
    pub(crate) ctx: &'a JobContext,
    pub(crate) run: &'a RunId,
    pub(crate) source: &'a Source,
}

impl KeptInput<'_> {
    /// What an earlier delivery kept, written to `path` again.
    pub(crate) async fn find(&self, path: &Path) -> Result<Option<(Kept, Input)>, Ending> {
        // The first delivery has none before it, and need not ask.
        if self.ctx.epoch() <= 1 {
            return Ok(None);
        }
        let kept = match self.ctx.checkpoint::<Kept>().await {
            Ok(Some(kept)) if kept.source == *self.source => kept,
            Ok(_) => return Ok(None),
            Err(error) => return Ok(self.without(&chain(&error))),
        };
        match self.write_out(&kept, path).await? {
            Ok(()) => {}
            Err(reason) => return Ok(self.without(&reason)),
        }
        self.ctx
            .note("the feed is the one that an earlier delivery downloaded");
        let input = Input {
            path: path.to_owned(),
            sha256: kept.sha256.clone(),
            validators: kept.validators.clone(),
            bytes_down: kept.bytes_down,
            truncated: kept.truncated.clone(),
        };
        Ok(Some((kept, input)))
    }

    /// Keeps the input for the next delivery, should there be one.
    pub(crate) async fn keep(&self, input: &Input) -> Result<Option<Kept>, Ending> {
        let epoch = self.ctx.epoch();
        let prefix = format!("inputs/{}/{}-{epoch}", self.run.pipe, self.run.seq);
        let parts = match self.put_parts(&prefix, input).await? {
            Ok(parts) => parts,
            Err(reason) => return Ok(self.without(&reason)),
        };
        let kept = Kept {
            source: self.source.clone(),
            prefix,
            parts,
            sha256: input.sha256.clone(),
            validators: input.validators.clone(),
            bytes_down: input.bytes_down,
            truncated: input.truncated.clone(),
        };
        if let Err(error) = self.ctx.save_checkpoint(&kept).await {
            return Ok(self.without(&chain(&error)));
        }
        Ok(Some(kept))
    }

    /// The run has its rows in the catalogue. What stays is pruned with it.
    pub(crate) async fn forget(&self, kept: &Kept) {
        for keys in kept.keys().chunks(DELETE_MAX) {
            let Err(error) = self.blobs.delete(keys).await else {
                continue;
            };
            tracing::debug!(run = %self.run, %error, "kept input of {} not removed", self.run);
        }
    }

    fn without<T>(&self, reason: &str) -> Option<T> {
        tracing::warn!(run = %self.run, %reason, "the input of {} is not kept: {reason}", self.run);
        None
    }

    async fn put_parts(&self, prefix: &str, input: &Input) -> Result<Result<u32, String>, Ending> {
        let named = |error: std::io::Error| format!("read {}: {error}", input.path.display());
        let mut file = match File::open(&input.path).await {
            Ok(file) => file,
            Err(error) => return Ok(Err(named(error))),
        };
        let mut parts = 0;
        loop {
            self.ctx.step().await?;
            let mut part = Vec::with_capacity(PART_BYTES);
            let mut rest = (&mut file).take(PART_BYTES as u64);
            if let Err(error) = rest.read_to_end(&mut part).await {
                return Ok(Err(named(error)));
            }
            if part.is_empty() {
                return Ok(Ok(parts));
            }
            let key = part_key(prefix, parts);
            let put = self.blobs.put(&key, Bytes::from(part), PART);
            if let Err(error) = self.ctx.unless_told(put).await? {
                return Ok(Err(chain(&error)));
            }
            parts += 1;
        }
    }

    async fn write_out(&self, kept: &Kept, path: &Path) -> Result<Result<(), String>, Ending> {
        let named = |error: std::io::Error| format!("write {}: {error}", path.display());
        let mut file = match File::create(path).await {
            Ok(file) => file,
            Err(error) => return Ok(Err(named(error))),
        };
        let mut hash = Sha256::new();
        for key in kept.keys() {
            self.ctx.step().await?;
            let part = match self.ctx.unless_told(self.blobs.get(&key, None)).await? {
                Ok(part) => part,
                Err(error) => return Ok(Err(chain(&error))),
            };
            hash.update(&part);
            if let Err(error) = file.write_all(&part).await {
                return Ok(Err(named(error)));
            }
        }
        if let Err(error) = file.flush().await {
            return Ok(Err(named(error)));
        }
        let found = hex::encode(hash.finalize());
        Ok(if found == kept.sha256 {
            Ok(())
        } else {
            Err(format!("the parts at {} are another content", kept.prefix))
        })
    }
}

//! Inputs that are kept after their runs, compressed among the blobs, so that
//! a person can accept what was held or quarantined.
//!
//! An input is read, packed and put a part at a time, and written out the same
//! way: of an input of any size there is one part in memory. The document comes
//! last; parts without one are removed when a later input is kept. What cannot
//! be kept is told in the run and fails none.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use trawler_core::pipe::Pipe;
use trawler_core::ports::{BlobMeta, Blobs, Clock, keys};
use trawler_core::raw_input::RawInput;
use trawler_core::verdict::{Ending, Failure};
use trawler_core::{PipeId, RunId};
use trawler_fleet::manifests::DELETE_MAX;
use trawler_fleet::{Documents, JobContext, chain};
use trawler_net::Validators;
use zstd::stream::write::{Decoder, Encoder};

use crate::crawler::Crawler;
use crate::failure::documents_failure;

/// A put in four of a usual feed of 90 MB, and all of an input that is in
/// memory: what larger buffers leave with the allocator, the parser has on top.
const PART_BYTES: usize = 4 * 1024 * 1024;

/// Bytes between two looks whether the job may go on.
const PIECE_BYTES: usize = 256 * 1024;

/// Feeds shrink to a sixth at the fastest level; the next ones take twice the
/// time for a tenth less.
const LEVEL: i32 = 1;

const PART: BlobMeta = BlobMeta {
    content_type: "application/zstd",
    immutable: true,
};

/// An input that was put away, or why it was not.
pub(crate) enum Packed {
    Parts(Box<RawInput>),
    /// The pipe keeps none.
    Nothing,
    Failed(String),
}

/// Keeps and finds the inputs of one pipe.
pub(crate) struct RawInputs<'a> {
    blobs: &'a dyn Blobs,
    documents: &'a Documents,
    clock: &'a dyn Clock,
    pipe: &'a Pipe,
    ctx: &'a JobContext,
}

impl<'a> RawInputs<'a> {
    pub(crate) fn of(crawler: &'a Crawler, pipe: &'a Pipe, ctx: &'a JobContext) -> Self {
        Self {
            blobs: &*crawler.ports.blobs,
            documents: &crawler.documents,
            clock: &*crawler.ports.clock,
            pipe,
            ctx,
        }
    }

    /// Puts the file among the blobs, before it is read: then the memory of the
    /// two does not add up. Nobody finds it until [`RawInputs::keep`].
    pub(crate) async fn pack(
        &self,
        run: &RunId,
        path: &Path,
        validators: Validators,
        truncated: Option<&str>,
    ) -> Result<Packed, Ending> {
        if self.pipe.judge.keep_raw == 0 {
            return Ok(Packed::Nothing);
        }
        let mut raw = RawInput {
            run: run.clone(),
            kept: self.clock.now(),
            prefix: RawInput::prefix(run, self.ctx.epoch()),
            parts: 0,
            bytes: 0,
            stored_bytes: 0,
            sha256: String::new(),
            etag: validators.etag,
            last_modified: validators.last_modified,
            truncated: truncated.map(str::to_owned),
        };
        Ok(match self.put_parts(path, &mut raw).await? {
            Ok(()) => Packed::Parts(Box::new(raw)),
            Err(reason) => {
                tracing::warn!(%run, %reason, "the input of {run} is not kept: {reason}");
                Packed::Failed(reason)
            }
        })
    }

    /// Keeps what was packed as the input of its run, and no more inputs than
    /// the pipe says; gives why not, if there is nothing to keep. For an input
    /// that could be read: one that could not has nobody to accept it.
    pub(crate) async fn keep(&self, packed: Packed) -> Result<Option<String>, Ending> {
        let wanted = self.pipe.judge.keep_raw as usize;
        let raw = match packed {
            Packed::Parts(raw) => raw,
            Packed::Nothing => {
                self.remove_others(None, wanted).await?;
                return Ok(None);
            }
            Packed::Failed(reason) => {
                return Ok(Some(format!(
                    "its input is not kept, so that it cannot be accepted later: {reason}"
                )));
            }
        };
        let put = self.documents.put(&RawInput::key(&raw.run), &raw).await;
        put.map_err(documents_failure)?;
        self.remove_others(Some(&raw), wanted).await?;
        Ok(None)
    }

    /// The kept input of a run, written to `path`.
    pub(crate) async fn fetch(&self, run: &RunId, path: &Path) -> Result<RawInput, Ending> {
        let found: Option<RawInput> = self
            .documents
            .get(&RawInput::key(run))
            .await
            .map_err(documents_failure)?;
        let raw = found.ok_or_else(|| {
            Ending::Failed(Failure::permanent(format!(
                "the input of run {run} is not kept any more; judge.keep_raw says how many are"
            )))
        })?;
        let failed = |error: String| {
            let reason = format!("write out the input of run {run}: {error}");
            Ending::Failed(Failure::transient(reason))
        };
        let file = File::create(path).map_err(|error| failed(error.to_string()))?;
        let sink = Sink {
            file,
            hash: Sha256::new(),
            left: raw.bytes,
        };
        let mut unpacking = Decoder::new(sink).map_err(|error| failed(error.to_string()))?;
        for key in raw.part_keys() {
            self.ctx.step().await?;
            let part = self.ctx.unless_told(self.blobs.get(&key, None)).await?;
            let part = part.map_err(|error| failed(chain(&error)))?;
            let work =
                tokio::task::spawn_blocking(move || unpacking.write_all(&part).map(|()| unpacking));
            let written = self.ctx.unless_told(work).await?;
            unpacking = written
                .map_err(|error| failed(error.to_string()))?
                .map_err(|error| failed(error.to_string()))?;
        }
        let flushed = unpacking.flush();
        flushed.map_err(|error| failed(error.to_string()))?;
        let found = hex::encode(unpacking.into_inner().hash.finalize());
        if found != raw.sha256 {
            return Err(Ending::Failed(Failure::permanent(format!(
                "the parts at {} are another content than that of run {run}",
                raw.prefix
            ))));
        }
        Ok(raw)
    }

    async fn put_parts(
        &self,
        path: &Path,
        raw: &mut RawInput,
    ) -> Result<Result<(), String>, Ending> {
        let mut packing = match Packing::open(path) {
            Ok(packing) => packing,
            Err(error) => return Ok(Err(format!("read {}: {error}", path.display()))),
        };
        loop {
            self.ctx.step().await?;
            let ctx = self.ctx.clone();
            let work = tokio::task::spawn_blocking(move || packing.next_part(&ctx));
            let part = match self.ctx.unless_told(work).await? {
                Ok(Ok(Some((left, part)))) => {
                    packing = left;
                    part
                }
                // Told to stop: the next look says how.
                Ok(Ok(None)) => {
                    self.ctx.step().await?;
                    return Ok(Err("it was interrupted".to_owned()));
                }
                Ok(Err(error)) => return Ok(Err(format!("pack {}: {error}", path.display()))),
                Err(error) => return Ok(Err(format!("pack {}: {error}", path.display()))),
            };
            let key = RawInput::part_key(&raw.prefix, raw.parts);
            raw.parts += 1;
            raw.stored_bytes += part.len() as u64;
            let put = self.blobs.put(&key, Bytes::from(part), PART);
            if let Err(error) = self.ctx.unless_told(put).await? {
                return Ok(Err(chain(&error)));
            }
            if packing.encoder.is_none() {
                raw.bytes = packing.bytes;
                raw.sha256 = hex::encode(packing.hash.finalize());
                return Ok(Ok(()));
            }
        }
    }

    /// Leaves the newest inputs. The document of one that goes goes first, so
    /// that nobody finds an input without its parts.
    async fn remove_others(&self, mine: Option<&RawInput>, wanted: usize) -> Result<(), Ending> {
        let pipe = &self.pipe.id;
        let all = self.documents.keys(&RawInput::of_pipe(pipe)).await;
        let mut kept = all.map_err(documents_failure)?;
        if kept.is_empty() {
            return Ok(());
        }
        // In order of time; this run may be an older one.
        for old in kept.drain(..kept.len().saturating_sub(wanted)) {
            let deleted = self.documents.delete(&old).await;
            deleted.map_err(documents_failure)?;
        }
        if let Err(reason) = self.remove_parts(pipe, mine, &kept).await {
            tracing::debug!(%pipe, %reason, "old inputs of pipe {pipe} are removed with the next: {reason}");
        }
        Ok(())
    }

    async fn remove_parts(
        &self,
        pipe: &PipeId,
        mine: Option<&RawInput>,
        kept: &[String],
    ) -> Result<(), String> {
        let prefix = RawInput::of_pipe(pipe);
        let mut after: Option<String> = None;
        loop {
            let page = self.blobs.list(&prefix, after.as_deref(), keys::LIST_MAX);
            let page = page.await.map_err(|error| chain(&error))?;
            let is_last = page.len() < keys::LIST_MAX;
            after = page.last().map(|entry| entry.key.clone());
            let is_left = |key: &str| {
                let Some((of_run, _)) = key.rsplit_once('-') else {
                    return true;
                };
                // Other deliveries of this run put theirs in vain.
                let in_vain = |mine: &RawInput| {
                    of_run == RawInput::key(&mine.run)
                        && !key.starts_with(&format!("{}/", mine.prefix))
                };
                kept.iter().any(|kept| kept == of_run) && !mine.is_some_and(in_vain)
            };
            let old = page.into_iter().map(|entry| entry.key);
            let old: Vec<String> = old.filter(|key| !is_left(key)).collect();
            for old in old.chunks(DELETE_MAX) {
                let deleted = self.blobs.delete(old).await;
                deleted.map_err(|error| chain(&error))?;
            }
            if is_last {
                return Ok(());
            }
        }
    }
}

/// A file on its way into parts.
struct Packing {
    file: File,
    /// Gone when the last part is made.
    encoder: Option<Encoder<'static, Vec<u8>>>,
    hash: Sha256,
    bytes: u64,
}

impl Packing {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: File::open(path)?,
            encoder: Some(Encoder::new(Vec::new(), LEVEL)?),
            hash: Sha256::new(),
            bytes: 0,
        })
    }

    /// Blocks. `None` when the job has to stop.
    fn next_part(mut self, ctx: &JobContext) -> io::Result<Option<(Self, Vec<u8>)>> {
        let mut piece = vec![0; PIECE_BYTES];
        if let Some(encoder) = &mut self.encoder {
            // Room for the piece that fills it too, so that it is never moved
            // to grow; and not before the part before it is put and gone.
            encoder
                .get_mut()
                .reserve_exact(PART_BYTES + 2 * PIECE_BYTES);
        }
        while let Some(mut encoder) = self.encoder.take() {
            if ctx.interrupted().is_some() {
                return Ok(None);
            }
            let read = self.file.read(&mut piece)?;
            if read == 0 {
                return Ok(Some((self, encoder.finish()?)));
            }
            self.hash.update(&piece[..read]);
            self.bytes += read as u64;
            encoder.write_all(&piece[..read])?;
            let packed = encoder.get_ref().len() >= PART_BYTES;
            let part = packed.then(|| std::mem::take(encoder.get_mut()));
            self.encoder = Some(encoder);
            if let Some(part) = part {
                return Ok(Some((self, part)));
            }
        }
        Ok(None)
    }
}

/// The file that parts are unpacked to; more than was packed is an error.
struct Sink {
    file: File,
    hash: Sha256,
    left: u64,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or_else(|| io::Error::other("it is longer than what was kept"))?;
        self.hash.update(bytes);
        self.file.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

//! Where a body goes: into memory, or onto disk with its hash.
//!
//! Sinks only write; caps and decoding are the pipeline's.

use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use crate::error::Fault;
use crate::memory::Claim;

/// Room reserved beyond a cap, for the piece that goes over it.
const SLACK_BYTES: usize = 64 * 1024;
/// Room reserved on a server's word.
const EXPECTED_BYTES_MAX: usize = 256 * 1024;
/// Writes to disk are of this size.
const WRITE_BYTES: usize = 256 * 1024;

/// Takes a decoded body.
pub(crate) trait Sink: Send + 'static {
    type Body: Send + 'static;
    /// Whether its work blocks and has to leave the reactor.
    const BLOCKS: bool;
    /// Whether its result says that the body is not whole. Only such a sink may
    /// be given a cut one.
    const TELLS_TRUNCATION: bool;
    /// Whether it takes what the caps let in of a body and leaves the rest.
    const IS_PREFIX: bool = false;
    /// Told how much will come, if that is known; may be a lie.
    fn expect(&mut self, _bytes: u64) {}
    /// Waits for the room that so many bytes more take. Asked before `write`
    /// where the reactor writes; elsewhere `write` waits for itself.
    fn room(&mut self, _bytes: usize) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
    fn write(&mut self, piece: &[u8]) -> Result<(), Fault>;
    fn finish(self, counted: Counted) -> Result<Self::Body, Fault>;
}

/// Sizes of a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted {
    pub(crate) raw_bytes: u64,
    pub(crate) decoded_bytes: u64,
    pub(crate) truncated: Option<Truncation>,
}

/// How far a body came that was cut off, in bytes as served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truncation {
    /// What came.
    pub got_bytes: u64,
    /// What Content-Length promised, if it was there and promised more.
    pub expected_bytes: Option<u64>,
}

impl fmt::Display for Truncation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let got = grouped(self.got_bytes);
        match self.expected_bytes {
            Some(expected) => write!(f, "{got} of {} bytes arrived", grouped(expected)),
            None => write!(f, "the body broke off after {got} bytes"),
        }
    }
}

/// A number with a comma before every three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A body in memory.
pub(crate) struct BytesSink {
    held: Vec<u8>,
    bytes_max: usize,
    claim: Claim,
}

impl BytesSink {
    pub(crate) fn new(bytes_max: u64, claim: Claim) -> Self {
        Self {
            held: Vec::new(),
            bytes_max: usize::try_from(bytes_max).unwrap_or(usize::MAX),
            claim,
        }
    }

    /// The capacity with which so many bytes more fit: doubling as usual, but
    /// never far beyond the cap.
    fn capacity_for(&self, more: usize) -> usize {
        let (needed, capacity) = (self.held.len() + more, self.held.capacity());
        if needed <= capacity {
            return capacity;
        }
        let doubled = capacity.saturating_mul(2);
        let wanted = doubled.min(self.bytes_max.saturating_add(SLACK_BYTES));
        wanted.max(needed)
    }
}

/// A body in memory with the room that it claims.
struct Claimed {
    body: Vec<u8>,
    _claim: Claim,
}

impl AsRef<[u8]> for Claimed {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Sink for BytesSink {
    type Body = Bytes;
    const BLOCKS: bool = false;
    const TELLS_TRUNCATION: bool = false;

    fn expect(&mut self, bytes: u64) {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let expected = bytes.min(EXPECTED_BYTES_MAX);
        if self.claim.try_grow(expected) {
            self.held.reserve_exact(expected);
        }
    }

    async fn room(&mut self, bytes: usize) {
        let capacity = self.capacity_for(bytes);
        self.claim.grow(capacity).await;
    }

    fn write(&mut self, piece: &[u8]) -> Result<(), Fault> {
        let capacity = self.capacity_for(piece.len());
        if capacity > self.held.capacity() {
            if !self.claim.try_grow(capacity) {
                // On the blocking pool: the reactor has asked for room.
                Handle::current().block_on(self.claim.grow(capacity));
            }
            self.held.reserve_exact(capacity - self.held.len());
        }
        self.held.extend_from_slice(piece);
        Ok(())
    }

    fn finish(self, _: Counted) -> Result<Bytes, Fault> {
        if self.claim.is_free() {
            return Ok(Bytes::from(self.held));
        }
        Ok(Bytes::from_owner(Claimed {
            body: self.held,
            _claim: self.claim,
        }))
    }
}

/// The beginning of a body, in memory.
#[derive(Debug, Clone)]
pub struct Prefix {
    /// What came, up to the request's caps.
    pub bytes: Bytes,
    /// Whether it is all of the body.
    pub is_whole: bool,
}

/// Takes the beginning of a body into memory.
pub(crate) struct PrefixSink(pub(crate) BytesSink);

impl Sink for PrefixSink {
    type Body = Prefix;
    const BLOCKS: bool = false;
    const TELLS_TRUNCATION: bool = true;
    const IS_PREFIX: bool = true;

    async fn room(&mut self, bytes: usize) {
        self.0.room(bytes).await;
    }

    fn write(&mut self, piece: &[u8]) -> Result<(), Fault> {
        self.0.write(piece)
    }

    fn finish(self, counted: Counted) -> Result<Prefix, Fault> {
        Ok(Prefix {
            bytes: self.0.finish(counted)?,
            is_whole: counted.truncated.is_none(),
        })
    }
}

/// A body on disk, synced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileBody {
    /// Where it lies.
    pub path: PathBuf,
    /// Bytes as served.
    pub raw_bytes: u64,
    /// Bytes in the file, Content-Encoding removed.
    pub decoded_bytes: u64,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// What is missing. `None` is a whole body, always so unless the request
    /// says [`Request::keep_truncated`](crate::Request::keep_truncated).
    pub truncated: Option<Truncation>,
}

/// Writes under a temporary name beside the wanted one; the wanted name only
/// ever holds a finished body. What is not finished is removed when dropped.
pub(crate) struct FileSink {
    part: Part,
    path: PathBuf,
    file: BufWriter<File>,
    hash: Sha256,
}

struct Part {
    path: PathBuf,
    kept: bool,
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.kept {
            // Nothing reads the part; a leftover is cleaned with its folder.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn disk(path: &Path) -> impl Fn(std::io::Error) -> Fault {
    move |source| Fault::Disk {
        path: path.to_owned(),
        source,
    }
}

impl FileSink {
    pub(crate) fn create(path: &Path) -> Result<Self, Fault> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}-{number}.part", std::process::id()));
        let part = path.with_file_name(name);
        let file = File::create(&part).map_err(disk(&part))?;
        Ok(Self {
            part: Part {
                path: part,
                kept: false,
            },
            path: path.to_owned(),
            file: BufWriter::with_capacity(WRITE_BYTES, file),
            hash: Sha256::new(),
        })
    }
}

impl Sink for FileSink {
    type Body = FileBody;
    const BLOCKS: bool = true;
    const TELLS_TRUNCATION: bool = true;

    fn write(&mut self, piece: &[u8]) -> Result<(), Fault> {
        self.hash.update(piece);
        self.file.write_all(piece).map_err(disk(&self.path))
    }

    fn finish(mut self, counted: Counted) -> Result<FileBody, Fault> {
        let failed = disk(&self.path);
        self.file.flush().map_err(&failed)?;
        self.file.get_ref().sync_all().map_err(&failed)?;
        std::fs::rename(&self.part.path, &self.path).map_err(&failed)?;
        self.part.kept = true;
        if let Some(folder) = self.path.parent().filter(|p| !p.as_os_str().is_empty()) {
            // The name is as durable as the bytes only when its folder is too.
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(&failed)?;
        }
        Ok(FileBody {
            path: self.path.clone(),
            raw_bytes: counted.raw_bytes,
            decoded_bytes: counted.decoded_bytes,
            sha256: self.hash.finalize().into(),
            truncated: counted.truncated,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncation_says_what_is_missing() {
        let check = |got_bytes, expected_bytes, expected: &str| {
            let found = Truncation {
                got_bytes,
                expected_bytes,
            };
            assert_eq!(found.to_string(), expected);
        };
        check(4096, Some(10_000), "4,096 of 10,000 bytes arrived");
        check(7, Some(1_234_567), "7 of 1,234,567 bytes arrived");
        check(123, None, "the body broke off after 123 bytes");
        check(1_000, None, "the body broke off after 1,000 bytes");
    }
}

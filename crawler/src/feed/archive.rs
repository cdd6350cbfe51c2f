//! Decompression of the feed file, told by its first bytes or declared, with
//! caps on what comes out.

use std::io::{self, Chain, Cursor, Read};

use trawler_core::feed::{Compression, FeedLimits};

use super::control::Control;
use super::error::{FeedError, Incomplete};
use super::inflate::{Deflate, Gzip, Zip};

/// Bytes that tell an archive.
const MAGIC_BYTES: usize = 4;

/// Compression ratios mean nothing before this much came out: a short file
/// of blanks is no bomb.
const RATIO_FROM_BYTES: u64 = 16 << 20;

/// Largest window of zstd, as power of two: 8 MiB is what its levels up to 19
/// ask for, 32 MiB leaves room inside 64 MB of parser memory.
const ZSTD_WINDOW_LOG_MAX: u32 = 25;

/// Buffer of the brotli decoder.
const BROTLI_BUFFER_BYTES: usize = 32 << 10;

type Head = Cursor<Vec<u8>>;

/// The input, counted.
pub(super) struct Counted<'c, R> {
    input: R,
    control: &'c Control<'c>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let bytes = retry(|| self.input.read(out)).map_err(|source| {
            let offset = self.control.progress().bytes_read;
            match source.kind() {
                io::ErrorKind::UnexpectedEof => self.control.incomplete(Incomplete::Truncated {
                    what: "input",
                    offset,
                }),
                _ => self.control.error(FeedError::Io { offset, source }),
            }
        })?;
        self.control.read(bytes);
        Ok(bytes)
    }
}

fn retry(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Decoded bytes of the feed.
pub(super) struct Decoded<'c> {
    inner: Box<dyn Read + 'c>,
    control: &'c Control<'c>,
    archive: Option<&'static str>,
    decoded_bytes_max: u64,
    ratio_max: u32,
}

/// Opens the feed; gives the compression found.
pub(super) fn open<'c, R: Read + 'c>(
    input: R,
    declared: Compression,
    limits: &FeedLimits,
    control: &'c Control<'c>,
) -> io::Result<(Decoded<'c>, Compression)> {
    let mut input = Counted { input, control };
    let mut head = vec![0; MAGIC_BYTES];
    let mut filled = 0;
    while filled < MAGIC_BYTES {
        match input.read(&mut head[filled..])? {
            0 => break,
            bytes => filled += bytes,
        }
    }
    head.truncate(filled);
    let compression = match declared {
        Compression::Auto => sniff(&head),
        declared => declared,
    };
    let whole: Chain<Head, Counted<'c, R>> = Cursor::new(head).chain(input);
    let (inner, archive): (Box<dyn Read + 'c>, _) = match compression {
        Compression::Auto | Compression::None => (Box::new(whole), None),
        Compression::Gzip => (Box::new(Gzip::new(whole, control)), Some("gzip")),
        Compression::Deflate => (Box::new(Deflate::new(whole, control)), Some("deflate")),
        Compression::Zip => (Box::new(Zip::new(whole, control)), Some("zip")),
        Compression::Zstd => (zstd_reader(whole, control)?, Some("zstd")),
        Compression::Brotli => (Box::new(Brotli::new(whole, control)), Some("brotli")),
    };
    let decoded = Decoded {
        inner,
        control,
        archive,
        decoded_bytes_max: limits.decoded_bytes_max,
        ratio_max: limits.compression_ratio_max,
    };
    Ok((decoded, compression))
}

fn sniff(head: &[u8]) -> Compression {
    match head {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd] => Compression::Zstd,
        [b'P', b'K', 3, 4] => Compression::Zip,
        // `x^`, a zlib header too, may as well open a plain text: declare it.
        [0x78, 0x01 | 0x9c | 0xda, ..] => Compression::Deflate,
        _ => Compression::None,
    }
}

fn zstd_reader<'c, R: Read + 'c>(
    input: R,
    control: &'c Control<'c>,
) -> io::Result<Box<dyn Read + 'c>> {
    let set_up = |source| control.error(FeedError::Io { offset: 0, source });
    let mut decoder = zstd::stream::read::Decoder::new(input).map_err(set_up)?;
    decoder
        .window_log_max(ZSTD_WINDOW_LOG_MAX)
        .map_err(set_up)?;
    Ok(Box::new(decoder))
}

/// Brotli reports a cut-off and a corrupt stream alike; whether the input had
/// ended tells them apart.
struct Brotli<'c, R: Read> {
    decoder: brotli::Decompressor<Ending<R>>,
    control: &'c Control<'c>,
}

struct Ending<R> {
    input: R,
    ended: bool,
}

impl<R: Read> Read for Ending<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let bytes = self.input.read(out)?;
        self.ended |= bytes == 0;
        Ok(bytes)
    }
}

impl<'c, R: Read> Brotli<'c, R> {
    fn new(input: R, control: &'c Control<'c>) -> Self {
        let ending = Ending {
            input,
            ended: false,
        };
        Self {
            decoder: brotli::Decompressor::new(ending, BROTLI_BUFFER_BYTES),
            control,
        }
    }
}

impl<R: Read> Read for Brotli<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.decoder.read(out).map_err(|error| {
            let offset = self.control.progress().bytes_read;
            if self.decoder.get_ref().ended {
                self.control.incomplete(Incomplete::Truncated {
                    what: "brotli",
                    offset,
                })
            } else {
                let why = error.to_string();
                self.control.error(FeedError::Corrupt {
                    archive: "brotli",
                    offset,
                    why,
                })
            }
        })
    }
}

impl Decoded<'_> {
    fn explain(&self, error: io::Error) -> io::Error {
        if self.control.has_fault() {
            return error;
        }
        let offset = self.control.progress().bytes_read;
        match (self.archive, error.kind()) {
            (Some(archive), io::ErrorKind::UnexpectedEof) => {
                self.control.incomplete(Incomplete::Truncated {
                    what: archive,
                    offset,
                })
            }
            (Some(archive), _) => self.control.error(FeedError::Corrupt {
                archive,
                offset,
                why: error.to_string(),
            }),
            (None, _) => self.control.error(FeedError::Io {
                offset,
                source: error,
            }),
        }
    }
}

impl Read for Decoded<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let bytes = match retry(|| self.inner.read(out)) {
            Ok(bytes) => bytes,
            Err(error) => return Err(self.explain(error)),
        };
        self.control.decoded(bytes)?;
        let progress = self.control.progress();
        if progress.bytes_decoded > self.decoded_bytes_max {
            let max = self.decoded_bytes_max;
            return Err(self.control.error(FeedError::TooLarge { max }));
        }
        let allowed = progress
            .bytes_read
            .saturating_mul(u64::from(self.ratio_max));
        let judged = self.archive.is_some() && progress.bytes_decoded > RATIO_FROM_BYTES;
        if judged && progress.bytes_decoded > allowed {
            return Err(self.control.error(FeedError::Bomb {
                decoded: progress.bytes_decoded,
                read: progress.bytes_read,
                max: self.ratio_max,
            }));
        }
        Ok(bytes)
    }
}

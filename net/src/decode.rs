//! Content-Encoding removed piece by piece: gzip, deflate (zlib or raw), br,
//! zstd, and chains of two.
//!
//! Pure in-memory work: bytes in, bytes out through a closure in pieces of at
//! most [`PIECE_BYTES`], so that a cap in the closure stops a bomb after one
//! piece. Compression of the file itself (a `.gz` feed) is not touched.

use brotli::enc::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};
use flate2::{Crc, Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, InBuffer, Operation, OutBuffer};

/// Size of the output buffer of a decoder: what is produced beyond a cap.
pub(crate) const PIECE_BYTES: usize = 32 * 1024;
/// More codings than this on one body are an attack or a mistake.
pub(crate) const CODINGS_MAX: usize = 2;
/// RFC 9659 bounds the window of zstd as a content coding to 8 MiB (2^23).
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// A gzip head carries a name and comment at most; 64 KiB is far beyond both.
const GZIP_HEAD_BYTES_MAX: usize = 64 * 1024;

/// Why decoding stopped.
#[derive(Debug)]
pub(crate) enum DecodeFault<E> {
    /// The input is not of that coding.
    Invalid(&'static str, String),
    /// The closure that takes the output refused it.
    Output(E),
}

/// The codings that a Content-Encoding header names, in the order in which they
/// are to be removed. Labels that are seen in the wild and mean nothing
/// (identity, a charset, `aws-chunked`) are skipped; an unknown one is an error.
pub(crate) fn decoders(header: &str) -> Result<Vec<Decoder>, (String, String)> {
    let mut chain = Vec::new();
    for label in header.split(',').rev() {
        let label = label.trim().to_ascii_lowercase();
        let decoder = match label.as_str() {
            "gzip" | "x-gzip" => Ok(Decoder::Gzip(Box::default())),
            "deflate" | "x-deflate" => Ok(Decoder::Deflate(Deflate::default())),
            "br" => Ok(Decoder::Brotli(Box::default())),
            "zstd" => ZstdBody::new().map(Decoder::Zstd),
            "" | "identity" | "none" | "binary" | "8bit" | "utf-8" | "utf8" | "euc-kr"
            | "aws-chunked" => continue,
            _ => Err("this coding is not known; gzip, deflate, br and zstd are".to_owned()),
        };
        chain.push(decoder.map_err(|why| (label, why))?);
    }
    if chain.len() > CODINGS_MAX {
        let why = format!("{} codings on one body; at most {CODINGS_MAX}", chain.len());
        return Err((header.to_owned(), why));
    }
    Ok(chain)
}

/// Puts `input` through every decoder of the chain.
pub(crate) fn push_through<E>(
    chain: &mut [Decoder],
    input: &[u8],
    output: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), DecodeFault<E>> {
    let Some((first, rest)) = chain.split_first_mut() else {
        return output(input).map_err(DecodeFault::Output);
    };
    let mut inner = None;
    let passed = first.push(input, &mut |piece| {
        push_through(rest, piece, output).map_err(|fault| inner = Some(fault))
    });
    match (passed, inner) {
        (_, Some(fault)) => Err(fault),
        (Err(DecodeFault::Invalid(coding, why)), None) => Err(DecodeFault::Invalid(coding, why)),
        // The closure leaves its fault in `inner` whenever it fails.
        (Err(DecodeFault::Output(())) | Ok(()), None) => Ok(()),
    }
}

/// One coding being removed.
pub(crate) enum Decoder {
    Gzip(Box<Gzip>),
    Deflate(Deflate),
    Brotli(Box<BrotliBody>),
    Zstd(ZstdBody),
}

type Output<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), ()>;
type Pushed = Result<(), DecodeFault<()>>;

impl Decoder {
    fn push(&mut self, input: &[u8], output: Output<'_>) -> Pushed {
        match self {
            Self::Gzip(gzip) => gzip.push(input, output),
            Self::Deflate(deflate) => deflate.push(input, output),
            Self::Brotli(brotli) => brotli.push(input, output),
            Self::Zstd(zstd) => zstd.push(input, output),
        }
    }

    /// Whether the coding's own end was seen. A body that stops before it was
    /// cut off, even if its length in bytes is the announced one. An empty body
    /// is whole.
    pub(crate) fn is_finished(&self) -> bool {
        match self {
            Self::Gzip(gzip) => gzip.is_finished(),
            Self::Deflate(deflate) => {
                deflate.done || deflate.inflater.is_none() && deflate.head.is_empty()
            }
            Self::Brotli(brotli) => brotli.done || !brotli.begun,
            Self::Zstd(zstd) => zstd.between_frames,
        }
    }
}

/// Inflates until the input is used up or the stream ends; gives the number of
/// input bytes used and whether the end was reached.
fn inflate(
    inflater: &mut Decompress,
    input: &[u8],
    coding: &'static str,
    output: &mut dyn FnMut(&[u8]) -> Result<(), ()>,
) -> Result<(usize, bool), DecodeFault<()>> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut used = 0;
    loop {
        let (in_before, out_before) = (inflater.total_in(), inflater.total_out());
        let status = inflater
            .decompress(&input[used..], &mut piece, FlushDecompress::None)
            .map_err(|error| DecodeFault::Invalid(coding, error.to_string()))?;
        let took = length(inflater.total_in() - in_before);
        let gave = length(inflater.total_out() - out_before);
        used += took;
        if gave > 0 {
            output(&piece[..gave]).map_err(DecodeFault::Output)?;
        }
        match status {
            Status::StreamEnd => return Ok((used, true)),
            Status::Ok | Status::BufError if took == 0 && gave == 0 => return Ok((used, false)),
            Status::Ok | Status::BufError => {}
        }
    }
}

fn length(count: u64) -> usize {
    usize::try_from(count).expect("a piece fits into memory")
}

#[derive(Default)]
enum GzipState {
    #[default]
    Head,
    Body,
    Tail,
    /// Bytes after the last member, which are padding or junk and are ignored
    /// as browsers do.
    Junk,
}

/// gzip, of one or several members.
#[derive(Default)]
pub(crate) struct Gzip {
    state: GzipState,
    /// Bytes of a head or tail that is not complete yet.
    held: Vec<u8>,
    inflater: Option<Decompress>,
    crc: Crc,
    members: u32,
}

impl Gzip {
    const CODING: &'static str = "gzip";

    fn is_finished(&self) -> bool {
        match self.state {
            GzipState::Head => self.held.is_empty(),
            GzipState::Junk => true,
            GzipState::Body | GzipState::Tail => false,
        }
    }

    fn invalid(why: &str) -> DecodeFault<()> {
        DecodeFault::Invalid(Self::CODING, why.to_owned())
    }

    fn push(&mut self, mut input: &[u8], output: Output<'_>) -> Pushed {
        while !input.is_empty() {
            match self.state {
                GzipState::Junk => return Ok(()),
                GzipState::Head => input = self.head(input)?,
                GzipState::Body => {
                    let inflater = self
                        .inflater
                        .as_mut()
                        .expect("the head of the member made it");
                    let crc = &mut self.crc;
                    let mut counted = |piece: &[u8]| {
                        crc.update(piece);
                        output(piece)
                    };
                    let (used, end) = inflate(inflater, input, Self::CODING, &mut counted)?;
                    input = &input[used..];
                    if end {
                        self.state = GzipState::Tail;
                    }
                }
                GzipState::Tail => input = self.tail(input)?,
            }
        }
        Ok(())
    }

    fn head<'a>(&mut self, input: &'a [u8]) -> Result<&'a [u8], DecodeFault<()>> {
        let before = self.held.len();
        self.held.extend_from_slice(input);
        match gzip_head(&self.held) {
            Head::Length(length) => {
                self.held.clear();
                match &mut self.inflater {
                    Some(inflater) => inflater.reset(false),
                    None => self.inflater = Some(Decompress::new(false)),
                }
                self.crc.reset();
                self.state = GzipState::Body;
                Ok(&input[length - before..])
            }
            Head::More if self.held.len() > GZIP_HEAD_BYTES_MAX => {
                Err(Self::invalid("its head does not end"))
            }
            Head::More => Ok(&[]),
            Head::Wrong if self.members > 0 => {
                self.held.clear();
                self.state = GzipState::Junk;
                Ok(&[])
            }
            Head::Wrong => Err(Self::invalid("it does not begin as gzip does (1f 8b 08)")),
        }
    }

    fn tail<'a>(&mut self, input: &'a [u8]) -> Result<&'a [u8], DecodeFault<()>> {
        let wanted = 8 - self.held.len();
        let (part, rest) = input.split_at(wanted.min(input.len()));
        self.held.extend_from_slice(part);
        let Ok(tail) = <[u8; 8]>::try_from(self.held.as_slice()) else {
            return Ok(rest);
        };
        let [a, b, c, d, e, f, g, h] = tail;
        if u32::from_le_bytes([a, b, c, d]) != self.crc.sum() {
            return Err(Self::invalid("its checksum does not match"));
        }
        if u32::from_le_bytes([e, f, g, h]) != self.crc.amount() {
            return Err(Self::invalid("its length does not match"));
        }
        self.held.clear();
        self.members += 1;
        self.state = GzipState::Head;
        Ok(rest)
    }
}

enum Head {
    Length(usize),
    More,
    Wrong,
}

/// Length of the gzip head (RFC 1952) at the beginning of `bytes`.
fn gzip_head(bytes: &[u8]) -> Head {
    let magic = [0x1f, 0x8b, 8];
    let known = bytes.len().min(magic.len());
    if bytes[..known] != magic[..known] {
        return Head::Wrong;
    }
    if bytes.len() < 10 {
        return Head::More;
    }
    let flags = bytes[3];
    let mut at = 10;
    if flags & 4 != 0 {
        let Some(&[low, high]) = bytes.get(at..at + 2).and_then(|two| two.first_chunk()) else {
            return Head::More;
        };
        at += 2 + usize::from(u16::from_le_bytes([low, high]));
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            let end = bytes
                .get(at..)
                .and_then(|rest| rest.iter().position(|&byte| byte == 0));
            let Some(end) = end else { return Head::More };
            at += end + 1;
        }
    }
    if flags & 2 != 0 {
        at += 2;
    }
    if bytes.len() < at {
        return Head::More;
    }
    Head::Length(at)
}

/// deflate: zlib by the standard, raw by some servers; the first two bytes tell.
#[derive(Default)]
pub(crate) struct Deflate {
    head: Vec<u8>,
    inflater: Option<Decompress>,
    done: bool,
}

impl Deflate {
    fn push(&mut self, input: &[u8], output: Output<'_>) -> Pushed {
        let joined;
        let mut input = input;
        if self.done || input.is_empty() {
            return Ok(());
        }
        if self.inflater.is_none() {
            self.head.extend_from_slice(input);
            let Some(&[method, check]) = self.head.first_chunk() else {
                return Ok(());
            };
            let sum = u16::from_be_bytes([method, check]);
            let zlib = method & 0x0f == 8 && sum.is_multiple_of(31);
            self.inflater = Some(Decompress::new(zlib));
            joined = std::mem::take(&mut self.head);
            input = &joined;
        }
        let inflater = self.inflater.as_mut().expect("made above");
        let (_, end) = inflate(inflater, input, "deflate", output)?;
        self.done = end;
        Ok(())
    }
}

/// Brotli.
pub(crate) struct BrotliBody {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    total: usize,
    begun: bool,
    done: bool,
}

impl Default for BrotliBody {
    fn default() -> Self {
        let alloc = StandardAlloc::default;
        Self {
            state: BrotliState::new(alloc(), alloc(), alloc()),
            total: 0,
            begun: false,
            done: false,
        }
    }
}

impl BrotliBody {
    fn push(&mut self, input: &[u8], output: Output<'_>) -> Pushed {
        if self.done || input.is_empty() {
            return Ok(());
        }
        self.begun = true;
        let mut piece = vec![0; PIECE_BYTES];
        let (mut left, mut at) = (input.len(), 0);
        loop {
            let (mut room, mut gave) = (piece.len(), 0);
            let result = BrotliDecompressStream(
                &mut left,
                &mut at,
                input,
                &mut room,
                &mut gave,
                &mut piece,
                &mut self.total,
                &mut self.state,
            );
            if gave > 0 {
                output(&piece[..gave]).map_err(DecodeFault::Output)?;
            }
            match result {
                BrotliResult::NeedsMoreOutput => {}
                BrotliResult::NeedsMoreInput => return Ok(()),
                BrotliResult::ResultSuccess => {
                    self.done = true;
                    return Ok(());
                }
                BrotliResult::ResultFailure => {
                    let why = "its data is damaged".to_owned();
                    return Err(DecodeFault::Invalid("br", why));
                }
            }
        }
    }
}

/// zstd, of one or several frames.
pub(crate) struct ZstdBody {
    inner: zstd::stream::raw::Decoder<'static>,
    between_frames: bool,
}

impl ZstdBody {
    fn new() -> Result<Self, String> {
        let text = |error: std::io::Error| error.to_string();
        let mut inner = zstd::stream::raw::Decoder::new().map_err(text)?;
        inner
            .set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))
            .map_err(text)?;
        Ok(Self {
            inner,
            between_frames: true,
        })
    }

    fn push(&mut self, input: &[u8], output: Output<'_>) -> Pushed {
        if input.is_empty() {
            return Ok(());
        }
        let mut piece = vec![0; PIECE_BYTES];
        let mut source = InBuffer::around(input);
        loop {
            let full = {
                let mut out = OutBuffer::around(&mut piece);
                let hint = self
                    .inner
                    .run(&mut source, &mut out)
                    .map_err(|error| DecodeFault::Invalid("zstd", error.to_string()))?;
                self.between_frames = hint == 0;
                out.pos()
            };
            if full > 0 {
                output(&piece[..full]).map_err(DecodeFault::Output)?;
            }
            // A full buffer may leave more behind, but not at the end of a frame:
            // to ask once more there would be to begin another.
            let drained = full < PIECE_BYTES || self.between_frames;
            if source.pos() == input.len() && drained {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn raw(bytes: &[u8]) -> Vec<u8> {
        let mut encoder =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn brotli(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 4, 22);
        encoder.write_all(bytes).unwrap();
        encoder.into_inner()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 1).unwrap()
    }

    fn text() -> Vec<u8> {
        (0..20_000_u32)
            .flat_map(|n| format!("{n}\tproduct {}\n", n * 7).into_bytes())
            .collect()
    }

    fn decode(header: &str, body: &[u8], step: usize) -> Result<(Vec<u8>, bool), String> {
        let mut chain = decoders(header).map_err(|(label, why)| format!("{label}: {why}"))?;
        let mut out = Vec::new();
        for piece in body.chunks(step.max(1)) {
            push_through(&mut chain, piece, &mut |bytes: &[u8]| {
                out.extend_from_slice(bytes);
                Ok::<(), ()>(())
            })
            .map_err(|fault| format!("{fault:?}"))?;
        }
        Ok((out, chain.iter().all(Decoder::is_finished)))
    }

    #[test]
    fn every_coding_comes_out_whole_however_it_is_cut() {
        let text = text();
        let check = |header: &str, body: Vec<u8>| {
            for step in [1, 7, 1000, body.len()] {
                let (out, finished) = decode(header, &body, step).unwrap();
                assert!(out == text, "{header} in steps of {step}");
                assert!(finished, "{header} in steps of {step}");
            }
            let (_, finished) = decode(header, &body[..body.len() / 2], 1000).unwrap();
            assert!(!finished, "half of {header} is not whole");
        };
        check("gzip", gzip(&text));
        check("X-GZIP", gzip(&text));
        check("deflate", zlib(&text));
        check("deflate", raw(&text));
        check("br", brotli(&text));
        check("zstd", zstd(&text));
        check("gzip, br", brotli(&gzip(&text)));
        check("identity, gzip", gzip(&text));
    }

    #[test]
    fn members_frames_and_junk() {
        let check = |header: &str, body: Vec<u8>, expected: &str| {
            for step in [1, body.len()] {
                let (out, finished) = decode(header, &body, step).unwrap();
                assert_eq!(String::from_utf8(out).unwrap(), expected);
                assert!(finished);
            }
        };
        check("gzip", [gzip(b"one "), gzip(b"two")].concat(), "one two");
        check("gzip", [gzip(b"one"), vec![0; 300]].concat(), "one");
        check("zstd", [zstd(b"one "), zstd(b"two")].concat(), "one two");
        check("gzip", Vec::new(), "");
        check("br", Vec::new(), "");
        check("deflate", Vec::new(), "");
        check("zstd", Vec::new(), "");
        check("utf-8", b"as it is".to_vec(), "as it is");
    }

    #[test]
    fn a_gzip_head_with_every_field_is_skipped() {
        let mut encoder = flate2::GzBuilder::new()
            .filename("feed.tsv")
            .comment("daily")
            .extra(vec![1, 2, 3])
            .write(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"body").unwrap();
        let body = encoder.finish().unwrap();
        assert_eq!(decode("gzip", &body, 1).unwrap(), (b"body".to_vec(), true));
    }

    #[test]
    fn damage_is_told() {
        let check = |header: &str, body: Vec<u8>, part: &str| {
            let error = decode(header, &body, 500).unwrap_err();
            assert!(error.contains(part), "{header}: {error}");
        };
        let mut damaged = gzip(&text());
        let last = damaged.len() - 6;
        damaged[last] ^= 1;
        check("gzip", damaged, "checksum");
        check("gzip", b"<html>".to_vec(), "does not begin");
        check("zstd", b"<html><body>".to_vec(), "zstd");
        check("br", vec![0xff; 100], "br");
        check("deflate", b"<html><body>".to_vec(), "deflate");
        check("compress", Vec::new(), "not known");
        check("gzip, gzip, gzip", Vec::new(), "at most 2");
    }

    #[test]
    fn a_zstd_frame_that_fills_the_last_piece_is_whole() {
        for pieces in [1, 2, 32] {
            let plain = vec![7; pieces * PIECE_BYTES];
            let (once, twice) = (zstd(&plain), zstd(&plain).repeat(2));
            for step in [1, 7, usize::MAX] {
                let (out, finished) = decode("zstd", &once, step).unwrap();
                assert!(out == plain && finished, "{pieces} pieces by {step}");
                let (out, finished) = decode("zstd", &twice, step).unwrap();
                assert!(out.len() == 2 * plain.len() && finished);
            }
        }
    }

    #[test]
    fn a_bomb_stops_one_piece_after_the_cap() {
        let zeros = vec![0; 16 * 1024 * 1024];
        let check = |header: &str, body: Vec<u8>| {
            let mut chain = decoders(header).unwrap();
            let mut seen = 0;
            let cap = 1024 * 1024;
            let stopped = push_through(&mut chain, &body, &mut |piece: &[u8]| {
                seen += piece.len();
                if seen > cap { Err(()) } else { Ok(()) }
            });
            assert!(stopped.is_err(), "{header}");
            assert!(seen <= cap + PIECE_BYTES, "{header}: {seen}");
        };
        check("gzip", gzip(&zeros));
        check("deflate", zlib(&zeros));
        check("br", brotli(&zeros));
        check("zstd", zstd(&zeros));
        check("gzip, gzip", gzip(&gzip(&zeros)));
    }
}

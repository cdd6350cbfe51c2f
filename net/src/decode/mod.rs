//! Content-Encoding removed piece by piece: gzip, deflate (zlib or raw), br,
//! zstd, and chains of two.
//!
//! Pure in-memory work: bytes in, bytes out through a closure in pieces of at
//! most [`PIECE_BYTES`], so that a cap in the closure stops a bomb after one
//! piece. Compression of the file itself (a `.gz` feed) is not touched.

mod br;
mod deflate;
mod gzip;
mod inflate;
#[cfg(test)]
mod tests;
mod zst;

use br::BrotliBody;
use deflate::Deflate;
use gzip::Gzip;
use zst::ZstdBody;

/// Size of the output buffer of a decoder: what is produced beyond a cap.
pub(crate) const PIECE_BYTES: usize = 32 * 1024;
/// More codings than this on one body are an attack or a mistake.
pub(crate) const CODINGS_MAX: usize = 2;

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
            Self::Deflate(deflate) => deflate.is_finished(),
            Self::Brotli(brotli) => brotli.is_finished(),
            Self::Zstd(zstd) => zstd.is_finished(),
        }
    }
}

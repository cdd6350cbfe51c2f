//! Bombs: bytes that are few on the wire and many once decoded.
//!
//! A bomb of gigabytes costs next to nothing to make: what repeats in the coded stream is repeated as
//! it is, so that a test can lay one without waiting for it.

use std::io::{self, Read, Write};

use flate2::write::ZlibEncoder;
use flate2::{Compress, Compression, Crc, FlushCompress};

use crate::site_spec::BombCoding;

/// Decoded bytes of the part of a gzip bomb that is repeated.
const BLOCK_BYTES: usize = 1 << 20;
/// Fast, and as good as any other on a single byte repeated.
const BROTLI_QUALITY: u32 = 3;
const BROTLI_WINDOW_BITS: u32 = 22;
const BROTLI_BUFFER_BYTES: usize = 64 * 1024;
const ZSTD_LEVEL: i32 = 1;

/// A body that decodes to so many spaces.
pub(crate) fn bomb(coding: BombCoding, decoded_bytes: u64) -> io::Result<Vec<u8>> {
    let mut spaces = io::repeat(b' ').take(decoded_bytes);
    match coding {
        BombCoding::Gzip => gzip(decoded_bytes),
        BombCoding::Brotli => {
            let mut packer = brotli::CompressorWriter::new(
                Vec::new(),
                BROTLI_BUFFER_BYTES,
                BROTLI_QUALITY,
                BROTLI_WINDOW_BITS,
            );
            io::copy(&mut spaces, &mut packer)?;
            Ok(packer.into_inner())
        }
        BombCoding::Zstd => {
            let mut packer = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
            io::copy(&mut spaces, &mut packer)?;
            packer.finish()
        }
    }
}

fn gzip(decoded_bytes: u64) -> io::Result<Vec<u8>> {
    let block = vec![b' '; BLOCK_BYTES];
    let blocks = decoded_bytes / BLOCK_BYTES as u64;
    let rest = &block[..(decoded_bytes % BLOCK_BYTES as u64) as usize];
    let mut packer = Compress::new(Compression::best(), false);
    // Magic, deflate, no flags, no time, best compression, unknown system (RFC 1952, 2.3).
    let mut out = vec![0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 2, 255];
    let (mut crc, mut block_crc) = (Crc::new(), Crc::new());
    block_crc.update(&block);
    let mut repeated = Vec::new();
    for n in 0..blocks {
        match n {
            0 => deflate(&mut packer, &block, FlushCompress::Sync, &mut out)?,
            // The second block refers to spaces before it. It ends at a byte's edge, so it can follow
            // itself as often as wanted.
            1 => {
                deflate(&mut packer, &block, FlushCompress::Sync, &mut repeated)?;
                out.extend_from_slice(&repeated);
            }
            _ => out.extend_from_slice(&repeated),
        }
        crc.combine(&block_crc);
    }
    deflate(&mut packer, rest, FlushCompress::Finish, &mut out)?;
    let mut rest_crc = Crc::new();
    rest_crc.update(rest);
    crc.combine(&rest_crc);
    out.extend(crc.sum().to_le_bytes());
    // The length modulo 2^32.
    out.extend((decoded_bytes as u32).to_le_bytes());
    Ok(out)
}

fn deflate(
    packer: &mut Compress,
    mut input: &[u8],
    flush: FlushCompress,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    loop {
        out.reserve(4 * 1024);
        let (read, written) = (packer.total_in(), out.len());
        let status = packer
            .compress_vec(input, out, flush)
            .map_err(io::Error::other)?;
        input = &input[(packer.total_in() - read) as usize..];
        let done = match flush {
            FlushCompress::Finish => status == flate2::Status::StreamEnd,
            // Room left over means that everything has been flushed.
            _ => input.is_empty() && out.len() < out.capacity(),
        };
        if done || (status == flate2::Status::BufError && out.len() == written) {
            return Ok(());
        }
    }
}

/// A PNG file whose header announces `side_px` by `side_px` pixels and whose data has one row.
pub(crate) fn pixel_bomb(side_px: u32) -> io::Result<Vec<u8>> {
    let mut header = Vec::new();
    header.extend(side_px.to_be_bytes());
    header.extend(side_px.to_be_bytes());
    // Eight bits a channel, RGB, the only compression, filter set and no interlacing.
    header.extend([8, 2, 0, 0, 0]);
    let mut row = ZlibEncoder::new(Vec::new(), Compression::best());
    io::copy(
        &mut io::repeat(0).take(u64::from(side_px) * 3 + 1),
        &mut row,
    )?;
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, data) in [
        (b"IHDR", header),
        (b"IDAT", row.finish()?),
        (b"IEND", vec![]),
    ] {
        let length = u32::try_from(data.len()).map_err(io::Error::other)?;
        out.extend(length.to_be_bytes());
        let mut crc = Crc::new();
        crc.update(name);
        crc.update(&data);
        out.write_all(name)?;
        out.extend(data);
        out.extend(crc.sum().to_be_bytes());
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn decoded(coding: BombCoding, bytes: &[u8]) -> u64 {
        let mut reader: Box<dyn Read + '_> = match coding {
            BombCoding::Gzip => Box::new(flate2::read::GzDecoder::new(bytes)),
            BombCoding::Brotli => Box::new(brotli::Decompressor::new(bytes, 64 * 1024)),
            BombCoding::Zstd => Box::new(zstd::Decoder::new(bytes).unwrap()),
        };
        let (mut piece, mut sum) = (vec![0; 64 * 1024], 0);
        loop {
            let read = reader.read(&mut piece).unwrap();
            if read == 0 {
                return sum;
            }
            assert!(piece[..read].iter().all(|byte| *byte == b' '));
            sum += read as u64;
        }
    }

    #[test]
    fn a_bomb_decodes_to_the_told_size() {
        for coding in [BombCoding::Gzip, BombCoding::Brotli, BombCoding::Zstd] {
            for size in [0, 1, 1 << 20, (1 << 20) + 1, 10_000_000] {
                let bytes = bomb(coding, size).unwrap();
                assert!(bytes.len() < 20_000, "{coding:?} {size}: {}", bytes.len());
                assert_eq!(decoded(coding, &bytes), size, "{coding:?}");
            }
        }
    }

    #[test]
    fn a_pixel_bomb_is_small_and_claims_to_be_large() {
        let bytes = pixel_bomb(60_000).unwrap();
        assert!(bytes.len() < 2_000, "{}", bytes.len());
        let reader =
            image::ImageReader::with_format(io::Cursor::new(&bytes), image::ImageFormat::Png);
        assert_eq!(reader.into_dimensions().unwrap(), (60_000, 60_000));
    }
}

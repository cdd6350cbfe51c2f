//! Every coding, cut everywhere, and the codings of codings.

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
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
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

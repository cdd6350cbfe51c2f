use std::io::Write;

use flate2::Compression as Level;
use trawler_core::feed::Compression;

use super::*;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Level::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Level::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Level::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstd_of(text: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(text, 3).unwrap()
}

fn brotli_of(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    {
        let mut encoder = brotli::CompressorWriter::new(&mut out, 4096, 5, 20);
        encoder.write_all(text).unwrap();
    }
    out
}

/// A zip archive written by hand: names, contents, stored or deflated, with
/// sizes before or after the data.
fn zip_of(files: &[(&str, &[u8])], deflated: bool, descriptor: bool) -> Vec<u8> {
    let (mut out, mut central) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let offset = out.len() as u32;
        let packed = if deflated {
            raw_deflate(content)
        } else {
            content.to_vec()
        };
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let sizes = [crc.sum(), packed.len() as u32, content.len() as u32];
        let flags: u16 = if descriptor { 8 } else { 0 };
        let method: u16 = if deflated { 8 } else { 0 };
        let fields = |out: &mut Vec<u8>, sizes: [u32; 3]| {
            for half in [20, flags, method, 0, 0] {
                out.extend_from_slice(&half.to_le_bytes());
            }
            for size in sizes {
                out.extend_from_slice(&size.to_le_bytes());
            }
            out.extend_from_slice(&(name.len() as u16).to_le_bytes());
            out.extend_from_slice(&0_u16.to_le_bytes());
        };
        out.extend_from_slice(b"PK\x03\x04");
        fields(&mut out, if descriptor { [0; 3] } else { sizes });
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(&packed);
        if descriptor {
            out.extend_from_slice(b"PK\x07\x08");
            for size in sizes {
                out.extend_from_slice(&size.to_le_bytes());
            }
        }
        central.extend_from_slice(b"PK\x01\x02\x14\x00");
        fields(&mut central, sizes);
        central.extend_from_slice(&[0; 10]);
        central.extend_from_slice(&offset.to_le_bytes());
        central.extend_from_slice(name.as_bytes());
    }
    let (start, length) = (out.len() as u32, central.len() as u32);
    out.extend_from_slice(&central);
    out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    for _ in 0..2 {
        out.extend_from_slice(&(files.len() as u16).to_le_bytes());
    }
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&start.to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    out
}

fn declared(compression: Compression) -> FeedOptions {
    FeedOptions {
        compression,
        ..ep()
    }
}

#[test]
fn every_compression_gives_the_same_rows() {
    let text = ep_feed(50);
    let text = text.as_bytes();
    let plain = read(text, &ep()).unwrap();
    assert_eq!(plain.outcome.rows, 50);
    let half = text.len() / 2;
    let two_members = [gzip(&text[..half]), gzip(&text[half..])].concat();
    let padded = [gzip(text), vec![0; 512]].concat();
    let two_frames = [zstd_of(&text[..half]), zstd_of(&text[half..])].concat();
    let check = |name: &str, input: Vec<u8>, options: FeedOptions, found: Compression| {
        let result = read(&input, &options).unwrap();
        assert!(result.outcome.complete, "{name}: {:?}", result.outcome);
        assert_eq!(result.outcome.compression, found, "{name}");
        assert_eq!(result.calls, plain.calls, "{name}");
    };
    check("gzip", gzip(text), ep(), Compression::Gzip);
    check("members", two_members, ep(), Compression::Gzip);
    check("padded", padded, ep(), Compression::Gzip);
    check("zlib", zlib(text), ep(), Compression::Deflate);
    check(
        "raw",
        raw_deflate(text),
        declared(Compression::Deflate),
        Compression::Deflate,
    );
    check("zstd", zstd_of(text), ep(), Compression::Zstd);
    check("frames", two_frames, ep(), Compression::Zstd);
    check(
        "brotli",
        brotli_of(text),
        declared(Compression::Brotli),
        Compression::Brotli,
    );
    for (deflated, descriptor) in [(true, false), (true, true), (false, false)] {
        let archive = zip_of(&[("feed.txt", text)], deflated, descriptor);
        check("zip", archive, ep(), Compression::Zip);
    }
}

/// Wherever an archive is cut off, the run is incomplete, and what it gave is
/// the beginning of the feed.
#[test]
fn a_cut_off_archive_is_incomplete_wherever_it_is_cut() {
    let text = ep_feed(120);
    let text = text.as_bytes();
    let whole = read(text, &ep()).unwrap().rows();
    let archives = [
        ("gzip", gzip(text), ep()),
        ("zlib", zlib(text), declared(Compression::Deflate)),
        ("zstd", zstd_of(text), declared(Compression::Zstd)),
        ("brotli", brotli_of(text), declared(Compression::Brotli)),
        ("zip", zip_of(&[("f", text)], true, true), ep()),
        ("stored", zip_of(&[("f", text)], false, false), ep()),
    ];
    for (name, archive, options) in archives {
        let last = archive.len() - 1;
        for cut in (5..archive.len())
            .step_by(97)
            .chain([last, last - 1, last - 9])
        {
            let result = read(&archive[..cut], &options).unwrap();
            assert!(!result.outcome.complete, "{name} cut at {cut}");
            let rows = result.rows();
            assert_eq!(rows[..], whole[..rows.len()], "{name} cut at {cut}");
        }
    }
}

#[test]
fn a_corrupt_archive_is_an_error_with_its_place() {
    let text = ep_feed(200);
    let mut archive = gzip(text.as_bytes());
    let at = archive.len() - 6;
    archive[at] ^= 0xff;
    match read(&archive, &ep()) {
        Err(FeedError::Corrupt {
            archive: "gzip",
            offset,
            ..
        }) => assert!(offset > 100),
        other => panic!("{:?}", other.map(|read| read.outcome)),
    }
    let mut archive = gzip(text.as_bytes());
    archive.extend_from_slice(b"trailing");
    assert!(matches!(
        read(&archive, &ep()),
        Err(FeedError::Corrupt { .. })
    ));
    let mut archive = zstd_of(text.as_bytes());
    let middle = archive.len() / 2;
    for byte in &mut archive[middle..middle + 40] {
        *byte = 0xff;
    }
    assert!(matches!(
        read(&archive, &ep()),
        Err(FeedError::Corrupt { .. })
    ));
    assert!(matches!(
        read(
            b"not brotli at all, not at all",
            &declared(Compression::Brotli)
        ),
        Err(FeedError::Corrupt { .. }) | Ok(Read { .. })
    ));
}

#[test]
fn a_zip_archive_holds_exactly_one_file() {
    let text = ep_feed(3);
    let text = text.as_bytes();
    let check = |archive: Vec<u8>, said: &str| {
        let error = read(&archive, &ep()).err().unwrap().to_string();
        assert!(error.contains(said), "{error}");
    };
    check(
        zip_of(&[("a", text), ("b", text)], true, false),
        "several files",
    );
    check(zip_of(&[("folder/", b"")], false, false), "no file");
    let mut encrypted = zip_of(&[("a", text)], true, false);
    encrypted[6] |= 1;
    check(encrypted, "encrypted");
    let in_folder = zip_of(&[("folder/", b""), ("folder/a", text)], false, false);
    assert_eq!(read(&in_folder, &ep()).unwrap().outcome.rows, 3);
}

#[test]
fn bombs_are_capped_by_ratio_and_by_size() {
    let blanks = vec![b' '; 64 << 20];
    match read(&gzip(&blanks), &ep()) {
        Err(FeedError::Bomb { max: 250, .. }) => {}
        other => panic!("{:?}", other.map(|read| read.outcome)),
    }
    let mut limited = ep();
    limited.limits.decoded_bytes_max = 10_000;
    let text = ep_feed(50);
    assert!(matches!(
        read(&gzip(text.as_bytes()), &limited),
        Err(FeedError::TooLarge { max: 10_000 })
    ));
    assert!(matches!(
        read(text.as_bytes(), &limited),
        Err(FeedError::TooLarge { .. })
    ));
}

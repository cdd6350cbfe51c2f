//! The files that mean harm, by format, and the status of each.

use crate::crafted::*;

/// Of a source, as configured.
pub(crate) const SOURCE_MIB: usize = 24;
pub(crate) const MEGAPIXELS: usize = 4;

pub(crate) struct Bomb {
    pub(crate) name: &'static str,
    pub(crate) file: Vec<u8>,
    pub(crate) status: &'static str,
    /// How many of its pixels are decoded before it is refused, if it is.
    pub(crate) pixels: u64,
}

/// All of them.
pub(crate) fn bombs() -> impl Iterator<Item = Bomb> {
    [pngs(), gifs(), jpegs(), webps(), tiffs(), bmps(), heavy()]
        .into_iter()
        .flatten()
}

fn bomb(name: &'static str, status: &'static str, file: Vec<u8>) -> Bomb {
    assert!(file.len() <= (SOURCE_MIB + 1) << 20, "{name}");
    Bomb {
        name,
        file,
        status,
        pixels: 0,
    }
}

/// So many copies of something that take about this many MiB.
fn repeated(part: &[u8], mib: usize) -> Vec<u8> {
    part.repeat((mib << 20) / part.len())
}

fn pngs() -> Vec<Bomb> {
    let zeros = packed_zeros(256 << 20);
    let text = |bytes: usize| chunk(b"tEXt", &[b"a\0".as_slice(), &vec![b'x'; bytes]].concat());
    let packed_text = chunk(b"zTXt", &[b"a\0\0", zeros.as_slice()].concat());
    let packed_unicode = chunk(b"iTXt", &[b"a\0\x01\0\0\0", zeros.as_slice()].concat());
    let profile = chunk(b"iCCP", &[b"a\0\0", zeros.as_slice()].concat());
    let lying = [&0x7fff_ffff_u32.to_be_bytes(), b"tEXt".as_slice(), b"a\0x"].concat();
    let few = packed_zeros(100);
    vec![
        bomb(
            "png of 65,536 pixels a side",
            "too_large",
            png_with((65_536, 65_536), &[], &few),
        ),
        bomb(
            "png of a thousand million pixels",
            "too_large",
            png_with((30_000, 30_000), &[], &few),
        ),
        bomb(
            "png of 2^31 pixels a side",
            "too_large",
            png_with((1 << 31, 1 << 31), &[], &few),
        ),
        bomb(
            "png with a text that is larger than a source may be",
            "too_large",
            png(8, &text(SOURCE_MIB << 20)),
        ),
        bomb(
            "png with a text of 16 MiB",
            "too_large",
            png(8, &text(16 << 20)),
        ),
        // Sound pictures with much to say, all of which is passed over.
        bomb(
            "png with 256 MiB of packed text",
            "stored",
            png(8, &packed_text),
        ),
        bomb(
            "png with 256 MiB of packed Unicode",
            "stored",
            png(8, &packed_unicode),
        ),
        bomb(
            "png with 256 MiB of packed profile",
            "stored",
            png(8, &profile),
        ),
        bomb(
            "png with a text that claims 2 GiB",
            "truncated",
            png(8, &lying),
        ),
        bomb(
            "png with a million texts",
            "too_large",
            png(8, &repeated(&text(1), 20)),
        ),
        bomb(
            "png with 256 MiB of pixels that it has no room for",
            "stored",
            png_with((8, 8), &[], &zeros),
        ),
    ]
}

/// A progressive JPEG of the most pixels that are let in, with so many scans over
/// all of them, each of some bytes.
fn scans(count: usize) -> Vec<u8> {
    let blocks = usize::from(SIDE).div_ceil(8).pow(2);
    let first = scan((0, 0), 0, &vec![0; blocks.div_ceil(8)]);
    // Fifteen bits say that 16,384 blocks hold nothing.
    let runs = blocks.div_ceil(16_384) * 15;
    let others = scan((1, 63), 0, &vec![0; runs.div_ceil(8)]).repeat(count - 1);
    let head = jpeg_head(SOF2, (SIDE, SIDE), &[]);
    [head, first, others, END.to_vec()].concat()
}

/// The side of the largest square that is let in.
const SIDE: u16 = 2_000;

/// What is let in, and is as much work as a file can be.
fn heavy() -> Vec<Bomb> {
    let side = usize::from(SIDE);
    let deep = packed_zeros(side * (1 + 8 * side));
    let size = (u32::from(SIDE), u32::from(SIDE));
    let heavy = |name, file| Bomb {
        pixels: u64::from(size.0) * u64::from(size.1),
        ..bomb(name, "stored", file)
    };
    vec![
        heavy("jpeg with as many scans as there may be", scans(64)),
        heavy(
            "png of 16 bits and alpha",
            png_as(size, [16, 6], &[], &deep),
        ),
    ]
}

fn gifs() -> Vec<Bomb> {
    let frame = gif((8, 8), (8, 8));
    let frames = repeated(&frame[19..frame.len() - 1], 16);
    vec![
        bomb(
            "gif with a giant canvas",
            "too_large",
            gif((65_535, 65_535), (1, 1)),
        ),
        bomb(
            "gif with a giant frame",
            "too_large",
            gif((1, 1), (65_535, 65_535)),
        ),
        bomb(
            "gif with an empty canvas and a giant frame",
            "too_large",
            gif((0, 0), (65_535, 65_535)),
        ),
        bomb(
            "gif without the pixels that it claims",
            "truncated",
            gif((2_000, 2_000), (2_000, 2_000)),
        ),
        bomb(
            "gif with a million frames",
            "truncated",
            [&frame[..19], &frames, &[0x3b]].concat(),
        ),
    ]
}

fn jpegs() -> Vec<Bomb> {
    let head = |frame, side| jpeg_head(frame, (side, side), &[]);
    let with = |more: &[u8]| [head(SOF0, 64).as_slice(), more, &END].concat();
    let interval = |units: u16| segment(DRI, &units.to_be_bytes());
    let restarts: Vec<u8> = (0..8).flat_map(|n| [0, 0xff, 0xd0 + n]).collect();
    let many_restarts = [interval(1), scan((0, 63), 0, &repeated(&restarts, 20))].concat();
    let out_of_order = [interval(1), scan((0, 63), 0, &[0, 0xff, 0xd3, 0])].concat();
    let height_after = segment(DNL, &[0x40, 0]);
    let profile = segment(
        APP2,
        &[b"ICC_PROFILE\0\x01\x02".as_slice(), &[7; 65_000]].concat(),
    );
    // An IFD that is its own thumbnail's, and tells of 65,535 entries.
    let exif = segment(
        APP1,
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01\x03\0\xff\xff\xff\xff\x08\0\0\0",
    );
    vec![
        bomb(
            "jpeg of 65,535 pixels a side",
            "too_large",
            jpeg_head(SOF0, (65_535, 65_535), &[]),
        ),
        bomb(
            "jpeg, progressive, of 65,535 pixels a side",
            "too_large",
            jpeg_head(SOF2, (65_535, 65_535), &[]),
        ),
        bomb(
            "jpeg of 65,535 by 16 pixels",
            "too_large",
            jpeg_head(SOF0, (65_535, 16), &[]),
        ),
        bomb("jpeg with 5,000 scans", "corrupt", scans(5_000)),
        bomb(
            "jpeg with a million restarts",
            "corrupt",
            with(&many_restarts),
        ),
        bomb(
            "jpeg with restarts out of order",
            "corrupt",
            with(&out_of_order),
        ),
        bomb(
            "jpeg with its height after the data",
            "unsupported_format",
            [
                head(SOF0, 64),
                scan((0, 63), 0, &[0; 64]),
                height_after,
                END.to_vec(),
            ]
            .concat(),
        ),
        bomb(
            "jpeg whose height is 0",
            "unsupported_format",
            jpeg_head(SOF0, (64, 0), &[]),
        ),
        bomb(
            "jpeg with millions of restart intervals defined",
            "too_large",
            with(&repeated(&interval(1), 20)),
        ),
        bomb(
            "jpeg with millions of tables",
            "too_large",
            with(&repeated(&segment(DQT, &[]), 20)),
        ),
        bomb(
            "jpeg with 5,000 equal scans",
            "corrupt",
            with(&scan((0, 63), 0, &[0; 8]).repeat(5_000)),
        ),
        bomb(
            "jpeg with 16 MiB of profile",
            "corrupt",
            with(&repeated(&profile, 16)),
        ),
        bomb(
            "jpeg whose metadata leads in a circle",
            "corrupt",
            with(&exif),
        ),
    ]
}

fn webps() -> Vec<Bomb> {
    const ANIMATED: u8 = 2;
    const ALPHA: u8 = 16;
    const PROFILED: u8 = 32;
    let animated = |frame: &[u8]| {
        let loops = riff(b"ANIM", &[0; 6]);
        webp(&[&vp8x(ANIMATED | ALPHA, 16), &loops, frame].concat())
    };
    let alpha = riff(b"ALPH", &[0; 16 * 16 + 1]);
    let profile = riff(b"ICCP", &vec![7; 16 << 20]);
    vec![
        bomb(
            "webp with a canvas of 16,777,216 pixels a side",
            "too_large",
            webp(&[vp8x(0, 1 << 24), vp8(16)].concat()),
        ),
        bomb(
            "webp of 16,383 pixels a side",
            "too_large",
            webp(&vp8(16_383)),
        ),
        bomb(
            "webp, lossless, of 16,384 pixels a side",
            "too_large",
            webp(&vp8l(16_384)),
        ),
        bomb(
            "webp with a giant picture on a small canvas",
            "corrupt",
            webp(&[vp8x(0, 16), vp8(16_383)].concat()),
        ),
        bomb(
            "webp with a giant lossless picture on a small canvas",
            "corrupt",
            webp(&[vp8x(0, 16), vp8l(16_384)].concat()),
        ),
        bomb(
            "webp with a giant picture and alpha on a small canvas",
            "corrupt",
            webp(&[vp8x(ALPHA, 16), alpha.clone(), vp8(16_383)].concat()),
        ),
        bomb(
            "webp with a giant picture in a small frame",
            "corrupt",
            animated(&anmf(16, &vp8(16_383))),
        ),
        bomb(
            "webp with a giant picture and alpha in a small frame",
            "corrupt",
            animated(&anmf(16, &[alpha, vp8(16_383)].concat())),
        ),
        bomb(
            "webp with a giant lossless picture in a small frame",
            "corrupt",
            animated(&anmf(16, &vp8l(16_384))),
        ),
        bomb(
            "webp with a giant frame on a small canvas",
            "corrupt",
            animated(&anmf(1 << 24, &vp8(16))),
        ),
        bomb(
            "webp with a million frames",
            "corrupt",
            animated(&repeated(&anmf(16, &[]), 20)),
        ),
        bomb(
            "webp with 16 MiB of profile",
            "stored",
            webp(&[vp8x(PROFILED, 16), profile, vp8(16)].concat()),
        ),
    ]
}

fn tiffs() -> Vec<Bomb> {
    const ICC: u16 = 34_675;
    let grey = |side| tiff_grey(side, (8, 64), 1);
    let and = |mut entries: Vec<Entry>, more: &[Entry]| {
        entries.retain(|entry| more.iter().all(|other| other.0 != entry.0));
        entries.extend(more);
        entries.sort_unstable();
        tiff(&entries, &[0; 64])
    };
    let zeros = packed_zeros(256 << 20);
    let packed = tiff(&tiff_grey(8, (8, zeros.len() as u32), 8), &zeros);
    // The directory is where the pixels are, and its own next one.
    let circle = [b"II*\0\x08\0\0\0\0\0".as_slice(), &8_u32.to_le_bytes()].concat();
    let entries: Vec<Entry> = (0..u16::MAX).map(|tag| (tag, LONG, u32::MAX, 8)).collect();
    vec![
        bomb(
            "tiff of 65,536 pixels a side",
            "too_large",
            tiff(&grey(65_536), &[0; 64]),
        ),
        bomb(
            "tiff of 2^32 - 1 pixels a side",
            "too_large",
            tiff(&grey(u32::MAX), &[0; 64]),
        ),
        bomb(
            "tiff with 65,535 endless entries",
            "too_large",
            tiff(&entries, &[0; 64]),
        ),
        bomb(
            "tiff with a profile of 4 GiB",
            "stored",
            and(grey(8), &[(ICC, 7, u32::MAX, 8)]),
        ),
        bomb(
            "tiff with 4 thousand million strips",
            "too_large",
            and(
                grey(8),
                &[
                    (273, LONG, u32::MAX, 8),
                    (278, LONG, 1, 1),
                    (279, LONG, u32::MAX, 8),
                ],
            ),
        ),
        bomb(
            "tiff with a strip of 4 GiB",
            "too_large",
            and(grey(8), &[(279, LONG, 1, u32::MAX)]),
        ),
        bomb(
            "tiff with a tile of 2^31 pixels a side",
            "corrupt",
            and(
                grey(8),
                &[
                    (322, LONG, 1, 1 << 31),
                    (323, LONG, 1, 1 << 31),
                    (324, LONG, 1, 8),
                    (325, LONG, 1, 64),
                ],
            ),
        ),
        bomb(
            "tiff with 65,535 samples a pixel",
            "unsupported_format",
            and(grey(8), &[(277, SHORT, 1, 65_535)]),
        ),
        bomb(
            "tiff with 64 bits a sample",
            "unsupported_format",
            and(grey(8), &[(258, SHORT, 1, 64)]),
        ),
        bomb(
            "tiff with JPEG in it",
            "unsupported_format",
            and(grey(8), &[(259, SHORT, 1, 7)]),
        ),
        bomb("tiff with 256 MiB in a strip of 64 bytes", "stored", packed),
        bomb("tiff whose directory leads in a circle", "corrupt", circle),
    ]
}

fn bmps() -> Vec<Bomb> {
    let plain = (24, 0);
    vec![
        bomb(
            "bmp of 65,536 pixels a side",
            "too_large",
            bmp((65_536, 65_536), plain),
        ),
        bomb(
            "bmp of 2^31 - 1 pixels a side",
            "too_large",
            bmp((i32::MAX, i32::MAX), plain),
        ),
        bomb(
            "bmp of the least height there is",
            "too_large",
            bmp((8, i32::MIN), plain),
        ),
        bomb(
            "bmp, run length, with few runs",
            "truncated",
            bmp((1_900, 1_900), (8, 1)),
        ),
    ]
}

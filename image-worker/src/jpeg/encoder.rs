//! Luma and chroma planes to a baseline JPEG file (T.81, T.871) of 4:2:0: the
//! tables that T.81 gives as typical (K.1, K.3), scaled by quality as the Independent
//! JPEG Group does.

use fearless_simd::{Level, Simd, dispatch};

use super::codes::{BitWriter, CHROMA_FIRST, CHROMA_REST, Codes, LUMA_FIRST, LUMA_REST, Typical};
use super::forward::{Shares, coefficients, shares};
use super::idct::{Block, PLACES};
use super::structure::{DHT, DQT, EOI, SOF0, SOI, SOS};

/// T.81, table K.1.
#[rustfmt::skip]
const LUMA_FACTORS: [u16; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61,
    12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77,
    24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
];
/// T.81, table K.2.
#[rustfmt::skip]
const CHROMA_FACTORS: [u16; 64] = [
    17, 18, 24, 47, 99, 99, 99, 99,
    18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
];

static LUMA_FIRST_CODES: Codes = LUMA_FIRST.codes();
static LUMA_REST_CODES: Codes = LUMA_REST.codes();
static CHROMA_FIRST_CODES: Codes = CHROMA_FIRST.codes();
static CHROMA_REST_CODES: Codes = CHROMA_REST.codes();

/// Where in the order of the file the coefficients of a [`Block`] stand.
const ORDER: [u8; 64] = order();

const fn order() -> [u8; 64] {
    let mut order = [0; 64];
    let mut at = 0;
    while at < 64 {
        order[PLACES[at] as usize] = at as u8;
        at += 1;
    }
    order
}

/// A plane to be encoded, rows without padding.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) data: &'a [u8],
}

/// A component on its way into the file.
struct Lane<'a> {
    rows: Rows<'a>,
    shares: Shares,
    first: &'static Codes,
    rest: &'static Codes,
    mean: i32,
}

/// Encodes a picture. Chroma is of half its size; where it ends before the picture
/// does, its last samples go on. Without chroma the picture is grey, and is
/// written with chroma of no colour, since some readers expect three
/// components.
pub(crate) fn encode(
    (width, height): (u16, u16),
    luma: Rows<'_>,
    chroma: Option<[Rows<'_>; 2]>,
    quality: u8,
) -> Vec<u8> {
    // About a bit and a half a pixel at quality 80.
    let pixels = usize::from(width) * usize::from(height);
    let mut out = Vec::with_capacity(pixels / 4 + 1024);
    let luma_factors = scaled(&LUMA_FACTORS, quality);
    let chroma_factors = scaled(&CHROMA_FACTORS, quality);
    write_header(&mut out, (width, height), [&luma_factors, &chroma_factors]);
    let grey = Rows {
        width: 1,
        height: 1,
        data: &[128],
    };
    let [blue, red] = chroma.unwrap_or([grey; 2]);
    let mut lanes = [
        Lane {
            rows: luma,
            shares: shares(&luma_factors),
            first: &LUMA_FIRST_CODES,
            rest: &LUMA_REST_CODES,
            mean: 0,
        },
        chroma_lane(blue, &chroma_factors),
        chroma_lane(red, &chroma_factors),
    ];
    let units = (
        usize::from(width).div_ceil(16),
        usize::from(height).div_ceil(16),
    );
    let mut writer = BitWriter::new(out);
    dispatch!(Level::new(), simd => write_units(simd, units, &mut lanes, &mut writer));
    let mut out = writer.finish();
    out.extend([0xff, EOI]);
    out
}

fn chroma_lane<'a>(rows: Rows<'a>, factors: &Block) -> Lane<'a> {
    Lane {
        rows,
        shares: shares(factors),
        first: &CHROMA_FIRST_CODES,
        rest: &CHROMA_REST_CODES,
        mean: 0,
    }
}

/// A table for a quality of 1 to 100, as a [`Block`].
fn scaled(factors: &[u16; 64], quality: u8) -> Block {
    let quality = u32::from(quality.clamp(1, 100));
    let percent = if quality < 50 {
        5000 / quality
    } else {
        200 - 2 * quality
    };
    let mut block = [0; 64];
    for (at, factor) in factors.iter().enumerate() {
        let value = (u32::from(*factor) * percent + 50) / 100;
        block[at % 8 * 8 + at / 8] = value.clamp(1, 255) as i16;
    }
    block
}

fn write_header(out: &mut Vec<u8>, (width, height): (u16, u16), factors: [&Block; 2]) {
    out.extend([0xff, SOI]);
    // JFIF 1.02, square pixels, no thumbnail.
    out.extend([0xff, 0xe0, 0, 16]);
    out.extend(b"JFIF\0\x01\x02\0\0\x01\0\x01\0\0");
    for (number, table) in (0..).zip(factors) {
        out.extend([0xff, DQT, 0, 67, number]);
        out.extend(PLACES.iter().map(|place| table[usize::from(*place)] as u8));
    }
    out.extend([0xff, SOF0, 0, 17, 8]);
    out.extend(height.to_be_bytes());
    out.extend(width.to_be_bytes());
    out.extend([3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1]);
    for (kind, table) in [
        (0x00, &LUMA_FIRST),
        (0x10, &LUMA_REST),
        (0x01, &CHROMA_FIRST),
        (0x11, &CHROMA_REST),
    ] {
        write_codes(out, kind, table);
    }
    out.extend([0xff, SOS, 0, 12, 3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0]);
}

fn write_codes(out: &mut Vec<u8>, kind: u8, table: &Typical) {
    let length = u8::try_from(19 + table.symbols.len()).expect("at most 162 symbols");
    out.extend([0xff, DHT, 0, length, kind]);
    out.extend(table.counts);
    out.extend(table.symbols);
}

#[inline(always)]
fn write_units<S: Simd>(
    simd: S,
    (across, down): (usize, usize),
    lanes: &mut [Lane<'_>; 3],
    writer: &mut BitWriter,
) {
    let [luma, blue, red] = lanes;
    for y in 0..down {
        for x in 0..across {
            for (right, below) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                write_block(simd, luma, (2 * x + right, 2 * y + below), writer);
            }
            write_block(simd, blue, (x, y), writer);
            write_block(simd, red, (x, y), writer);
        }
    }
}

#[inline(always)]
fn write_block<S: Simd>(
    simd: S,
    lane: &mut Lane<'_>,
    (across, down): (usize, usize),
    writer: &mut BitWriter,
) {
    let mut samples = [0; 64];
    let rows = lane.rows;
    let (left, top) = (across * 8, down * 8);
    if left + 8 <= rows.width && top + 8 <= rows.height {
        let area = &rows.data[top * rows.width + left..];
        for (out, row) in samples.chunks_exact_mut(8).zip(area.chunks(rows.width)) {
            for (out, sample) in out.iter_mut().zip(&row[..8]) {
                *out = i16::from(*sample) - 128;
            }
        }
    } else {
        edge(rows, left, top, &mut samples);
    }
    let mut block = [0; 64];
    let seen = coefficients(simd, &samples, &lane.shares, &mut block);
    let mean = i32::from(block[0]);
    let (size, bits) = coded(mean - lane.mean);
    lane.mean = mean;
    let (length, code) = lane.first[size as usize];
    writer.put(u32::from(code) << size | bits, u32::from(length) + size);
    write_rest(&block, seen & !1, lane.rest, writer);
}

/// A block that is not all in the picture: the last column and row go on.
#[cold]
fn edge(rows: Rows<'_>, left: usize, top: usize, samples: &mut [i16; 64]) {
    for (y, out) in samples.chunks_exact_mut(8).enumerate() {
        let row = (top + y).min(rows.height - 1) * rows.width;
        for (x, out) in out.iter_mut().enumerate() {
            let sample = rows.data[row + (left + x).min(rows.width - 1)];
            *out = i16::from(sample) - 128;
        }
    }
}

/// Writes the coefficients but the first; `seen` has a bit for each that is
/// not zero.
#[inline(always)]
fn write_rest(block: &Block, mut seen: u64, codes: &Codes, writer: &mut BitWriter) {
    let mut ordered = 0_u64;
    while seen != 0 {
        ordered |= 1 << ORDER[seen.trailing_zeros() as usize];
        seen &= seen - 1;
    }
    let mut next = 1;
    while ordered != 0 {
        let at = ordered.trailing_zeros();
        ordered &= ordered - 1;
        let mut run = at - next;
        while run > 15 {
            let (length, code) = codes[0xf0];
            writer.put(u32::from(code), u32::from(length));
            run -= 16;
        }
        let value = i32::from(block[usize::from(PLACES[(at & 63) as usize] & 63)]);
        let (size, bits) = coded(value);
        let (length, code) = codes[(run << 4 | size) as usize & 0xff];
        writer.put(u32::from(code) << size | bits, u32::from(length) + size);
        next = at + 1;
    }
    if next < 64 {
        let (length, code) = codes[0];
        writer.put(u32::from(code), u32::from(length));
    }
}

/// A value as its size in bits and these (T.81, F.1.2.1). Quantised
/// coefficients of 8 bit samples have at most 11.
#[inline(always)]
fn coded(value: i32) -> (u32, u32) {
    let size = 32 - value.unsigned_abs().leading_zeros();
    let bits = (value + (value >> 31)).cast_unsigned() & ((1 << size) - 1);
    (size, bits)
}

//! Files that mean harm, put together byte by byte: what they claim is far more
//! than what they hold. Nothing here is larger than a partner may send.

use std::io::Write as _;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

/// Zeros, packed; 256 MiB of them take 256 KiB.
pub(crate) fn packed_zeros(bytes: usize) -> Vec<u8> {
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::fast());
    let block = vec![0; 1 << 20];
    let mut left = bytes;
    while left > 0 {
        let now = left.min(block.len());
        packer.write_all(&block[..now]).unwrap();
        left -= now;
    }
    packer.finish().unwrap()
}

/// A chunk of a PNG.
pub(crate) fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut crc = Crc::new();
    crc.update(name);
    crc.update(data);
    [
        &(data.len() as u32).to_be_bytes(),
        name.as_slice(),
        data,
        &crc.sum().to_be_bytes(),
    ]
    .concat()
}

/// A PNG of one grey, 8 bits deep, with further chunks before its pixels.
pub(crate) fn png(side: u32, before_pixels: &[u8]) -> Vec<u8> {
    let rows = (side as usize + 1) * side as usize;
    png_with((side, side), before_pixels, &packed_zeros(rows))
}

/// The same with these bytes as its pixels, whatever size it claims.
pub(crate) fn png_with(size: (u32, u32), before_pixels: &[u8], packed: &[u8]) -> Vec<u8> {
    png_as(size, [8, 0], before_pixels, packed)
}

/// The same in another depth and colour type.
pub(crate) fn png_as(
    (width, height): (u32, u32),
    coding: [u8; 2],
    before_pixels: &[u8],
    packed: &[u8],
) -> Vec<u8> {
    let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
    let header = [size.as_slice(), &coding, &[0, 0, 0]].concat();
    [
        b"\x89PNG\r\n\x1a\n".as_slice(),
        &chunk(b"IHDR", &header),
        before_pixels,
        &chunk(b"IDAT", packed),
        &chunk(b"IEND", b""),
    ]
    .concat()
}

/// A GIF with one frame of one colour that claims these sizes; its data ends
/// after a few pixels.
pub(crate) fn gif(canvas: (u16, u16), frame: (u16, u16)) -> Vec<u8> {
    let size = |(width, height): (u16, u16)| [width.to_le_bytes(), height.to_le_bytes()].concat();
    [
        b"GIF89a".as_slice(),
        &size(canvas),
        &[0x80, 0, 0, 9, 9, 9, 200, 0, 0],
        &[0x2c, 0, 0, 0, 0],
        &size(frame),
        // No palette of its own; codes of two bits: clear, 0, end.
        &[0, 2, 2, 0x44, 0x01, 0, 0x3b],
    ]
    .concat()
}

/// A segment of a JPEG.
pub(crate) fn segment(marker: u8, data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u16 + 2).to_be_bytes();
    [&[0xff, marker], length.as_slice(), data].concat()
}

pub(crate) const SOF0: u8 = 0xc0;
pub(crate) const SOF2: u8 = 0xc2;
pub(crate) const DHT: u8 = 0xc4;
pub(crate) const DQT: u8 = 0xdb;
pub(crate) const DNL: u8 = 0xdc;
pub(crate) const DRI: u8 = 0xdd;
pub(crate) const APP1: u8 = 0xe1;
pub(crate) const APP2: u8 = 0xe2;

/// The beginning of a grey JPEG: each table has one code, of one bit. Of a
/// block's first coefficient it says that it is as in the block before; of the
/// others, that this block and, in a progressive file, 16,383 further ones hold
/// nothing. What `more` holds comes before the frame.
pub(crate) fn jpeg_head(frame: u8, (width, height): (u16, u16), more: &[u8]) -> Vec<u8> {
    let table = |class: u8, code: u8| {
        let counts = [&[1], [0; 15].as_slice()].concat();
        segment(DHT, &[&[class], counts.as_slice(), &[code]].concat())
    };
    let nothing = if frame == SOF2 { 0xe0 } else { 0 };
    let size = [height.to_be_bytes(), width.to_be_bytes()].concat();
    [
        b"\xff\xd8".as_slice(),
        &segment(DQT, &[&[0], [1; 64].as_slice()].concat()),
        &table(0x00, 0),
        &table(0x10, nothing),
        more,
        &segment(frame, &[&[8], size.as_slice(), &[1, 1, 0x11, 0]].concat()),
    ]
    .concat()
}

/// A scan of the one component over some coefficients, and its data.
pub(crate) fn scan(coefficients: (u8, u8), bits: u8, data: &[u8]) -> Vec<u8> {
    let (from, to) = coefficients;
    [segment(0xda, &[1, 1, 0, from, to, bits]).as_slice(), data].concat()
}

pub(crate) const END: [u8; 2] = [0xff, 0xd9];

/// A chunk of a WebP, or a WebP itself.
pub(crate) fn riff(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let pad = &[0][..data.len() % 2];
    let length = (data.len() as u32).to_le_bytes();
    [name.as_slice(), &length, data, pad].concat()
}

pub(crate) fn webp(chunks: &[u8]) -> Vec<u8> {
    riff(b"RIFF", &[b"WEBP", chunks].concat())
}

/// The header of an extended WebP; `flags` as in RFC 9649, 2.7.1.
pub(crate) fn vp8x(flags: u8, side: u32) -> Vec<u8> {
    let less = (side - 1).to_le_bytes();
    riff(
        b"VP8X",
        &[&[flags, 0, 0, 0], &less[..3], &less[..3]].concat(),
    )
}

/// A lossy picture that claims a size, of any data.
pub(crate) fn vp8(side: u16) -> Vec<u8> {
    let size = side.to_le_bytes();
    // A shown key frame whose first partition is as long as can be, or as the
    // few blocks of a small one need; then the other one.
    let partition: u32 = if side < 100 { 64 } else { (1 << 19) - 1 };
    let tag = (1 << 4 | partition << 5).to_le_bytes();
    let head = [&tag[..3], &[0x9d, 0x01, 0x2a], &size, &size].concat();
    let data = vec![0; 4 * partition as usize];
    riff(b"VP8 ", &[head.as_slice(), &data].concat())
}

/// A lossless picture that claims a size.
pub(crate) fn vp8l(side: u32) -> Vec<u8> {
    let packed = ((side - 1) | (side - 1) << 14).to_le_bytes();
    riff(b"VP8L", &[&[0x2f], packed.as_slice(), &[0; 64]].concat())
}

/// A frame of an animation.
pub(crate) fn anmf(side: u32, picture: &[u8]) -> Vec<u8> {
    let less = (side - 1).to_le_bytes();
    let head = [&[0; 6], &less[..3], &less[..3], &[100, 0, 0, 0]].concat();
    riff(b"ANMF", &[head.as_slice(), picture].concat())
}

/// An entry of a TIFF: tag, type, count, value or where it stands.
pub(crate) type Entry = (u16, u16, u32, u32);

pub(crate) const SHORT: u16 = 3;
pub(crate) const LONG: u16 = 4;

/// A TIFF, little endian, of these entries; `data` stands at 8, before them.
pub(crate) fn tiff(entries: &[Entry], data: &[u8]) -> Vec<u8> {
    let mut data = data.to_vec();
    data.resize(data.len().next_multiple_of(2), 0);
    let mut file = b"II*\0".to_vec();
    file.extend((8 + data.len() as u32).to_le_bytes());
    file.extend(data);
    file.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in entries {
        file.extend(tag.to_le_bytes());
        file.extend(kind.to_le_bytes());
        file.extend(count.to_le_bytes());
        file.extend(value.to_le_bytes());
    }
    file.extend([0; 4]);
    file
}

/// What every grey TIFF of one strip says.
pub(crate) fn tiff_grey(side: u32, strip: (u32, u32), compression: u32) -> Vec<Entry> {
    vec![
        (256, LONG, 1, side),
        (257, LONG, 1, side),
        (258, SHORT, 1, 8),
        (259, SHORT, 1, compression),
        (262, SHORT, 1, 1),
        (273, LONG, 1, strip.0),
        (277, SHORT, 1, 1),
        (278, LONG, 1, side),
        (279, LONG, 1, strip.1),
    ]
}

/// A BMP of 24 bits a pixel that claims these sides, with a few pixels.
pub(crate) fn bmp((width, height): (i32, i32), (bits, compression): (u16, u32)) -> Vec<u8> {
    let mut file = b"BM".to_vec();
    file.extend(118_u32.to_le_bytes());
    file.extend([0; 4]);
    file.extend(54_u32.to_le_bytes());
    file.extend(40_u32.to_le_bytes());
    file.extend(width.to_le_bytes());
    file.extend(height.to_le_bytes());
    file.extend(1_u16.to_le_bytes());
    file.extend(bits.to_le_bytes());
    file.extend(compression.to_le_bytes());
    file.extend([0; 20]);
    file.extend([0; 64]);
    file
}

//! What of a JPEG file is handed to the decoder: a clean copy, or one grey
//! file a component.
//!
//! The decoder (zune-jpeg) detects data that stops in the middle of the file's
//! bytes, but fills with zero bits, and so with grey, where a scan or restart
//! interval ends early at a marker. The copies close that gap: before each
//! marker that ends entropy-coded data stand bytes of one bits. No Huffman
//! code is all ones, so decoding past the end is an error; a decoder that has
//! what it needs never looks at them.

use super::jpeg_segments::{
    Coding, Component, DHT, DQT, DRI, EOI, RST0, SOF0, SOI, SOS, Segment, Structure, is_frame,
};

/// One bits put behind entropy-coded data, in bytes. The decoder buffers at
/// most 8 bytes ahead.
const GUARD_BYTES: usize = 12;

/// One component of a file with a scan a component.
pub(super) struct Plane {
    /// A grey JPEG file.
    pub(super) file: Vec<u8>,
    pub(super) size: (usize, usize),
    /// The part of it that lies over the picture, in its own samples.
    pub(super) covered: (f64, f64),
}

impl Structure<'_> {
    /// Writes what decoding needs, and nothing that could lead it astray:
    /// component names say how they are coded, markers of applications are
    /// left out, data ends are guarded.
    pub(super) fn clean_copy(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len() + self.bytes.len() / 16 + 4096);
        out.extend([0xff, SOI]);
        let mut first_scan = true;
        for segment in &self.segments {
            let from = out.len();
            write_segment(
                &mut out,
                segment.marker,
                &self.bytes[segment.payload.clone()],
            );
            let body = from + 4;
            match segment.marker {
                SOS => {
                    let count = usize::from(out[body]);
                    for part in 0..count {
                        let at = body + 1 + 2 * part;
                        out[at] = self.plain_name(out[at]);
                    }
                    let header = from..out.len();
                    if first_scan && self.progressive {
                        // The decoder wants to run into the marker behind the
                        // first scan, which a guard keeps from it. So it gets
                        // that scan twice; a first pass only assigns values,
                        // and the guarded second copy decides.
                        self.write_scan(&mut out, segment, 0);
                        out.extend_from_within(header);
                    }
                    first_scan = false;
                    self.write_scan(&mut out, segment, GUARD_BYTES);
                }
                marker if is_frame(marker) => {
                    for (index, part) in self.components.iter().enumerate() {
                        let at = body + 6 + 3 * index;
                        out[at] = self.plain_name(part.id);
                        out[at + 1] = part.across << 4 | part.down;
                    }
                }
                _ => {}
            }
        }
        // Sequential data ends with the bytes, so that running past the guard
        // is an error too. The decoder of progressive files wants the marker.
        if self.progressive {
            out.extend([0xff, EOI]);
        }
        out
    }

    /// A sequential file with a scan a component, as one grey file a component
    /// in the order of the frame: outside an interleaved scan, the blocks of a
    /// component lie as if it were alone (T.81, A.2.2).
    pub(super) fn planes(&self) -> Vec<Plane> {
        let (across_max, down_max) = self.sampling_max();
        let plane = |part: &Component| {
            let side = |pixels: u16, own: u8, max: usize| {
                let whole = usize::from(pixels) * usize::from(own);
                (whole.div_ceil(max), whole as f64 / max as f64)
            };
            let (width, covered_width) = side(self.width, part.across, across_max);
            let (height, covered_height) = side(self.height, part.down, down_max);
            Plane {
                file: self.plane_file(part, width, height),
                size: (width, height),
                covered: (covered_width, covered_height),
            }
        };
        self.components.iter().map(plane).collect()
    }

    fn plane_file(&self, part: &Component, width: usize, height: usize) -> Vec<u8> {
        let mut out = vec![0xff, SOI];
        for segment in &self.segments {
            let data = &self.bytes[segment.payload.clone()];
            match segment.marker {
                SOS if data[1] == part.id => {
                    out.extend([0xff, SOF0, 0, 11, 8]);
                    for side in [height, width] {
                        let side = u16::try_from(side).expect("no larger than the frame");
                        out.extend(side.to_be_bytes());
                    }
                    out.extend([1, 1, 0x11, part.table]);
                    out.extend([0xff, SOS, 0, 8, 1, 1, data[2], 0, 63, 0]);
                    self.write_scan(&mut out, segment, GUARD_BYTES);
                    break;
                }
                DHT | DQT | DRI => write_segment(&mut out, segment.marker, data),
                _ => {}
            }
        }
        out
    }

    fn write_scan(&self, out: &mut Vec<u8>, segment: &Segment, guard: usize) {
        for (index, interval) in segment.intervals.iter().enumerate() {
            if index > 0 {
                let number = u8::try_from((index - 1) % 8).expect("a remainder of 8");
                out.extend([0xff, RST0 + number]);
            }
            out.extend_from_slice(&self.bytes[interval.clone()]);
            for _ in 0..guard {
                out.extend([0xff, 0]);
            }
        }
    }

    fn plain_name(&self, id: u8) -> u8 {
        let names: &[u8; 4] = match self.coding() {
            Coding::Rgb => b"RGB\0",
            Coding::Grey | Coding::YCbCr | Coding::Cmyk | Coding::Ycck => &[1, 2, 3, 4],
        };
        let index = self.components.iter().position(|part| part.id == id);
        names[index.expect("scans name components of the frame")]
    }
}

fn write_segment(out: &mut Vec<u8>, marker: u8, payload: &[u8]) {
    out.extend([0xff, marker]);
    let length = u16::try_from(payload.len() + 2).expect("it was read from 16 bits");
    out.extend(length.to_be_bytes());
    out.extend_from_slice(payload);
}

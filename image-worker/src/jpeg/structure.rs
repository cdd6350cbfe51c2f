//! The structure of a JPEG file: its segments, read and checked. Picture data
//! is only split at its markers; what becomes of it is in `decoder`.
//!
//! Facts: ITU-T T.81 (JPEG), T.871 (JFIF), the Adobe APP14 segment.

use std::ops::Range;

use crate::error::ImageError;
use crate::sniff::SourceFormat;

/// Scans of a progressive file; usual are 10, odd ones reach 30. Each costs a
/// pass over all coefficients.
const SCANS_MAX: usize = 64;
/// Tables, scans and restart intervals defined, of which a file of 64 scans has
/// some hundred. Each takes memory, and a partner may send millions.
const SEGMENTS_MAX: usize = 4_096;
/// Restart intervals of all scans, 16 MiB of them: as many as the largest
/// picture has blocks.
const INTERVALS_MAX: usize = 1 << 20;
/// Parts of a profile: their number is a byte.
const PROFILE_PARTS_MAX: usize = 255;
/// Bytes between segments that are passed over; some cameras pad.
const STRAY_BYTES_MAX: usize = 64;
const APP2_ICC: &[u8] = b"ICC_PROFILE\0";

pub(crate) const SOF0: u8 = 0xc0;
pub(crate) const SOF2: u8 = 0xc2;
pub(crate) const DHT: u8 = 0xc4;
const DAC: u8 = 0xcc;
pub(crate) const RST0: u8 = 0xd0;
const RST7: u8 = 0xd7;
pub(crate) const SOI: u8 = 0xd8;
pub(crate) const EOI: u8 = 0xd9;
pub(crate) const SOS: u8 = 0xda;
pub(crate) const DQT: u8 = 0xdb;
const DNL: u8 = 0xdc;
pub(crate) const DRI: u8 = 0xdd;
const APP0: u8 = 0xe0;
const APP1: u8 = 0xe1;
const APP2: u8 = 0xe2;
const APP14: u8 = 0xee;

/// How the components of a file are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Grey,
    YCbCr,
    Rgb,
    /// Four inks, stored inverted as Adobe does.
    Cmyk,
    Ycck,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Component {
    pub(crate) id: u8,
    pub(crate) across: u8,
    pub(crate) down: u8,
    /// Number of its quantisation table.
    pub(crate) table: u8,
}

/// A segment that decoding needs.
pub(crate) struct Segment {
    pub(crate) marker: u8,
    /// After the length field.
    pub(crate) payload: Range<usize>,
    /// Entropy-coded parts after a start of scan, one a restart interval.
    pub(crate) intervals: Vec<Range<usize>>,
}

/// A JPEG file, read as far as its first end-of-image marker.
pub(crate) struct Structure<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) segments: Vec<Segment>,
    pub(crate) components: Vec<Component>,
    restart_interval: usize,
    pub(crate) width: u16,
    pub(crate) height: u16,
    pub(crate) progressive: bool,
    pub(crate) exif: Option<&'a [u8]>,
    icc: Vec<(u8, u8, &'a [u8])>,
    adobe_transform: Option<u8>,
    jfif: bool,
    /// Whether what is missing or out of order in picture data is let pass.
    lenient: bool,
}

fn u16_be(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes([pair[0], pair[1]]))
}

pub(super) fn corrupt(detail: impl Into<String>) -> ImageError {
    ImageError::corrupt(SourceFormat::Jpeg, detail)
}

fn truncated(detail: impl Into<String>) -> ImageError {
    ImageError::truncated(SourceFormat::Jpeg, detail)
}

impl<'a> Structure<'a> {
    /// Reads the segments. `on_frame` sees the file once its size is known,
    /// before anything is kept of its data.
    pub(crate) fn read(
        bytes: &'a [u8],
        on_frame: impl Fn(&Self) -> Result<(), ImageError>,
    ) -> Result<Self, ImageError> {
        let mut file = Self::unread(bytes, false);
        file.read_segments(on_frame)?;
        file.check_complete()?;
        Ok(file)
    }

    /// Reads a file that [`Structure::read`] refuses, as far as it is in order
    /// and at least to its first picture data. What of the picture is there,
    /// decoding tells.
    pub(crate) fn read_leniently(
        bytes: &'a [u8],
        on_frame: impl Fn(&Self) -> Result<(), ImageError>,
    ) -> Result<Self, ImageError> {
        let mut file = Self::unread(bytes, true);
        let read = file.read_segments(on_frame);
        if file.scans().next().is_some() {
            return Ok(file);
        }
        Err(read.err().unwrap_or_else(|| corrupt("it has no scan")))
    }

    fn unread(bytes: &'a [u8], lenient: bool) -> Self {
        Self {
            bytes,
            segments: Vec::new(),
            components: Vec::new(),
            restart_interval: 0,
            width: 0,
            height: 0,
            progressive: false,
            exif: None,
            icc: Vec::new(),
            adobe_transform: None,
            jfif: false,
            lenient,
        }
    }

    fn read_segments(
        &mut self,
        on_frame: impl Fn(&Self) -> Result<(), ImageError>,
    ) -> Result<(), ImageError> {
        let bytes = self.bytes;
        let mut at = 2;
        loop {
            let (marker, after) = next_marker(bytes, at)?;
            match marker {
                EOI => return Ok(()),
                SOI | 0x01 | RST0..=RST7 => {
                    at = after;
                    continue;
                }
                _ => {}
            }
            let length = u16_be(bytes, after).map(usize::from);
            let length = length.ok_or_else(|| truncated("it stops in a segment's length"))?;
            if length < 2 {
                return Err(corrupt(format!("segment {marker:02x} of length {length}")));
            }
            if bytes.len() - after < length {
                return Err(truncated(format!("it stops in segment {marker:02x}")));
            }
            at = after + length;
            let payload = after + 2..at;
            self.segment(marker, payload.clone())?;
            if is_frame(marker) {
                on_frame(self)?;
            }
            if marker == SOS {
                at = self.scan(payload)?;
            }
        }
    }

    fn check_complete(&self) -> Result<(), ImageError> {
        let scans = self.scans().count();
        if scans == 0 {
            return Err(corrupt("it has no scan"));
        }
        if self.progressive {
            self.check_no_component_is_missing()?;
        }
        if !self.separate() {
            return Ok(());
        }
        let seen = |part: &Component| {
            self.scans()
                .any(|scan| self.bytes[scan.payload.start + 1] == part.id)
        };
        if scans < self.components.len() {
            return Err(truncated("it lacks the scans of some components"));
        }
        if !self.components.iter().all(seen) {
            return Err(corrupt("two scans of one component"));
        }
        Ok(())
    }

    /// A progressive file may end after any scan, but not before each of its
    /// components had one: a picture without its colours is no coarser whole.
    fn check_no_component_is_missing(&self) -> Result<(), ImageError> {
        let scanned = |part: &Component| {
            self.scans().any(|scan| {
                let data = &self.bytes[scan.payload.clone()];
                let count = usize::from(data[0]);
                data[1..=2 * count]
                    .iter()
                    .step_by(2)
                    .any(|id| *id == part.id)
            })
        };
        match self.components.iter().find(|part| !scanned(part)) {
            Some(part) => Err(truncated(format!("component {} has no scan", part.id))),
            None => Ok(()),
        }
    }

    fn scans(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(|segment| segment.marker == SOS)
    }

    /// A sequential file with a scan a component.
    pub(crate) fn separate(&self) -> bool {
        let alone = |scan: &Segment| self.bytes[scan.payload.start] == 1;
        !self.progressive && self.components.len() > 1 && self.scans().any(alone)
    }

    fn segment(&mut self, marker: u8, payload: Range<usize>) -> Result<(), ImageError> {
        let data = &self.bytes[payload.clone()];
        match marker {
            APP0 => self.jfif |= data.starts_with(b"JFIF\0"),
            APP1 if data.starts_with(b"Exif\0\0") => {
                self.exif.get_or_insert(data);
            }
            APP2 if data.starts_with(APP2_ICC) && data.len() > APP2_ICC.len() + 2 => {
                let rest = &data[APP2_ICC.len()..];
                // With one more than there can be, the profile is not whole.
                if self.icc.len() <= PROFILE_PARTS_MAX {
                    self.icc.push((rest[0], rest[1], &rest[2..]));
                }
            }
            APP14 if data.starts_with(b"Adobe") && data.len() >= 12 => {
                self.adobe_transform = Some(data[11]);
            }
            DAC | 0xc9..=0xcb | 0xcd..=0xcf => {
                return Err(ImageError::unsupported("jpeg with arithmetic coding"));
            }
            0xc3 | 0xc5..=0xc7 => {
                let kind = if matches!(marker, 0xc3 | 0xc7) {
                    "jpeg, lossless"
                } else {
                    "jpeg, hierarchical"
                };
                return Err(ImageError::unsupported(kind));
            }
            DNL => {
                return Err(ImageError::unsupported(
                    "jpeg with its height after the data",
                ));
            }
            _ if is_frame(marker) => {
                self.frame(marker, data)?;
                self.keep(marker, payload)?;
            }
            DRI => {
                let interval = u16_be(data, 0).ok_or_else(|| corrupt("short restart interval"))?;
                self.restart_interval = usize::from(interval);
                self.keep(marker, payload)?;
            }
            DHT | DQT => self.keep(marker, payload)?,
            _ => {}
        }
        Ok(())
    }

    fn keep(&mut self, marker: u8, payload: Range<usize>) -> Result<(), ImageError> {
        if self.segments.len() >= SEGMENTS_MAX {
            return Err(ImageError::TooLarge {
                what: "jpeg tables and scans",
                found: SEGMENTS_MAX as u64 + 1,
                max: SEGMENTS_MAX as u64,
            });
        }
        self.segments.push(Segment {
            marker,
            payload,
            intervals: Vec::new(),
        });
        Ok(())
    }

    fn frame(&mut self, marker: u8, data: &[u8]) -> Result<(), ImageError> {
        if !self.components.is_empty() {
            return Err(corrupt("it has two frames"));
        }
        let (Some(&bits), Some(height), Some(width), Some(&count)) =
            (data.first(), u16_be(data, 1), u16_be(data, 3), data.get(5))
        else {
            return Err(corrupt("short frame header"));
        };
        if data.len() != 6 + 3 * usize::from(count) {
            return Err(corrupt("frame header of the wrong length"));
        }
        if bits != 8 {
            return Err(ImageError::unsupported(format!(
                "jpeg with {bits} bits a sample"
            )));
        }
        if !matches!(count, 1 | 3 | 4) {
            return Err(ImageError::unsupported(format!(
                "jpeg of {count} components"
            )));
        }
        if height == 0 {
            return Err(ImageError::unsupported(
                "jpeg with its height after the data",
            ));
        }
        if width == 0 {
            return Err(corrupt("it is 0 pixels wide"));
        }
        for part in data[6..].chunks_exact(3) {
            let (across, down) = (part[1] >> 4, part[1] & 15);
            if !(1..=4).contains(&across) || !(1..=4).contains(&down) {
                return Err(corrupt(format!("sampling factors {across}x{down}")));
            }
            if part[2] > 3 {
                return Err(corrupt(format!("quantisation table {}", part[2])));
            }
            if self.components.iter().any(|known| known.id == part[0]) {
                return Err(corrupt("two components of one name"));
            }
            self.components.push(Component {
                id: part[0],
                across,
                down,
                table: part[2],
            });
        }
        if let [only] = self.components.as_mut_slice() {
            // Sampling of a single component means nothing (T.81, A.2.2).
            (only.across, only.down) = (1, 1);
        }
        let (across_max, down_max) = self.sampling_max();
        let fractional = |part: &Component| {
            across_max % usize::from(part.across) != 0 || down_max % usize::from(part.down) != 0
        };
        if self.components.iter().any(fractional) {
            return Err(ImageError::unsupported("jpeg with fractional sampling"));
        }
        (self.width, self.height) = (width, height);
        self.progressive = marker == SOF2;
        Ok(())
    }

    /// Reads a start of scan and the data behind it; answers where the next
    /// marker stands.
    fn scan(&mut self, payload: Range<usize>) -> Result<usize, ImageError> {
        let data = &self.bytes[payload.clone()];
        if self.components.is_empty() {
            return Err(corrupt("a scan before its frame"));
        }
        let count = usize::from(*data.first().unwrap_or(&0));
        if !(1..=4).contains(&count) || data.len() != 4 + 2 * count {
            return Err(corrupt("scan header of the wrong length"));
        }
        let scans = self.scans().count();
        let scans_max = match (self.progressive, count) {
            (true, _) => SCANS_MAX,
            (false, 1) => self.components.len(),
            (false, all) if all == self.components.len() => 1,
            (false, _) => {
                return Err(ImageError::unsupported("jpeg, sequential with mixed scans"));
            }
        };
        if scans >= scans_max {
            return Err(corrupt(format!("more than {scans_max} scans")));
        }
        let mut parts = Vec::with_capacity(count);
        for pair in data[1..=2 * count].chunks_exact(2) {
            let part = self.components.iter().position(|part| part.id == pair[0]);
            parts.push(part.ok_or_else(|| corrupt("a scan of an unknown component"))?);
        }
        let wanted = match self.restart_interval {
            0 => 1,
            interval => {
                let (across, down) = match parts.as_slice() {
                    [one] => self.blocks(*one),
                    _ => self.units_of_all(),
                };
                (across * down).div_ceil(interval)
            }
        };
        let (intervals, end) = match self.lenient {
            false => self.intervals(payload.end, wanted + 1)?,
            true => self.intervals_that_are_there(payload.end, wanted),
        };
        let found = intervals.len();
        // Some encoders write a restart marker after the last interval too.
        if !self.lenient && found != wanted && found != wanted + 1 {
            let detail = format!("{found} restart intervals where {wanted} belong");
            return Err(if found < wanted {
                truncated(detail)
            } else {
                corrupt(detail)
            });
        }
        self.segments.push(Segment {
            marker: SOS,
            payload,
            intervals,
        });
        Ok(end)
    }

    /// Splits entropy-coded data at restart markers, up to any other marker,
    /// into at most so many intervals and one that says that there are more.
    fn intervals(
        &self,
        start: usize,
        at_most: usize,
    ) -> Result<(Vec<Range<usize>>, usize), ImageError> {
        let before: usize = self.scans().map(|scan| scan.intervals.len()).sum();
        let mut intervals = Vec::new();
        let (mut from, mut at) = (start, start);
        loop {
            let next = memchr::memchr(0xff, &self.bytes[at..]);
            let position = next.map(|offset| at + offset);
            let Some((position, &marker)) =
                position.and_then(|p| Some((p, self.bytes.get(p + 1)?)))
            else {
                return Err(truncated("it stops in the picture data"));
            };
            match marker {
                0 => at = position + 2,
                // Fill bytes before a marker.
                0xff => at = position + 1,
                RST0..=RST7 => {
                    if usize::from(marker - RST0) != intervals.len() % 8 {
                        return Err(corrupt("restart markers out of order"));
                    }
                    intervals.push(from..position);
                    if before + intervals.len() > INTERVALS_MAX {
                        return Err(ImageError::TooLarge {
                            what: "jpeg restart intervals",
                            found: INTERVALS_MAX as u64 + 1,
                            max: INTERVALS_MAX as u64,
                        });
                    }
                    if intervals.len() > at_most {
                        return Ok((intervals, position));
                    }
                    at = position + 2;
                    from = at;
                }
                _ => {
                    intervals.push(from..position);
                    return Ok((intervals, position));
                }
            }
        }
    }

    /// The same, with nothing in place of intervals whose markers are lost: a
    /// marker says by its number, of eight, which one it ends. Up to the end
    /// of the file if no other marker comes; at most `wanted` of them.
    fn intervals_that_are_there(&self, start: usize, wanted: usize) -> (Vec<Range<usize>>, usize) {
        let before: usize = self.scans().map(|scan| scan.intervals.len()).sum();
        // What is above the bound of all scans is missing like what is cut off.
        let wanted = wanted.min(INTERVALS_MAX.saturating_sub(before));
        let mut intervals = Vec::new();
        let (mut from, mut at) = (start, start);
        let mut push = |range: Range<usize>, marker: Option<u8>| {
            if intervals.len() < wanted {
                intervals.push(range);
            }
            let Some(marker) = marker else { return };
            let next = usize::from(marker - RST0 + 1) % 8;
            while intervals.len() % 8 != next && intervals.len() < wanted {
                intervals.push(0..0);
            }
        };
        loop {
            let next = memchr::memchr(0xff, &self.bytes[at..]);
            let position = next.map(|offset| at + offset);
            let Some((position, &marker)) =
                position.and_then(|p| Some((p, self.bytes.get(p + 1)?)))
            else {
                push(from..self.bytes.len(), None);
                return (intervals, self.bytes.len());
            };
            match marker {
                0 => at = position + 2,
                0xff => at = position + 1,
                RST0..=RST7 => {
                    push(from..position, Some(marker));
                    at = position + 2;
                    from = at;
                }
                _ => {
                    push(from..position, None);
                    return (intervals, position);
                }
            }
        }
    }

    pub(crate) fn sampling_max(&self) -> (usize, usize) {
        let across = self.components.iter().map(|part| part.across).max();
        let down = self.components.iter().map(|part| part.down).max();
        (across.map_or(1, usize::from), down.map_or(1, usize::from))
    }

    /// Samples of a component, across and down.
    pub(crate) fn samples(&self, index: usize) -> (usize, usize) {
        let (across_max, down_max) = self.sampling_max();
        let part = &self.components[index];
        let side = |pixels: u16, own: u8, max: usize| {
            (usize::from(pixels) * usize::from(own)).div_ceil(max)
        };
        (
            side(self.width, part.across, across_max),
            side(self.height, part.down, down_max),
        )
    }

    /// Blocks of a component that show something: those of a scan of its own.
    pub(super) fn blocks(&self, index: usize) -> (usize, usize) {
        let (width, height) = self.samples(index);
        (width.div_ceil(8), height.div_ceil(8))
    }

    /// Units (T.81: MCU) of a scan of several components.
    pub(super) fn units_of_all(&self) -> (usize, usize) {
        let (across_max, down_max) = self.sampling_max();
        (
            usize::from(self.width).div_ceil(8 * across_max),
            usize::from(self.height).div_ceil(8 * down_max),
        )
    }

    /// Bytes that coefficients of a progressive file take, a pixel, rounded
    /// up: two each, and a bit for those that are not zero.
    pub(crate) fn coefficient_bytes(&self) -> u64 {
        if !self.progressive {
            return 0;
        }
        let (across_max, down_max) = self.sampling_max();
        let blocks: usize = self
            .components
            .iter()
            .map(|part| usize::from(part.across) * usize::from(part.down))
            .sum();
        (17 * blocks).div_ceil(8 * across_max * down_max) as u64
    }

    pub(crate) fn coding(&self) -> Coding {
        match (self.components.len(), self.adobe_transform) {
            (1, _) => Coding::Grey,
            (4, Some(2)) => Coding::Ycck,
            (4, _) => Coding::Cmyk,
            // JFIF is always YCbCr; without either marker, names decide.
            (_, Some(0)) if !self.jfif => Coding::Rgb,
            (_, None) if !self.jfif && self.named_rgb() => Coding::Rgb,
            _ => Coding::YCbCr,
        }
    }

    fn named_rgb(&self) -> bool {
        self.components.iter().map(|part| part.id).eq(*b"RGB")
    }

    /// The embedded profile, put together; `None` where a part is missing.
    pub(crate) fn icc_profile(&self) -> Option<Vec<u8>> {
        let mut parts = self.icc.clone();
        parts.sort_by_key(|(number, ..)| *number);
        let count = parts.len();
        let complete = count > 0
            && parts.iter().zip(1_usize..).all(|((number, of, _), place)| {
                usize::from(*number) == place && usize::from(*of) == count
            });
        complete.then(|| parts.iter().flat_map(|(.., data)| *data).copied().collect())
    }
}

pub(crate) fn is_frame(marker: u8) -> bool {
    (SOF0..=SOF2).contains(&marker)
}

/// The next marker from `at` on, and where its segment continues.
fn next_marker(bytes: &[u8], at: usize) -> Result<(u8, usize), ImageError> {
    let mut position = at;
    while *bytes.get(position).ok_or_else(missing_end)? != 0xff {
        position += 1;
        if position - at > STRAY_BYTES_MAX {
            return Err(corrupt("no marker where one belongs"));
        }
    }
    while *bytes.get(position).ok_or_else(missing_end)? == 0xff {
        position += 1;
    }
    match bytes[position] {
        0 => Err(corrupt("picture data where a marker belongs")),
        marker => Ok((marker, position + 1)),
    }
}

fn missing_end() -> ImageError {
    truncated("it has no end-of-image marker")
}

//! Reads the picture data of a file: each component at the scales that are
//! wanted of it.
//!
//! Every code is read, whatever is wanted, so that a damaged file is refused
//! at any size. What is not wanted is not transformed.
//!
//! Read leniently, a damaged file gives what there is of it: grey where its
//! data is missing, and how much that is.

use std::ops::Range;

use fearless_simd::{Level, dispatch};

use super::bits::{Bits, unstuff};
use super::huffman::{BLOCK_ENDS, Damage, Huffman};
use super::idct::{Block, PLACES, show};
use super::plane::{Plane, Scale};
use super::progressive;
use super::scan::Scan;
use super::structure::{DHT, DQT, DRI, SOS, Segment, Structure, corrupt};
use super::tables::Tables;
use crate::error::ImageError;

/// Hundredths of a damaged picture that have to be there in every component:
/// of a product that is cut at its middle one still sees what it is, and a
/// listing that is mostly grey is worse than one without a picture.
pub(crate) const DECODED_PERCENT_MIN: u8 = 50;

/// Of a sample that nothing is known of.
const GREY: u8 = 128;

/// Memory that is used again from one picture to the next.
#[derive(Default)]
pub(crate) struct Scratch {
    /// Picture data without stuffed bytes.
    plain: Vec<u8>,
    /// Coefficients of a progressive file, a component after the other.
    coefficients: Vec<Block>,
    /// A bit for each of these that is not zero and not its block's first, in the order of the
    /// file.
    seen: Vec<u64>,
    planes: Vec<Vec<u8>>,
}

impl Scratch {
    /// Takes planes back when nobody looks at them any more.
    pub(crate) fn give_back(&mut self, planes: impl IntoIterator<Item = Plane>) {
        self.planes
            .extend(planes.into_iter().map(|plane| plane.data));
    }

    /// A buffer, the smallest that holds so many samples. Without one the
    /// largest has to grow: so there are never more than one picture needs.
    fn take(&mut self, samples: usize) -> Vec<u8> {
        let fits = |buffer: &Vec<u8>| {
            let capacity = buffer.capacity();
            if capacity >= samples {
                capacity
            } else {
                usize::MAX - capacity
            }
        };
        let best = (0..self.planes.len()).min_by_key(|at| fits(&self.planes[*at]));
        best.map(|at| self.planes.swap_remove(at))
            .unwrap_or_default()
    }
}

/// A component that is being decoded.
pub(super) struct Target {
    /// Blocks that show something; units may hold more.
    pub(super) blocks: (usize, usize),
    factors: Option<Block>,
    pub(super) planes: Vec<Plane>,
    /// Blocks in a row of its coefficients, and where they begin.
    pub(super) stride: usize,
    pub(super) coefficients: Range<usize>,
}

/// Decodes a file whose structure is in order: for each component, the planes
/// of the scales that `wanted` names, in that order.
pub(crate) fn decode(
    structure: &Structure<'_>,
    wanted: &[Vec<Scale>],
    scratch: &mut Scratch,
) -> Result<Vec<Vec<Plane>>, ImageError> {
    let mut targets = targets(structure, wanted, scratch);
    read_scans(structure, &mut targets, scratch, None)?;
    Ok(targets.into_iter().map(|target| target.planes).collect())
}

/// Decodes what is there of a file that was read leniently, and says how much
/// of the picture that is, in hundredths: at least [`DECODED_PERCENT_MIN`].
pub(crate) fn decode_leniently(
    structure: &Structure<'_>,
    wanted: &[Vec<Scale>],
    scratch: &mut Scratch,
) -> Result<(Vec<Vec<Plane>>, u8), ImageError> {
    let mut targets = targets(structure, wanted, scratch);
    for plane in targets.iter_mut().flat_map(|target| &mut target.planes) {
        plane.data.fill(GREY);
    }
    let mut reached = Reached([None; 4]);
    read_scans(structure, &mut targets, scratch, Some(&mut reached))?;
    let planes: Vec<Vec<Plane>> = targets.into_iter().map(|target| target.planes).collect();
    let percent = reached.percent(planes.len());
    if percent < DECODED_PERCENT_MIN {
        scratch.give_back(planes.into_iter().flatten());
        let detail = format!(
            "{percent} % of it can be decoded, and at least {DECODED_PERCENT_MIN} have to be"
        );
        return Err(corrupt(detail));
    }
    Ok((planes, percent))
}

/// Which hundredths of each component its first scan reached.
struct Reached([Option<u8>; 4]);

impl Reached {
    /// Takes what a scan brought: units of all those that it should.
    fn note(&mut self, scan: &Scan, units: usize) {
        let percent = u8::try_from(100 * units / scan.units.max(1)).unwrap_or(100);
        for part in &scan.parts {
            self.0[part.index].get_or_insert(percent);
        }
    }

    /// Of the component that has least.
    fn percent(&self, components: usize) -> u8 {
        let all = self.0[..components].iter();
        all.map(|part| part.unwrap_or(0)).min().unwrap_or(0)
    }
}

/// Reads all scans; with `reached` leniently, as far as they go.
fn read_scans(
    structure: &Structure<'_>,
    targets: &mut [Target],
    scratch: &mut Scratch,
    mut reached: Option<&mut Reached>,
) -> Result<(), ImageError> {
    scratch.coefficients.clear();
    scratch.seen.clear();
    if structure.progressive {
        let end = targets.last().map_or(0, |target| target.coefficients.end);
        scratch.coefficients.resize(end, [0; 64]);
        scratch.seen.resize(end, 0);
    }
    let mut reading = Reading {
        structure,
        tables: Tables::default(),
        interval: 0,
    };
    for segment in &structure.segments {
        match reading.segment(segment, targets, scratch, reached.as_deref_mut()) {
            Ok(true) => {}
            // What comes after a break builds on what is missing.
            Ok(false) => break,
            Err(_) if reached.is_some() => break,
            Err(error) => return Err(error),
        }
    }
    if structure.progressive {
        let level = Level::new();
        for target in targets {
            let coefficients = &scratch.coefficients[target.coefficients.clone()];
            let seen = &scratch.seen[target.coefficients.clone()];
            dispatch!(level, simd => show_all(simd, target, coefficients, seen));
        }
    }
    Ok(())
}

/// What a file has defined so far.
struct Reading<'a> {
    structure: &'a Structure<'a>,
    tables: Tables,
    /// Units between restarts, or 0.
    interval: usize,
}

impl Reading<'_> {
    /// Reads a segment, and says whether to go on with the next.
    fn segment(
        &mut self,
        segment: &Segment,
        targets: &mut [Target],
        scratch: &mut Scratch,
        reached: Option<&mut Reached>,
    ) -> Result<bool, ImageError> {
        let structure = self.structure;
        let data = &structure.bytes[segment.payload.clone()];
        match segment.marker {
            DHT => self.tables.read_codes(data)?,
            DQT => self.tables.read_factors(data)?,
            DRI => self.interval = usize::from(u16::from_be_bytes([data[0], data[1]])),
            SOS => {
                let scan = Scan::read(structure, segment)?;
                latch_factors(structure, &scan, &self.tables, targets)?;
                let run = Run {
                    structure,
                    segment,
                    scan: &scan,
                    tables: &self.tables,
                    interval: match self.interval {
                        0 => scan.units,
                        interval => interval,
                    },
                    lenient: reached.is_some(),
                };
                let units = match structure.progressive {
                    true => run.progressive(targets, scratch)?,
                    false => run.sequential(targets, &mut scratch.plain)?,
                };
                if let Some(reached) = reached {
                    reached.note(&scan, units);
                    return Ok(!structure.progressive || units == scan.units);
                }
            }
            _ => {}
        }
        Ok(true)
    }
}

/// What ended an interval before its time, and the unit that it was at.
pub(super) struct Break {
    pub(super) damage: Damage,
    pub(super) unit: usize,
}

fn targets(structure: &Structure<'_>, wanted: &[Vec<Scale>], scratch: &mut Scratch) -> Vec<Target> {
    let (units_across, units_down) = structure.units_of_all();
    let mut end = 0;
    let target = |(index, scales): (usize, &Vec<Scale>)| {
        let part = &structure.components[index];
        let stored = structure.samples(index);
        let stride = units_across * usize::from(part.across);
        let begin = end;
        end += stride * units_down * usize::from(part.down);
        let planes = scales
            .iter()
            .map(|scale| Plane::new(stored, *scale, |samples| scratch.take(samples)));
        Target {
            blocks: structure.blocks(index),
            factors: None,
            planes: planes.collect(),
            stride,
            coefficients: begin..end,
        }
    };
    wanted.iter().enumerate().map(target).collect()
}

/// A component is read with the factors that are defined at its first scan.
fn latch_factors(
    structure: &Structure<'_>,
    scan: &Scan,
    tables: &Tables,
    targets: &mut [Target],
) -> Result<(), ImageError> {
    for part in &scan.parts {
        let factors = &mut targets[part.index].factors;
        if factors.is_none() {
            *factors = Some(*tables.factors(structure.components[part.index].table)?);
        }
    }
    Ok(())
}

/// One scan to be read.
struct Run<'a> {
    structure: &'a Structure<'a>,
    segment: &'a Segment,
    scan: &'a Scan,
    tables: &'a Tables,
    /// Units between restarts.
    interval: usize,
    lenient: bool,
}

impl Run<'_> {
    /// Restart intervals: data without stuffing, and the units it holds. Some
    /// encoders write a restart marker after the last interval; what follows
    /// it holds none. Answers how many units were read: all, unless leniently.
    fn intervals(
        &self,
        plain: &mut Vec<u8>,
        mut each: impl FnMut(&[u8], Range<usize>) -> Result<(), Break>,
    ) -> Result<usize, ImageError> {
        let mut units = 0;
        for (number, coded) in self.segment.intervals.iter().enumerate() {
            let begin = number * self.interval;
            let end = (begin + self.interval).min(self.scan.units);
            if begin >= end {
                break;
            }
            unstuff(&self.structure.bytes[coded.clone()], plain);
            units += match each(plain, begin..end) {
                Ok(()) => end - begin,
                Err(at) if self.lenient => at.unit - begin,
                Err(at) => return Err(at.damage.into()),
            };
        }
        Ok(units)
    }

    fn sequential(&self, targets: &mut [Target], plain: &mut Vec<u8>) -> Result<usize, ImageError> {
        let mut codes = Vec::with_capacity(self.scan.parts.len());
        for part in &self.scan.parts {
            codes.push((self.tables.first(part.first)?, self.tables.rest(part.rest)?));
        }
        let level = Level::new();
        self.intervals(plain, |data, units| {
            let mut bits = Bits::new(data);
            dispatch!(level, simd => interval(simd, self.scan, &codes, &mut bits, units, targets))
        })
    }

    fn progressive(
        &self,
        targets: &mut [Target],
        scratch: &mut Scratch,
    ) -> Result<usize, ImageError> {
        let coefficients = &mut scratch.coefficients;
        let scan = self.scan;
        if scan.from > 0 {
            let target = &targets[scan.parts[0].index];
            let codes = self.tables.rest(scan.parts[0].rest)?;
            let blocks = &mut coefficients[target.coefficients.clone()];
            let seen = &mut scratch.seen[target.coefficients.clone()];
            let level = Level::new();
            return self.intervals(&mut scratch.plain, |data, units| {
                let known = (&mut *blocks, &mut *seen, target.stride);
                dispatch!(level, _simd => progressive::rest(scan, codes, data, units, known))
            });
        }
        let mut codes = Vec::with_capacity(scan.parts.len());
        for part in &scan.parts {
            // A refinement has no codes.
            codes.push(match scan.bit_before {
                0 => Some(self.tables.first(part.first)?),
                _ => None,
            });
        }
        self.intervals(&mut scratch.plain, |data, units| {
            progressive::first(scan, &codes, data, units, (coefficients, targets))
        })
    }
}

/// Reads and shows the blocks of an interval of a sequential scan.
#[inline(always)]
fn interval<S: fearless_simd::Simd>(
    simd: S,
    scan: &Scan,
    codes: &[(&Huffman, &Huffman)],
    bits: &mut Bits<'_>,
    units: Range<usize>,
    targets: &mut [Target],
) -> Result<(), Break> {
    let mut means = [0_i32; 4];
    for unit in units {
        let read = scan.blocks(
            unit,
            #[inline(always)]
            |place, (across, down)| {
                let mut block = [0; 64];
                let (first, rest) = codes[place];
                means[place] = means[place].wrapping_add(first.difference(bits)?);
                block[0] = means[place] as i16;
                let last = coefficients(bits, rest, &mut block)?;
                let target = &mut targets[scan.parts[place].index];
                if across < target.blocks.0 && down < target.blocks.1 {
                    let factors = target.factors.as_ref().expect("latched before the scan");
                    for plane in &mut target.planes {
                        show(simd, (&block, last), factors, (across, down), plane);
                    }
                }
                Ok(())
            },
        );
        if let Err(damage) = read {
            return Err(Break { damage, unit });
        }
        if bits.overrun() {
            let damage = Damage::Ends;
            return Err(Break { damage, unit });
        }
    }
    Ok(())
}

/// Reads the coefficients of a block but the first; answers where the last
/// one stands.
#[inline(always)]
fn coefficients(bits: &mut Bits<'_>, codes: &Huffman, block: &mut Block) -> Result<usize, Damage> {
    let mut at = 1;
    let mut last = 0;
    while at < 64 {
        let next = codes.coefficient(bits)?;
        at += next.distance;
        if at >= 64 {
            return if at > BLOCK_ENDS {
                Ok(last)
            } else {
                Err(Damage::PastBlock)
            };
        }
        block[usize::from(PLACES[at] & 63)] = next.value;
        last = at;
        at += 1;
    }
    Ok(last)
}

#[inline(always)]
fn show_all<S: fearless_simd::Simd>(
    simd: S,
    target: &mut Target,
    coefficients: &[Block],
    seen: &[u64],
) {
    // A component without any scan is refused with the structure.
    let Some(factors) = &target.factors else {
        return;
    };
    for down in 0..target.blocks.1 {
        for across in 0..target.blocks.0 {
            let at = down * target.stride + across;
            let last = (63 - (seen[at] | 1).leading_zeros()) as usize;
            for plane in &mut target.planes {
                show(
                    simd,
                    (&coefficients[at], last),
                    factors,
                    (across, down),
                    plane,
                );
            }
        }
    }
}

//! Reads the picture data of a file: each component at the scales that are
//! wanted of it.
//!
//! Every code is read, whatever is wanted, so that a damaged file is refused
//! at any size. What is not wanted is not transformed.

use std::ops::Range;

use fearless_simd::{Level, dispatch};

use super::bits::{Bits, unstuff};
use super::huffman::{BLOCK_ENDS, Damage, Huffman};
use super::idct::{Block, PLACES, show};
use super::plane::{Plane, Scale};
use super::progressive;
use super::scan::Scan;
use super::structure::{DHT, DQT, DRI, SOS, Segment, Structure};
use super::tables::Tables;
use crate::error::ImageError;

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
    scratch.coefficients.clear();
    scratch.seen.clear();
    if structure.progressive {
        let end = targets.last().map_or(0, |target| target.coefficients.end);
        scratch.coefficients.resize(end, [0; 64]);
        scratch.seen.resize(end, 0);
    }
    let mut tables = Tables::default();
    let mut interval = 0;
    for segment in &structure.segments {
        let data = &structure.bytes[segment.payload.clone()];
        match segment.marker {
            DHT => tables.read_codes(data)?,
            DQT => tables.read_factors(data)?,
            DRI => interval = usize::from(u16::from_be_bytes([data[0], data[1]])),
            SOS => {
                let scan = Scan::read(structure, segment)?;
                latch_factors(structure, &scan, &tables, &mut targets)?;
                let run = Run {
                    structure,
                    segment,
                    scan: &scan,
                    tables: &tables,
                    interval: if interval == 0 { scan.units } else { interval },
                };
                if structure.progressive {
                    run.progressive(&mut targets, scratch)?;
                } else {
                    run.sequential(&mut targets, &mut scratch.plain)?;
                }
            }
            _ => {}
        }
    }
    if structure.progressive {
        let level = Level::new();
        for target in &mut targets {
            let coefficients = &scratch.coefficients[target.coefficients.clone()];
            let seen = &scratch.seen[target.coefficients.clone()];
            dispatch!(level, simd => show_all(simd, target, coefficients, seen));
        }
    }
    Ok(targets.into_iter().map(|target| target.planes).collect())
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
}

impl Run<'_> {
    /// Restart intervals: data without stuffing, and the units it holds. Some
    /// encoders write a restart marker after the last interval; what follows
    /// it holds none.
    fn intervals(
        &self,
        plain: &mut Vec<u8>,
        mut each: impl FnMut(&[u8], Range<usize>) -> Result<(), Damage>,
    ) -> Result<(), ImageError> {
        for (number, coded) in self.segment.intervals.iter().enumerate() {
            let begin = number * self.interval;
            let end = (begin + self.interval).min(self.scan.units);
            if begin >= end {
                break;
            }
            unstuff(&self.structure.bytes[coded.clone()], plain);
            each(plain, begin..end)?;
        }
        Ok(())
    }

    fn sequential(&self, targets: &mut [Target], plain: &mut Vec<u8>) -> Result<(), ImageError> {
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

    fn progressive(&self, targets: &mut [Target], scratch: &mut Scratch) -> Result<(), ImageError> {
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
) -> Result<(), Damage> {
    let mut means = [0_i32; 4];
    for unit in units {
        scan.blocks(
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
        )?;
        if bits.overrun() {
            return Err(Damage::Ends);
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

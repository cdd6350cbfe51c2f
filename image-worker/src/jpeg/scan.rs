//! The header of a scan, and the order in which its blocks stand (T.81, A.2).

use super::structure::{Segment, Structure, corrupt};
use crate::error::ImageError;

/// A component that takes part in a scan.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    /// Its place in the frame.
    pub(super) index: usize,
    /// Numbers of its Huffman tables.
    pub(super) first: u8,
    pub(super) rest: u8,
    /// Blocks of a unit.
    across: usize,
    down: usize,
}

#[derive(Debug)]
pub(super) struct Scan {
    pub(super) parts: Vec<Part>,
    /// Coefficients of a progressive scan, in the order of the file, and its
    /// bits.
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) bit_before: u8,
    pub(super) bit: u8,
    pub(super) units_across: usize,
    pub(super) units: usize,
}

impl Scan {
    /// Reads the header of a scan that `structure` has checked.
    pub(super) fn read(structure: &Structure<'_>, segment: &Segment) -> Result<Self, ImageError> {
        let data = &structure.bytes[segment.payload.clone()];
        let count = usize::from(data[0]);
        let (names, last) = data[1..].split_at(2 * count);
        let mut parts: Vec<Part> = Vec::with_capacity(count);
        for pair in names.chunks_exact(2) {
            let index = structure
                .components
                .iter()
                .position(|part| part.id == pair[0]);
            let index = index.expect("the structure knows the components of scans");
            let known = &structure.components[index];
            if parts.iter().any(|part| part.index == index) {
                return Err(corrupt("a scan with one component twice"));
            }
            parts.push(Part {
                index,
                first: pair[1] >> 4,
                rest: pair[1] & 15,
                across: usize::from(known.across),
                down: usize::from(known.down),
            });
        }
        let (units_across, units_down) = match parts.as_mut_slice() {
            [only] => {
                (only.across, only.down) = (1, 1);
                structure.blocks(only.index)
            }
            _ => structure.units_of_all(),
        };
        let scan = Self {
            parts,
            from: usize::from(last[0]),
            to: usize::from(last[1]),
            bit_before: last[2] >> 4,
            bit: last[2] & 15,
            units_across,
            units: units_across * units_down,
        };
        if structure.progressive {
            scan.check_progressive()?;
        }
        Ok(scan)
    }

    /// T.81, G.1.1.1.
    fn check_progressive(&self) -> Result<(), ImageError> {
        let band = if self.from == 0 {
            self.to == 0
        } else {
            self.parts.len() == 1 && self.from <= self.to && self.to < 64
        };
        let bits = self.bit <= 13 && (self.bit_before == 0 || self.bit_before == self.bit + 1);
        if band && bits {
            return Ok(());
        }
        Err(corrupt(format!(
            "a scan of coefficients {} to {} and bits {} to {}",
            self.from, self.to, self.bit_before, self.bit
        )))
    }

    /// Calls `each` with every block of a unit: the part it belongs to (by its place in
    /// `parts`) and where it stands in its component.
    #[inline(always)]
    pub(super) fn blocks<E>(
        &self,
        unit: usize,
        mut each: impl FnMut(usize, (usize, usize)) -> Result<(), E>,
    ) -> Result<(), E> {
        let (down, across) = (unit / self.units_across, unit % self.units_across);
        for (place, part) in self.parts.iter().enumerate() {
            for y in 0..part.down {
                for x in 0..part.across {
                    each(place, (across * part.across + x, down * part.down + y))?;
                }
            }
        }
        Ok(())
    }
}

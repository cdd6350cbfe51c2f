//! Scans of a progressive file (T.81, G): each brings some coefficients, or a
//! further bit of them.

use std::ops::Range;

use super::bits::Bits;
use super::decoder::Target;
use super::huffman::{Damage, Huffman};
use super::idct::{Block, PLACES};
use super::scan::Scan;

/// Reads first coefficients, of one component or all.
pub(super) fn first(
    scan: &Scan,
    codes: &[Option<&Huffman>],
    data: &[u8],
    units: Range<usize>,
    (coefficients, targets): (&mut [Block], &[Target]),
) -> Result<(), Damage> {
    let mut bits = Bits::new(data);
    let mut means = [0_i32; 4];
    for unit in units {
        scan.blocks(unit, |place, (across, down)| {
            let target = &targets[scan.parts[place].index];
            let at = target.coefficients.start + down * target.stride + across;
            let value = &mut coefficients[at][0];
            match codes[place] {
                Some(codes) => {
                    means[place] = means[place].wrapping_add(codes.difference(&mut bits)?);
                    *value = (means[place] << scan.bit) as i16;
                }
                None => {
                    bits.refill();
                    *value |= (bits.take(1) as i16) << scan.bit;
                }
            }
            Ok(())
        })?;
        if bits.overrun() {
            return Err(Damage::Ends);
        }
    }
    Ok(())
}

/// Reads other coefficients, which are always of one component.
pub(super) fn rest(
    scan: &Scan,
    codes: &Huffman,
    data: &[u8],
    units: Range<usize>,
    (coefficients, stride): (&mut [Block], usize),
) -> Result<(), Damage> {
    let mut band = Band {
        scan,
        codes,
        bits: Bits::new(data),
        ended: 0,
    };
    for unit in units {
        let (down, across) = (unit / scan.units_across, unit % scan.units_across);
        let block = &mut coefficients[down * stride + across];
        if scan.bit_before == 0 {
            band.begin(block)?;
        } else {
            band.refine(block)?;
        }
        if band.bits.overrun() {
            return Err(Damage::Ends);
        }
    }
    Ok(())
}

struct Band<'a> {
    scan: &'a Scan,
    codes: &'a Huffman,
    bits: Bits<'a>,
    /// Blocks from the next one on of which the scan has nothing new.
    ended: u32,
}

impl Band<'_> {
    /// Takes a code as run and size.
    #[inline(always)]
    fn code(&mut self) -> Result<(usize, u32), Damage> {
        self.bits.refill();
        let symbol = self.codes.symbol(&mut self.bits)?;
        Ok((usize::from(symbol >> 4), u32::from(symbol & 15)))
    }

    /// Takes the number of blocks that end here, this one with them.
    #[inline(always)]
    fn ends(&mut self, run: usize) -> u32 {
        (1 << run) + self.bits.take(run as u32)
    }

    /// The first bits of coefficients.
    fn begin(&mut self, block: &mut Block) -> Result<(), Damage> {
        if self.ended > 0 {
            self.ended -= 1;
            return Ok(());
        }
        let mut at = self.scan.from;
        while at <= self.scan.to {
            let (run, size) = self.code()?;
            if size == 0 && run < 15 {
                self.ended = self.ends(run) - 1;
                return Ok(());
            }
            at += run;
            if at > self.scan.to {
                return Err(Damage::PastBlock);
            }
            if size > 0 {
                let value = self.bits.value(size) << self.scan.bit;
                block[usize::from(PLACES[at] & 63)] = value as i16;
            }
            at += 1;
        }
        Ok(())
    }

    /// One bit more of coefficients.
    fn refine(&mut self, block: &mut Block) -> Result<(), Damage> {
        let bit = 1_i16 << self.scan.bit;
        let mut at = self.scan.from;
        while self.ended == 0 && at <= self.scan.to {
            let (run, size) = self.code()?;
            let new = match (run, size) {
                (15, 0) => None,
                (_, 0) => {
                    self.ended = self.ends(run);
                    break;
                }
                (_, 1) => Some(if self.bits.take(1) == 1 { bit } else { -bit }),
                _ => return Err(Damage::Size),
            };
            at = self.pass(block, at, run, bit);
            if at > self.scan.to {
                // Sixteen zeros may reach over the end of what there is, a
                // coefficient may not.
                return if new.is_none() {
                    Ok(())
                } else {
                    Err(Damage::PastBlock)
                };
            }
            if let Some(value) = new {
                block[usize::from(PLACES[at] & 63)] = value;
            }
            at += 1;
        }
        if self.ended > 0 {
            self.pass(block, at, usize::MAX, bit);
            self.ended -= 1;
        }
        Ok(())
    }

    /// Passes over `zeros` coefficients that are zero and corrects the others
    /// on the way; answers where the next that is zero stands.
    fn pass(&mut self, block: &mut Block, from: usize, zeros: usize, bit: i16) -> usize {
        let mut left = zeros;
        for at in from..=self.scan.to {
            let value = &mut block[usize::from(PLACES[at] & 63)];
            if *value == 0 {
                if left == 0 {
                    return at;
                }
                left -= 1;
                continue;
            }
            self.bits.refill();
            if self.bits.take(1) == 1 && *value & bit == 0 {
                let correction = if *value < 0 { -bit } else { bit };
                *value = value.wrapping_add(correction);
            }
        }
        self.scan.to + 1
    }
}

//! Scans of a progressive file (T.81, G): each brings some coefficients, or a
//! further bit of them.

use std::ops::Range;

use super::bits::Bits;
use super::decoder::{Break, Target};
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
) -> Result<(), Break> {
    let mut bits = Bits::new(data);
    let mut means = [0_i32; 4];
    for unit in units {
        let read = scan.blocks(unit, |place, (across, down)| {
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
        });
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

/// Reads other coefficients, which are always of one component. `seen` has
/// for each block a bit for each coefficient that is not zero, in the order of
/// the file.
#[inline(always)]
pub(super) fn rest(
    scan: &Scan,
    codes: &Huffman,
    data: &[u8],
    units: Range<usize>,
    (coefficients, seen, stride): (&mut [Block], &mut [u64], usize),
) -> Result<(), Break> {
    let mut band = Band {
        from: scan.from,
        to: scan.to,
        bit: scan.bit,
        codes,
        bits: Bits::new(data),
        ended: 0,
    };
    let (mut down, mut across) = (
        units.start / scan.units_across,
        units.start % scan.units_across,
    );
    for unit in units {
        let at = down * stride + across;
        let read = if scan.bit_before > 0 {
            band.refine(&mut coefficients[at], &mut seen[at])
        } else if band.ended > 0 {
            band.ended -= 1;
            Ok(())
        } else {
            band.begin(&mut coefficients[at], &mut seen[at])
        };
        if let Err(damage) = read {
            return Err(Break { damage, unit });
        }
        if band.bits.overrun() {
            let damage = Damage::Ends;
            return Err(Break { damage, unit });
        }
        across += 1;
        if across == scan.units_across {
            (down, across) = (down + 1, 0);
        }
    }
    Ok(())
}

struct Band<'a> {
    from: usize,
    to: usize,
    bit: u8,
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
    #[inline(always)]
    fn begin(&mut self, block: &mut Block, seen: &mut u64) -> Result<(), Damage> {
        let mut at = self.from;
        while at <= self.to {
            let (run, size) = self.code()?;
            if size == 0 && run < 15 {
                self.ended = self.ends(run) - 1;
                return Ok(());
            }
            at += run;
            if at > self.to {
                return Err(Damage::PastBlock);
            }
            if size > 0 {
                let value = self.bits.value(size) << self.bit;
                block[usize::from(PLACES[at & 63] & 63)] = value as i16;
                *seen |= 1 << (at & 63);
            }
            at += 1;
        }
        Ok(())
    }

    /// One bit more of coefficients.
    #[inline(always)]
    fn refine(&mut self, block: &mut Block, seen: &mut u64) -> Result<(), Damage> {
        let bit = 1_i16 << self.bit;
        // Coefficients that this scan brings are not corrected by it.
        let known = *seen;
        let mut at = self.from;
        while self.ended == 0 && at <= self.to {
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
            at = self.pass(block, known, at, run);
            if at > self.to {
                // Sixteen zeros may reach over the end of what there is, a
                // coefficient may not.
                return match new {
                    None => Ok(()),
                    Some(_) => Err(Damage::PastBlock),
                };
            }
            if let Some(value) = new {
                block[usize::from(PLACES[at & 63] & 63)] = value;
                *seen |= 1 << (at & 63);
            }
            at += 1;
        }
        if self.ended > 0 {
            self.pass(block, known, at, usize::MAX);
            self.ended -= 1;
        }
        Ok(())
    }

    /// Passes over `zeros` coefficients that are zero and corrects the others
    /// on the way; answers where the next that is zero stands.
    #[inline(always)]
    fn pass(&mut self, block: &mut Block, known: u64, from: usize, zeros: usize) -> usize {
        let mut at = from;
        let mut left = zeros;
        // Those from here on, up to the last of the scan.
        let mut ahead = if from > self.to {
            0
        } else {
            known & (u64::MAX << (from & 63)) & (u64::MAX >> (63 - (self.to & 63)))
        };
        while ahead != 0 {
            let next = ahead.trailing_zeros() as usize;
            if next - at > left {
                return at + left;
            }
            left -= next - at;
            ahead &= ahead - 1;
            at = next + 1;
            let value = &mut block[usize::from(PLACES[next & 63] & 63)];
            self.bits.refill();
            if self.bits.take(1) == 1 {
                let bit = 1_i16 << self.bit;
                if *value & bit == 0 {
                    let correction = if *value < 0 { -bit } else { bit };
                    *value = value.wrapping_add(correction);
                }
            }
        }
        at.saturating_add(left).min(self.to + 1)
    }
}

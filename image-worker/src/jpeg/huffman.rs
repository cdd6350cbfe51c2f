//! Huffman tables (T.81, C and F.2.2.3), made for looking codes up.

use super::bits::{Bits, extend};

/// Bits that one look-up decodes. Nearly all codes that occur are shorter, and
/// the tables of a picture stay in the first-level cache.
const LOOK: u32 = 10;
/// In place of a distance: the block ends.
pub(super) const BLOCK_ENDS: usize = 128;

/// What is wrong with entropy-coded data or its tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    /// Bits that are no code of their table.
    NoCode,
    /// A coefficient behind the last one of its block.
    PastBlock,
    /// A size of values that no picture of 8 bits has.
    Size,
    /// The data ends before its blocks do.
    Ends,
}

/// Code and value of a coefficient by the next [`LOOK`] bits, where both fit.
#[derive(Clone, Copy)]
struct Short(u32);

impl Short {
    const NONE: Self = Self(0);

    fn new(bits: u32, distance: usize, value: i32) -> Self {
        Self((value as u32) << 16 | (distance as u32) << 8 | bits)
    }
}

/// A coefficient in the data of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Coefficient {
    /// Coefficients of zero before it, or [`BLOCK_ENDS`].
    pub(super) distance: usize,
    pub(super) value: i16,
}

pub(super) struct Huffman {
    /// By the next bits: length << 8 | symbol, 0 where the code is longer.
    look: Box<[u16; 1 << LOOK]>,
    short: Box<[Short; 1 << LOOK]>,
    /// By length: the first code behind those of this length, as if it had 16
    /// bits.
    ends: [u32; 17],
    /// By length: what to add to a code for its place in `symbols`.
    offsets: [i32; 17],
    symbols: [u8; 256],
}

impl Huffman {
    /// `counts` are numbers of codes by length, 1 to 16, `symbols` what they
    /// stand for. `None` where these are no codes: too many for their length,
    /// or one of all ones.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let total: usize = counts.iter().map(|count| usize::from(*count)).sum();
        if total > 256 || symbols.len() != total {
            return None;
        }
        let mut table = Self {
            look: Box::new([0; 1 << LOOK]),
            short: Box::new([Short::NONE; 1 << LOOK]),
            ends: [0; 17],
            offsets: [0; 17],
            symbols: [0; 256],
        };
        table.symbols[..total].copy_from_slice(symbols);
        let (mut code, mut place) = (0_u32, 0_u32);
        for length in 1..=16_u32 {
            let count = u32::from(counts[length as usize - 1]);
            table.offsets[length as usize] = place as i32 - code as i32;
            for _ in 0..count {
                if code + 1 >= 1 << length {
                    return None;
                }
                table.enter(code, length, symbols[place as usize]);
                code += 1;
                place += 1;
            }
            table.ends[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Some(table)
    }

    fn enter(&mut self, code: u32, length: u32, symbol: u8) {
        if length > LOOK {
            return;
        }
        let spare = LOOK - length;
        let first = (code << spare) as usize;
        self.look[first..first + (1 << spare)].fill((length as u16) << 8 | u16::from(symbol));
        let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        if size > spare {
            return;
        }
        for tail in 0..1_u32 << spare {
            let short = match (run, size) {
                (15, 0) => Short::new(length, 15, 0),
                (_, 0) => Short::new(length, BLOCK_ENDS, 0),
                _ => {
                    let value = extend(tail >> (spare - size), size);
                    Short::new(length + size, run, value)
                }
            };
            self.short[first + tail as usize] = short;
        }
    }

    /// Takes a code; at least 16 bits must be held.
    #[inline(always)]
    pub(super) fn symbol(&self, bits: &mut Bits<'_>) -> Result<u8, Damage> {
        let found = self.look[bits.peek(LOOK)];
        if found != 0 {
            bits.consume(u32::from(found >> 8));
            return Ok(found as u8);
        }
        self.long(bits)
    }

    #[inline(never)]
    fn long(&self, bits: &mut Bits<'_>) -> Result<u8, Damage> {
        let code = bits.peek(16) as u32;
        for length in LOOK + 1..=16 {
            if code < self.ends[length as usize] {
                bits.consume(length);
                let place = (code >> (16 - length)) as i32 + self.offsets[length as usize];
                return Ok(self.symbols[(place & 0xff) as usize]);
            }
        }
        Err(Damage::NoCode)
    }

    /// Takes the next coefficient of a block of a sequential scan.
    #[inline(always)]
    pub(super) fn coefficient(&self, bits: &mut Bits<'_>) -> Result<Coefficient, Damage> {
        bits.refill();
        let Short(short) = self.short[bits.peek(LOOK)];
        if short != 0 {
            bits.consume(short & 0x1f);
            return Ok(Coefficient {
                distance: (short >> 8 & 0xff) as usize,
                value: (short >> 16) as i16,
            });
        }
        let symbol = self.symbol(bits)?;
        let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        let distance = if size == 0 && run != 15 {
            BLOCK_ENDS
        } else {
            run
        };
        let value = bits.value(size) as i16;
        Ok(Coefficient { distance, value })
    }

    /// Takes the difference of a first coefficient.
    #[inline(always)]
    pub(super) fn difference(&self, bits: &mut Bits<'_>) -> Result<i32, Damage> {
        bits.refill();
        let size = u32::from(self.symbol(bits)?);
        if size > 15 {
            return Err(Damage::Size);
        }
        Ok(bits.value(size))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// T.81, table K.3: differences of luminance.
    const DC_COUNTS: [u8; 16] = [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0];
    const DC_SYMBOLS: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

    fn bytes(bits: &str) -> Vec<u8> {
        let bits: String = bits.split(' ').collect();
        let at = |place: usize| bits.get(place..=place).unwrap_or("1");
        (0..bits.len().div_ceil(8))
            .map(|byte| {
                let text: String = (0..8).map(|bit| at(byte * 8 + bit)).collect();
                u8::from_str_radix(&text, 2).unwrap()
            })
            .collect()
    }

    #[test]
    fn differences_are_read_as_the_standard_codes_them() {
        let table = Huffman::new(&DC_COUNTS, &DC_SYMBOLS).unwrap();
        let check = |bits: &str, expected: &[i32]| {
            let data = bytes(bits);
            let mut bits = Bits::new(&data);
            for expected in expected {
                assert_eq!(table.difference(&mut bits), Ok(*expected));
            }
        };
        check("00 010 0 010 1", &[0, -1, 1]);
        check("011 00 011 11 100 000", &[-3, 3, -7]);
        check(
            "111111110 11111111111 111111110 00000000000",
            &[2047, -2047],
        );
    }

    #[test]
    fn coefficients_come_with_their_distance() {
        // Codes: 0 end of block, 10 run 0 size 1, 110 run 2 size 11,
        // 1110 sixteen zeros, then one of 12 bits: run 3 size 2.
        let counts = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        let table = Huffman::new(&counts, &[0x00, 0x01, 0x2b, 0xf0, 0x32]).unwrap();
        let data = bytes("10 1 110 10000000000 1110 111100000000 01 10 0 0");
        let mut bits = Bits::new(&data);
        let mut check = |distance, value| {
            let found = table.coefficient(&mut bits);
            assert_eq!(found, Ok(Coefficient { distance, value }));
        };
        check(0, 1);
        check(2, 1024);
        check(15, 0);
        check(3, -2);
        check(0, -1);
        check(BLOCK_ENDS, 0);
        let mut bits = Bits::new(&[0xff; 8]);
        assert_eq!(table.coefficient(&mut bits), Err(Damage::NoCode));
    }

    #[test]
    fn every_code_of_every_length_is_found() {
        let counts = [0, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3];
        let symbols: Vec<u8> = (10..28).collect();
        let table = Huffman::new(&counts, &symbols).unwrap();
        let (mut code, mut place) = (0_u32, 0);
        for length in 1..=16_u32 {
            for _ in 0..counts[length as usize - 1] {
                let data = (code << (32 - length)).to_be_bytes();
                let mut bits = Bits::new(&data);
                bits.refill();
                assert_eq!(table.symbol(&mut bits), Ok(symbols[place]), "{length}");
                code += 1;
                place += 1;
            }
            code <<= 1;
        }
    }

    #[test]
    fn tables_that_are_no_codes_are_refused() {
        let check = |counts: [u8; 16], symbols: &[u8]| {
            assert!(Huffman::new(&counts, symbols).is_none(), "{counts:?}");
        };
        let mut counts = [0; 16];
        counts[0] = 2;
        // The second code would be all ones.
        check(counts, &[1, 2]);
        counts[0] = 3;
        check(counts, &[1, 2, 3]);
        counts[0] = 1;
        check(counts, &[]);
        check([255; 16], &[0; 255 * 16]);
    }
}

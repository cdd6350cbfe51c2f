//! Bits of entropy-coded data, from the most significant on.
//!
//! Markers are not seen here: data comes without stuffed bytes (T.81, B.1.1.5),
//! one restart interval at a time. Reading past the end gives zero bits and is
//! noticed afterwards, so that the inner loops need no check a bit.

/// Bits held after [`Bits::refill`], at least: a Huffman code of 16 and a
/// value of 15.
const HELD_MIN: u32 = 32;

/// Takes the zero byte away that follows every 0xff in entropy-coded data, and
/// fill bytes before a marker, which are 0xff alone.
pub(super) fn unstuff(coded: &[u8], plain: &mut Vec<u8>) {
    plain.clear();
    plain.reserve(coded.len() + 8);
    let mut rest = coded;
    while let Some(at) = memchr::memchr(0xff, rest) {
        let stuffed = rest.get(at + 1) == Some(&0);
        plain.extend_from_slice(&rest[..at + usize::from(stuffed)]);
        rest = &rest[at + 1 + usize::from(stuffed)..];
    }
    plain.extend_from_slice(rest);
}

pub(super) struct Bits<'a> {
    data: &'a [u8],
    /// Bytes of `data` whose bits are all counted in `held` or consumed.
    at: usize,
    /// The next bits, from the top. Below the held ones may stand bits that
    /// the next refill puts there again.
    buffer: u64,
    held: u32,
}

impl<'a> Bits<'a> {
    #[inline(always)]
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self {
            data,
            at: 0,
            buffer: 0,
            held: 0,
        }
    }

    /// Makes sure that a code and its value can be taken.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        if self.held >= HELD_MIN {
            return;
        }
        let next = self.data.get(self.at..).and_then(|rest| rest.first_chunk());
        let word = match next {
            Some(bytes) => u64::from_be_bytes(*bytes),
            None => self.tail(),
        };
        self.buffer |= word >> self.held;
        let bytes = (63 - self.held) >> 3;
        self.at += bytes as usize;
        self.held += bytes * 8;
    }

    #[cold]
    fn tail(&self) -> u64 {
        let mut word = [0; 8];
        if let Some(rest) = self.data.get(self.at..) {
            word[..rest.len()].copy_from_slice(rest);
        }
        u64::from_be_bytes(word)
    }

    /// The next `count` bits, 1 to 16.
    #[inline(always)]
    pub(super) fn peek(&self, count: u32) -> usize {
        (self.buffer >> (64 - count)) as usize
    }

    #[inline(always)]
    pub(super) fn consume(&mut self, count: u32) {
        self.buffer <<= count;
        self.held = self.held.wrapping_sub(count);
    }

    /// Takes `count` bits, 0 to 15.
    #[inline(always)]
    pub(super) fn take(&mut self, count: u32) -> u32 {
        // Two shifts, because a shift by 64 is none.
        let value = (self.buffer >> 1) >> (63 - count);
        self.consume(count);
        value as u32
    }

    /// Takes a signed value of `size` bits (T.81, F.2.2.1).
    #[inline(always)]
    pub(super) fn value(&mut self, size: u32) -> i32 {
        extend(self.take(size), size)
    }

    /// More bits were taken than there were.
    #[inline(always)]
    pub(super) fn overrun(&self) -> bool {
        self.at * 8 > self.data.len() * 8 + self.held as usize
    }
}

/// `size` bits as the value that they stand for: those that begin with 0 are
/// negative.
#[inline(always)]
pub(super) fn extend(bits: u32, size: u32) -> i32 {
    let bits = bits as i32;
    let span = 1_i32 << size;
    if bits * 2 < span {
        bits - span + 1
    } else {
        bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stuffed_and_fill_bytes_are_taken_away() {
        let check = |coded: &[u8], expected: &[u8]| {
            let mut plain = vec![9; 3];
            unstuff(coded, &mut plain);
            assert_eq!(plain, expected, "{coded:?}");
        };
        check(b"", b"");
        check(b"\x01\x02", b"\x01\x02");
        check(b"\xff\x00", b"\xff");
        check(b"\x01\xff\x00\xff\x00\x02", b"\x01\xff\xff\x02");
        check(b"\x01\xff\xff", b"\x01");
        check(b"\x01\xff\xff\x00", b"\x01\xff");
    }

    #[test]
    fn bits_come_in_order_and_their_end_is_noticed() {
        let data: Vec<u8> = (0..40_u8).map(|byte| byte.wrapping_mul(37)).collect();
        let mut bits = Bits::new(&data);
        let mut seen = String::new();
        for count in (1..=15).cycle() {
            if seen.len() + count as usize > data.len() * 8 {
                break;
            }
            bits.refill();
            let peeked = bits.peek(count);
            let taken = bits.take(count);
            assert_eq!(peeked, taken as usize);
            seen += &format!("{taken:0width$b}", width = count as usize);
            assert!(!bits.overrun());
        }
        let expected: String = data.iter().map(|byte| format!("{byte:08b}")).collect();
        assert!(expected.starts_with(&seen));
        let left = (expected.len() - seen.len()) as u32;
        bits.refill();
        bits.take(left);
        assert!(!bits.overrun());
        bits.refill();
        assert_eq!(bits.take(1), 0);
        assert!(bits.overrun());
        for _ in 0..100 {
            bits.refill();
            assert_eq!(bits.take(15), 0);
        }
        assert!(bits.overrun());
    }

    #[test]
    fn values_are_signed_as_the_standard_says() {
        let check = |bits, size, expected| assert_eq!(extend(bits, size), expected);
        check(0, 0, 0);
        check(0, 1, -1);
        check(1, 1, 1);
        check(0, 3, -7);
        check(3, 3, -4);
        check(4, 3, 4);
        check(7, 3, 7);
        check(0, 15, -32_767);
    }
}

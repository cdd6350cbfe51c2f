//! Numbers in few bytes (LEB128, signed ones in zigzag), and reading them back
//! without trust: whatever is not there is `None`.

/// Appends `value` in 1 to 10 bytes.
pub(crate) fn put_u64(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed `value`; small ones of either sign are short.
pub(crate) fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_u64(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Bytes that are being read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wire<'a>(&'a [u8]);

impl<'a> Wire<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes are left.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        let value = self.u64()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A number that has to fit a smaller type.
    pub(crate) fn number<T: TryFrom<u64>>(&mut self) -> Option<T> {
        T::try_from(self.u64()?).ok()
    }

    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// As many bytes as the number before them says.
    pub(crate) fn counted(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(length)
    }

    /// All that is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn numbers_come_back_as_they_went() {
        for value in [
            0,
            1,
            127,
            128,
            300,
            u64::from(u32::MAX),
            u64::MAX - 1,
            u64::MAX,
        ] {
            let mut out = Vec::new();
            put_u64(&mut out, value);
            let mut wire = Wire::new(&out);
            assert_eq!(wire.u64(), Some(value));
            assert!(wire.is_empty());
            for cut in 0..out.len() {
                assert_eq!(Wire::new(&out[..cut]).u64(), None, "{value} cut at {cut}");
            }
        }
        for value in [0, -1, 1, i64::MIN, i64::MAX, 1_700_000_000] {
            let mut out = Vec::new();
            put_i64(&mut out, value);
            assert_eq!(Wire::new(&out).i64(), Some(value));
        }
    }

    #[test]
    fn what_is_too_large_is_refused() {
        assert_eq!(Wire::new(&[0xff; 11]).u64(), None);
        assert_eq!(
            Wire::new(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2]).u64(),
            None
        );
        assert_eq!(Wire::new(&[0x80, 0x02]).number::<u8>(), None);
        assert_eq!(Wire::new(&[5, 1, 2]).counted(), None);
        assert_eq!(Wire::new(&[2, 1, 2]).counted(), Some(&[1u8, 2][..]));
    }
}

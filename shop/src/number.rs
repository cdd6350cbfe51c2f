//! Numbers: hashing in place of randomness, and fast decimal text.
//!
//! All variety of the shop comes from `mix`, a stateless function of what it is asked about, so any
//! product can be made without making those before it.

use crate::spec::Currency;

/// SplitMix64's finaliser over a seed and one number (Steele, Lea, Flood: "Fast splittable
/// pseudorandom number generators").
pub(crate) fn mix(seed: u64, n: u64) -> u64 {
    let mut z = seed
        .wrapping_add(n.wrapping_mul(GOLDEN))
        .wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// 2^64 divided by the golden ratio: multiples of it spread evenly over the 64-bit circle.
pub(crate) const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// A share (0 to 1) as a bound on 64-bit numbers.
pub(crate) fn share_bound(share: f64) -> u64 {
    // The cast saturates, so a share of 1 is the largest number.
    (share * 18_446_744_073_709_551_616.0) as u64
}

/// Takes a small number out of a hash, leaving the rest of it for the next question.
pub(crate) fn take(hash: &mut u64, bound: u64) -> u64 {
    let n = *hash % bound;
    *hash /= bound;
    n
}

pub(crate) fn push_number(out: &mut String, mut n: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.push_str(std::str::from_utf8(&digits[at..]).expect("decimal digits are ASCII"));
}

/// A number with leading zeros up to `width` (20 at most).
pub(crate) fn push_padded(out: &mut String, n: u64, width: usize) {
    let mut length = 1;
    let mut rest = n / 10;
    while rest > 0 {
        length += 1;
        rest /= 10;
    }
    out.push_str(&"00000000000000000000"[..width.saturating_sub(length).min(20)]);
    push_number(out, n);
}

/// An amount in minor units as the decimal text of its currency: `12900`, `12.90`.
pub(crate) fn push_amount(out: &mut String, minor: u64, currency: Currency) {
    match currency {
        Currency::Krw => push_number(out, minor),
        Currency::Usd => {
            push_number(out, minor / 100);
            out.push('.');
            push_padded(out, minor % 100, 2);
        }
    }
}

/// The inverse of an odd number modulo 2^32, by Newton's iteration (each round doubles the bits).
pub(crate) const fn inverse_u32(odd: u32) -> u32 {
    let mut x = odd;
    let mut round = 0;
    while round < 4 {
        x = x.wrapping_mul(2_u32.wrapping_sub(odd.wrapping_mul(x)));
        round += 1;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_text() {
        fn check(minor: u64, currency: Currency, expected: &str) {
            let mut out = String::new();
            push_amount(&mut out, minor, currency);
            assert_eq!(out, expected);
        }
        check(0, Currency::Krw, "0");
        check(12_900, Currency::Krw, "12900");
        check(1_290, Currency::Usd, "12.90");
        check(5, Currency::Usd, "0.05");
        check(u64::MAX, Currency::Krw, "18446744073709551615");
    }

    #[test]
    fn padding_never_cuts() {
        let mut out = String::new();
        push_padded(&mut out, 42, 5);
        push_padded(&mut out, 123_456, 3);
        assert_eq!(out, "00042123456");
    }

    #[test]
    fn inverse_undoes_the_product() {
        for odd in [1_u32, 3, 2_654_435_769, u32::MAX] {
            assert_eq!(odd.wrapping_mul(inverse_u32(odd)), 1, "{odd}");
        }
    }
}

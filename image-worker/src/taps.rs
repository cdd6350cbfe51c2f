//! Which stored samples a resized one is made of, and in what shares: the
//! convolution of Catmull and Rom (1974), as wide as the picture is shrunk,
//! so that every stored sample counts.

/// Bits of fraction of a share.
pub(crate) const SHARE_BITS: u32 = 14;
const ONE: i32 = 1 << SHARE_BITS;
/// Half the width of the filter, in samples of the smaller picture.
const REACH: f64 = 2.0;

/// The stored samples of one resized sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taps {
    /// The first of them.
    pub(crate) first: usize,
    /// Their shares, which sum up to one.
    pub(crate) shares: Vec<i16>,
}

/// For each of `to` samples, what it is made of: they lie evenly over `length`
/// of `stored` samples from `begin` on. Samples beyond that part count where
/// there are some, beyond the stored ones none do.
pub(crate) fn taps(stored: usize, begin: f64, length: f64, to: usize) -> Vec<Taps> {
    let step = length / to as f64;
    let widened = step.max(1.0);
    let reach = REACH * widened;
    let mut weights: Vec<f64> = Vec::new();
    let one = |at: usize| {
        let middle = begin + (at as f64 + 0.5) * step;
        // Within 0 and the stored samples, so that casts only round.
        let first = (middle - reach + 0.5)
            .floor()
            .clamp(0.0, stored as f64 - 1.0) as usize;
        let last = (middle + reach + 0.5)
            .floor()
            .clamp(first as f64 + 1.0, stored as f64) as usize;
        weights.clear();
        weights
            .extend((first..last).map(|sample| weight((sample as f64 + 0.5 - middle) / widened)));
        Taps {
            first,
            shares: shares(&weights),
        }
    };
    (0..to).map(one).collect()
}

/// The filter at a distance from its middle.
fn weight(distance: f64) -> f64 {
    let x = distance.abs();
    if x < 1.0 {
        (1.5 * x - 2.5) * x * x + 1.0
    } else if x < REACH {
        ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    } else {
        0.0
    }
}

/// Weights as shares of one. What rounding leaves over goes to the greatest.
fn shares(weights: &[f64]) -> Vec<i16> {
    let sum: f64 = weights.iter().sum();
    let share = |weight: &f64| (weight / sum * f64::from(ONE)).round() as i16;
    let mut shares: Vec<i16> = weights.iter().map(share).collect();
    let found: i32 = shares.iter().map(|share| i32::from(*share)).sum();
    if let Some(greatest) = shares.iter_mut().max_by_key(|share| **share) {
        *greatest += (ONE - found) as i16;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_resized_is_made_of_itself() {
        for (at, taps) in taps(5, 0.0, 5.0, 5).into_iter().enumerate() {
            let own = taps.shares[at - taps.first];
            assert_eq!(i32::from(own), ONE);
            assert!(taps.shares.iter().filter(|share| **share != 0).count() == 1);
        }
    }

    #[test]
    fn shares_sum_up_to_one_and_are_even() {
        for (stored, begin, length, to) in [
            (1200, 0.0, 1200.0, 720),
            (600, 0.0, 600.0, 256),
            (50, 3.5, 41.25, 100),
            (7, 0.0, 7.0, 1),
            (1, 0.0, 1.0, 9),
            (3, 2.9, 0.1, 4),
        ] {
            let all = taps(stored, begin, length, to);
            assert_eq!(all.len(), to);
            for taps in &all {
                let sum: i32 = taps.shares.iter().map(|share| i32::from(*share)).sum();
                assert_eq!(sum, ONE, "{stored} {to}");
                assert!(taps.first + taps.shares.len() <= stored && !taps.shares.is_empty());
            }
        }
        let halved = taps(16, 0.0, 16.0, 8);
        assert_eq!(halved[3].first, 3);
        // Catmull-Rom at 1/4, 3/4, 5/4 and 7/4, halved.
        let expected = [-192, -576, 1856, 7104, 7104, 1856, -576, -192];
        assert_eq!(halved[3].shares, expected);
    }
}

//! Random numbers of our own, so that a seed means the same on every machine
//! and with every version of a library: SplitMix64, whose constants are those
//! of Steele, Lea and Flood, "Fast splittable pseudorandom number generators"
//! (2014). Not for secrets.

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    #[cfg(test)]
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A stream that hangs on all of the parts and is unlike its neighbours'.
    pub(crate) fn of(parts: [u64; 3]) -> Self {
        let mut mixed = 0;
        for part in parts {
            mixed = Self(mixed ^ part).next();
        }
        Self(mixed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Evenly from 0 to below 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A whole number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// Exponentially distributed with this mean.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// Normally distributed, by the method of Box and Muller.
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Log-normally distributed about a median.
    pub(crate) fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        median * (sigma * self.normal()).exp()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_seed_means_the_same_numbers_for_ever() {
        // The first outputs of SplitMix64 for seed 0, as published.
        let mut random = Random::new(0);
        assert_eq!(random.next(), 0xE220_A839_7B1D_CDAF);
        assert_eq!(random.next(), 0x6E78_9E6A_A1B9_65F4);
    }

    #[test]
    fn distributions_have_their_medians_and_means() {
        let mut random = Random::of([1, 2, 3]);
        let mut drawn: Vec<f64> = (0..10_001).map(|_| random.log_normal(30.0, 0.3)).collect();
        drawn.sort_by(f64::total_cmp);
        assert!((drawn[5_000] - 30.0).abs() < 0.5, "{}", drawn[5_000]);
        let mean = (0..10_000).map(|_| random.exponential(7.0)).sum::<f64>() / 10_000.0;
        assert!((mean - 7.0).abs() < 0.3, "{mean}");
        assert!((0..1_000).all(|_| random.below(3) < 3));
    }
}

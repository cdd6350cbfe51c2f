//! A bucket of tokens that fills by the clock: how a service bounds requests a
//! second.

use std::time::Duration;

#[derive(Debug, Clone)]
pub(super) struct Bucket {
    rate_per_s: f64,
    tokens: f64,
    filled: Duration,
}

impl Bucket {
    /// Full at first; it holds what one second allows.
    pub(super) fn new(rate_per_s: f64, now: Duration) -> Self {
        Self {
            rate_per_s,
            tokens: rate_per_s,
            filled: now,
        }
    }

    /// False when the request comes too soon.
    pub(super) fn admit(&mut self, now: Duration) -> bool {
        let passed = now.saturating_sub(self.filled).as_secs_f64();
        self.filled = self.filled.max(now);
        self.tokens = (self.tokens + passed * self.rate_per_s).min(self.rate_per_s);
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_a_second_and_no_more() {
        let ms = Duration::from_millis;
        let mut bucket = Bucket::new(300.0, ms(0));
        let admitted = (0..10_000).filter(|n| bucket.admit(ms(*n))).count();
        // A full bucket at first, and 300 each of the ten seconds.
        assert!((3_299..=3_300).contains(&admitted), "{admitted}");
    }
}

//! How long a run will take, from the pipe's last ones.
//!
//! Two figures: what is likely, which sums over many pipes, and what is hardly
//! ever passed, which one deadline is judged by. Neither believes a single run
//! that lay parked for a day.

use trawler_core::past::PAST_MAX;
pub use trawler_core::past::PastRun as Past;

/// Shortest time that a run is taken to need: a message, a look, an entry.
const LEAST_MS: i64 = 100;

/// Of a pipe without a past where nobody else has one either.
const FIRST_MS: i64 = 10 * 60 * 1000;

/// Times the typical spread that a run may take longer than the median.
const SPREADS: i64 = 3;

/// How long a run will take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    pub expected_ms: i64,
    pub upper_ms: i64,
    /// From runs of the pipe itself.
    pub is_known: bool,
}

/// What runs of all pipes are like, for pipes that have had none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Typical {
    /// Three quarters of the pipes take no longer.
    pub ms: i64,
    /// The median of the time for one row.
    pub ms_per_row: f64,
}

impl Default for Typical {
    fn default() -> Self {
        Self {
            ms: FIRST_MS,
            ms_per_row: 0.0,
        }
    }
}

/// The estimate of a pipe whose last runs took so long, the newest last. One
/// without a past takes what others need for so many rows, or what most take.
pub fn estimate(past: &[Past], rows: Option<u64>, typical: &Typical) -> Estimate {
    let past = &past[past.len().saturating_sub(PAST_MAX)..];
    if past.is_empty() {
        let by_rows = rows.map_or(0.0, |rows| rows as f64 * typical.ms_per_row) as i64;
        let ms = if by_rows > 0 { by_rows } else { typical.ms };
        return known(ms, ms.saturating_mul(2), false);
    }
    let mut sorted = [0_i64; PAST_MAX];
    let sorted = &mut sorted[..past.len()];
    for (to, from) in sorted.iter_mut().zip(past) {
        *to = from.ms.max(LEAST_MS);
    }
    sorted.sort_unstable();
    let median = middle(sorted);
    let mut apart = [0_i64; PAST_MAX];
    let apart = &mut apart[..past.len()];
    for (to, from) in apart.iter_mut().zip(sorted.iter()) {
        *to = (from - median).abs();
    }
    apart.sort_unstable();
    // The median deviation as a standard deviation of a normal distribution.
    let spread = middle(apart).saturating_mul(3) / 2;
    let by_spread = median.saturating_add(spread.saturating_mul(SPREADS));
    // Of three and more the longest is not believed alone, the next one is.
    let seen = sorted[sorted.len().saturating_sub(2)];
    let upper = by_spread.max(seen);
    let cut = sorted.iter().map(|ms| i128::from((*ms).min(upper)));
    let expected = cut.sum::<i128>() / past.len() as i128;
    let expected = i64::try_from(expected).unwrap_or(i64::MAX);
    known(expected, upper.max(median + median / 10), true)
}

/// What pipes with a past are like.
pub fn typical(pasts: impl Iterator<Item = (Estimate, u64)>) -> Typical {
    let (mut times, mut rates) = (Vec::new(), Vec::new());
    for (estimate, rows) in pasts.filter(|(estimate, _)| estimate.is_known) {
        times.push(estimate.expected_ms);
        if rows > 0 {
            rates.push(estimate.expected_ms as f64 / rows as f64);
        }
    }
    if times.is_empty() {
        return Typical::default();
    }
    times.sort_unstable();
    rates.sort_unstable_by(f64::total_cmp);
    Typical {
        ms: times[times.len() * 3 / 4],
        ms_per_row: rates.get(rates.len() / 2).copied().unwrap_or(0.0),
    }
}

/// What is left of a run that was begun so long ago. One that takes longer than
/// it should is taken to need a quarter of its time again.
pub fn left_ms(whole_ms: i64, elapsed_ms: i64) -> i64 {
    let elapsed_ms = elapsed_ms.max(0);
    (whole_ms - elapsed_ms)
        .max(if elapsed_ms > whole_ms {
            elapsed_ms / 4
        } else {
            0
        })
        .max(LEAST_MS)
}

fn known(expected_ms: i64, upper_ms: i64, is_known: bool) -> Estimate {
    let expected_ms = expected_ms.max(LEAST_MS);
    Estimate {
        expected_ms,
        upper_ms: upper_ms.max(expected_ms),
        is_known,
    }
}

/// The lower of two in the middle counts: it is one that was seen.
fn middle(sorted: &[i64]) -> i64 {
    sorted[(sorted.len() - 1) / 2]
}

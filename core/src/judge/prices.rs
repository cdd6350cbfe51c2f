//! How far prices moved: a histogram of ratios, new to old.

use serde::{Deserialize, Serialize};

use super::EXAMPLES_MAX;

/// The steps of the histogram, and what `judge.price_factor` may be: a tenth,
/// a quarter, a half, then doubles and orders of magnitude. As fractions, so
/// that a ratio is compared without rounding.
pub const FACTORS: [(f64, i128, i128); 9] = [
    (1.1, 11, 10),
    (1.25, 5, 4),
    (1.5, 3, 2),
    (2.0, 2, 1),
    (3.0, 3, 1),
    (5.0, 5, 1),
    (9.0, 9, 1),
    (20.0, 20, 1),
    (90.0, 90, 1),
];

/// Prices of rows that were stored with a price and came with one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PriceMoves {
    /// All of them, also those whose price is as it was.
    pub compared: u64,
    /// Prices that rose by more than the factor of this step and not by more
    /// than that of the next one.
    pub rose: [u64; FACTORS.len()],
    /// The same of prices that fell.
    pub fell: [u64; FACTORS.len()],
    /// Some of those that moved furthest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<PriceMove>,
}

/// One price that moved, in minor units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceMove {
    pub id: String,
    pub before: i64,
    pub after: i64,
}

impl PriceMoves {
    /// Takes up one row. A price of 0 or below is none.
    pub fn note(&mut self, id: &str, before: i64, after: i64) {
        if before <= 0 || after <= 0 {
            return;
        }
        self.compared += 1;
        let Some(step) = step(before, after) else {
            return;
        };
        let steps = match after > before {
            true => &mut self.rose,
            false => &mut self.fell,
        };
        steps[step] += 1;
        let furthest = |moved: &PriceMove| self::step(moved.before, moved.after);
        let least = self
            .examples
            .iter()
            .enumerate()
            .min_by_key(|(_, moved)| furthest(moved));
        let at = match least {
            Some((at, least)) if self.examples.len() == EXAMPLES_MAX => {
                if furthest(least) >= Some(step) {
                    return;
                }
                Some(at)
            }
            _ => None,
        };
        let moved = PriceMove {
            id: id.to_owned(),
            before,
            after,
        };
        match at {
            Some(at) => self.examples[at] = moved,
            None => self.examples.push(moved),
        }
    }

    /// How many moved by more than the factor, which is one of [`FACTORS`].
    pub fn beyond(&self, factor: f64) -> u64 {
        let steps = FACTORS.iter().zip(self.rose.iter().zip(&self.fell));
        steps
            .filter(|((step, ..), _)| *step >= factor)
            .map(|(_, (rose, fell))| rose + fell)
            .sum()
    }

    /// Those that moved by no more than the least factor.
    pub fn still(&self) -> u64 {
        self.compared.saturating_sub(self.beyond(FACTORS[0].0))
    }
}

/// The furthest step that the move is beyond.
fn step(before: i64, after: i64) -> Option<usize> {
    let (low, high) = (before.min(after), before.max(after));
    FACTORS
        .iter()
        .rposition(|(_, over, under)| i128::from(high) * under > i128::from(low) * over)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_move_is_beyond_the_factors_that_it_exceeds() {
        let check = |before: i64, after: i64, expected: Option<f64>| {
            let found = step(before, after).map(|step| FACTORS[step].0);
            assert_eq!(found, expected, "{before} -> {after}");
        };
        check(100, 100, None);
        check(100, 110, None);
        check(100, 111, Some(1.1));
        check(1_000, 2_000, Some(1.5));
        check(1_000, 2_001, Some(2.0));
        check(1_000, 500, Some(1.5));
        check(1_001, 500, Some(2.0));
        check(1_000, 10_000, Some(9.0));
        check(1_000, 100_000, Some(90.0));
        check(i64::MAX, 1, Some(90.0));
    }

    #[test]
    fn moves_are_counted_by_direction_and_prices_of_nothing_are_not() {
        let mut moves = PriceMoves::default();
        for (before, after) in [(0, 10), (10, 0), (-1, 5), (100, 100), (100, 250), (100, 9)] {
            moves.note("p", before, after);
        }
        assert_eq!(moves.compared, 3);
        assert_eq!(
            (moves.beyond(2.0), moves.beyond(9.0), moves.still()),
            (2, 1, 1)
        );
        assert_eq!(moves.examples.len(), 2);
    }

    #[test]
    fn the_furthest_moves_are_the_examples() {
        let mut moves = PriceMoves::default();
        for n in 0..100 {
            moves.note(&format!("a{n}"), 100, 120);
        }
        moves.note("far", 100, 10_000);
        assert_eq!(moves.examples.len(), EXAMPLES_MAX);
        assert!(moves.examples.iter().any(|moved| moved.id == "far"));
    }
}

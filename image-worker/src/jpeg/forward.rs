//! Samples of a block to quantised coefficients: the inverse of `idct`, by the
//! same transform, in the same order of coefficients.

use fearless_simd::prelude::*;
use fearless_simd::{f32x4, i16x8, i32x4};

use super::idct::{Block, C1, C2, C3, C5, C6, C7, ONE, PASS_1, dot, narrow, transpose};

/// What coefficients are multiplied with: 1 divided by the quantisation and by
/// the scale of the transform.
pub(super) type Shares = [f32; 64];

/// The transform leaves 15 bits of fraction, and is too large by 8.
const SCALE: f32 = (8 << 15) as f32;

pub(super) fn shares(factors: &Block) -> Shares {
    let mut shares = [0.0; 64];
    for (share, factor) in shares.iter_mut().zip(factors) {
        *share = 1.0 / (f32::from(*factor) * SCALE);
    }
    shares
}

/// The eight outputs of a transform for all lanes, as low and high halves.
#[inline(always)]
fn eight<S: Simd>(simd: S, x: [i16x8<S>; 8]) -> [(i32x4<S>, i32x4<S>); 8] {
    let (s0, s1, s2, s3) = (x[0] + x[7], x[1] + x[6], x[2] + x[5], x[3] + x[4]);
    let (d0, d1, d2, d3) = (x[0] - x[7], x[1] - x[6], x[2] - x[5], x[3] - x[4]);
    let (sum0, sum1) = (s0 + s3, s1 + s2);
    let (left0, left1) = (s0 - s3, s1 - s2);
    let even = (sum0.zip_low(sum1), sum0.zip_high(sum1));
    let odd = (left0.zip_low(left1), left0.zip_high(left1));
    let (a, b) = (
        (d0.zip_low(d1), d0.zip_high(d1)),
        (d2.zip_low(d3), d2.zip_high(d3)),
    );
    [
        one(simd, even, (ONE, ONE)),
        two(simd, a, (C1, C3), b, (C5, C7)),
        one(simd, odd, (C2, C6)),
        two(simd, a, (C3, -C7), b, (-C1, -C5)),
        one(simd, even, (ONE, -ONE)),
        two(simd, a, (C5, -C1), b, (C7, C3)),
        one(simd, odd, (C6, -C2)),
        two(simd, a, (C7, -C5), b, (C3, -C1)),
    ]
}

type Halves<S> = (i16x8<S>, i16x8<S>);

#[inline(always)]
fn one<S: Simd>(simd: S, x: Halves<S>, (a, b): (i16, i16)) -> (i32x4<S>, i32x4<S>) {
    (dot(simd, x.0, a, b), dot(simd, x.1, a, b))
}

#[inline(always)]
fn two<S: Simd>(
    simd: S,
    x: Halves<S>,
    (a, b): (i16, i16),
    y: Halves<S>,
    (c, d): (i16, i16),
) -> (i32x4<S>, i32x4<S>) {
    (
        dot(simd, x.0, a, b) + dot(simd, y.0, c, d),
        dot(simd, x.1, a, b) + dot(simd, y.1, c, d),
    )
}

/// Transforms rows of samples, from their middle, and quantises. The answer
/// has a bit for each coefficient that is not zero.
#[inline(always)]
pub(super) fn coefficients<S: Simd>(
    simd: S,
    samples: &[i16; 64],
    shares: &Shares,
    block: &mut Block,
) -> u64 {
    let x = eight(
        simd,
        [
            i16x8::from_slice(simd, &samples[..8]),
            i16x8::from_slice(simd, &samples[8..16]),
            i16x8::from_slice(simd, &samples[16..24]),
            i16x8::from_slice(simd, &samples[24..32]),
            i16x8::from_slice(simd, &samples[32..40]),
            i16x8::from_slice(simd, &samples[40..48]),
            i16x8::from_slice(simd, &samples[48..56]),
            i16x8::from_slice(simd, &samples[56..]),
        ],
    );
    let turned = transpose([
        narrow(x[0].0, x[0].1, PASS_1),
        narrow(x[1].0, x[1].1, PASS_1),
        narrow(x[2].0, x[2].1, PASS_1),
        narrow(x[3].0, x[3].1, PASS_1),
        narrow(x[4].0, x[4].1, PASS_1),
        narrow(x[5].0, x[5].1, PASS_1),
        narrow(x[6].0, x[6].1, PASS_1),
        narrow(x[7].0, x[7].1, PASS_1),
    ]);
    let columns = eight(simd, turned);
    let mut seen = 0;
    for at in 0..8 {
        let (low, high) = columns[at];
        let low = quantised(simd, low, &shares[at * 8..at * 8 + 4]);
        let high = quantised(simd, high, &shares[at * 8 + 4..at * 8 + 8]);
        let column = low.saturating_narrow(high);
        column.store_slice(&mut block[at * 8..at * 8 + 8]);
        seen |= column.simd_ne(0).to_bitmask() << (at * 8);
    }
    seen
}

#[inline(always)]
fn quantised<S: Simd>(simd: S, x: i32x4<S>, shares: &[f32]) -> i32x4<S> {
    let exact: f32x4<S> = x.to_float::<f32x4<S>>() * f32x4::from_slice(simd, shares);
    exact.round_ties_even().to_int::<i32x4<S>>()
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use fearless_simd::{Level, dispatch};

    use super::*;

    fn samples(seed: u32) -> [i16; 64] {
        let mut state = seed;
        let mut samples = [0; 64];
        for (at, sample) in samples.iter_mut().enumerate() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (state >> 24) as i16 - 128;
            // From flat blocks to noise.
            *sample = (noise * (seed % 9) as i16 / 8 + at as i16 % 8 * 3).clamp(-128, 127);
        }
        samples
    }

    #[test]
    fn coefficients_are_those_of_the_exact_transform_on_every_processor() {
        let mut factors = [0; 64];
        for (at, factor) in factors.iter_mut().enumerate() {
            *factor = 4 + at as i16 % 11;
        }
        let shares = shares(&factors);
        for seed in 0..300 {
            let samples = samples(seed);
            let run = |level: Level| {
                let mut block = [0; 64];
                let seen =
                    dispatch!(level, simd => coefficients(simd, &samples, &shares, &mut block));
                (block, seen)
            };
            let (block, seen) = run(Level::new());
            assert_eq!((block, seen), run(Level::baseline()));
            for (at, found) in block.into_iter().enumerate() {
                assert_eq!(seen >> at & 1 == 1, found != 0);
                let (u, v) = (at / 8, at % 8);
                let share = |place: usize| if place == 0 { 0.5_f64.sqrt() } else { 1.0 };
                let wave = |place: usize, at: usize| {
                    ((2 * at + 1) as f64 * place as f64 * PI / 16.0).cos()
                };
                let products = samples.iter().enumerate().map(|(place, sample)| {
                    f64::from(*sample) * wave(u, place % 8) * wave(v, place / 8)
                });
                let exact = products.sum::<f64>() * share(u) * share(v) / 4.0;
                let difference = (f64::from(found) - exact / f64::from(factors[at])).abs();
                assert!(difference < 0.7, "{seed} {at}: {found}, {difference}");
            }
        }
    }
}

//! Coefficients of a block to samples, at a half, a quarter or an eighth of the size
//! where that is enough.
//!
//! The transform of 8 x 8 is the accurate integer one of the Independent JPEG
//! Group (Loeffler, Ligtenberg, Moschytz 1989: 13 bits of fraction, 2 kept
//! between the passes), written as products of matrices: the same samples as
//! that of libjpeg, to the bit. A transform of 4 or 2 takes the lowest 4 x 4 or
//! 2 x 2 coefficients, which is the picture at that size without what it cannot
//! show; one of 1 is the mean.
//!
//! Coefficients of a block stand by columns (transposed), which saves turning the
//! samples round at the end.

use fearless_simd::prelude::*;
use fearless_simd::{i16x8, i32x4, u8x16};

use super::plane::Plane;

/// Coefficients, a column after the other.
pub(super) type Block = [i16; 64];

/// Place in a [`Block`] of each coefficient, in the order of the file (T.81,
/// figure A.6).
pub(super) const PLACES: [u8; 64] = places();

const fn places() -> [u8; 64] {
    let mut places = [0; 64];
    let (mut row, mut column, mut at) = (0_i32, 0_i32, 0);
    while at < 64 {
        places[at] = (column * 8 + row) as u8;
        // Along diagonals, up to the right and down to the left in turn.
        if (row + column) % 2 == 0 {
            if column == 7 {
                row += 1;
            } else if row == 0 {
                column += 1;
            } else {
                row -= 1;
                column += 1;
            }
        } else if row == 7 {
            column += 1;
        } else if column == 0 {
            row += 1;
        } else {
            row += 1;
            column -= 1;
        }
        at += 1;
    }
    places
}

/// The last coefficient in the order of the file up to which all lie within
/// the lowest 4 x 4.
const LOWEST_LAST: usize = 9;

const BITS: u32 = 13;
const KEPT: u32 = 2;
pub(super) const PASS_1: u32 = BITS - KEPT;
const PASS_2: u32 = BITS + KEPT + 3;
/// 1.0 in fixed point.
pub(super) const ONE: i16 = 1 << BITS;
// The square root of 2 times the cosine of k * pi / 16.
pub(super) const C1: i16 = 11_363;
pub(super) const C2: i16 = 10_703;
pub(super) const C3: i16 = 9_633;
pub(super) const C5: i16 = 6_437;
pub(super) const C6: i16 = 4_433;
pub(super) const C7: i16 = 2_260;

/// Sums of a pair of inputs, each times its factor.
#[inline(always)]
pub(super) fn dot<S: Simd>(simd: S, x: i16x8<S>, a: i16, b: i16) -> i32x4<S> {
    x.pairwise_dot_product(i16x8::load_array(simd, [a, b, a, b, a, b, a, b]))
}

#[inline(always)]
fn scaled<S: Simd>(sum: i32x4<S>, shift: u32) -> i32x4<S> {
    (sum + (1 << (shift - 1))) >> shift
}

#[inline(always)]
pub(super) fn narrow<S: Simd>(low: i32x4<S>, high: i32x4<S>, shift: u32) -> i16x8<S> {
    scaled(low, shift).saturating_narrow(scaled(high, shift))
}

/// The eight outputs of a transform of 8 for four lanes. Inputs come in
/// pairs: 0 and 4, 2 and 6, 1 and 3, 5 and 7.
#[inline(always)]
fn eight<S: Simd>(
    simd: S,
    x04: i16x8<S>,
    x26: i16x8<S>,
    x13: i16x8<S>,
    x57: i16x8<S>,
) -> [i32x4<S>; 8] {
    let (sum, difference) = (dot(simd, x04, ONE, ONE), dot(simd, x04, ONE, -ONE));
    // C2 and C6 times x2 and x6; -C2 is C6 minus the sum of both.
    let (wide, slim) = (dot(simd, x26, C2, C6), dot(simd, x26, C6, -C2));
    let even = [sum + wide, difference + slim, difference - slim, sum - wide];
    let odd = [
        dot(simd, x13, C1, C3) + dot(simd, x57, C5, C7),
        dot(simd, x13, C3, -C7) + dot(simd, x57, -C1, -C5),
        dot(simd, x13, C5, -C1) + dot(simd, x57, C7, C3),
        dot(simd, x13, C7, -C5) + dot(simd, x57, C3, -C1),
    ];
    mirror(even, odd)
}

/// The same where inputs 4 to 7 are zero.
#[inline(always)]
fn eight_of_four<S: Simd>(simd: S, x02: i16x8<S>, x13: i16x8<S>) -> [i32x4<S>; 8] {
    let even = [
        dot(simd, x02, ONE, C2),
        dot(simd, x02, ONE, C6),
        dot(simd, x02, ONE, -C6),
        dot(simd, x02, ONE, -C2),
    ];
    let odd = [
        dot(simd, x13, C1, C3),
        dot(simd, x13, C3, -C7),
        dot(simd, x13, C5, -C1),
        dot(simd, x13, C7, -C5),
    ];
    mirror(even, odd)
}

#[inline(always)]
fn mirror<S: Simd>(e: [i32x4<S>; 4], o: [i32x4<S>; 4]) -> [i32x4<S>; 8] {
    [
        e[0] + o[0],
        e[1] + o[1],
        e[2] + o[2],
        e[3] + o[3],
        e[3] - o[3],
        e[2] - o[2],
        e[1] - o[1],
        e[0] - o[0],
    ]
}

#[inline(always)]
pub(super) fn transpose<S: Simd>(rows: [i16x8<S>; 8]) -> [i16x8<S>; 8] {
    shuffle(shuffle(shuffle(rows)))
}

#[inline(always)]
fn shuffle<S: Simd>(x: [i16x8<S>; 8]) -> [i16x8<S>; 8] {
    [
        x[0].zip_low(x[4]),
        x[0].zip_high(x[4]),
        x[1].zip_low(x[5]),
        x[1].zip_high(x[5]),
        x[2].zip_low(x[6]),
        x[2].zip_high(x[6]),
        x[3].zip_low(x[7]),
        x[3].zip_high(x[7]),
    ]
}

/// The last pass of the transform of 8 over all lanes.
#[inline(always)]
fn narrow_all<S: Simd>(low: [i32x4<S>; 8], high: [i32x4<S>; 8], shift: u32) -> [i16x8<S>; 8] {
    [
        narrow(low[0], high[0], shift),
        narrow(low[1], high[1], shift),
        narrow(low[2], high[2], shift),
        narrow(low[3], high[3], shift),
        narrow(low[4], high[4], shift),
        narrow(low[5], high[5], shift),
        narrow(low[6], high[6], shift),
        narrow(low[7], high[7], shift),
    ]
}

/// Samples of -128 to 127 to bytes.
#[inline(always)]
fn bytes<S: Simd>(low: i16x8<S>, high: i16x8<S>) -> [u8; 16] {
    let samples: u8x16<S> = low.saturating_narrow(high).bitcast();
    (samples ^ 0x80).to_array()
}

/// A column of coefficients, times their factors.
#[derive(Clone, Copy)]
struct Columns<'a, S> {
    simd: S,
    block: &'a Block,
    factors: &'a Block,
}

impl<S: Simd> Columns<'_, S> {
    #[inline(always)]
    fn get(self, column: usize) -> i16x8<S> {
        let at = column * 8..column * 8 + 8;
        i16x8::from_slice(self.simd, &self.block[at.clone()])
            * i16x8::from_slice(self.simd, &self.factors[at])
    }
}

/// Transforms a block to 8 x 8 samples. `last` is where its last coefficient
/// stands in the order of the file.
#[inline(always)]
pub(super) fn whole<S: Simd>(simd: S, block: &Block, factors: &Block, last: usize) -> [u8; 64] {
    let x = Columns {
        simd,
        block,
        factors,
    };
    let rows = if last <= LOWEST_LAST {
        let (x02, x13) = (x.get(0).zip_low(x.get(2)), x.get(1).zip_low(x.get(3)));
        let first = eight_of_four(simd, x02, x13);
        let nothing = i32x4::splat(simd, 0);
        let turned = transpose(narrow_all(first, [nothing; 8], PASS_1));
        let [y0, y1, y2, y3, ..] = turned;
        narrow_all(
            eight_of_four(simd, y0.zip_low(y2), y1.zip_low(y3)),
            eight_of_four(simd, y0.zip_high(y2), y1.zip_high(y3)),
            PASS_2,
        )
    } else {
        let first = [
            x.get(0),
            x.get(1),
            x.get(2),
            x.get(3),
            x.get(4),
            x.get(5),
            x.get(6),
            x.get(7),
        ];
        let turned = transpose(pass(simd, first, PASS_1));
        pass(simd, turned, PASS_2)
    };
    let mut samples = [0; 64];
    for (pair, out) in rows.chunks_exact(2).zip(samples.chunks_exact_mut(16)) {
        out.copy_from_slice(&bytes(pair[0], pair[1]));
    }
    samples
}

#[inline(always)]
fn pass<S: Simd>(simd: S, x: [i16x8<S>; 8], shift: u32) -> [i16x8<S>; 8] {
    let low = eight(
        simd,
        x[0].zip_low(x[4]),
        x[2].zip_low(x[6]),
        x[1].zip_low(x[3]),
        x[5].zip_low(x[7]),
    );
    let high = eight(
        simd,
        x[0].zip_high(x[4]),
        x[2].zip_high(x[6]),
        x[1].zip_high(x[3]),
        x[5].zip_high(x[7]),
    );
    narrow_all(low, high, shift)
}

/// Transforms the lowest 4 x 4 coefficients to 4 x 4 samples.
#[inline(always)]
pub(super) fn half<S: Simd>(simd: S, block: &Block, factors: &Block) -> [u8; 16] {
    let x = Columns {
        simd,
        block,
        factors,
    };
    let (x01, x23) = four(
        simd,
        x.get(0).zip_low(x.get(2)),
        x.get(1).zip_low(x.get(3)),
        PASS_1,
    );
    // Four columns of four to four rows of four, two in a vector.
    let (even, odd) = (x01.zip_low(x23), x01.zip_high(x23));
    let (y01, y23) = (even.zip_low(odd), even.zip_high(odd));
    let (low, high) = four(simd, y01.zip_low(y23), y01.zip_high(y23), PASS_2);
    bytes(low, high)
}

/// The four outputs of a transform of 4 for four lanes, two in a vector.
#[inline(always)]
fn four<S: Simd>(simd: S, x02: i16x8<S>, x13: i16x8<S>, shift: u32) -> (i16x8<S>, i16x8<S>) {
    let (e0, e1) = (dot(simd, x02, ONE, ONE), dot(simd, x02, ONE, -ONE));
    let (o0, o1) = (dot(simd, x13, C2, C6), dot(simd, x13, C6, -C2));
    (
        narrow(e0 + o0, e1 + o1, shift),
        narrow(e1 - o1, e0 - o0, shift),
    )
}

/// Transforms the lowest 2 x 2 coefficients to 2 x 2 samples.
#[inline(always)]
pub(super) fn quarter(block: &Block, factors: &Block) -> [u8; 4] {
    let (a, down) = (product(block, factors, 0), product(block, factors, 1));
    let (across, both) = (product(block, factors, 8), product(block, factors, 9));
    [
        sample(a + down + across + both),
        sample(a + down - across - both),
        sample(a - down + across - both),
        sample(a - down - across + both),
    ]
}

#[inline(always)]
fn product(block: &Block, factors: &Block, at: usize) -> i32 {
    i32::from(block[at].wrapping_mul(factors[at]))
}

/// The mean of a block.
#[inline(always)]
pub(super) fn eighth(block: &Block, factors: &Block) -> u8 {
    sample(product(block, factors, 0))
}

/// Eight times a sample, from its middle, to a byte.
#[inline(always)]
fn sample(eightfold: i32) -> u8 {
    (((eightfold + 4) >> 3) + 128).clamp(0, 255) as u8
}

/// Transforms a block to the size of `plane`, where it is the block at
/// `across`, `down`.
#[inline(always)]
pub(super) fn show<S: Simd>(
    simd: S,
    (block, last): (&Block, usize),
    factors: &Block,
    (across, down): (usize, usize),
    plane: &mut Plane,
) {
    if last == 0 {
        plane.fill(across, down, eighth(block, factors));
        return;
    }
    match plane.scale.side() {
        8 => plane.put::<8, 64>(across, down, &whole(simd, block, factors, last)),
        4 => plane.put::<4, 16>(across, down, &half(simd, block, factors)),
        2 => plane.put::<2, 4>(across, down, &quarter(block, factors)),
        _ => plane.put::<1, 1>(across, down, &[eighth(block, factors)]),
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use fearless_simd::{Level, dispatch};

    use super::*;

    /// The lowest `side` x `side` coefficients as samples, in floating point.
    fn reference(block: &Block, factors: &Block, side: usize) -> Vec<f64> {
        let wave = |place: usize, at: usize| {
            let share = if place == 0 { 0.5_f64.sqrt() } else { 1.0 };
            share * ((2 * at + 1) as f64 * place as f64 * PI / (2 * side) as f64).cos()
        };
        let mut samples = Vec::new();
        for y in 0..side {
            for x in 0..side {
                let mut sum = 0.0;
                for column in 0..side {
                    for row in 0..side {
                        let at = column * 8 + row;
                        let value = f64::from(block[at]) * f64::from(factors[at]);
                        sum += value * wave(column, x) * wave(row, y);
                    }
                }
                samples.push((sum / 4.0 + 128.0).clamp(0.0, 255.0));
            }
        }
        samples
    }

    fn blocks() -> impl Iterator<Item = (Block, usize)> {
        let mut state = 3_u32;
        let mut next = move |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % below
        };
        (0..500).map(move |_| {
            let mut block = [0; 64];
            let last = next(64) as usize;
            for place in &PLACES[..=last] {
                let span = if next(4) == 0 { 40 } else { 5 };
                block[usize::from(*place)] = next(2 * span + 1) as i16 - span as i16;
            }
            (block, last)
        })
    }

    #[test]
    fn samples_are_those_of_the_exact_transform() {
        let mut factors = [0; 64];
        for (at, factor) in factors.iter_mut().enumerate() {
            *factor = 3 + at as i16 % 9;
        }
        for (block, last) in blocks() {
            let level = Level::new();
            let check = |side, found: &[u8]| {
                let expected = reference(&block, &factors, side);
                for (found, expected) in found.iter().zip(expected) {
                    let difference = (f64::from(*found) - expected).abs();
                    assert!(difference <= 1.0, "{side}: {found} is not {expected}");
                }
            };
            let whole = dispatch!(level, simd => whole(simd, &block, &factors, last));
            check(8, &whole);
            let slow = dispatch!(level, simd => super::whole(simd, &block, &factors, 63));
            assert_eq!(whole, slow);
            let half = dispatch!(level, simd => half(simd, &block, &factors));
            check(4, &half);
            check(2, &quarter(&block, &factors));
            check(1, &[eighth(&block, &factors)]);
        }
    }

    #[test]
    fn every_level_of_the_processor_gives_the_same_samples() {
        let factors = [7; 64];
        for (block, last) in blocks() {
            let run = |level| {
                dispatch!(level, simd => (
                    whole(simd, &block, &factors, last),
                    half(simd, &block, &factors),
                ))
            };
            assert_eq!(run(Level::new()), run(Level::baseline()));
        }
    }

    #[test]
    fn coefficients_stand_in_the_order_of_the_standard() {
        // T.81, figure A.6, transposed.
        assert_eq!(PLACES[..10], [0, 8, 1, 2, 9, 16, 24, 17, 10, 3]);
        assert_eq!(PLACES[60..], [61, 62, 55, 63]);
        let mut seen = PLACES;
        seen.sort_unstable();
        assert!(
            seen.iter()
                .enumerate()
                .all(|(at, place)| at == usize::from(*place))
        );
        assert!(
            PLACES[..=LOWEST_LAST]
                .iter()
                .all(|place| place % 8 < 4 && place / 8 < 4)
        );
    }
}

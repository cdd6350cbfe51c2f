//! Resizes planes. Both passes run down columns, sixteen of them side by side,
//! since a processor can do that fastest: the plane is turned round between
//! them and at the end.

use std::sync::Arc;

use fearless_simd::prelude::*;
use fearless_simd::{Level, dispatch, i16x16, i32x8, u8x16};

use crate::frame::Samples;
use crate::taps::{SHARE_BITS, Taps, taps};

/// Columns that are worked on together.
const LANES: usize = 16;

/// A part of a plane, in its own samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Area {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// Taps that are kept: planes of a picture, and pictures of a shop, share
/// theirs.
const KEPT_MAX: usize = 16;

/// Memory between the passes, used again from one plane to the next.
#[derive(Default)]
pub(crate) struct Resampler {
    one: Vec<u8>,
    other: Vec<u8>,
    kept: Vec<(Side, Arc<[Taps]>)>,
}

/// What taps follow from: the stored samples, the part's begin and length as
/// bits, and the samples to be made.
type Side = (usize, u64, u64, usize);

impl Resampler {
    /// Brings a part of a plane to a size. Rounding may put the far edge of the part a
    /// hair outside of the plane.
    pub(crate) fn resize(
        &mut self,
        from: (usize, usize, &[u8]),
        area: Area,
        to: (u32, u32),
    ) -> Samples {
        let (width, height, data) = from;
        let (to_width, to_height) = (to.0 as usize, to.1 as usize);
        let mut out = vec![0; to_width * to_height];
        let across = self.taps(width, (area.left, area.width), to_width);
        let down = self.taps(height, (area.top, area.height), to_height);
        if is_copy(&across, width) && is_copy(&down, height) {
            out.copy_from_slice(data);
        } else {
            let first = room(&mut self.one, to_height * width.max(to_width));
            let second = room(&mut self.other, to_height * width);
            dispatch!(Level::new(), simd => {
                columns(simd, data, width, &down, first);
                turn(simd, first, (width, to_height), second);
                columns(simd, second, to_height, &across, first);
                turn(simd, first, (to_height, to_width), &mut out);
            });
        }
        Samples {
            width: to.0,
            height: to.1,
            data: out,
        }
    }
}

impl Resampler {
    fn taps(&mut self, stored: usize, (begin, length): (f64, f64), to: usize) -> Arc<[Taps]> {
        let side = (stored, begin.to_bits(), length.to_bits(), to);
        if let Some((_, known)) = self.kept.iter().find(|(known, _)| *known == side) {
            return Arc::clone(known);
        }
        let new: Arc<[Taps]> = taps(stored, begin, length, to).into();
        if self.kept.len() >= KEPT_MAX {
            self.kept.remove(0);
        }
        self.kept.push((side, Arc::clone(&new)));
        new
    }
}

/// A buffer's first `length` bytes; what they hold is to be written over.
fn room(buffer: &mut Vec<u8>, length: usize) -> &mut [u8] {
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
    &mut buffer[..length]
}

fn is_copy(all: &[Taps], stored: usize) -> bool {
    let own = |(at, taps): (usize, &Taps)| {
        let own = at
            .checked_sub(taps.first)
            .and_then(|place| taps.shares.get(place));
        own.is_some_and(|share| i32::from(*share) == 1 << SHARE_BITS)
    };
    all.len() == stored && all.iter().enumerate().all(own)
}

/// Makes rows of `width` samples, each of the rows that its taps name.
#[inline(always)]
fn columns<S: Simd>(simd: S, from: &[u8], width: usize, all: &[Taps], to: &mut [u8]) {
    for (taps, out) in all.iter().zip(to.chunks_exact_mut(width)) {
        let rows = &from[taps.first * width..][..taps.shares.len() * width];
        let mut left = 0;
        while left + 2 * LANES <= width {
            let out = &mut out[left..left + 2 * LANES];
            some::<S, 2>(simd, &rows[left..], width, &taps.shares, out);
            left += 2 * LANES;
        }
        while left + LANES <= width {
            let out = &mut out[left..left + LANES];
            some::<S, 1>(simd, &rows[left..], width, &taps.shares, out);
            left += LANES;
        }
        if left < width && width >= LANES {
            // The last ones are made again together with those before.
            left = width - LANES;
            some::<S, 1>(simd, &rows[left..], width, &taps.shares, &mut out[left..]);
        } else if left < width {
            few(rows, width, &taps.shares, out);
        }
    }
}

/// The sum's start: its rounding, and half of the range, which makes bytes
/// signed ones until the end.
const START: i32 = (1 << (SHARE_BITS - 1)) - (128 << SHARE_BITS);

/// Makes `COUNT` times sixteen samples.
#[inline(always)]
fn some<S: Simd, const COUNT: usize>(
    simd: S,
    rows: &[u8],
    width: usize,
    shares: &[i16],
    out: &mut [u8],
) {
    let mut sums = [[i32x8::splat(simd, START); 2]; COUNT];
    let mut at = 0;
    let mut rest = shares;
    while let Some((&first, others)) = rest.split_first() {
        let upper = &rows[at..at + COUNT * LANES];
        let (second, lower) = match others.split_first() {
            Some((second, _)) => (*second, &rows[at + width..at + width + COUNT * LANES]),
            None => (0, upper),
        };
        let pair = i32::from(second) << 16 | i32::from(first) & 0xffff;
        let pair: i16x16<S> = i32x8::splat(simd, pair).bitcast();
        for (place, sums) in sums.iter_mut().enumerate() {
            let part = place * LANES..place * LANES + LANES;
            let upper = u8x16::from_slice(simd, &upper[part.clone()]);
            let lower = u8x16::from_slice(simd, &lower[part]);
            let (a, b) = upper.zip_low(lower).widen();
            sums[0] += a
                .combine(b)
                .bitcast::<i16x16<S>>()
                .pairwise_dot_product(pair);
            let (a, b) = upper.zip_high(lower).widen();
            sums[1] += a
                .combine(b)
                .bitcast::<i16x16<S>>()
                .pairwise_dot_product(pair);
        }
        at += 2 * width;
        rest = others.get(1..).unwrap_or_default();
    }
    for (sums, out) in sums.iter().zip(out.chunks_exact_mut(LANES)) {
        let (a, b) = (sums[0] >> SHARE_BITS).split();
        let (c, d) = (sums[1] >> SHARE_BITS).split();
        let (low, high) = (a.saturating_narrow(b), c.saturating_narrow(d));
        let signed: u8x16<S> = low.saturating_narrow(high).bitcast();
        (signed ^ 0x80).store_slice(out);
    }
}

/// The same for planes that are narrower.
fn few(rows: &[u8], width: usize, shares: &[i16], out: &mut [u8]) {
    for (x, out) in out.iter_mut().enumerate() {
        let samples = rows[x..].iter().step_by(width);
        let products = samples
            .zip(shares)
            .map(|(sample, share)| i32::from(*sample) * i32::from(*share));
        let sum = START + products.sum::<i32>();
        *out = ((sum >> SHARE_BITS) + 128).clamp(0, 255) as u8;
    }
}

/// Turns a plane round: columns become rows.
#[inline(always)]
fn turn<S: Simd>(simd: S, from: &[u8], (width, height): (usize, usize), to: &mut [u8]) {
    let (whole_width, whole_height) = (width - width % LANES, height - height % LANES);
    for top in (0..whole_height).step_by(LANES) {
        for left in (0..whole_width).step_by(LANES) {
            turn_square(
                simd,
                &from[top * width + left..],
                width,
                &mut to[left * height + top..],
                height,
            );
        }
    }
    for y in 0..height {
        let first = if y < whole_height { whole_width } else { 0 };
        for x in first..width {
            to[x * height + y] = from[y * width + x];
        }
    }
}

#[inline(always)]
fn turn_square<S: Simd>(simd: S, from: &[u8], width: usize, to: &mut [u8], height: usize) {
    let mut rows = [u8x16::splat(simd, 0); LANES];
    for (row, samples) in rows.iter_mut().zip(from.chunks(width)) {
        *row = u8x16::from_slice(simd, &samples[..LANES]);
    }
    // Four times, rows of the upper half take those of the lower in between.
    for _ in 0..4 {
        let mut mixed = rows;
        for at in 0..LANES / 2 {
            mixed[2 * at] = rows[at].zip_low(rows[at + LANES / 2]);
            mixed[2 * at + 1] = rows[at].zip_high(rows[at + LANES / 2]);
        }
        rows = mixed;
    }
    for (row, out) in rows.iter().zip(to.chunks_mut(height)) {
        row.store_slice(&mut out[..LANES]);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn noise(count: usize) -> Vec<u8> {
        let mut state = 7_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..count).map(|_| next()).collect()
    }

    /// The same in floating point, a pass after the other.
    fn reference(data: &[u8], width: usize, area: Area, to: (usize, usize)) -> Vec<f64> {
        let height = data.len() / width;
        let down = taps(height, area.top, area.height, to.1);
        let across = taps(width, area.left, area.width, to.0);
        let mean = |taps: &Taps, at: &dyn Fn(usize) -> f64| {
            let products = taps.shares.iter().enumerate();
            let sum: f64 = products
                .map(|(place, share)| at(taps.first + place) * f64::from(*share))
                .sum();
            (sum / f64::from(1_u32 << SHARE_BITS)).clamp(0.0, 255.0)
        };
        let rows = down.iter().flat_map(|down| {
            let column = |x: usize| mean(down, &|y| f64::from(data[y * width + x]));
            let row: Vec<f64> = (0..width).map(column).collect();
            across
                .iter()
                .map(|across| mean(across, &|x| row[x]))
                .collect::<Vec<_>>()
        });
        rows.collect()
    }

    #[test]
    fn sizes_and_parts_of_all_kinds_are_right() {
        let check = |(width, height): (usize, usize), area: Area, to: (u32, u32)| {
            let data = noise(width * height);
            let found = Resampler::default().resize((width, height, &data), area, to);
            let expected = reference(&data, width, area, (to.0 as usize, to.1 as usize));
            assert_eq!((found.width, found.height), to);
            for (found, expected) in found.data.iter().zip(expected) {
                let difference = (f64::from(*found) - expected).abs();
                // Half a step each pass, the first widened by negative shares.
                assert!(
                    difference <= 1.3,
                    "{found} is not {expected}: {width} {height} {to:?}"
                );
            }
        };
        let whole = |width: f64, height: f64| Area {
            left: 0.0,
            top: 0.0,
            width,
            height,
        };
        check((40, 33), whole(40.0, 33.0), (40, 33));
        check((120, 90), whole(120.0, 90.0), (72, 54));
        check((100, 50), whole(100.0, 50.0), (23, 17));
        check((15, 3), whole(15.0, 3.0), (31, 40));
        check((1, 1), whole(1.0, 1.0), (20, 20));
        check((64, 64), whole(64.0, 64.0), (1, 1));
        check((17, 200), whole(17.0, 200.0), (16, 100));
        let part = Area {
            left: 3.25,
            top: 10.5,
            width: 60.5,
            height: 20.0,
        };
        check((70, 50), part, (33, 10));
        check((70, 50), part, (61, 40));
    }

    #[test]
    fn every_level_of_the_processor_makes_the_same_samples() {
        let (width, height) = (75, 60);
        let data = noise(width * height);
        let all = taps(height, 0.5, 58.0, 37);
        let run = |level| {
            let (mut made, mut turned) = (vec![0; width * 37], vec![0; width * 37]);
            dispatch!(level, simd => {
                columns(simd, &data, width, &all, &mut made);
                turn(simd, &made, (width, 37), &mut turned);
            });
            turned
        };
        assert_eq!(run(Level::new()), run(Level::baseline()));
    }

    #[test]
    fn a_plane_that_stays_is_copied() {
        let data = noise(19 * 23);
        let area = Area {
            left: 0.0,
            top: 0.0,
            width: 19.0,
            height: 23.0,
        };
        let found = Resampler::default().resize((19, 23, &data), area, (19, 23));
        assert_eq!(found.data, data);
    }
}

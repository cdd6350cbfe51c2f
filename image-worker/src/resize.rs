//! Crop and resize, in the source's stored orientation.
//!
//! Large reductions go through a pyramid: each level is the exact 2 x 2 mean
//! of the one before. Levels are shared by all variants of an image, and
//! which level a variant starts from follows from its own recipe alone.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8x3, U8x4};
use fast_image_resize::{FilterType, MulDiv, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

use crate::frame::Samples;
use crate::geometry::Plan;
use crate::picture::{Layout, Picture};

/// Part of the recipe: change it with anything here that changes pixels.
pub(crate) const RESIZE_VERSION: &str = "halve+catmullrom.2";
/// Sharp without the ringing that Lanczos draws round products on white.
const FILTER: FilterType = FilterType::CatmullRom;

/// The source and its halved levels.
#[derive(Default)]
pub(crate) struct Pyramid {
    levels: Vec<Picture>,
    spare: Vec<Vec<u8>>,
}

impl Pyramid {
    /// Takes the source as level 0. Its colours are multiplied with alpha.
    pub(crate) fn start(&mut self, mut source: Picture) {
        self.clear();
        if source.layout == Layout::Rgba {
            multiply_alpha(&mut source);
        }
        self.levels.push(source);
    }

    /// A buffer of an earlier image, largest first, or a new one.
    pub(crate) fn take_buffer(&mut self) -> Vec<u8> {
        self.clear();
        self.spare.pop().unwrap_or_default()
    }

    fn clear(&mut self) {
        while let Some(level) = self.levels.pop() {
            self.spare.push(level.data);
        }
    }

    fn level(&mut self, halvings: u32) -> &Picture {
        let wanted = halvings as usize;
        while self.levels.len() <= wanted {
            let buffer = self.spare.pop().unwrap_or_default();
            let last = self.levels.last().expect("start put level 0");
            let next = halve(last, buffer);
            self.levels.push(next);
        }
        &self.levels[wanted]
    }

    /// The source after so many halvings, which a plan will ask for. Its colours
    /// are multiplied with alpha.
    pub(crate) fn halved(&mut self, halvings: u32) -> &Picture {
        self.level(halvings)
    }

    /// Renders a plan. Colours of the result are not multiplied with alpha.
    pub(crate) fn render(&mut self, resizer: &mut Resizer, plan: &Plan) -> Picture {
        let shrink = f64::from(1_u32 << plan.halvings);
        let level = self.level(plan.halvings);
        let whole = (plan.crop_width, plan.crop_height)
            == (f64::from(level.width), f64::from(level.height));
        let mut out = Picture::in_buffer(plan.width, plan.height, level.layout, Vec::new());
        if whole && (plan.width, plan.height) == (level.width, level.height) {
            out.data.copy_from_slice(&level.data);
        } else {
            // A level of an odd side ends in half a pixel, so rounding may put
            // the far edge of the crop a hair outside.
            let (left, top) = (plan.left / shrink, plan.top / shrink);
            let width = (plan.crop_width / shrink).min(f64::from(level.width) - left);
            let height = (plan.crop_height / shrink).min(f64::from(level.height) - top);
            let options = ResizeOptions::new()
                .resize_alg(ResizeAlg::Convolution(FILTER))
                .use_alpha(false)
                .crop(left, top, width, height);
            convolve(resizer, level, &mut out, &options);
        }
        if out.layout == Layout::Rgba {
            divide_alpha(&mut out);
        }
        out
    }
}

/// The pixel type is named here: chosen by the library at run time, its code
/// for all fifteen would be compiled in, and take minutes.
fn convolve(resizer: &mut Resizer, from: &Picture, to: &mut Picture, options: &ResizeOptions) {
    match from.layout {
        Layout::Rgb => convolve_pixels::<U8x3>(resizer, from, to, options),
        Layout::Rgba => convolve_pixels::<U8x4>(resizer, from, to, options),
    }
}

fn convolve_pixels<P: PixelTrait>(
    resizer: &mut Resizer,
    from: &Picture,
    to: &mut Picture,
    options: &ResizeOptions,
) {
    let source = TypedImageRef::<P>::from_buffer(from.width, from.height, &from.data)
        .expect("a picture holds exactly its pixels");
    let mut target = TypedImage::<P>::from_buffer(to.width, to.height, &mut to.data)
        .expect("a picture holds exactly its pixels");
    resizer
        .resize_typed(&source, &mut target, options)
        .expect("the crop lies within the source and both layouts are the same");
}

/// Halves both sides of a plane, as [`halve`] does.
pub(crate) fn halve_samples(width: usize, height: usize, data: &[u8]) -> Samples {
    let mut out = vec![0; width.div_ceil(2) * height.div_ceil(2)];
    let mut means = vec![0; width];
    for (y, out) in out.chunks_exact_mut(width.div_ceil(2)).enumerate() {
        let upper = &data[2 * y * width..][..width];
        let lower = &data[(2 * y + 1).min(height - 1) * width..][..width];
        halve_row::<1>(upper, lower, &mut means, out);
    }
    let side = |samples: usize| u32::try_from(samples.div_ceil(2)).expect("less than the frame's");
    Samples {
        width: side(width),
        height: side(height),
        data: out,
    }
}

fn multiply_alpha(picture: &mut Picture) {
    MulDiv::new()
        .multiply_alpha_inplace_typed(&mut with_alpha(picture))
        .expect("the layout has alpha");
}

fn divide_alpha(picture: &mut Picture) {
    MulDiv::new()
        .divide_alpha_inplace_typed(&mut with_alpha(picture))
        .expect("the layout has alpha");
}

fn with_alpha(picture: &mut Picture) -> TypedImage<'_, U8x4> {
    TypedImage::from_buffer(picture.width, picture.height, &mut picture.data)
        .expect("a picture holds exactly its pixels")
}

/// Halves both sides. The last column or row of an odd side stands for
/// itself, so that coordinates halve exactly.
fn halve(from: &Picture, buffer: Vec<u8>) -> Picture {
    let (width, height) = (from.width.div_ceil(2), from.height.div_ceil(2));
    let mut to = Picture::in_buffer(width, height, from.layout, buffer);
    let (from_row, to_row) = (from.row_bytes(), to.row_bytes());
    let last = from.height as usize - 1;
    let mut means = vec![0; from_row];
    for (y, out) in to.data.chunks_exact_mut(to_row).enumerate() {
        let upper = &from.data[2 * y * from_row..][..from_row];
        let lower = &from.data[(2 * y + 1).min(last) * from_row..][..from_row];
        match from.layout {
            Layout::Rgb => halve_row::<3>(upper, lower, &mut means, out),
            Layout::Rgba => halve_row::<4>(upper, lower, &mut means, out),
        }
    }
    to
}

/// Means are taken at every pixel and half of them used: the loop over all is
/// one that compilers turn into vector instructions.
fn halve_row<const C: usize>(upper: &[u8], lower: &[u8], means: &mut [u8], out: &mut [u8]) {
    let full = upper.len() - C;
    let left = upper[..full].iter().zip(&lower[..full]);
    let right = upper[C..].iter().zip(&lower[C..]);
    for ((mean, (&a, &b)), (&c, &d)) in means[..full].iter_mut().zip(left).zip(right) {
        *mean = mean4(a, b, c, d);
    }
    for ((mean, &a), &b) in means[full..]
        .iter_mut()
        .zip(&upper[full..])
        .zip(&lower[full..])
    {
        *mean = mean4(a, b, a, b);
    }
    for (out, mean) in out.chunks_exact_mut(C).zip(means.chunks(2 * C)) {
        out.copy_from_slice(&mean[..C]);
    }
}

#[inline]
fn mean4(a: u8, b: u8, c: u8, d: u8) -> u8 {
    let sum = u16::from(a) + u16::from(b) + u16::from(c) + u16::from(d) + 2;
    // A sum of four bytes and two, by four, is a byte.
    #[allow(clippy::cast_possible_truncation)]
    let mean = (sum >> 2) as u8;
    mean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halving_takes_the_mean_and_keeps_odd_edges() {
        let from = Picture {
            width: 3,
            height: 3,
            layout: Layout::Rgb,
            data: [0, 4, 9, 8, 12, 9, 5, 7, 1]
                .into_iter()
                .flat_map(|value: u8| [value; 3])
                .collect(),
        };
        let half = halve(&from, Vec::new());
        let seen: Vec<u8> = half.data.iter().step_by(3).copied().collect();
        assert_eq!((half.width, half.height), (2, 2));
        assert_eq!(seen, [6, 9, 6, 1]);
    }
}

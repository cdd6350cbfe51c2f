//! Generated pictures: a gradient, a few shapes and some noise, encoded as a real file.
//!
//! The same seed, size and format always give the same bytes. The pictures are product-like enough
//! to be decoded, cropped and resized; they carry no metadata. Caching and scheduling are the
//! server's affair.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Cursor};

use bytes::Bytes;
use image::codecs::{gif::GifEncoder, png::PngEncoder, webp::WebPEncoder};
use image::{ExtendedColorType, ImageEncoder};

use crate::number::{mix, take};
use crate::spec::ImageShape;

/// A common quality of shop photographs.
const JPEG_QUALITY: u8 = 85;
/// The fastest palette search; the pictures are gradients and do not need a better one.
const GIF_SPEED: i32 = 30;
/// Noise in JPEG, in levels of 256: makes the file about as large as a photograph's.
const JPEG_NOISE: u64 = 24;
/// One row in so many carries noise in the lossless formats, which would not compress otherwise.
const LOSSLESS_NOISE_ROWS: u32 = 8;

/// The file format of a generated picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ImageFormat {
    Jpeg,
    Png,
    /// Lossless.
    WebP,
    /// One frame.
    Gif,
}

impl ImageFormat {
    pub fn extension(self) -> &'static str {
        match self {
            ImageFormat::Jpeg => "jpg",
            ImageFormat::Png => "png",
            ImageFormat::WebP => "webp",
            ImageFormat::Gif => "gif",
        }
    }

    pub fn media_type(self) -> &'static str {
        match self {
            ImageFormat::Jpeg => "image/jpeg",
            ImageFormat::Png => "image/png",
            ImageFormat::WebP => "image/webp",
            ImageFormat::Gif => "image/gif",
        }
    }
}

/// Width and height of a picture whose longer side is `px`.
pub(crate) fn dimensions(shape: ImageShape, image: u64, px: u32) -> (u32, u32) {
    let shorter = (px * 3 / 4).max(1);
    match (shape, image % 3) {
        (ImageShape::Square, _) | (ImageShape::Mixed, 0) => (px, px),
        (ImageShape::Mixed, 1) => (px, shorter),
        (ImageShape::Mixed, _) => (shorter, px),
    }
}

/// The bytes of the picture that `seed` stands for.
///
/// # Errors
/// What the encoder says, for instance for sides above 65,535.
pub fn render_image(
    seed: u64,
    width: u32,
    height: u32,
    format: ImageFormat,
) -> io::Result<Vec<u8>> {
    let pixels = paint(seed, width, height, format);
    let mut out = Vec::new();
    match format {
        ImageFormat::Jpeg => {
            let side = |n: u32| u16::try_from(n).map_err(io::Error::other);
            let (w, h) = (side(width)?, side(height)?);
            jpeg_encoder::Encoder::new(&mut out, JPEG_QUALITY)
                .encode(&pixels, w, h, jpeg_encoder::ColorType::Rgb)
                .map_err(io::Error::other)?;
        }
        ImageFormat::Png => PngEncoder::new(Cursor::new(&mut out))
            .write_image(&pixels, width, height, ExtendedColorType::Rgb8)
            .map_err(io::Error::other)?,
        ImageFormat::WebP => WebPEncoder::new_lossless(&mut out)
            .write_image(&pixels, width, height, ExtendedColorType::Rgb8)
            .map_err(io::Error::other)?,
        ImageFormat::Gif => GifEncoder::new_with_speed(&mut out, GIF_SPEED)
            .encode(&pixels, width, height, ExtendedColorType::Rgb8)
            .map_err(io::Error::other)?,
    }
    Ok(out)
}

enum Shape {
    Disc { x: i64, y: i64, r: i64 },
    Box { x: i64, y: i64, r: i64 },
}

impl Shape {
    fn covers(&self, px: i64, py: i64) -> bool {
        match *self {
            Shape::Disc { x, y, r } => (px - x).pow(2) + (py - y).pow(2) <= r * r,
            Shape::Box { x, y, r } => (px - x).abs() <= r && (py - y).abs() <= r / 2,
        }
    }
}

fn paint(seed: u64, width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let mut h = mix(seed, 0);
    let from: [u64; 3] = std::array::from_fn(|_| 120 + take(&mut h, 136));
    let to: [u64; 3] = std::array::from_fn(|_| 120 + take(&mut h, 136));
    let shapes = shapes(mix(seed, 1), width, height);
    let span = u64::from(width + height);
    let mut pixels = Vec::with_capacity(width as usize * height as usize * 3);
    for y in 0..height {
        let noisy = format == ImageFormat::Jpeg || y % LOSSLESS_NOISE_ROWS == 0;
        for x in 0..width {
            let at = u64::from(x + y);
            let mut rgb: [u64; 3] =
                std::array::from_fn(|c| (from[c] * (span - at) + to[c] * at) / span);
            for (shape, colour) in &shapes {
                if shape.covers(i64::from(x), i64::from(y)) {
                    rgb = *colour;
                }
            }
            let mut noise = if noisy {
                // A cheaper mix than the others: this runs once a pixel.
                (seed ^ u64::from(y) << 32 ^ u64::from(x)).wrapping_mul(0x9FB2_1C65_1E98_DF25) >> 24
            } else {
                0
            };
            for channel in rgb {
                let level = channel.saturating_sub(JPEG_NOISE / 2) + take(&mut noise, JPEG_NOISE);
                pixels.push(level.min(255) as u8);
            }
        }
    }
    pixels
}

fn shapes(mut h: u64, width: u32, height: u32) -> Vec<(Shape, [u64; 3])> {
    let side = i64::from(width.min(height));
    (0..4)
        .map(|n| {
            let x = take(&mut h, u64::from(width)) as i64;
            let y = take(&mut h, u64::from(height)) as i64;
            let r = side / 8 + take(&mut h, (side as u64 / 4).max(1)) as i64;
            h = mix(h, n);
            let colour = std::array::from_fn(|_| 20 + take(&mut h, 220));
            let shape = if n % 2 == 0 {
                Shape::Disc { x, y, r }
            } else {
                Shape::Box { x, y, r }
            };
            h = mix(h, n);
            (shape, colour)
        })
        .collect()
}

/// Encoded pictures by seed and format, the least recently used dropped beyond a size.
#[derive(Debug)]
pub(crate) struct ImageCache {
    bytes_max: usize,
    bytes: usize,
    tick: u64,
    entries: HashMap<u64, (u64, Bytes)>,
    by_age: BTreeMap<u64, u64>,
}

impl ImageCache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        ImageCache {
            bytes_max,
            bytes: 0,
            tick: 0,
            entries: HashMap::new(),
            by_age: BTreeMap::new(),
        }
    }

    pub(crate) fn get(&mut self, key: u64) -> Option<Bytes> {
        let (age, bytes) = self.entries.get_mut(&key)?;
        self.by_age.remove(age);
        self.tick += 1;
        *age = self.tick;
        self.by_age.insert(self.tick, key);
        Some(bytes.clone())
    }

    pub(crate) fn put(&mut self, key: u64, bytes: Bytes) {
        if bytes.len() > self.bytes_max || self.entries.contains_key(&key) {
            return;
        }
        self.tick += 1;
        self.bytes += bytes.len();
        self.entries.insert(key, (self.tick, bytes));
        self.by_age.insert(self.tick, key);
        while self.bytes > self.bytes_max {
            let Some((_, oldest)) = self.by_age.pop_first() else {
                break;
            };
            if let Some((_, dropped)) = self.entries.remove(&oldest) {
                self.bytes -= dropped.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const FORMATS: [(ImageFormat, image::ImageFormat); 4] = [
        (ImageFormat::Jpeg, image::ImageFormat::Jpeg),
        (ImageFormat::Png, image::ImageFormat::Png),
        (ImageFormat::WebP, image::ImageFormat::WebP),
        (ImageFormat::Gif, image::ImageFormat::Gif),
    ];

    #[test]
    fn every_format_decodes_to_the_asked_size() {
        for (ours, theirs) in FORMATS {
            let bytes = render_image(3, 60, 45, ours).unwrap();
            assert_eq!(image::guess_format(&bytes).unwrap(), theirs);
            let picture = image::load_from_memory(&bytes).unwrap();
            assert_eq!((picture.width(), picture.height()), (60, 45));
            assert_eq!(bytes, render_image(3, 60, 45, ours).unwrap());
            assert_ne!(bytes, render_image(4, 60, 45, ours).unwrap());
            assert!(
                bytes.len() > 500,
                "{ours:?} is trivially small: {}",
                bytes.len()
            );
        }
    }

    #[test]
    fn the_cache_keeps_its_bound_and_drops_the_least_used() {
        let mut cache = ImageCache::new(30);
        for key in 0..3 {
            cache.put(key, Bytes::from(vec![0; 10]));
        }
        assert!(cache.get(0).is_some());
        cache.put(3, Bytes::from(vec![0; 10]));
        assert!(cache.get(1).is_none());
        assert!(cache.get(0).is_some() && cache.get(3).is_some());
        cache.put(4, Bytes::from(vec![0; 31]));
        assert!(cache.get(4).is_none());
    }

    #[test]
    fn mixed_shapes_keep_the_longer_side() {
        assert_eq!(dimensions(ImageShape::Square, 1, 600), (600, 600));
        assert_eq!(dimensions(ImageShape::Mixed, 1, 600), (600, 450));
        assert_eq!(dimensions(ImageShape::Mixed, 2, 600), (450, 600));
    }
}

//! What one source image may cost. Everything is checked from the header,
//! before memory for pixels is taken.

use serde::{Deserialize, Serialize};

use crate::error::ImageError;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of the source file. Default 20 MiB: product photographs are well
    /// below 5 MiB, print originals reach 15.
    pub source_bytes_max: u64,
    /// Pixels on one side. Default 30,000: more than any camera or scanner
    /// gives, and long "detail page" strips of Korean shops reach 25,000.
    pub edge_px_max: u32,
    /// Pixels in all. Default 60,000,000, a medium-format camera.
    pub pixels_max: u64,
    /// Bytes that decoding may take: samples at every size, and for
    /// progressive JPEG the coefficients. Default 384 MiB = 60 million pixels
    /// at about 6 bytes.
    pub decoded_bytes_max: u64,
    /// Bytes that all pictures take together which a [`crate::Studio`] decodes
    /// at once, whatever its threads: those for which there is no room wait, and
    /// those for which there never is are refused. Default 768 MiB = 64 million
    /// pixels at 12 bytes.
    pub together_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            source_bytes_max: 20 * 1024 * 1024,
            edge_px_max: 30_000,
            pixels_max: 60_000_000,
            decoded_bytes_max: 384 * 1024 * 1024,
            together_bytes_max: 768 * 1024 * 1024,
        }
    }
}

impl Limits {
    pub(crate) fn check_source(&self, bytes: usize) -> Result<(), ImageError> {
        at_most("source file (bytes)", bytes as u64, self.source_bytes_max)
    }

    /// Checks what a header claims; `bytes_per_pixel` is what decoding will
    /// take at its peak. How many bytes that is.
    pub(crate) fn check_header(
        &self,
        width: u32,
        height: u32,
        bytes_per_pixel: u64,
    ) -> Result<u64, ImageError> {
        let pixels = u64::from(width) * u64::from(height);
        let edge = u64::from(width.max(height));
        at_most("longer side (pixels)", edge, u64::from(self.edge_px_max))?;
        at_most("image (pixels)", pixels, self.pixels_max)?;
        let bytes = pixels.saturating_mul(bytes_per_pixel);
        at_most("decoded image (bytes)", bytes, self.decoded_bytes_max)?;
        Ok(bytes)
    }
}

fn at_most(what: &'static str, found: u64, max: u64) -> Result<(), ImageError> {
    if found > max {
        return Err(ImageError::TooLarge { what, found, max });
    }
    Ok(())
}

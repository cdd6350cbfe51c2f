//! What becomes of every real image: the status, and how far its pixels may be
//! from Pillow's. A file without a row here fails the test, and so does a row
//! without its file.
//!
//! The tolerances are levels of 256: the mean of the worst channel, and what 99 of
//! 100 samples stay within. They are a little above what was measured; where two
//! decoders differ by rule, the rule is said.

use trawler_core::image::ImageStatus;

use Expected::{Refused, Stored};

/// Bounds of one file's renders, each a mean and what 99 of 100 samples stay
/// within.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Within {
    pub(crate) whole: (f64, u32),
    pub(crate) small: (f64, u32),
    pub(crate) thumb: (f64, u32),
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Expected {
    Refused(ImageStatus),
    Stored(Within),
}

impl Expected {
    pub(crate) fn status(&self) -> ImageStatus {
        match self {
            Refused(status) => *status,
            Stored(_) => ImageStatus::Stored,
        }
    }
}

/// Formats whose decoding is one and the same everywhere. A smaller picture
/// differs where it was halved before the last step.
const EXACT: Within = Within {
    whole: (0.01, 0),
    small: (0.5, 6),
    thumb: (2.5, 10),
};

/// JPEG with all of its colours, or none: a transform rounds.
const FINE: Within = Within {
    whole: (0.2, 2),
    small: (0.8, 6),
    thumb: (2.5, 10),
};

/// JPEG with fewer samples of colour than of light: libjpeg fills in by
/// thirds and quarters, Trawler by the kernel that it resizes with. A profile
/// that is sRGB within three levels is left alone.
const HALVED: Within = Within {
    whole: (2.0, 10),
    small: (2.2, 12),
    thumb: (3.7, 17),
};

/// One sample of colour on three rows, which libjpeg repeats.
const THIRDS: Within = Within {
    whole: (2.0, 18),
    small: (2.0, 18),
    thumb: (2.0, 12),
};

/// Inks become light after resizing, in Pillow before it.
const INKS: Within = Within {
    whole: (0.8, 4),
    small: (2.5, 14),
    thumb: (3.0, 12),
};

/// Progressive files that end after some scan. libjpeg guesses at what is not
/// there yet and smooths from block to block.
const COARSE: Within = Within {
    whole: (3.2, 11),
    small: (3.2, 11),
    thumb: (3.4, 12),
};

/// The same with little more than the mean of each block.
const FIRST_SCANS: Within = Within {
    whole: (18.0, 62),
    small: (18.0, 62),
    thumb: (18.0, 62),
};

pub(crate) const TABLE: &[(&str, Expected)] = &[
    ("16-bit-grey-alpha.png", Stored(EXACT)),
    ("2569067123_aca715a2ee_o.jpg", Stored(FINE)),
    ("320x240.jpg", Stored(FINE)),
    ("4.webp", Stored(EXACT)),
    ("5_webp_a.webp", Stored(EXACT)),
    ("65536-uint32-limit.png", Refused(ImageStatus::TooLarge)),
    ("8bit_depth.tiff", Stored(EXACT)),
    ("Channel_digital_image_CMYK_color.jpg", Stored(INKS)),
    (
        "Channel_digital_image_CMYK_color_no_profile.jpg",
        Stored(INKS),
    ),
    ("Crash_test.gif", Stored(EXACT)),
    ("Landscape_1.jpg", Stored(FINE)),
    ("Landscape_2.jpg", Stored(HALVED)),
    ("Landscape_3.jpg", Stored(HALVED)),
    ("Landscape_4.jpg", Stored(HALVED)),
    ("Landscape_5.jpg", Stored(HALVED)),
    ("Landscape_6.jpg", Stored(HALVED)),
    ("Landscape_7.jpg", Stored(HALVED)),
    ("Landscape_8.jpg", Stored(HALVED)),
    ("Portrait_1.jpg", Stored(FINE)),
    ("Portrait_2.jpg", Stored(HALVED)),
    ("Portrait_3.jpg", Stored(HALVED)),
    ("Portrait_4.jpg", Stored(HALVED)),
    ("Portrait_5.jpg", Stored(HALVED)),
    ("Portrait_6.jpg", Stored(HALVED)),
    ("Portrait_7.jpg", Stored(HALVED)),
    ("Portrait_8.jpg", Stored(HALVED)),
    ("animated-loop-3.gif", Stored(EXACT)),
    ("animated-loop-3.webp", Stored(EXACT)),
    ("big-height.webp", Stored(EXACT)),
    ("bricks-color.jpeg", Stored(HALVED)),
    ("bricks-color.lossless.webp", Stored(EXACT)),
    ("bricks-color.lossy.webp", Stored(EXACT)),
    ("bricks-color.png", Stored(EXACT)),
    ("bricks-dither.gif", Stored(EXACT)),
    ("bricks-dither.lossless.webp", Stored(EXACT)),
    ("bricks-dither.no-ancillary.png", Stored(EXACT)),
    ("bricks-dither.png", Stored(EXACT)),
    ("bricks-gray.gif", Stored(EXACT)),
    ("bricks-gray.jpeg", Stored(FINE)),
    ("bricks-gray.lossless.webp", Stored(EXACT)),
    ("bricks-gray.lossy.webp", Stored(EXACT)),
    ("bricks-gray.no-ancillary.png", Stored(EXACT)),
    ("bricks-gray.png", Stored(EXACT)),
    ("bricks-nodither.gif", Stored(EXACT)),
    ("bricks-nodither.lossless.webp", Stored(EXACT)),
    ("bricks-nodither.png", Stored(EXACT)),
    ("concert.jpg", Stored(FINE)),
    // A kilobyte cut from a file whose first segment is longer.
    ("corrupt-header.jpg", Refused(ImageStatus::Truncated)),
    ("embedgravitybird.png", Stored(EXACT)),
    ("flowers.jpeg", Stored(FINE)),
    ("gamma_dalai_lama_gray.jpg", Stored(FINE)),
    ("grey-8bit-alpha.png", Stored(EXACT)),
    ("harvesters.gif", Stored(EXACT)),
    ("harvesters.jpeg", Stored(HALVED)),
    ("harvesters.lossless.webp", Stored(EXACT)),
    ("harvesters.lossy.webp", Stored(EXACT)),
    ("harvesters.png", Stored(EXACT)),
    ("hat.gif", Stored(EXACT)),
    ("hat.jpeg", Stored(HALVED)),
    ("hat.lossless.webp", Stored(EXACT)),
    ("hat.lossy.webp", Stored(EXACT)),
    ("hat.png", Stored(EXACT)),
    ("hibiscus.primitive.gif", Stored(EXACT)),
    ("hibiscus.primitive.jpeg", Stored(FINE)),
    ("hibiscus.primitive.lossless.webp", Stored(EXACT)),
    ("hibiscus.primitive.lossy.webp", Stored(EXACT)),
    ("hibiscus.primitive.png", Stored(EXACT)),
    ("hibiscus.regular.gif", Stored(EXACT)),
    ("hibiscus.regular.jpeg", Stored(HALVED)),
    ("hibiscus.regular.lossless.webp", Stored(EXACT)),
    ("hibiscus.regular.lossy.webp", Stored(EXACT)),
    ("hibiscus.regular.png", Stored(EXACT)),
    ("peacock.default.jpeg", Stored(HALVED)),
    (
        "peacock.default.truncated.decoded-by-djpeg.png",
        Stored(EXACT),
    ),
    (
        "peacock.default.truncated.decoded-by-wuffs.png",
        Stored(EXACT),
    ),
    (
        "peacock.default.truncated.jpeg",
        Refused(ImageStatus::Truncated),
    ),
    ("peacock.grayscale.jpeg", Stored(FINE)),
    ("peacock.optimize.jpeg", Stored(HALVED)),
    ("peacock.png", Stored(EXACT)),
    ("peacock.progressive.jpeg", Stored(HALVED)),
    ("peacock.progressive.scan000.jpeg", Stored(FIRST_SCANS)),
    ("peacock.progressive.scan001.jpeg", Stored(FIRST_SCANS)),
    ("peacock.progressive.scan002.jpeg", Stored(FIRST_SCANS)),
    ("peacock.progressive.scan003.jpeg", Stored(COARSE)),
    ("peacock.progressive.scan004.jpeg", Stored(COARSE)),
    ("peacock.progressive.scan005.jpeg", Stored(COARSE)),
    ("peacock.progressive.scan006.jpeg", Stored(COARSE)),
    ("peacock.progressive.scan007.jpeg", Stored(COARSE)),
    ("peacock.progressive.scan008.jpeg", Stored(HALVED)),
    ("peacock.progressive.scan009.jpeg", Stored(HALVED)),
    (
        "peacock.progressive.truncated.decoded-by-djpeg.png",
        Stored(EXACT),
    ),
    (
        "peacock.progressive.truncated.decoded-by-wuffs.png",
        Stored(EXACT),
    ),
    (
        "peacock.progressive.truncated.jpeg",
        Refused(ImageStatus::Truncated),
    ),
    ("peacock.q30.jpeg", Stored(HALVED)),
    ("peacock.q99.jpeg", Stored(HALVED)),
    ("peacock.s-very-weird.jpeg", Stored(HALVED)),
    ("peacock.s-weird.jpeg", Stored(HALVED)),
    ("peacock.s1x1-444.jpeg", Stored(FINE)),
    ("peacock.s1x3.jpeg", Stored(THIRDS)),
    ("peacock.s2x1-422.jpeg", Stored(HALVED)),
    ("peacock.s2x2-420.jpeg", Stored(HALVED)),
    ("pitm.avif", Refused(ImageStatus::UnsupportedFormat)),
    ("rotating-squares.webp", Stored(EXACT)),
    ("swiss.png", Stored(EXACT)),
    ("tbgn2c16.png", Stored(EXACT)),
    // Lossless JPEG.
    ("testimgl.jpg", Refused(ImageStatus::UnsupportedFormat)),
    ("truncated.jpg", Refused(ImageStatus::Truncated)),
    ("truncated.png", Refused(ImageStatus::Truncated)),
    ("with-alpha.png", Stored(EXACT)),
];

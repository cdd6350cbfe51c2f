//! JPEG: baseline and progressive, any whole sampling, grey, RGB, CMYK and
//! Adobe YCCK, interleaved or with a scan a component. Arithmetic, lossless,
//! hierarchical and 12 bit files are refused as unsupported.
//!
//! Decoded by zune-jpeg itself, not through `image` as the other formats are:
//! `image` cannot ask it to be strict, and a cut file would come out with grey
//! in place of what is missing.
//!
//! A progressive file that ends in good order after some of its scans is
//! stored as the coarser whole picture that it then is, if each component had
//! one: an encoder may stop there, and nothing in the file says whether it did
//! or whether the rest was lost. Test: `a_progressive_jpeg_that_ends_between_scans_is_a_coarser_whole`.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use super::Decoded;
use super::jpeg_clean::Plane;
use super::jpeg_segments::{Coding, Structure};
use crate::colour::Colours;
use crate::error::ImageError;
use crate::limits::Limits;
use crate::orient;
use crate::picture::{Layout, Picture};
use crate::sniff::SourceFormat;

/// The segments module bounds scans; this only keeps the decoder's own bound
/// out of the way.
const DECODER_SCANS_MAX: usize = 100;

pub(super) fn decode(
    bytes: &[u8],
    limits: &Limits,
    colours: &mut Colours,
    buffer: Vec<u8>,
) -> Result<Decoded, ImageError> {
    let structure = Structure::read(bytes, |file| {
        let (width, height) = (u32::from(file.width), u32::from(file.height));
        limits.check_header(width, height, 6 + file.coefficient_bytes())
    })?;
    let coding = structure.coding();
    let inks = matches!(coding, Coding::Cmyk | Coding::Ycck);
    let layout = if inks { Layout::Rgba } else { Layout::Rgb };
    let (width, height) = (u32::from(structure.width), u32::from(structure.height));
    let mut picture = Picture::in_buffer(width, height, layout, buffer);
    if structure.separate() {
        join_planes(&structure, coding, &mut picture)?;
    } else {
        let colour = if inks {
            ColorSpace::CMYK
        } else {
            ColorSpace::RGB
        };
        decode_into(&structure.clean_copy(), colour, &mut picture.data)?;
    }
    let orientation = orient::of_exif(structure.exif);
    let mut icc = structure.icc_profile();
    if inks {
        let profile = icc.take();
        picture = inks_to_rgb(picture, coding, profile.as_deref(), colours);
    }
    Ok(Decoded {
        picture,
        orientation,
        icc,
        frames: None,
    })
}

fn decode_into(file: &[u8], colour: ColorSpace, out: &mut [u8]) -> Result<(), ImageError> {
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_max_scans(DECODER_SCANS_MAX)
        .jpeg_set_out_colorspace(colour);
    JpegDecoder::new_with_options(ZCursor::new(file), options)
        .decode_into(out)
        .map_err(|error| refusal(&error))
}

/// Decodes the components of a file with a scan a component one by one, and
/// brings them to one size and, unless they are inks, to RGB.
fn join_planes(
    structure: &Structure<'_>,
    coding: Coding,
    picture: &mut Picture,
) -> Result<(), ImageError> {
    let channels = picture.layout.channels();
    let (width, height) = (picture.width, picture.height);
    let mut samples = vec![0; width as usize * height as usize];
    for (channel, plane) in structure.planes().iter().enumerate() {
        let mut stored = vec![0; plane.size.0 * plane.size.1];
        decode_into(&plane.file, ColorSpace::Luma, &mut stored)?;
        spread(&stored, plane, (width, height), &mut samples);
        let targets = picture.data.chunks_exact_mut(channels);
        for (pixel, sample) in targets.zip(&samples) {
            pixel[channel] = *sample;
        }
    }
    if coding == Coding::YCbCr {
        for pixel in picture.data.chunks_exact_mut(3) {
            pixel.copy_from_slice(&rgb_of_ycbcr(pixel[0], pixel[1], pixel[2]));
        }
    }
    Ok(())
}

/// Brings a component to the size of the picture.
fn spread(stored: &[u8], plane: &Plane, (width, height): (u32, u32), samples: &mut [u8]) {
    let side = |samples: usize| u32::try_from(samples).expect("no larger than the frame");
    let (from_width, from_height) = (side(plane.size.0), side(plane.size.1));
    if (from_width, from_height) == (width, height) {
        samples.copy_from_slice(stored);
        return;
    }
    let source = TypedImageRef::<U8>::from_buffer(from_width, from_height, stored)
        .expect("a plane holds exactly its samples");
    let mut target = TypedImage::<U8>::from_buffer(width, height, samples)
        .expect("a plane holds exactly its samples");
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .crop(0.0, 0.0, plane.covered.0, plane.covered.1);
    Resizer::new()
        .resize_typed(&source, &mut target, &options)
        .expect("the crop lies within the plane and both layouts are the same");
}

fn refusal(error: &DecodeErrors) -> ImageError {
    let detail = match error {
        // What decoding sees when it runs into the guard behind the data.
        DecodeErrors::ExhaustedData => "the picture data ends early".to_owned(),
        DecodeErrors::Format(text) if text.starts_with("Bad Huffman") => {
            "the picture data breaks off or is damaged".to_owned()
        }
        other => format!("{other:?}"),
    };
    ImageError::corrupt(SourceFormat::Jpeg, detail)
}

/// Four stored components to RGB, by the embedded profile or, without one, as
/// if inks were ideal.
fn inks_to_rgb(
    mut stored: Picture,
    coding: Coding,
    profile: Option<&[u8]>,
    colours: &mut Colours,
) -> Picture {
    for pixel in stored.data.chunks_exact_mut(4) {
        if coding == Coding::Ycck {
            // What is coded as YCbCr is the amount of ink.
            let ink = rgb_of_ycbcr(pixel[0], pixel[1], pixel[2]);
            pixel[..3].copy_from_slice(&ink);
        } else {
            pixel[..3].iter_mut().for_each(|ink| *ink = 255 - *ink);
        }
        pixel[3] = 255 - pixel[3];
    }
    let mut rgb = Picture::in_buffer(stored.width, stored.height, Layout::Rgb, Vec::new());
    let converted =
        profile.is_some_and(|profile| colours.inks_to_srgb(profile, &stored.data, &mut rgb.data));
    if !converted {
        let targets = rgb.data.chunks_exact_mut(3);
        for (target, inks) in targets.zip(stored.data.chunks_exact(4)) {
            for (target, ink) in target.iter_mut().zip(inks) {
                let light = u32::from(255 - ink) * u32::from(255 - inks[3]);
                *target = u8::try_from((light + 127) / 255).expect("a product of two fractions");
            }
        }
    }
    rgb
}

/// JFIF's matrix (T.871, 7) in 16 bit fixed point.
fn rgb_of_ycbcr(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    let (y, cb, cr) = (i32::from(y) << 16, i32::from(cb) - 128, i32::from(cr) - 128);
    let red = y + 91_881 * cr;
    let green = y - 22_554 * cb - 46_802 * cr;
    let blue = y + 116_130 * cb;
    [red, green, blue]
        .map(|value| u8::try_from(((value + HALF) >> 16).clamp(0, 255)).expect("clamped to a byte"))
}

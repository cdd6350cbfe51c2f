//! Four inks to RGB.

use crate::colour::Colours;
use crate::jpeg::Coding;
use crate::layers::rgb_of_ycbcr;
use crate::picture::{Layout, Picture};

/// Four stored components to RGB, by the embedded profile or, without one, as
/// if inks were ideal.
pub(crate) fn inks_to_rgb(
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

//! What was found about photographs that are collected, for people.

use std::fmt;

use crate::photos::{Collected, PHOTOS, PhotosMeasured, Served, SizeMeasured};
use crate::report::{peak, rate, verdict};

/// To reach a core: images that did not change, without decoding and storing anything.
const UNCHANGED_S: f64 = 5_000.0;
/// The clients that others are compared with.
const COMPARED: [&str; 2] = ["img2dataset", "sharp"];

fn per_s(collected: &Collected) -> f64 {
    rate(u64::from(collected.images), collected.took.cpu_s)
}

pub(crate) fn write_photos(out: &mut fmt::Formatter<'_>, photos: &PhotosMeasured) -> fmt::Result {
    writeln!(
        out,
        "\nPhotos: {PHOTOS} JPEGs of each size, downloaded and made into JPEGs of 256 and 720 pixels, quality 80, on disk\n\
         {:<14}{:>9}{:>8}{:>15}{:>13}{:>14}{:>10}{:>15}{:>9}",
        "",
        "side px",
        "kB",
        "images/s/core",
        "by the wall",
        "ms CPU/image",
        "peak MiB",
        "x img2dataset",
        "x sharp",
    )?;
    for size in &photos.sizes {
        write_size(out, size)?;
    }
    for (client, why) in &photos.missing {
        writeln!(out, "{client}: not measured: {why}")?;
    }
    for unchanged in &photos.unchanged {
        let (how, is_asked) = match unchanged.served {
            Served::Validated => ("by its validator (304)", true),
            Served::Bare => ("by the hash of its bytes", false),
        };
        let images = u64::from(unchanged.images);
        let own = rate(images, unchanged.took.cpu_s);
        write!(
            out,
            "unchanged, known {how}: {own:.0} images/s/core ({:.0} by the wall, images of {} kB)",
            rate(images, unchanged.took.wall_s),
            unchanged.image_bytes_mean / 1_000,
        )?;
        match is_asked {
            true => writeln!(
                out,
                "; target {UNCHANGED_S:.0}: {}",
                verdict(own >= UNCHANGED_S)
            )?,
            false => writeln!(out)?,
        }
    }
    Ok(())
}

fn write_size(out: &mut fmt::Formatter<'_>, size: &SizeMeasured) -> fmt::Result {
    let of = |name: &str| {
        let found = size.clients.iter().find(|client| client.client == name);
        found.map(|client| per_s(&client.collected))
    };
    for client in &size.clients {
        let collected = &client.collected;
        let own = per_s(collected);
        let times = COMPARED.map(|name| match of(name) {
            Some(other) => format!("{:.2}", own / other),
            None => "-".to_owned(),
        });
        writeln!(
            out,
            "{:<14}{:>9}{:>8}{own:>15.1}{:>13.1}{:>14.2}{:>10}{:>15}{:>9}",
            client.client,
            size.side_px,
            size.image_bytes_mean / 1_000,
            rate(u64::from(collected.images), collected.took.wall_s),
            1e3 / own,
            peak(collected.peak_bytes),
            times[0],
            times[1],
        )?;
    }
    Ok(())
}

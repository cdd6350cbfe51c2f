//! What is measured on: feeds of the synthetic shop, photographs of one size.
//! Made in processes of their own, so that making them counts nowhere.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use trawler_core::image::{Fit, OutputFormat, Variant};
use trawler_image_worker::{Limits, Workbench};
use trawler_shop::{
    Charset, Compression, DayChange, FeedFormat, ImageFormat, Model, ShopSpec, render_feed,
    render_image,
};

use crate::images::{PHOTOGRAPH, in_order};

/// Products that differ from one day to the next.
const CHANGED_SHARE: f64 = 0.01;
/// As shops save their photographs; most tools begin at 80 to 90.
const SOURCE_QUALITY: u8 = 85;
/// Shorter side of photographs that are used: smaller ones, enlarged, would
/// be smoother and cheaper than real ones.
const SHORTER_PX_MIN: u32 = 1_000;
/// Generated pictures where there are no photographs.
const GENERATED: u64 = 20;

/// Writes a Naver EP feed of all 52 columns; how many rows it has.
pub(crate) fn feed(
    to: &Path,
    rows: u32,
    day: u32,
    charset: &str,
    compression: &str,
) -> Result<u64> {
    let charset = match charset {
        "utf-8" => Charset::Utf8,
        "cp949" => Charset::Cp949,
        other => bail!("charset is {other:?}, allowed are \"utf-8\" and \"cp949\""),
    };
    let compression = match compression {
        "none" => Compression::None,
        "gzip" => Compression::Gzip,
        other => bail!("compression is {other:?}, allowed are \"none\" and \"gzip\""),
    };
    let spec = ShopSpec {
        charset,
        day_change: DayChange {
            changed_share: CHANGED_SHARE,
            ..DayChange::NONE
        },
        ..ShopSpec::new("Bench", 1, rows)
    };
    let model = Model::new(&spec, "https://shop.example.com").context("make the shop")?;
    let file = File::create(to).with_context(|| format!("create {}", to.display()))?;
    let out = BufWriter::new(file);
    let summary = render_feed(&model, FeedFormat::NaverEp, compression, day, out)
        .with_context(|| format!("write {}", to.display()))?;
    Ok(summary.rows)
}

/// Writes square JPEGs of `side_px`: the photographs of `from` that are
/// large enough, cut and scaled, or generated pictures where there are none.
pub(crate) fn photographs(from: &Path, to: &Path, side_px: u32) -> Result<u64> {
    std::fs::create_dir_all(to).with_context(|| format!("create {}", to.display()))?;
    let mut made = 0;
    let write = |name: &str, at: u64, bytes: &[u8]| {
        let path = to.join(format!("{name}-{at:03}.jpg"));
        std::fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))
    };
    for bytes in files(from)? {
        if let Some(scaled) = square(&bytes, side_px) {
            made += 1;
            write(PHOTOGRAPH, made, &scaled)?;
        }
    }
    if made == 0 {
        for seed in 1..=GENERATED {
            let picture = render_image(seed, side_px, side_px, ImageFormat::Jpeg)
                .context("generate a picture")?;
            write("generated", seed, &picture)?;
        }
        made = GENERATED;
    }
    Ok(made)
}

/// The files of a folder in order of name; none where there is no folder.
fn files(folder: &Path) -> Result<Vec<Vec<u8>>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    in_order(folder)?
        .iter()
        .map(|path| std::fs::read(path).with_context(|| format!("read {}", path.display())))
        .collect()
}

/// `None` for what is no image or too small.
fn square(bytes: &[u8], side_px: u32) -> Option<Vec<u8>> {
    let variant = Variant {
        name: "source".to_owned(),
        width: side_px,
        height: side_px,
        fit: Fit::Cover,
        format: OutputFormat::Jpeg,
        quality: SOURCE_QUALITY,
        background: None,
        transparent: None,
        trim: false,
    };
    let mut bench = Workbench::new(Limits::default());
    let rendition = bench.render(bytes, &[variant]).ok()?;
    let facts = &rendition.facts;
    if facts.width.min(facts.height) < SHORTER_PX_MIN {
        return None;
    }
    rendition
        .variants
        .into_iter()
        .next()
        .map(|scaled| scaled.data)
}

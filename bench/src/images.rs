//! Rendering images: JPEG of 1200 x 1200 to JPEG of 256 and 720, and to 256
//! alone, from bytes to bytes.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use trawler_core::image::{Fit, OutputFormat, Variant};
use trawler_image_worker::{Limits, Workbench};

use crate::measure::{Memory, Took, Watch, fastest, median};

/// How the names of sources begin that are photographs.
pub(crate) const PHOTOGRAPH: &str = "photo";
/// Side of the images that are rendered.
pub(crate) const SIDE_PX: u32 = 1_200;
const QUALITY: u8 = 80;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ImagesMeasured {
    /// Different sources, rendered in turn.
    pub(crate) sources: u32,
    /// Whether they are photographs; otherwise they are generated.
    pub(crate) photographs: bool,
    pub(crate) source_bytes_mean: u64,
    /// Images of a run.
    pub(crate) images: u32,
    /// Median of the runs.
    pub(crate) took: Took,
    pub(crate) fastest: Took,
    /// The same images to the smaller variant alone.
    pub(crate) thumbnail: Took,
    pub(crate) thumbnail_fastest: Took,
    /// Of the two variants, which are rendered first.
    pub(crate) peak_bytes: Option<u64>,
}

/// Renders a run's images once to warm up and `runs` times by the watch, to
/// both variants and to the smaller one alone.
pub(crate) fn measure(sources: &Path, images: u32, runs: u32) -> Result<ImagesMeasured> {
    let paths = in_order(sources)?;
    let photographs = paths.iter().any(|path| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with(PHOTOGRAPH)
    });
    let sources: Vec<Vec<u8>> = paths
        .iter()
        .map(|path| std::fs::read(path).with_context(|| format!("read {}", path.display())))
        .collect::<Result<_>>()?;
    ensure!(!sources.is_empty(), "no images to measure with");
    let variants = [variant("thumb", 256), variant("page", 720)];
    let memory = Memory::start();
    let mut bench = Workbench::new(Limits::default());
    let mut took = |variants: &[Variant]| -> Result<Vec<Took>> {
        let mut took = Vec::new();
        for run in 0..=runs {
            let watch = Watch::start();
            for source in sources.iter().cycle().take(images as usize) {
                let rendition = bench.render(source, variants).context("render an image")?;
                ensure!(
                    rendition.variants.len() == variants.len(),
                    "a variant is missing"
                );
            }
            if run > 0 {
                took.push(watch.took());
            }
        }
        Ok(took)
    };
    let both = took(&variants)?;
    let peak_bytes = memory.peak_bytes();
    let thumbnail = took(&variants[..1])?;
    let bytes: usize = sources.iter().map(Vec::len).sum();
    Ok(ImagesMeasured {
        sources: u32::try_from(sources.len()).unwrap_or(u32::MAX),
        photographs,
        source_bytes_mean: (bytes / sources.len()) as u64,
        images,
        took: median(&both),
        fastest: fastest(&both),
        thumbnail: median(&thumbnail),
        thumbnail_fastest: fastest(&thumbnail),
        peak_bytes,
    })
}

fn variant(name: &str, side_px: u32) -> Variant {
    Variant {
        name: name.to_owned(),
        width: side_px,
        height: side_px,
        fit: Fit::Cover,
        format: OutputFormat::Jpeg,
        quality: QUALITY,
        background: None,
        transparent: None,
        trim: false,
    }
}

/// The files of a folder in order of name.
pub(crate) fn in_order(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = || format!("read folder {}", folder.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(unreadable)? {
        paths.push(entry.with_context(unreadable)?.path());
    }
    paths.sort();
    Ok(paths)
}

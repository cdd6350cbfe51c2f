//! Every real image against Pillow: the same status, the same upright size, the
//! same pixels within what decoders may differ by.
//!
//! Compared are the whole picture and a smaller one, both without loss, and the
//! thumbnail as the JPEG that a shop would show, which takes another way through
//! the code. What Pillow does is in reference.py, its version in
//! requirements.txt.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};
use trawler_core::image::{Colour, Fit, ImageStatus, OutputFormat, Variant};
use trawler_core::image_policy::ImagePolicy;
use trawler_image_worker::{Limits, try_image};
use trawler_tests::python;

use crate::files;
use crate::table::{Expected, TABLE, Within};

const REQUIREMENTS: &str = include_str!("requirements.txt");

/// A file and what was made of it; Pillow adds the rest.
#[derive(Debug, Serialize, Deserialize)]
struct Compared {
    name: String,
    source: PathBuf,
    renders: Vec<Render>,
    /// Why Pillow makes nothing of it.
    #[serde(default)]
    error: Option<String>,
    /// Upright.
    #[serde(default)]
    width: u32,
    #[serde(default)]
    height: u32,
}

/// One variant against Pillow's; differences are in levels of 256.
#[derive(Debug, Serialize, Deserialize)]
struct Render {
    what: String,
    path: PathBuf,
    #[serde(default)]
    width: u32,
    #[serde(default)]
    height: u32,
    /// Of the worst channel.
    #[serde(default)]
    mean: f64,
    /// 99 of 100 samples are within it.
    #[serde(default)]
    p99: u32,
    #[serde(default)]
    max: u32,
}

fn variant(name: &str, side: u32, format: OutputFormat) -> Variant {
    Variant {
        name: name.to_owned(),
        width: side,
        height: side,
        fit: Fit::Contain,
        format,
        quality: 95,
        background: Some(Colour::WHITE),
        transparent: None,
        trim: false,
    }
}

const WHOLE: &str = "whole";
const SMALL: &str = "small";
const THUMB: &str = "thumb";

/// Larger than every real image: none is enlarged, so that this is its own size.
const WHOLE_PX: u32 = 8_192;
/// Odd, and no half of anything.
const SMALL_PX: u32 = 147;
const THUMB_PX: u32 = 256;

fn variants() -> [Variant; 3] {
    [
        variant(WHOLE, WHOLE_PX, OutputFormat::Png),
        variant(SMALL, SMALL_PX, OutputFormat::Png),
        variant(THUMB, THUMB_PX, OutputFormat::Jpeg),
    ]
}

/// Renders every file; the status of each, and what there is to compare.
fn render(
    files: &BTreeMap<String, PathBuf>,
    folder: &Path,
) -> (BTreeMap<String, ImageStatus>, Vec<Compared>) {
    let (mut statuses, mut rendered) = (BTreeMap::new(), Vec::new());
    for (name, source) in files {
        let bytes = fs::read(source).unwrap();
        let trial = try_image(
            &bytes,
            &variants(),
            Limits::default(),
            &ImagePolicy::default(),
        )
        .unwrap();
        statuses.insert(name.clone(), trial.report.status);
        // Some that are refused, Pillow would decode: at gigabytes.
        if trial.variants.is_empty() {
            continue;
        }
        let renders = trial.variants.iter().map(|variant| {
            let path = folder.join(format!("{name}-{}", variant.name));
            fs::write(&path, &variant.data).unwrap();
            Render {
                what: variant.name.clone(),
                path,
                width: 0,
                height: 0,
                mean: 0.0,
                p99: 0,
                max: 0,
            }
        });
        rendered.push(Compared {
            name: name.clone(),
            source: source.clone(),
            renders: renders.collect(),
            error: None,
            width: 0,
            height: 0,
        });
    }
    (statuses, rendered)
}

/// The same files, as Pillow sees them.
fn by_pillow(rendered: &[Compared], folder: &Path) -> Vec<Compared> {
    let list = folder.join("files.json");
    fs::write(&list, serde_json::to_vec(rendered).unwrap()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("images/reference.py");
    let output = Command::new(python::interpreter("pillow", REQUIREMENTS))
        .arg(script)
        .arg(&list)
        .output()
        .expect("start Python");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The size of a picture within a square box; none is enlarged.
fn contained(width: u32, height: u32, side: u32) -> (u32, u32) {
    let scale = (f64::from(side) / f64::from(width.max(height))).min(1.0);
    let to = |pixels: u32| ((f64::from(pixels) * scale).round() as u32).max(1);
    (to(width), to(height))
}

#[test]
fn every_real_image_has_the_pixels_that_pillow_sees() {
    let Some(files) = files::real() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (statuses, rendered) = render(&files, folder.path());
    let mut problems = Vec::new();

    let expected: BTreeMap<&str, Expected> = TABLE.iter().copied().collect();
    assert_eq!(expected.len(), TABLE.len(), "a file is in the table twice");
    for name in expected.keys().filter(|name| !files.contains_key(**name)) {
        problems.push(format!("{name} is in the table and not in the folder"));
    }
    for (name, status) in &statuses {
        match expected.get(name.as_str()) {
            None => problems.push(format!("{name} ({status:?}) is not in the table")),
            Some(expected) if expected.status() != *status => {
                problems.push(format!("{name} is {status:?}, expected {expected:?}"));
            }
            Some(_) => {}
        }
    }
    for file in by_pillow(&rendered, folder.path()) {
        if let Some(Expected::Stored(within)) = expected.get(file.name.as_str()) {
            check(&file, within, &mut problems);
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn check(file: &Compared, within: &Within, problems: &mut Vec<String>) {
    let name = &file.name;
    if let Some(error) = &file.error {
        problems.push(format!("{name}: Pillow makes nothing of it: {error}"));
        return;
    }
    for render in &file.renders {
        let (what, Render { mean, p99, max, .. }) = (&render.what, render);
        println!("{name} {what}: mean {mean:.2}, p99 {p99}, max {max}");
        let (side, (mean_max, p99_max)) = match what.as_str() {
            WHOLE => (WHOLE_PX, within.whole),
            SMALL => (SMALL_PX, within.small),
            _ => (THUMB_PX, within.thumb),
        };
        let size = (render.width, render.height);
        if size != contained(file.width, file.height, side) {
            let upright = (file.width, file.height);
            problems.push(format!("{name} {what}: {size:?} of {upright:?}"));
        }
        if *mean > mean_max || *p99 > p99_max {
            problems.push(format!(
                "{name} {what}: mean {mean:.2} and p99 {p99}, at most {mean_max} and {p99_max}"
            ));
        }
    }
}

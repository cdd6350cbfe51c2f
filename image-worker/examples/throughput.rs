//! Images a second on one core: `cargo run --release -p trawler-image-worker
//! --example throughput [FILE...]`. Without files, a photograph-like 1200 x
//! 1200 JPEG is made. Each is rendered to 256 x 256 and 720 x 720 JPEG q80.

use std::time::{Duration, Instant};

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use trawler_core::image::{Fit, OutputFormat, Variant};
use trawler_image_worker::{Limits, Workbench};

/// Long enough that the first, cold images do not show.
const RUN: Duration = Duration::from_secs(5);

fn main() {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let mut sources = Vec::new();
    for file in files {
        let bytes = std::fs::read(&file).expect("the file can be read");
        sources.push((file, bytes));
    }
    if sources.is_empty() {
        sources.push(("generated 1200x1200".to_owned(), generated(1200)));
    }
    let variants = [variant("thumb", 256), variant("page", 720)];
    let mut bench = Workbench::new(Limits::default());
    for (name, bytes) in &sources {
        let mut times = Vec::new();
        let start = Instant::now();
        while start.elapsed() < RUN {
            let one = Instant::now();
            if let Err(error) = bench.render(bytes, &variants) {
                println!("{name}: {error}");
                break;
            }
            times.push(one.elapsed().as_secs_f64() * 1000.0);
        }
        times.sort_by(f64::total_cmp);
        let (Some(median), Some(tenth)) = (times.get(times.len() / 2), times.get(times.len() / 10))
        else {
            continue;
        };
        // The fastest tenth is what the work costs where nothing else runs.
        println!(
            "{name}, {} bytes: median {median:.2} ms, {:.1} images/s; fastest tenth {tenth:.2} ms, {:.1} images/s",
            bytes.len(),
            1000.0 / median,
            1000.0 / tenth,
        );
    }
}

fn variant(name: &str, side: u32) -> Variant {
    Variant {
        name: name.to_owned(),
        width: side,
        height: side,
        fit: Fit::Cover,
        format: OutputFormat::Jpeg,
        quality: 80,
        background: None,
        transparent: None,
        trim: false,
    }
}

/// Smooth shapes with some texture: about 1.3 bits a pixel at quality 85, as
/// product photographs have.
fn generated(side: u16) -> Vec<u8> {
    let mut state = 1_u32;
    let mut pixels = Vec::with_capacity(usize::from(side) * usize::from(side) * 3);
    for y in 0..side {
        for x in 0..side {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = f32::from((state >> 28) as u8);
            let (fx, fy) = (f32::from(x) / 37.0, f32::from(y) / 53.0);
            let wave = (fx.sin() + fy.cos() + (fx * fy / 9.0).sin()) * 30.0;
            for shift in [90.0, 110.0, 130.0] {
                pixels.push((shift + wave + noise).clamp(0.0, 255.0) as u8);
            }
        }
    }
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, 85);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder
        .encode(&pixels, side, side, ColorType::Rgb)
        .expect("the picture is well formed");
    out
}

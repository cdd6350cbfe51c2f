//! Sniff, decode, transform and encode, on any bytes. Limits are low, so that
//! whatever costs more than they say shows as a time-out or as memory
//! (`-rss_limit_mb`, `-timeout`).
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use trawler_core::image::{Fit, OutputFormat, Variant};
use trawler_image_worker::{Limits, Workbench};

thread_local! {
    /// Kept from one input to the next, as a worker keeps it.
    static BENCH: RefCell<Workbench> = RefCell::new(Workbench::new(Limits {
        source_bytes_max: 1024 * 1024,
        edge_px_max: 4_096,
        pixels_max: 1_000_000,
        decoded_bytes_max: 16 * 1024 * 1024,
    }));
}

fn variant(name: &str, fit: Fit, format: OutputFormat) -> Variant {
    Variant {
        name: name.to_owned(),
        width: 24,
        height: 16,
        fit,
        format,
        quality: 80,
        background: None,
        transparent: None,
        trim: false,
    }
}

fuzz_target!(|source: &[u8]| {
    let variants = [
        variant("cover", Fit::Cover, OutputFormat::Jpeg),
        variant("contain", Fit::Contain, OutputFormat::Webp),
        variant("content", Fit::Content, OutputFormat::Jpeg),
        variant("pad", Fit::Pad, OutputFormat::Png),
    ];
    BENCH.with_borrow_mut(|bench| {
        if let Err(error) = bench.render(source, &variants) {
            // What is wrong with a source is the source's, and told.
            assert!(error.status().is_some(), "{error}");
        }
    });
});

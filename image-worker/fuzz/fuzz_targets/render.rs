//! Sniff, decode, transform and encode, on any bytes: strictly, and then by a
//! policy that knows placeholders and stores what is damaged. Limits are low, so that
//! whatever costs more than they say shows as a time-out or as memory
//! (`-rss_limit_mb`, `-timeout`).
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use trawler_core::image::{Fit, OutputFormat, Variant};
use trawler_core::image_policy::{ImagePolicy, OnBlank, OnDamaged};
use trawler_core::phash::Phash;
use trawler_core::placeholder::Placeholder;
use trawler_image_worker::{Limits, Workbench};

thread_local! {
    /// Kept from one input to the next, as a worker keeps it.
    static BENCH: RefCell<Workbench> = RefCell::new(Workbench::new(Limits {
        source_bytes_max: 1024 * 1024,
        edge_px_max: 4_096,
        pixels_max: 1_000_000,
        decoded_bytes_max: 16 * 1024 * 1024,
        together_bytes_max: 16 * 1024 * 1024,
    }));
}

thread_local! {
    static POLICY: ImagePolicy = ImagePolicy {
        placeholders: vec![Placeholder::Phash {
            hash: Phash(0xe1b0_c3d4_9a5f_2786),
            within: 10,
        }],
        blank: OnBlank::Placeholder,
        damaged: OnDamaged::Store,
    };
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
    let trimmed = Variant {
        trim: true,
        ..variant("trimmed", Fit::Pad, OutputFormat::Png)
    };
    let variants = [
        variant("cover", Fit::Cover, OutputFormat::Jpeg),
        variant("contain", Fit::Contain, OutputFormat::Webp),
        variant("content", Fit::Content, OutputFormat::Jpeg),
        variant("pad", Fit::Pad, OutputFormat::Png),
        trimmed,
    ];
    BENCH.with_borrow_mut(|bench| {
        let strict = bench.render(source, &variants);
        let by_policy = POLICY.with(|policy| bench.render_by(policy, source, &variants));
        match (strict, by_policy) {
            (Ok(strict), Ok(found)) => {
                assert_eq!(strict.facts, found.facts);
                assert!(found.placeholder.is_some() || strict.variants == found.variants);
            }
            (Ok(_), Err(refused)) => panic!("sound, and refused: {refused}"),
            // What is wrong with a source is the source's, and told.
            (Err(error), found) => {
                assert!(error.status().is_some(), "{error}");
                if let Ok(found) = found {
                    assert!(found.facts.damaged.is_some());
                }
            }
        }
    });
});

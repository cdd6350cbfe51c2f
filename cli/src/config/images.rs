//! `[images]`: what is made of every image.

use serde::Deserialize;
use trawler_core::image::{Fit, ORIGINAL, Originals, OutputFormat, Variant};
use trawler_core::image_policy::{ImagePolicy, OnBlank, OnDamaged, PLACEHOLDERS_MAX};
use trawler_core::placeholder::Placeholder;
use trawler_core::recheck::Remaking;
use trawler_core::schedule::{CRON_RULE, Schedule};
use trawler_core::upkeep::UpkeepTask;
use trawler_scheduler::UpkeepRule;

use super::check::Bounds;
use super::store::CatalogueConfig;

/// Most variants of an image.
const VARIANTS_MAX: u64 = 16;

/// Where failed images are not tried again between runs.
const NEVER: &str = "never";

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ImagesConfig {
    /// Largest image as served, in MiB. Default 32, bound 1 to 256.
    pub(crate) source_mib_max: u64,
    /// Most pixels of a source, in millions. Default 64, bound 1 to 1000.
    pub(crate) megapixels_max: u64,
    /// MiB that the pixels of all images take together that are decoded at the
    /// same time, on however many threads; an image for which there is no room
    /// waits, and one that needs more than all of it, or more than 384 MiB, is
    /// `too_large`. Default 768, bound 32 to 65536. With `net.memory_mib`, which
    /// bounds what was downloaded, it bounds the memory of an image worker.
    pub(crate) memory_mib: u64,
    /// Seconds for one image, from the first request to its last byte, redirects
    /// included: a partner that sends a byte now and then holds a worker no
    /// longer. Default 300, which is the largest image at 100 KB/s; bound 1 to
    /// 3600.
    pub(crate) timeout_s: u64,
    /// When failed images are tried again between runs, at the ages of 1, 2, 4,
    /// 8, 16, 30 days and every 30 days: five fields as of a pipe's cron, in UTC,
    /// or `"never"`. Default `"45 4 * * *"`.
    pub(crate) retry: String,
    /// When images that nothing refers to any more are removed, as by `trawler
    /// images gc --delete`: five fields, in UTC, or `"never"`. Two days are the
    /// least that an image takes to go: one to be marked, one to be removed.
    /// Default `"never"`.
    pub(crate) gc: String,
    /// Days within which whoever reads the catalogue or its changes still finds
    /// every image that they name; `catalogue.restore_days` if that is more.
    /// Default 7, bound 1 to 3650.
    pub(crate) gc_grace_days: u16,
    /// When a sample of the stored images is read, compared with the catalogue
    /// and repaired, as by `trawler images verify --repair`: five fields, in UTC,
    /// or `"never"`. Default `"never"`.
    pub(crate) verify: String,
    /// Products of that sample. Default 1000, bound 1 to 1000000.
    pub(crate) verify_products: u64,
    /// Pictures that stand for "no picture yet", of any partner:
    /// `"sha256:{64 hex digits}"` for files of these bytes,
    /// `"phash:{16 hex digits}"` for whatever looks so, `"phash:{16 hex
    /// digits}~{0 to 10}"` with the bits that may differ, else 6. A pipe may add
    /// its own. Default none, at most 1,000.
    pub(crate) placeholders: Vec<Placeholder>,
    /// What becomes of pictures of one colour: `"store"`, since a swatch of
    /// paint or cloth is one too, or `"placeholder"`. Default `"store"`; a pipe
    /// may say otherwise.
    pub(crate) blank: OnBlank,
    /// What becomes of JPEG and PNG files that can be decoded in part only, at
    /// least half of them: `"refuse"`, or `"store"` with `image_damaged` set.
    /// Default `"refuse"`; a pipe may say otherwise.
    pub(crate) damaged: OnDamaged,
    /// The renditions of every image; default a 256 px thumbnail and a 720 px
    /// picture as JPEG. At most 16.
    pub(crate) variants: Vec<Variant>,
    /// `"keep"` stores the bytes that came from the partner as well, once for
    /// each content, beside the variants: new variants are then made of them and
    /// not fetched again. Pictures that are stored already have theirs kept when
    /// they are downloaded next. Default `"drop"`.
    pub(crate) originals: Originals,
    /// Images whose variants were made by other settings, or by an earlier
    /// version of Trawler, are made anew within so many days, as many of them
    /// each day; from kept originals without asking the partner, else downloaded
    /// again. Default 30, bound 0 to 3650; 0 for never.
    pub(crate) remake_days: u32,
    /// What S3 says to caches of stored images, and of whatever else never
    /// changes. At most 256 printable ASCII characters. Default
    /// `"public, max-age=31536000, immutable"`, a year.
    pub(crate) cache_control: String,
}

impl Default for ImagesConfig {
    fn default() -> Self {
        let variant = |name: &str, px: u32| Variant {
            name: name.to_owned(),
            width: px,
            height: px,
            fit: Fit::Contain,
            format: OutputFormat::Jpeg,
            quality: 80,
            background: None,
            transparent: None,
            trim: false,
        };
        Self {
            source_mib_max: 32,
            megapixels_max: 64,
            memory_mib: 768,
            timeout_s: 300,
            retry: "45 4 * * *".to_owned(),
            gc: NEVER.to_owned(),
            gc_grace_days: 7,
            verify: NEVER.to_owned(),
            verify_products: 1_000,
            placeholders: Vec::new(),
            blank: OnBlank::default(),
            damaged: OnDamaged::default(),
            variants: vec![variant("thumb", 256), variant("large", 720)],
            originals: Originals::default(),
            remake_days: 30,
            cache_control: "public, max-age=31536000, immutable".to_owned(),
        }
    }
}

impl ImagesConfig {
    /// What pictures are made by, for those who plan their fetching.
    pub(crate) fn remaking(&self) -> Remaking {
        Remaking {
            recipe: trawler_image_worker::recipe(&self.variants),
            days: self.remake_days,
        }
    }

    /// `None` for never; what is wrong was told by `check`.
    pub(crate) fn retry_schedule(&self) -> Option<Schedule> {
        Schedule::parse(&self.retry, "UTC").ok()
    }

    /// What is looked after by schedule; what is wrong was told by `check`.
    pub(crate) fn upkeep(&self, catalogue: &CatalogueConfig) -> Vec<UpkeepRule> {
        let gc = UpkeepTask::Gc {
            grace_days: catalogue.grace_days(self.gc_grace_days),
        };
        let verify = UpkeepTask::Verify {
            products: self.verify_products,
        };
        let rules = [(gc, &self.gc), (verify, &self.verify)].into_iter();
        rules
            .filter_map(|(task, cron)| {
                let schedule = Schedule::parse(cron, "UTC").ok()?;
                Some(UpkeepRule { task, schedule })
            })
            .collect()
    }

    /// What is said of the pictures of all pipes.
    pub(crate) fn policy(&self) -> ImagePolicy {
        ImagePolicy {
            placeholders: self.placeholders.clone(),
            blank: self.blank,
            damaged: self.damaged,
        }
    }

    pub(crate) fn check(&self, bounds: &mut Bounds) {
        bounds.within(
            "images.placeholders",
            self.placeholders.len() as u64,
            0,
            PLACEHOLDERS_MAX as u64,
        );
        bounds.within("images.source_mib_max", self.source_mib_max, 1, 256);
        bounds.within("images.megapixels_max", self.megapixels_max, 1, 1_000);
        bounds.within("images.memory_mib", self.memory_mib, 32, 65_536);
        bounds.within("images.timeout_s", self.timeout_s, 1, 3_600);
        bounds.within(
            "images.variants",
            self.variants.len() as u64,
            1,
            VARIANTS_MAX,
        );
        for (key, cron) in [
            ("images.retry", &self.retry),
            ("images.gc", &self.gc),
            ("images.verify", &self.verify),
        ] {
            bounds.unless(
                cron == NEVER || Schedule::parse(cron, "UTC").is_ok(),
                key,
                cron,
                &format!("\"{NEVER}\", or {CRON_RULE}"),
            );
        }
        bounds.within("images.gc_grace_days", self.gc_grace_days.into(), 1, 3_650);
        bounds.within("images.verify_products", self.verify_products, 1, 1_000_000);
        bounds.within("images.remake_days", u64::from(self.remake_days), 0, 3_650);
        let cache_control = &self.cache_control;
        let visible = cache_control.bytes().all(|b| (0x20..0x7f).contains(&b));
        bounds.unless(
            visible && (1..=256).contains(&cache_control.trim().len()),
            "images.cache_control",
            cache_control,
            "1 to 256 printable ASCII characters, such as \"public, max-age=31536000, immutable\"",
        );
        let mut names = std::collections::BTreeSet::new();
        for variant in &self.variants {
            let key = "images.variants.name";
            let plain = !variant.name.is_empty()
                && variant.name.len() <= 32
                && variant
                    .name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b));
            bounds.unless(
                plain,
                key,
                &variant.name,
                "1 to 32 lower-case ASCII letters, digits, '-' and '_'",
            );
            bounds.unless(
                variant.name != ORIGINAL,
                key,
                &variant.name,
                "another name: kept originals have this one",
            );
            bounds.unless(
                names.insert(&variant.name),
                key,
                &variant.name,
                "a name that no other variant has",
            );
            bounds.within("images.variants.width", u64::from(variant.width), 1, 8_192);
            bounds.within(
                "images.variants.height",
                u64::from(variant.height),
                1,
                8_192,
            );
            bounds.within(
                "images.variants.quality",
                u64::from(variant.quality),
                1,
                100,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_told_by_its_key() {
        let check = |change: fn(&mut ImagesConfig), expected: &[&str]| {
            let mut config = ImagesConfig::default();
            change(&mut config);
            let mut bounds = Bounds::default();
            config.check(&mut bounds);
            let keys: Vec<&str> = bounds.0.iter().map(|found| found.key.as_str()).collect();
            assert_eq!(keys, expected);
        };
        check(|_| (), &[]);
        check(|c| c.remake_days = 0, &[]);
        check(|c| c.remake_days = 3_651, &["images.remake_days"]);
        check(|c| c.cache_control = "no-store".to_owned(), &[]);
        check(
            |c| c.cache_control = String::new(),
            &["images.cache_control"],
        );
        check(
            |c| c.cache_control = "a\r\nb: c".to_owned(),
            &["images.cache_control"],
        );
        check(
            |c| c.variants[0].name = "original".to_owned(),
            &["images.variants.name"],
        );
    }

    #[test]
    fn the_recipe_is_that_of_the_variants() {
        let config = ImagesConfig::default();
        let mut other = config.clone();
        other.variants[0].quality += 1;
        assert_eq!(config.remaking(), ImagesConfig::default().remaking());
        assert_ne!(config.remaking(), other.remaking());
    }
}

//! What there is of images: rows by status, distinct source images, distinct
//! variants and their bytes as the catalogue says, by pipe and in all; and what
//! the store holds.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use serde::Serialize;
use trawler_catalogue::{STORED_ROWS_MAX, Snapshot, StoredRow};
use trawler_core::PipeId;
use trawler_core::image::ImageStatus;
use trawler_core::removal::{IMAGES, Marked};

use crate::listing::Listing;
use crate::remove::add;
use crate::spill::{Distinct, PARTS, Spill, Spilled, part_of};
use crate::{Upkeep, UpkeepError, Watch};

/// A row without a picture, and one whose status nobody knows.
const NONE: &str = "none";

/// What is counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatsOptions {
    pub pipe: Option<PipeId>,
    /// Whether the store is gone through as well.
    pub objects: bool,
}

/// Of one pipe, or of all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ImageStats {
    pub rows: u64,
    pub statuses: BTreeMap<&'static str, u64>,
    /// Rows whose stored picture was decoded in part only.
    pub damaged_stored: u64,
    /// Rows that were refused, by status, whose files can be decoded in part.
    pub damaged_refused: BTreeMap<&'static str, u64>,
    /// Distinct pictures, by their bytes.
    pub sources: u64,
    /// Distinct objects that rows name, and their bytes.
    pub variants: u64,
    pub bytes: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    pub pipes: BTreeMap<String, ImageStats>,
    pub all: ImageStats,
    /// What lies in the store under `images/`.
    pub objects: Option<Marked>,
}

/// One variant of one row: hash of the key, of the source, pipe, bytes.
type Variant = (u64, u64, u32, u32);

const VARIANT_BYTES: usize = 24;

impl Upkeep {
    pub async fn stats(
        &self,
        options: &StatsOptions,
        watch: &Watch<'_>,
    ) -> Result<Stats, UpkeepError> {
        let snapshot = self.catalogue.snapshot().await?;
        let mut stats = Stats::default();
        let names: Vec<String> = snapshot
            .pipes()
            .map(|(pipe, _)| pipe.to_owned())
            .filter(|pipe| {
                let wanted = options.pipe.as_ref();
                wanted.is_none_or(|wanted| wanted.as_str() == pipe)
            })
            .collect();
        let scratch = self.scratch.as_path();
        let spill = Spill::<VARIANT_BYTES>::new(scratch);
        let mut spill = spill.map_err(UpkeepError::scratch("keep what is stored", scratch))?;
        for (number, name) in names.iter().enumerate() {
            let number = u32::try_from(number).expect("there are far fewer pipes");
            let of_pipe = self
                .count_rows(&snapshot, name, number, &mut spill, watch)
                .await?;
            for (status, rows) in &of_pipe.statuses {
                *stats.all.statuses.entry(status).or_default() += rows;
            }
            for (status, rows) in &of_pipe.damaged_refused {
                *stats.all.damaged_refused.entry(status).or_default() += rows;
            }
            stats.all.damaged_stored += of_pipe.damaged_stored;
            stats.all.rows += of_pipe.rows;
            stats.pipes.insert(name.clone(), of_pipe);
        }
        let spilled = spill
            .finish()
            .map_err(UpkeepError::scratch("keep what is stored", scratch))?;
        let path = scratch.to_owned();
        let counted = tokio::task::spawn_blocking(move || {
            count_variants(&spilled, &names, &mut stats, &path)?;
            Ok::<Stats, UpkeepError>(stats)
        });
        let mut stats = match counted.await {
            Ok(counted) => counted?,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        if options.objects {
            stats.objects = Some(self.count_objects(watch).await?);
        }
        Ok(stats)
    }

    async fn count_rows(
        &self,
        snapshot: &Snapshot,
        name: &str,
        number: u32,
        spill: &mut Spill<VARIANT_BYTES>,
        watch: &Watch<'_>,
    ) -> Result<ImageStats, UpkeepError> {
        let mut stats = ImageStats::default();
        // A partition that another program named is none of ours.
        let Ok(pipe) = PipeId::parse(name) else {
            return Ok(stats);
        };
        let total = snapshot.live_rows(&pipe);
        loop {
            let rows = self
                .catalogue
                .stored_images(snapshot, &pipe, stats.rows, STORED_ROWS_MAX)
                .await?;
            if rows.is_empty() {
                return Ok(stats);
            }
            for row in &rows {
                let status = row.status.map_or(NONE, |status| status.as_str());
                *stats.statuses.entry(status).or_default() += 1;
                count_damaged(row, &mut stats);
                spill_variants(row, number, spill)
                    .map_err(UpkeepError::scratch("keep what is stored", &self.scratch))?;
            }
            stats.rows += rows.len() as u64;
            Upkeep::tell(watch, "products", stats.rows, Some(total));
        }
    }

    async fn count_objects(&self, watch: &Watch<'_>) -> Result<Marked, UpkeepError> {
        let mut sum = Marked::default();
        let mut listing = Listing::of(&self.ports, IMAGES);
        while let Some(page) = listing.next().await? {
            page.iter().for_each(|entry| add(&mut sum, entry));
            Upkeep::tell(watch, "objects", sum.objects, None);
        }
        Ok(sum)
    }
}

fn count_damaged(row: &StoredRow, stats: &mut ImageStats) {
    let (Some(_), Some(status)) = (row.damaged, row.status) else {
        return;
    };
    match status {
        ImageStatus::Stored => stats.damaged_stored += 1,
        ImageStatus::Truncated | ImageStatus::Corrupt => {
            *stats.damaged_refused.entry(status.as_str()).or_default() += 1;
        }
        // Another failure came since.
        _ => {}
    }
}

fn spill_variants(
    row: &StoredRow,
    pipe: u32,
    spill: &mut Spill<VARIANT_BYTES>,
) -> std::io::Result<()> {
    for variant in &row.variants {
        let Some(part) = part_of(&variant.key) else {
            continue;
        };
        let source = variant.key.split('/').nth(2).unwrap_or_default();
        let bytes = u32::try_from(variant.bytes).unwrap_or(u32::MAX);
        let mut record = [0; VARIANT_BYTES];
        record[..8].copy_from_slice(&hash(&variant.key).to_be_bytes());
        record[8..16].copy_from_slice(&hash(source).to_be_bytes());
        record[16..20].copy_from_slice(&pipe.to_be_bytes());
        record[20..].copy_from_slice(&bytes.to_be_bytes());
        spill.push(part, &record)?;
    }
    Ok(())
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

fn variant_of(record: &[u8; VARIANT_BYTES]) -> Variant {
    let long = |at: usize| u64::from_be_bytes(std::array::from_fn(|n| record[at + n]));
    let short = |at: usize| u32::from_be_bytes(std::array::from_fn(|n| record[at + n]));
    (long(0), long(8), short(16), short(20))
}

/// All variants of a source are in one part, by the beginning of their keys.
fn count_variants(
    spilled: &Spilled<VARIANT_BYTES>,
    names: &[String],
    stats: &mut Stats,
    scratch: &Path,
) -> Result<(), UpkeepError> {
    for part in 0..PARTS {
        let part = u8::try_from(part).expect("as many parts as bytes");
        let mut distinct = Distinct::<Variant>::default();
        spilled
            .read(part, |record| distinct.push(variant_of(record)))
            .map_err(UpkeepError::scratch("read what is stored", scratch))?;
        let variants = distinct.finish();
        let mut sources: Distinct<(u32, u64)> = Distinct::default();
        let mut known = None;
        for (key, source, pipe, bytes) in variants {
            let name = &names[usize::try_from(pipe).unwrap_or(usize::MAX)];
            let of_pipe = stats.pipes.entry(name.clone()).or_default();
            // In order of key and then of pipe, so that each comes once.
            of_pipe.variants += 1;
            of_pipe.bytes += u64::from(bytes);
            if known != Some(key) {
                known = Some(key);
                stats.all.variants += 1;
                stats.all.bytes += u64::from(bytes);
            }
            sources.push((pipe, source));
        }
        let mut all = Distinct::<u64>::default();
        for (pipe, source) in sources.finish() {
            let name = &names[usize::try_from(pipe).unwrap_or(usize::MAX)];
            stats.pipes.entry(name.clone()).or_default().sources += 1;
            all.push(source);
        }
        stats.all.sources += all.finish().len() as u64;
    }
    Ok(())
}

//! Whether stored images are there and are what the catalogue says: each object
//! of a row is read, and its size and SHA-256 compared. All rows, or a sample
//! that is spread evenly and begins elsewhere every day.
//!
//! To repair, an object of wrong bytes is removed first, since a key that is
//! taken is not written; then the products are listed for a refetch, which
//! fetches their pictures as if nothing were known of them: what the row knows
//! would end in "unchanged". A picture that the partner does not have any more
//! cannot be repaired: its row keeps naming what is missing, with the status of
//! the new failure.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;
use sha2::{Digest, Sha256};
use trawler_catalogue::{STORED_ROWS_MAX, Snapshot, StoredRow};
use trawler_core::PipeId;
use trawler_core::image::StoredVariant;
use trawler_core::ports::{BlobError, BlobMeta};
use trawler_core::refetch::{LISTED_MAX, Wanted};
use trawler_fleet::retry;

use crate::{Upkeep, UpkeepError, Watch};

/// Objects that are read at once; each is a variant, tens of kilobytes.
const AT_ONCE: usize = 16;

/// Rows that are looked at for one with a picture, from each place of a sample.
const SAMPLE_ROWS: usize = 16;

/// Objects found sound that are remembered, since products share pictures; then
/// they are forgotten and read again.
const SOUND_MAX: usize = 1_000_000;

/// Findings that are told one by one; all are counted.
const FINDINGS_MAX: usize = 1_000;

/// Products of all pipes that are listed by one call, some 100 bytes each.
const REPAIRS_MAX: usize = 200_000;

const LIST: BlobMeta = BlobMeta {
    content_type: "application/json",
    immutable: true,
};

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// So many rows.
    Sample(u64),
    All,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyOptions {
    pub pipe: Option<PipeId>,
    pub extent: Extent,
    /// Pipes whose products are listed to be repaired: those that can be
    /// fetched from. Nothing is repaired when empty.
    pub repair: BTreeSet<PipeId>,
}

/// What is wrong with a stored object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    Missing,
    /// Other bytes than the catalogue says.
    Damaged,
}

impl What {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Damaged => "damaged",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub pipe: PipeId,
    pub product: String,
    pub key: String,
    pub what: What,
}

/// Products of a pipe that are listed for a refetch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repair {
    pub pipe: PipeId,
    pub products: u64,
    /// Where the list is.
    pub list: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Rows that name stored images.
    pub rows: u64,
    pub objects: u64,
    pub bytes: u64,
    pub missing: u64,
    pub damaged: u64,
    /// The first of them.
    pub findings: Vec<Finding>,
    pub repairs: Vec<Repair>,
    /// Findings that are not repaired: nobody asked for it, the pipe cannot be
    /// fetched from, or they are beyond what one call repairs.
    pub left: u64,
}

impl Verified {
    pub fn is_sound(&self) -> bool {
        self.missing + self.damaged == 0
    }
}

/// One pass.
struct Pass<'a> {
    upkeep: &'a Upkeep,
    options: &'a VerifyOptions,
    report: Verified,
    sound: HashSet<u64>,
    products: BTreeMap<PipeId, BTreeSet<String>>,
    listed: usize,
    damaged: BTreeSet<String>,
}

impl Upkeep {
    pub async fn verify(
        &self,
        options: &VerifyOptions,
        watch: &Watch<'_>,
    ) -> Result<Verified, UpkeepError> {
        let snapshot = self.catalogue.snapshot().await?;
        let pipes: Vec<(PipeId, u64)> = snapshot
            .pipes()
            .filter_map(|(pipe, stats)| Some((PipeId::parse(pipe).ok()?, stats.rows)))
            .filter(|(pipe, _)| options.pipe.as_ref().is_none_or(|wanted| wanted == pipe))
            .collect();
        let mut pass = Pass {
            upkeep: self,
            options,
            report: Verified::default(),
            sound: HashSet::new(),
            products: BTreeMap::new(),
            listed: 0,
            damaged: BTreeSet::new(),
        };
        match options.extent {
            Extent::All => pass.all(&snapshot, &pipes, watch).await?,
            Extent::Sample(rows) => pass.sample(&snapshot, &pipes, rows, watch).await?,
        }
        pass.repair().await?;
        Ok(pass.report)
    }

    async fn read_object(
        &self,
        variant: StoredVariant,
    ) -> Result<(StoredVariant, Option<What>), UpkeepError> {
        let got = retry(&*self.ports.clock, BlobError::is_transient, || {
            self.ports.blobs.get(&variant.key, None)
        });
        let body = match got.await {
            Ok(body) => body,
            Err(BlobError::NotFound { .. }) => return Ok((variant, Some(What::Missing))),
            Err(error) => return Err(error.into()),
        };
        let is_same = is_same(body, &variant).await;
        Ok((variant, (!is_same).then_some(What::Damaged)))
    }
}

async fn is_same(body: Bytes, variant: &StoredVariant) -> bool {
    if body.len() as u64 != variant.bytes {
        return false;
    }
    let hashed = tokio::task::spawn_blocking(move || hex::encode(Sha256::digest(&body)));
    match hashed.await {
        Ok(found) => found == variant.sha256,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Places of a sample among so many rows: evenly, the first one moving on by a
/// row a day.
fn places(rows: u64, wanted: u64, day: u64) -> impl Iterator<Item = u64> {
    let wanted = wanted.clamp(1, rows.max(1));
    let step = (rows / wanted).max(1);
    let first = day % step;
    // At most one more than wanted where the step is rounded down.
    (0..wanted)
        .map(move |n| first + n * step)
        .take_while(move |at| *at < rows)
}

impl Pass<'_> {
    async fn all(
        &mut self,
        snapshot: &Snapshot,
        pipes: &[(PipeId, u64)],
        watch: &Watch<'_>,
    ) -> Result<(), UpkeepError> {
        let total: u64 = pipes.iter().map(|(_, rows)| rows).sum();
        let mut done = 0;
        for (pipe, _) in pipes {
            let mut at = 0;
            loop {
                let rows = self.rows(snapshot, pipe, at, STORED_ROWS_MAX).await?;
                if rows.is_empty() {
                    break;
                }
                at += rows.len() as u64;
                for rows in rows.chunks(AT_ONCE) {
                    self.check(pipe, rows).await?;
                    done += rows.len() as u64;
                    Upkeep::tell(watch, "products", done, Some(total));
                }
            }
        }
        Ok(())
    }

    async fn sample(
        &mut self,
        snapshot: &Snapshot,
        pipes: &[(PipeId, u64)],
        wanted: u64,
        watch: &Watch<'_>,
    ) -> Result<(), UpkeepError> {
        let total: u64 = pipes.iter().map(|(_, rows)| rows).sum();
        let seconds = self.upkeep.ports.clock.now().timestamp();
        let day = u64::try_from(seconds / (24 * 60 * 60)).unwrap_or_default();
        let (mut pipes, mut start) = (pipes.iter(), 0);
        let mut pipe = pipes.next();
        for place in places(total, wanted, day) {
            while let Some((_, rows)) = pipe.filter(|(_, rows)| place >= start + rows) {
                start += rows;
                pipe = pipes.next();
            }
            let Some((id, _)) = pipe else {
                return Ok(());
            };
            let rows = self.rows(snapshot, id, place - start, SAMPLE_ROWS).await?;
            if let Some(row) = rows.iter().find(|row| !row.variants.is_empty()) {
                self.check(id, std::slice::from_ref(row)).await?;
            }
            Upkeep::tell(watch, "products", place, Some(total));
        }
        Ok(())
    }

    async fn rows(
        &self,
        snapshot: &Snapshot,
        pipe: &PipeId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<StoredRow>, UpkeepError> {
        let catalogue = &self.upkeep.catalogue;
        Ok(catalogue.stored_images(snapshot, pipe, from, limit).await?)
    }

    async fn check(&mut self, pipe: &PipeId, rows: &[StoredRow]) -> Result<(), UpkeepError> {
        let mut wanted: BTreeMap<&str, (&StoredVariant, Vec<&str>)> = BTreeMap::new();
        for row in rows {
            self.report.rows += u64::from(!row.variants.is_empty());
            for variant in &row.variants {
                if !self.sound.contains(&hash(variant)) {
                    let (_, products) = wanted
                        .entry(variant.key.as_str())
                        .or_insert((variant, Vec::new()));
                    products.push(row.id.as_str());
                }
            }
        }
        let upkeep = self.upkeep;
        let variants: Vec<StoredVariant> = wanted
            .values()
            .map(|(variant, _)| (*variant).clone())
            .collect();
        let mut looks = stream::iter(variants)
            .map(|variant| upkeep.read_object(variant))
            .buffer_unordered(AT_ONCE);
        while let Some((variant, what)) = looks.try_next().await? {
            let Some(what) = what else {
                self.note_sound(&variant);
                continue;
            };
            match what {
                What::Missing => self.report.missing += 1,
                What::Damaged => self.report.damaged += 1,
            }
            let products = wanted.get(variant.key.as_str());
            for product in products.iter().flat_map(|(_, products)| products) {
                self.note(pipe, product, &variant.key, what);
            }
        }
        Ok(())
    }

    fn note_sound(&mut self, variant: &StoredVariant) {
        self.report.objects += 1;
        self.report.bytes += variant.bytes;
        if self.sound.len() == SOUND_MAX {
            self.sound.clear();
        }
        self.sound.insert(hash(variant));
    }

    fn note(&mut self, pipe: &PipeId, product: &str, key: &str, what: What) {
        if self.report.findings.len() < FINDINGS_MAX {
            self.report.findings.push(Finding {
                pipe: pipe.clone(),
                product: product.to_owned(),
                key: key.to_owned(),
                what,
            });
        }
        if !self.options.repair.contains(pipe) {
            self.report.left += 1;
            return;
        }
        let of_pipe = self.products.entry(pipe.clone()).or_default();
        if of_pipe.contains(product) || of_pipe.len() < LISTED_MAX && self.listed < REPAIRS_MAX {
            self.listed += usize::from(of_pipe.insert(product.to_owned()));
            if what == What::Damaged {
                self.damaged.insert(key.to_owned());
            }
        } else {
            self.report.left += 1;
        }
    }

    /// The objects of wrong bytes go, then the lists are written: whoever dies
    /// in between leaves missing objects, which the next call finds.
    async fn repair(&mut self) -> Result<(), UpkeepError> {
        let ports = &self.upkeep.ports;
        let damaged: Vec<String> = std::mem::take(&mut self.damaged).into_iter().collect();
        for keys in damaged.chunks(trawler_fleet::manifests::DELETE_MAX) {
            trawler_fleet::manifests::delete(ports, keys).await?;
        }
        for (pipe, products) in std::mem::take(&mut self.products) {
            let list = Wanted::list_key(&pipe, ports.clock.now());
            let count = products.len() as u64;
            let body = serde_json::to_vec(&products).expect("texts can be written as JSON");
            let body = Bytes::from(body);
            retry(&*ports.clock, BlobError::is_transient, || {
                ports.blobs.put(&list, body.clone(), LIST)
            })
            .await?;
            self.report.repairs.push(Repair {
                pipe,
                products: count,
                list,
            });
        }
        Ok(())
    }
}

/// Of the key and what is expected under it.
fn hash(variant: &StoredVariant) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&variant.key, &variant.sha256, variant.bytes).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_spread_evenly_and_moves_on_every_day() {
        let check = |rows, wanted, day, expected: &[u64]| {
            let found: Vec<u64> = places(rows, wanted, day).collect();
            assert_eq!(found, expected, "{rows} {wanted} {day}");
        };
        check(10, 3, 0, &[0, 3, 6]);
        check(10, 3, 1, &[1, 4, 7]);
        check(10, 3, 3, &[0, 3, 6]);
        check(3, 10, 5, &[0, 1, 2]);
        check(0, 10, 5, &[]);
        check(5, 0, 2, &[2]);
        let met: BTreeSet<u64> = (0..10).flat_map(|day| places(100, 10, day)).collect();
        assert_eq!(met.len(), 100, "after ten days every row had its turn");
    }
}

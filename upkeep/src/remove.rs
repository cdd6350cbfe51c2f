//! The removal of stored images that nothing refers to: counted, marked, and
//! removed a day after they were marked at the earliest. Why a worker that finds
//! such an object at any moment loses nothing: [`trawler_core::removal`].
//!
//! An object is unused when it is older than the grace period, and neither a
//! version of the catalogue within that period, nor a result, nor a checkpoint
//! of an image job names it. The grace period is what consumers may lag behind:
//! images that the change feed named before it are not promised to be there.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Duration, Utc};
use serde::Serialize;
use trawler_core::ports::{BlobEntry, BlobError, BlobMeta};
use trawler_core::removal::{
    IMAGES, Marked, REST, Removal, SHARD_CANDIDATES_MAX, SWEEP_SHARD, Sweeping, shards,
};
use trawler_fleet::{Created, Documents, retry};

use crate::listing::Listing;
use crate::references::References;
use crate::{Upkeep, UpkeepError, Watch};

/// Lists that a gc which died left behind go after this.
const LEFT_BEHIND: Duration = Duration::days(2);

/// Put and removed before anything is read, so that who may not remove anything
/// learns it at once.
const TRIAL: &str = "removals/trial";

const LIST: BlobMeta = BlobMeta {
    content_type: "text/plain",
    immutable: true,
};

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoveOptions {
    /// At least a day, by the caller's bound.
    pub grace: Duration,
    /// Whether anything is marked and removed; else it is only counted.
    pub remove: bool,
}

/// What was found and done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Whether the store was gone through; not while a removal rests.
    pub looked: bool,
    /// All stored objects that were seen.
    pub stored: Marked,
    /// Of them what is used, or may be used by a reader within the grace period.
    pub used: Marked,
    /// Unused and younger than the grace period.
    pub young: Marked,
    /// Unused and older.
    pub unused: Marked,
    /// Removed by this call.
    pub removed: Marked,
    /// Marked before and used again since, or already gone.
    pub spared: u64,
    /// Marked, and removed by a call after its rest.
    pub resting: Option<Resting>,
}

/// A removal that rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Resting {
    pub marked: Marked,
    pub until: DateTime<Utc>,
}

impl From<&Removal> for Resting {
    fn from(removal: &Removal) -> Self {
        Self {
            marked: removal.total(),
            until: removal.marked + REST,
        }
    }
}

pub(crate) fn add(sum: &mut Marked, entry: &BlobEntry) {
    sum.objects += 1;
    sum.bytes += entry.bytes;
}

impl Upkeep {
    /// Counts what is unused; with `remove` it removes what an earlier call
    /// marked, and marks the rest. Killed at any moment, the next call goes on.
    pub async fn remove_unused(
        &self,
        options: RemoveOptions,
        watch: &Watch<'_>,
    ) -> Result<Removed, UpkeepError> {
        let documents = self.ports.documents();
        let mut report = Removed::default();
        let known: Option<Removal> = documents.get(Removal::KEY).await?;
        report.resting = known.as_ref().map(Resting::from);
        let now = self.ports.clock.now();
        if options.remove {
            self.clear_left_behind(known.as_ref(), now).await?;
            if known.as_ref().is_some_and(|removal| !removal.rested(now)) {
                return Ok(report);
            }
            let sweeping = known.as_ref().and_then(|known| known.sweeping.as_ref());
            if let Some(other) = sweeping.filter(|other| other.until > now) {
                let until = other.until;
                return Err(UpkeepError::Busy { until });
            }
            self.try_rights().await?;
        }
        let references = References::collect(self, now - options.grace, watch).await?;
        let references = Arc::new(references);
        report.looked = true;
        if let Some(removal) = known.filter(|_| options.remove) {
            self.sweep(&documents, &removal, &references, &mut report, watch)
                .await?;
            report.resting = None;
        }
        let number = now.timestamp_millis();
        let before = now - options.grace;
        let mut waiting = BTreeMap::new();
        for (at, shard) in shards().enumerate() {
            Upkeep::tell(watch, "shards of the store", at as u64, Some(256));
            let marked = self
                .look_at(&shard, &references, before, &mut report)
                .await?;
            if options.remove && !marked.keys.is_empty() {
                self.put_list(number, &shard, &marked.keys).await?;
                waiting.insert(shard, marked.sum);
            }
        }
        if !waiting.is_empty() {
            let removal = Removal {
                number,
                marked: self.ports.clock.now(),
                waiting,
                sweeping: None,
            };
            if documents.create(Removal::KEY, &removal).await? == Created::Existed {
                self.remove_blobs(&Removal::blobs(number)).await?;
                return Err(UpkeepError::Overtaken);
            }
            report.resting = Some(Resting::from(&removal));
        }
        Ok(report)
    }

    /// Whether this process may write lists and remove objects at all: to know
    /// what is unused takes all results and the whole catalogue.
    async fn try_rights(&self) -> Result<(), UpkeepError> {
        retry(&*self.ports.clock, BlobError::is_transient, || {
            self.ports.blobs.put(TRIAL, Bytes::new(), LIST)
        })
        .await?;
        let trial = [TRIAL.to_owned()];
        Ok(trawler_fleet::manifests::delete(&self.ports, &trial).await?)
    }

    async fn look_at(
        &self,
        shard: &str,
        references: &Arc<References>,
        before: DateTime<Utc>,
        report: &mut Removed,
    ) -> Result<Candidates, UpkeepError> {
        let used = references.shard(shard).await?;
        let mut found = Candidates::default();
        let mut listing = Listing::of(&self.ports, format!("{IMAGES}{shard}/"));
        while let Some(page) = listing.next().await? {
            for entry in page {
                add(&mut report.stored, &entry);
                if used.has(&entry.key) {
                    add(&mut report.used, &entry);
                } else if entry.modified > before {
                    add(&mut report.young, &entry);
                } else {
                    add(&mut report.unused, &entry);
                    // The rest is left for the next removal.
                    if found.keys.len() < SHARD_CANDIDATES_MAX {
                        add(&mut found.sum, &entry);
                        found.keys.push(entry.key);
                    }
                }
            }
        }
        Ok(found)
    }

    async fn put_list(&self, number: i64, shard: &str, keys: &[String]) -> Result<(), UpkeepError> {
        let mut lines = String::new();
        for key in keys {
            writeln!(lines, "{key}").expect("a String takes every line");
        }
        let (key, body) = (Removal::list_key(number, shard), Bytes::from(lines));
        retry(&*self.ports.clock, BlobError::is_transient, || {
            self.ports.blobs.put(&key, body.clone(), LIST)
        })
        .await?;
        Ok(())
    }

    /// Lists of a removal whose document was never created, or is gone.
    async fn clear_left_behind(
        &self,
        known: Option<&Removal>,
        now: DateTime<Utc>,
    ) -> Result<(), UpkeepError> {
        let before = (now - LEFT_BEHIND).timestamp_millis();
        let mut listing = Listing::of(&self.ports, Removal::BLOBS);
        while let Some(page) = listing.next().await? {
            let number = |key: &str| {
                let rest = &key[Removal::BLOBS.len()..];
                rest.split('/').next()?.parse::<i64>().ok()
            };
            let mut keys: Vec<String> = page.into_iter().map(|entry| entry.key).collect();
            keys.retain(|key| {
                let number = number(key);
                let is_known = known.is_some_and(|removal| Some(removal.number) == number);
                !is_known && number.is_some_and(|number| number < before)
            });
            if !keys.is_empty() {
                trawler_fleet::manifests::delete(&self.ports, &keys).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn remove_blobs(&self, prefix: &str) -> Result<(), UpkeepError> {
        let mut listing = Listing::of(&self.ports, prefix);
        while let Some(page) = listing.next().await? {
            let keys: Vec<String> = page.into_iter().map(|entry| entry.key).collect();
            trawler_fleet::manifests::delete(&self.ports, &keys).await?;
        }
        Ok(())
    }

    async fn sweep(
        &self,
        documents: &Documents,
        removal: &Removal,
        references: &Arc<References>,
        report: &mut Removed,
        watch: &Watch<'_>,
    ) -> Result<(), UpkeepError> {
        let total = removal.waiting.len() as u64;
        for (at, shard) in removal.waiting.keys().enumerate() {
            Upkeep::tell(watch, "shards swept", at as u64, Some(total));
            let used = references.shard(shard).await?;
            let mine = Sweeping {
                shard: shard.clone(),
                until: self.ports.clock.now() + SWEEP_SHARD,
                by: references.name(),
            };
            self.sweep_shard(documents, removal, mine, &used, report)
                .await?;
        }
        // Workers that still know of it find no list and look anew.
        documents.delete(Removal::KEY).await?;
        self.remove_blobs(&Removal::blobs(removal.number)).await
    }
}

/// What may go of one shard.
#[derive(Default)]
struct Candidates {
    keys: Vec<String>,
    sum: Marked,
}

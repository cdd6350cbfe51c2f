//! Every key of a stored image that something refers to.
//!
//! A reference goes one way: an image job's checkpoint, its result, the
//! catalogue. They are looked through in this order, so that one which moves on
//! meanwhile is met at the next place. Of the catalogue all versions since an
//! instant count: whoever follows the change feed, or reads a version of that
//! time, finds the images that it names.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use futures::stream::{self, StreamExt, TryStreamExt};
use trawler_core::image::ImageOutcome;
use trawler_core::image_ended::EndedImages;
use trawler_core::ports::BlobError;
use trawler_core::{JobId, QueueName};
use trawler_fleet::DocumentError;
use trawler_fleet::manifests::{self, ManifestError};

use crate::listing::Listing;
use crate::spill::{Distinct, Spill, Spilled, part_of};
use crate::{Upkeep, UpkeepError, Watch};

/// Documents, results and files that are read at once.
const AT_ONCE: usize = 8;

type Shared = Arc<Mutex<Spill<8>>>;

/// Hashes of all keys that are referred to, on scratch disk.
pub(crate) struct References(Spilled<8>);

/// Those of one shard, in order.
pub(crate) struct ShardReferences(Vec<u64>);

impl ShardReferences {
    /// Two keys of one hash only mean that an object is kept which could have
    /// gone.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.binary_search(&hash(key)).is_ok()
    }
}

impl References {
    /// Of this piece of work and no other.
    pub(crate) fn name(&self) -> String {
        format!("{}-{}", std::process::id(), self.0.name())
    }

    pub(crate) async fn collect(
        upkeep: &Upkeep,
        since: DateTime<Utc>,
        watch: &Watch<'_>,
    ) -> Result<Self, UpkeepError> {
        let scratch = &upkeep.scratch;
        let failed = |source| UpkeepError::scratch("keep the keys of images", scratch)(source);
        let spill: Shared = Arc::new(Mutex::new(Spill::new(scratch).map_err(failed)?));
        of_checkpoints(upkeep, &spill, watch).await?;
        of_results(upkeep, &spill, watch).await?;
        of_catalogue(upkeep, &spill, since, watch).await?;
        let spill = Arc::into_inner(spill).expect("all who wrote to it have returned");
        let spill = spill.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Self(spill.finish().map_err(failed)?))
    }

    /// Off the reactor: it reads and sorts.
    pub(crate) async fn shard(
        self: &Arc<Self>,
        shard: &str,
    ) -> Result<ShardReferences, UpkeepError> {
        let part = u8::from_str_radix(shard, 16).expect("shards are two hex digits");
        let spilled = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || {
            let mut distinct = Distinct::default();
            let read = spilled
                .0
                .read(part, |record| distinct.push(u64::from_be_bytes(*record)));
            read.map(|()| distinct.finish())
        });
        let hashes = match read.await {
            Ok(read) => read,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let path = std::path::Path::new(shard);
        let hashes = hashes.map_err(UpkeepError::scratch("read the keys of images", path))?;
        Ok(ShardReferences(hashes))
    }
}

fn hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

fn keep(spill: &Shared, key: &str) -> io::Result<()> {
    // What is no key of an image is not listed as one either.
    let Some(part) = part_of(key) else {
        return Ok(());
    };
    let mut spill = spill.lock().unwrap_or_else(PoisonError::into_inner);
    spill.push(part, &hash(key).to_be_bytes())
}

fn keep_outcomes<'a>(
    upkeep: &Upkeep,
    spill: &Shared,
    outcomes: impl Iterator<Item = &'a ImageOutcome>,
) -> Result<(), UpkeepError> {
    let mut keys = outcomes.flat_map(|outcome| &outcome.variants);
    keys.try_for_each(|variant| keep(spill, &variant.key))
        .map_err(UpkeepError::scratch(
            "keep the keys of images",
            &upkeep.scratch,
        ))
}

/// What image jobs have stored and will name when they end, however long they
/// wait until then.
async fn of_checkpoints(
    upkeep: &Upkeep,
    spill: &Shared,
    watch: &Watch<'_>,
) -> Result<(), UpkeepError> {
    let (documents, jobs) = (upkeep.ports.documents(), upkeep.ports.jobs());
    let prefix = format!("checkpoints/{}/", QueueName::Image);
    let keys = documents.keys(&prefix).await?;
    let total = Some(keys.len() as u64);
    let ids: Vec<JobId> = keys
        .iter()
        .filter_map(|key| JobId::parse(&key[prefix.len()..]).ok())
        .collect();
    let jobs = &jobs;
    let mut reads = stream::iter(ids)
        .map(|job| async move {
            let found = jobs.checkpoint::<EndedImages>(QueueName::Image, &job).await;
            match found {
                Ok(ended) => Ok(ended),
                // Workers take it for none as well, and fetch again.
                Err(DocumentError::Unreadable { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        })
        .buffer_unordered(AT_ONCE);
    let mut done = 0;
    while let Some(ended) = reads.try_next().await? {
        done += 1;
        Upkeep::tell(watch, "checkpoints", done, total);
        let ended = ended.unwrap_or_default();
        keep_outcomes(upkeep, spill, ended.outcomes.values())?;
    }
    Ok(())
}

async fn of_results(upkeep: &Upkeep, spill: &Shared, watch: &Watch<'_>) -> Result<(), UpkeepError> {
    let ports = &upkeep.ports;
    let mut listing = Listing::of(ports, "results/");
    let mut done = 0;
    while let Some(page) = listing.next().await? {
        let mut reads = stream::iter(page)
            .map(|entry| async move {
                match manifests::read_result(ports, &entry.key).await {
                    Ok(result) => Ok(result.outcomes),
                    // It is in the catalogue since, which is looked at next.
                    Err(ManifestError::Blob(BlobError::NotFound { .. })) => Ok(Vec::new()),
                    Err(error) => Err(error),
                }
            })
            .buffer_unordered(AT_ONCE);
        while let Some(outcomes) = reads.try_next().await? {
            done += 1;
            Upkeep::tell(watch, "results", done, None);
            keep_outcomes(upkeep, spill, outcomes.iter())?;
        }
    }
    Ok(())
}

async fn of_catalogue(
    upkeep: &Upkeep,
    spill: &Shared,
    since: DateTime<Utc>,
    watch: &Watch<'_>,
) -> Result<(), UpkeepError> {
    let files = &upkeep.catalogue.key_files(since).await?;
    let total = files.len() as u64;
    let mut reads = stream::iter(0..files.len())
        .map(|at| {
            let spill = Arc::clone(spill);
            upkeep
                .catalogue
                .variant_keys(files, at, move |key| keep(&spill, key))
        })
        .buffer_unordered(AT_ONCE);
    let mut done = 0;
    while let Some(()) = reads.try_next().await? {
        done += 1;
        Upkeep::tell(watch, "catalogue files", done, Some(total));
    }
    Ok(())
}

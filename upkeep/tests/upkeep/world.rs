//! Ports whose objects have an age and whose calls take turns, beside a table.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use sha2::{Digest, Sha256};
use trawler_core::PipeId;
use trawler_core::image::{ImageOutcome, ImageStatus, KnownImage, SourceFacts, StoredVariant};
use trawler_core::ports::{
    BlobEntry, BlobError, BlobHead, BlobMeta, Blobs, Clock, Put, State, StateEntry, StateError,
    Version, Versioned,
};
use trawler_fleet::Ports;
use trawler_upkeep::{RemoveOptions, Removed, Step, Upkeep, UpkeepError};

use crate::support;
use crate::testing::{Product, Table, pipe};

pub(crate) const META: BlobMeta = BlobMeta {
    content_type: "image/jpeg",
    immutable: true,
};

/// The table's first day.
pub(crate) const START: &str = "2026-11-21T00:00:00Z";

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Lets others go first, as the seed says; not at all without one.
#[derive(Default)]
pub(crate) struct Turns(Mutex<Option<Seeded>>);

struct Seeded {
    rng: SmallRng,
    calls: u64,
}

impl Turns {
    pub(crate) fn seed(&self, seed: u64) {
        let rng = SmallRng::seed_from_u64(seed);
        *self.0.lock().unwrap() = Some(Seeded { rng, calls: 0 });
    }

    /// Waits for that many calls since the seed. Calls are counted, not time:
    /// what others read from a disk between them takes as long as it takes.
    pub(crate) async fn called(&self, count: u64) {
        let calls = || self.0.lock().unwrap().as_ref().map_or(0, |it| it.calls);
        while calls() < count {
            tokio::task::yield_now().await;
        }
    }

    async fn take(&self) {
        let count = {
            let mut turns = self.0.lock().unwrap();
            turns.as_mut().map_or(0, |it| {
                it.calls += 1;
                it.rng.random_range(0..4)
            })
        };
        for _ in 0..count {
            tokio::task::yield_now().await;
        }
    }
}

/// Objects with the age at which they were put; those put by `poke` are old.
struct Dated {
    inner: Arc<support::MemBlobs>,
    clock: Arc<support::TestClock>,
    times: Mutex<HashMap<String, DateTime<Utc>>>,
    turns: Arc<Turns>,
}

#[async_trait]
impl Blobs for Dated {
    async fn put(&self, key: &str, body: Bytes, meta: BlobMeta) -> Result<Put, BlobError> {
        self.turns.take().await;
        let put = self.inner.put(key, body, meta).await?;
        if put == Put::Created {
            let mut times = self.times.lock().unwrap();
            times.insert(key.to_owned(), self.clock.now());
        }
        Ok(put)
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, BlobError> {
        self.turns.take().await;
        self.inner.get(key, range).await
    }

    async fn head(&self, key: &str) -> Result<Option<BlobHead>, BlobError> {
        self.inner.head(key).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<BlobEntry>, BlobError> {
        self.turns.take().await;
        let mut page = self.inner.list(prefix, after, limit).await?;
        let times = self.times.lock().unwrap();
        for entry in &mut page {
            if let Some(put) = times.get(&entry.key) {
                entry.modified = *put;
            }
        }
        Ok(page)
    }

    async fn delete(&self, keys: &[String]) -> Result<(), BlobError> {
        self.turns.take().await;
        self.inner.delete(keys).await?;
        let mut times = self.times.lock().unwrap();
        for key in keys {
            times.remove(key);
        }
        Ok(())
    }
}

struct InTurns {
    inner: Arc<support::MemState>,
    turns: Arc<Turns>,
}

#[async_trait]
impl State for InTurns {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StateError> {
        self.turns.take().await;
        self.inner.get(key).await
    }

    async fn create(&self, key: &str, value: &[u8]) -> Result<Version, StateError> {
        self.turns.take().await;
        self.inner.create(key, value).await
    }

    async fn replace(
        &self,
        key: &str,
        value: &[u8],
        expected: &Version,
    ) -> Result<Version, StateError> {
        self.turns.take().await;
        self.inner.replace(key, value, expected).await
    }

    async fn delete(&self, key: &str, expected: &Version) -> Result<(), StateError> {
        self.turns.take().await;
        self.inner.delete(key, expected).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<StateEntry>, StateError> {
        self.inner.list(prefix, after, limit).await
    }
}

pub(crate) struct World {
    pub(crate) mem: support::World,
    pub(crate) ports: Ports,
    pub(crate) turns: Arc<Turns>,
    pub(crate) table: Arc<Table>,
    pub(crate) upkeep: Upkeep,
    pub(crate) shop: PipeId,
    _scratch: tempfile::TempDir,
}

pub(crate) fn silent(_: Step) {}

impl World {
    pub(crate) async fn new() -> Self {
        Self::beside(&Arc::new(Table::new().await)).await
    }

    /// With a table that others have as well.
    pub(crate) async fn beside(table: &Arc<Table>) -> Self {
        let mem = support::World::new(support::TestClock::frozen(START), Duration::from_secs(60));
        let turns = Arc::new(Turns::default());
        let ports = Ports {
            state: Arc::new(InTurns {
                inner: mem.state.clone(),
                turns: turns.clone(),
            }),
            blobs: Arc::new(Dated {
                inner: mem.blobs.clone(),
                clock: mem.clock.clone(),
                times: Mutex::default(),
                turns: turns.clone(),
            }),
            ..mem.ports.clone()
        };
        let scratch = tempfile::tempdir().unwrap();
        let upkeep = Upkeep {
            ports: ports.clone(),
            catalogue: Arc::new(table.reopened().await),
            scratch: scratch.path().to_owned(),
        };
        Self {
            mem,
            ports,
            turns,
            table: Arc::clone(table),
            upkeep,
            shop: pipe("shop"),
            _scratch: scratch,
        }
    }

    /// Time passes for all clocks.
    pub(crate) fn pass(&self, span: Duration) {
        self.mem.clock.advance(span);
        self.table.clock.advance(span);
    }

    pub(crate) fn stored(&self) -> Vec<String> {
        let mut keys = self.mem.blobs.keys();
        keys.retain(|key| key.starts_with("images/"));
        keys
    }

    /// An old object that nothing refers to yet.
    pub(crate) fn leave(&self, picture: u32) -> String {
        let key = key_of(picture);
        self.mem.blobs.poke(&key, &body_of(picture));
        key
    }

    /// A day's run in which each product shows a picture, and their fold.
    pub(crate) async fn sell(&self, day: i64, pictures: &[(u32, u32)]) {
        let products: Vec<Product> = pictures
            .iter()
            .map(|(product, picture)| {
                let url = url_of(*picture);
                Product::new(&format!("{product:05}"))
                    .title("x")
                    .image(&url)
            })
            .collect();
        self.table.full_run(&self.shop, day, &products).await;
        let outcomes: Vec<ImageOutcome> = pictures
            .iter()
            .map(|(product, picture)| outcome(&format!("{product:05}"), *picture))
            .collect();
        for (_, picture) in pictures {
            self.leave(*picture);
        }
        self.table.fold(&self.shop, day + 1, &outcomes).await;
    }

    pub(crate) async fn remove(&self, remove: bool) -> Result<Removed, UpkeepError> {
        let options = RemoveOptions {
            grace: chrono::Duration::days(7),
            remove,
        };
        self.upkeep.remove_unused(options, &silent).await
    }
}

pub(crate) fn url_of(picture: u32) -> String {
    format!("https://img.test/{picture}.jpg")
}

pub(crate) fn body_of(picture: u32) -> Vec<u8> {
    format!("picture {picture}").into_bytes()
}

pub(crate) fn key_of(picture: u32) -> String {
    let source = source_of(picture);
    format!("images/{}/{source}/thumb-00000001.jpg", &source[..2])
}

fn source_of(picture: u32) -> String {
    hex::encode(Sha256::digest(picture.to_be_bytes()))
}

pub(crate) fn outcome(product: &str, picture: u32) -> ImageOutcome {
    let (source, body) = (source_of(picture), body_of(picture));
    ImageOutcome {
        product_id: product.to_owned(),
        url: url_of(picture),
        status: ImageStatus::Stored,
        reason: String::new(),
        source: Some(SourceFacts {
            sha256: source.clone(),
            format: "jpeg".to_owned(),
            width: 10,
            height: 10,
            bytes: 100,
            ..SourceFacts::default()
        }),
        known: KnownImage {
            sha256: Some(source),
            recipe: Some("r1".to_owned()),
            etag: Some("\"e\"".to_owned()),
            ..KnownImage::default()
        },
        variants: vec![StoredVariant {
            name: "thumb".to_owned(),
            key: key_of(picture),
            width: 10,
            height: 10,
            bytes: body.len() as u64,
            sha256: hex::encode(Sha256::digest(&body)),
        }],
    }
}

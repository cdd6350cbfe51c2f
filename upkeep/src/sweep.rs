//! The sweep of one shard: announced, then done, within its time.

use std::collections::HashSet;

use chrono::Duration;
use trawler_core::ports::{BlobEntry, BlobError};
use trawler_core::removal::{IMAGES, Removal, SWEEP_MARGIN, Sweeping};
use trawler_fleet::{Documents, retry};

use crate::listing::{Listing, PAGE};
use crate::references::ShardReferences;
use crate::remove::{Removed, add};
use crate::{Upkeep, UpkeepError};

/// What was stored less than this before the mark was stored anew since: what
/// is marked was older than the grace period, which is a day at least.
const STORED_ANEW: Duration = Duration::hours(12);

impl Upkeep {
    pub(crate) async fn sweep_shard(
        &self,
        documents: &Documents,
        removal: &Removal,
        mine: Sweeping,
        used: &ShardReferences,
        report: &mut Removed,
    ) -> Result<(), UpkeepError> {
        let shard = mine.shard.as_str();
        if !self.announce(documents, removal, &mine).await? {
            return Ok(());
        };
        // From here on whoever wants an object of the shard waits, or put its
        // keep before: after the announcement, so that none is missed.
        let kept = self.kept(removal.number, shard).await?;
        let marked = self.marked(removal.number, shard).await?;
        let before = removal.marked - STORED_ANEW;
        let mut listing = Listing::of(&self.ports, format!("{IMAGES}{shard}/"));
        let mut going: Vec<BlobEntry> = Vec::new();
        let mut spared = marked.len() as u64;
        while let Some(page) = listing.next().await? {
            let goes = |entry: &BlobEntry| {
                marked.contains(&entry.key)
                    && !used.has(&entry.key)
                    && !kept.contains(&entry.key)
                    && entry.modified <= before
            };
            going.extend(page.into_iter().filter(goes));
        }
        for chunk in going.chunks(PAGE) {
            if self.ports.clock.now() >= mine.until - SWEEP_MARGIN {
                return Err(UpkeepError::TooSlow {
                    shard: shard.to_owned(),
                });
            }
            let keys: Vec<String> = chunk.iter().map(|entry| entry.key.clone()).collect();
            // Without further tries, which could last beyond the margin.
            self.ports.blobs.delete(&keys).await?;
            chunk
                .iter()
                .for_each(|entry| add(&mut report.removed, entry));
            spared -= keys.len() as u64;
        }
        report.spared += spared;
        documents
            .change(Removal::KEY, |stored: &mut Removal| {
                if stored.number == removal.number {
                    stored.waiting.remove(shard);
                    if stored.sweeping.as_ref() == Some(&mine) {
                        stored.sweeping = None;
                    }
                }
            })
            .await?;
        Ok(())
    }

    /// False when somebody else swept the shard.
    async fn announce(
        &self,
        documents: &Documents,
        removal: &Removal,
        mine: &Sweeping,
    ) -> Result<bool, UpkeepError> {
        let now = self.ports.clock.now();
        let stored = documents
            .change(Removal::KEY, |stored: &mut Removal| {
                let other = stored.sweeping.as_ref();
                let is_free = other.is_none_or(|other| other.until <= now);
                let waits = stored.waiting.contains_key(&mine.shard);
                if stored.number == removal.number && is_free && waits {
                    stored.sweeping = Some(mine.clone());
                }
            })
            .await?;
        let stored = stored.filter(|stored| stored.number == removal.number);
        match stored.and_then(|stored| stored.sweeping) {
            Some(sweeping) if sweeping == *mine => Ok(true),
            Some(Sweeping { until, .. }) if until > now => Err(UpkeepError::Busy { until }),
            Some(_) | None => Ok(false),
        }
    }

    /// Keys that workers keep.
    async fn kept(&self, number: i64, shard: &str) -> Result<HashSet<String>, UpkeepError> {
        let prefix = Removal::keeps(number);
        let mut listing = Listing::of(&self.ports, format!("{prefix}{IMAGES}{shard}/"));
        let mut kept = HashSet::new();
        while let Some(page) = listing.next().await? {
            let keys = page.into_iter();
            kept.extend(keys.map(|entry| entry.key[prefix.len()..].to_owned()));
        }
        Ok(kept)
    }

    async fn marked(&self, number: i64, shard: &str) -> Result<HashSet<String>, UpkeepError> {
        let key = Removal::list_key(number, shard);
        let got = retry(&*self.ports.clock, BlobError::is_transient, || {
            self.ports.blobs.get(&key, None)
        });
        let body = got.await?;
        let text = std::str::from_utf8(&body).map_err(|error| UpkeepError::DamagedList {
            key: key.clone(),
            document: Removal::KEY,
            reason: error.to_string(),
        })?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}

//! The removal of stored images that nothing refers to any more, in two steps
//! with a rest between them.
//!
//! Keys are named by content, so that a worker may at any moment find that the
//! very object which is about to be removed is the one that it was going to
//! store, and refer to it. What keeps such an object:
//!
//! 1. *Mark*: candidates (old, and referred to by nothing) are listed in blobs,
//!    then the document here is created. Nothing is removed for [`REST`].
//! 2. A worker looks at the document before it puts an object (a look may be
//!    [`LOOK_CACHE`] old). If it says that the key is marked, the worker puts a
//!    *keep* after its put, then looks anew: as long as the document still says
//!    that the key's shard waits, the keep counts. If the shard is being swept
//!    it waits for the end of that, and in every other case puts again.
//! 3. *Sweep*, shard by shard: the document says that the shard is being swept,
//!    then the keeps are listed, then what is marked, still referred to by
//!    nothing, not kept, and not stored anew is removed.
//!
//! Why no reference can be lost. A worker writes its keep, then reads whether
//! the shard waits; the sweep writes that the shard is swept, then reads the
//! keeps: one of the two sees the other. A worker that saw no mark looked at
//! most [`LOOK_CACHE`] after the document was created; what it put is referred to by a checkpoint or
//! a result at the end of its delivery, which the queue bounds at 12 hours
//! (`VISIBILITY_MAX`), and the sweep reads those after [`REST`], which is twice
//! that. What is left is a process that stands still between two instructions
//! for longer than these times and then goes on.
//!
//! Tests: `an_object_that_a_worker_finds_while_it_is_removed_survives`,
//! `every_order_of_worker_and_sweep_keeps_what_is_referred_to`.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

/// Hours between mark and sweep: twice the 12 hours that one delivery lasts at
/// most.
const REST_HOURS: i64 = 24;

/// Between mark and sweep.
pub const REST: Duration = Duration::hours(REST_HOURS);

/// How old a worker's look at the document may be.
pub const LOOK_CACHE: std::time::Duration = std::time::Duration::from_secs(60);

/// The time that one shard's sweep gives itself; a sweep that died holds
/// workers up for no longer.
pub const SWEEP_SHARD: Duration = Duration::minutes(10);

/// The sweep removes nothing in the last part of its time, so that a request
/// which is under way when it stops has ended by then.
pub const SWEEP_MARGIN: Duration = Duration::minutes(5);

/// Marked objects of one shard; more are left for the next removal. A worker
/// holds 8 bytes for each, and lists have some 100 bytes for each.
pub const SHARD_CANDIDATES_MAX: usize = 20_000;

/// The document at `upkeep/images-removal`, there while a removal is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// Milliseconds since 1970 at which it began; names its blobs.
    pub number: i64,
    pub marked: DateTime<Utc>,
    /// What was marked, of shards that are not swept yet.
    pub waiting: BTreeMap<String, Marked>,
    #[serde(default)]
    pub sweeping: Option<Sweeping>,
}

/// What is marked of one shard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marked {
    pub objects: u64,
    pub bytes: u64,
}

/// The shard that is being swept, and until when at the latest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweeping {
    pub shard: String,
    pub until: DateTime<Utc>,
    /// Who sweeps: a name that no two have.
    pub by: String,
}

/// How a marked key stands, by the document as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its shard waits: a keep that was put before counts.
    Waits,
    /// Its shard is being swept until then.
    Swept { until: DateTime<Utc> },
    /// The removal is over, or another one, or over with this shard.
    Over,
}

impl Removal {
    pub const KEY: &str = "upkeep/images-removal";

    /// Under it are lists and keeps of all removals.
    pub const BLOBS: &str = "removals/";

    pub fn blobs(number: i64) -> String {
        format!("{}{number:014}/", Self::BLOBS)
    }

    /// The list of what is marked of a shard: keys, one a line, in order.
    pub fn list_key(number: i64, shard: &str) -> String {
        format!("{}marked/{shard}", Self::blobs(number))
    }

    /// Where a worker puts that it refers to the object.
    pub fn keep_key(number: i64, key: &str) -> String {
        format!("{}{key}", Self::keeps(number))
    }

    pub fn keeps(number: i64) -> String {
        format!("{}kept/", Self::blobs(number))
    }

    pub fn rested(&self, now: DateTime<Utc>) -> bool {
        now - self.marked >= REST
    }

    pub fn total(&self) -> Marked {
        let marked = self.waiting.values();
        marked.fold(Marked::default(), |sum, one| Marked {
            objects: sum.objects + one.objects,
            bytes: sum.bytes + one.bytes,
        })
    }

    /// How a key of `shard` that removal `number` marked stands.
    pub fn standing(found: Option<&Self>, number: i64, shard: &str) -> Standing {
        let Some(found) = found.filter(|found| found.number == number) else {
            return Standing::Over;
        };
        match &found.sweeping {
            Some(sweeping) if sweeping.shard == shard => Standing::Swept {
                until: sweeping.until,
            },
            _ if found.waiting.contains_key(shard) => Standing::Waits,
            _ => Standing::Over,
        }
    }
}

/// The shard of an image's key: the two hex digits after `images/`.
pub fn shard_of(key: &str) -> Option<&str> {
    let rest = key.strip_prefix(IMAGES)?;
    let (shard, _) = rest.split_once('/')?;
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (shard.len() == 2 && shard.bytes().all(hex)).then_some(shard)
}

/// All shards, in order.
pub fn shards() -> impl Iterator<Item = String> {
    (0..=u8::MAX).map(|shard| format!("{shard:02x}"))
}

/// Under it are all stored images.
pub const IMAGES: &str = "images/";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keys_have_a_shard() {
        let check = |key: &str, expected: Option<&str>| assert_eq!(shard_of(key), expected);
        check("images/0a/0a11/thumb-deadbeef.jpg", Some("0a"));
        check("images/0A/0a11/thumb-deadbeef.jpg", None);
        check("images/0a1/x", None);
        check("images/0a", None);
        check("results/0a/x", None);
        assert_eq!(shards().count(), 256);
        assert_eq!(shards().nth(10).unwrap(), "0a");
    }

    #[test]
    fn a_marked_key_waits_is_swept_or_over() {
        let at = DateTime::<Utc>::UNIX_EPOCH;
        let mut removal = Removal {
            number: 5,
            marked: at,
            waiting: BTreeMap::from([
                (
                    "0a".to_owned(),
                    Marked {
                        objects: 1,
                        bytes: 2,
                    },
                ),
                (
                    "0b".to_owned(),
                    Marked {
                        objects: 3,
                        bytes: 4,
                    },
                ),
            ]),
            sweeping: None,
        };
        let check = |removal: Option<&Removal>, number, shard, expected| {
            assert_eq!(Removal::standing(removal, number, shard), expected);
        };
        check(Some(&removal), 5, "0a", Standing::Waits);
        check(Some(&removal), 5, "0c", Standing::Over);
        check(Some(&removal), 4, "0a", Standing::Over);
        check(None, 5, "0a", Standing::Over);
        assert_eq!(
            removal.total(),
            Marked {
                objects: 4,
                bytes: 6
            }
        );
        removal.sweeping = Some(Sweeping {
            shard: "0a".to_owned(),
            until: at,
            by: "a".to_owned(),
        });
        check(Some(&removal), 5, "0a", Standing::Swept { until: at });
        check(Some(&removal), 5, "0b", Standing::Waits);
        assert!(!removal.rested(at + REST - Duration::seconds(1)));
        assert!(removal.rested(at + REST));
    }
}

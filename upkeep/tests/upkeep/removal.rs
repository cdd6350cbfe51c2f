//! The removal of unused images: what it takes and what it leaves, one thing
//! after the other.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use trawler_core::image_ended::EndedImages;
use trawler_core::job::{ImageJob, ImageTask};
use trawler_core::manifest::ImageResult;
use trawler_core::ports::{BlobEntry, BlobError, BlobHead, BlobMeta, Blobs, Put};
use trawler_core::removal::{Marked, Removal, Sweeping};
use trawler_core::verdict::FailureClass;
use trawler_core::{QueueName, RunId};
use trawler_fleet::{Drain, JobContext, Ports, Removals, Stays, Take, manifests};
use trawler_upkeep::{RemoveOptions, Step, Upkeep, UpkeepError};

use crate::support::image_job_at;
use crate::world::{DAY, META, World, body_of, key_of, outcome};

fn run() -> RunId {
    RunId::parse("shop@2026-11-21T03:00:00.000Z").unwrap()
}

fn objects(marked: Marked) -> u64 {
    marked.objects
}

#[tokio::test]
async fn unused_objects_are_counted_then_marked_then_removed_and_nothing_else() {
    let world = World::new().await;
    world.sell(0, &[(1, 1), (2, 2), (3, 2)]).await;
    world.pass(10 * DAY);
    let unused: Vec<String> = (100..110).map(|picture| world.leave(picture)).collect();
    let young = key_of(200);
    let body = Bytes::from(body_of(200));
    world.ports.blobs.put(&young, body, META).await.unwrap();
    let before = world.stored();

    let counted = world.remove(false).await.unwrap();
    assert!(counted.looked && counted.resting.is_none());
    assert_eq!(objects(counted.stored), 13);
    assert_eq!(objects(counted.used), 2);
    assert_eq!(objects(counted.young), 1);
    assert_eq!(objects(counted.unused), 10);
    let bytes: usize = (100..110).map(|picture| body_of(picture).len()).sum();
    assert_eq!(counted.unused.bytes, bytes as u64);
    assert_eq!(world.stored(), before, "counting touches nothing");
    assert!(world.mem.state.peek(Removal::KEY).is_none());

    let marked = world.remove(true).await.unwrap();
    let resting = marked.resting.unwrap();
    assert_eq!(resting.marked, counted.unused);
    assert_eq!(objects(marked.removed), 0);
    assert_eq!(world.stored(), before, "marking removes nothing");

    world.pass(DAY - Duration::from_secs(1));
    let rests = world.remove(true).await.unwrap();
    assert!(!rests.looked, "a removal that rests costs nothing");
    assert_eq!(rests.resting, Some(resting));

    world.pass(Duration::from_secs(1));
    let removed = world.remove(true).await.unwrap();
    assert_eq!((removed.removed, removed.spared), (counted.unused, 0));
    assert_eq!(removed.resting, None);
    let mut left = before.clone();
    left.retain(|key| !unused.contains(key));
    assert_eq!(world.stored(), left);
    assert!(world.mem.state.peek(Removal::KEY).is_none());
    let lists = world.mem.blobs.keys();
    assert!(!lists.iter().any(|key| key.starts_with(Removal::BLOBS)));
}

#[tokio::test]
async fn images_of_versions_within_the_grace_period_stay() {
    let world = World::new().await;
    // Picture 1 is shown on day 0, gives way to 2 on day 1, which goes with its
    // product on day 2; 3 stays.
    world.sell(0, &[(1, 1), (2, 3)]).await;
    world.pass(DAY);
    world.sell(1, &[(1, 2), (2, 3)]).await;
    world.pass(DAY);
    world.sell(2, &[(2, 3)]).await;
    let gone = |world: &World| {
        let stored = world.stored();
        let pictures = (1..=3).filter(|picture| !stored.contains(&key_of(*picture)));
        pictures.collect::<Vec<u32>>()
    };
    // On day 7 a reader may be at day 0; on day 8.5 at day 1.5.
    for (day, expected) in [(7, 0), (8, 0)] {
        world.pass(DAY * day - day_of(&world));
        let counted = world.remove(false).await.unwrap();
        assert_eq!(objects(counted.unused), expected, "day {day}");
    }
    world.pass(DAY / 2);
    assert_eq!(objects(world.remove(true).await.unwrap().unused), 1);
    world.pass(DAY);
    let swept = world.remove(true).await.unwrap();
    assert_eq!(gone(&world), [1]);
    assert_eq!(objects(swept.resting.unwrap().marked), 1);
    world.pass(DAY);
    world.remove(true).await.unwrap();
    assert_eq!(gone(&world), [1, 2]);
}

/// Days since the beginning.
fn day_of(world: &World) -> Duration {
    let start: DateTime<Utc> = crate::world::START.parse().unwrap();
    (world.ports.clock.now() - start).to_std().unwrap()
}

#[tokio::test]
async fn what_checkpoints_and_results_name_stays_however_long_they_wait() {
    let world = World::new().await;
    let jobs = world.ports.jobs();
    let now = world.ports.clock.now();
    let job = ImageJob {
        images: (0..2)
            .map(|picture| ImageTask {
                product_id: format!("p{picture}"),
                url: crate::world::url_of(picture),
                known: Default::default(),
                remake: None,
            })
            .collect(),
        ..image_job_at(&run(), "img.test", 0)
    };
    let record = manifests::image_record(&job, now);
    jobs.plan_and_send(vec![record.clone()]).await.unwrap();
    let Take::Work(taken) = jobs
        .take(QueueName::Image, &format!("{}:0", record.job), "d")
        .await
        .unwrap()
    else {
        panic!("it is open");
    };
    // One picture is in the checkpoint of a job that waits, one in a result.
    let kept = world.leave(0);
    let mut ended = EndedImages::default();
    ended.insert(&job.images, &[0], &outcome("p0", 0));
    let ctx = JobContext::unleased(&world.ports, &taken, &Drain::new());
    ctx.save_checkpoint(&ended).await.unwrap();
    let told = world.leave(5);
    let other = image_job_at(&run(), "img.test", 7);
    let result = ImageResult {
        job: other.id(),
        run: other.run.clone(),
        tried: now,
        outcomes: vec![outcome("p7", 5)],
    };
    manifests::put_result(&world.ports, &result).await.unwrap();
    let unused = world.leave(6);
    for _ in 0..3 {
        world.pass(30 * DAY);
        world.remove(true).await.unwrap();
    }
    let stored = world.stored();
    assert!(
        stored.contains(&kept) && stored.contains(&told),
        "{stored:?}"
    );
    assert!(!stored.contains(&unused));
}

#[tokio::test]
async fn a_marked_object_that_is_used_again_is_spared() {
    let world = World::new().await;
    world.leave(1);
    let anew = world.leave(2);
    let gone = world.leave(3);
    world.remove(true).await.unwrap();
    world.pass(DAY / 2);
    world.sell(0, &[(1, 1)]).await;
    // Somebody removed the other by hand, and it was stored anew.
    let blobs = &world.ports.blobs;
    blobs.delete(std::slice::from_ref(&anew)).await.unwrap();
    blobs
        .put(&anew, Bytes::from(body_of(2)), META)
        .await
        .unwrap();
    world.pass(DAY / 2);
    let swept = world.remove(true).await.unwrap();
    assert_eq!((objects(swept.removed), swept.spared), (1, 2));
    assert!(!world.stored().contains(&gone));
    assert_eq!(world.stored().len(), 2);
}

#[tokio::test]
async fn an_object_that_a_worker_finds_while_it_is_removed_survives() {
    let world = World::new().await;
    let marked = world.leave(1);
    let other = world.leave(2);
    let worker = Removals::new(&world.ports);
    let find = async |key: &str| {
        let look = worker.look().await.unwrap();
        let body = Bytes::from(body_of(1));
        world.ports.blobs.put(key, body, META).await.unwrap();
        worker.stays(&look, key).await.unwrap()
    };
    // Nothing is under way; the look is kept for a minute.
    assert_eq!(find(&marked).await, Stays::Yes);
    world.remove(true).await.unwrap();
    assert_eq!(
        find(&marked).await,
        Stays::Yes,
        "it has a day for its result"
    );
    let kept = |world: &World| {
        let keys = world.mem.blobs.keys().into_iter();
        keys.filter(|key| key.contains("/kept/")).count()
    };
    assert_eq!(kept(&world), 0, "the look was older than the mark");

    // Hours later it knows, and says that it wants the object.
    world.pass(Duration::from_secs(12 * 60 * 60));
    assert_eq!(find(&marked).await, Stays::Yes);
    assert_eq!(kept(&world), 1);

    // Somebody sweeps the shard of the other object at this very moment.
    let sweeping = |sweeping: Option<Sweeping>| {
        let mut removal: Removal =
            serde_json::from_slice(&world.mem.state.peek(Removal::KEY).unwrap()).unwrap();
        removal.sweeping = sweeping;
        let removal = serde_json::to_vec(&removal).unwrap();
        world.mem.state.poke(Removal::KEY, &removal);
    };
    let now = world.ports.clock.now();
    let until = now + chrono::Duration::minutes(10);
    sweeping(Some(Sweeping {
        shard: other["images/".len()..][..2].to_owned(),
        until,
        by: "another".to_owned(),
    }));
    world.pass(Duration::from_secs(61));
    let Stays::NotBefore(due) = find(&other).await else {
        panic!("it may be going at this moment");
    };
    assert!(due > until);
    // A second gc does not come between.
    world.pass(DAY / 2 - Duration::from_secs(61));
    sweeping(Some(Sweeping {
        shard: other["images/".len()..][..2].to_owned(),
        until: world.ports.clock.now() + chrono::Duration::minutes(10),
        by: "another".to_owned(),
    }));
    let busy = world.remove(true).await.unwrap_err();
    assert!(matches!(busy, UpkeepError::Busy { .. }), "{busy}");
    // The sweep died: its time is over, and the next one finds both keeps.
    world.pass(Duration::from_secs(20 * 60));
    assert_eq!(find(&other).await, Stays::Yes);
    let swept = world.remove(true).await.unwrap();
    assert_eq!((objects(swept.removed), swept.spared), (0, 2));
    assert_eq!(world.stored().len(), 2);

    // It is over, and marked anew: what an old look says is put again.
    let old = worker.look().await.unwrap();
    world.pass(DAY);
    world.remove(true).await.unwrap();
    assert_eq!(worker.stays(&old, &marked).await.unwrap(), Stays::PutAgain);
    assert_eq!(find(&marked).await, Stays::Yes);
}

#[tokio::test]
async fn who_may_remove_nothing_learns_it_before_everything_is_read() {
    let world = World::new().await;
    world.sell(0, &[(1, 1)]).await;
    world.pass(10 * DAY);
    let unused = world.leave(100);
    let clock = || world.ports.clock.now();
    let denied = Upkeep {
        ports: Ports {
            blobs: Arc::new(ReadOnly(world.ports.blobs.clone())),
            ..world.ports.clone()
        },
        catalogue: Arc::clone(&world.upkeep.catalogue),
        scratch: world.upkeep.scratch.clone(),
    };
    let options = |remove| RemoveOptions {
        grace: chrono::Duration::days(7),
        remove,
    };
    let read = Mutex::new(Vec::new());
    let watch = |step: Step| read.lock().unwrap().push(step.what);
    let error = denied.remove_unused(options(true), &watch).await;
    let failure = error.unwrap_err().into_failure(clock());
    assert_eq!(failure.class, FailureClass::Permanent, "{failure:?}");
    assert_eq!(read.lock().unwrap().len(), 0, "nothing was read");
    // To count takes no right.
    let counted = denied.remove_unused(options(false), &watch).await.unwrap();
    assert_eq!(objects(counted.unused), 1);
    world.remove(true).await.unwrap();
    let keys = world.mem.blobs.keys();
    let of_removals = keys.iter().filter(|key| key.starts_with(Removal::BLOBS));
    assert_eq!(of_removals.count(), 1, "the list of what is marked alone");

    // Two days later somebody is at it.
    world.pass(2 * DAY);
    let stored = world.mem.state.peek(Removal::KEY).unwrap();
    let mut removal: Removal = serde_json::from_slice(&stored).unwrap();
    let until = clock() + chrono::Duration::minutes(7);
    removal.sweeping = Some(Sweeping {
        shard: "00".to_owned(),
        until,
        by: "another".to_owned(),
    });
    let document = serde_json::to_vec(&removal).unwrap();
    world.mem.state.poke(Removal::KEY, &document);
    read.lock().unwrap().clear();
    let busy = world.upkeep.remove_unused(options(true), &watch).await;
    let busy = busy.unwrap_err().into_failure(clock());
    assert_eq!(busy.class, FailureClass::Transient);
    assert_eq!(busy.retry_after_ms, Some(7 * 60 * 1000), "{busy:?}");
    assert_eq!(read.lock().unwrap().len(), 0, "nothing was read");
    world.pass(Duration::from_secs(7 * 60));
    world.remove(true).await.unwrap();
    assert!(!world.stored().contains(&unused));
}

/// A store that the process may read.
struct ReadOnly(Arc<dyn Blobs>);

fn denied(verb: &'static str, key: &str) -> BlobError {
    BlobError::Refused {
        verb,
        key: key.to_owned(),
        reason: "access denied".to_owned(),
    }
}

#[async_trait]
impl Blobs for ReadOnly {
    async fn put(&self, key: &str, _: Bytes, _: BlobMeta) -> Result<Put, BlobError> {
        Err(denied("put", key))
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, BlobError> {
        self.0.get(key, range).await
    }

    async fn head(&self, key: &str) -> Result<Option<BlobHead>, BlobError> {
        self.0.head(key).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<BlobEntry>, BlobError> {
        self.0.list(prefix, after, limit).await
    }

    async fn delete(&self, keys: &[String]) -> Result<(), BlobError> {
        Err(denied("delete", &keys[0]))
    }
}

#[tokio::test]
async fn a_removal_that_dies_at_any_write_is_taken_up_by_the_next() {
    for writes in 1.. {
        let world = World::new().await;
        world.sell(0, &[(1, 1), (2, 2)]).await;
        world.pass(10 * DAY);
        for picture in 100..104 {
            world.leave(picture);
        }
        world.mem.crash.after_writes(writes);
        let mut died = false;
        for _ in 0..8 {
            if world.remove(true).await.is_err() {
                died = true;
                world.mem.crash.restart();
            }
            world.pass(2 * DAY);
        }
        // The last one may have died as well.
        world.mem.crash.restart();
        world.remove(true).await.unwrap();
        let mut left = world.stored();
        left.sort_unstable();
        let mut expected = vec![key_of(1), key_of(2)];
        expected.sort_unstable();
        assert_eq!(left, expected, "{writes}");
        let lists = world.mem.blobs.keys();
        let lists: Vec<_> = lists
            .iter()
            .filter(|key| key.starts_with(Removal::BLOBS))
            .collect();
        assert!(lists.is_empty(), "{writes}: {lists:?}");
        if !died {
            assert!(writes > 15, "a removal writes more than {writes} times");
            return;
        }
    }
}

//! Histories that once went wrong, each played step by step.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::TimeDelta;
use trawler_core::feed::FeedMode;
use trawler_core::image::KnownImage;
use trawler_core::job::{ImageJob, ImageTask};
use trawler_core::manifest::Manifest;
use trawler_core::ports::{Clock, State, StateEntry, StateError, Version, Versioned};
use trawler_core::run::{Run, RunPhase};
use trawler_core::{PipeId, RunId};
use trawler_fleet::{Documents, Pipes, Ports, manifests};
use trawler_scheduler::{Scheduler, SchedulerOptions};
use trawler_tests::model::VirtualClock;

use crate::scenario::Scenario;
use crate::world::World;

/// Something that somebody else does between two requests.
type Meanwhile = Box<dyn FnOnce() -> futures::future::BoxFuture<'static, ()> + Send>;

/// State in which something happens right after the first look at a key.
struct Interposed {
    state: Arc<dyn State>,
    key: String,
    then: Mutex<Option<Meanwhile>>,
}

#[async_trait]
impl State for Interposed {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StateError> {
        let found = self.state.get(key).await;
        if key == self.key {
            let then = self.then.lock().unwrap().take();
            if let Some(then) = then {
                then().await;
            }
        }
        found
    }

    async fn create(&self, key: &str, value: &[u8]) -> Result<Version, StateError> {
        self.state.create(key, value).await
    }

    async fn replace(&self, key: &str, value: &[u8], at: &Version) -> Result<Version, StateError> {
        self.state.replace(key, value, at).await
    }

    async fn delete(&self, key: &str, expected: &Version) -> Result<(), StateError> {
        self.state.delete(key, expected).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<StateEntry>, StateError> {
        self.state.list(prefix, after, limit).await
    }
}

fn image_job(run: &RunId) -> ImageJob {
    ImageJob {
        run: run.clone(),
        group: ImageJob::group_of("img.test", 0),
        images: vec![ImageTask {
            product_id: "p".to_owned(),
            url: "https://img.test/p.jpg".to_owned(),
            known: KnownImage::default(),
            remake: None,
        }],
    }
}

/// A run of the pipe that is being committed.
async fn running(documents: &Documents, clock: &VirtualClock, pipe: &str) -> RunId {
    let pipe = PipeId::parse(pipe).unwrap();
    let run = RunId::new(pipe, clock.now() - TimeDelta::minutes(1));
    let document = Run {
        phase: RunPhase::Committed,
        ..Run::plan(run.clone(), FeedMode::Full, clock.now())
    };
    documents.create(&Run::key(&run), &document).await.unwrap();
    run
}

async fn write_and_finish(ports: Ports, run: RunId) {
    let jobs = [image_job(&run)];
    manifests::write(&ports, &run, 1, &jobs).await.unwrap();
    let finish = |run: &mut Run| run.phase = RunPhase::Finished;
    let key = Run::key(&run);
    ports.documents().change(&key, finish).await.unwrap();
}

/// The hourly prune saw parts without a manifest, then a run that was over: in
/// between the crawler had written the manifest and finished.
#[test]
fn parts_of_a_manifest_that_is_being_written_stay() {
    // Whichever document the prune looks at first.
    for key in [Manifest::key, Run::key] {
        VirtualClock::run(move |clock| async move {
            let world = World::new(&Arc::new(Scenario::calm(0)), &clock);
            let ports = world.direct();
            let run = running(&ports.documents(), &clock, "shop").await;
            let part = format!("{}.000000", Manifest::jobs_key(&run, 1));
            let body = format!("{}\n", image_job(&run).encode());
            let meta = crate::log::META;
            ports.blobs.put(&part, body.into(), meta).await.unwrap();
            let (theirs, of_run) = (ports.clone(), run.clone());
            let meanwhile: Meanwhile = Box::new(move || Box::pin(write_and_finish(theirs, of_run)));
            let interposed = Ports {
                state: Arc::new(Interposed {
                    state: Arc::clone(&ports.state),
                    key: key(&run),
                    then: Mutex::new(Some(meanwhile)),
                }),
                ..ports.clone()
            };
            let options = SchedulerOptions::default();
            let scheduler = Scheduler::new(interposed, Pipes::from(Vec::new()), options);
            scheduler.tick().await.unwrap();
            let kept = ports.blobs.head(&part).await.unwrap();
            assert!(kept.is_some(), "the parts of {run} are gone");
        });
    }
}

/// A crawler that stood still between its look and its manifest opened the
/// images of a run whose manifest had been settled and moved.
#[test]
fn a_late_writer_does_not_open_a_settled_manifest_again() {
    VirtualClock::run(|clock| async move {
        let world = World::new(&Arc::new(Scenario::calm(0)), &clock);
        let ports = world.direct();
        let documents = ports.documents();
        let run = running(&documents, &clock, "shop").await;
        let jobs = [image_job(&run)];
        let first = manifests::write(&ports, &run, 2, &jobs).await.unwrap();
        let settled = Manifest {
            settled: true,
            ..first
        };
        manifests::retire(&ports, &documents, &settled)
            .await
            .unwrap();
        let late = manifests::write(&ports, &run, 1, &jobs).await.unwrap();
        assert_eq!(late, settled);
        assert!(manifests::unsettled(&documents).await.unwrap().is_empty());
        let parts = manifests::blob_keys(&ports, "manifests/").await.unwrap();
        assert!(parts.is_empty(), "{parts:?}");
    });
}

/// A manifest without its parts ended every tick where image work is sent, so
/// that one pipe's damage held up the whole fleet.
#[test]
fn a_manifest_whose_parts_are_gone_holds_up_nobody_else() {
    VirtualClock::run(|clock| async move {
        let world = World::new(&Arc::new(Scenario::calm(0)), &clock);
        let ports = world.direct();
        for pipe in ["a", "b"] {
            let run = running(&ports.documents(), &clock, pipe).await;
            write_and_finish(ports.clone(), run).await;
            if pipe == "a" {
                let parts = manifests::blob_keys(&ports, "manifests/").await.unwrap();
                ports.blobs.delete(&parts).await.unwrap();
            }
        }
        let options = SchedulerOptions::default();
        let scheduler = Scheduler::new(ports, Pipes::from(Vec::new()), options);
        let report = scheduler.tick().await.unwrap();
        assert_eq!(report.image_jobs_sent, 1, "{report:?}");
        assert_eq!(report.problems.len(), 1, "{report:?}");
    });
}

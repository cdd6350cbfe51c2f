//! What must hold when a history is over.

use std::collections::BTreeMap;

use trawler_core::QueueName;
use trawler_core::image::ImageStatus;
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::manifest::{ImageResult, Manifest};
use trawler_core::run::{Run, RunPhase};
use trawler_fleet::chain;
use trawler_fleet::{Audit, audit};
use trawler_tests::model::{FaultRates, ModelBlobs, Side};

use crate::crawl::part_key;
use crate::images::image_key;
use crate::log::{Entry, Log};
use crate::script::Fate;
use crate::world::World;

/// Everything that is wrong, a sentence each.
pub(crate) async fn judge(world: &World, settled: bool) -> Vec<String> {
    let mut problems = world.problems.lock().unwrap().clone();
    let report = match audit(&world.direct()).await {
        Ok(report) => report,
        Err(error) => {
            problems.push(format!("the ledger cannot be audited: {}", chain(&error)));
            Audit::default()
        }
    };
    problems.extend(report.problems.iter().cloned());
    if !settled || !report.is_settled() {
        problems.push(format!("not settled at {}: {:?}", world.now(), report.jobs));
        for record in world.documents::<JobRecord>("jobs/") {
            if !record.status.is_settled() {
                problems.push(format!("  {record:?}"));
            }
        }
    }
    for (name, sqs) in [("crawl", &world.crawl), ("image", &world.image)] {
        for side in [Side::Live, Side::Dead] {
            for id in sqs.peek_dedup_ids(side) {
                problems.push(format!(
                    "message {id} is left in the {name} queue ({side:?})"
                ));
            }
        }
    }
    judge_log(world, &mut problems);
    judge_effects(world, &mut problems);
    for record in world.jobs().values() {
        judge_counts(world, record, &mut problems);
    }
    problems
}

fn entries(world: &World) -> Vec<Entry> {
    let keys = world.s3.peek_keys(&format!("{}log/", ModelBlobs::PREFIX));
    let mut entries = Vec::new();
    for (number, key) in keys.iter().enumerate() {
        assert_eq!(*key, format!("{}{}", ModelBlobs::PREFIX, Log::key(number)));
        let body = world.s3.peek(key).unwrap();
        entries.push(serde_json::from_slice(&body).unwrap());
    }
    entries
}

/// At most one commit a run, and none once a later run has settled.
fn judge_log(world: &World, problems: &mut Vec<String>) {
    let mut last: BTreeMap<String, i64> = BTreeMap::new();
    for (number, entry) in entries(world).iter().enumerate() {
        let before = last.insert(entry.app.clone(), entry.version);
        if before.is_some_and(|before| before >= entry.version) {
            problems.push(format!(
                "log entry {number} of {entry:?} comes after {before:?}"
            ));
        }
    }
}

fn judge_effects(world: &World, problems: &mut Vec<String>) {
    let committed: Vec<(String, i64)> = entries(world)
        .into_iter()
        .map(|entry| (entry.app, entry.version))
        .collect();
    let is_there = |key: &str| {
        world
            .s3
            .peek(&format!("{}{key}", ModelBlobs::PREFIX))
            .is_some()
    };
    for run in world.documents::<Run>("runs/") {
        let txn = (run.id.pipe.to_string(), run.id.seq.0);
        let is_committed = committed.contains(&txn);
        let fits = match run.phase {
            RunPhase::Finished => is_committed,
            RunPhase::Superseded => !is_committed,
            // Buried before or after its commit.
            RunPhase::Failed => true,
            _ => false,
        };
        if !fits {
            problems.push(format!(
                "run {} is {:?}, committed: {is_committed}",
                run.id, run.phase
            ));
        }
        if is_committed {
            let script = world.scenario.script(&(&run.id).into());
            for step in (0..script.steps).filter(|_| script.stores) {
                if !is_there(&part_key(&run.id, step)) {
                    problems.push(format!("run {} is committed without part {step}", run.id));
                }
            }
        }
        let manifests = ["manifests/", "settled/manifests/"].into_iter();
        let mut manifests = manifests.flat_map(|prefix| world.documents::<Manifest>(prefix));
        let finds_images = run.phase == RunPhase::Finished && run.counts.image_jobs > 0;
        if finds_images && manifests.all(|manifest| manifest.run != run.id) {
            problems.push(format!("run {} is finished without a manifest", run.id));
        }
    }
    for key in world
        .s3
        .peek_keys(&format!("{}results/", ModelBlobs::PREFIX))
    {
        let result: ImageResult = serde_json::from_slice(&world.s3.peek(&key).unwrap()).unwrap();
        for image in result.outcomes {
            let stores = world.scenario.script(&result.job).stores;
            if stores && image.status == ImageStatus::Stored && !is_there(&image_key(&image.url)) {
                problems.push(format!("{} is told as stored and is not", image.url));
            }
        }
    }
    for key in world.s3.peek_created_twice(ModelBlobs::PREFIX) {
        // Results go with their manifest. What comes late is no work done
        // twice; it is swept up, which `judge_rest` looks at.
        if !key.contains("/results/") {
            problems.push(format!("{key} was stored twice"));
        }
    }
}

/// Failures are attempts, vanished deliveries crashes, and hand-backs and
/// interruptions neither.
fn judge_counts(world: &World, record: &JobRecord, problems: &mut Vec<String>) {
    let blows = *world.blows.lock().unwrap();
    let quiet = world.scenario.rates == FaultRates::default() && blows.cuts == 0;
    let is_fold = record.queue == QueueName::Crawl && record.job.as_str().contains("#images@");
    let script = world.scenario.script(&record.job);
    // A fold has no troubles, and an image job without images is none.
    let (expected, fate) = if is_fold {
        (0, Fate::Fine)
    } else {
        (script.attempts(), script.fate)
    };
    let crashed = record.crashes >= 5;
    let mut wrong = |what: &str| {
        problems.push(format!("{what}: {record:?}, script {script:?}, {blows:?}"));
    };
    // Killed between its result and its burial, an image job is found done.
    let has_result = record.queue == QueueName::Image && (record.crashes > 0 || !quiet);
    let status_fits = match (record.status, fate) {
        (JobStatus::Done, Fate::Fine) => true,
        (JobStatus::Done, _) => has_result,
        // Overtaken while it was parked.
        (JobStatus::Superseded, _) => record.queue == QueueName::Crawl && !is_fold,
        (JobStatus::Dead, Fate::Fine) => crashed || !quiet,
        (JobStatus::Dead, Fate::Permanent) => true,
        (JobStatus::Dead, Fate::Poison) => crashed || !quiet,
        _ => false,
    };
    if !status_fits {
        wrong("ended otherwise than it should");
    }
    let attempts_fit = match record.status {
        JobStatus::Done if has_result && record.attempts < expected => fate != Fate::Fine,
        JobStatus::Done => record.attempts == expected || !quiet && record.attempts > expected,
        JobStatus::Dead if crashed => record.attempts <= expected || !quiet,
        JobStatus::Dead => record.attempts == expected || !quiet,
        _ => record.attempts <= expected || !quiet,
    };
    if !attempts_fit {
        wrong("counts other attempts than it had");
    }
    let unharmed = blows.kills + blows.freezes + blows.notices == 0 && quiet;
    if unharmed && fate != Fate::Poison && record.crashes > 0 && !poisoned(world) {
        wrong("counts a crash that nobody had");
    }
    if blows.notices == 0 && record.hand_backs > 0 && quiet && blows.freezes == 0 {
        wrong("counts a hand-back that nobody asked for");
    }
}

/// A poisonous job takes its neighbours along.
fn poisoned(world: &World) -> bool {
    let jobs = world.jobs();
    jobs.values()
        .any(|job| world.scenario.script(&job.job).fate == Fate::Poison)
}

//! Messages that are no work: stale, foreign, of an unknown version, sent again.

use trawler_core::JobId;
use trawler_core::dead::DeadLetter;
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::ports::{Clock, MESSAGE_BYTES_MAX, STATE_VALUE_BYTES_MAX};
use trawler_core::verdict::{Ending, Failure};
use trawler_fleet::dead::{DeadLetters, Selection};

use crate::bench::{Act, Bench, CRAWL};
use crate::support::{pipe, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_message_is_acked_and_not_worked_on() {
    let bench = Bench::flowing(&[Act::End(Ending::Done)]);
    let job = bench.plan("shop").await;
    let jobs = bench.world.ports.jobs();
    jobs.supersede(CRAWL, &job, "newer").await.unwrap();
    let running = bench.start();
    until("its message is gone", || bench.world.crawl.len() == 0).await;
    assert_eq!(bench.stop(running).await.stale, 1);
    assert_eq!(bench.script.started(), 0);
    assert_eq!(bench.status(&job), JobStatus::Superseded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_names_no_job_is_kept_not_dropped() {
    let bench = Bench::flowing(&[Act::End(Ending::Done)]);
    bench.world.crawl.put("g", "never-planned:0", "hello");
    bench
        .world
        .crawl
        .put("g2", "no dedup id of ours / at all", "who?");
    // A record that cannot be read is kept, and so is its message.
    let broken = JobRecord::key(CRAWL, &JobId::parse("broken").unwrap());
    bench.world.state.poke(&broken, b"{half");
    bench.world.crawl.put("g3", "broken:0", "body");
    let running = bench.start();
    until("the queue is empty", || bench.world.crawl.len() == 0).await;
    assert_eq!(bench.stop(running).await.unknown, 3);
    let letters = bench.world.ports.jobs().dead_letters(CRAWL).await.unwrap();
    let bodies: Vec<_> = letters.iter().map(|letter| letter.body.as_str()).collect();
    assert_eq!(bodies, ["hello", "who?", "body"]);
    assert!(
        letters[2].reason.contains("jobs/crawl/broken"),
        "{}",
        letters[2].reason
    );
    assert_eq!(bench.world.state.peek(&broken).unwrap(), b"{half");
    let error = bench
        .world
        .ports
        .jobs()
        .redrive(CRAWL, &letters[0].job)
        .await;
    assert!(error.unwrap_err().to_string().contains("names no job"));
    let jobs = bench.world.ports.jobs();
    jobs.purge(CRAWL, &letters[0].job).await.unwrap();
    assert_eq!(jobs.dead_letters(CRAWL).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_body_version_is_buried_not_guessed_at() {
    let bench = Bench::flowing(&[Act::Decode]);
    let id = JobId::parse("shop@future").unwrap();
    let body = r#"{"v":2,"job":{"kind":"collect"}}"#.to_owned();
    let now = bench.world.clock.now();
    let record = JobRecord::plan(
        id.clone(),
        CRAWL,
        pipe("shop"),
        "shop".to_owned(),
        body,
        now,
    );
    let jobs = bench.world.ports.jobs();
    jobs.plan_and_send(vec![record]).await.unwrap();
    let running = bench.start();
    bench.settled(&id).await;
    assert_eq!(bench.stop(running).await.buried, 1);
    let letters = jobs.dead_letters(CRAWL).await.unwrap();
    assert!(letters[0].reason.contains("version 2 is not known"));
    assert!(letters[0].body.contains(r#""v":2"#), "kept whole");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redriven_job_runs_again_within_the_dedup_window() {
    let bench = Bench::flowing(&[
        Act::End(Ending::Failed(Failure::permanent("bad"))),
        Act::End(Ending::Done),
    ]);
    let job = bench.plan("shop").await;
    let running = bench.start();
    bench.settled(&job).await;
    let jobs = bench.world.ports.jobs();
    let key = DeadLetter::key(CRAWL, job.as_str());
    assert!(bench.world.state.peek(&key).is_some());
    assert_eq!(jobs.redrive(CRAWL, job.as_str()).await.unwrap().sent, 1);
    until("it is done", || bench.status(&job) == JobStatus::Done).await;
    bench.stop(running).await;
    assert!(
        bench.world.state.peek(&key).is_none(),
        "the document went last"
    );
    let sent = bench.world.crawl.sent.lock().unwrap().clone();
    assert_eq!(sent, [format!("{job}:0"), format!("{job}:1")]);
    assert!(
        jobs.redrive(CRAWL, job.as_str()).await.is_err(),
        "only the dead"
    );
}

/// Longer than any document may be: the beginning is in the letter, all of it
/// among the blobs, and in a backup.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_oversize_message_is_kept_whole_and_leaves_the_queue() {
    let bench = Bench::flowing(&[Act::End(Ending::Done)]);
    let body = "가".repeat(STATE_VALUE_BYTES_MAX);
    bench.world.crawl.put("g", "no job of ours", &body);
    let running = bench.start();
    until("the queue is empty", || bench.world.crawl.len() == 0).await;
    assert_eq!(bench.stop(running).await.unknown, 1);
    let jobs = bench.world.ports.jobs();
    let letter = jobs.dead_letters(CRAWL).await.unwrap().remove(0);
    assert!(letter.body.len() <= MESSAGE_BYTES_MAX && body.starts_with(&letter.body));
    let key = letter.body_at.clone().unwrap();
    let kept = bench.world.ports.blobs.get(&key, None).await.unwrap();
    assert_eq!(kept, body);

    let letters = DeadLetters::new(&bench.world.ports, &bench.pauses);
    let backup = letters.backup(&Selection::default(), "test", "test").await;
    let mut csv = Vec::new();
    for entry in backup.unwrap().backups {
        letters.write_backup(&entry, &mut csv).await.unwrap();
    }
    assert!(String::from_utf8(csv).unwrap().contains(&body));
    jobs.purge(CRAWL, &letter.job).await.unwrap();
    assert!(bench.world.ports.blobs.head(&key).await.unwrap().is_none());
}

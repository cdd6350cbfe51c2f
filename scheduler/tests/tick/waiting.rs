//! Jobs that wait: lost, parked, paused, given up.

use std::time::Duration;

use trawler_core::JobId;
use trawler_core::image::ImageStatus;
use trawler_core::ledger::JobStatus;
use trawler_core::manifest::Manifest;
use trawler_core::pause::PauseScope;
use trawler_core::run::RunPhase;
use trawler_core::verdict::PAUSED;
use trawler_fleet::Pauses;
use trawler_fleet::audit;
use trawler_fleet::manifests;

use crate::bench::{
    CRAWL, HOUR, IMAGE, V, bury, daily, park, runs, scheduler, settle, with_images, world_at,
};
use crate::support::pipe;

#[tokio::test]
async fn a_job_that_nobody_saw_is_sent_again() {
    let world = world_at("2026-11-21T03:00:00Z");
    let ticker = scheduler(&world, &[daily()]);
    ticker.tick().await.unwrap();
    world.crawl.lose_all();
    let job = JobId::from(&runs(&world)[0].id);
    let found = audit(&world.ports).await.unwrap().problems;
    assert_eq!(found, [format!("job {job} is open and has no message")]);
    world.clock.advance(HOUR * 23);
    assert_eq!(ticker.tick().await.unwrap().jobs_resent, 0);
    world.clock.advance(HOUR);
    assert_eq!(ticker.tick().await.unwrap().jobs_resent, 1);
    let sent = world.crawl.sent.lock().unwrap().clone();
    assert!(sent.contains(&format!("{job}:1")), "{sent:?}");
}

#[tokio::test]
async fn a_parked_job_comes_back_when_it_is_due() {
    let world = world_at("2026-11-21T03:00:00Z");
    let ticker = scheduler(&world, &[daily()]);
    ticker.tick().await.unwrap();
    let job = JobId::from(&runs(&world)[0].id);
    park(&world, &job, HOUR, "busy").await;
    assert_eq!(ticker.tick().await.unwrap().jobs_unparked, 0);
    world.clock.advance(HOUR);
    assert_eq!(ticker.tick().await.unwrap().jobs_unparked, 1);
    assert_eq!(ticker.tick().await.unwrap().jobs_unparked, 0);
    assert_eq!(world.crawl.len(), 1);
}

#[tokio::test]
async fn a_paused_pipes_job_comes_back_after_the_resume_only() {
    let world = world_at("2026-11-21T03:00:00Z");
    let ticker = scheduler(&world, &[daily()]);
    ticker.tick().await.unwrap();
    let job = JobId::from(&runs(&world)[0].id);
    let pauses = Pauses::new(&world.ports);
    let scope = PauseScope::Pipe(pipe("shop"));
    pauses.pause(&scope, "asked").await.unwrap();
    park(&world, &job, HOUR * 24, PAUSED).await;
    // However long the pause; the runs of these days are another matter.
    world.clock.advance(HOUR * 24 * 30);
    assert_eq!(ticker.tick().await.unwrap().jobs_unparked, 0);
    pauses.resume(&scope).await.unwrap();
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(ticker.tick().await.unwrap().jobs_unparked, 1);
}

#[tokio::test]
async fn the_run_of_a_buried_job_has_failed() {
    let world = world_at("2026-11-21T03:00:00Z");
    let ticker = scheduler(&world, &[daily()]);
    ticker.tick().await.unwrap();
    let job = JobId::from(&runs(&world)[0].id);
    settle(&world, CRAWL, &job, JobStatus::Dead).await;
    assert_eq!(ticker.tick().await.unwrap().runs_closed, 1);
    let run = &runs(&world)[0];
    assert_eq!(
        (run.phase, run.reason.as_str()),
        (RunPhase::Failed, "so it is")
    );
    let found = audit(&world.ports).await.unwrap().problems;
    assert_eq!(found, [format!("job {job} is dead and has no dead letter")]);
    bury(&world, CRAWL, &job).await;
    world
        .ports
        .jobs()
        .redrive(CRAWL, job.as_str())
        .await
        .unwrap();
    assert_eq!(ticker.tick().await.unwrap().runs_closed, 0);
    assert_eq!(runs(&world)[0].phase, RunPhase::Planned);
}

#[tokio::test]
async fn what_the_queue_gave_up_becomes_a_dead_letter_with_a_result() {
    for writes in 0.. {
        let world = world_at("2026-11-21T03:00:00Z");
        let ticker = scheduler(&world, &[daily()]);
        let (_, jobs) = with_images(&world, &ticker, 1).await;
        ticker.tick().await.unwrap();
        let id = jobs[0].id();
        // Its last delivery is still in somebody's hands.
        world
            .ports
            .jobs()
            .take(IMAGE, &format!("{id}:0"), "d")
            .await
            .unwrap();
        world.image.put("g", "stranger:0", "hello");
        world.image.exhaust();
        world.crash.after_writes(writes);
        let tick = scheduler(&world, &[daily()]).tick().await;
        let lived = world.crash.is_alive();
        world.crash.restart();
        // What the dead process had taken from the dead-letter queue is there
        // again when its visibility is over.
        world.clock.advance(V);
        scheduler(&world, &[daily()]).tick().await.unwrap();
        assert_eq!(world.record(IMAGE, &id).status, JobStatus::Dead, "{writes}");
        let letters = world.ports.jobs().dead_letters(IMAGE).await.unwrap();
        assert_eq!(letters.len(), 2, "{writes}: {letters:?}");
        let key = Manifest::result_key(&jobs[0].run, &id);
        let result = manifests::read_result(&world.ports, &key).await.unwrap();
        assert_eq!(result.outcomes[0].status, ImageStatus::Unreachable);
        assert_eq!(audit(&world.ports).await.unwrap().problems, [""; 0]);
        if lived {
            assert_eq!(tick.unwrap().problems, [""; 0]);
            assert!(writes >= 4, "result, letter, record, ack: {writes}");
            break;
        }
    }
}

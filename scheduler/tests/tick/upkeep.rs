//! Upkeep by the clock: a job for the latest due instant of each kind, planned
//! once whatever dies, and not beside the one before it.

use chrono::{DateTime, Utc};
use trawler_core::job::CrawlJob;
use trawler_core::ledger::JobStatus;
use trawler_core::ports::Clock;
use trawler_core::schedule::Schedule;
use trawler_core::upkeep::{UPKEEP_PIPE, UpkeepKind, UpkeepTask};
use trawler_core::{JobId, JobName};
use trawler_fleet::audit;
use trawler_scheduler::{Scheduler, SchedulerOptions, UpkeepRule};

use crate::bench::{CRAWL, HOUR, settle, world_at};
use crate::support::World;

const GC: UpkeepTask = UpkeepTask::Gc { grace_days: 7 };
const VERIFY: UpkeepTask = UpkeepTask::Verify { products: 5 };

/// Removal at three every day, verification an hour later.
fn ticker(world: &World) -> Scheduler {
    let rule = |task, cron| UpkeepRule {
        task,
        schedule: Schedule::parse(cron, "UTC").unwrap(),
    };
    let options = SchedulerOptions {
        upkeep: vec![rule(GC, "0 3 * * *"), rule(VERIFY, "0 4 * * *")],
        ..SchedulerOptions::default()
    };
    Scheduler::new(world.ports.clone(), Vec::new().into(), options)
}

fn at(hour: u32, day: u32) -> DateTime<Utc> {
    format!("2026-11-{day}T{hour:02}:00:00Z").parse().unwrap()
}

fn gc(day: u32) -> JobId {
    JobName::upkeep_id(UpkeepKind::Gc, at(3, day))
}

async fn planned(ticker: &Scheduler) -> u64 {
    ticker.tick().await.unwrap().upkeep_planned
}

#[tokio::test]
async fn each_kind_has_a_job_a_day_and_what_was_due_before_the_first_look_has_none() {
    let world = world_at("2026-11-21T03:30:00Z");
    let first = ticker(&world);
    assert_eq!(planned(&first).await, 0);
    for _ in 0..2 {
        world.clock.advance(HOUR * 24);
        // Another scheduler finds what the first one planned.
        assert_eq!(planned(&first).await, 2);
        assert_eq!(planned(&first).await, 0);
        assert_eq!(planned(&ticker(&world)).await, 0);
        let due = if world.clock.now() > at(0, 23) {
            23
        } else {
            22
        };
        let job = world.record(CRAWL, &gc(due));
        assert_eq!(
            (&job.pipe, job.group.as_str()),
            (&*UPKEEP_PIPE, "trawler-upkeep")
        );
        let body = CrawlJob::decode(&job.body).unwrap();
        assert_eq!(
            body,
            CrawlJob::Upkeep {
                task: GC,
                due: at(3, due)
            }
        );
        for (kind, hour, day) in [(UpkeepKind::Gc, 3, due), (UpkeepKind::Verify, 4, due - 1)] {
            let job = JobName::upkeep_id(kind, at(hour, day));
            settle(&world, CRAWL, &job, JobStatus::Done).await;
        }
    }
    assert_eq!(audit(&world.ports).await.unwrap().problems, [""; 0]);
}

#[tokio::test]
async fn one_that_lasts_for_days_is_not_joined_by_another() {
    let world = world_at("2026-11-21T02:00:00Z");
    let ticker = ticker(&world);
    assert_eq!(planned(&ticker).await, 0);
    world.clock.advance(HOUR);
    assert_eq!(planned(&ticker).await, 1);
    world.clock.advance(HOUR * 48);
    assert_eq!(planned(&ticker).await, 1, "verification alone");
    settle(&world, CRAWL, &gc(21), JobStatus::Done).await;
    assert_eq!(
        planned(&ticker).await,
        1,
        "the latest, and none for the day between"
    );
    assert!(
        world
            .state
            .keys(&format!("jobs/crawl/{}", gc(22)))
            .is_empty()
    );

    // A dead one waits for a person, who may never come.
    settle(&world, CRAWL, &gc(23), JobStatus::Dead).await;
    world.clock.advance(HOUR * 24);
    assert_eq!(planned(&ticker).await, 1);
    settle(&world, CRAWL, &gc(24), JobStatus::Done).await;

    // Its record leaves the ledger, and its instant tells.
    world.clock.advance(HOUR / 60);
    ticker.tick_without_planning().await.unwrap();
    assert!(
        world
            .state
            .keys(&format!("jobs/crawl/{}", gc(24)))
            .is_empty()
    );
    let told = world.ports.jobs().settled_as(CRAWL, &gc(24)).await.unwrap();
    assert_eq!(told, Some(JobStatus::Done));
}

#[tokio::test]
async fn upkeep_whose_planner_dies_at_any_write_is_planned_once() {
    for writes in 0.. {
        let world = world_at("2026-11-21T02:00:00Z");
        planned(&ticker(&world)).await;
        world.clock.advance(HOUR);
        world.crash.after_writes(writes);
        let tick = ticker(&world).tick().await;
        world.crash.restart();
        ticker(&world).tick().await.unwrap();
        let key = format!("jobs/crawl/{}", gc(21));
        assert_eq!(world.state.keys("jobs/crawl/"), [key], "{writes}");
        assert_eq!(world.crawl.len(), 1, "{writes}");
        assert_eq!(audit(&world.ports).await.unwrap().problems, [""; 0]);
        if tick.is_ok() {
            assert!(writes >= 3, "{writes}");
            return;
        }
    }
}

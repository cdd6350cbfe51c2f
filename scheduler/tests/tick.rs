//! The scheduler's tick on a frozen clock: what is due, twice, late, and cut
//! off at every write.
#![allow(clippy::unwrap_used)]

#[path = "../../fleet/tests/support/mod.rs"]
mod support;

use std::time::Duration;

use support::{TestClock, World, pipe};
use trawler_core::dead::{DeadLetter, Input};
use trawler_core::feed::FeedMode;
use trawler_core::image::{ImageStatus, KnownImage};
use trawler_core::job::{CrawlJob, ImageJob, ImageTask};
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::manifest::{ImageResult, Manifest};
use trawler_core::open_runs::OpenRuns;
use trawler_core::pause::PauseScope;
use trawler_core::pipe::Pipe;
use trawler_core::ports::Clock;
use trawler_core::run::{Run, RunPhase};
use trawler_core::verdict::PAUSED;
use trawler_core::{JobId, JobName, QueueName, RunId};
use trawler_fleet::manifests::{self, Windows};
use trawler_fleet::{Drain, Pauses, Take};
use trawler_scheduler::{Scheduler, SchedulerOptions, TickReport, audit};

const V: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const CRAWL: QueueName = QueueName::Crawl;
const IMAGE: QueueName = QueueName::Image;

fn pipe_of(name: &str, cron: &str, zone: &str) -> Pipe {
    let text = serde_json::json!({
        "source": {"kind": "file", "path": "feed.tsv"},
        "feed": {"format": "naver-ep", "mode": "full"},
        "schedule": {"cron": cron, "zone": zone},
    });
    let mut parsed: Pipe = serde_json::from_value(text).unwrap();
    parsed.id = pipe(name);
    parsed
}

fn daily() -> Pipe {
    pipe_of("shop", "0 3 * * *", "UTC")
}

fn world_at(start: &str) -> World {
    World::new(TestClock::frozen(start), V)
}

fn scheduler(world: &World, pipes: &[Pipe]) -> Scheduler {
    let options = SchedulerOptions {
        windows: Windows {
            host: 3,
            queue: 100,
        },
        ..SchedulerOptions::default()
    };
    Scheduler::new(world.ports.clone(), pipes.to_vec().into(), options)
}

fn runs(world: &World) -> Vec<Run> {
    let keys = world.state.keys("runs/");
    let read = |key: &String| serde_json::from_slice(&world.state.peek(key).unwrap()).unwrap();
    keys.iter().map(read).collect()
}

fn run_ids(world: &World) -> Vec<String> {
    runs(world).iter().map(|run| run.id.to_string()).collect()
}

/// Takes the job's newest message from the queue and settles the job.
async fn settle(world: &World, queue: QueueName, job: &JobId, status: JobStatus) {
    let jobs = world.ports.jobs();
    let sends = world.record(queue, job).sends - 1;
    let Take::Work(taken) = jobs.take(queue, &format!("{job}:{sends}")).await.unwrap() else {
        panic!("{job} is not open");
    };
    jobs.transition("settle", queue, job, |record| {
        record.settle(taken.epoch, status, "so it is", record.planned)
    })
    .await
    .unwrap();
}

/// Writes the dead letter of a dead job.
async fn bury(world: &World, queue: QueueName, job: &JobId) {
    let (record, now) = (world.record(queue, job), world.clock.now());
    let letter = DeadLetter::of_job(&record, "so it is", Input::default(), now);
    let key = DeadLetter::key(queue, job.as_str());
    world.ports.documents().put(&key, &letter).await.unwrap();
}

async fn finish_run(world: &World, run: &RunId) {
    let documents = world.ports.documents();
    documents
        .change(&Run::key(run), |run: &mut Run| {
            run.phase = RunPhase::Finished
        })
        .await
        .unwrap();
    settle(world, CRAWL, &JobId::from(run), JobStatus::Done).await;
}

#[tokio::test]
async fn due_runs_are_planned_once_and_missed_ones_caught_up_once() {
    let world = world_at("2026-11-21T02:00:00Z");
    let ticker = scheduler(&world, &[daily()]);
    let tick = || ticker.tick();
    // A pipe that never ran is due at once, for its latest instant.
    assert_eq!(tick().await.unwrap().runs_planned, 1);
    assert_eq!(tick().await.unwrap(), TickReport::default());
    assert_eq!(run_ids(&world), ["shop@2026-11-20T03:00:00.000Z"]);
    finish_run(&world, &runs(&world)[0].id).await;
    world.clock.advance(HOUR);
    assert_eq!(tick().await.unwrap().runs_planned, 1);
    finish_run(&world, &runs(&world)[1].id).await;
    // Nobody ticks for four days: one run, the newest.
    world.clock.advance(HOUR * 24 * 4);
    assert_eq!(tick().await.unwrap().runs_planned, 1);
    assert_eq!(tick().await.unwrap().runs_planned, 0);
    assert_eq!(
        run_ids(&world),
        [
            "shop@2026-11-20T03:00:00.000Z",
            "shop@2026-11-21T03:00:00.000Z",
            "shop@2026-11-25T03:00:00.000Z"
        ]
    );
}

#[tokio::test]
async fn daylight_saving_makes_one_run_a_day() {
    let check = |start: &'static str, expected: [&'static str; 2]| async move {
        let world = world_at(start);
        let ticker = scheduler(&world, &[pipe_of("shop", "30 2 * * *", "Europe/Berlin")]);
        for _ in 0..(24 * 4) {
            ticker.tick().await.unwrap();
            for run in runs(&world) {
                if !run.phase.is_over() {
                    finish_run(&world, &run.id).await;
                }
            }
            world.clock.advance(HOUR / 2);
        }
        // The first is the one that was due before the start.
        assert_eq!(run_ids(&world)[1..], expected, "{start}");
    };
    // 02:30 does not exist on 2026-03-29 and exists twice on 2026-10-25.
    check(
        "2026-03-28T12:00:00Z",
        [
            "shop@2026-03-29T01:00:00.000Z",
            "shop@2026-03-30T00:30:00.000Z",
        ],
    )
    .await;
    check(
        "2026-10-24T12:00:00Z",
        [
            "shop@2026-10-25T00:30:00.000Z",
            "shop@2026-10-26T01:30:00.000Z",
        ],
    )
    .await;
}

#[tokio::test]
async fn two_schedulers_at_once_plan_one_run() {
    let world = world_at("2026-11-21T03:00:00Z");
    let pipes = [daily(), pipe_of("other", "0 * * * *", "UTC")];
    let mut ticks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let ticker = scheduler(&world, &pipes);
        ticks.spawn(async move { ticker.tick().await });
    }
    while let Some(report) = ticks.join_next().await {
        report.unwrap().unwrap();
    }
    assert_eq!(runs(&world).len(), 2);
    assert_eq!(world.crawl.len(), 2, "one message each");
    assert_eq!(audit(&world.ports).await.unwrap().problems, [""; 0]);
}

#[tokio::test]
async fn a_tick_that_dies_at_any_write_is_healed_by_the_next() {
    let mut writes = 0;
    loop {
        let world = world_at("2026-11-21T03:00:00Z");
        let pipes = [daily()];
        world.crash.after_writes(writes);
        let died = scheduler(&world, &pipes).tick().await.is_err();
        world.crash.restart();
        // Another process, later the same minute.
        scheduler(&world, &pipes).tick().await.unwrap();
        assert_eq!(
            run_ids(&world),
            ["shop@2026-11-21T03:00:00.000Z"],
            "{writes}"
        );
        assert_eq!(world.crawl.len(), 1, "{writes}");
        let record = world.record(CRAWL, &JobId::from(&runs(&world)[0].id));
        assert_eq!((record.sends, record.needs_send()), (1, false), "{writes}");
        assert_eq!(audit(&world.ports).await.unwrap().problems, [""; 0]);
        if !died {
            break;
        }
        writes += 1;
    }
    // Schedule document, run document, job record, message, that it was sent,
    // that the prune pass began; and the looks after.
    assert_eq!(writes, 7);
}

#[tokio::test]
async fn at_most_two_runs_of_a_pipe_are_unsettled() {
    let world = world_at("2026-11-21T03:00:00Z");
    let ticker = scheduler(&world, &[daily()]);
    for day in 0..4 {
        let report = ticker.tick().await.unwrap();
        let planned = u64::from(day < 2);
        assert_eq!(
            (report.runs_planned, report.pipes_behind),
            (planned, 1 - planned)
        );
        world.clock.advance(HOUR * 24 - Duration::from_secs(1));
        // The messages are seen within the day, or they would be sent again.
        for run in runs(&world) {
            let job = JobId::from(&run.id);
            let sends = world.record(CRAWL, &job).sends - 1;
            let dedup_id = format!("{job}:{sends}");
            world.ports.jobs().take(CRAWL, &dedup_id).await.unwrap();
        }
        world.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(runs(&world).len(), 2);
}

#[tokio::test]
async fn run_now_is_due_now_and_an_older_schedule_waits_for_its_next() {
    let world = world_at("2026-11-21T12:34:56Z");
    let ticker = scheduler(&world, &[daily()]);
    let run = ticker.run_now(&pipe("shop")).await.unwrap();
    assert_eq!(run.to_string(), "shop@2026-11-21T12:34:56.000Z");
    assert_eq!(ticker.tick().await.unwrap().runs_planned, 0);
    assert!(ticker.run_now(&pipe("nobody")).await.is_err());
    world.clock.advance(HOUR * 15);
    assert_eq!(ticker.tick().await.unwrap().runs_planned, 1);
}

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

async fn park(world: &World, job: &JobId, wait: Duration, reason: &str) {
    let jobs = world.ports.jobs();
    let sends = world.record(CRAWL, job).sends - 1;
    let Take::Work(taken) = jobs.take(CRAWL, &format!("{job}:{sends}")).await.unwrap() else {
        panic!("{job} is not open");
    };
    world.crawl.lose_all();
    let (now, due) = (world.clock.now(), world.clock.now() + wait);
    jobs.transition("park", CRAWL, job, |record| {
        record.park(taken.epoch, due, reason, now)
    })
    .await
    .unwrap();
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

fn image_job(run: &RunId, n: usize) -> ImageJob {
    ImageJob {
        run: run.clone(),
        group: ImageJob::group_of("img.test", 0),
        images: vec![ImageTask {
            product_id: format!("p{n}"),
            url: format!("https://img.test/{n}.jpg"),
            known: KnownImage::default(),
        }],
    }
}

/// A finished run with a manifest of so many image jobs.
async fn with_images(world: &World, ticker: &Scheduler, count: usize) -> (RunId, Vec<ImageJob>) {
    ticker.tick().await.unwrap();
    let run = runs(world)[0].id.clone();
    finish_run(world, &run).await;
    world.crawl.lose_all();
    let jobs: Vec<_> = (0..count).map(|n| image_job(&run, n)).collect();
    manifests::write(&world.ports, &run, 1, &jobs)
        .await
        .unwrap();
    (run, jobs)
}

async fn finish_image(world: &World, job: &ImageJob) {
    let result = ImageResult {
        job: job.id(),
        run: job.run.clone(),
        tried: world.clock.now(),
        outcomes: Vec::new(),
    };
    manifests::put_result(&world.ports, &result).await.unwrap();
    settle(world, IMAGE, &job.id(), JobStatus::Done).await;
}

#[tokio::test]
async fn image_jobs_go_out_as_their_host_has_room_and_are_folded_once() {
    let world = world_at("2026-11-21T03:00:00Z");
    let ticker = scheduler(&world, &[daily()]);
    let (run, jobs) = with_images(&world, &ticker, 5).await;
    assert_eq!(ticker.tick().await.unwrap().image_jobs_sent, 3);
    assert!(ticker.has_work().await.unwrap());
    assert_eq!(ticker.tick().await.unwrap(), TickReport::default());
    for job in &jobs[..2] {
        finish_image(&world, job).await;
    }
    let report = ticker.tick().await.unwrap();
    assert_eq!((report.image_jobs_sent, report.folds_planned), (2, 0));
    // After a while what is there is folded, once.
    world.clock.advance(HOUR * 2);
    assert_eq!(ticker.tick().await.unwrap().folds_planned, 1);
    assert_eq!(ticker.tick().await.unwrap().folds_planned, 0);
    let fold = |fold| {
        let pipe = pipe("shop");
        CrawlJob::Fold { pipe, fold }.id()
    };
    let documents = world.ports.documents();
    let now = world.clock.now();
    manifests::note_fold(&documents, &run, 2, now)
        .await
        .unwrap();
    settle(&world, CRAWL, &fold(1), JobStatus::Done).await;
    assert_eq!(ticker.tick().await.unwrap().folds_planned, 0, "nothing new");
    for job in &jobs[2..] {
        finish_image(&world, job).await;
    }
    assert_eq!(
        ticker.tick().await.unwrap().folds_planned,
        1,
        "all is there"
    );
    manifests::note_fold(&documents, &run, 5, now)
        .await
        .unwrap();
    settle(&world, CRAWL, &fold(2), JobStatus::Done).await;
    world.crawl.lose_all();
    world.image.lose_all();
    assert_eq!(ticker.tick().await.unwrap().pruned, 1, "the manifest");
    assert_eq!(ticker.tick().await.unwrap(), TickReport::default());
    assert!(!ticker.has_work().await.unwrap());
    let audited = audit(&world.ports).await.unwrap();
    assert!(audited.is_settled(), "{audited:?}");
    assert_eq!(audited.count(JobStatus::Done), 1 + 5 + 2);
}

#[tokio::test]
async fn sending_and_folding_survive_a_death_at_any_write() {
    let mut writes = 0;
    loop {
        let world = world_at("2026-11-21T03:00:00Z");
        let ticker = scheduler(&world, &[daily()]);
        let (_, jobs) = with_images(&world, &ticker, 2).await;
        world.crash.after_writes(writes);
        let sent = scheduler(&world, &[daily()]).tick().await.is_ok();
        world.crash.restart();
        scheduler(&world, &[daily()]).tick().await.unwrap();
        assert_eq!(world.image.len(), 2, "{writes}");
        for job in &jobs {
            finish_image(&world, job).await;
        }
        world.crash.after_writes(writes);
        let folded = scheduler(&world, &[daily()]).tick().await.is_ok();
        world.crash.restart();
        scheduler(&world, &[daily()]).tick().await.unwrap();
        scheduler(&world, &[daily()]).tick().await.unwrap();
        assert_eq!(world.crawl.len(), 1, "one fold, after {writes} writes");
        assert_eq!(
            world.state.keys("jobs/crawl/shop#images@"),
            ["jobs/crawl/shop#images@1"]
        );
        assert_eq!(audit(&world.ports).await.unwrap().problems, [""; 0]);
        if sent && folded {
            break;
        }
        writes += 1;
    }
    assert!(writes >= 6, "{writes}");
}

#[tokio::test]
async fn what_the_queue_gave_up_becomes_a_dead_letter_with_a_result() {
    for writes in 0..8 {
        let world = world_at("2026-11-21T03:00:00Z");
        let ticker = scheduler(&world, &[daily()]);
        let (_, jobs) = with_images(&world, &ticker, 1).await;
        ticker.tick().await.unwrap();
        let id = jobs[0].id();
        // Its last delivery is still in somebody's hands.
        world
            .ports
            .jobs()
            .take(IMAGE, &format!("{id}:0"))
            .await
            .unwrap();
        world.image.put("g", "stranger:0", "hello");
        world.image.exhaust();
        world.crash.after_writes(writes);
        let _ = scheduler(&world, &[daily()]).tick().await;
        world.crash.restart();
        scheduler(&world, &[daily()]).tick().await.unwrap();
        assert_eq!(world.record(IMAGE, &id).status, JobStatus::Dead, "{writes}");
        let letters = world.ports.jobs().dead_letters(IMAGE).await.unwrap();
        assert_eq!(letters.len(), 2, "{writes}: {letters:?}");
        let key = Manifest::result_key(&jobs[0].run, &id);
        let result = manifests::read_result(&world.ports, &key).await.unwrap();
        assert_eq!(result.outcomes[0].status, ImageStatus::Unreachable);
        assert_eq!(audit(&world.ports).await.unwrap().problems, [""; 0]);
    }
}

#[tokio::test]
async fn a_document_that_cannot_be_read_holds_up_nobody_else() {
    let world = world_at("2026-11-21T03:00:00Z");
    world.state.poke("runs/broken/00000000000001", b"{half");
    world.state.poke("jobs/crawl/broken", b"{half");
    let pipes = [pipe_of("broken", "0 3 * * *", "UTC"), daily()];
    let report = scheduler(&world, &pipes).tick().await.unwrap();
    assert_eq!(report.runs_planned, 1);
    assert_eq!(report.problems.len(), 2, "{:?}", report.problems);
    assert!(report.problems[0].contains("jobs/crawl/broken"));
    assert!(report.problems[1].contains("runs/broken/00000000000001"));
    assert_eq!(world.state.peek("jobs/crawl/broken").unwrap(), b"{half");
}

#[tokio::test]
async fn what_is_settled_and_old_goes_and_history_stays() {
    let world = world_at("2026-11-21T03:00:00Z");
    let ticker = scheduler(&world, &[daily()]);
    let (run, jobs) = with_images(&world, &ticker, 1).await;
    let count = |run: &mut Run| run.counts.image_jobs = 1;
    let documents = world.ports.documents();
    documents.change(&Run::key(&run), count).await.unwrap();
    ticker.tick().await.unwrap();
    finish_image(&world, &jobs[0]).await;
    ticker.tick().await.unwrap();
    let fold = CrawlJob::Fold {
        pipe: pipe("shop"),
        fold: 1,
    };
    let now = world.clock.now();
    manifests::note_fold(&world.ports.documents(), &run, 1, now)
        .await
        .unwrap();
    settle(&world, CRAWL, &fold.id(), JobStatus::Done).await;
    world
        .state
        .poke(&format!("checkpoints/image/{}", jobs[0].id()), b"{}");
    world.clock.advance(HOUR * 24 * 8);
    for _ in 0..2 {
        scheduler(&world, &[]).tick().await.unwrap();
    }
    assert_eq!(world.state.keys("jobs/image/"), [""; 0]);
    assert_eq!(world.state.keys("manifests/"), [""; 0]);
    assert_eq!(world.state.keys("checkpoints/"), [""; 0]);
    assert_eq!(world.state.keys("jobs/crawl/"), [""; 0]);
    assert_eq!(world.state.keys("runs/").len(), 1);
    let audited = audit(&world.ports).await.unwrap();
    assert!(audited.is_settled(), "{audited:?}");
    assert_eq!(audited.count(JobStatus::Done), 3, "run, image job, fold");
    // What is kept for people goes a week later.
    let logs = world.blobs.keys();
    assert!(
        logs.iter().all(|key| key.starts_with("settled/")),
        "{logs:?}"
    );
    world.clock.advance(HOUR * 24 * 8);
    scheduler(&world, &[]).tick().await.unwrap();
    assert_eq!(world.state.keys("settled/"), [""; 0]);
    assert_eq!(world.blobs.keys(), [""; 0]);
    assert_eq!(audit(&world.ports).await.unwrap().problems, [""; 0]);
}

#[tokio::test]
async fn the_loop_ticks_until_the_drain() {
    let world = world_at("2026-11-21T03:00:00Z");
    let ticker = scheduler(&world, &[daily()]);
    let drain = Drain::new();
    let running = tokio::spawn({
        let drain = drain.clone();
        async move { ticker.run(&drain).await }
    });
    support::until("the run is planned", || world.crawl.len() == 1).await;
    drain.finish();
    running.await.unwrap();
}

#[tokio::test]
async fn settled_records_leave_the_ledger_and_are_still_known_and_counted() {
    let world = world_at("2026-11-21T03:00:00Z");
    let ticker = scheduler(&world, &[daily()]);
    let (run, jobs) = with_images(&world, &ticker, 3).await;
    ticker.tick().await.unwrap();
    for job in &jobs[..2] {
        finish_image(&world, job).await;
    }
    let before = audit(&world.ports).await.unwrap();
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(ticker.tick().await.unwrap().records_taken, 3);
    let open = JobRecord::key(IMAGE, &jobs[2].id());
    assert_eq!(world.state.keys("jobs/"), [open]);
    assert_eq!(audit(&world.ports).await.unwrap().jobs, before.jobs);
    let ledger = world.ports.jobs();
    let logged = ledger.settled(IMAGE).await.unwrap();
    assert!(
        logged
            .iter()
            .all(|job| job.epoch == 1 && job.body.is_empty())
    );
    assert_eq!(logged.len(), 2);
    // Late messages are stale, and nothing is planned again.
    for (queue, job) in [(CRAWL, JobId::from(&run)), (IMAGE, jobs[0].id())] {
        let late = ledger.take(queue, &format!("{job}:0")).await.unwrap();
        assert!(matches!(late, Take::Stale(JobStatus::Done)), "{late:?}");
    }
    finish_image(&world, &jobs[2]).await;
    assert_eq!(ticker.tick().await.unwrap().folds_planned, 1);
    let fold = JobName::fold_id(&run.pipe, 1);
    settle(&world, CRAWL, &fold, JobStatus::Done).await;
    let now = world.clock.now();
    let documents = world.ports.documents();
    manifests::note_fold(&documents, &run, 3, now)
        .await
        .unwrap();
    world.clock.advance(Duration::from_secs(60));
    ticker.tick().await.unwrap();
    assert_eq!(world.state.keys("jobs/"), [""; 0]);
    assert_eq!(world.state.keys("manifests/"), [""; 0]);
    for (queue, job) in [(CRAWL, fold), (IMAGE, jobs[0].id())] {
        let late = ledger.take(queue, &format!("{job}:0")).await.unwrap();
        assert!(matches!(late, Take::Stale(JobStatus::Done)), "{late:?}");
    }
    world.crawl.lose_all();
    world.image.lose_all();
    let audited = audit(&world.ports).await.unwrap();
    assert!(audited.is_settled(), "{audited:?}");
    assert_eq!(audited.count(JobStatus::Done), 1 + 3 + 1);
}

#[tokio::test]
async fn taking_settled_records_away_survives_a_death_at_any_write() {
    let mut writes = 0;
    loop {
        let world = world_at("2026-11-21T03:00:00Z");
        let ticker = scheduler(&world, &[daily()]);
        let (run, jobs) = with_images(&world, &ticker, 2).await;
        ticker.tick().await.unwrap();
        for job in &jobs {
            finish_image(&world, job).await;
        }
        ticker.tick().await.unwrap();
        settle(
            &world,
            CRAWL,
            &JobName::fold_id(&run.pipe, 1),
            JobStatus::Done,
        )
        .await;
        let now = world.clock.now();
        let documents = world.ports.documents();
        manifests::note_fold(&documents, &run, 2, now)
            .await
            .unwrap();
        world.clock.advance(HOUR);
        world.crash.after_writes(writes);
        let died = scheduler(&world, &[daily()]).tick().await.is_err();
        world.crash.restart();
        world.crawl.lose_all();
        world.image.lose_all();
        let between = audit(&world.ports).await.unwrap();
        assert_eq!(between.problems, [""; 0], "{writes}");
        assert_eq!(between.count(JobStatus::Done), 4, "{writes}");
        for _ in 0..2 {
            scheduler(&world, &[daily()]).tick().await.unwrap();
        }
        assert_eq!(world.state.keys("jobs/"), [""; 0], "{writes}");
        let audited = audit(&world.ports).await.unwrap();
        assert_eq!(audited.jobs, between.jobs, "{writes}");
        let logged = world.ports.jobs().settled(IMAGE).await.unwrap();
        assert_eq!(logged.len(), 2, "{writes}: each once");
        if !died {
            break;
        }
        writes += 1;
    }
    assert!(writes >= 8, "{writes}");
}

#[tokio::test]
async fn runs_of_the_version_before_are_taken_over() {
    let world = world_at("2026-11-21T03:00:00Z");
    scheduler(&world, &[daily()]).tick().await.unwrap();
    finish_run(&world, &runs(&world)[0].id).await;
    world.clock.advance(HOUR * 24);
    scheduler(&world, &[daily()]).tick().await.unwrap();
    let documents = world.ports.documents();
    documents.delete("schedule/shop").await.unwrap();
    documents
        .delete(&JobRecord::key(CRAWL, &JobId::from(&runs(&world)[1].id)))
        .await
        .unwrap();
    // One run of history, one whose planner died before its record.
    let ticker = scheduler(&world, &[daily()]);
    assert_eq!(ticker.tick().await.unwrap().runs_planned, 0);
    assert_eq!(ticker.tick().await.unwrap().jobs_sent, 1);
    let known: OpenRuns = documents.get("schedule/shop").await.unwrap().unwrap();
    assert_eq!(known.open, [runs(&world)[1].id.seq]);
    assert_eq!(known.newest, Some(runs(&world)[1].id.seq));
    world.clock.advance(HOUR * 24);
    assert_eq!(ticker.tick().await.unwrap().runs_planned, 1);
}

#[tokio::test]
async fn an_image_job_of_the_version_before_ends_as_it_would_have() {
    let world = world_at("2026-11-21T03:00:00Z");
    let ticker = scheduler(&world, &[daily()]);
    let (run, jobs) = with_images(&world, &ticker, 1).await;
    let documents = world.ports.documents();
    let note = |manifest: &mut Manifest| manifest.planned = 1;
    documents.change(&Manifest::key(&run), note).await.unwrap();
    // Named without its run, planned and sent.
    let now = world.clock.now();
    let mut record = manifests::image_record(&jobs[0], now);
    record.job = JobId::parse("shop#0123456789abcdef01234567").unwrap();
    world
        .ports
        .jobs()
        .plan_and_send(vec![record.clone()])
        .await
        .unwrap();
    assert_eq!(ticker.tick().await.unwrap().folds_planned, 0);
    let result = ImageResult {
        job: record.job.clone(),
        run: run.clone(),
        tried: now,
        outcomes: Vec::new(),
    };
    manifests::put_result(&world.ports, &result).await.unwrap();
    settle(&world, IMAGE, &record.job, JobStatus::Done).await;
    assert_eq!(ticker.tick().await.unwrap().folds_planned, 1);
    world.clock.advance(HOUR);
    ticker.tick().await.unwrap();
    assert_eq!(world.state.keys("jobs/image/"), [""; 0]);
}

#[tokio::test]
async fn a_dead_fold_waits_for_a_person_and_a_purged_one_for_nobody() {
    let world = world_at("2026-11-21T03:00:00Z");
    let ticker = scheduler(&world, &[daily()]);
    let (run, jobs) = with_images(&world, &ticker, 1).await;
    ticker.tick().await.unwrap();
    finish_image(&world, &jobs[0]).await;
    assert_eq!(ticker.tick().await.unwrap().folds_planned, 1);
    let fold = JobName::fold_id(&run.pipe, 1);
    settle(&world, CRAWL, &fold, JobStatus::Dead).await;
    bury(&world, CRAWL, &fold).await;
    world.clock.advance(HOUR * 3);
    assert_eq!(ticker.tick().await.unwrap().folds_planned, 0);
    assert!(world.state.peek(&JobRecord::key(CRAWL, &fold)).is_some());
    let ledger = world.ports.jobs();
    ledger.purge(CRAWL, fold.as_str()).await.unwrap();
    assert_eq!(ticker.tick().await.unwrap().folds_planned, 1);
    ticker.tick().await.unwrap();
    let next = JobRecord::key(CRAWL, &JobName::fold_id(&run.pipe, 2));
    assert_eq!(world.state.keys("jobs/crawl/"), [next]);
}

#[tokio::test]
async fn a_broken_manifest_holds_up_no_other_pipe() {
    let world = world_at("2026-11-21T03:00:00Z");
    let ticker = scheduler(&world, &[daily()]);
    world.state.poke("manifests/aaa/00000000000001", b"{half");
    let run = RunId::parse("bbb@2026-11-20T03:00:00.000Z").unwrap();
    let jobs = [image_job(&run, 1)];
    let torn = manifests::write(&world.ports, &run, 1, &jobs)
        .await
        .unwrap();
    world
        .blobs
        .poke(&format!("{}.000000", torn.jobs_key), b"{half");
    with_images(&world, &ticker, 2).await;
    let report = ticker.tick().await.unwrap();
    assert_eq!(report.image_jobs_sent, 2);
    assert_eq!(report.problems.len(), 2, "{:?}", report.problems);
    assert!(report.problems[0].contains("manifests/aaa/00000000000001"));
    assert!(report.problems[1].contains(&torn.jobs_key));
}

#[tokio::test]
async fn parts_and_results_that_nobody_needs_are_pruned() {
    let world = world_at("2026-11-21T03:00:00Z");
    let ticker = scheduler(&world, &[daily()]);
    let (run, _) = with_images(&world, &ticker, 1).await;
    let under_way = RunId::parse("shop@2026-11-21T02:00:00.000Z").unwrap();
    let documents = world.ports.documents();
    let planned = Run::plan(under_way.clone(), FeedMode::Full, world.clock.now());
    documents
        .create(&Run::key(&under_way), &planned)
        .await
        .unwrap();
    let part = |run: &RunId, epoch| format!("{}.000000", Manifest::jobs_key(run, epoch));
    // A delivery that died before the one whose manifest it is; one that is
    // writing now; one of a run that nobody knows; a result that came late.
    let gone = RunId::parse("shop@2026-11-01T03:00:00.000Z").unwrap();
    let late = format!("{}x.json", Manifest::results_of(&gone));
    for key in [
        part(&run, 0),
        part(&under_way, 1),
        part(&gone, 1),
        late.clone(),
    ] {
        world.blobs.poke(&key, b"");
    }
    world.clock.advance(HOUR);
    ticker.tick().await.unwrap();
    let left = world.blobs.keys();
    for key in [part(&run, 1), part(&under_way, 1)] {
        assert!(left.contains(&key), "{key} of {left:?}");
    }
    for key in [part(&run, 0), part(&gone, 1), late] {
        assert!(!left.contains(&key), "{key}");
    }
}

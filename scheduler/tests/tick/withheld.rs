//! Which pipes have runs by their state, and which have a fold because the
//! catalogue is behind what is decided about them.

use std::path::PathBuf;
use std::time::Duration;

use trawler_core::ledger::JobStatus;
use trawler_core::pipe::{AgeText, Pipe, PipeState};
use trawler_core::ports::Metric;
use trawler_core::run::Run;
use trawler_core::withheld::{Act, Note, Withholding};
use trawler_core::{JobName, RunId};
use trawler_fleet::Pipes;
use trawler_scheduler::{ReprocessError, Scheduler, SchedulerError, SchedulerOptions};

use crate::bench::{CRAWL, HOUR, bury, daily, finish_run, run_ids, scheduler, settle, world_at};
use crate::support::World;

const START: &str = "2026-11-21T03:00:10Z";

const SECOND: Duration = Duration::from_secs(1);

fn state(state: PipeState) -> Act {
    Act::State { state }
}

pub(crate) fn pipe_in(state: PipeState) -> Pipe {
    Pipe { state, ..daily() }
}

/// The document after these decisions, carried out up to so many.
pub(crate) async fn decided(world: &World, acts: &[Act], applied: i64) {
    let pipe = daily();
    let mut document = Withholding::none(pipe.id.clone());
    for act in acts {
        let note = Note {
            by: "ann".to_owned(),
            at: world.ports.clock.now(),
            why: String::new(),
        };
        document.decide(act, &note).unwrap();
    }
    document.applied = applied;
    let key = Withholding::key(&pipe.id);
    world.ports.documents().put(&key, &document).await.unwrap();
}

#[tokio::test]
async fn the_state_of_a_pipe_says_whether_it_runs_and_whether_the_catalogue_follows() {
    use PipeState::{Draft, Hidden, Live, Retired, Shadow};
    let block = || Act::Block { id: "1".to_owned() };
    // What the file says, what was decided, how much of it is carried out; the
    // runs and folds that one tick plans.
    let cases: [(PipeState, &[Act], i64, u64, u64); 16] = [
        (Live, &[], 0, 1, 0),
        (Draft, &[], 0, 0, 0),
        (Shadow, &[], 0, 1, 1),
        (Hidden, &[], 0, 1, 1),
        (Retired, &[], 0, 0, 1),
        (Shadow, &[state(Shadow)], 1, 1, 0),
        (Live, &[state(Shadow)], 1, 1, 1),
        (Draft, &[state(Shadow)], 1, 0, 0),
        (Retired, &[state(Retired)], 1, 0, 0),
        (Live, &[Act::Hide], 0, 1, 1),
        (Live, &[Act::Hide], 1, 1, 0),
        (Live, &[Act::Retire], 1, 0, 0),
        (Live, &[Act::Retire], 0, 0, 1),
        (Live, &[Act::Retire, Act::Show], 2, 1, 0),
        (Live, &[block()], 1, 1, 0),
        (Live, &[block()], 0, 1, 1),
    ];
    for (file, acts, applied, runs, folds) in cases {
        let world = world_at(START);
        if !acts.is_empty() {
            decided(&world, acts, applied).await;
        }
        let ticker = scheduler(&world, &[pipe_in(file)]);
        let report = ticker.tick().await.unwrap();
        let found = (report.runs_planned, report.folds_planned);
        assert_eq!(found, (runs, folds), "{file} {acts:?} {applied}");
        // Whatever is planned is planned once.
        let again = ticker.tick().await.unwrap();
        let found = (again.runs_planned, again.folds_planned);
        assert_eq!(found, (0, 0), "{file} {acts:?} {applied}");
    }
}

#[tokio::test]
async fn a_pipe_that_is_not_collected_is_not_run_by_hand_either() {
    let check = async |file: PipeState, acts: &[Act], expected: Option<PipeState>| {
        let world = world_at(START);
        decided(&world, acts, 9).await;
        let ticker = scheduler(&world, &[pipe_in(file)]);
        match (ticker.run_now(&daily().id).await, expected) {
            (Ok(_), None) => assert_eq!(run_ids(&world).len(), 1),
            (Err(SchedulerError::NotCollected { state, .. }), Some(expected)) => {
                assert_eq!(state, expected);
                assert!(run_ids(&world).is_empty());
            }
            (found, _) => panic!("{file} {acts:?}: {found:?}"),
        }
        world.clock.advance(HOUR);
        let planned = run_ids(&world).len();
        let input = RunId::parse("shop@2026-11-20T03:00:00.000Z").unwrap();
        match (ticker.reprocess(&input, false).await, expected) {
            (Ok(_), None) => assert_eq!(run_ids(&world).len(), planned + 1),
            (Err(ReprocessError::Scheduler(error)), Some(expected)) => {
                let SchedulerError::NotCollected { state, .. } = error else {
                    panic!("{file} {acts:?}: {error}");
                };
                assert_eq!(state, expected);
                assert!(run_ids(&world).is_empty());
                assert!(world.state.keys("schedule/").is_empty());
            }
            (found, _) => panic!("{file} {acts:?}: {found:?}"),
        }
    };
    use PipeState::{Draft, Hidden, Live, Retired, Shadow};
    check(Live, &[], None).await;
    check(Shadow, &[], None).await;
    check(Hidden, &[], None).await;
    check(Live, &[Act::Hide], None).await;
    check(Draft, &[], Some(Draft)).await;
    check(Retired, &[], Some(Retired)).await;
    check(Live, &[Act::Retire], Some(Retired)).await;
    check(Live, &[Act::Retire, Act::Show], None).await;
}

#[tokio::test]
async fn pipes_without_a_complete_run_for_too_long_are_counted() {
    let world = world_at(START);
    let pipe = Pipe {
        max_age: Some(AgeText("36h".to_owned())),
        ..daily()
    };
    let ticker = scheduler(&world, std::slice::from_ref(&pipe));
    let overdue = async |hours: u64| {
        world.clock.advance(HOUR * u32::try_from(hours).unwrap());
        world.metrics.seen.lock().unwrap().clear();
        ticker.tick().await.unwrap();
        ticker.tick().await.unwrap();
        let seen = world.metrics.seen.lock().unwrap();
        seen.iter().rev().find_map(|metric| match metric {
            Metric::PipesOverdue { pipes } => Some(*pipes),
            _ => None,
        })
    };
    assert_eq!(overdue(0).await, Some(0), "its first run is planned");
    assert_eq!(overdue(35).await, Some(0));
    assert_eq!(overdue(2).await, Some(1), "that run did not end");
    let first = trawler_core::RunId::parse(&run_ids(&world)[0]).unwrap();
    let now = world.ports.clock.now();
    world
        .ports
        .documents()
        .change(&Run::key(&first), |run: &mut Run| run.finished = Some(now))
        .await
        .unwrap();
    finish_run(&world, &first).await;
    assert_eq!(overdue(0).await, Some(0));
    assert_eq!(overdue(37).await, Some(1));
}

/// A worker that was up since before `state = "hidden"` was written did a fold
/// without taking it over, and each tick planned the next one.
#[tokio::test]
async fn a_worker_with_older_pipe_files_is_told_of_and_not_asked_with_every_tick() {
    let world = world_at(START);
    let pipe = daily().id;
    let with_files_read_now = || {
        let pipes = [pipe_in(PipeState::Hidden)];
        let pipes = Pipes::in_folder(pipes, world.ports.clock.now(), PathBuf::new());
        Scheduler::new(world.ports.clone(), pipes, SchedulerOptions::default())
    };
    let done = async |fold: i64| {
        settle(
            &world,
            CRAWL,
            &JobName::fold_id(&pipe, fold),
            JobStatus::Done,
        )
        .await;
        world.crawl.lose_all();
        world.clock.advance(SECOND);
    };
    let ticker = with_files_read_now();
    assert_eq!(ticker.tick().await.unwrap().folds_planned, 1);
    done(1).await;
    // A fold of before the files were read says nothing of who did it.
    let ticker = with_files_read_now();
    assert_eq!(ticker.tick().await.unwrap().folds_planned, 1);
    done(2).await;

    let mut folds = 2;
    for second in 0..900 {
        let report = ticker.tick().await.unwrap();
        let [problem] = &*report.problems else {
            panic!("after {second} s: {:?}", report.problems);
        };
        for part in ["pipe shop", "hidden", "older pipe files", "trawler crawl"] {
            assert!(problem.contains(part), "{part:?} is not in {problem:?}");
        }
        if report.folds_planned == 1 {
            folds += 1;
            done(folds).await;
        } else {
            world.clock.advance(SECOND);
        }
    }
    assert_eq!(folds - 2, 3, "one was asked for every five minutes");

    // One that was started again takes it over.
    decided(&world, &[state(PipeState::Hidden)], 1).await;
    let report = ticker.tick().await.unwrap();
    assert_eq!((report.folds_planned, &*report.problems), (0, &[][..]));
}

/// A retired pipe has no run that would do it, and no other fold is planned
/// past a dead one.
#[tokio::test]
async fn what_a_dead_fold_keeps_from_being_carried_out_is_told_until_somebody_acts() {
    let world = world_at(START);
    let pipe = daily().id;
    decided(&world, &[], 0).await;
    let shadow = scheduler(&world, &[pipe_in(PipeState::Shadow)]);
    assert_eq!(shadow.tick().await.unwrap().folds_planned, 1);
    let fold = JobName::fold_id(&pipe, 1);
    let quiet = shadow.tick().await.unwrap();
    assert_eq!(quiet.problems, [""; 0], "it is under way");
    settle(&world, CRAWL, &fold, JobStatus::Dead).await;
    bury(&world, CRAWL, &fold).await;

    let retired = scheduler(&world, &[pipe_in(PipeState::Retired)]);
    for _ in 0..2 {
        let report = retired.tick().await.unwrap();
        assert_eq!(report.folds_planned, 0);
        let [problem] = &*report.problems else {
            panic!("{:?}", report.problems);
        };
        for part in ["pipe shop", "retired", fold.as_str(), "redrive", "purge"] {
            assert!(problem.contains(part), "{part:?} is not in {problem:?}");
        }
    }
    let ledger = world.ports.jobs();
    ledger.purge(CRAWL, fold.as_str()).await.unwrap();
    let report = retired.tick().await.unwrap();
    assert_eq!((report.folds_planned, &*report.problems), (1, &[][..]));
}

//! Rate, order and interruptions of a redrive.

use std::time::Duration;

use tokio::time::Instant;
use trawler_core::QueueName;
use trawler_core::pause::PauseScope;
use trawler_fleet::dead::{REQUESTS_PER_S, RedriveBoard, RedriveFigures, Stopped};
use trawler_fleet::{Drain, Pauses};

use crate::world::{World, sent};

#[tokio::test(start_paused = true)]
async fn letters_are_redriven_as_fast_as_the_queue_takes_them() {
    const LETTERS: u64 = 15_000;
    let world = World::new(LETTERS as usize).await;
    let began = Instant::now();
    let report = world
        .redrive(&Drain::new(), &RedriveBoard::default())
        .await
        .unwrap();
    let took = began.elapsed();
    let throttled = world.queue.sent.lock().unwrap().throttled;
    let requests = report.figures.requests;
    println!(
        "{LETTERS} letters: {took:?} of virtual time, {requests} requests, {throttled} throttled"
    );
    let expected = RedriveFigures {
        letters: LETTERS,
        sent: LETTERS,
        requests,
        ..RedriveFigures::default()
    };
    assert_eq!(report.figures, expected);
    assert!(requests <= LETTERS / 10 + 20, "{requests}");
    // Ten messages a request, and the backup and the last letters besides.
    let at_best = Duration::from_secs(LETTERS / 10 / u64::from(REQUESTS_PER_S));
    assert!(took <= at_best + Duration::from_secs(5), "{took:?}");
    assert_eq!(world.left(), 0);
    world.check_sent();
    let backup = &report.backups[0];
    assert!(backup.complete && backup.letters == LETTERS, "{backup:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_letters_are_redriven_within_a_minute() {
    const LETTERS: u64 = 100_000;
    const PART: u64 = LETTERS / 5;
    let real = std::time::Instant::now();
    let world = World::new(LETTERS as usize).await;
    let (pauses, drain) = (Pauses::new(&world.ports), Drain::new());
    let began = Instant::now();
    // Paused: it ends in good order, and does not begin again until resumed.
    let board = RedriveBoard::default();
    let scope = PauseScope::Queue(QueueName::Image);
    let pause = async {
        sent(&board, PART).await;
        pauses.pause(&scope, "wait").await.unwrap();
    };
    let (report, ()) = tokio::join!(world.redrive(&drain, &board), pause);
    let report = report.unwrap();
    assert!(matches!(report.stopped, Some(Stopped::Paused(_))));
    assert_eq!(report.figures.left(), world.left() as u64);
    let refused = world
        .redrive(&drain, &RedriveBoard::default())
        .await
        .unwrap();
    assert!(matches!(refused.stopped, Some(Stopped::Paused(_))));
    assert_eq!(refused.figures.sent, 0);
    pauses.resume(&scope).await.unwrap();
    // Dead at a write.
    let board = RedriveBoard::default();
    let kill = async {
        sent(&board, PART).await;
        world.crash.after_writes(77);
    };
    let (report, ()) = tokio::join!(world.redrive(&drain, &board), kill);
    report.unwrap_err();
    world.crash.restart();
    // Told to leave.
    let board = RedriveBoard::default();
    let leave = async {
        sent(&board, PART).await;
        drain.finish();
    };
    let (report, ()) = tokio::join!(world.redrive(&drain, &board), leave);
    assert_eq!(report.unwrap().stopped, Some(Stopped::Drain));
    assert!(world.left() > 0);
    // And to its end.
    let report = world.redrive(&Drain::new(), &RedriveBoard::default()).await;
    assert_eq!(report.unwrap().stopped, None);
    let took = began.elapsed();
    let (requests, throttled) = {
        let sent = world.queue.sent.lock().unwrap();
        (sent.requests, sent.throttled)
    };
    println!(
        "{LETTERS} letters, interrupted three times: {took:?} of virtual time, {requests} requests, {throttled} throttled; {:?} of real time",
        real.elapsed()
    );
    assert_eq!(world.left(), 0);
    world.check_sent();
    assert!(took <= Duration::from_secs(60), "{took:?}");
}

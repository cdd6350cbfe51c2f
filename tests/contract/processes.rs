//! Several processes on one folder, killed with SIGKILL at chosen moments.
//!
//! The test binary runs itself again: [`child_process`] does nothing in an
//! ordinary run and plays the part named in `TRAWLER_CHILD` in a child. Parts
//! say what they have done on lines that begin with `@`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinSet;
use trawler_core::QueueName;
use trawler_core::ports::{Blobs, Outgoing, Put, Queue, State};
use trawler_local::{LocalQueue, LocalStore, QueueOptions, SystemClock};
use trawler_tests::WAIT_MAX;

use crate::blobs::META;
use crate::queue::{message, send_all};
use crate::state::increment;

/// Short, because what a killed worker held really has to come back. Long
/// enough that a live worker on a busy machine seldom loses its lease.
const OPTIONS: QueueOptions = QueueOptions {
    visibility: Duration::from_secs(1),
    receive_count_max: 1000,
};

const GROUPS: usize = 6;
const EACH: usize = 20;
const WORKERS: usize = 3;
const WORKER_KILLS: usize = 10;
const SENDER_KILLS: usize = 6;
const PUTTER_KILLS: usize = 12;
const BLOB_BYTES: usize = 4 * 1024 * 1024;
const COUNTERS: usize = 3;
const COUNTS_EACH: usize = 60;

async fn open(folder: &Path) -> LocalStore {
    let clock = Arc::new(SystemClock::new());
    LocalStore::open(folder, clock).await.unwrap()
}

async fn open_queue(folder: &Path) -> LocalQueue {
    let store = open(folder).await;
    store.queue(QueueName::Image, OPTIONS).unwrap()
}

/// Not a test: the other side of the tests below.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_process() {
    let Ok(part) = std::env::var("TRAWLER_CHILD") else {
        return;
    };
    let folder = std::env::var("TRAWLER_CHILD_FOLDER").unwrap();
    let name = std::env::var("TRAWLER_CHILD_NAME").unwrap();
    let folder = Path::new(&folder);
    match part.as_str() {
        "work" => work(folder).await,
        "hold" => hold(folder).await,
        "send" => send(folder, &name).await,
        "put" => put(folder, &name).await,
        "count" => count(folder).await,
        other => panic!("there is no part {other:?}"),
    }
}

struct Player {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Player {
    fn start(part: &str, folder: &Path, name: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "processes::child_process", "--nocapture"])
            .env("TRAWLER_CHILD", part)
            .env("TRAWLER_CHILD_FOLDER", folder)
            .env("TRAWLER_CHILD_NAME", name)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let out = child.stdout.take().unwrap();
        Self {
            child,
            lines: BufReader::new(out).lines(),
        }
    }

    /// The next thing that the child says it did; `None` when it has ended.
    async fn said(&mut self) -> Option<String> {
        loop {
            let line = tokio::time::timeout(WAIT_MAX, self.lines.next_line())
                .await
                .expect("the child says something or ends")
                .unwrap()?;
            // The harness of the child may have begun the line.
            if let Some((_, said)) = line.split_once('@') {
                return Some(said.to_owned());
            }
        }
    }

    /// SIGKILL; what it had said before is still to be read.
    async fn kill(&mut self) -> Vec<String> {
        self.child.kill().await.unwrap();
        let mut rest = Vec::new();
        while let Some(said) = self.said().await {
            rest.push(said);
        }
        rest
    }

    async fn ended_well(mut self) {
        assert!(self.child.wait().await.unwrap().success());
    }
}

/// Does each message's effect once, checks the order, and acks.
async fn work(folder: &Path) {
    let queue = open_queue(folder).await;
    let effects = folder.join("effects");
    while queue.depth().await.unwrap().total() > 0 {
        for lease in queue.receive(1, Duration::from_secs(1)).await.unwrap() {
            println!("@got {}", lease.body);
            let (group, n) = lease.body.split_once(':').unwrap();
            let n: usize = n.parse().unwrap();
            let effect = |n: usize| effects.join(format!("{group}-{n}"));
            if n > 0 && !effect(n - 1).exists() {
                println!("@disorder {}", lease.body);
            }
            std::fs::write(effect(n), b"done").unwrap();
            println!("@did {}", lease.body);
            if let Err(error) = queue.ack(lease).await {
                assert!(!error.is_transient(), "{error:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_killed_at_work_lose_nothing() {
    let _beside = crate::machine::beside().await;
    let seed = 7;
    println!("seed {seed}");
    let mut rng = SmallRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("effects")).unwrap();
    let queue = open_queue(folder.path()).await;
    let sent: Vec<Outgoing> = (0..EACH)
        .flat_map(|n| (0..GROUPS).map(move |group| message(&format!("g{group}"), n)))
        .collect();
    send_all(&queue, &sent).await;

    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let path = folder.path().to_owned();
        // How many lines each of its lives lasts; the last one to the end.
        let lives: Vec<usize> = (worker..WORKER_KILLS)
            .step_by(WORKERS)
            .map(|_| rng.random_range(1..12))
            .collect();
        workers.spawn(async move {
            let mut said = Vec::new();
            for lines in lives {
                let mut player = Player::start("work", &path, "");
                for _ in 0..lines {
                    said.extend(player.said().await);
                }
                said.extend(player.kill().await);
            }
            let mut player = Player::start("work", &path, "");
            while let Some(line) = player.said().await {
                said.push(line);
            }
            player.ended_well().await;
            said
        });
    }
    let said: Vec<String> = workers.join_all().await.into_iter().flatten().collect();
    let disorder: Vec<&String> = said.iter().filter(|s| s.starts_with("disorder")).collect();
    assert!(disorder.is_empty(), "{disorder:?}");
    for message in &sent {
        let effect = message.body.replace(':', "-");
        assert!(
            folder.path().join("effects").join(&effect).exists(),
            "{effect} is lost"
        );
    }
    assert_eq!(queue.depth().await.unwrap().total(), 0);
    assert!(queue.receive_dead(10).await.unwrap().is_empty());
}

/// So long that only knowing that the holder is dead brings a message back
/// within the time of a test.
const LONG: QueueOptions = QueueOptions {
    visibility: Duration::from_secs(3600),
    receive_count_max: 1000,
};

/// Holds what it receives until it is killed.
async fn hold(folder: &Path) {
    let store = open(folder).await;
    let queue = store.queue(QueueName::Image, LONG).unwrap();
    let held = queue.receive(10, Duration::from_secs(20)).await.unwrap();
    for lease in &held {
        println!("@held {}", lease.body);
    }
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_process_held_comes_back_at_once_and_what_a_live_one_holds_does_not() {
    let _beside = crate::machine::beside().await;
    let folder = tempfile::tempdir().unwrap();
    let here = open(folder.path()).await;
    let queue = here.queue(QueueName::Image, LONG).unwrap();
    send_all(&queue, &[message("mine", 0)]).await;
    let mine = queue.receive(1, Duration::ZERO).await.unwrap().remove(0);
    send_all(&queue, &[message("killed", 0), message("killed", 1)]).await;
    let mut killed = Player::start("hold", folder.path(), "");
    assert_eq!(killed.said().await.as_deref(), Some("held killed:0"));
    assert_eq!(killed.said().await.as_deref(), Some("held killed:1"));
    send_all(&queue, &[message("live", 0)]).await;
    let mut live = Player::start("hold", folder.path(), "");
    assert_eq!(live.said().await.as_deref(), Some("held live:0"));

    // A second store of this process, so that this one's own lease is seen as
    // another's would be.
    let there = open(folder.path()).await;
    let second = there.queue(QueueName::Image, LONG).unwrap();
    let none = second.receive(10, Duration::from_secs(2)).await.unwrap();
    assert!(none.is_empty(), "all three processes live: {none:?}");

    killed.kill().await;
    let (one, other) = tokio::join!(
        second.receive(10, Duration::from_secs(20)),
        queue.receive(10, Duration::from_secs(3)),
    );
    let back: Vec<_> = [one.unwrap(), other.unwrap()]
        .into_iter()
        .flatten()
        .collect();
    let bodies: Vec<&str> = back.iter().map(|lease| lease.body.as_str()).collect();
    assert_eq!(bodies, ["killed:0", "killed:1"], "each once, in order");
    assert!(back.iter().all(|lease| lease.receive_count == 2));
    for lease in back {
        queue.ack(lease).await.unwrap();
    }
    assert_eq!(queue.depth().await.unwrap().in_flight, 2);
    queue.ack(mine).await.unwrap();
    live.kill().await;
    let back = queue.receive(10, Duration::from_secs(20)).await.unwrap();
    assert_eq!(back[0].body, "live:0");
    let files = std::fs::read_dir(folder.path().join("holders")).unwrap();
    assert_eq!(files.count(), 1, "only this process's is left");
}

/// Sends until it is killed, and says what was accepted.
async fn send(folder: &Path, name: &str) {
    let queue = open_queue(folder).await;
    for n in 0.. {
        let batch = [message(name, 2 * n), message(name, 2 * n + 1)];
        send_all(&queue, &batch).await;
        println!("@sent {} {}", batch[0].body, batch[1].body);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_sender_had_accepted_is_there() {
    let _beside = crate::machine::beside().await;
    let folder = tempfile::tempdir().unwrap();
    let mut senders = JoinSet::new();
    for sender in 0..SENDER_KILLS {
        let path = folder.path().to_owned();
        senders.spawn(async move {
            let mut player = Player::start("send", &path, &format!("s{sender}"));
            let mut said = Vec::new();
            for _ in 0..=3 * sender {
                said.extend(player.said().await);
            }
            said.extend(player.kill().await);
            said
        });
    }
    let accepted: Vec<String> = senders
        .join_all()
        .await
        .iter()
        .flatten()
        .flat_map(|line| line.split(' ').skip(1).map(str::to_owned))
        .collect();
    assert!(accepted.len() >= 2 * SENDER_KILLS);

    let queue = open_queue(folder.path()).await;
    let mut there: Vec<String> = Vec::new();
    loop {
        let leases = queue.receive(10, Duration::ZERO).await.unwrap();
        if leases.is_empty() {
            break;
        }
        for lease in leases {
            there.push(lease.body.clone());
            queue.ack(lease).await.unwrap();
        }
    }
    let distinct: BTreeSet<&String> = there.iter().collect();
    assert_eq!(distinct.len(), there.len(), "nothing is there twice");
    for body in &accepted {
        assert!(distinct.contains(body), "{body} is lost");
    }
    for sender in 0..SENDER_KILLS {
        let prefix = format!("s{sender}:");
        let of_one: Vec<&String> = there.iter().filter(|b| b.starts_with(&prefix)).collect();
        let in_order: Vec<String> = (0..of_one.len()).map(|n| format!("{prefix}{n}")).collect();
        assert_eq!(of_one, in_order.iter().collect::<Vec<_>>());
        // Two messages of one send: both or neither.
        assert_eq!(of_one.len() % 2, 0);
    }
}

/// Puts large objects, each named by its content, until it is killed.
async fn put(folder: &Path, name: &str) {
    let blobs = open(folder).await.blobs();
    for n in 0_u8.. {
        let body = Bytes::from(vec![n; BLOB_BYTES]);
        let key = format!("{name}/{n:03}-{}", hex(&body));
        println!("@putting {key}");
        assert_eq!(blobs.put(&key, body, META).await.unwrap(), Put::Created);
        println!("@put {key}");
    }
}

fn hex(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_killed_midway_leaves_nothing_visible() {
    let _beside = crate::machine::beside().await;
    let folder = tempfile::tempdir().unwrap();
    let mut finished = BTreeSet::new();
    for round in 0..PUTTER_KILLS {
        let mut player = Player::start("put", folder.path(), &format!("r{round}"));
        // Odd counts end on "putting": the put has just begun.
        for _ in 0..2 * (round % 3) + 1 {
            finished.extend(player.said().await);
        }
        finished.extend(player.kill().await);
    }
    let blobs = open(folder.path()).await.blobs();
    let listed = blobs.list("", None, 1000).await.unwrap();
    for entry in &listed {
        let body = blobs.get(&entry.key, None).await.unwrap();
        assert_eq!(body.len(), BLOB_BYTES, "{} is not whole", entry.key);
        assert!(
            entry.key.ends_with(&hex(&body)),
            "{} is not itself",
            entry.key
        );
    }
    let visible: BTreeSet<&str> = listed.iter().map(|entry| entry.key.as_str()).collect();
    let put = finished.iter().filter_map(|line| line.strip_prefix("put "));
    for key in put {
        assert!(visible.contains(key), "{key} is lost");
    }
    // A key whose put was cut off can be put again.
    let putting = finished
        .iter()
        .filter_map(|line| line.strip_prefix("putting "));
    for key in putting {
        let again = blobs.put(key, Bytes::from_static(b"again"), META).await;
        let expected = if visible.contains(key) {
            Put::Existed
        } else {
            Put::Created
        };
        assert_eq!(again.unwrap(), expected, "{key}");
    }
}

async fn count(folder: &Path) {
    let state = open(folder).await.state();
    for _ in 0..COUNTS_EACH {
        increment(&state, "counter").await;
    }
    println!("@counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_from_several_processes_lose_none() {
    let _beside = crate::machine::beside().await;
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path()).await.state();
    state.create("counter", b"0").await.unwrap();
    let mut counters: Vec<Player> = (0..COUNTERS)
        .map(|_| Player::start("count", folder.path(), ""))
        .collect();
    for counter in &mut counters {
        assert_eq!(counter.said().await.as_deref(), Some("counted"));
    }
    for counter in counters {
        counter.ended_well().await;
    }
    let read = state.get("counter").await.unwrap().unwrap();
    assert_eq!(read.value, (COUNTERS * COUNTS_EACH).to_string().as_bytes());
}

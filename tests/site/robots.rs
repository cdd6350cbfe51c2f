//! The robots files of a process: how long they are kept, what holds while a
//! host does not answer, and who asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use trawler_core::run::RunPhase;
use trawler_core::verdict::Ending;
use trawler_crawler::site::robots::Availability;
use trawler_crawler::site::robots_files::RobotsFiles;
use trawler_fleet::Drain;
use trawler_net::{Fetcher, NetConfig, Proxy, RetryPolicy};
use trawler_tests::ConnectProxy;

use crate::clock::TestClock;
use crate::desk::{Desk, Made, START, product_page, sitemap, status};
use crate::server::Answer;
use crate::turns;

const AGENT: &str = "Trawler-Test/0.1 (+mailto:a@b.test)";

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// A host whose robots file answers as the test says, with 200 and what it
/// forbids, or with another status.
struct Host {
    made: Made,
    answers: Arc<AtomicU16>,
    files: Arc<RobotsFiles>,
    fetcher: Fetcher,
    clock: TestClock,
}

impl Host {
    fn new(slow: Duration) -> Self {
        let answers = Arc::new(AtomicU16::new(200));
        let told = Arc::clone(&answers);
        let made = Made::start(move |_, _| {
            std::thread::sleep(slow);
            match told.load(Ordering::SeqCst) {
                200 => Answer::of("User-agent: *\nDisallow: /cart\n"),
                code => status(code, Vec::new()),
            }
        });
        let config = NetConfig {
            allow: vec![made.host().parse().unwrap()],
            retry: RetryPolicy::never(),
            ..NetConfig::of(AGENT)
        };
        Self {
            made,
            answers,
            files: Arc::default(),
            fetcher: Fetcher::new(&config).unwrap(),
            clock: TestClock::frozen(START),
        }
    }

    /// What is known, and whether the host was asked for it.
    async fn known(&self) -> (Availability, bool) {
        let before = self.made.requests("/robots.txt");
        let origin = format!("http://{}", self.made.host());
        let file = self.files.of(&self.fetcher, &self.clock, AGENT, &origin);
        let file = file.await;
        let asked = self.made.requests("/robots.txt") > before;
        (file.access.availability(), asked)
    }
}

/// Steps: time that passes, what the host answers then, what is known, and
/// whether it was asked.
async fn check(steps: &[(Duration, u16, Availability, bool)]) {
    let host = Host::new(Duration::ZERO);
    for (at, (passed, answer, known, asked)) in steps.iter().enumerate() {
        host.clock.advance(*passed);
        host.answers.store(*answer, Ordering::SeqCst);
        assert_eq!(host.known().await, (*known, *asked), "step {at}");
    }
}

use Availability::{Found, Unavailable, Unreachable};

#[tokio::test]
async fn a_robots_file_is_kept_for_less_than_a_day() {
    check(&[
        (Duration::ZERO, 200, Found, true),
        (Duration::ZERO, 200, Found, false),
        (11 * HOUR, 200, Found, false),
        // By then it is asked for again, and says another thing.
        (13 * HOUR, 404, Unavailable, true),
        (11 * HOUR, 200, Unavailable, false),
        (13 * HOUR, 200, Found, true),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_host_answers_to_one_address_is_not_taken_for_its_answer_to_another() {
    let mut host = Host::new(Duration::ZERO);
    let at = host.made.host();
    let proxy = ConnectProxy::leading(&[(&at, at.parse().unwrap())]).await;
    let config = NetConfig {
        allow: vec![
            at.parse().unwrap(),
            proxy.addr().to_string().parse().unwrap(),
        ],
        retry: RetryPolicy::never(),
        ..NetConfig::of(AGENT)
    };
    let direct = Fetcher::new(&config).unwrap();
    // As one that lets in one address alone: to others it has nothing to say.
    host.answers.store(404, Ordering::SeqCst);
    host.fetcher = direct.clone();
    assert_eq!(host.known().await, (Unavailable, true));
    host.answers.store(200, Ordering::SeqCst);
    let url = format!("http://{}", proxy.addr());
    for asked in [true, false] {
        host.fetcher = direct.through(Proxy::new(&url).unwrap());
        assert_eq!(host.known().await, (Found, asked));
    }
    host.fetcher = direct;
    assert_eq!(host.known().await, (Unavailable, false));
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_asked_again_after_ten_minutes() {
    check(&[
        (Duration::ZERO, 500, Unreachable, true),
        (9 * MINUTE, 200, Unreachable, false),
        (2 * MINUTE, 503, Unreachable, true),
        (9 * MINUTE, 200, Unreachable, false),
        (2 * MINUTE, 200, Found, true),
        (11 * MINUTE, 500, Found, false),
    ])
    .await;
}

/// For a day at most: then nobody knows any more what it says.
#[tokio::test]
async fn while_a_host_does_not_answer_its_last_answer_holds() {
    check(&[
        (Duration::ZERO, 200, Found, true),
        (13 * HOUR, 500, Found, true),
        (9 * MINUTE, 500, Found, false),
        (2 * MINUTE, 500, Found, true),
        (11 * HOUR, 500, Unreachable, true),
        (9 * MINUTE, 200, Unreachable, false),
        (2 * MINUTE, 200, Found, true),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_need_a_file_one_asks() {
    let host = Arc::new(Host::new(Duration::from_millis(200)));
    let asking = (0..30).map(|_| {
        let host = Arc::clone(&host);
        tokio::spawn(async move { host.known().await.0 })
    });
    for known in asking.collect::<Vec<_>>() {
        assert_eq!(known.await.unwrap(), Found);
    }
    assert_eq!(host.made.requests("/robots.txt"), 1);
}

/// One of the shop's hosts does not say what it allows: its pages are left, and
/// the run knows that it did not see them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_a_host_whose_robots_file_does_not_come_are_left_and_told() {
    let _beside = turns::beside().await;
    let page = |path: &str| product_page(path.trim_start_matches('/'), path);
    let other = Made::start(move |path, _| match path {
        "/robots.txt" => status(503, Vec::new()),
        _ => page(path),
    });
    let there = other.url("").replace("127.0.0.1", "localhost");
    let made = Made::start(move |path, _| match path {
        "/robots.txt" => Answer::not_found(),
        "/sitemap.xml" => {
            let here = (0..20).map(|n| format!("/here-{n}"));
            sitemap(here.chain((0..5).map(|n| format!("{there}/there-{n}"))))
        }
        _ => page(path),
    });
    let fetch = "rate_per_s = 1000.0";
    let desk = Desk::new(&made, &[&other], fetch, "hosts = [\"localhost\"]\n").await;
    assert_eq!(desk.deliver(&Drain::new()).await, Ending::Done);
    let run = desk.run().await;
    assert_eq!(run.phase, RunPhase::Finished, "{run:?}");
    let told = run.incomplete.join("; ");
    let says = "5 not asked for because robots.txt was unreachable";
    assert!(told.contains(says) && told.contains("there-0"), "{told}");
    assert_eq!(run.counts.inserts, 20, "{run:?}");
    let asked = other.asked("/");
    assert!(
        asked.keys().all(|path| path == "/robots.txt") && !asked.is_empty(),
        "{asked:?}"
    );
}

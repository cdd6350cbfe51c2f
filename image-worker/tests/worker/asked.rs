//! How partners are asked for images: with what they are to get and nothing
//! more, and by all jobs of a pipe together no faster than it says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use trawler_core::pipe::{FeedAuth, HttpSource, Source};
use trawler_core::secret::{SecretRef, SecretText};
use trawler_core::verdict::Ending;
use trawler_shop::{Fault, Seen};

use crate::bench::path;
use crate::world::*;

fn images(world: &World) -> Vec<Seen> {
    let seen = world.shop.seen().into_iter();
    seen.filter(|seen| seen.path().starts_with("/img/"))
        .collect()
}

fn reference(text: &str) -> SecretText {
    SecretText::Reference(text.parse::<SecretRef>().unwrap())
}

/// A pipe with all that it can send.
async fn talkative() -> World {
    let mut world = World::start(shop_of(2)).await;
    world.pipe.fetch.auth = Some(FeedAuth::Bearer {
        token: reference("env:TOKEN"),
    });
    world.pipe.fetch.headers = BTreeMap::from([
        ("X-Api-Key".to_owned(), reference("env:KEY")),
        ("X-Shop".to_owned(), SecretText::Literal("plain".to_owned())),
    ]);
    world.pipe.images.referer = Some("http://shop.test/page".parse().unwrap());
    world.pipe.images.user_agent = Some("Own-Agent/1.0".to_owned());
    world.secrets = Arc::new(Known);
    world
}

#[tokio::test]
async fn images_of_the_pipes_own_host_are_asked_for_as_its_feed_is() {
    let world = talkative().await;
    world.done(&world.job(0, world.tasks(0))).await;
    let seen = images(&world);
    assert_eq!(seen.len(), 2);
    for seen in seen {
        assert_eq!(seen.authorization.as_deref(), Some("Bearer secret"));
        assert_eq!(seen.custom["x-api-key"], "secret");
        assert_eq!(seen.custom["x-shop"], "plain");
        assert_eq!(seen.user_agent.as_deref(), Some("Own-Agent/1.0"));
        // Another host sees the origin alone, as always.
        assert_eq!(seen.referer.as_deref(), Some("http://shop.test/"));
    }
    world.shop.stop().await;
}

#[tokio::test]
async fn credentials_go_to_the_pipes_own_host_alone() {
    let mut world = talkative().await;
    let other = World::start(shop_of(2)).await;
    world.allow.push(other.shop.addr());
    // An image on another host, and one whose host sends us there.
    let mut tasks = world.tasks(0);
    let elsewhere = other.tasks(0);
    world
        .shop
        .misbehave(path(&tasks[0]), Fault::RedirectTo(elsewhere[0].url.clone()));
    tasks[1].url.clone_from(&elsewhere[1].url);
    world.done(&world.job(0, tasks)).await;
    assert_eq!(images(&world).len(), 1);
    assert!(images(&world)[0].authorization.is_some());
    let seen = images(&other);
    assert_eq!(seen.len(), 2);
    for seen in seen {
        assert_eq!(seen.authorization, None);
        assert!(seen.custom.is_empty(), "{:?}", seen.custom);
        assert_eq!(seen.user_agent.as_deref(), Some("Own-Agent/1.0"));
    }
    // Of a job whose host gets none, nobody asks for the secrets.
    world.secrets = Arc::new(NoSecrets);
    let job = world.job(1, other.tasks(0));
    assert_eq!(world.deliver(&job, 0).await, Ending::Done);
    let job = world.job(2, world.tasks(0));
    assert!(matches!(world.deliver(&job, 0).await, Ending::Failed(_)));
    world.shop.stop().await;
    other.shop.stop().await;
}

/// Answers every request with a cookie and no image; gives back the cookies
/// that came, request by request.
async fn baker() -> (SocketAddr, Arc<Mutex<Vec<Option<String>>>>, AbortOnDrop) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let came = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&came);
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let cookie = head.lines().find_map(|line| line.strip_prefix("cookie: "));
            seen.lock().unwrap().push(cookie.map(str::to_owned));
            let answer = "HTTP/1.1 404 Not Found\r\nset-cookie: seen=1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, came, AbortOnDrop(task.abort_handle()))
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[tokio::test]
async fn cookies_of_a_host_come_back_to_it_within_a_job_if_the_pipe_says_so() {
    let check = async |cookies: bool, expected: [Option<&str>; 3]| {
        let (address, came, _server) = baker().await;
        let mut world = World::start(shop_of(1)).await;
        world.fetches = 1;
        world.allow.push(address);
        world.pipe.fetch.cookies = cookies;
        let tasks = (0..3).map(|n| task("p", &format!("http://{address}/img/{n}.jpg")));
        world.done(&world.job(0, tasks.collect())).await;
        let came = came.lock().unwrap().clone();
        let came: Vec<Option<&str>> = came.iter().map(|cookie| cookie.as_deref()).collect();
        assert_eq!(came, expected);
        world.shop.stop().await;
    };
    check(true, [None, Some("seen=1"), Some("seen=1")]).await;
    check(false, [None; 3]).await;
}

#[tokio::test]
async fn eight_jobs_at_once_keep_the_bound_of_their_pipe_together() {
    let mut world = World::start(shop_of(48)).await;
    world.pipe.fetch.concurrency = 3;
    world
        .shop
        .misbehave("/img/", Fault::Delay(Duration::from_millis(10)));
    // One worker, so that its fetcher is the one of all jobs.
    let worker = Arc::new(world.worker());
    let tasks = world.tasks(0);
    let world = Arc::new(world);
    let mut jobs = tokio::task::JoinSet::new();
    for (n, tasks) in (0..).zip(tasks.chunks(6)) {
        let (world, worker) = (Arc::clone(&world), Arc::clone(&worker));
        let job = world.job(n, tasks.to_vec());
        jobs.spawn(async move { world.deliver_to(&worker, &job, 0).await });
    }
    assert_eq!(jobs.join_all().await, vec![Ending::Done; 8]);
    let seen = images(&world);
    assert_eq!(seen.len(), 48);
    let most = seen.iter().map(|seen| seen.in_flight).max();
    assert_eq!(most, Some(3));
}

#[tokio::test]
async fn jobs_at_once_keep_the_rate_of_their_pipe_together() {
    let mut world = World::start(shop_of(20)).await;
    world.pipe.fetch.rate_per_s = 50.0;
    let worker = Arc::new(world.worker());
    let tasks = world.tasks(0);
    let world = Arc::new(world);
    let mut jobs = tokio::task::JoinSet::new();
    for (n, tasks) in (0..).zip(tasks.chunks(5)) {
        let (world, worker) = (Arc::clone(&world), Arc::clone(&worker));
        let job = world.job(n, tasks.to_vec());
        jobs.spawn(async move { world.deliver_to(&worker, &job, 0).await });
    }
    assert_eq!(jobs.join_all().await, vec![Ending::Done; 4]);
    let mut at: Vec<Duration> = images(&world).iter().map(|seen| seen.at).collect();
    at.sort();
    assert_eq!(at.len(), 20);
    let took = at[19] - at[0];
    // Nineteen intervals of 20 ms; a request may be late, and the next is not.
    assert!(took >= Duration::from_millis(19 * 20 - 10), "{took:?}");
}

#[tokio::test]
async fn a_pipe_whose_source_is_no_web_server_has_no_credentials_to_send() {
    let mut world = talkative().await;
    let url = "https://elsewhere.test/feed".parse().unwrap();
    world.pipe.source = Source::Http(HttpSource { url });
    world.secrets = Arc::new(NoSecrets);
    world.done(&world.job(0, world.tasks(0))).await;
    assert!(images(&world).iter().all(|s| s.authorization.is_none()));
    world.shop.stop().await;
}

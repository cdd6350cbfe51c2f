//! The credentials of a site pipe, asserted from the shop's own log: they
//! arrive where the pipe's pages are, and nowhere else.

use std::collections::BTreeSet;
use std::time::Duration;

use trawler_shop::{DayChange, Seen, ShopSpec, SiteSpec, Trap};

use crate::child::Running;
use crate::rows::{assert_exact, found, truth};
use crate::server::{Answer, Server};
use crate::shops::{PIPE, Says, World, by_everything, plain};
use crate::turns;

const RUN_MAX: Duration = Duration::from_secs(60);

/// `[fetch]` of a pipe, where `{secret}` is the file of the secret, and what
/// every request to the shop has to carry.
struct Kind {
    fetch: &'static str,
    authorization: Option<&'static str>,
    header: Option<&'static str>,
}

const KINDS: [Kind; 3] = [
    Kind {
        fetch: "auth = { kind = \"basic\", user = \"ann\", password = \"file:{secret}\" }\n",
        // ann:open-sesame
        authorization: Some("Basic YW5uOm9wZW4tc2VzYW1l"),
        header: None,
    },
    Kind {
        fetch: "auth = { kind = \"bearer\", token = \"file:{secret}\" }\n",
        authorization: Some("Bearer open-sesame"),
        header: None,
    },
    Kind {
        fetch: "headers = { X-Api-Key = \"file:{secret}\" }\n",
        authorization: None,
        header: Some("open-sesame"),
    },
];

/// A shop whose pages lead to these places, by links and by redirects.
fn leading_to(seed: u64, places: &[String]) -> ShopSpec {
    let mut traps: Vec<Trap> = places
        .iter()
        .map(|place| Trap::RedirectTo(format!("{place}/redirected")))
        .collect();
    let links = places.iter().map(|place| format!("{place}/linked"));
    traps.push(Trap::Links(links.collect()));
    ShopSpec {
        day_change: DayChange::NONE,
        site: SiteSpec {
            traps,
            ..SiteSpec::PLAIN
        },
        ..plain("credentials", seed, 60)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_08_credentials_arrive_at_home_and_nowhere_else() {
    let _beside = turns::beside().await;
    for (seed, kind) in (520..).zip(KINDS) {
        let elsewhere = Server::start(|path| match path {
            "/robots.txt" => Answer::not_found(),
            "/sitemap.xml" => Answer::of("<urlset></urlset>"),
            _ => Answer::of("<html><body>another port</body></html>"),
        });
        // The shop's address with another port, and another name of it.
        let port = elsewhere.url("");
        let name = port.replace("127.0.0.1", "localhost");
        let places = [port.clone(), name.clone()];
        let world = World::start(leading_to(seed, &places), |model| {
            Says::of(by_everything(model))
        })
        .await;
        let secret = world.folder.path().join("secret");
        std::fs::write(&secret, "open-sesame\n").unwrap();
        let by_name = world
            .shop
            .addr()
            .to_string()
            .replace("127.0.0.1", "localhost");
        world.write(&Says {
            allow: vec![
                elsewhere.host(),
                elsewhere.host().replace("127.0.0.1", "localhost"),
                by_name.clone(),
            ],
            fetch: kind
                .fetch
                .replace("{secret}", &secret.display().to_string()),
            site: format!(
                "hosts = [\"localhost\"]\nurls = [\"http://{by_name}/notice/9\"]\n\
                 sitemaps = [\"{}\", \"{port}/sitemap.xml\", \"{name}/sitemap.xml\"]\n{}",
                world.shop.url("/sitemap.xml"),
                by_everything(world.model())
            ),
            ..Says::of("")
        });
        let ended = Running::start(&world.folder, &["run", "--once", "--pipe", PIPE]).end(RUN_MAX);
        ended.with_code(0);
        let rows = found(&world.folder, PIPE);
        assert_exact(&rows, &truth(world.model(), 0), kind.fetch);
        check_shop(
            &world.shop.seen(),
            &world.shop.addr().to_string(),
            &by_name,
            &kind,
        );
        let heads = elsewhere.heads();
        for path in ["/sitemap.xml", "/linked", "/redirected"] {
            for place in &places {
                let host = place.trim_start_matches("http://");
                let is_there = heads.split("get ").any(|head| {
                    head.starts_with(&format!("{path} ")) && head.contains(&format!("host: {host}"))
                });
                assert!(is_there, "{place}{path} is not in {heads}");
            }
        }
        for word in ["authorization", "x-api-key", "sesame", "yw5uom9w"] {
            assert!(!heads.contains(word), "{word} is in {heads}");
        }
        world.shop.stop().await;
    }
}

/// Every request to the shop carries them; those for robots.txt, whose answer
/// is every pipe's, and those by another name of the shop's do not.
#[track_caller]
fn check_shop(seen: &[Seen], home: &str, by_name: &str, kind: &Kind) {
    let (mut at_home, mut by_other_name) = (0, 0);
    for seen in seen {
        let found = (
            seen.authorization.as_deref(),
            seen.custom.get("x-api-key").map(String::as_str),
        );
        let host = seen.host.as_deref().unwrap_or_default();
        if host == home && seen.path() != "/robots.txt" {
            assert_eq!(found, (kind.authorization, kind.header), "{seen:?}");
            at_home += 1;
        } else {
            assert_eq!(found, (None, None), "{seen:?}");
            by_other_name += u32::from(host == by_name && seen.path() == "/notice/9");
        }
    }
    let hosts: BTreeSet<&str> = seen
        .iter()
        .filter_map(|seen| seen.host.as_deref())
        .collect();
    assert!(at_home > 60, "{at_home} requests at home, {hosts:?}");
    assert_eq!(by_other_name, 1, "{hosts:?}");
}

//! What people ask of a fleet that works: dead letters looked at, kept, sent
//! again and thrown away, a pipe paused and resumed, a partner's maintenance
//! window declared and taken back. What each command does in every case is for
//! the journeys on one machine; here the processes of a fleet have to hear it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use trawler_core::PipeId;
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_fleet::Ports;
use trawler_shop::{Fault, FeedFormat, Shop, ShopSpec};

use crate::cloud::{self, Site};
use crate::crew::{End, Member, Role};
use crate::outcome;
use crate::support::pipe;
use crate::wait::wait_for;

const PRODUCTS: u32 = 30;

const VISIBILITY: Duration = Duration::from_secs(10);

const TUNING: &str = "[queue]
kind = \"sqs\"
crawl_visibility_s = 10
image_visibility_s = 10

[workers]
poll_s = 1

[scheduler]
tick_ms = 500
";

const NO_IMAGES: &str = "[images]\ncollect = false\n";

const WORK_MAX: Duration = Duration::from_secs(90);

/// A shop that has moved, until it is mended.
const MOVED: Fault = Fault::Status {
    code: 404,
    retry_after_s: None,
};

/// The partners, and what is to become of their runs.
struct Town {
    sound: Shop,
    poison: Shop,
    rotten: Shop,
    still: Shop,
    inn: Shop,
}

impl Town {
    async fn start() -> Self {
        let shop = async |seed: u64| {
            let spec = ShopSpec {
                format: FeedFormat::NaverEp,
                ..ShopSpec::new(format!("shop {seed}"), seed, PRODUCTS)
            };
            Shop::start(spec).await.unwrap()
        };
        Self {
            sound: shop(61).await,
            poison: shop(62).await,
            rotten: shop(63).await,
            still: shop(64).await,
            inn: shop(65).await,
        }
    }

    fn all(&self) -> [(&str, &Shop); 5] {
        [
            ("sound", &self.sound),
            ("poison", &self.poison),
            ("rotten", &self.rotten),
            ("still", &self.still),
            ("inn", &self.inn),
        ]
    }

    fn hosts(&self) -> Vec<String> {
        self.all().map(|(_, shop)| shop.addr().to_string()).into()
    }

    /// Pipes that are due once.
    fn pipes(&self) -> Vec<(String, String)> {
        let feed = "format = \"naver-ep\"\nmode = \"full\"";
        let text = |(id, shop): (&str, &Shop)| {
            let text = pipe(&shop.feed_url(), feed, NO_IMAGES);
            (id.to_owned(), text.replace("15 3 * * *", "* * 1 1 *"))
        };
        self.all().map(text).into()
    }
}

/// The one job of a pipe.
async fn job(ports: &Ports, pipe: &str) -> Option<JobRecord> {
    let pipe = PipeId::parse(pipe).unwrap();
    let jobs = outcome::jobs(ports).await;
    let found = jobs.iter().find(|job| job.pipe == pipe);
    found.map(|job| JobRecord::clone(job))
}

async fn becomes(ports: &Ports, pipe: &str, status: JobStatus) {
    let what = format!("the run of {pipe} {status:?}");
    wait_for(&what, WORK_MAX, async || {
        job(ports, pipe)
            .await
            .is_some_and(|job| job.status == status)
    })
    .await;
}

fn letters(site: &Site, args: &[&str]) -> Vec<Value> {
    let args = [&["dlq", "list", "--json"], args].concat();
    let listed = site.trawler(&args).json();
    listed["letters"].as_array().unwrap().clone()
}

/// The catalogue has what the shop sells.
fn check_collected(site: &Site, pipe: &str, shop: &Shop) {
    let args = ["products", "--pipe", pipe, "--limit", "1000", "--json"];
    let printed = site.trawler(&args).json();
    let rows = printed["products"].as_array().unwrap();
    let found: BTreeSet<(String, String)> = rows
        .iter()
        .map(|row| (text(row, "id"), text(row, "title")))
        .collect();
    let sold = shop.products(0).into_iter();
    let sold: BTreeSet<_> = sold.map(|product| (product.id, product.title)).collect();
    assert_eq!(found, sold, "{pipe}");
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_ask_for_reaches_a_fleet_that_works() {
    let _beside = cloud::beside().await;
    let town = Town::start().await;
    let site = Site::create("people", &town.hosts(), TUNING).await;
    let ports = site.ports(VISIBILITY, VISIBILITY).await;
    town.poison.misbehave("/feed/", MOVED);
    town.rotten.misbehave("/feed/", MOVED);
    site.publish(&town.pipes());
    site.trawler(&["pause", "--pipe", "still", "--reason", "moving"]);
    let window = ["--pipe", "inn", "--until", "1h", "--reason", "inventory"];
    site.trawler(&[&["maintenance", "add"], &window[..]].concat());
    let mut crew = Vec::new();
    for role in [Role::Schedule, Role::Crawl] {
        crew.push(Member::start(&site, role, role.as_str()).await);
    }
    for (pipe, status) in [
        ("sound", JobStatus::Done),
        ("poison", JobStatus::Dead),
        ("rotten", JobStatus::Dead),
        ("still", JobStatus::Parked),
        ("inn", JobStatus::Parked),
    ] {
        becomes(&ports, pipe, status).await;
    }
    for shop in [&town.still, &town.inn] {
        assert_eq!(shop.stats().requests(), 0, "it was asked");
    }
    check_dead_letters(&site, &ports, &town).await;
    check_waiting(&site, &ports, &town).await;

    let ended = [
        ("sound", JobStatus::Done),
        ("poison", JobStatus::Done),
        ("rotten", JobStatus::Dead),
        ("still", JobStatus::Done),
        ("inn", JobStatus::Done),
    ];
    for (pipe, status) in ended {
        let job = job(&ports, pipe).await.unwrap();
        assert_eq!((job.status, job.crashes), (status, 0), "{job:?}");
    }
    check_collected(&site, "sound", &town.sound);
    for member in &mut crew {
        assert_eq!(member.ended(), None, "a {} has left", member.role);
        member.terminate();
        assert_eq!(member.wait(WORK_MAX).await, End::Left(0));
    }
    site.check_panics();
    for shop in [town.sound, town.poison, town.rotten, town.still, town.inn] {
        shop.stop().await;
    }
}

/// Two runs are buried. One is sent again when its shop is mended, the other
/// thrown away; copies of both are kept first.
async fn check_dead_letters(site: &Site, ports: &Ports, town: &Town) {
    let pipes = |letters: &[Value]| -> BTreeSet<String> {
        letters.iter().map(|letter| text(letter, "pipe")).collect()
    };
    let both: BTreeSet<String> = ["poison", "rotten"].map(str::to_owned).into();
    assert_eq!(pipes(&letters(site, &[])), both);
    let poison = letters(site, &["--pipe", "poison"]);
    let dead = text(&poison[0], "job");
    let shown = site.trawler(&["dlq", "show", &dead, "--json"]).json();
    assert_eq!(shown[0]["decoded"]["job"]["run"], dead, "{shown:#}");
    let letter = &shown[0]["letter"];
    assert_eq!(letter["input"]["facts"]["source"], town.poison.feed_url());
    assert!(text(letter, "reason").contains("404"), "{letter:#}");

    let args = ["dlq", "backup", "--all", "--by", "ann", "--json"];
    site.trawler(&args);
    let kept = site.trawler(&["dlq", "backup", "--list", "--json"]).json();
    let kept = kept.as_array().unwrap();
    assert_eq!(kept.len(), 1, "{kept:#?}");
    assert_eq!(
        (&kept[0]["letters"], &kept[0]["by"]),
        (&2.into(), &"ann".into())
    );
    let csv = ports.blobs.get(&text(&kept[0], "file"), None).await;
    let csv = String::from_utf8(csv.unwrap().to_vec()).unwrap();
    for pipe in &both {
        assert!(csv.contains(&format!("{pipe}@")), "{csv}");
    }

    town.poison.heal();
    let args = ["dlq", "redrive", "--pipe", "poison", "--json"];
    let redriven = site.trawler(&args).json();
    assert_eq!(redriven["sent"], 1, "{redriven:#}");
    becomes(ports, "poison", JobStatus::Done).await;
    check_collected(site, "poison", &town.poison);
    assert_eq!(pipes(&letters(site, &[])), ["rotten".to_owned()].into());

    let asked = town.rotten.stats().requests();
    let args = ["dlq", "purge", "--pipe", "rotten", "--by", "bob", "--json"];
    let purged = site.trawler(&args).json();
    assert_eq!(
        (&purged["purged"], &purged["by"]),
        (&1.into(), &"bob".into())
    );
    assert!(letters(site, &[]).is_empty());
    assert_eq!(town.rotten.stats().requests(), asked, "it was asked again");
}

/// What is paused and what a window holds back goes on when it may.
async fn check_waiting(site: &Site, ports: &Ports, town: &Town) {
    let told = site.trawler(&["status", "--json"]).json();
    assert_eq!(told["queues"]["crawl"]["jobs"]["parked"], 2, "{told:#}");
    let paused = told["paused"].as_array().unwrap();
    assert_eq!(paused.len(), 1, "{told:#}");
    site.trawler(&["resume", "--pipe", "still"]);
    becomes(ports, "still", JobStatus::Done).await;
    check_collected(site, "still", &town.still);
    assert_eq!(town.inn.stats().requests(), 0, "it was asked");

    let listed = site.trawler(&["maintenance", "list", "--json"]).json();
    let windows = listed["declared"].as_array().unwrap();
    assert_eq!(windows.len(), 1, "{listed:#}");
    assert_eq!(windows[0]["reason"], "inventory");
    let id = text(&windows[0], "id");
    let off = site.trawler(&["maintenance", "remove", &id, "--json"]);
    assert_eq!(off.json()["woken"], 1);
    becomes(ports, "inn", JobStatus::Done).await;
    check_collected(site, "inn", &town.inn);
}

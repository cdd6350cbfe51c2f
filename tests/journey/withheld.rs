//! What nobody is shown: shadow, hidden and retired pipes, and blocked products.
//! They leave products and changes within seconds and without a crawl, stay out
//! whatever later runs bring, and come back as they are by then.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use trawler_shop::{DayChange, FeedFormat, Shop, ShopSpec};
use trawler_tests::until;

use crate::look::{NO_IMAGES, assert_same, feed_table, text, truth};
use crate::support::{Ended, Folder, pipe};

/// Longest that a decision about a small pipe may take, on a machine under
/// load: what it is held against is a crawl that it does not wait for.
const WITHIN: Duration = Duration::from_secs(20);

struct World {
    shop: Shop,
    folder: Folder,
    /// How far the change feed is read.
    read: String,
}

impl World {
    async fn new(head: &str) -> Self {
        let shop = Shop::start(ShopSpec {
            format: FeedFormat::JsonLines,
            day_change: DayChange {
                changed_share: 0.3,
                ..DayChange::NONE
            },
            ..ShopSpec::new("withheld", 17, 40)
        });
        let shop = shop.await.unwrap();
        let folder = Folder::new(&[shop.addr().to_string()], "");
        let world = Self {
            shop,
            folder,
            read: "0".to_owned(),
        };
        world.file(head);
        world
    }

    /// The pipe file, with these keys before its tables.
    fn file(&self, head: &str) {
        let feed = feed_table(FeedFormat::JsonLines);
        let text = pipe(&self.shop.feed_url(), &feed, NO_IMAGES);
        self.folder.pipe("shop", &format!("{head}\n{text}"));
    }

    fn runs(&self) -> Value {
        self.folder.run_pipe("shop").with_code(0);
        self.folder.last_run("shop")
    }

    /// A command that takes no longer than it may, and asks the shop nothing.
    fn does(&self, args: &[&str]) -> Ended {
        let (asked, began) = (self.shop.stats().requests(), Instant::now());
        let ended = self.folder.trawler(args).with_code(0);
        assert!(began.elapsed() < WITHIN, "{args:?}: {:?}", began.elapsed());
        assert_eq!(self.shop.stats().requests(), asked, "{args:?}");
        ended
    }

    /// Ids that the change feed tells of since the last look, by kind.
    fn told(&mut self) -> Vec<(String, String)> {
        let (changes, next) = self.folder.changes(&self.read);
        self.read = next;
        let changes = changes.iter();
        changes
            .map(|change| (text(change, "_change_type"), text(change, "id")))
            .collect()
    }

    /// All of the pipe's ids came or went at once.
    fn all_are(&mut self, kind: &str) {
        let told: BTreeSet<(String, String)> = self.told().into_iter().collect();
        let ids = self.shop.products(0).into_iter();
        let expected: BTreeSet<_> = ids.map(|p| (kind.to_owned(), p.id)).collect();
        assert_eq!(told, expected);
    }

    fn stands_as(&self, day: u32) {
        assert_same(&self.folder.told("shop"), &truth(self.shop.products(day)));
    }

    fn shows_nothing(&self) {
        assert!(self.folder.rows("shop").is_empty());
    }

    /// Every stored row, withheld or not, and why it is.
    fn stored(&self) -> Vec<(String, String)> {
        let args = [
            "products", "--pipe", "shop", "--limit", "1000", "--all", "--json",
        ];
        let printed = self.folder.trawler(&args).with_code(0).json();
        let rows = printed["products"].as_array().unwrap().iter();
        rows.map(|row| (text(row, "id"), text(row, "withheld")))
            .collect()
    }

    fn stored_as(&self, why: &str) {
        let stored = self.stored();
        assert_eq!(stored.len(), self.shop.products(0).len());
        assert!(stored.iter().all(|(_, of)| of == why), "{stored:?}");
    }

    /// Has the last input read once more by a process that is up already.
    async fn is_read_again_by_who_is_up(&self) {
        let planned = self.does(&["reprocess", "--pipe", "shop", "--json"]).json();
        until("the input is read once more", || {
            let run = self.folder.last_run("shop");
            run["id"] == planned["run"] && run["phase"] == "finished"
        })
        .await;
    }

    fn listed(&self) -> Value {
        let printed = self.folder.trawler(&["pipes", "--json"]).with_code(0);
        printed.json()[0].clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hidden_pipe_is_out_within_seconds_is_collected_on_and_comes_back_as_it_is() {
    let mut world = World::new("").await;
    world.runs();
    world.all_are("insert");
    let first_seen = world.folder.rows("shop");

    let why = "--why=counterfeits";
    let hidden = world.does(&["pipe", "hide", "shop", why, "--by", "ann"]);
    assert!(hidden.stdout.contains("pipe shop is hidden"), "{hidden:?}");
    assert!(hidden.stdout.contains("40 product(s)"), "{hidden:?}");
    world.shows_nothing();
    world.all_are("delete");
    world.stored_as("hidden");
    assert_eq!(world.listed()["state"], "hidden");
    let again = world.does(&["pipe", "hide", "shop"]);
    assert!(again.stdout.contains("hidden already"), "{again:?}");

    // Collected as ever, and nobody hears of it.
    world.shop.set_day(1);
    let run = world.runs();
    assert!(run["counts"]["updates"].as_u64() > Some(0), "{run:#}");
    assert_eq!(run["counts"]["deletes"], 0, "{run:#}");
    world.shows_nothing();
    assert_eq!(world.told(), []);

    let shown = world.does(&["pipe", "show", "shop", "--by", "kim"]);
    assert!(shown.stdout.contains("pipe shop is live"), "{shown:?}");
    world.stands_as(1);
    world.all_are("insert");
    for (id, row) in world.folder.rows("shop") {
        assert_eq!(row["first_seen"], first_seen[&id]["first_seen"]);
    }
    let trail = world.does(&["pipe", "decisions", "shop", "--json"]).json();
    let told: Vec<String> = trail.as_array().unwrap().iter().map(said).collect();
    assert_eq!(told, ["show by kim ", "hide by ann counterfeits"]);
}

fn said(entry: &Value) -> String {
    let text = |key: &str| text(entry, key);
    format!("{} by {} {}", text("act"), text("by"), text("why"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retired_pipe_is_not_collected_until_it_is_shown_again() {
    let mut world = World::new("").await;
    world.runs();
    world.all_are("insert");
    world.does(&["pipe", "retire", "shop", "--why", "they closed"]);
    world.all_are("delete");
    world.stored_as("retired");
    let asked = world.shop.stats().requests();
    let refused = world.folder.run_pipe("shop").with_code(2);
    assert!(
        refused.stderr.contains("is retired and not collected"),
        "{refused:?}"
    );
    // A day later it is due, and nothing is planned.
    let ended = world
        .folder
        .hours_later(48, &["run", "--once"])
        .with_code(0);
    assert!(ended.stdout.contains("nothing was due"), "{ended:?}");
    assert_eq!(world.folder.runs("shop").len(), 1);
    assert_eq!(world.shop.stats().requests(), asked);
    world.does(&["pipe", "show", "shop"]);
    world.all_are("insert");
    world.shop.set_day(1);
    world.runs();
    world.stands_as(1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipe_goes_from_draft_by_shadow_to_live_and_to_its_end_by_its_file() {
    let mut world = World::new("state = \"draft\"").await;
    world.folder.trawler(&["check"]).with_code(0);
    let refused = world.folder.run_pipe("shop").with_code(2);
    assert!(
        refused.stderr.contains("is draft and not collected"),
        "{refused:?}"
    );
    let ended = world.folder.trawler(&["run", "--once"]).with_code(0);
    assert!(ended.stdout.contains("nothing was due"), "{ended:?}");
    assert_eq!(world.shop.stats().requests(), 0);

    world.file("state = \"shadow\"");
    world.runs();
    world.shop.set_day(1);
    world.runs();
    world.shows_nothing();
    assert_eq!(world.told(), []);
    world.stored_as("shadow");
    // No word of a person goes further than the file.
    let shown = world.does(&["pipe", "show", "shop"]);
    assert!(shown.stdout.contains("its file says state"), "{shown:?}");
    world.shows_nothing();

    // From now on what the file says is carried out by the next tick.
    for (state, kind) in [("live", "insert"), ("hidden", "delete"), ("live", "insert")] {
        world.file(&format!("state = \"{state}\""));
        let asked = world.shop.stats().requests();
        world.folder.trawler(&["run", "--once"]).with_code(0);
        assert_eq!(world.shop.stats().requests(), asked, "{state}");
        world.all_are(kind);
    }
    world.stands_as(1);
    // A draft says nothing of what an earlier state let in.
    world.file("state = \"draft\"");
    world.folder.trawler(&["run", "--once"]).with_code(0);
    world.stands_as(1);
    world.file("state = \"retired\"");
    world.folder.trawler(&["run", "--once"]).with_code(0);
    world.all_are("delete");
    world.stored_as("retired");
    let trail = world.does(&["pipe", "decisions", "shop"]).stdout;
    assert!(trail.contains("state = \"shadow\""), "{trail}");
    assert!(trail.contains("the pipe file"), "{trail}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_product_stays_out_whatever_later_runs_bring() {
    let mut world = World::new("[judge]\nmax_drop = 0.0\n").await;
    world.runs();
    world.all_are("insert");
    let id = world.shop.products(0)[7].id.clone();
    let product = ["--pipe", "shop", "--id", &id];
    let block = |more: &[&'static str]| [&["block"], &product[..], more].concat();
    world.does(&block(&["--why", "recalled", "--by", "ann"]));
    assert_eq!(world.told(), [("delete".to_owned(), id.clone())]);
    let one = [&["products", "--json"], &product[..]].concat();
    world.folder.trawler(&one).with_code(1);
    let stored = [&one[..], &["--all"]].concat();
    let stored = world.folder.trawler(&stored).with_code(0).json();
    assert_eq!(stored["products"][0]["withheld"], "blocked", "{stored:#}");

    // The feed lists it as ever, also changed: it is neither inserted anew nor
    // counted as delisted.
    for day in 1..4 {
        world.shop.set_day(day);
        let run = world.runs();
        assert_eq!(run["counts"]["inserts"], 0, "{run:#}");
        assert_eq!(run["counts"]["held_deletes"], 0, "{run:#}");
        assert_eq!(
            run["incomplete"].as_array().map_or(0, Vec::len),
            0,
            "{run:#}"
        );
        assert!(!world.folder.rows("shop").contains_key(&id));
        assert!(world.told().iter().all(|(_, of)| *of != id));
    }
    let listed = world.does(&["block", "list"]).stdout;
    for part in ["shop", &id, "ann", "recalled"] {
        assert!(listed.contains(part), "{part:?} is not in {listed}");
    }
    assert_eq!(world.listed()["blocked"], 1);
    // Hidden and shown, it is still blocked.
    world.does(&["pipe", "hide", "shop"]);
    world.does(&["pipe", "show", "shop"]);
    assert!(world.told().iter().all(|(_, of)| *of != id));
    world.does(&[&["unblock"], &product[..], &["--why", "harmless"]].concat());
    assert_eq!(world.told(), [("insert".to_owned(), id.clone())]);
    world.stands_as(3);
    let listed = world.does(&["block", "list"]).stdout;
    assert!(listed.contains("nothing is blocked"), "{listed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_product_is_blocked_before_the_shop_ever_lists_it() {
    let mut world = World::new("").await;
    let id = world.shop.products(0)[3].id.clone();
    // The pipe is known by its file; nothing of it is stored.
    let blocked = world
        .does(&["block", "--pipe", "shop", "--id", &id, "--json"])
        .json();
    assert_eq!(
        (&blocked["rows"], &blocked["new"]),
        (&0.into(), &true.into())
    );
    world.runs();
    let told = world.told();
    assert_eq!(told.len(), world.shop.products(0).len() - 1);
    assert!(told.iter().all(|(_, of)| *of != id));
    let wrong = ["block", "--pipe", "nosuch", "--id", "1"];
    let wrong = world.folder.trawler(&wrong).with_code(2);
    assert!(
        wrong.stderr.contains("there is no pipe nosuch"),
        "{wrong:?}"
    );
    let wrong = world.folder.trawler(&["block"]).with_code(2);
    assert!(wrong.stderr.contains("--pipe"), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_at_work_does_not_bring_in_what_is_blocked_meanwhile() {
    let mut world = World::new("").await;
    world.runs();
    world.told();
    world.shop.set_day(1);
    let ids: Vec<String> = world.shop.products(0).into_iter().map(|p| p.id).collect();
    let mut running = world.folder.command(&["run", "--once", "--pipe", "shop"]);
    let mut running = running.stdout(std::process::Stdio::null()).spawn().unwrap();
    // As many decisions as fit into its life: most meet it somewhere.
    let mut blocked = BTreeSet::new();
    for id in &ids {
        let args = ["block", "--pipe", "shop", "--id", id];
        world.folder.trawler(&args).with_code(0);
        blocked.insert(id.clone());
        if running.try_wait().unwrap().is_some() {
            break;
        }
    }
    assert!(running.wait().unwrap().success());
    let mut expected = truth(world.shop.products(1));
    expected.retain(|id, _| !blocked.contains(id));
    assert_same(&world.folder.told("shop"), &expected);
    let told = world.told();
    for id in blocked {
        let last = told.iter().rfind(|(_, of)| *of == id).unwrap();
        assert_eq!(last.0, "delete", "{id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_of_a_pipe_is_listed_and_what_is_overdue_told() {
    let head =
        "owner = \"kim\"\ncontact = \"feed@shop.example\"\nnotes = \"slow\"\nmax_age = \"36h\"";
    let world = World::new(head).await;
    world.runs();
    let listed = world.listed();
    for (key, value) in [
        ("owner", "kim"),
        ("contact", "feed@shop.example"),
        ("notes", "slow"),
        ("state", "live"),
    ] {
        assert_eq!(listed[key], value, "{listed:#}");
    }
    assert_eq!(listed["overdue_s"], Value::Null);
    let status = world.folder.trawler(&["status"]).with_code(0).stdout;
    assert!(status.contains("1 live"), "{status}");
    assert!(!status.contains("overdue"), "{status}");
    let late = |args: &[&str]| world.folder.hours_later(40, args).with_code(0);
    let status = late(&["status"]).stdout;
    assert!(
        status.contains("overdue      1 pipe(s)\n  shop by 4h"),
        "{status}"
    );
    let status = late(&["status", "--json"]).json();
    assert_eq!(status["overdue"][0]["pipe"], "shop", "{status:#}");
    let shown = late(&["pipes"]).stdout;
    assert!(shown.contains("4h"), "{shown}");
    world.file("max_age = \"36 hours\"");
    let wrong = world.folder.trawler(&["check"]).with_code(2);
    assert!(
        wrong.stdout.contains("max_age") || wrong.stderr.contains("max_age"),
        "{wrong:?}"
    );
}

/// Both commands went by the file's state, and by runs that say nothing of how
/// old the products are: a pipe that was retired by word was overdue for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_overdue_is_told_as_the_alarm_counts_it() {
    let world = World::new("max_age = \"36h\"").await;
    let late = |args: &[&str]| world.folder.hours_later(40, args).with_code(0);
    let overdue = || {
        let status = late(&["status", "--json"]).json();
        let listed = late(&["pipes", "--json"]).json();
        let listed = listed[0]["overdue_s"].clone();
        (status["overdue"].as_array().unwrap().len(), listed)
    };
    assert_eq!(overdue(), (0, Value::Null), "it is new");
    let first = world.runs();
    world.shop.set_day(1);
    world.runs();
    let since = |(pipes, seconds): (usize, Value)| (pipes, seconds.as_i64().unwrap() / 3600);
    assert_eq!(since(overdue()), (1, 4));

    // A restore is by the later clock, and brings nothing new in.
    let first = text(&first, "id");
    late(&["restore", "--pipe", "shop", "--to", &first]);
    assert_eq!(since(overdue()), (1, 4));
    // What is read once more is as old as it was.
    late(&["resume", "--pipe", "shop"]);
    late(&["reprocess", "--pipe", "shop", "--force", "--work"]);
    assert_eq!(world.folder.last_run("shop")["phase"], "finished");
    assert_eq!(since(overdue()), (1, 4));

    world.does(&["pipe", "retire", "shop"]);
    assert_eq!(overdue(), (0, Value::Null));
    world.does(&["pipe", "show", "shop"]);
    assert_eq!(since(overdue()), (1, 4));
}

/// A process goes by the pipe files that it read when it started: what a later
/// one took over from newer ones stands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_with_older_pipe_files_does_not_undo_what_they_say_now() {
    let mut world = World::new("").await;
    world.runs();
    world.told();
    let mut older = world.folder.command(&["run"]);
    let older = older.stdout(Stdio::null()).stderr(Stdio::null());
    let mut older = older.spawn().unwrap();
    world.is_read_again_by_who_is_up().await;

    world.file("state = \"hidden\"");
    let id = world.shop.products(0)[7].id.clone();
    world.does(&["block", "--pipe", "shop", "--id", &id]);
    world.shows_nothing();
    // Many ticks of 50 ms, and a run.
    world.is_read_again_by_who_is_up().await;
    world.is_read_again_by_who_is_up().await;
    world.shows_nothing();
    world.stored_as("hidden");
    world.all_are("delete");
    let trail = world.does(&["pipe", "decisions", "shop", "--json"]).json();
    let told: Vec<String> = trail.as_array().unwrap().iter().map(said).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].starts_with("state by the pipe file"), "{told:?}");
    assert!(older.try_wait().unwrap().is_none(), "it left by itself");
    older.kill().unwrap();
    older.wait().unwrap();

    world.file("");
    world.folder.trawler(&["run", "--once"]).with_code(0);
    let shown = world.told();
    assert_eq!(shown.len(), world.shop.products(0).len() - 1);
    assert!(shown.iter().all(|(kind, of)| kind == "insert" && *of != id));
}

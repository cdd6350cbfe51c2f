//! A run of which nothing stays: what it shows is what the real one then does.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};
use trawler_shop::{Shop, ShopSpec};
use trawler_tests::until;

use crate::look::NO_IMAGES;
use crate::partner::{PIPE, Partner, product, products};
use crate::server::{Answer, Server};
use crate::support::{Ended, Folder, pipe};

const DRY: [&str; 2] = ["run", "--dry-run"];

fn shown(partner: &Partner, code: i32) -> Value {
    partner
        .asks(&[&DRY[..], &["--json"]].concat())
        .with_code(code)
        .json()
}

fn count(report: &Value, name: &str) -> u64 {
    report["counts"][name].as_u64().unwrap()
}

#[test]
fn a_first_run_is_shown_and_nothing_of_it_stays() {
    let partner = Partner::new("");
    let mut rows = products(120, 1_000);
    for (n, row) in rows.iter_mut().enumerate() {
        row["image"] = json!(partner.show(&format!("/{n}.png"), n as u8));
    }
    partner.serve(&rows);
    let report = shown(&partner, 0);
    assert_eq!(report["outcome"], "applied", "{report:#}");
    assert_eq!(count(&report, "inserts"), 120);
    assert_eq!(count(&report, "images"), 120);
    assert_eq!(report["inserts"].as_array().unwrap().len(), 10);
    assert_eq!(report["inserts"][0]["title"], "Product 0");
    assert!(partner.folder.runs(PIPE).is_empty());
    assert!(partner.rows().is_empty());
    let asked = partner.server.requests();
    assert_eq!(asked, 1, "the feed, and no image");
    assert_eq!(crate::look::files(&partner.folder.blobs()).len(), 0);
    let scratch = partner.folder.path().join("trawler-data/scratch-dry-run");
    assert_eq!(crate::look::files(&scratch).len(), 0);
    let status = partner.folder.trawler(&["status", "--json"]).with_code(0);
    assert!(!status.stdout.contains("partner@"), "{status:?}");
    // It learned nothing: the real run reads the same.
    let run = partner.runs(0);
    assert_eq!(run["counts"]["inserts"], 120, "{run:#}");
}

#[test]
fn changes_rejects_fill_and_unmapped_values_are_shown_as_they_then_come() {
    let partner = Partner::new(NO_IMAGES);
    fs::create_dir(partner.folder.path().join("mappings")).unwrap();
    let table = "from,to\n\"Things>Kind 0\",Zero\n\"Things>Kind 1\",One\n";
    fs::write(partner.folder.path().join("mappings/category.csv"), table).unwrap();
    partner.serve(&products(200, 1_000));
    partner.runs(0);
    let (before, stored) = (partner.rows(), partner.stored());
    let (_, end) = partner.folder.changes("0");
    let mut rows = products(205, 1_000);
    rows.drain(..10);
    for row in &mut rows[..20] {
        row["price"] = json!(1_300);
        row["brand"] = Value::Null;
    }
    rows[0]["price"] = json!(500);
    let mut bad = product(300, 1_000);
    bad["name"] = json!("");
    rows.push(bad);
    partner.serve(&rows);
    let report = shown(&partner, 0);
    assert_eq!(report["outcome"], "applied", "{report:#}");
    for (name, expected) in [
        ("stored", 200),
        ("rows", 195),
        ("rejected", 1),
        ("inserts", 5),
        ("updates", 20),
        ("deletes", 10),
        ("held_deletes", 0),
        ("unchanged", 170),
    ] {
        assert_eq!(count(&report, name), expected, "{name}: {report:#}");
    }
    let update = &report["updates"][0];
    assert_eq!(update["id"], "p0010", "{update:#}");
    let price = &update["columns"]["price_minor"];
    assert_eq!(
        (&price["before"], &price["after"]),
        (&json!(1_000), &json!(500))
    );
    assert_eq!(update["columns"]["brand"]["before"], "Even");
    assert_eq!(report["deletes"][0]["id"], "p0000");
    assert_eq!(report["inserts"][0]["id"], "p0200");
    // 1,300 of 1,000 is beyond a quarter, 500 is a half.
    let prices = &report["prices"];
    assert_eq!(
        (&prices["compared"], &prices["still"]),
        (&json!(190), &json!(170))
    );
    assert_eq!(prices["steps"][1]["rose"], 19, "{prices:#}");
    assert_eq!(prices["steps"][2]["fell"], 1, "{prices:#}");
    let columns = report["fill"].as_array().unwrap();
    let brand = columns.iter().find(|one| one["column"] == "brand").unwrap();
    assert_eq!(brand["stored"], 1.0);
    let now = brand["now"].as_f64().unwrap();
    assert!((now - 175.0 / 195.0).abs() < 1e-9, "{brand:#}");
    let rejected = &report["rejected"][0];
    assert_eq!(
        (&rejected["rows"], &rejected["column"]),
        (&json!(1), &json!("title"))
    );
    assert_eq!(rejected["examples"][0]["id"], "p0300", "{rejected:#}");
    let unmapped = &report["unmapped"]["categories"];
    assert_eq!(unmapped["values"][0][0], "Things>Kind 2", "{unmapped:#}");
    // The same for people.
    let text = partner.asks(&DRY).with_code(0).stdout;
    for part in [
        "the judge    would apply it",
        "5 inserts, 20 updates, 10 deletes",
        "rose by more than 1.25",
        "####",
        "-10.3",
        "1 of title:",
        "unmapped categories",
        "price_minor: 1000 -> 500",
        "some of the deletes",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    assert_eq!(partner.rows(), before);
    assert_eq!(partner.stored(), stored);
    assert!(partner.folder.changes(&end).0.is_empty());
    assert_eq!(partner.folder.runs(PIPE).len(), 1);
    let run = partner.runs(0);
    for name in [
        "rows",
        "rejected",
        "inserts",
        "updates",
        "deletes",
        "unchanged",
    ] {
        assert_eq!(run["counts"][name], report["counts"][name], "{name}");
    }
    // What is unchanged is said to be.
    assert_eq!(shown(&partner, 0)["outcome"], "unchanged");
}

#[test]
fn what_would_be_held_or_quarantined_is_said_and_shown() {
    let partner = Partner::new(NO_IMAGES);
    partner.serve(&products(200, 1_000));
    partner.runs(0);
    let before = partner.rows();
    partner.serve(&products(200, 10_000));
    let report = shown(&partner, 3);
    assert_eq!(report["outcome"], "quarantined", "{report:#}");
    assert!(
        report["reasons"][0]
            .as_str()
            .unwrap()
            .contains("max_price_shift")
    );
    assert_eq!(count(&report, "updates"), 200);
    assert_eq!(report["prices"]["steps"][6]["rose"], 200, "{report:#}");
    let price = &report["updates"][0]["columns"]["price_minor"];
    assert_eq!(
        (&price["before"], &price["after"]),
        (&json!(1_000), &json!(10_000))
    );
    // There is no such run that anybody could decide about.
    let told = partner.asks(&["run", "--dry-run"]).with_code(3);
    assert_eq!(told.stderr, "", "{told:?}");
    partner.serve(&products(80, 1_000));
    let report = shown(&partner, 3);
    assert_eq!(report["outcome"], "deletes_held", "{report:#}");
    assert_eq!(count(&report, "held_deletes"), 120);
    assert_eq!(report["deletes"].as_array().unwrap().len(), 10);
    partner.serve(&[]);
    let report = shown(&partner, 3);
    assert_eq!(report["outcome"], "deletes_held", "{report:#}");
    // Bad rows alone hold nothing, and are said to be many.
    let mut rows = products(200, 1_000);
    rows.extend((0..30).map(|n| json!({ "id": format!("bad{n}") })));
    partner.serve(&rows);
    let report = shown(&partner, 3);
    assert_eq!(report["outcome"], "incomplete", "{report:#}");
    assert_eq!(report["rejected"][0]["rows"], 30, "{report:#}");
    // A pause is no reason not to look, and stays.
    partner.serve(&products(200, 1_001));
    partner.asks(&["pause", "--reason", "rest"]).with_code(0);
    assert_eq!(shown(&partner, 0)["outcome"], "applied");
    partner.folder.run_pipe(PIPE).with_code(3);
    partner.asks(&["resume"]).with_code(0);
    assert_eq!(partner.rows(), before);
    let wrong = partner.folder.trawler(&["run", "--dry-run"]).with_code(2);
    assert!(wrong.stderr.contains("--pipe"), "{wrong:?}");
}

#[test]
fn a_run_that_would_fail_says_why() {
    let partner = Partner::new(NO_IMAGES);
    let feed = "format = \"naver-ep\"\nmode = \"full\"";
    let text = crate::support::pipe(&partner.server.url("/feed"), feed, NO_IMAGES);
    partner.folder.pipe(PIPE, &text);
    partner.serve(&[json!("this is no feed")]);
    let report = shown(&partner, 1);
    assert_eq!(report["outcome"], "failed", "{report:#}");
    assert!(!report["reasons"][0].as_str().unwrap().is_empty());
    assert!(partner.folder.dead_letters().is_empty());
    assert!(partner.folder.runs(PIPE).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_is_crawled_and_nothing_of_it_stays() {
    let shop = Shop::start(ShopSpec::new("looked", 4, 8)).await.unwrap();
    let folder = Folder::new(&[shop.addr().to_string()], "");
    let text = format!(
        "[source]\nkind = \"site\"\nurl = \"{}\"\n\n[schedule]\ncron = \"15 3 * * *\"\n\n\
         [fetch]\nrate_per_s = 1000\n\n{NO_IMAGES}",
        shop.url("/")
    );
    folder.pipe("looked", &text);
    let dry = ["run", "--pipe", "looked", "--dry-run", "--json"];
    let report = folder.trawler(&dry).with_code(0).json();
    assert_eq!(report["outcome"], "applied", "{report:#}");
    let sold = shop.products(0).len();
    assert_eq!(report["counts"]["inserts"], sold, "{report:#}");
    assert!(folder.rows("looked").is_empty());
    assert!(folder.runs("looked").is_empty());
    assert!(crate::look::files(&folder.blobs()).is_empty());
    folder.run_pipe("looked").with_code(0);
    assert_eq!(folder.rows("looked").len(), sold);
    shop.stop().await;
}

/// Rows that nobody is shown are what the person who decides looks at.
#[test]
fn a_pipe_that_nobody_is_shown_is_shown_to_who_tries_it() {
    for state in ["shadow", "hidden"] {
        let partner = Partner::new(NO_IMAGES);
        let file = |state: &str| {
            let path = partner.folder.path().join(format!("pipes/{PIPE}.toml"));
            let text = std::fs::read_to_string(&path).unwrap();
            partner
                .folder
                .pipe(PIPE, &format!("state = {state:?}\n{text}"));
        };
        file(state);
        partner.serve(&products(100, 1_000));
        partner.runs(0);
        assert!(partner.rows().is_empty());
        let mut rows = products(102, 1_000);
        rows.drain(..1);
        rows[0]["price"] = json!(1_300);
        partner.serve(&rows);
        let report = shown(&partner, 0);
        let update = &report["updates"][0]["columns"]["price_minor"];
        assert_eq!(
            (&update["before"], &update["after"]),
            (&json!(1_000), &json!(1_300)),
            "{state}: {report:#}"
        );
        assert_eq!(report["inserts"][0]["title"], "Product 100", "{report:#}");
        assert_eq!(report["deletes"][0]["title"], "Product 0", "{report:#}");
        assert_eq!(report["inserts"][0]["withheld"], state, "{report:#}");
    }
}

/// A feed that is not answered until it is let go, but for the third who asks.
struct Slow {
    server: Server,
    asked: Arc<AtomicUsize>,
    gate: Arc<(Mutex<bool>, Condvar)>,
}

impl Slow {
    fn start() -> Self {
        let (asked, gate) = (Arc::<AtomicUsize>::default(), Arc::default());
        let (counted, held) = (Arc::clone(&asked), Arc::clone(&gate));
        let server = Server::start(move |_| {
            let (is_open, opened): &(Mutex<bool>, Condvar) = &held;
            if counted.fetch_add(1, Ordering::SeqCst) != 2 {
                let is_open = is_open.lock().unwrap();
                drop(opened.wait_while(is_open, |is_open| !*is_open).unwrap());
            }
            Answer::of("id\ttitle\tprice_pc\tlink\n1\tone\t1000\thttps://a.test/1\n")
        });
        Self {
            server,
            asked,
            gate,
        }
    }

    fn open(&self) {
        *self.gate.0.lock().unwrap() = true;
        self.gate.1.notify_all();
    }
}

impl Drop for Slow {
    /// What is held would hold the server up for ever.
    fn drop(&mut self) {
        self.open();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_dry_run_leaves_goes_with_the_next_and_what_is_at_work_stays() {
    let slow = Slow::start();
    let folder = Folder::new(&[slow.server.host()], "");
    let feed = "format = \"naver-ep\"\nmode = \"full\"";
    let feed = pipe(&slow.server.url("/feed"), feed, NO_IMAGES);
    folder.pipe(PIPE, &feed);
    let args = ["run", "--dry-run", "--pipe", PIPE];
    let start = || -> Child {
        let mut command = folder.command(&args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let scratch = folder.path().join("trawler-data/scratch-dry-run");
    let folders = || -> Vec<PathBuf> {
        let entries = fs::read_dir(&scratch).unwrap().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let asked = |count| move |slow: &Slow| slow.asked.load(Ordering::SeqCst) == count;

    let mut killed = start();
    until("it asks for the feed", || asked(1)(&slow)).await;
    killed.kill().unwrap();
    killed.wait().unwrap();
    let left = folders();
    assert_eq!(left.len(), 1);
    let working = start();
    until("it asks for the feed", || asked(2)(&slow)).await;
    assert!(!left[0].exists(), "swept before it asks");
    let at_work = folders();
    assert_eq!(at_work.len(), 1);
    folder.trawler(&args).with_code(0);
    assert_eq!(folders(), at_work, "another one is at work");
    slow.open();
    Ended::from(working.wait_with_output().unwrap()).with_code(0);
    assert_eq!(folders().len(), 0);
}

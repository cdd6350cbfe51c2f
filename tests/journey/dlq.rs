//! Dead letters as people need them: looked at, backed up, sent again, thrown
//! away.

use std::fs;

use serde_json::Value;
use trawler_shop::{Shop, ShopSpec};

use crate::look::{NO_IMAGES, SMALL_VARIANT, assert_same, feed_table, text, truth};
use crate::support::{Folder, pipe};

/// A shop that is not let in yet: every run fails for good.
async fn shut_out() -> (Shop, Folder) {
    let spec = ShopSpec::new("dlq", 41, 12);
    let shop = Shop::start(spec).await.unwrap();
    let folder = Folder::new(&[], SMALL_VARIANT);
    let feed = feed_table(shop.model().spec().format);
    folder.pipe("shut", &pipe(&shop.feed_url(), &feed, NO_IMAGES));
    (shop, folder)
}

fn let_in(folder: &Folder, shop: &Shop) {
    folder.configure(&[shop.addr().to_string()], SMALL_VARIANT);
}

fn list(folder: &Folder, args: &[&str]) -> Value {
    let args = [&["dlq", "list", "--json"], args].concat();
    folder.trawler(&args).with_code(0).json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_says_what_was_asked_for_and_what_happened() {
    let (shop, folder) = shut_out().await;
    folder.run_pipe("shut").with_code(1);
    let listed = list(&folder, &[]);
    assert_eq!(listed["letters"].as_array().unwrap().len(), 1);
    assert_eq!(listed["reasons"][0]["letters"], 1, "{listed:#}");
    for (filter, expected) in [
        (&["--queue", "crawl"][..], 1),
        (&["--queue", "image"], 0),
        (&["--pipe", "shut"], 1),
        (&["--reason", "ADDRESS POLICY"], 1),
        (&["--reason", "out of memory"], 0),
        (&["--since", "1h"], 1),
        (&["--since", "2999-01-01T00:00:00Z"], 0),
    ] {
        let found = list(&folder, filter)["letters"].as_array().unwrap().len();
        assert_eq!(found, expected, "{filter:?}: {listed:#}");
    }
    let job = text(&listed["letters"][0], "job");
    let shown = folder
        .trawler(&["dlq", "show", &job, "--json"])
        .with_code(0);
    let shown = &shown.json()[0];
    let letter = &shown["letter"];
    assert_eq!(
        letter["input"]["facts"]["source"],
        shop.feed_url(),
        "{shown:#}"
    );
    assert_eq!(shown["decoded"]["job"]["run"], job);
    let log = letter["log"].as_array().unwrap();
    let last = log.last().unwrap().as_str().unwrap();
    assert!(last.contains("attempt 1 failed"), "{shown:#}");
    assert!(!text(letter, "first_failure").is_empty(), "{shown:#}");
    let printed = folder.trawler(&["dlq", "show", &job]).with_code(0).stdout;
    let status = folder.trawler(&["status", "--json"]).with_code(0).json();
    assert_eq!(status["queues"]["crawl"]["oldest_open_s"], Value::Null);
    for part in [
        "asked for",
        "collect run shut@",
        "reason",
        "log",
        "\"kind\": \"collect\"",
    ] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    folder.trawler(&["dlq", "show", "nobody"]).with_code(2);
    folder
        .trawler(&["dlq", "list", "--since", "soon"])
        .with_code(2);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redrive_backs_up_first_and_sends_what_is_still_needed() {
    let (shop, folder) = shut_out().await;
    folder.run_pipe("shut").with_code(1);
    folder.run_pipe("shut").with_code(1);
    let letters = folder.dead_letters();
    assert_eq!(letters.len(), 2, "{letters:#?}");
    let_in(&folder, &shop);
    // Nothing leaves a paused queue.
    folder.trawler(&["pause", "--queue", "crawl"]).with_code(0);
    let stopped = folder
        .trawler(&["dlq", "redrive", "--all", "--json"])
        .with_code(3)
        .json();
    assert_eq!(
        (&stopped["sent"], &stopped["backups"]),
        (&0.into(), &Value::Array(vec![]))
    );
    assert_eq!(folder.dead_letters().len(), 2);
    folder.trawler(&["resume", "--queue", "crawl"]).with_code(0);
    // The newer of two full runs does the work of both.
    let redriven = folder
        .trawler(&["dlq", "redrive", "--all", "--by", "ann", "--json"])
        .with_code(0)
        .json();
    assert_eq!(
        (&redriven["sent"], &redriven["superseded"]),
        (&1.into(), &1.into())
    );
    let note = &redriven["notes"][0];
    assert_eq!(note["job"], letters[0]["job"], "{redriven:#}");
    assert!(text(note, "superseded_by").starts_with(&text(&letters[1], "job")));
    let listed = folder.trawler(&["dlq", "backup", "--list", "--json"]);
    let listed = listed.with_code(0).json();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed:#}");
    assert_eq!(
        (&listed[0]["letters"], &listed[0]["by"]),
        (&2.into(), &"ann".into())
    );
    let csv = fs::read_to_string(folder.blobs().join(text(&listed[0], "file"))).unwrap();
    for letter in &letters {
        assert!(csv.contains(&text(letter, "job")), "{csv}");
    }
    folder.trawler(&["run", "--once"]).with_code(0);
    assert_same(&folder.told("shut"), &truth(shop.products(0)));
    let phases: Vec<String> = folder
        .runs("shut")
        .iter()
        .map(|run| text(run, "phase"))
        .collect();
    assert_eq!(phases, ["finished", "superseded"]);
    assert!(folder.dead_letters().is_empty());
    // Nothing is left to do.
    let again = folder.trawler(&["dlq", "redrive", "--all"]).with_code(0);
    assert!(
        again.stdout.contains("0 dead letter(s) sent again"),
        "{again:?}"
    );
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_wants_a_choice_and_keeps_a_copy_unless_told_otherwise() {
    let (shop, folder) = shut_out().await;
    folder.run_pipe("shut").with_code(1);
    folder.trawler(&["dlq", "purge"]).with_code(2);
    folder.trawler(&["dlq", "redrive"]).with_code(2);
    assert_eq!(folder.dead_letters().len(), 1);
    let args = ["dlq", "purge", "--pipe", "shut", "--by", "bob", "--json"];
    let purged = folder.trawler(&args).with_code(0).json();
    assert_eq!(
        (&purged["purged"], &purged["by"]),
        (&1.into(), &"bob".into())
    );
    assert_eq!(purged["backups"][0]["letters"], 1);
    folder.run_pipe("shut").with_code(1);
    let args = ["dlq", "purge", "--all", "--no-backup"];
    folder.trawler(&args).with_code(0);
    let listed = folder.trawler(&["dlq", "backup", "--list", "--json"]);
    let listed = listed.with_code(0).json();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed:#}");
    // The name it had before.
    folder.trawler(&["dead", "list"]).with_code(0);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_pipe_can_be_looked_at_and_cleaned_up() {
    let (shop, folder) = shut_out().await;
    folder.run_pipe("shut").with_code(1);
    let file = folder.path().join("pipes/shut.toml");
    let written = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    assert_eq!(
        list(&folder, &["--pipe", "shut"])["letters"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    for args in [
        &["runs", "--pipe", "shut"][..],
        &["products", "--pipe", "shut"],
        &["changes", "--pipe", "shut"],
    ] {
        folder.trawler(args).with_code(0);
    }
    // What needs the file says so, and what was never there is told as before.
    for args in [
        &["run", "--once", "--pipe", "shut"][..],
        &["pause", "--pipe", "shut"],
        &["dlq", "purge", "--pipe", "unheard"],
        &["runs", "--pipe", "shu"],
    ] {
        let ended = folder.trawler(args).with_code(2);
        assert!(ended.stderr.contains("there is no pipe"), "{ended:?}");
    }
    // A redrive says what it needs, and a purge does without.
    folder
        .trawler(&["dlq", "redrive", "--pipe", "shut"])
        .with_code(0);
    let ended = folder.trawler(&["run", "--once"]).with_code(1);
    assert!(ended.stderr.contains("purge the job"), "{ended:?}");
    folder
        .trawler(&["dlq", "purge", "--pipe", "shut"])
        .with_code(0);
    assert!(folder.dead_letters().is_empty());
    fs::write(&file, written).unwrap();
    folder.trawler(&["runs", "--pipe", "shut"]).with_code(0);
    shop.stop().await;
}

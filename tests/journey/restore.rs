//! A pipe brought back to what an earlier run left: exactly its rows and its
//! images, by changes that a follower can apply, and a pause that keeps the
//! next run from repeating the damage.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::look::{NO_IMAGES, text};
use crate::partner::{PIPE, Partner, product, products};
use crate::support::Ended;

/// A copy of the rows that follows the changes, as an indexer does.
fn follow(copy: &mut BTreeMap<String, Value>, changes: Vec<Value>) {
    for mut change in changes {
        let id = text(&change, "id");
        let row = change.as_object_mut().unwrap();
        row.retain(|name, _| !name.starts_with("_commit") && name != "pipe");
        let kind = row.remove("_change_type").unwrap();
        match kind.as_str().unwrap() {
            "insert" => assert!(copy.insert(id, change).is_none()),
            "update_postimage" => assert!(copy.insert(id, change).is_some()),
            "update_preimage" => assert_eq!(copy.get(&id), Some(&change)),
            "delete" => assert_eq!(copy.remove(&id), Some(change)),
            other => panic!("{other}"),
        }
    }
}

fn restore(partner: &Partner, to: &Value, more: &[&str]) -> Ended {
    let to = text(to, "id");
    partner.asks(&[&["restore", "--to", &to], more].concat())
}

/// Ten products less, ten more, ten at another price.
fn damaged() -> Vec<Value> {
    let mut rows = products(130, 1_000);
    rows.drain(..10);
    for row in &mut rows[..10] {
        row["price"] = json!(1_234);
        row["name"] = json!("???");
    }
    rows
}

#[test]
fn the_rows_of_an_earlier_run_come_back_exactly_and_followers_get_there() {
    let partner = Partner::new(NO_IMAGES);
    partner.serve(&products(100, 900));
    let oldest = partner.runs(0);
    partner.serve(&products(120, 1_000));
    let good = partner.runs(0);
    let before = partner.rows();
    partner.serve(&damaged());
    let bad = partner.runs(0);
    let after = partner.rows();
    assert_ne!(before, after);
    let (_, end) = partner.folder.changes("0");
    // Looking does nothing.
    let stored = partner.stored();
    let looked = restore(&partner, &good, &["--dry-run", "--json"]);
    let looked = looked.with_code(0).json();
    for (name, expected) in [("inserts", 10), ("updates", 10), ("deletes", 10)] {
        assert_eq!(looked[name], expected, "{looked:#}");
    }
    assert_eq!(looked["replaced_by"], bad["id"]);
    assert_eq!(looked["run"], Value::Null);
    assert_eq!(partner.stored(), stored);
    let who = ["--by", "ann", "--why", "a bug of theirs"];
    let told = restore(&partner, &good, &who).with_code(0);
    assert!(
        told.stdout.contains("trawler resume --pipe partner"),
        "{told:?}"
    );
    assert_eq!(partner.rows(), before, "exactly the earlier rows");
    let (changes, end) = partner.folder.changes(&end);
    assert_eq!(changes.len(), 10 + 10 + 2 * 10);
    let mut copy = after;
    follow(&mut copy, changes);
    assert_eq!(copy, before, "a follower gets there");
    // The audit trail.
    let run = partner.folder.last_run(PIPE);
    assert_eq!(run["restores"], good["id"], "{run:#}");
    assert_eq!(
        (&run["phase"], &run["decided"]),
        (&json!("finished"), &json!("restored"))
    );
    let shown = partner.folder.trawler(&["runs", "show", &text(&run, "id")]);
    let shown = shown.with_code(0).stdout;
    assert!(shown.contains("restored by ann"), "{shown}");
    assert!(shown.contains("a bug of theirs"), "{shown}");
    // Once more it is as it is, and nothing is written.
    let stored = partner.stored();
    let again = restore(&partner, &good, &[]).with_code(0);
    assert!(again.stdout.contains("nothing to restore"), "{again:?}");
    assert_eq!(partner.stored(), stored);
    // The pipe waits. Then the same feed is read again, though its bytes are
    // those of the last complete run.
    partner.folder.run_pipe(PIPE).with_code(3);
    assert_eq!(partner.rows(), before);
    partner.asks(&["resume"]).with_code(0);
    partner.folder.trawler(&["run", "--once"]).with_code(0);
    let run = partner.folder.last_run(PIPE);
    assert_eq!(run["counts"]["updates"], 10, "{run:#}");
    // Back over that, and over the restore, to the very first.
    restore(&partner, &oldest, &[]).with_code(0);
    assert_eq!(partner.rows().len(), 100);
    let (changes, _) = partner.folder.changes(&end);
    follow(&mut copy, changes);
    assert_eq!(copy, partner.rows());
}

#[test]
fn images_come_back_with_their_rows_and_are_still_there() {
    let partner = Partner::new("");
    let rows = |pictures: &[String]| -> Vec<Value> {
        let with = |(n, picture): (usize, &String)| {
            let mut row = product(n, 1_000);
            row["image"] = json!(picture);
            row
        };
        pictures.iter().enumerate().map(with).collect()
    };
    let good: Vec<String> = (0..20)
        .map(|n| partner.show(&format!("/{n}.png"), n))
        .collect();
    partner.serve(&rows(&good));
    let run = partner.runs(0);
    let before = partner.rows();
    assert!(before.values().all(|row| row["image_status"] == "stored"));
    // Pictures of somebody else for half of them, and five products gone.
    let mut bad = good.clone();
    for (n, picture) in bad.iter_mut().enumerate().take(10) {
        *picture = partner.show(&format!("/bad{n}.png"), 200 + n as u8);
    }
    bad.truncate(15);
    partner.serve(&rows(&bad));
    partner.runs(0);
    // Upkeep asks for a day only, and is not given what a restore needs.
    let gc = ["images", "gc", "--delete", "--grace-days", "1"];
    for hours in [49, 49 + 25] {
        let collected = partner.folder.hours_later(hours, &gc);
        assert!(matches!(collected.code, Some(0 | 3)), "{collected:?}");
    }
    restore(&partner, &run, &[]).with_code(0);
    assert_eq!(
        partner.rows(),
        before,
        "exactly the earlier rows, with their images"
    );
    let verified = partner
        .folder
        .trawler(&["images", "verify", "--all", "--json"]);
    verified.with_code(0);
}

#[test]
fn what_cannot_be_restored_says_why() {
    let partner = Partner::new(NO_IMAGES);
    partner.serve(&products(120, 1_000));
    let first = partner.runs(0);
    let newest = restore(&partner, &first, &[]).with_code(2);
    assert!(
        newest.stderr.contains("nothing has landed since"),
        "{newest:?}"
    );
    partner.serve(&products(120, 10_000));
    let doubtful = partner.runs(3);
    let never = restore(&partner, &doubtful, &[]).with_code(2);
    assert!(
        never.stderr.contains("never was in the catalogue"),
        "{never:?}"
    );
    partner.serve(&products(110, 1_000));
    partner.runs(0);
    let id = text(&first, "id");
    let args = ["restore", "--pipe", PIPE, "--to", &id];
    let late = partner.folder.hours_later(8 * 24, &args).with_code(2);
    assert!(late.stderr.contains("restore_days = 7"), "{late:?}");
    for (to, says) in [
        ("partner@2020-01-01T00:00:00.000Z", "there is no run"),
        ("other@2020-01-01T00:00:00.000Z", "is not of pipe"),
        ("nonsense", "run id"),
    ] {
        let wrong = partner.asks(&["restore", "--to", to]).with_code(2);
        assert!(wrong.stderr.contains(says), "{wrong:?}");
    }
    // None of these paused anything.
    partner.runs(0);
    // A quarantined run of before cannot be accepted over the restore.
    restore(&partner, &first, &[]).with_code(0);
    let accepted = partner
        .folder
        .trawler(&["runs", "accept", &text(&doubtful, "id")]);
    assert!(accepted.with_code(2).stderr.contains("has landed since"));
}

/// A run that was at work when the pipe was restored finds that it came too
/// late, and a restore that was killed goes on with the next call.
#[test]
fn a_run_that_waited_for_the_pause_is_superseded() {
    let partner = Partner::new(NO_IMAGES);
    partner.serve(&products(120, 1_000));
    let good = partner.runs(0);
    let before = partner.rows();
    partner.serve(&damaged());
    partner.runs(0);
    partner
        .asks(&["pause", "--reason", "look at it"])
        .with_code(0);
    partner.serve(&products(125, 1_111));
    partner.folder.run_pipe(PIPE).with_code(3);
    let waiting = partner.folder.last_run(PIPE);
    assert_eq!(waiting["phase"], "planned", "{waiting:#}");
    restore(&partner, &good, &[]).with_code(0);
    partner.asks(&["resume"]).with_code(0);
    partner.folder.trawler(&["run", "--once"]).with_code(0);
    let runs = partner.folder.runs(PIPE);
    let waited = runs.iter().find(|run| run["id"] == waiting["id"]).unwrap();
    assert_eq!(waited["phase"], "superseded", "{waited:#}");
    assert_eq!(partner.rows(), before);
}

#[test]
fn what_is_blocked_stays_so_when_the_rows_of_an_earlier_run_come_back() {
    let partner = Partner::new(NO_IMAGES);
    partner.serve(&products(120, 1_000));
    let good = partner.runs(0);
    let before = partner.rows();
    partner.serve(&damaged());
    partner.runs(0);
    // Of those that the damage took away, one that it changed, and one that is
    // as it was.
    let ids: Vec<String> = before.keys().cloned().collect();
    let blocked = [&ids[0], &ids[12], &ids[60]];
    for id in blocked {
        partner.asks(&["block", "--id", id]).with_code(0);
    }
    let (_, end) = partner.folder.changes("0");
    restore(&partner, &good, &[]).with_code(0);
    let mut shown = before.clone();
    for id in blocked {
        shown.remove(id);
    }
    assert_eq!(partner.rows(), shown);
    let (changes, _) = partner.folder.changes(&end);
    assert!(!changes.is_empty());
    let is_blocked = |change: &Value| blocked.contains(&&text(change, "id"));
    assert!(!changes.iter().any(is_blocked), "{changes:#?}");
    // Let out, they are as the run had left them.
    for id in blocked {
        partner.asks(&["unblock", "--id", id]).with_code(0);
    }
    assert_eq!(partner.rows(), before);
}

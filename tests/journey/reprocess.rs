//! A kept input read once more: with other tables, over a newer state only when
//! a person says so, and never when it is not what was kept.

use std::fs;

use crate::look::NO_IMAGES;
use crate::partner::{PIPE, Partner, product, products};

#[test]
fn a_kept_input_is_read_with_new_tables_and_without_the_partner() {
    let partner = Partner::new(NO_IMAGES);
    let refused = partner.asks(&["reprocess"]).with_code(2);
    assert!(
        refused.stderr.contains("no input of pipe partner is kept"),
        "{refused:?}"
    );
    partner.serve(&products(120, 1_000));
    let first = partner.runs(0);
    let asked = partner.server.requests();
    fs::create_dir(partner.folder.path().join("mappings")).unwrap();
    let table = "from,to\n\"Things>Kind 1\",Ours\n";
    fs::write(partner.folder.path().join("mappings/category.csv"), table).unwrap();
    let stored = partner.stored();
    let report = partner.asks(&["reprocess", "--dry-run", "--json"]);
    let report = report.with_code(0).json();
    assert_eq!(report["reads_input_of"], first["id"], "{report:#}");
    assert_eq!(report["counts"]["updates"], 40, "{report:#}");
    assert_eq!(partner.stored(), stored);
    let told = partner.asks(&["reprocess"]).with_code(0);
    assert!(told.stdout.contains("is read once more as run"), "{told:?}");
    partner.folder.trawler(&["run", "--once"]).with_code(0);
    assert_eq!(partner.server.requests(), asked, "the partner was asked");
    let ours = partner.rows().into_values();
    assert_eq!(
        ours.filter(|row| row["category_mapped"] == "Ours").count(),
        40
    );
    let run = partner.folder.last_run(PIPE);
    assert_eq!(run["rereads"]["run"], first["id"], "{run:#}");
    assert!(run["remarks"].to_string().contains("once more"), "{run:#}");
    let id = run["id"].as_str().unwrap();
    let shown = partner.folder.trawler(&["runs", "show", id]).with_code(0);
    assert!(
        shown.stdout.contains("reads        the input of run"),
        "{shown:?}"
    );
    // It vouches for the bytes as any complete run does, and may be read again.
    let run = partner.runs(0);
    assert!(
        run["remarks"].to_string().contains("last complete run"),
        "{run:#}"
    );
    partner.asks(&["reprocess", "--work"]).with_code(0);
    assert_eq!(partner.folder.last_run(PIPE)["counts"]["unchanged"], 120);
}

#[test]
fn an_older_input_needs_force_and_is_judged_all_the_same() {
    let partner = Partner::new(NO_IMAGES);
    partner.serve(&products(120, 1_000));
    let first = partner.runs(0);
    let first = first["id"].as_str().unwrap();
    let before = partner.folder.told(PIPE);
    partner.serve(&products(130, 1_100));
    let second = partner.runs(0);
    let second = second["id"].as_str().unwrap();
    let older = partner.asks(&["reprocess", "--run", first]).with_code(2);
    assert!(older.stderr.contains("is older than what run"), "{older:?}");
    assert!(older.stderr.contains(second), "{older:?}");
    let args = ["reprocess", "--run", first, "--force"];
    let report = partner.asks(&[&args[..], &["--dry-run", "--json"]].concat());
    assert_eq!(report.with_code(0).json()["counts"]["deletes"], 10);
    partner
        .asks(&[&args[..], &["--work"]].concat())
        .with_code(0);
    assert_eq!(partner.folder.told(PIPE), before);
    // The partner's own feed is another one now, and is read.
    partner.runs(0);
    assert_eq!(partner.rows().len(), 130);
    // An input that is not believed is not believed the second time either.
    partner.serve(&products(130, 11_000));
    let doubtful = partner.runs(3);
    assert_eq!(doubtful["phase"], "quarantined", "{doubtful:#}");
    partner.asks(&["reprocess", "--work"]).with_code(3);
    let again = partner.folder.last_run(PIPE);
    assert_eq!(again["phase"], "quarantined", "{again:#}");
    for (run, says) in [
        ("partner@2020-01-01T00:00:00.000Z", "these are: partner@"),
        ("other@2020-01-01T00:00:00.000Z", "is not of pipe partner"),
        ("nonsense", "run id"),
    ] {
        let wrong = partner.asks(&["reprocess", "--run", run]).with_code(2);
        assert!(wrong.stderr.contains(says), "{wrong:?}");
    }
}

#[test]
fn another_content_than_what_was_kept_is_refused() {
    let partner = Partner::new(NO_IMAGES);
    let mut parts = Vec::new();
    for price in [1_000, 1_100] {
        partner.serve(&[products(120, price), vec![product(500, price)]].concat());
        partner.runs(0);
        let files = crate::look::files(&partner.folder.blobs().join("raw"));
        parts.push(files.into_iter().next_back().unwrap().0);
    }
    assert_ne!(parts[0], parts[1]);
    let before = partner.rows();
    fs::write(&parts[1], fs::read(&parts[0]).unwrap()).unwrap();
    partner.asks(&["reprocess", "--work"]).with_code(1);
    let run = partner.folder.last_run(PIPE);
    assert_eq!(run["phase"], "failed", "{run:#}");
    let reason = run["reason"].as_str().unwrap();
    assert!(
        reason.contains("are another content than that of run"),
        "{reason}"
    );
    let shown = partner.asks(&["reprocess", "--dry-run"]).with_code(1);
    assert!(shown.stdout.contains("another content"), "{shown:?}");
    assert_eq!(partner.rows(), before);
}

/// What was the newest input when it was chosen is judged once more when it is
/// read: a run that waited before it has landed by then.
#[test]
fn a_reprocessing_that_comes_too_late_undoes_nothing() {
    let partner = Partner::new(NO_IMAGES);
    partner.serve(&products(120, 1_000));
    partner.runs(0);
    partner
        .asks(&["pause", "--reason", "look at it"])
        .with_code(0);
    partner.serve(&products(130, 1_100));
    partner.folder.run_pipe(PIPE).with_code(3);
    let newer = partner.folder.last_run(PIPE);
    let told = partner.asks(&["reprocess"]).with_code(0);
    assert!(
        told.stdout.contains("is paused, and so is that run"),
        "{told:?}"
    );
    // Both are parked, and go on in their order.
    partner.folder.trawler(&["run", "--once"]).with_code(3);
    partner.asks(&["resume"]).with_code(0);
    partner.folder.trawler(&["run", "--once"]).with_code(0);
    let late = partner.folder.last_run(PIPE);
    assert_eq!(late["phase"], "superseded", "{late:#}");
    let by = format!("superseded by {}", newer["id"].as_str().unwrap());
    assert_eq!(late["reason"], by.as_str());
    assert_eq!(partner.rows().len(), 130);
    // The pipe goes on.
    partner.serve(&products(131, 1_100));
    partner.runs(0);
    assert_eq!(partner.rows().len(), 131);
}

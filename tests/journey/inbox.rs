//! A partner that uploads its feed: the newest finished file of its folder is
//! collected, once.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use trawler_shop::FeedFormat;

use crate::look::{NO_IMAGES, feed_table};
use crate::support::Folder;

const HEAD: &str = "id\ttitle\tprice_pc\tlink\n";

pub(crate) fn feed(rows: &[(&str, &str)]) -> String {
    let line = |(id, title): &(&str, &str)| format!("{id}\t{title}\t10\thttps://a.example/{id}\n");
    HEAD.to_owned() + &rows.iter().map(line).collect::<String>()
}

/// A pipe with that table `[source]`.
pub(crate) fn pipe_from(source: &str) -> String {
    format!(
        "[source]\n{source}\n\n[feed]\n{}\n\n[schedule]\ncron = \"15 3 * * *\"\n\n{NO_IMAGES}",
        feed_table(FeedFormat::NaverEp)
    )
}

/// The titles of a pipe's products, in order of id.
pub(crate) fn titles(folder: &Folder, pipe: &str) -> Vec<String> {
    let rows = folder.rows(pipe);
    let title = |row: &Value| row["title"].as_str().unwrap().to_owned();
    rows.values().map(title).collect()
}

/// Rows read, and what the run says.
pub(crate) fn run(folder: &Folder, pipe: &str) -> (u64, String) {
    folder.run_pipe(pipe).with_code(0);
    let last = folder.last_run(pipe);
    let rows = last["counts"]["rows"].as_u64().unwrap();
    (rows, last["remarks"].to_string())
}

struct Inbox {
    folder: Folder,
    dir: PathBuf,
}

impl Inbox {
    fn new(more: &str) -> Self {
        let folder = Folder::new(&[], "");
        let source = format!("kind = \"inbox\"\nprefix = \"partners/shop-a/\"\n{more}");
        folder.pipe("shop", &pipe_from(&source));
        let dir = folder.blobs().join("inbox/partners/shop-a");
        Self { folder, dir }
    }

    /// Leaves a file that was written so long ago.
    fn upload(&self, name: &str, text: &str, age: Duration) {
        fs::create_dir_all(&self.dir).unwrap();
        let path = self.dir.join(name);
        fs::write(&path, text).unwrap();
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn the_newest_finished_file_is_collected_once() {
    let inbox = Inbox::new("pattern = \"*.tsv\"");
    let checked = inbox.folder.trawler(&["check"]).with_code(0);
    let shown = inbox.dir.display().to_string();
    assert!(checked.stdout.contains(&shown), "{checked:?}");

    inbox.upload("feed-1.tsv", &feed(&[("1", "Old")]), 3 * HOUR);
    inbox.upload("feed-2.tsv", &feed(&[("1", "A"), ("2", "B")]), 2 * HOUR);
    // Newer, and none of them a finished feed.
    inbox.upload("feed-3.tsv.part", "id\tti", HOUR);
    inbox.upload(".feed-3.tsv", "id\tti", HOUR);
    inbox.upload("feed-3.tsv", "", HOUR);
    inbox.upload("feed 3 (copy).tsv", "rubbish", HOUR);
    inbox.upload("readme.txt", "hello", HOUR);
    fs::create_dir(inbox.dir.join("old.tsv")).unwrap();
    assert_eq!(run(&inbox.folder, "shop").0, 2);
    assert_eq!(titles(&inbox.folder, "shop"), ["A", "B"]);

    let (rows, remarks) = run(&inbox.folder, "shop");
    assert_eq!(rows, 0);
    assert!(
        remarks.contains("the feed is the one of the last"),
        "{remarks}"
    );

    // The same bytes once more: read, and found to be the same.
    inbox.upload("feed-4.tsv", &feed(&[("1", "A"), ("2", "B")]), HOUR);
    assert_eq!(run(&inbox.folder, "shop").0, 0);

    inbox.upload("feed-5.tsv", &feed(&[("1", "A2"), ("2", "B")]), HOUR / 2);
    assert_eq!(run(&inbox.folder, "shop").0, 2);
    assert_eq!(titles(&inbox.folder, "shop"), ["A2", "B"]);
    assert!(inbox.dir.join("feed-1.tsv").exists(), "nothing is removed");
    let shown = inbox.folder.trawler(&["pipes"]).with_code(0);
    assert!(shown.stdout.contains("inbox/partners/shop-a/*.tsv"));
}

#[test]
fn a_file_is_waited_for_until_it_rests_or_its_marker_is_there() {
    let inbox = Inbox::new("settle_s = 2");
    inbox.upload("feed.tsv", &feed(&[("1", "A")]), Duration::ZERO);
    assert_eq!(run(&inbox.folder, "shop").0, 1);
    // A clock that is ahead of ours does not keep a file for ever.
    inbox.upload("ahead.tsv", &feed(&[("1", "B")]), Duration::ZERO);
    let file = File::options()
        .write(true)
        .open(inbox.dir.join("ahead.tsv"))
        .unwrap();
    file.set_modified(SystemTime::now() + HOUR).unwrap();
    assert_eq!(run(&inbox.folder, "shop").0, 1);
    assert_eq!(titles(&inbox.folder, "shop"), ["B"]);

    let inbox = Inbox::new("newest = \"name\"\ndone = \".ok\"");
    inbox.upload("feed-1.tsv", &feed(&[("1", "A")]), Duration::ZERO);
    inbox.upload("feed-1.tsv.ok", "", Duration::ZERO);
    inbox.upload("feed-2.tsv", &feed(&[("1", "B")]), 2 * HOUR);
    assert_eq!(run(&inbox.folder, "shop").0, 1);
    assert_eq!(titles(&inbox.folder, "shop"), ["A"]);
    inbox.upload("feed-2.tsv.ok", "", HOUR);
    assert_eq!(run(&inbox.folder, "shop").0, 1);
    assert_eq!(titles(&inbox.folder, "shop"), ["B"]);
}

#[test]
fn an_empty_inbox_delists_nothing_and_says_what_is_there() {
    let inbox = Inbox::new("settle_s = 0");
    inbox.folder.configure(&[], "[retry]\nattempts_max = 1\n");
    inbox.upload("feed.tsv", &feed(&[("1", "A")]), HOUR);
    assert_eq!(run(&inbox.folder, "shop").0, 1);
    fs::remove_file(inbox.dir.join("feed.tsv")).unwrap();
    inbox.upload("feed.tsv.tmp", "id", HOUR);
    let ended = inbox.folder.run_pipe("shop").with_code(1);
    let expected = "no finished file in the inbox at inbox/partners/shop-a/*: 1 file(s) there, 1 with a temporary name";
    assert!(ended.stdout.contains(expected), "{ended:?}");
    assert_eq!(titles(&inbox.folder, "shop"), ["A"]);
}

#[test]
fn what_is_wrong_with_the_source_is_told() {
    let folder = Folder::new(&[], "");
    let check = |source: &str, more: &str, parts: &[&str]| {
        folder.pipe("shop", &(pipe_from(source) + more));
        let ended = folder.trawler(&["check"]).with_code(2);
        for part in parts {
            assert!(ended.stderr.contains(part), "{part:?} is not in: {ended:?}");
        }
    };
    let inbox = "kind = \"inbox\"\nprefix = \"partners/shop-a/\"";
    check(
        &inbox.replace("shop-a/", "shop-a"),
        "",
        &["source.prefix", "'/' at its end"],
    );
    check(&inbox.replace("shop-a/", "../"), "", &["source.prefix"]);
    check("kind = \"inbox\"", "", &["prefix"]);
    check(
        &format!("{inbox}\nnewest = \"largest\""),
        "",
        &["`modified` or `name`"],
    );
    check(
        &format!("{inbox}\nsettle_s = 301"),
        "",
        &["source.settle_s", "0 to 300"],
    );
    check(
        &format!("{inbox}\npattern = \"../*\""),
        "",
        &["source.pattern"],
    );
    let auth = "[fetch]\nauth = { kind = \"bearer\", token = \"env:A\" }\n";
    check(inbox, auth, &["fetch.auth", "source.kind"]);
}

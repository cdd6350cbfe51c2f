//! The guide to shops without a feed, by its own lines, and what it prints; and
//! the tables that it shows. Only the port and the folders differ.

use std::fs;

use super::read;
use super::tour::{assert_printed, blocks, free_port, run};

const GUIDE: &str = "docs/crawl-a-shop.md";

/// What a pipe has besides the tables that the guide speaks of.
const REST: &str = "[source]\nkind = \"site\"\nurl = \"https://shop.example.com/\"\n\n\
                    [schedule]\ncron = \"15 3 * * *\"\n\n";

/// Lines that no command of the guide prints, but those that it speaks of.
const ELSEWHERE: [&str; 1] = ["waiting for the off-peak hours"];

#[test]
fn the_guide_to_sites_runs_as_written_and_prints_what_it_shows() {
    let guide = read(GUIDE);
    let script = blocks(&guide, "sh").concat().replace("8098", &free_port());
    let said = run(&script, &[]);
    assert_printed(&guide, &said, &ELSEWHERE);
}

#[test]
fn the_tables_of_the_guide_to_sites_pass_the_check() {
    let guide = read(GUIDE);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("pipes")).unwrap();
    // Those of the program are no pipe's.
    let (own, tables): (Vec<&str>, Vec<&str>) = blocks(&guide, "toml")
        .into_iter()
        .partition(|table| table.starts_with("[workers]"));
    fs::write(path("trawler.toml"), own.concat()).unwrap();
    assert!(tables.len() >= 8, "only {} tables were found", tables.len());
    for (at, table) in tables.iter().enumerate() {
        fs::write(
            path(&format!("pipes/guide-{at}.toml")),
            format!("{REST}{table}"),
        )
        .unwrap();
    }
    let said = run("trawler -C $folder check", &[("folder", folder.path())]);
    assert!(
        said.contains(&format!("ok, {} pipe(s)", tables.len())),
        "{said}"
    );
}

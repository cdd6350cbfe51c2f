//! The fleet of the README on the emulator, by the README's own lines. Only
//! ports and the folder for Python differ, so that tests can run side by side.

use super::tour::{assert_printed, blocks, free_port, run};
use super::{read, section};

#[test]
fn the_fleet_of_the_readme_runs_as_written() {
    let readme = read("README.md");
    let chapter = section(&readme, "Run it as a fleet");
    let python = tempfile::tempdir().unwrap();
    let script = blocks(chapter, "sh")
        .concat()
        .replace("4566", &free_port())
        .replace("8097", &free_port())
        .replace("/tmp/trawler-cloud", python.path().to_str().unwrap());
    let said = run(&script, &[]);
    // What the ledger counts depends on the moment.
    assert_printed(chapter, &said, &["; jobs: "]);
}

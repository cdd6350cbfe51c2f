//! The fleet of the README on the emulator, by the README's own lines. Only
//! ports and the folder for Python differ, so that tests can run side by side.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use super::read;

const HEADING: &str = "## Run it as a fleet";

/// The lines in `sh` blocks below the heading, up to the next one.
fn lines() -> String {
    let readme = read("README.md");
    let (_, section) = readme.split_once(HEADING).expect("the README has a fleet");
    let section = section.split("\n## ").next().unwrap();
    let mut lines = String::new();
    for block in section.split("```sh\n").skip(1) {
        lines.push_str(block.split("```").next().unwrap());
    }
    lines
}

fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port().to_string()
}

/// The program under the name that the README has for it.
fn program_in(folder: &Path) {
    fs::create_dir(folder).unwrap();
    symlink(
        env!("CARGO_BIN_EXE_trawler-under-test"),
        folder.join("trawler"),
    )
    .unwrap();
}

#[test]
fn the_fleet_of_the_readme_runs_as_written() {
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("bin");
    program_in(&bin);
    let python = folder.path().join("python");
    let script = lines()
        .replace("4566", &free_port())
        .replace("8097", &free_port())
        .replace("/tmp/trawler-cloud", python.to_str().unwrap());
    // What a failing line leaves running ends with the test.
    let script = format!("set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let output = Command::new("timeout")
        .args(["300", "bash", "-c", &script])
        .current_dir(folder.path())
        .env("PATH", path)
        .env_remove("AWS_PROFILE")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    for expected in [
        "can be used",
        "is current: 1 pipe(s)",
        "environment  tour",
        "catalogue    2 products",
        "White cup",
    ] {
        assert!(
            said.contains(expected),
            "{expected:?} is missing:\n{said}\n{errors}"
        );
    }
}

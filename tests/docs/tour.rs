//! What the README has in code blocks, and a shell that runs it with the
//! program under test.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

/// How sizes are told: their units differ with them.
const SIZES: [&str; 4] = [" B ", " B)", " KiB", " MiB"];

/// Longest that the lines of one test may take.
const SECONDS_MAX: &str = "300";

/// The blocks of code in one language, in order.
pub(super) fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let opening = format!("```{language}\n");
    let blocks = text.split(&opening).skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

pub(super) fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port().to_string()
}

/// Runs the lines in a folder of their own, stopping at the first that fails;
/// what was printed, standard output before standard error.
#[track_caller]
pub(super) fn run(lines: &str, variables: &[(&str, &Path)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    // The program under the name that the README has for it.
    let bin = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_trawler-under-test");
    symlink(program, bin.path().join("trawler")).unwrap();
    // What a failing line leaves running ends with the test.
    let script = format!("set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{lines}");
    let path = format!(
        "{}:{}",
        bin.path().display(),
        std::env::var("PATH").unwrap()
    );
    let output = Command::new("timeout")
        .args([SECONDS_MAX, "bash", "-c", &script])
        .current_dir(folder.path())
        .env("PATH", path)
        .env_remove("AWS_PROFILE")
        .env_remove("TRAWLER_DIR")
        .env_remove("TRAWLER_LOG")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{said}");
    said
}

/// Every line of the blocks of output was printed, but for figures and for
/// lines that tell of sizes or of something `passed`.
#[track_caller]
pub(super) fn assert_printed(text: &str, said: &str, passed: &[&str]) {
    let printed: BTreeSet<String> = said.lines().map(plain).collect();
    for line in blocks(text, "text").into_iter().flat_map(str::lines) {
        let is_passed = SIZES.iter().chain(passed).any(|part| line.contains(part));
        assert!(
            is_passed || line == "..." || printed.contains(&plain(line)),
            "README.md shows\n{line}\nwhich nothing printed:\n{said}"
        );
    }
}

/// What a line says apart from figures, instants and hashes, which differ from
/// run to run, and from the width of columns.
fn plain(line: &str) -> String {
    let words =
        line.split_whitespace()
            .map(|word| match word.chars().any(|c| c.is_ascii_digit()) {
                true => "#",
                false => word,
            });
    words.collect::<Vec<_>>().join(" ")
}

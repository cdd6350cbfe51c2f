//! Programs of others that look at the template and talk to emulators, in
//! environments of their own.

use std::path::PathBuf;
use std::process::Command;

use trawler_tests::python;

const LINT: &str = include_str!("lint-requirements.txt");
const AWS: &str = include_str!("aws-requirements.txt");

/// A program of the environment with cfn-lint and checkov.
pub(crate) fn lint(program: &str) -> Command {
    let mut command = Command::new(python::interpreter("lint", LINT).with_file_name(program));
    // They count their users otherwise.
    command
        .env("CHECKOV_RUN_CONFIG", "{}")
        .env("LOG_LEVEL", "ERROR");
    command
}

/// The folder with the command line of AWS.
pub(crate) fn aws() -> PathBuf {
    python::interpreter("aws", AWS).parent().unwrap().to_owned()
}

/// What it printed, standard output before standard error, and whether it went
/// well.
pub(crate) fn said(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    (output.status.success(), text)
}

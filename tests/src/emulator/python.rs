//! Python environments: that of the emulators, and of other tools that tests
//! run. Each is made once for each content of its requirements.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

const REQUIREMENTS: &str = include_str!("requirements.txt");

/// The interpreter of the emulators.
pub(super) fn interpreter() -> PathBuf {
    environment("emulators", REQUIREMENTS)
}

/// The interpreter of an environment with these requirements; the programs that
/// they bring lie beside it. Test processes that come at once wait for the one
/// that makes it.
///
/// # Panics
/// Without python3 and its venv, or where no package index answers.
pub fn environment(name: &str, requirements: &str) -> PathBuf {
    let folder = target_dir().join(format!("tmp/python-{name}"));
    fs::create_dir_all(&folder).expect("the target folder can be written");
    let lock = File::create(folder.join("lock")).expect("the target folder can be written");
    lock.lock().expect("the file system has locks");
    let installed = folder.join("installed.txt");
    if !fs::read_to_string(&installed).is_ok_and(|found| found == requirements) {
        install(&folder, requirements);
        fs::write(&installed, requirements).expect("the target folder can be written");
    }
    folder.join("venv/bin/python")
}

fn install(folder: &Path, text: &str) {
    let venv = folder.join("venv");
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, text).expect("the target folder can be written");
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&venv));
    run(Command::new(venv.join("bin/python"))
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
        ])
        .arg(&requirements));
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| {
        panic!("cannot start {command:?}: {error}; emulators and checks need python3 with venv")
    });
    assert!(
        output.status.success(),
        "{command:?} failed (setting it up needs a package index):\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The folder that holds this very program: `target`, whatever its name.
fn target_dir() -> PathBuf {
    let program = std::env::current_exe().expect("a test knows its own file");
    // target/{profile}/deps/{test}
    let dir = program.ancestors().nth(3);
    dir.expect("a test lies three folders deep").to_owned()
}

//! The Python environment of the emulators, made once for each content of
//! `requirements.txt`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

const REQUIREMENTS: &str = include_str!("requirements.txt");

/// The interpreter of the environment. Test processes that come at once wait
/// for the one that makes it.
///
/// # Panics
/// Without python3 and its venv, or where no package index answers.
pub(super) fn interpreter() -> PathBuf {
    let folder = target_dir().join("tmp/python-emulators");
    fs::create_dir_all(&folder).expect("the target folder can be written");
    let lock = File::create(folder.join("lock")).expect("the target folder can be written");
    lock.lock().expect("the file system has locks");
    let installed = folder.join("installed.txt");
    if !fs::read_to_string(&installed).is_ok_and(|found| found == REQUIREMENTS) {
        install(&folder);
        fs::write(&installed, REQUIREMENTS).expect("the target folder can be written");
    }
    folder.join("venv/bin/python")
}

fn install(folder: &Path) {
    let venv = folder.join("venv");
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS).expect("the target folder can be written");
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
        panic!("cannot start {command:?}: {error}; the emulators need python3 with venv")
    });
    assert!(
        output.status.success(),
        "{command:?} failed (setting up emulators needs a package index):\n{}",
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

//! A folder with a configuration, and the program run on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The program that users run.
pub(crate) const TRAWLER: &str = env!("CARGO_BIN_EXE_trawler-under-test");

/// A folder that `trawler -C` reads; gone with the test.
pub(crate) struct Folder {
    dir: tempfile::TempDir,
}

/// What a command printed and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// Standard output as JSON; fails the test with everything printed.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// The command must have ended with this code.
    #[track_caller]
    pub(crate) fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Folder {
    /// Lets the hosts in and ticks fast; `more` is further configuration.
    pub(crate) fn new(allow: &[String], more: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(dir.path().join("pipes")).expect("a folder for pipes");
        let folder = Self { dir };
        folder.configure(allow, more);
        folder
    }

    pub(crate) fn configure(&self, allow: &[String], more: &str) {
        let hosts: Vec<String> = allow.iter().map(|host| format!("{host:?}")).collect();
        let text = format!(
            "[net]\ncontact = \"https://example.com/test\"\nallow = [{}]\n\n\
             [scheduler]\ntick_ms = 50\n\n[workers]\npoll_s = 1\n\n{more}",
            hosts.join(", ")
        );
        fs::write(self.path().join("trawler.toml"), text).expect("write trawler.toml");
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn pipe(&self, id: &str, text: &str) {
        fs::write(self.path().join("pipes").join(format!("{id}.toml")), text)
            .expect("write a pipe");
    }

    pub(crate) fn catalogue(&self) -> PathBuf {
        self.path().join("trawler-data/catalogue")
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.path().join("trawler-data/blobs")
    }

    /// The program on this folder, not yet started.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(TRAWLER);
        command
            .arg("-C")
            .arg(self.path())
            .args(args)
            .stdin(Stdio::null());
        command
    }

    /// As `trawler`, by a clock that is so many hours ahead.
    pub(crate) fn hours_later(&self, hours: u64, args: &[&str]) -> Ended {
        self.command_later(hours, args)
            .output()
            .expect("start the program")
            .into()
    }

    pub(crate) fn command_later(&self, hours: u64, args: &[&str]) -> Command {
        let mut command = self.command(args);
        command.env("TRAWLER_UNDER_TEST_AHEAD_S", (hours * 3600).to_string());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn trawler(&self, args: &[&str]) -> Ended {
        self.command(args)
            .output()
            .expect("start the program")
            .into()
    }
}

/// A pipe file for a feed, due at 03:15 UTC; `more` may add tables.
pub(crate) fn pipe(url: &str, feed: &str, more: &str) -> String {
    format!(
        "[source]\nkind = \"http\"\nurl = {url:?}\n\n[feed]\n{feed}\n\n\
         [schedule]\ncron = \"15 3 * * *\"\n\n[fetch]\nrate_per_s = 1000\nconcurrency = 8\n\n{more}"
    )
}

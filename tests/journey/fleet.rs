//! A fleet of processes on the emulator: a folder of its own for each test,
//! with an environment, queues and a bucket named after the test.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use trawler_tests::emulator::{Ministack, REGION};

use crate::support::{Ended, Folder};

/// Invariant 9: a worker that is told to leave is gone after so long.
const LEAVE_MAX: Duration = Duration::from_secs(25);

/// A role that was started; killed with the test.
pub(crate) struct Role {
    child: Child,
}

impl Role {
    /// Asks it to leave and waits until it has.
    pub(crate) fn leave(mut self) -> i32 {
        let told = Instant::now();
        let status = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        assert!(status.unwrap().success());
        let status = self.child.wait().unwrap();
        assert!(told.elapsed() < LEAVE_MAX, "{:?}", told.elapsed());
        status.code().unwrap()
    }

    /// Whether it has left by itself.
    pub(crate) fn is_gone(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        // By its process id; one that has ended already is no error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) struct Fleet {
    pub(crate) folder: Folder,
    pub(crate) name: String,
    allow: Vec<String>,
}

impl Fleet {
    /// With queues and a bucket.
    pub(crate) fn new(name: &str, allow: &[String]) -> Self {
        let fleet = Self::planned(name, allow);
        fleet.trawler(&["fleet", "create", "--bucket"]).with_code(0);
        fleet
    }

    /// A folder alone; nothing is there yet.
    pub(crate) fn planned(name: &str, allow: &[String]) -> Self {
        let fleet = Self {
            folder: Folder::new(&[], ""),
            name: name.to_owned(),
            allow: allow.to_vec(),
        };
        fleet.configure("", "");
        fleet
    }

    /// `queue` is more of `[queue]`, `more` is further tables.
    pub(crate) fn configure(&self, queue: &str, more: &str) {
        let hosts: Vec<String> = self.allow.iter().map(|host| format!("{host:?}")).collect();
        let (name, hosts) = (&self.name, hosts.join(", "));
        let text = format!(
            "environment = {name:?}\n\n[store]\nlocation = \"s3://{name}/here\"\n\n\
             [queue]\nkind = \"sqs\"\n{queue}\n\n\
             [net]\ncontact = \"https://example.com/test\"\nallow = [{hosts}]\n\n\
             [scheduler]\ntick_ms = 500\n\n[workers]\npoll_s = 1\n\n[notices]\nimds = false\n\n{more}"
        );
        self.write("trawler.toml", &text);
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The program with the emulator as its cloud, and nothing else of the
    /// test's own environment that the SDK reads.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.folder.command(args);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AWS_") {
                command.env_remove(name);
            }
        }
        command
            .env("AWS_ENDPOINT_URL", Ministack::shared().endpoint())
            .env("AWS_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", "emulated")
            .env("AWS_SECRET_ACCESS_KEY", "emulated")
            .env("AWS_EC2_METADATA_DISABLED", "true");
        command
    }

    pub(crate) fn trawler(&self, args: &[&str]) -> Ended {
        let output = self.command(args).output();
        output.expect("start the program").into()
    }

    pub(crate) fn push(&self) -> String {
        let told = self.trawler(&["pipes", "push", "--by", "ann", "--json"]);
        let told = told.with_code(0).json();
        told["current"]["set"].as_str().unwrap().to_owned()
    }

    /// Starts a role that stays.
    pub(crate) fn start(&self, args: &[&str]) -> Role {
        let child = self
            .command(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Role {
            child: child.expect("start the program"),
        }
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        self.trawler(&[args, &["--json"]].concat())
            .with_code(0)
            .json()
    }

    pub(crate) fn tick(&self) -> Value {
        self.json(&["schedule", "--once"])
    }

    /// Looks at the runs until all that there are have ended.
    pub(crate) fn until_runs_end(&self, count: usize) -> Vec<Value> {
        let deadline = Instant::now() + trawler_tests::WAIT_MAX * 2;
        loop {
            let runs = self.json(&["runs"]);
            let runs = runs.as_array().unwrap();
            let ended = |run: &Value| {
                let phase = run["phase"].as_str().unwrap();
                ["finished", "failed", "superseded"].contains(&phase)
            };
            if runs.len() == count && runs.iter().all(ended) {
                return runs.clone();
            }
            assert!(Instant::now() < deadline, "not ended: {runs:#?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

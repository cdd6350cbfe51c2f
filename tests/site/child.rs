//! The program as a child that is watched: what it takes of memory and of the
//! scratch disk while it runs, and that it ends in time.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::look::files;
use crate::support::{Ended, Folder};

/// A look at /proc and at a folder of some files costs microseconds.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A running `trawler`; killed when it is dropped.
pub(crate) struct Running {
    child: Child,
    started: Instant,
    stdout: File,
    stderr: File,
}

/// How it ended, and what it took.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) ended: Ended,
    pub(crate) took: Duration,
    /// `VmHWM`: the most that was resident at once.
    pub(crate) memory_bytes: u64,
    /// The most that was in the scratch folder at once.
    pub(crate) scratch_bytes: u64,
}

impl Running {
    pub(crate) fn start(folder: &Folder, args: &[&str]) -> Self {
        // Pipes that nobody reads would hold it up.
        let (stdout, stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let mut command = folder.command(args);
        let child = command
            .stdout(Stdio::from(stdout.try_clone().unwrap()))
            .stderr(Stdio::from(stderr.try_clone().unwrap()))
            .spawn()
            .expect("start the program");
        Self {
            child,
            started: Instant::now(),
            stdout,
            stderr,
        }
    }

    pub(crate) fn kill(&mut self) {
        // One that has just ended is as dead.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    pub(crate) fn terminate(&self) {
        let pid = self.child.id().to_string();
        let told = std::process::Command::new("kill")
            .args(["-TERM", &pid])
            .status();
        assert!(told.expect("there is kill").success(), "it still runs");
    }

    /// Whether it has ended by itself.
    pub(crate) fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not come within the bound.
    pub(crate) fn end(mut self, bound: Duration) -> Ended {
        let deadline = Instant::now() + bound;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return self.told(status);
            }
            if Instant::now() >= deadline {
                self.kill();
                let told = self.told(ExitStatus::from_raw(9));
                panic!("it still ran after {bound:?}: {told:?}");
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Waits for its end and watches what it takes; `scratch` is looked at.
    pub(crate) fn watch(mut self, scratch: &Path, bound: Duration) -> Watched {
        let deadline = Instant::now() + bound;
        let (mut memory_bytes, mut scratch_bytes) = (0, 0);
        loop {
            memory_bytes = memory_bytes.max(resident_most(self.child.id()));
            scratch_bytes = scratch_bytes.max(size(scratch));
            let status = self.child.try_wait().unwrap();
            if status.is_some() || Instant::now() >= deadline {
                break;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        let took = self.started.elapsed();
        Watched {
            ended: self.end(Duration::ZERO),
            took,
            memory_bytes,
            scratch_bytes,
        }
    }

    fn told(&mut self, status: ExitStatus) -> Ended {
        let text = |file: &mut File| {
            let mut bytes = Vec::new();
            file.rewind().unwrap();
            file.read_to_end(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Ended {
            code: status.code(),
            stdout: text(&mut self.stdout),
            stderr: text(&mut self.stderr),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Bytes of all files below a folder.
pub(crate) fn size(folder: &Path) -> u64 {
    files_now(folder).iter().sum()
}

/// Sizes of the files below a folder that is in use: what goes meanwhile is
/// nothing.
fn files_now(folder: &Path) -> Vec<u64> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut sizes = Vec::new();
    for entry in entries.flatten() {
        match entry.metadata() {
            Ok(found) if found.is_dir() => sizes.extend(files_now(&entry.path())),
            Ok(found) => sizes.push(found.len()),
            Err(_) => {}
        }
    }
    sizes
}

fn resident_most(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.trim().parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

/// Nothing is left on the scratch disk of a folder.
#[track_caller]
pub(crate) fn assert_tidy(folder: &Folder) {
    let left = files(&scratch(folder));
    assert!(left.is_empty(), "scratch is left: {left:?}");
}

pub(crate) fn scratch(folder: &Folder) -> std::path::PathBuf {
    folder.path().join("trawler-data/scratch")
}

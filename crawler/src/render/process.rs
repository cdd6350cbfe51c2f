//! The processes of one browser: a group of their own, which ends with this
//! program however that ends.
//!
//! A shell starts the browser and waits on a pipe whose other end is here.
//! When this program lets go of it, or is killed, the shell kills the group,
//! itself included, and removes the browser's files. That needs neither a
//! handler of signals here nor anything that `unsafe` would be for.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, ChildStdin, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::RenderError;

/// `$1` is the folder of the browser's files, the rest is its command line.
/// What the browser leaves behind is told to end before its files are removed,
/// and is ended with the shell after that. Words of the shell would be written
/// to a pipe that nobody reads any more, which would end it early.
const GUARD: &str = r#"
profile=$1
shift
exec 3<&0
"$@" </dev/null 3<&- &
browser=$!
exec 2>/dev/null
(
    cat <&3 >/dev/null
    kill -KILL "$browser"
) &
wait "$browser"
trap '' TERM
kill -TERM 0
for again in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf -- "$profile" && break
    sleep 0.1
done
kill -KILL 0
"#;

/// From the start to the line that says where it listens. Cold, on a machine
/// that has other things to do.
const START_WAIT: Duration = Duration::from_secs(30);

/// Of what the browser says while it starts.
const WORDS_BYTES_MAX: usize = 16 * 1024;

/// A browser's processes. They end when it is dropped.
pub(super) struct Process {
    /// The shell; its number is the group's.
    group: u32,
    child: Child,
    /// Held, and let go of.
    hold: Option<ChildStdin>,
    /// Reads what the browser says, so that it need not wait.
    _reader: JoinSet<()>,
}

impl Process {
    /// Starts a browser; the address at which it is driven.
    pub(super) async fn start(
        program: &Path,
        profile: &Path,
        arguments: &[OsString],
    ) -> Result<(Self, String), RenderError> {
        let failed = |why: String| RenderError::Start {
            path: program.to_owned(),
            why,
        };
        let mut child = Command::new("/bin/sh")
            .args(["-c", GUARD, "trawler-browser"])
            .arg(profile)
            .arg(program)
            .args(arguments)
            .process_group(0)
            // Nothing of ours: there are credentials in it.
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", profile)
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let group = child.id().expect("it was not waited for");
        let hold = child.stdin.take();
        let mut stderr = child.stderr.take().expect("it is piped");
        let mut words = Vec::new();
        let listens = timeout(START_WAIT, address(&mut stderr, &mut words)).await;
        let listens = match listens {
            Ok(Some(address)) => Ok(address),
            Ok(None) => Err("it ended"),
            Err(_) => Err("it does not say where it listens"),
        };
        let mut reader = JoinSet::new();
        reader.spawn(async move {
            let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
        });
        let process = Self {
            group,
            child,
            hold,
            _reader: reader,
        };
        let address = listens.map_err(|why| {
            let words = String::from_utf8_lossy(&words);
            let last: Vec<&str> = words.lines().rev().take(5).collect();
            let last: Vec<&str> = last.into_iter().rev().collect();
            failed(format!("{why}: {}", last.join(" / ")))
        })?;
        Ok((process, address))
    }

    pub(super) fn group(&self) -> u32 {
        self.group
    }

    /// Whether it still runs.
    pub(super) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it and waits until it has.
    pub(super) async fn end(mut self) {
        self.hold.take();
        if let Err(error) = self.child.wait().await {
            tracing::warn!("a browser cannot be waited for: {error}");
        }
    }
}

/// The address that the browser says it listens at; `None` when it says no
/// more.
async fn address(stderr: &mut ChildStderr, words: &mut Vec<u8>) -> Option<String> {
    const BEFORE: &str = "DevTools listening on ";
    loop {
        let mut piece = [0; 1024];
        let read = stderr
            .read(&mut piece)
            .await
            .ok()
            .filter(|read| *read > 0)?;
        if words.len() < WORDS_BYTES_MAX {
            words.extend_from_slice(&piece[..read]);
        }
        let text = String::from_utf8_lossy(words);
        let after = text.split_once(BEFORE).map(|(_, after)| after);
        if let Some((address, _)) = after.and_then(|after| after.split_once('\n')) {
            return Some(address.trim().to_owned());
        }
    }
}

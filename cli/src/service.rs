//! Word to the service manager (systemd) that started this process, where it
//! asked for any: that the work has begun, and that the process still turns.
//!
//! The protocol is that of sd_notify(3): datagrams of text to the socket that
//! `NOTIFY_SOCKET` names. The sign of life comes from a task on the reactor, so
//! that a process whose reactor stands still is found out (`WatchdogSec=`).
//! Nothing here can fail or wait: whoever does not listen is not told.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use trawler_core::ports::Clock;

const SOCKET: &str = "NOTIFY_SOCKET";
const WATCHDOG_US: &str = "WATCHDOG_USEC";
const WATCHDOG_PID: &str = "WATCHDOG_PID";

/// The manual advises half of what the manager waits.
const SIGNS_A_WAIT: u32 = 2;

/// The manager, if there is one that listens.
pub(crate) struct ServiceManager {
    line: Option<(UnixDatagram, SocketAddr)>,
    /// Between two signs of life; `None` when none are wanted.
    every: Option<Duration>,
}

impl ServiceManager {
    pub(crate) fn from_environment() -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        let line = variable(SOCKET).and_then(|name| open(&name));
        let is_ours =
            variable(WATCHDOG_PID).is_none_or(|pid| pid == std::process::id().to_string());
        let wait = variable(WATCHDOG_US).and_then(|text| text.parse().ok());
        Self {
            line,
            every: wait
                .filter(|us| is_ours && *us > 0)
                .map(|us| Duration::from_micros(us) / SIGNS_A_WAIT),
        }
    }

    /// The work has begun.
    pub(crate) fn ready(&self) {
        self.tell("READY=1");
    }

    /// Gives signs of life until the end.
    pub(crate) async fn keep(self, clock: Arc<dyn Clock>, end: CancellationToken) {
        let (Some(every), Some(_)) = (self.every, &self.line) else {
            return;
        };
        while !end.is_cancelled() {
            self.tell("WATCHDOG=1");
            tokio::select! {
                () = clock.sleep(every) => {}
                () = end.cancelled() => {}
            }
        }
        self.tell("STOPPING=1");
    }

    fn tell(&self, text: &str) {
        if let Some((socket, manager)) = &self.line
            && let Err(error) = socket.send_to_addr(text.as_bytes(), manager)
        {
            tracing::debug!(%error, "the service manager was not told {text}: {error}");
        }
    }
}

/// A path, or after an `@` a name without a file.
fn open(name: &str) -> Option<(UnixDatagram, SocketAddr)> {
    let manager = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    };
    let socket = UnixDatagram::unbound().and_then(|socket| {
        socket.set_nonblocking(true)?;
        Ok(socket)
    });
    match (socket, manager) {
        (Ok(socket), Ok(manager)) => Some((socket, manager)),
        (Err(error), _) | (_, Err(error)) => {
            tracing::warn!(%error, "{SOCKET} = {name:?} cannot be used: {error}");
            None
        }
    }
}

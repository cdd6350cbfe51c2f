//! SIGTERM and SIGINT as notices to leave.

use std::io;

use async_trait::async_trait;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Mutex;
use trawler_core::ports::{Notice, Notices};

/// The signals of this process.
///
/// From [`SignalNotices::listen`] on, SIGTERM and SIGINT no longer end the
/// process: each becomes a [`Notice::Signal`]. The first asks for a drain; a
/// worker that gets a second one while it drains should exit at once, so keep
/// calling `next`. Signals of one kind that arrive before anybody has waited
/// count as one, as the system itself does with pending signals.
#[derive(Debug)]
pub struct SignalNotices {
    signals: Mutex<Signals>,
}

#[derive(Debug)]
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl SignalNotices {
    /// Takes the signals over. Needs a running Tokio runtime.
    ///
    /// # Errors
    /// When the system does not let the handlers be installed.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            signals: Mutex::new(Signals {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
            }),
        })
    }
}

#[async_trait]
impl Notices for SignalNotices {
    async fn next(&self) -> Notice {
        let mut guard = self.signals.lock().await;
        let Signals {
            terminate,
            interrupt,
        } = &mut *guard;
        // Both receives are documented cancel-safe.
        let heard = tokio::select! {
            heard = terminate.recv() => heard,
            heard = interrupt.recv() => heard,
        };
        if heard.is_none() {
            // The stream ends only with the runtime: nothing comes any more.
            std::future::pending::<()>().await;
        }
        Notice::Signal
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    const WAIT_MAX: Duration = Duration::from_secs(60);

    fn raise(signal: &str) {
        let own = std::process::id().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-s", signal, &own])
            .status();
        assert!(sent.unwrap().success());
    }

    /// One test for everything: signals reach the whole process.
    #[tokio::test]
    async fn every_signal_is_a_notice_and_is_kept() {
        let notices = SignalNotices::listen().unwrap();
        let next = async || tokio::time::timeout(WAIT_MAX, notices.next()).await;
        raise("TERM");
        assert_eq!(next().await, Ok(Notice::Signal));
        // The second one comes through as well, also when nobody waits yet.
        raise("INT");
        assert_eq!(next().await, Ok(Notice::Signal));
        let idle = tokio::time::timeout(Duration::from_millis(1), notices.next()).await;
        assert!(idle.is_err(), "one notice a signal");
        // The wait that was given up took nothing with it.
        raise("TERM");
        assert_eq!(next().await, Ok(Notice::Signal));
    }
}

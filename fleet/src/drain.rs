//! The word that this process has to leave, for everything in it at once.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;
use trawler_core::ports::{Notice, Notices};

/// Requested once, never taken back. Clones are the same drain.
#[derive(Clone, Default)]
pub struct Drain {
    token: CancellationToken,
    notice: Arc<OnceLock<Notice>>,
}

impl Drain {
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everything to leave, because of `notice`. The first notice is kept.
    pub fn request(&self, notice: Notice) {
        if self.notice.set(notice).is_ok() {
            tracing::info!(?notice, "drain requested by {notice:?}");
        }
        self.token.cancel();
    }

    /// Asks everything to leave because there is nothing left to do.
    pub fn finish(&self) {
        self.token.cancel();
    }

    /// Sync and cheap.
    pub fn requested(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Why, when somebody asked from outside.
    pub fn notice(&self) -> Option<Notice> {
        self.notice.get().copied()
    }

    /// Waits until it is requested. Cancel-safe.
    pub async fn wait(&self) {
        self.token.cancelled().await;
    }

    /// Waits for the first notice and requests the drain; ends as well when the
    /// drain was requested otherwise. The composition root runs it.
    pub async fn watch(&self, notices: &dyn Notices) {
        tokio::select! {
            notice = notices.next() => self.request(notice),
            () = self.wait() => {}
        }
    }

    pub(crate) fn token(&self) -> &CancellationToken {
        &self.token
    }
}

//! Several sources of notices as one.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;
use trawler_core::ports::{Notice, Notices};

/// Whoever speaks first is heard; the others are heard at the next call, since
/// what nobody waited for is kept. Earlier sources go before later ones when
/// several speak at once.
pub struct AllNotices {
    sources: Vec<Arc<dyn Notices>>,
}

impl AllNotices {
    pub fn new(sources: Vec<Arc<dyn Notices>>) -> Self {
        Self { sources }
    }
}

#[async_trait]
impl Notices for AllNotices {
    /// Waits for ever without a source.
    async fn next(&self) -> Notice {
        let mut waits: Vec<_> = self.sources.iter().map(|source| source.next()).collect();
        // Only the wait that is ready has taken a notice; the others are
        // dropped, which their port allows.
        poll_fn(|context| {
            for wait in &mut waits {
                if let Poll::Ready(notice) = wait.as_mut().poll(context) {
                    return Poll::Ready(notice);
                }
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use tokio::sync::{Mutex, mpsc};

    use super::*;

    /// A source that a test speaks through. Receiving is cancel-safe.
    struct Line(Mutex<mpsc::UnboundedReceiver<Notice>>);

    #[async_trait]
    impl Notices for Line {
        async fn next(&self) -> Notice {
            self.0.lock().await.recv().await.unwrap()
        }
    }

    fn line() -> (mpsc::UnboundedSender<Notice>, Arc<dyn Notices>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (sender, Arc::new(Line(Mutex::new(receiver))))
    }

    async fn heard(all: &AllNotices) -> Option<Notice> {
        let wait = Duration::from_millis(20);
        tokio::time::timeout(wait, all.next()).await.ok()
    }

    #[tokio::test]
    async fn the_first_wins_and_none_is_lost() {
        let (first, one) = line();
        let (second, two) = line();
        let all = AllNotices::new(vec![one, two]);
        assert_eq!(heard(&all).await, None);
        second.send(Notice::Rebalance).unwrap();
        first.send(Notice::Signal).unwrap();
        second.send(Notice::SpotInterruption).unwrap();
        assert_eq!(heard(&all).await, Some(Notice::Signal));
        assert_eq!(heard(&all).await, Some(Notice::Rebalance));
        assert_eq!(heard(&all).await, Some(Notice::SpotInterruption));
        assert_eq!(heard(&all).await, None);
        // A wait that was given up took nothing with it.
        second.send(Notice::ScaleIn).unwrap();
        assert_eq!(heard(&all).await, Some(Notice::ScaleIn));
    }

    #[tokio::test]
    async fn no_source_never_speaks() {
        assert_eq!(heard(&AllNotices::new(Vec::new())).await, None);
    }
}

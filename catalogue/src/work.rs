//! CPU work off the reactor: a bounded number of blocking threads, each of
//! which drives its own futures.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::error::{CatalogueError, Result};

/// Tells the work that nobody waits for it any longer.
#[derive(Debug, Clone)]
pub(crate) struct Cancelled(Arc<AtomicBool>);

impl Cancelled {
    /// Asked between batches; an error ends the work.
    pub(crate) fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            Err(CatalogueError::Cancelled)
        } else {
            Ok(())
        }
    }
}

struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs the future that `make` returns on a blocking thread. Dropping the
/// returned future makes the work end at its next batch.
pub(crate) async fn off_reactor<F, Fut, T>(threads: &Arc<Semaphore>, make: F) -> Result<T>
where
    F: FnOnce(Cancelled) -> Fut + Send + 'static,
    Fut: Future<Output = Result<T>>,
    T: Send + 'static,
{
    let permit = Arc::clone(threads)
        .acquire_owned()
        .await
        .expect("the semaphore of the catalogue's threads is never closed");
    let flag = Arc::new(AtomicBool::new(false));
    let cancelled = Cancelled(Arc::clone(&flag));
    let _guard = CancelOnDrop(flag);
    let handle = Handle::current();
    let work = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        handle.block_on(make(cancelled))
    });
    match work.await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            // The worker runtime contains panics of a job; it has to see them.
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(CatalogueError::Cancelled),
        },
    }
}

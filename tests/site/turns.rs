//! Who runs beside whom: what counts requests against the clock, and the large
//! crawl, have the machine for themselves.

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard, Semaphore, SemaphorePermit};

static MACHINE: RwLock<()> = RwLock::const_new(());

/// Crawls beside one another, each with its shop; more only slow each other.
static AT_ONCE: Semaphore = Semaphore::const_new(3);

pub(crate) async fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().await
}

pub(crate) async fn beside() -> (RwLockReadGuard<'static, ()>, SemaphorePermit<'static>) {
    let permit = AT_ONCE.acquire().await.expect("it is never closed");
    (MACHINE.read().await, permit)
}

//! How much the bodies that are held in memory may take together.
//!
//! A body of up to 64 KiB is free: that many fetches are bounded by their number.
//! A longer one claims room as it grows and waits where there is none. So that
//! bodies that wait for each other come to an end, one at a time may go over the
//! whole, up to its own cap. The claim ends when the last reader of the body
//! drops it, so that what is made of a body counts too while the body is held.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is claimed at once, and what is free.
const CHUNK_BYTES: usize = 64 * 1024;

/// Room for bodies, shared by all fetches of a process.
#[derive(Debug)]
pub(crate) struct Memory {
    chunks: Arc<Semaphore>,
    /// Of the one that goes over.
    over: Arc<Semaphore>,
}

impl Memory {
    pub(crate) fn new(bytes: u64) -> Self {
        let chunks = usize::try_from(bytes).unwrap_or(usize::MAX) / CHUNK_BYTES;
        Self {
            chunks: Arc::new(Semaphore::new(chunks.min(Semaphore::MAX_PERMITS))),
            over: Arc::new(Semaphore::new(1)),
        }
    }

    pub(crate) fn claim(self: &Arc<Self>) -> Claim {
        Claim {
            memory: Arc::clone(self),
            held: None,
            over: None,
        }
    }
}

/// What one body takes of the room.
#[derive(Debug)]
pub(crate) struct Claim {
    memory: Arc<Memory>,
    held: Option<OwnedSemaphorePermit>,
    over: Option<OwnedSemaphorePermit>,
}

impl Claim {
    /// Whether nothing is taken.
    pub(crate) fn is_free(&self) -> bool {
        self.held.is_none() && self.over.is_none()
    }

    /// Whether a body of so many bytes needs to wait or to take more.
    fn lacks(&self, bytes: usize) -> u32 {
        if self.over.is_some() {
            return 0;
        }
        let held = self
            .held
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        let needed = bytes.div_ceil(CHUNK_BYTES).saturating_sub(1);
        u32::try_from(needed.saturating_sub(held)).unwrap_or(u32::MAX)
    }

    /// Takes room for a body of so many bytes in all if there is some.
    pub(crate) fn try_grow(&mut self, bytes: usize) -> bool {
        let lacking = self.lacks(bytes);
        if lacking == 0 {
            return true;
        }
        let chunks = Arc::clone(&self.memory.chunks);
        match chunks.try_acquire_many_owned(lacking) {
            Ok(more) => self.take(more),
            Err(_) => return false,
        }
        true
    }

    /// Takes room for a body of so many bytes in all, when there is some.
    pub(crate) async fn grow(&mut self, bytes: usize) {
        let lacking = self.lacks(bytes);
        if lacking == 0 {
            return;
        }
        let chunks = Arc::clone(&self.memory.chunks).acquire_many_owned(lacking);
        let over = Arc::clone(&self.memory.over).acquire_owned();
        tokio::select! {
            biased;
            more = chunks => self.take(more.expect("never closed")),
            over = over => self.over = Some(over.expect("never closed")),
        }
    }

    fn take(&mut self, more: OwnedSemaphorePermit) {
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const A_WHILE: Duration = Duration::from_millis(20);

    fn memory(chunks: u64) -> Arc<Memory> {
        Arc::new(Memory::new(chunks * CHUNK_BYTES as u64))
    }

    #[tokio::test]
    async fn a_small_body_is_free_and_a_large_one_takes_what_it_holds() {
        let memory = memory(4);
        let mut claim = memory.claim();
        claim.grow(CHUNK_BYTES).await;
        assert!(claim.is_free());
        assert_eq!(memory.chunks.available_permits(), 4);
        claim.grow(CHUNK_BYTES + 1).await;
        claim.grow(3 * CHUNK_BYTES).await;
        assert_eq!(memory.chunks.available_permits(), 2);
        drop(claim);
        assert_eq!(memory.chunks.available_permits(), 4);
    }

    #[tokio::test]
    async fn one_body_goes_over_and_the_next_waits_for_it() {
        let memory = memory(2);
        let (mut first, mut second, mut third) = (memory.claim(), memory.claim(), memory.claim());
        first.grow(3 * CHUNK_BYTES).await;
        second.grow(9 * CHUNK_BYTES).await;
        second.grow(90 * CHUNK_BYTES).await;
        assert!(!third.try_grow(2 * CHUNK_BYTES));
        let waits = timeout(A_WHILE, third.grow(2 * CHUNK_BYTES)).await;
        assert!(waits.is_err(), "it did not wait");
        drop(second);
        third.grow(2 * CHUNK_BYTES).await;
        drop((first, third));
        assert_eq!(memory.chunks.available_permits(), 2);
        assert_eq!(memory.over.available_permits(), 1);
    }

    #[tokio::test]
    async fn a_body_larger_than_all_there_is_comes_to_an_end() {
        let memory = memory(1);
        let mut claim = memory.claim();
        claim.grow(50 * CHUNK_BYTES).await;
        assert!(claim.try_grow(51 * CHUNK_BYTES));
    }
}

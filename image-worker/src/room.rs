//! How much memory the pictures that are decoded at the same time may take
//! together. A picture takes its share before anything is allocated for its
//! pixels, by what its header claims, and waits its turn where there is none; who
//! came first goes first, so that small pictures do not keep a large one waiting
//! for ever.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::ImageError;
use crate::limits::Limits;

/// Bytes a pixel of a picture at the peak of its way: as the decoder gives it, as
/// a picture of four channels, and what it is resized by.
const PICTURE_BYTES: u64 = 12;
/// Of a picture of four channels: all that comes behind the decoder where that
/// gives more than four.
const LEVELS_BYTES: u64 = 4;

/// Memory for pixels, shared by all workbenches of a process.
#[derive(Debug)]
pub(crate) struct Room {
    bytes: u64,
    turns: Mutex<Turns>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct Turns {
    taken: u64,
    /// Number of the next to ask, and of the next to be served.
    next: u64,
    serving: u64,
}

impl Room {
    pub(crate) fn new(bytes: u64) -> Self {
        Self {
            bytes,
            turns: Mutex::default(),
            moved: Condvar::new(),
        }
    }

    /// Waits until so many bytes are free, of which there are no more than all.
    fn take(&self, bytes: u64) {
        let mut turns = self.turns();
        let mine = turns.next;
        turns.next += 1;
        while turns.serving != mine || turns.taken + bytes > self.bytes {
            let waited = self.moved.wait(turns);
            turns = waited.unwrap_or_else(PoisonError::into_inner);
        }
        turns.serving += 1;
        turns.taken += bytes;
        drop(turns);
        self.moved.notify_all();
    }

    fn give_back(&self, bytes: u64) {
        if bytes > 0 {
            self.turns().taken -= bytes;
            self.moved.notify_all();
        }
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one picture may take, and what it took of the room: given back when this
/// is dropped.
pub(crate) struct Budget<'a> {
    limits: Limits,
    room: &'a Room,
    taken: Cell<u64>,
}

impl<'a> Budget<'a> {
    pub(crate) fn new(limits: Limits, room: &'a Room) -> Self {
        Self {
            limits,
            room,
            taken: Cell::new(0),
        }
    }

    /// Checks what a header claims of a picture that is decoded whole, and takes
    /// room for it; `bytes_per_pixel` is what the decoder gives.
    pub(crate) fn claim_picture(
        &self,
        width: u32,
        height: u32,
        bytes_per_pixel: u64,
    ) -> Result<(), ImageError> {
        self.limits.check_header(width, height, bytes_per_pixel)?;
        let at_peak = (bytes_per_pixel + LEVELS_BYTES).max(PICTURE_BYTES);
        self.take(u64::from(width) * u64::from(height) * at_peak)
    }

    /// The same, where `bytes_per_pixel` is all that is needed at once.
    pub(crate) fn claim(
        &self,
        width: u32,
        height: u32,
        bytes_per_pixel: u64,
    ) -> Result<(), ImageError> {
        let bytes = self.limits.check_header(width, height, bytes_per_pixel)?;
        self.take(bytes)
    }

    fn take(&self, bytes: u64) -> Result<(), ImageError> {
        if bytes > self.room.bytes {
            return Err(ImageError::TooLarge {
                what: "memory for its pixels (bytes)",
                found: bytes,
                max: self.room.bytes,
            });
        }
        if bytes > self.taken.get() {
            // Nothing waits while it holds something: two that did would wait for
            // each other. Nothing is allocated yet of what was taken before.
            self.room.give_back(self.taken.take());
            self.room.take(bytes);
            self.taken.set(bytes);
        }
        Ok(())
    }

    /// Bytes that were taken.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.get()
    }
}

impl Deref for Budget<'_> {
    type Target = Limits;

    fn deref(&self) -> &Limits {
        &self.limits
    }
}

impl Drop for Budget<'_> {
    fn drop(&mut self) {
        self.room.give_back(self.taken.get());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    use super::*;

    #[test]
    fn what_is_decoded_at_once_never_takes_more_than_the_room() {
        let room = Room::new(100);
        let (inside, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..8_u32 {
                let (room, inside, most) = (&room, &inside, &most);
                scope.spawn(move || {
                    for step in 0..200_u32 {
                        let budget = Budget::new(Limits::default(), room);
                        // A canvas, and a frame that may be larger.
                        budget.claim(1, 1 + (thread + step) % 40, 1).unwrap();
                        budget.claim(1, 1 + (thread * step) % 100, 1).unwrap();
                        let taken = budget.taken();
                        most.fetch_max(inside.fetch_add(taken, SeqCst) + taken, SeqCst);
                        std::thread::yield_now();
                        inside.fetch_sub(taken, SeqCst);
                    }
                });
            }
        });
        assert!((40..=100).contains(&most.load(SeqCst)), "{most:?}");
        assert_eq!(room.turns().taken, 0);
    }

    #[test]
    fn pictures_take_what_they_need_and_none_takes_more_than_there_is() {
        let room = Room::new(1_200);
        let check = |claim: fn(&Budget<'_>) -> Result<(), ImageError>, taken: Option<u64>| {
            let budget = Budget::new(Limits::default(), &room);
            assert_eq!(claim(&budget).ok().map(|()| budget.taken()), taken);
            drop(budget);
            assert_eq!(room.turns().taken, 0);
        };
        check(|budget| budget.claim(10, 10, 6), Some(600));
        check(|budget| budget.claim(10, 10, 12), Some(1_200));
        check(|budget| budget.claim(10, 10, 13), None);
        check(|budget| budget.claim_picture(10, 10, 4), Some(1_200));
        check(|budget| budget.claim_picture(5, 10, 16), Some(1_000));
        check(|budget| budget.claim_picture(10, 11, 4), None);
        check(|budget| budget.claim(100_000, 100_000, 1), None);
    }
}

//! A lane: entries in the order in which they came. They stay in the journal
//! and are read from there when it is their turn, one block at a time, however
//! many are pending.
//!
//! In memory are the frames that are not in a block yet, the block that is
//! being read, and one bit an item that says whether it is done.

use std::collections::VecDeque;

use super::super::disk::Wire;
use super::bits::Bits;
use super::cursor::Cursor;
use super::entry::{Entry, Lane};
use super::error::FrontierError;
use super::frame::{Frame, put_frame};
use super::journal::{Journal, kind_of};

/// Frames that wait to be a block.
#[derive(Debug, Default)]
pub(super) struct Tail {
    pub(super) raw: Vec<u8>,
    pub(super) items: u32,
}

/// The lane.
pub(super) struct LaneQueue {
    lane: Lane,
    tail: Tail,
    /// How many items there ever were; the number of the next one.
    items: u64,
    done: Bits,
    /// Items that wait to be claimed, without those in `returned`.
    waiting: u64,
    /// What was claimed and handed back, to be claimed first.
    returned: VecDeque<(u64, Entry)>,
    cursor: Cursor,
    /// Whether the next frame is in `tail` and not in the cursor's block.
    in_tail: bool,
    /// Where in it.
    at: usize,
    /// The number of the next item there.
    next: u64,
}

impl LaneQueue {
    /// The lanes, without anything in them.
    pub(super) fn both() -> Result<[Self; 2], FrontierError> {
        Ok([Self::new(Lane::Source)?, Self::new(Lane::Page)?])
    }

    fn new(lane: Lane) -> Result<Self, FrontierError> {
        Ok(Self {
            lane,
            tail: Tail::default(),
            items: 0,
            done: Bits::default(),
            waiting: 0,
            returned: VecDeque::new(),
            cursor: Cursor::new(kind_of(lane))?,
            in_tail: false,
            at: 0,
            next: 0,
        })
    }

    /// How many items there ever were.
    pub(super) fn items(&self) -> u64 {
        self.items
    }

    /// Bytes that are not in a block yet.
    pub(super) fn tail_bytes(&self) -> usize {
        self.tail.raw.len()
    }

    /// Counts an item that stands in the journal already.
    pub(super) fn replay_item(&mut self) {
        self.items += 1;
        self.waiting += 1;
    }

    /// Counts an item as done that stands in the journal already; `false` if
    /// there is no such item, or it was done before.
    pub(super) fn replay_done(&mut self, item: u64) -> bool {
        let sound = item < self.items && self.done.set(item);
        self.waiting -= u64::from(sound);
        sound
    }

    /// Appends the frame of a new item.
    pub(super) fn push_item(&mut self, frame: &[u8], journal: &Journal) {
        if self.waiting == 0 {
            // Everything before it is claimed, and need not be passed over.
            self.in_tail = true;
            self.at = self.tail.raw.len();
            self.next = self.items;
            self.cursor.skip_all(journal);
        }
        self.items += 1;
        self.waiting += 1;
        self.tail.items += 1;
        put_frame(&mut self.tail.raw, frame);
    }

    /// Appends a frame that is no item.
    pub(super) fn push_other(&mut self, frame: &[u8]) {
        put_frame(&mut self.tail.raw, frame);
    }

    /// The item is done.
    pub(super) fn finish(&mut self, item: u64) {
        let new = self.done.set(item);
        debug_assert!(new, "item {item} of {:?} is done twice", self.lane);
    }

    /// A claimed item waits again, before all others.
    pub(super) fn hand_back(&mut self, item: u64, entry: Entry) {
        self.returned.push_back((item, entry));
    }

    /// The next item in the order of coming.
    pub(super) fn take(
        &mut self,
        journal: &Journal,
    ) -> Result<Option<(u64, Entry)>, FrontierError> {
        if let Some(returned) = self.returned.pop_front() {
            return Ok(Some(returned));
        }
        if self.waiting == 0 {
            return Ok(None);
        }
        loop {
            let raw = if self.in_tail {
                &self.tail.raw
            } else {
                &self.cursor.raw
            };
            if self.at >= raw.len() {
                if self.in_tail {
                    return Err(self.cursor.damaged("a pending entry is not there"));
                }
                self.next_block(journal)?;
                continue;
            }
            let mut wire = Wire::new(&raw[self.at..]);
            let Some(frame) = Frame::next(&mut wire) else {
                return Err(self.cursor.damaged("a frame cannot be read"));
            };
            self.at = raw.len() - wire.len();
            let is_item = matches!(frame, Frame::Add { .. } | Frame::Again { .. });
            if !is_item {
                continue;
            }
            let item = self.next;
            self.next += 1;
            if self.done.get(item) {
                continue;
            }
            let Some(entry) = frame.into_item(self.lane) else {
                continue;
            };
            self.waiting -= 1;
            return Ok(Some((item, entry)));
        }
    }

    fn next_block(&mut self, journal: &Journal) -> Result<(), FrontierError> {
        let (next, done) = (&mut self.next, &self.done);
        let read = self.cursor.next(journal, |header| {
            let items = *next..*next + u64::from(header.items);
            let wanted = !done.all(items.clone());
            if !wanted {
                *next = items.end;
            }
            wanted
        })?;
        if !read {
            self.in_tail = true;
        }
        self.at = 0;
        Ok(())
    }

    /// Makes a block of the frames that wait.
    pub(super) fn flush(&mut self, journal: &mut Journal) -> Result<(), FrontierError> {
        if self.tail.raw.is_empty() {
            return Ok(());
        }
        journal.append(kind_of(self.lane), self.tail.items, &self.tail.raw)?;
        if self.in_tail {
            std::mem::swap(&mut self.tail.raw, &mut self.cursor.raw);
            self.cursor.skip_all(journal);
            self.in_tail = false;
        }
        self.tail.raw.clear();
        self.tail.items = 0;
        Ok(())
    }
}

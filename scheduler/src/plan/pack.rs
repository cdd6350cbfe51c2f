//! Work put into slots, as the queue does it: in its order, each job into the
//! slot that is free first.
//!
//! Adding an instance never makes a job start later, and adding a job never
//! makes another start earlier: the sorted free instants only ever move one
//! way. So the smallest fleet can be searched by halving.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A job in the order of the queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub(super) key: u32,
    pub(super) due_ms: i64,
    pub(super) expected_ms: i64,
    /// A start later than this is too late.
    pub(super) last_ms: i64,
    /// A start later than this is too late for what is planned, which keeps
    /// some time in reserve; not behind `last_ms`.
    pub(super) latest_ms: i64,
    /// What was promised; the plan may have had to give it up.
    pub(super) deadline_ms: i64,
}

/// When a slot is free, and its number.
type Slot = Reverse<(i64, u32)>;

/// Buffers that are used again.
#[derive(Debug, Default)]
pub(super) struct Packer {
    heap: BinaryHeap<Slot>,
    free: Vec<Slot>,
    /// When each instance has done its last job.
    ends: Vec<i64>,
}

/// From when on how many instances are there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ready {
    pub(super) at_ms: i64,
    pub(super) instances: u32,
}

/// What packing came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packed {
    pub(super) finish_ms: i64,
    /// The job that is over last.
    pub(super) last: Option<u32>,
    /// Jobs that start too late for what is planned.
    pub(super) misses: u32,
    /// Jobs that are likely to end behind their deadline.
    pub(super) late: u32,
}

impl Packer {
    fn begin(&mut self, ready: &[Ready], slots: u32) {
        // The buffer moves between heap and list, so that nothing is allocated.
        let mut free = std::mem::take(&mut self.free);
        free.clear();
        for ready in ready {
            let from = free.len() as u32;
            let many = ready.instances.saturating_mul(slots);
            free.extend((0..many).map(|at| Reverse((ready.at_ms, from + at))));
        }
        self.heap = BinaryHeap::from(free);
    }

    fn finish(&mut self) {
        self.free = std::mem::take(&mut self.heap).into_vec();
    }

    /// Whether every job starts in time.
    pub(super) fn fits(&mut self, items: &[Item], ready: &[Ready], slots: u32) -> bool {
        self.begin(ready, slots);
        let mut fits = true;
        for item in items {
            let Some(mut slot) = self.heap.peek_mut() else {
                fits = false;
                break;
            };
            let start = slot.0.0.max(item.due_ms);
            if start > item.latest_ms {
                fits = false;
                break;
            }
            slot.0.0 = start + item.expected_ms;
        }
        self.finish();
        fits
    }

    /// Packs everything. Without a slot each job is a miss.
    pub(super) fn pack(&mut self, items: &[Item], ready: &[Ready], slots: u32) -> Packed {
        let instances: u32 = ready.iter().map(|ready| ready.instances).sum();
        self.begin(ready, slots);
        self.ends.clear();
        self.ends.resize(instances as usize, i64::MIN);
        let mut packed = Packed {
            finish_ms: i64::MIN,
            last: None,
            misses: 0,
            late: 0,
        };
        for item in items {
            let Some(mut slot) = self.heap.peek_mut() else {
                packed.misses += 1;
                packed.late += 1;
                continue;
            };
            let (free, number) = slot.0;
            let start = free.max(item.due_ms);
            let end = start + item.expected_ms;
            packed.misses += u32::from(start > item.latest_ms);
            packed.late += u32::from(end > item.deadline_ms);
            if end > packed.finish_ms {
                packed.finish_ms = end;
                packed.last = Some(item.key);
            }
            let last = &mut self.ends[(number / slots) as usize];
            *last = end.max(*last);
            slot.0.0 = end;
        }
        self.finish();
        packed
    }

    /// Gives up what not even these instances keep in reserve, and no more of
    /// it than that.
    pub(super) fn relax(&mut self, items: &mut [Item], ready: &[Ready], slots: u32) {
        self.begin(ready, slots);
        for item in items {
            let Some(mut slot) = self.heap.peek_mut() else {
                item.latest_ms = item.last_ms;
                continue;
            };
            let start = slot.0.0.max(item.due_ms);
            item.latest_ms = item.latest_ms.max(start.min(item.last_ms));
            slot.0.0 = start + item.expected_ms;
        }
        self.finish();
    }

    /// When each instance of the last [`Packer::pack`] has done its last job;
    /// `i64::MIN` where it had none.
    pub(super) fn ends(&self) -> &[i64] {
        &self.ends
    }
}

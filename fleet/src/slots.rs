//! How many jobs a worker process has in hand, and since when none.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use trawler_core::ports::Clock;
use trawler_core::tenure::Occupancy;

/// Counts the jobs in hand of all workers that it was given to. Clones count
/// together.
#[derive(Clone)]
pub struct Slots {
    clock: Arc<dyn Clock>,
    occupancy: Arc<watch::Sender<Occupancy>>,
}

impl Slots {
    /// Idle since now.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let idle = Occupancy::IdleSince(clock.monotonic());
        Self {
            clock,
            occupancy: Arc::new(watch::Sender::new(idle)),
        }
    }

    pub fn occupancy(&self) -> Occupancy {
        *self.occupancy.borrow()
    }

    /// Tells of every change from now on.
    pub(crate) fn watch(&self) -> watch::Receiver<Occupancy> {
        self.occupancy.subscribe()
    }

    /// A job is in hand as long as the answer lives.
    pub fn take(&self) -> TakenSlot {
        self.occupancy.send_modify(|occupancy| {
            *occupancy = match *occupancy {
                Occupancy::Busy(jobs) => Occupancy::Busy(jobs + 1),
                Occupancy::IdleSince(_) => Occupancy::Busy(1),
            };
        });
        TakenSlot {
            slots: self.clone(),
        }
    }

    /// Nothing is known of the work that waits: idleness begins anew.
    pub(crate) fn still_waiting(&self) {
        let now = self.clock.monotonic();
        self.occupancy.send_if_modified(|occupancy| {
            let is_idle = matches!(occupancy, Occupancy::IdleSince(_));
            if is_idle {
                *occupancy = Occupancy::IdleSince(now);
            }
            is_idle
        });
    }

    fn give_back(&self, now: Duration) {
        self.occupancy.send_modify(|occupancy| {
            *occupancy = match *occupancy {
                Occupancy::Busy(jobs) if jobs > 1 => Occupancy::Busy(jobs - 1),
                Occupancy::Busy(_) | Occupancy::IdleSince(_) => Occupancy::IdleSince(now),
            };
        });
    }
}

/// Gives its slot back when it is dropped.
pub struct TakenSlot {
    slots: Slots,
}

impl Drop for TakenSlot {
    fn drop(&mut self) {
        self.slots.give_back(self.slots.clock.monotonic());
    }
}

//! What happens, in the order of time. At one instant what ends comes before
//! what begins, and those who look at it come last: the tick sends what is
//! due, then decides.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::Ms;

/// One of the two queues and its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tier {
    Crawl,
    Image,
}

impl Tier {
    pub(crate) const BOTH: [Self; 2] = [Self::Crawl, Self::Image];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Crawl => "crawl",
            Self::Image => "image",
        }
    }
}

/// Declared in the order in which events of one instant happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// A crawl job ends, if `delivery` is still the one in hand.
    Done { job: u32, delivery: u32 },
    /// The next host is done, if nothing changed since `version`.
    Flow { version: u64 },
    /// Spot takes an instance back.
    Strike {
        tier: Tier,
        instance: u32,
        noticed: bool,
    },
    /// Spot takes many back at once.
    Wave,
    /// An instance has been idle for so long that it leaves.
    Idle {
        tier: Tier,
        instance: u32,
        since: Ms,
    },
    /// A group that got none tries again.
    Fill { tier: Tier },
    /// A worker polls for the first time.
    Ready { tier: Tier, instance: u32 },
    /// The message of a lost worker's job is visible again.
    Visible { job: u32 },
    /// The runs of a day become known.
    Load { day: u64 },
    /// The next runs are due.
    Due,
    /// The end of a minute of metrics.
    Sample,
    /// The policy looks.
    Look,
}

/// What is still to happen.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    heap: BinaryHeap<Reverse<(Ms, Event)>>,
}

impl Agenda {
    pub(crate) fn at(&mut self, at: Ms, event: Event) {
        self.heap.push(Reverse((at, event)));
    }

    pub(crate) fn next(&mut self) -> Option<(Ms, Event)> {
        self.heap.pop().map(|Reverse(next)| next)
    }
}

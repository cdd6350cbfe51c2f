//! What has to be done: runs by the day, each with the slot time that it takes
//! and the image work that it leaves. Generated, or read from a trace.
//!
//! A day is made when it is needed and never kept, so that a thousand of them
//! take the memory of two.

mod generated;
mod trace;

pub use generated::Generated;
pub(crate) use generated::Shape;
pub use trace::Trace;

use crate::time::Ms;

/// How a run gets its products, which decides what a lost worker costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Begins anew when its worker is lost.
    Feed,
    /// Goes on from its last checkpoint.
    Site,
}

/// Images that a run leaves to be fetched from one host.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ImageLoad {
    pub(crate) changed: f64,
    pub(crate) unchanged: f64,
    /// Requests a second that the host is asked at most.
    pub(crate) per_s: f64,
}

impl ImageLoad {
    pub(crate) fn count(&self) -> f64 {
        self.changed + self.unchanged
    }
}

/// One run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RunLoad {
    pub(crate) pipe: u32,
    /// When its message is in the queue: at the tick of its due instant.
    pub(crate) due: Ms,
    /// What it takes of a slot.
    pub(crate) work: Ms,
    pub(crate) source: Source,
    pub(crate) rows: u64,
    /// When it has to be done.
    pub(crate) deadline: Ms,
    /// Whether the schedule knew of it, or somebody asked for it.
    pub(crate) planned: bool,
    pub(crate) images: ImageLoad,
}

/// The runs of a study.
#[derive(Debug, Clone)]
pub(crate) enum Workload {
    Generated(Generated),
    Trace(Trace),
}

impl Workload {
    pub(crate) fn days(&self) -> u64 {
        match self {
            Self::Generated(of) => of.days,
            Self::Trace(of) => of.days(),
        }
    }

    pub(crate) fn pipes(&self) -> usize {
        match self {
            Self::Generated(of) => of.pipes(),
            Self::Trace(of) => of.pipes().len(),
        }
    }

    /// Products that are there in the end.
    pub(crate) fn rows(&self) -> u64 {
        match self {
            Self::Generated(of) => of.rows(),
            Self::Trace(of) => of.rows(),
        }
    }

    /// The runs that are due on a day, in the order in which they are due;
    /// those of one instant the longest first, as the scheduler sends them.
    pub(crate) fn day(&self, day: u64) -> Vec<RunLoad> {
        let mut runs = match self {
            Self::Generated(of) => of.day(day),
            Self::Trace(of) => of.day(day),
        };
        runs.sort_by(|a, b| (a.due, b.rows, a.pipe).cmp(&(b.due, a.rows, b.pipe)));
        runs
    }
}

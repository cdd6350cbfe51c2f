//! The scheduler: what is due becomes runs, runs become jobs, jobs that wait
//! go back into the queue when their time has come, and finished image work is
//! sent to be folded.
//!
//! Everything happens in [`Scheduler::tick`], which is safe to run twice, from
//! two places, or late: each step looks at State, does what is missing under a
//! name that is derived from content, and leaves the rest. It does no work on
//! pipes itself and knows no cloud.

mod audit;
mod due;
mod error;
mod images;
mod jobs;
mod outcome;
mod prune;
mod tick;

pub use audit::{Audit, audit};
pub use error::SchedulerError;
pub use tick::{Scheduler, SchedulerOptions, TickReport};

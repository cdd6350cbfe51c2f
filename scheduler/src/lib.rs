//! The scheduler: what is due becomes runs, runs become jobs, jobs that wait
//! go back into the queue when their time has come, and finished image work is
//! sent to be folded.
//!
//! Everything happens in [`Scheduler::tick`], which is safe to run twice, from
//! two places, or late: each step looks at State, does what is missing under a
//! name that is derived from content, and leaves the rest. It does no work on
//! pipes itself and knows no cloud.
//!
//! # What it costs
//!
//! What a tick lists and reads grows with open work and not with history. On an
//! object store that takes $5 for a million listings or writes and $0.40 for a
//! million reads, with 5,000 pipes, a tick a minute and seven days of history
//! (`cargo test -p trawler-scheduler --test costs -- --nocapture` prints these
//! and holds their bounds; queues and catalogue not counted):
//!
//! | | listings and writes | reads | |
//! |---|---|---|---|
//! | an idle tick | 10: six pages of `schedule/` (5,000 keys and the end), one each of `withheld`, `jobs/crawl`, `jobs/image` and `manifests` | 0 | 1,440 x 10 x $5/M = $0.072 a day |
//! | the first tick of a process | 64: these and a prune pass | 5,001: each schedule document | |
//! | a prune pass, hourly | 55 more: 36 pages of settled manifests, 18 of logs, parts, results, lists and checkpoints, a write | 1 | 24 x 55 x $5/M = $0.007 a day |
//! | an unchanged run | 13: schedule twice, run document 6 times, job record 4 times, a first look at the pipe | 17 | 5,000 x (13 x $5/M + 17 x $0.40/M) = $0.36 a day |
//! | an image job | 4.1: record, taken, result, settled; the rest is the manifest's, the fold's and the ticks' | 10.1 | a million: 4.1 x $5 + 10.1 x $0.40 = $24.55 a day |
//!
//! Open work costs a page a 1,000 jobs and tick: a full image queue of 100,000
//! jobs all day long 100 x 1,440 x $5/M = $0.72. Results are never listed to be
//! counted but in the one case that `images` names; a fold lists those of its
//! own pipe.

mod capacity;
mod decide;
mod due;
mod error;
mod gauges;
mod images;
mod jobs;
mod look;
mod outcome;
pub mod plan;
mod prune;
mod refetch;
mod reprocess;
mod settled;
mod sweep;
mod tick;
mod upkeep;
mod withheld;

pub use capacity::{Apply, GroupPlan, Level, PlanError, PlanOptions, PlanReport, Prices, Scaled};
pub use decide::{DecideError, Decider};
pub use error::SchedulerError;
pub use reprocess::ReprocessError;
pub use tick::{Scheduler, SchedulerOptions, TickReport};
pub use upkeep::UpkeepRule;

//! The planner: how many instances a queue's work needs, and when.
//!
//! Pure: it is told the instant, what is due and how long it will take, and
//! what the fleet is now; it reaches nothing and remembers nothing but the
//! buffers that it works in. The scheduler's tick, `trawler plan` and
//! `trawler simulate` ask the same functions.
//!
//! - [`estimate()`]: how long a run will take, from the pipe's last ones.
//! - [`Planner::decide`]: the smallest fleet that finishes crawl work in time,
//!   now. It packs runs into slots in the order in which the queue hands them
//!   out: what is due first, and of what is due together what may wait least,
//!   which of one deadline is the longest first.
//! - [`decide_flow`]: the same of image work, which is a flow for each host
//!   and not a list of jobs; [`Pace`] measures how long its jobs take, and
//!   [`Crowding`] tells slow machines from slow hosts.
//! - [`Planner::forecast`]: what those decisions come to over the hours that
//!   lie ahead.
//!
//! All instants are milliseconds since one origin, the caller's; all durations
//! are milliseconds.

mod decide;
mod estimate;
mod flow;
mod flow_forecast;
mod forecast;
mod load;
mod pace;
mod pack;
mod work;

#[cfg(test)]
mod flow_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;

pub use decide::{Decision, Planner, Why};
pub use estimate::{Estimate, Past, Typical, estimate, left_ms, typical};
pub use flow::{Flow, decide_flow};
pub use flow_forecast::forecast_flow;
pub use forecast::{End, Forecast, Step};
pub use pace::{Crowding, Looked, Pace, TELLING_JOBS};
pub use work::{Fleet, Limits, Work};

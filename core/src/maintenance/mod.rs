//! Maintenance windows: times in which a partner or a target is not to be
//! touched. Jobs that would touch it are parked until the end, which is no
//! attempt, and go on afterwards, spread over a short time.
//!
//! Off-peak hours are the contrary: the partner is touched in these alone, and
//! whoever comes at another time waits for them in the same way.
//!
//! A partner's windows stand in its pipe file; those of the fleet, of the
//! catalogue, of a pipe or of a host are declared while the fleet runs. When
//! they are looked up is the fleet's matter.
//!
//! Daylight saving: a local time that is skipped is the first instant after
//! the gap; of one that happens twice a window begins at the first and ends at
//! the second. Held by `weekly_windows_follow_the_zone`.

mod closed;
mod declared;
mod window;

#[cfg(test)]
mod tests;

pub use closed::{Closed, MAINTENANCE, PartnerHours, SPREAD_MAX, Touches, after_window, closed};
pub use declared::{DECLARED_KEPT, DECLARED_MAX, Declarations, Declared, Target};
pub use window::{PIPE_WINDOWS_MAX, Window, WindowError, WindowText};

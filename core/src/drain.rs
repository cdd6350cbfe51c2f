//! How a worker leaves (invariant 9).

use std::time::Duration;

/// What a worker holds is handed back within this time of the notice.
pub const HAND_BACK_WITHIN: Duration = Duration::from_secs(5);

/// The process exits when its last poll has returned and been released: the
/// longest long poll (20 s) and the hand-back time.
pub const EXIT_WITHIN: Duration = Duration::from_secs(25);

/// Most rows between two looks.
pub const STEP_ROWS_MAX: usize = 1_000;

/// Most bytes between two looks.
pub const STEP_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A pause flag may be this old when it is acted on.
pub const PAUSE_CACHE: Duration = Duration::from_secs(2);

/// When a lease of `visibility` is renewed: halfway.
pub fn renew_every(visibility: Duration) -> Duration {
    visibility / 2
}

/// How long before its end a lease that could not be renewed counts as lost:
/// a tenth, so that work stops while the lease is still ours.
pub fn lease_margin(visibility: Duration) -> Duration {
    visibility / 10
}

// A lease has to be renewed, with room for retries, before it counts as lost.
const _: () = assert!(HAND_BACK_WITHIN.as_secs() < EXIT_WITHIN.as_secs());

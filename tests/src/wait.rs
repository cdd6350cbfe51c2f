//! Waiting on state, with a bound.

use std::time::{Duration, Instant};

/// A state that a test waits for comes in milliseconds; a machine under load
/// gets a minute before the test fails.
pub const WAIT_MAX: Duration = Duration::from_secs(60);

const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Waits until `holds`.
///
/// # Panics
/// When it does not within [`WAIT_MAX`].
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + WAIT_MAX;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {WAIT_MAX:?}: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

//! The very program that users run, as a binary of this package, so that cargo
//! builds it for the journeys and tells them where it is. Its clock may be ahead
//! of the system's, for journeys that take days.

use std::process::ExitCode;
use std::time::Duration;

/// Seconds that the clock is ahead.
const AHEAD: &str = "TRAWLER_UNDER_TEST_AHEAD_S";

fn main() -> ExitCode {
    let ahead = std::env::var(AHEAD).unwrap_or_else(|_| "0".to_owned());
    let ahead = ahead.parse().expect("the test says how many seconds");
    trawler::main_ahead(Duration::from_secs(ahead))
}

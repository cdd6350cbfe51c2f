//! The very program that users run, as a binary of this package, so that cargo
//! builds it for the journeys and tells them where it is. Its clock may be ahead
//! of the system's, for journeys that take days, and it may say what memory it
//! took: a process that lives for milliseconds cannot be watched from outside.

use std::fs;
use std::process::ExitCode;
use std::time::Duration;

/// Seconds that the clock is ahead.
const AHEAD: &str = "TRAWLER_UNDER_TEST_AHEAD_S";

/// A file that takes what the system knows of this process when it ends, the
/// most that was resident (`VmHWM`) among it.
const STATUS: &str = "TRAWLER_UNDER_TEST_STATUS";

fn main() -> ExitCode {
    let ahead = std::env::var(AHEAD).unwrap_or_else(|_| "0".to_owned());
    let ahead = ahead.parse().expect("the test says how many seconds");
    let code = trawler::main_ahead(Duration::from_secs(ahead));
    if let Some(file) = std::env::var_os(STATUS) {
        let status = fs::read("/proc/self/status").expect("Linux tells of every process");
        fs::write(file, status).expect("the test names a file that can be written");
    }
    code
}

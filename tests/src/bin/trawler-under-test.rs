//! The very program that users run, as a binary of this package, so that cargo
//! builds it for the journeys and tells them where it is.

use std::process::ExitCode;

fn main() -> ExitCode {
    trawler::main()
}

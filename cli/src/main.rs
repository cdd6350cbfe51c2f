//! The binary `trawler`; everything is in the library beside it, so that the
//! journeys in `tests/` can run the very same program.

use std::process::ExitCode;

fn main() -> ExitCode {
    trawler::main()
}

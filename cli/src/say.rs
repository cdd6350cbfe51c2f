//! Words on standard output. `println!` panics when whoever reads them (`head`)
//! has seen enough and closed the pipe; here the program ends, as others do.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write, stdout};

/// Writes a line to standard output.
macro_rules! say {
    ($($words:tt)*) => {
        $crate::say::line(format_args!($($words)*))
    };
}

/// A line on standard output.
pub(crate) fn line(words: Arguments<'_>) {
    let mut out = stdout().lock();
    let written = out.write_fmt(words).and_then(|()| out.write_all(b"\n"));
    ended_by(written);
}

/// Text on standard output as it is.
pub(crate) fn text(text: &str) {
    ended_by(stdout().lock().write_all(text.as_bytes()));
}

/// What was said is the whole purpose: without a reader there is nothing left
/// to do, and whatever else is under way survives its process.
fn ended_by(written: std::io::Result<()>) {
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            eprintln!("trawler: write to standard output: {error}");
            std::process::exit(1);
        }
    }
}

//! The folder of real input for tests, which is not part of this tree: where it
//! is absent they say so aloud and pass, unless it is required.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A part of the folder: in `TRAWLER_REAL`, or beside the checkout.
///
/// # Panics
/// When it is absent and `TRAWLER_REAL_REQUIRED` is 1.
pub(crate) fn real(part: &str) -> Option<PathBuf> {
    let root = std::env::var_os("TRAWLER_REAL").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/real"),
        PathBuf::from,
    );
    let part = root.join(part);
    if part.exists() {
        return Some(part);
    }
    let is_required = std::env::var("TRAWLER_REAL_REQUIRED").is_ok_and(|word| word == "1");
    assert!(!is_required, "there is no {}", part.display());
    // Past the test's captured output, which nobody reads of a test that passes.
    let test = std::thread::current();
    let test = test.name().unwrap_or("a test");
    drop(writeln!(
        std::io::stderr(),
        "SKIPPED {test}: there is no {}; TRAWLER_REAL says where real input lies",
        part.display()
    ));
    None
}

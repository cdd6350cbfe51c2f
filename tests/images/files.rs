//! The real images, which lie beside the checkout and not in it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Real images by their names, or `None` (with a line saying so) where there
/// are none.
pub(crate) fn real() -> Option<BTreeMap<String, PathBuf>> {
    let root = std::env::var_os("TRAWLER_REAL").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/real"),
        PathBuf::from,
    );
    let images = root.join("images");
    if !images.is_dir() {
        skipped(&images);
        return None;
    }
    let mut files = BTreeMap::new();
    for folder in ["formats", "photos"] {
        for entry in std::fs::read_dir(images.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            assert!(
                files.insert(name, path).is_none(),
                "two files of one name in {}",
                images.display()
            );
        }
    }
    Some(files)
}

fn skipped(images: &Path) {
    let is_required = std::env::var("TRAWLER_REAL_REQUIRED").is_ok_and(|word| word == "1");
    assert!(!is_required, "there is no {}", images.display());
    // Past the test's captured output, which nobody reads of a test that passes.
    let test = std::thread::current();
    let test = test.name().unwrap_or("a test");
    drop(writeln!(
        std::io::stderr(),
        "SKIPPED {test}: there is no {}; TRAWLER_REAL says where real input lies",
        images.display()
    ));
}

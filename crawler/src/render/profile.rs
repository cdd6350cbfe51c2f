//! The folder of a browser's own files. It goes with the browser (`process`);
//! what a machine left that went down with it goes when the next one starts.
//!
//! Whose folder is in use is known by a lock that ends with its process.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

const LOCK: &str = "trawler.lock";

/// A folder in use.
pub(super) struct Profile {
    path: PathBuf,
    /// Held as long as this is.
    _lock: File,
}

impl Profile {
    /// Makes one, with the folders above.
    pub(super) fn make(path: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&path)?;
        let lock = File::create(path.join(LOCK))?;
        lock.lock()?;
        Ok(Self { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Removes the folders that nobody uses any more. What cannot be removed stays
/// for the next time.
pub(super) fn sweep(profiles: &Path) {
    let Ok(folders) = fs::read_dir(profiles) else {
        return;
    };
    for folder in folders.flatten() {
        let path = folder.path();
        let swept = match File::open(path.join(LOCK)) {
            Ok(lock) => match lock.try_lock() {
                Ok(()) => fs::remove_dir_all(&path),
                Err(_) => continue,
            },
            // One that was about to be made, or to be removed: if empty.
            Err(_) => fs::remove_dir(&path),
        };
        if let Err(error) = swept {
            tracing::debug!(path = %path.display(), "a browser's folder stays: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_nobody_uses_is_swept_and_what_is_used_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let used = Profile::make(at("used")).unwrap();
        let left = Profile::make(at("left")).unwrap();
        fs::write(left.path().join("Cookies"), "x").unwrap();
        drop(left);
        fs::create_dir(at("empty")).unwrap();
        sweep(folder.path());
        let names = fs::read_dir(folder.path()).unwrap().flatten();
        let names: Vec<_> = names.map(|entry| entry.file_name()).collect();
        assert_eq!(names, ["used"]);
        assert!(used.path().is_dir());
        sweep(&at("nowhere"));
    }
}

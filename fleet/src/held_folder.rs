//! A folder of scratch files for as long as somebody uses it. Who made it
//! removes it; what a process left that was killed, or a machine that went down,
//! goes when the next one sweeps.
//!
//! That it is in use is known by a lock on a file in it. The operating system
//! lets go of the lock when the process ends, however it ends.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const LOCK: &str = "trawler.lock";

/// A folder may be taken for one that was left between its making and its
/// locking; then it is made once more, this often.
const TRIES_MAX: u32 = 16;

/// A folder in use.
#[derive(Debug)]
pub struct HeldFolder {
    path: PathBuf,
    /// Held as long as this is.
    _lock: File,
}

impl HeldFolder {
    /// Makes it, with the folders above, or takes one that is there. Blocks for
    /// as long as somebody else holds it.
    pub fn make(path: PathBuf) -> io::Result<Self> {
        for _ in 0..TRIES_MAX {
            fs::create_dir_all(&path)?;
            match open_lock(&path) {
                Ok(lock) => {
                    lock.lock()?;
                    if is_there(&path, &lock)? {
                        return Ok(Self { path, _lock: lock });
                    }
                }
                // Swept before it had a lock.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let why = "others took it for a folder that was left, each time";
        Err(io::Error::other(why))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the folders below `root` that nobody uses any more. What cannot
    /// be removed stays for the next time.
    pub fn sweep(root: &Path) {
        let Ok(folders) = fs::read_dir(root) else {
            return;
        };
        for folder in folders.flatten() {
            let path = folder.path();
            if !path.is_dir() {
                continue;
            }
            if let Err(error) = remove_left(&path) {
                tracing::debug!(path = %path.display(), "a folder of scratch files stays: {error}");
            }
        }
    }
}

fn open_lock(folder: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    options.open(folder.join(LOCK))
}

/// Whether the file is still the lock of the folder: a sweep may have removed
/// both while it was waited for.
fn is_there(folder: &Path, lock: &File) -> io::Result<bool> {
    let mine = lock.metadata()?;
    match fs::metadata(folder.join(LOCK)) {
        Ok(found) => Ok((found.dev(), found.ino()) == (mine.dev(), mine.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// With its lock in hand, so that whoever is about to use it finds it gone.
fn remove_left(folder: &Path) -> io::Result<()> {
    let lock = open_lock(folder)?;
    match lock.try_lock() {
        Ok(()) => fs::remove_dir_all(folder),
        Err(fs::TryLockError::WouldBlock) => Ok(()),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn names(root: &Path) -> Vec<std::ffi::OsString> {
        let entries = fs::read_dir(root).unwrap().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_nobody_uses_is_swept_and_what_is_used_stays() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let used = HeldFolder::make(at("used")).unwrap();
        let left = HeldFolder::make(at("left")).unwrap();
        fs::write(left.path().join("Cookies"), "x").unwrap();
        drop(left);
        fs::create_dir(at("empty")).unwrap();
        // A sweep that was killed took the lock first.
        fs::create_dir(at("half")).unwrap();
        fs::write(at("half").join("feed"), "x").unwrap();
        fs::write(at("file"), "no folder").unwrap();
        HeldFolder::sweep(root.path());
        assert_eq!(names(root.path()), ["file", "used"]);
        assert!(used.path().join(LOCK).is_file());
        HeldFolder::sweep(&at("nowhere"));
    }

    #[test]
    fn who_makes_folders_while_others_sweep_has_each() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(std::sync::atomic::Ordering::Relaxed) {
                        HeldFolder::sweep(root);
                    }
                });
            }
            for n in 0..200 {
                let held = HeldFolder::make(root.join(n.to_string())).unwrap();
                fs::write(held.path().join("feed"), "x").unwrap();
                HeldFolder::sweep(root);
                assert!(held.path().join("feed").is_file(), "{n}");
                drop(held);
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        HeldFolder::sweep(root);
        assert_eq!(names(root), [""; 0]);
    }
}

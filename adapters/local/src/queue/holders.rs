//! Who holds leases, and whether they still live.
//!
//! A process that receives holds an exclusive lock on a file of its own,
//! `<folder>/holders/{name}.lock`, to its end, and every lease names it. The
//! operating system lets go of the lock when the process ends, however it
//! ends: whoever gets the lock of another's file knows that its holder is dead
//! and makes its messages visible at once, instead of after a whole
//! visibility. To the ledger that is what it is: a delivery that vanished.
//!
//! A lease lives as long as its process, not as its store: it may be settled
//! through another store of the process.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::sql;
use crate::database::{Database, DatabaseError, in_transaction};

const SUFFIX: &str = ".lock";

/// How often a store looks for dead holders; one look costs some 100
/// microseconds.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A file may be taken for a dead holder's between its making and its locking;
/// then another one is made, this often.
const TRIES_MAX: u32 = 16;

/// This process as a holder, by folder; one open file for each folder that it
/// receives from. Never emptied: the end of the process is what ends a lock.
static MINE: Mutex<BTreeMap<PathBuf, Mine>> = Mutex::new(BTreeMap::new());

#[derive(Debug)]
struct Mine {
    name: Arc<str>,
    /// Locked.
    _file: File,
}

/// Why this process could not say that it lives, or look at the others.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HolderError {
    #[error("lock a file in {folder}, which shows that this process lives")]
    Lock {
        folder: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("look for dead processes in {folder}")]
    Look {
        folder: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("look at {folder}: the work was cut off")]
    CutOff {
        folder: PathBuf,
        #[source]
        source: tokio::task::JoinError,
    },
}

/// The holders of one folder. Cheap to clone; clones share the pace of looking.
#[derive(Debug, Clone)]
pub(crate) struct Holders {
    folder: Arc<Path>,
    looked: Arc<Mutex<Option<Duration>>>,
}

/// A holder that has died, and the lock that keeps others from saying so too.
#[derive(Debug)]
struct Dead {
    name: String,
    path: PathBuf,
    _lock: Option<File>,
}

impl Holders {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            folder: folder.into(),
            looked: Arc::default(),
        }
    }

    /// The name under which this process holds leases of the folder.
    pub(crate) async fn mine(&self) -> Result<Arc<str>, HolderError> {
        self.blocking(|folder| {
            mine(folder).map_err(|source| HolderError::Lock {
                folder: folder.to_owned(),
                source,
            })
        })
        .await
    }

    /// Makes the messages of dead holders visible; true when there were any.
    /// Looks at most once a second; `now` is monotonic.
    pub(crate) async fn reclaim(
        &self,
        database: &Database,
        now: Duration,
    ) -> Result<bool, HolderError> {
        {
            let mut looked = lock(&self.looked);
            if looked.is_some_and(|last| now.saturating_sub(last) < LOOK_EVERY) {
                return Ok(false);
            }
            *looked = Some(now);
        }
        let named = database.read(sql::holders).await?;
        let dead = self
            .blocking(move |folder| {
                find_dead(folder, named).map_err(|source| HolderError::Look {
                    folder: folder.to_owned(),
                    source,
                })
            })
            .await?;
        if dead.is_empty() {
            return Ok(false);
        }
        let freed = database.with_writer(move |connection| {
            let freed = in_transaction(connection, |tx| {
                dead.iter()
                    .try_fold(0, |sum, dead| Ok(sum + sql::free(tx, &dead.name)?))
            })?;
            // Only now: a file that is gone says dead as well.
            for dead in dead {
                dead.remove();
            }
            Ok(freed)
        });
        Ok(freed.await? > 0)
    }

    async fn blocking<T, F>(&self, work: F) -> Result<T, HolderError>
    where
        T: Send + 'static,
        F: FnOnce(&Path) -> Result<T, HolderError> + Send + 'static,
    {
        let folder = Arc::clone(&self.folder);
        let working = tokio::task::spawn_blocking(move || work(&folder));
        working.await.map_err(|source| HolderError::CutOff {
            folder: self.folder.to_path_buf(),
            source,
        })?
    }
}

impl Dead {
    fn remove(self) {
        // One that cannot be removed now is found dead again, with no leases.
        let _ = fs::remove_file(&self.path);
    }
}

fn mine(folder: &Path) -> io::Result<Arc<str>> {
    let mut mine = lock(&MINE);
    if let Some(known) = mine.get(folder)
        && path(folder, &known.name).exists()
    {
        return Ok(Arc::clone(&known.name));
    }
    // The first, or somebody has removed the folder and begun it anew.
    let made = create(folder)?;
    let name = Arc::clone(&made.name);
    mine.insert(folder.to_owned(), made);
    Ok(name)
}

fn create(folder: &Path) -> io::Result<Mine> {
    fs::create_dir_all(folder)?;
    for _ in 0..TRIES_MAX {
        // A new hasher is random: the name of a dead holder must not come again.
        let random = RandomState::new().hash_one(0);
        let name = format!("{}-{random:016x}", std::process::id());
        let path = path(folder, &name);
        let file = match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(error),
        };
        // Waits at most for somebody's look.
        file.lock()?;
        if path.exists() {
            return Ok(Mine {
                name: name.into(),
                _file: file,
            });
        }
    }
    Err(io::Error::other(
        "others took each new file for that of a dead process",
    ))
}

/// Of those that have a file or are named by a lease, the ones that have died.
fn find_dead(folder: &Path, named: Vec<String>) -> io::Result<Vec<Dead>> {
    let mut names: BTreeSet<String> = named.into_iter().collect();
    match fs::read_dir(folder) {
        Ok(entries) => {
            for entry in entries {
                let file = entry?.file_name();
                let name = file.to_str().and_then(|file| file.strip_suffix(SUFFIX));
                names.extend(name.map(str::to_owned));
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // Not every system refuses a process the lock that it holds itself.
    if let Some(mine) = lock(&MINE).get(folder) {
        names.remove(&*mine.name);
    }
    Ok(names
        .into_iter()
        .filter_map(|name| dead(folder, name))
        .collect())
}

/// `None` for a holder that lives, is looked at by somebody else, or cannot be
/// judged.
fn dead(folder: &Path, name: String) -> Option<Dead> {
    let path = path(folder, &name);
    let lock = match File::open(&path) {
        Ok(file) => {
            file.try_lock().ok()?;
            Some(file)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(_) => return None,
    };
    Some(Dead {
        name,
        path,
        _lock: lock,
    })
}

fn path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}{SUFFIX}"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is kept here is whole whatever panicked beside it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn names(dead: &[Dead]) -> Vec<&str> {
        dead.iter().map(|dead| dead.name.as_str()).collect()
    }

    #[test]
    fn the_living_hold_their_files_and_the_dead_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("holders");
        assert!(find_dead(&folder, Vec::new()).unwrap().is_empty());
        let me = mine(&folder).unwrap();
        assert_eq!(mine(&folder).unwrap(), me, "one name a process and folder");
        // As another process would see it: the lock itself says so.
        assert!(dead(&folder, me.to_string()).is_none());

        File::create(path(&folder, "killed")).unwrap();
        let named = vec![me.to_string(), "gone".to_owned()];
        let found = find_dead(&folder, named.clone()).unwrap();
        assert_eq!(names(&found), ["gone", "killed"]);
        let second = find_dead(&folder, named.clone()).unwrap();
        assert_eq!(names(&second), ["gone"], "one of two lookers has the lock");
        drop((found, second));
        for dead in find_dead(&folder, named).unwrap() {
            dead.remove();
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "mine is left");
    }

    #[test]
    fn a_folder_that_is_begun_anew_gets_a_new_name() {
        let folder = tempfile::tempdir().unwrap();
        let before = mine(folder.path()).unwrap();
        fs::remove_file(path(folder.path(), &before)).unwrap();
        let after = mine(folder.path()).unwrap();
        assert_ne!(before, after);
        assert!(dead(folder.path(), after.to_string()).is_none());
    }
}

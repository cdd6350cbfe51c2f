//! Blobs as files: the object `a/b/c` is the file `a/b/c` below the root.
//!
//! An object is written under a temporary name in the same file system, forced
//! to disk, and then linked to its name, which fails when the name is taken:
//! of several racing puts one makes the link. A reader sees the whole object
//! or none, whenever the writer is killed. Content type and caching are not
//! kept; the extension of the key tells a web server as much.
//!
//! Two limits of file systems come on top of the port's rule for keys, and a
//! put that meets one is `Refused`: a part holds 255 characters, and a key
//! cannot be an object and a folder of other objects at once. The file system
//! must tell upper from lower case.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::sync::Semaphore;
use trawler_core::ports::{BlobEntry, BlobError, BlobHead, BlobMeta, Blobs, Put, keys};

use crate::store::OpenError;

mod walk;

/// Keys cannot contain `~`, so that no object is ever named like this.
const TEMPORARY_FOLDER: &str = "~tmp";

/// A put takes seconds; what is older was left by a process that was killed.
const TEMPORARY_AGE_MAX: Duration = Duration::from_secs(60 * 60);

/// A delete may remove a folder, empty by then, that a put has just made; the
/// put makes it again this often.
const FOLDER_TRIES_MAX: u32 = 16;

/// File operations under way at once: more would only queue at the disk.
const OPERATIONS_MAX: usize = 16;

const NAME_BYTES_MAX: usize = 255;

/// Read back at once, on the stack of a thread of the blocking pool.
const READ_BACK_BYTES: usize = 64 * 1024;

/// Makes temporary names of one process distinct.
static TEMPORARY_NAMES: AtomicU64 = AtomicU64::new(0);

/// The objects of one machine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LocalBlobs {
    root: Arc<Path>,
    operations: Arc<Semaphore>,
}

impl LocalBlobs {
    /// Opens the folder, creates what is missing, and clears away temporary
    /// files that are more than an hour older than `now`. Blocking.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn open(root: &Path, now: DateTime<Utc>) -> Result<Self, OpenError> {
        let explain = |source| OpenError::Io {
            path: root.to_owned(),
            source,
        };
        let temporary = root.join(TEMPORARY_FOLDER);
        fs::create_dir_all(&temporary).map_err(explain)?;
        sweep(&temporary, now).map_err(explain)?;
        Ok(Self {
            root: root.into(),
            operations: Arc::new(Semaphore::new(OPERATIONS_MAX)),
        })
    }

    /// The folder that holds the objects.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Runs file work on the blocking pool.
    async fn run<T, F>(&self, verb: &'static str, key: &str, work: F) -> Result<T, BlobError>
    where
        T: Send + 'static,
        F: FnOnce(&Path) -> io::Result<T> + Send + 'static,
    {
        let unavailable =
            |source: Box<dyn std::error::Error + Send + Sync>| BlobError::Unavailable {
                verb,
                key: key.to_owned(),
                source,
            };
        let permit = Arc::clone(&self.operations)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let root = Arc::clone(&self.root);
        let working = tokio::task::spawn_blocking(move || {
            let done = work(&root);
            drop(permit);
            done
        });
        match working.await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => match error.kind() {
                ErrorKind::NotFound => Err(BlobError::NotFound {
                    verb,
                    key: key.to_owned(),
                }),
                ErrorKind::InvalidFilename | ErrorKind::InvalidInput => {
                    Err(refused(verb, key, error.to_string()))
                }
                _ => Err(unavailable(Box::new(error))),
            },
            Err(error) => Err(unavailable(Box::new(error))),
        }
    }
}

#[async_trait]
impl Blobs for LocalBlobs {
    async fn put(&self, key: &str, body: Bytes, _meta: BlobMeta) -> Result<Put, BlobError> {
        const VERB: &str = "put";
        check_key(VERB, key)?;
        if key.split('/').any(|part| part.len() > NAME_BYTES_MAX) {
            let reason = format!(
                "a part of the key is longer than a file name: {NAME_BYTES_MAX} characters"
            );
            return Err(refused(VERB, key, reason));
        }
        let name = key.to_owned();
        self.run(VERB, key, move |root| put(root, &name, &body))
            .await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, BlobError> {
        const VERB: &str = "get";
        check_key(VERB, key)?;
        let name = key.to_owned();
        self.run(VERB, key, move |root| {
            read(&root.join(name), range).map_err(absent_as_not_found)
        })
        .await
    }

    async fn head(&self, key: &str) -> Result<Option<BlobHead>, BlobError> {
        const VERB: &str = "head";
        check_key(VERB, key)?;
        let name = key.to_owned();
        let bytes = self
            .run(VERB, key, move |root| size(&root.join(name)))
            .await?;
        Ok(bytes.map(|bytes| BlobHead {
            bytes,
            content_type: content_type(key).map(str::to_owned),
            cache_control: None,
        }))
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<BlobEntry>, BlobError> {
        const VERB: &str = "list";
        keys::check_list(prefix, after, limit).map_err(|reason| refused(VERB, prefix, reason))?;
        let page = (prefix.to_owned(), after.unwrap_or("").to_owned());
        self.run(VERB, prefix, move |root| {
            walk::list(root, &page.0, &page.1, limit)
        })
        .await
    }

    async fn delete(&self, keys: &[String]) -> Result<(), BlobError> {
        const VERB: &str = "delete";
        for key in keys {
            check_key(VERB, key)?;
        }
        let Some(first) = keys.first() else {
            return Ok(());
        };
        let names = keys.to_owned();
        self.run(VERB, first, move |root| {
            names.iter().try_for_each(|name| remove(root, name))
        })
        .await
    }
}

/// By the extension, as a web server tells it that serves the folder.
fn content_type(key: &str) -> Option<&'static str> {
    let (_, extension) = key.rsplit('/').next()?.rsplit_once('.')?;
    Some(match extension {
        "jpg" => "image/jpeg",
        "png" => "image/png",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "bmp" => "image/bmp",
        "tiff" => "image/tiff",
        "json" => "application/json",
        "jsonl" => "application/jsonl",
        "csv" => "text/csv",
        "txt" => "text/plain",
        _ => return None,
    })
}

fn put(root: &Path, key: &str, body: &[u8]) -> io::Result<Put> {
    let path = root.join(key);
    let parent = path.parent().expect("a key is below the root");
    if size(&path)?.is_some() {
        // Whoever made the link may not have forced it to disk yet.
        sync_folder(parent)?;
        return Ok(Put::Existed);
    }
    let temporary = Temporary::write(root, body)?;
    for _ in 0..FOLDER_TRIES_MAX {
        if let Some(found) = link(root, parent, &temporary.path, &path)? {
            sync_folder(parent)?;
            return Ok(found);
        }
    }
    Err(io::Error::other(
        "others removed the folder or the object again and again meanwhile",
    ))
}

/// Gives the object its name, or finds that it has one; `None` when something
/// was removed meanwhile and another try may succeed.
fn link(root: &Path, parent: &Path, temporary: &Path, path: &Path) -> io::Result<Option<Put>> {
    match make_folders(root, parent).and_then(|()| fs::hard_link(temporary, path)) {
        Ok(()) => Ok(Some(Put::Created)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if is_taken(&error) => match fs::metadata(path) {
            Ok(meta) if meta.is_file() => Ok(Some(Put::Existed)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Ok(_) | Err(_) => Err(io::Error::new(
                ErrorKind::InvalidInput,
                "a file system cannot hold an object and a folder of the same name",
            )),
        },
        Err(error) => Err(io::Error::other(error)),
    }
}

fn is_taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory | ErrorKind::IsADirectory
    )
}

/// An object on its way in; the temporary name goes when this is dropped.
struct Temporary {
    path: PathBuf,
}

impl Temporary {
    fn write(root: &Path, body: &[u8]) -> io::Result<Self> {
        let (temporary, mut file) = Self::create(&root.join(TEMPORARY_FOLDER))?;
        file.write_all(body)?;
        file.sync_all()?;
        // What has no name yet can still be refused.
        match holds(&mut file, body)? {
            true => Ok(temporary),
            false => Err(io::Error::other(
                "the file does not hold the bytes that were written to it",
            )),
        }
    }

    fn create(folder: &Path) -> io::Result<(Self, File)> {
        loop {
            let number = TEMPORARY_NAMES.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("{}-{number}", std::process::id()));
            match OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .open(&path)
            {
                Ok(file) => return Ok((Self { path }, file)),
                // Left by a killed process that had our number; take the next.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }
}

/// Whether the file is these bytes, read back piece by piece.
fn holds(file: &mut File, body: &[u8]) -> io::Result<bool> {
    if file.metadata()?.len() != body.len() as u64 {
        return Ok(false);
    }
    file.seek(SeekFrom::Start(0))?;
    let mut piece = [0; READ_BACK_BYTES];
    for expected in body.chunks(READ_BACK_BYTES) {
        let piece = &mut piece[..expected.len()];
        file.read_exact(piece)?;
        if piece != expected {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed now is swept at the next open.
        let _ = fs::remove_file(&self.path);
    }
}

/// Makes the folder and forces each new name in the folder above to disk.
fn make_folders(root: &Path, folder: &Path) -> io::Result<()> {
    if folder == root || folder.is_dir() {
        return Ok(());
    }
    let above = folder
        .parent()
        .expect("a folder of a key is below the root");
    make_folders(root, above)?;
    match fs::create_dir(folder) {
        Ok(()) => sync_folder(above),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Forces the names in a folder to disk. It may have gone meanwhile, emptied
/// by a delete; then there is nothing to keep.
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder) {
        Ok(folder) => folder.sync_all(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn read(path: &Path, range: Option<Range<u64>>) -> io::Result<Bytes> {
    let mut file = File::open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(ErrorKind::NotFound.into());
    }
    let range = range.unwrap_or(0..meta.len());
    let start = range.start.min(meta.len());
    let end = range.end.min(meta.len()).max(start);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::with_capacity(usize::try_from(end - start).map_err(io::Error::other)?);
    file.take(end - start).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

fn size(path: &Path) -> io::Result<Option<u64>> {
    Ok(object(path)?.map(|meta| meta.len()))
}

fn object(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::metadata(path) {
        Ok(meta) if meta.is_file() => Ok(Some(meta)),
        Ok(_) => Ok(None),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes the object and the folders that it leaves empty.
fn remove(root: &Path, key: &str) -> io::Result<()> {
    let path = root.join(key);
    if size(&path)?.is_none() {
        return Ok(());
    }
    match fs::remove_file(&path) {
        Ok(()) => {}
        Err(error) if is_absent(&error) => return Ok(()),
        Err(error) => return Err(error),
    }
    let mut folder = path.parent();
    while let Some(inner) = folder.filter(|folder| *folder != root) {
        // Fails when something is left in it, which is where the emptying ends.
        if fs::remove_dir(inner).is_err() {
            break;
        }
        folder = inner.parent();
    }
    Ok(())
}

/// A part of the path may be absent, or be an object and no folder, or be too
/// long to exist.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename
    )
}

fn absent_as_not_found(error: io::Error) -> io::Error {
    if is_absent(&error) {
        ErrorKind::NotFound.into()
    } else {
        error
    }
}

fn sweep(temporary: &Path, now: DateTime<Utc>) -> io::Result<()> {
    for entry in fs::read_dir(temporary)? {
        let entry = entry?;
        let Ok(modified) = entry.metadata().and_then(|meta| meta.modified()) else {
            // Gone meanwhile: its writer, or another sweep, removed it.
            continue;
        };
        let age = now.signed_duration_since(DateTime::<Utc>::from(modified));
        if age.to_std().is_ok_and(|age| age > TEMPORARY_AGE_MAX) {
            match fs::remove_file(entry.path()) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

fn check_key(verb: &'static str, key: &str) -> Result<(), BlobError> {
    keys::check_key(key).map_err(|reason| refused(verb, key, reason))
}

fn refused(verb: &'static str, key: &str, reason: String) -> BlobError {
    BlobError::Refused {
        verb,
        key: key.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::SystemTime;

    use super::*;

    const META: BlobMeta = BlobMeta {
        content_type: "text/plain",
        immutable: true,
    };

    #[test]
    fn only_old_temporary_files_are_swept() {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        LocalBlobs::open(folder.path(), now.into()).unwrap();
        let leave = |name: &str, age: Duration| {
            let path = folder.path().join(TEMPORARY_FOLDER).join(name);
            let file = File::create(&path).unwrap();
            file.set_modified(now - age).unwrap();
            path
        };
        let young = leave("1-0", TEMPORARY_AGE_MAX - Duration::from_secs(60));
        let old = leave("1-1", TEMPORARY_AGE_MAX + Duration::from_secs(60));
        LocalBlobs::open(folder.path(), now.into()).unwrap();
        assert!(young.exists());
        assert!(!old.exists());
    }

    #[tokio::test]
    async fn an_object_cannot_be_a_folder_too() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = LocalBlobs::open(folder.path(), SystemTime::now().into()).unwrap();
        let put = async |key: &str| blobs.put(key, Bytes::from_static(b"x"), META).await;
        assert_eq!(put("a/b").await.unwrap(), Put::Created);
        assert!(matches!(put("a").await, Err(BlobError::Refused { .. })));
        assert!(matches!(put("a/b/c").await, Err(BlobError::Refused { .. })));
        assert_eq!(blobs.head("a").await.unwrap(), None);
        assert_eq!(blobs.head("a/b/c").await.unwrap(), None);
        blobs
            .delete(&["a".to_owned(), "a/b/c".to_owned()])
            .await
            .unwrap();
        let found = blobs.head("a/b").await.unwrap();
        assert_eq!(found.map(|found| found.bytes), Some(1));
    }

    #[tokio::test]
    async fn names_longer_than_a_file_name_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = LocalBlobs::open(folder.path(), SystemTime::now().into()).unwrap();
        let key = "a".repeat(NAME_BYTES_MAX + 1);
        let put = blobs.put(&key, Bytes::from_static(b"x"), META).await;
        assert!(matches!(put, Err(BlobError::Refused { .. })));
        assert_eq!(blobs.head(&key).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_delete_leaves_no_empty_folders() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = LocalBlobs::open(folder.path(), SystemTime::now().into()).unwrap();
        for key in ["a/b/1", "a/c/1"] {
            blobs
                .put(key, Bytes::from_static(b"x"), META)
                .await
                .unwrap();
        }
        blobs.delete(&["a/b/1".to_owned()]).await.unwrap();
        assert!(!folder.path().join("a/b").exists());
        assert!(folder.path().join("a/c/1").exists());
        blobs.delete(&["a/c/1".to_owned()]).await.unwrap();
        assert!(!folder.path().join("a").exists());
    }
}

//! Listing files in the order of their keys.
//!
//! A folder sorts as its name with `/` behind it, because that is what the
//! keys in it begin with; so a walk in that order meets the keys in theirs.
//! Only folders that can hold a key of the page are opened, and of those only
//! the names are held: memory is bounded by the largest folder on the path.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use trawler_core::ports::{BlobEntry, keys};

use super::is_absent;

/// What is left to visit; the next one is the last.
type Agenda = Vec<Stop>;

enum Stop {
    /// The key of a folder with the `/` behind it.
    Folder(String),
    Object(String),
}

impl Stop {
    fn key(&self) -> &str {
        match self {
            Self::Folder(key) | Self::Object(key) => key,
        }
    }
}

pub(super) fn list(
    root: &Path,
    prefix: &str,
    after: &str,
    limit: usize,
) -> io::Result<Vec<BlobEntry>> {
    let (parents, _) = keys::split_prefix(prefix);
    let start = parents.map_or_else(String::new, |parents| format!("{parents}/"));
    let mut agenda: Agenda = vec![Stop::Folder(start)];
    let mut page = Vec::new();
    while let Some(stop) = agenda.pop() {
        match stop {
            Stop::Folder(folder) => open_folder(root, &folder, prefix, after, &mut agenda)?,
            Stop::Object(key) => {
                // Removed since the folder was read: no longer an object.
                if let Some(meta) = super::object(&root.join(&key))? {
                    page.push(BlobEntry {
                        bytes: meta.len(),
                        modified: meta.modified()?.into(),
                        tag: tag(&meta),
                        key,
                    });
                }
                if page.len() == limit {
                    break;
                }
            }
        }
    }
    Ok(page)
}

/// Any write moves the time of change, also one that sets the modification time
/// back; a file that is replaced has another number.
fn tag(meta: &Metadata) -> String {
    format!(
        "{:x}-{:x}-{:x}-{:x}",
        meta.ino(),
        meta.len(),
        meta.ctime(),
        meta.ctime_nsec()
    )
}

/// Puts what is in the folder onto the agenda, last key first.
fn open_folder(
    root: &Path,
    folder: &str,
    prefix: &str,
    after: &str,
    agenda: &mut Agenda,
) -> io::Result<()> {
    let entries = match fs::read_dir(root.join(folder)) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut stops = Vec::new();
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let name = entry.file_name();
        // Names that cannot be part of a key are no objects of ours; the
        // folder of temporary files is one of them.
        let Some(name) = name.to_str().filter(|name| keys::is_key_part(name)) else {
            continue;
        };
        let kind = match entry.file_type() {
            Ok(kind) => kind,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if kind.is_file() {
            stops.push(Stop::Object(format!("{folder}{name}")));
        } else if kind.is_dir() {
            stops.push(Stop::Folder(format!("{folder}{name}/")));
        }
    }
    stops.retain(|stop| concerns(stop, prefix, after));
    stops.sort_unstable_by(|a, b| b.key().cmp(a.key()));
    agenda.append(&mut stops);
    Ok(())
}

/// Whether the stop is, or can hold, a key of the page.
fn concerns(stop: &Stop, prefix: &str, after: &str) -> bool {
    match stop {
        Stop::Object(key) => key.starts_with(prefix) && key.as_str() > after,
        Stop::Folder(folder) => {
            let on_the_way = folder.starts_with(prefix) || prefix.starts_with(folder.as_str());
            // Everything in the folder starts with its key: it all comes after
            // when that does, and some of it may when `after` lies in it.
            on_the_way && (folder.as_str() > after || after.starts_with(folder.as_str()))
        }
    }
}

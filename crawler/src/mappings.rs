//! The mapping tables of a folder: categories and brands, for one pipe or for
//! all.
//!
//! ```text
//! mappings/category.csv          for every pipe
//! mappings/brand.csv
//! mappings/{pipe}.category.csv   for one pipe; asked first
//! mappings/{pipe}.brand.csv
//! ```
//!
//! They are read at the start of every run, so that an edited table counts from
//! the next run on, which then reads the whole feed again. In a fleet the tables
//! come with the run's pipe set instead of a folder.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use trawler_core::PipeId;
use trawler_fleet::read_table;

use crate::normalise::{MappingError, MappingTable, Normaliser};

/// Kinds of tables, in the order that digests have them.
const KINDS: [&str; 2] = ["category", "brand"];

/// A folder of mapping tables; it need not exist.
#[derive(Debug, Clone)]
pub struct Mappings {
    folder: PathBuf,
}

/// The tables of one pipe, read.
pub struct PipeMappings {
    pub normaliser: Normaliser,
    /// Hex digest of the tables' bytes.
    pub digest: String,
}

/// A table that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MappingsError {
    #[error("read mapping table {path}")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Table(#[from] MappingError),
}

impl Mappings {
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// The tables of one pipe, its own before the ones for all.
    pub fn load(&self, pipe: &PipeId) -> Result<PipeMappings, MappingsError> {
        let mut tables = Vec::new();
        for name in table_names(pipe) {
            let path = self.folder.join(&name);
            let bytes = read_table(&path).map_err(|source| MappingsError::Io {
                path: path.clone(),
                source,
            })?;
            tables.extend(bytes.map(|bytes| (name, bytes)));
        }
        Ok(read_in(&self.folder, pipe, &tables)?)
    }
}

/// Names of the tables that a pipe may have, each kind's own one first.
pub fn table_names(pipe: &PipeId) -> impl Iterator<Item = String> {
    let names = |kind: &str| [format!("{pipe}.{kind}.csv"), format!("{kind}.csv")];
    KINDS.map(names).into_iter().flatten()
}

/// Reads the tables that there are, in the order of [`table_names`].
pub fn read(pipe: &PipeId, tables: &[(String, Bytes)]) -> Result<PipeMappings, MappingError> {
    read_in(Path::new("mappings"), pipe, tables)
}

/// `folder` is what errors say.
fn read_in(
    folder: &Path,
    pipe: &PipeId,
    tables: &[(String, Bytes)],
) -> Result<PipeMappings, MappingError> {
    let mut hash = Sha256::new();
    let mut kinds: [Vec<MappingTable>; 2] = Default::default();
    for (kind, into) in KINDS.iter().zip(&mut kinds) {
        let own = [format!("{pipe}.{kind}.csv"), format!("{kind}.csv")];
        for (name, bytes) in tables.iter().filter(|(name, _)| own.contains(name)) {
            hash.update(name.len().to_be_bytes());
            hash.update(name);
            hash.update(bytes.len().to_be_bytes());
            hash.update(bytes);
            let shown = folder.join(name).display().to_string();
            into.push(MappingTable::read(&**bytes, &shown)?);
        }
    }
    let [categories, brands] = kinds;
    Ok(PipeMappings {
        normaliser: Normaliser::new(categories, brands),
        digest: hex::encode(hash.finalize()),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_pipes_own_table_is_asked_first_and_changes_the_digest() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let (own, other) = (
            PipeId::parse("own").unwrap(),
            PipeId::parse("other").unwrap(),
        );
        let mappings = Mappings::in_folder(folder.path());
        let empty = mappings.load(&own).unwrap().digest;
        write("category.csv", "from,to\nBooks,Media > Books\n");
        write("own.category.csv", "from,to\nBooks,Special\n");
        let mut loaded = mappings.load(&own).unwrap();
        assert_eq!(loaded.normaliser.category("Books"), Some("Special"));
        assert_ne!(loaded.digest, empty);
        let mut loaded = mappings.load(&other).unwrap();
        assert_eq!(loaded.normaliser.category("Books"), Some("Media > Books"));
    }
}

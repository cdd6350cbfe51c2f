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
//! the next run on, which then reads the whole feed again.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use trawler_core::PipeId;

use crate::normalise::{MappingError, MappingTable, Normaliser};

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
        let mut hash = Sha256::new();
        let mut tables = |kind: &str| -> Result<Vec<MappingTable>, MappingsError> {
            let names = [format!("{pipe}.{kind}.csv"), format!("{kind}.csv")];
            let mut found = Vec::new();
            for name in names {
                let Some(bytes) = read(&self.folder.join(&name))? else {
                    continue;
                };
                hash.update(name.len().to_be_bytes());
                hash.update(&name);
                hash.update(bytes.len().to_be_bytes());
                hash.update(&bytes);
                found.push(MappingTable::read(
                    &*bytes,
                    &self.folder.join(&name).display().to_string(),
                )?);
            }
            Ok(found)
        };
        let (categories, brands) = (tables("category")?, tables("brand")?);
        Ok(PipeMappings {
            normaliser: Normaliser::new(categories, brands),
            digest: hex::encode(hash.finalize()),
        })
    }
}

/// Largest table, in bytes: a million rows of 256.
const TABLE_BYTES_MAX: u64 = 256 * 1024 * 1024;

fn read(path: &Path) -> Result<Option<Vec<u8>>, MappingsError> {
    let failed = |source| MappingsError::Io {
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(TABLE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > TABLE_BYTES_MAX {
        return Err(failed(io::Error::other(format!(
            "it is larger than {TABLE_BYTES_MAX} bytes"
        ))));
    }
    Ok(Some(bytes))
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

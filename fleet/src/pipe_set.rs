//! A set of pipes and mapping tables: its files as they were written, under
//! the name of their content, and its pipes as workers use them.
//!
//! Where sets are kept and which one is current: `pipe_sets`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use trawler_core::pipe::Pipe;
use trawler_core::{PipeId, PipeSetId};

use crate::pipes::PipeError;

/// What the set's format is called; another one is not guessed at.
const FORMAT: u32 = 1;

/// A pipe file as its author wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipeFile {
    pub id: PipeId,
    pub text: String,
}

/// A mapping table by content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFile {
    /// `category.csv`, `shop.brand.csv`, ...
    pub name: String,
    pub sha256: String,
    pub bytes: u64,
}

impl TableFile {
    pub fn of(name: &str, content: &[u8]) -> Self {
        Self {
            name: name.to_owned(),
            sha256: hex::encode(Sha256::digest(content)),
            bytes: content.len() as u64,
        }
    }

    pub(crate) fn key(&self) -> String {
        format!("pipe-sets/tables/{}.csv", self.sha256)
    }
}

/// Everything in a set, in canonical order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipeSetFiles {
    format: u32,
    pipes: Vec<PipeFile>,
    tables: Vec<TableFile>,
}

impl PipeSetFiles {
    /// Orders what it is given, so that the same files give the same id.
    pub fn new(mut pipes: Vec<PipeFile>, mut tables: Vec<TableFile>) -> Self {
        pipes.sort_by(|a, b| a.id.cmp(&b.id));
        tables.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            format: FORMAT,
            pipes,
            tables,
        }
    }

    pub fn pipes(&self) -> &[PipeFile] {
        &self.pipes
    }

    pub fn tables(&self) -> &[TableFile] {
        &self.tables
    }

    /// The name of this content.
    pub fn id(&self) -> PipeSetId {
        id_of(&self.encode())
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers are JSON")
    }

    pub(crate) fn decode(id: &PipeSetId, bytes: &[u8]) -> Result<Self, PipeError> {
        let damaged = |reason: String| PipeError::Damaged {
            set: id.clone(),
            reason,
        };
        if &id_of(bytes) != id {
            return Err(damaged("its bytes are not those of its name".to_owned()));
        }
        let files: Self =
            serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        if files.format != FORMAT {
            return Err(damaged(format!(
                "its format is {} and this program reads {FORMAT}; update the program",
                files.format
            )));
        }
        Ok(files)
    }
}

pub(crate) fn id_of(bytes: &[u8]) -> PipeSetId {
    PipeSetId::parse(&hex::encode(Sha256::digest(bytes))).expect("a SHA-256 is 64 hex digits")
}

/// Pipes as workers use them.
#[derive(Debug, Clone, Default)]
pub struct PipeSet {
    /// `None` where pipes are read from a folder.
    pub id: Option<PipeSetId>,
    pub pipes: BTreeMap<PipeId, Pipe>,
    /// Pipes that this program cannot read, and why.
    pub unreadable: BTreeMap<PipeId, String>,
    pub(crate) tables: BTreeMap<String, TableFile>,
}

impl PipeSet {
    /// Pipes of no published set.
    pub fn of(pipes: impl IntoIterator<Item = Pipe>) -> Self {
        Self {
            pipes: pipes
                .into_iter()
                .map(|pipe| (pipe.id.clone(), pipe))
                .collect(),
            ..Self::default()
        }
    }

    /// Parses every pipe. One that was written for a newer program holds up
    /// nobody else.
    pub(crate) fn parse(files: PipeSetFiles) -> Self {
        let mut set = Self {
            id: Some(files.id()),
            ..Self::default()
        };
        for file in files.pipes {
            match toml::from_str::<Pipe>(&file.text) {
                Ok(pipe) => {
                    set.pipes.insert(file.id.clone(), pipe.named(file.id));
                }
                Err(error) => {
                    set.unreadable.insert(file.id, error.message().to_owned());
                }
            }
        }
        set.tables = files
            .tables
            .into_iter()
            .map(|table| (table.name.clone(), table))
            .collect();
        set
    }

    pub fn pipe(&self, id: &PipeId) -> Result<&Pipe, PipeError> {
        if let Some(pipe) = self.pipes.get(id) {
            return Ok(pipe);
        }
        Err(match (self.unreadable.get(id), &self.id) {
            (Some(reason), Some(set)) => PipeError::Unreadable {
                pipe: id.clone(),
                set: set.clone(),
                reason: reason.clone(),
            },
            (_, set) => PipeError::Unknown {
                pipe: id.clone(),
                set: set.clone(),
            },
        })
    }
}

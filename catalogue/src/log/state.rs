//! The table as of one version, by replay of the log.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::error::{CatalogueError, Result};
use crate::log::action::{Add, Line, Metadata, Protocol, Remove, file_ref, pipe_of};
use crate::log::entry::Entry;
use crate::table::reader::FileRef;
use crate::table::stats::Stats;

/// Highest protocol versions that this program knows to the letter.
const READER_VERSION: i32 = 1;
const WRITER_VERSION: i32 = 4;

/// A live data file of one pipe.
#[derive(Debug, Clone)]
pub(crate) struct DataFile {
    pub(crate) add: Add,
    pub(crate) file: FileRef,
    pub(crate) rows: u64,
    pub(crate) min_id: String,
    pub(crate) max_id: String,
}

impl DataFile {
    fn parse(add: Add, version: i64) -> Result<(String, Self)> {
        let malformed = |reason: &str| CatalogueError::MalformedLog {
            version,
            reason: format!("file {:?} {reason}", add.path),
        };
        if add.deletion_vector.is_some() {
            return Err(CatalogueError::UnsupportedTable {
                reason: format!("file {:?} has a deletion vector", add.path),
            });
        }
        let pipe = pipe_of(&add.partition_values)
            .ok_or_else(|| malformed("is of no pipe"))?
            .to_owned();
        let stats = add.stats.as_deref().unwrap_or_default();
        let stats: Stats = serde_json::from_str(stats)
            .map_err(|_| malformed("has no statistics; it was not written by Trawler"))?;
        let (min_id, max_id) = stats
            .id_range()
            .ok_or_else(|| malformed("has no range of ids; it was not written by Trawler"))?;
        let file = Self {
            file: file_ref(&add.path, Some(add.size), version)?,
            rows: stats.num_records,
            min_id: min_id.to_owned(),
            max_id: max_id.to_owned(),
            add,
        };
        Ok((pipe, file))
    }
}

pub(crate) type PipeFiles = Arc<Vec<Arc<DataFile>>>;

#[derive(Debug, Clone, Default)]
pub(crate) struct TableState {
    pub(crate) version: i64,
    pub(crate) protocol: Option<Protocol>,
    pub(crate) metadata: Option<Arc<Metadata>>,
    /// Files by pipe, in order of id.
    pub(crate) pipes: BTreeMap<Arc<str>, PipeFiles>,
    pub(crate) txns: HashMap<Arc<str>, i64>,
    /// Milliseconds since 1970 of the newest commit.
    pub(crate) timestamp: i64,
}

/// Removed files, kept for checkpoints; not part of what readers see.
pub(crate) type Tombstones = BTreeMap<String, Remove>;

impl TableState {
    /// The state before the first entry.
    pub(crate) fn empty() -> Self {
        Self {
            version: -1,
            ..Self::default()
        }
    }

    pub(crate) fn apply(&mut self, entry: Entry, tombstones: &mut Tombstones) -> Result<()> {
        let version = entry.version;
        self.timestamp = self.timestamp.max(entry.timestamp());
        self.apply_lines(entry.lines, version, tombstones)?;
        self.version = version;
        Ok(())
    }

    /// Applies actions of one version, removals first: a path may leave and
    /// come back within one commit.
    pub(crate) fn apply_lines(
        &mut self,
        lines: Vec<Line>,
        version: i64,
        tombstones: &mut Tombstones,
    ) -> Result<()> {
        let mut adds: BTreeMap<String, Vec<Arc<DataFile>>> = BTreeMap::new();
        let mut removes: BTreeMap<Option<String>, Vec<Remove>> = BTreeMap::new();
        for line in lines {
            if let Some(protocol) = line.protocol {
                check_protocol(&protocol)?;
                self.protocol = Some(protocol);
            }
            if let Some(metadata) = line.meta_data {
                check_metadata(&metadata)?;
                self.metadata = Some(Arc::new(metadata));
            }
            if let Some(txn) = line.txn {
                self.txns.insert(txn.app_id.into(), txn.version);
            }
            if let Some(remove) = line.remove {
                let pipe = remove.partition_values.as_ref().and_then(pipe_of);
                removes
                    .entry(pipe.map(str::to_owned))
                    .or_default()
                    .push(remove);
            }
            if let Some(add) = line.add {
                let (pipe, file) = DataFile::parse(add, version)?;
                adds.entry(pipe).or_default().push(Arc::new(file));
            }
        }
        for (pipe, removes) in removes {
            self.remove(pipe.as_deref(), &removes);
            tombstones.extend(
                removes
                    .into_iter()
                    .map(|remove| (remove.path.clone(), remove)),
            );
        }
        for (pipe, added) in adds {
            for file in &added {
                tombstones.remove(&file.add.path);
            }
            let files = self.pipes.entry(pipe.as_str().into()).or_default();
            let files = Arc::make_mut(files);
            files.retain(|file| added.iter().all(|new| new.add.path != file.add.path));
            files.extend(added);
            files.sort_unstable_by(|a, b| a.min_id.cmp(&b.min_id));
        }
        Ok(())
    }

    fn remove(&mut self, pipe: Option<&str>, removes: &[Remove]) {
        let gone: std::collections::HashSet<&str> =
            removes.iter().map(|remove| remove.path.as_str()).collect();
        let concerned: Vec<Arc<str>> = self
            .pipes
            .keys()
            .filter(|key| pipe.is_none_or(|pipe| pipe == &***key))
            .cloned()
            .collect();
        for key in concerned {
            let Some(files) = self.pipes.get_mut(&key) else {
                continue;
            };
            Arc::make_mut(files).retain(|file| !gone.contains(file.add.path.as_str()));
            if files.is_empty() {
                self.pipes.remove(&key);
            }
        }
    }

    /// Files of a pipe in order of id. They must not overlap, or merging by
    /// order would miss rows.
    pub(crate) fn files(&self, pipe: &str) -> Result<PipeFiles> {
        let files = self.pipes.get(pipe).cloned().unwrap_or_default();
        for pair in files.windows(2) {
            if pair[0].max_id >= pair[1].min_id {
                return Err(CatalogueError::UnsupportedTable {
                    reason: format!(
                        "files {:?} and {:?} of pipe {pipe} overlap in their ids; another program has rewritten them",
                        pair[0].add.path, pair[1].add.path
                    ),
                });
            }
        }
        Ok(files)
    }
}

fn check_protocol(protocol: &Protocol) -> Result<()> {
    let reason = if protocol.min_reader_version > READER_VERSION {
        format!(
            "reading it needs Delta reader version {}, and this program knows {READER_VERSION}",
            protocol.min_reader_version
        )
    } else if protocol.min_writer_version > WRITER_VERSION {
        format!(
            "writing it needs Delta writer version {}, and this program knows {WRITER_VERSION}",
            protocol.min_writer_version
        )
    } else {
        return Ok(());
    };
    Err(CatalogueError::UnsupportedTable { reason })
}

fn check_metadata(metadata: &Metadata) -> Result<()> {
    let fail = |reason: String| Err(CatalogueError::UnsupportedTable { reason });
    if metadata.partition_columns != [crate::schema::PIPE] {
        return fail(format!(
            "it is partitioned by {:?} and not by pipe",
            metadata.partition_columns
        ));
    }
    for (key, value) in &metadata.configuration {
        let is_set = value.as_deref() == Some("true");
        if key.starts_with("delta.constraints.") || (key == "delta.appendOnly" && is_set) {
            return fail(format!(
                "it has the setting {key}, which this writer cannot hold"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn apply(text: &str) -> Result<TableState> {
        let mut state = TableState::empty();
        state.apply(Entry::parse(0, text.as_bytes())?, &mut Tombstones::new())?;
        Ok(state)
    }

    #[test]
    fn tables_that_ask_for_more_are_refused() {
        let check = |text: &str, expected: &str| {
            let error = apply(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(
            r#"{"protocol":{"minReaderVersion":3,"minWriterVersion":7}}"#,
            "reader version 3",
        );
        check(
            r#"{"protocol":{"minReaderVersion":1,"minWriterVersion":7}}"#,
            "writer version 7",
        );
        let metadata = |partition: &str, configuration: &str| {
            format!(
                r#"{{"metaData":{{"id":"x","format":{{"provider":"parquet"}},"schemaString":"{{}}","partitionColumns":["{partition}"],"configuration":{{{configuration}}}}}}}"#
            )
        };
        check(&metadata("day", ""), "not by pipe");
        check(
            &metadata("pipe", r#""delta.appendOnly":"true""#),
            "delta.appendOnly",
        );
        check(
            &metadata("pipe", r#""delta.constraints.a":"b > 1""#),
            "delta.constraints.a",
        );
        check(
            r#"{"add":{"path":"pipe=a/x","partitionValues":{"pipe":"a"},"size":1,"modificationTime":0,"dataChange":true}}"#,
            "no statistics",
        );
        check("{\"add\":", "line 1");
        assert!(apply(&metadata("pipe", "")).is_ok());
    }
}

//! Where a worker gets pipes and their mapping tables from: a folder on one
//! machine, published sets in a fleet.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use trawler_core::edition::Edition;
use trawler_core::pipe::Pipe;
use trawler_core::ports::BlobError;
use trawler_core::verdict::Failure;
use trawler_core::withheld::FileState;
use trawler_core::{PipeId, PipeSetId, RunId};

use crate::pipe_set::PipeSet;
use crate::{DocumentError, chain};

/// Largest mapping table, in bytes: a million rows of 256.
pub const TABLE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Why there is no pipe, set or table to work with.
#[derive(Debug, thiserror::Error)]
pub enum PipeError {
    #[error("no pipe set is published; publish one with `trawler pipes push DIR`")]
    NothingPublished,
    #[error("pipe set {0} is not among the blobs; push it again, or name another one")]
    NoSuchSet(PipeSetId),
    #[error("pipe set {set} cannot be used: {reason}")]
    Damaged { set: PipeSetId, reason: String },
    #[error(
        "pipe {pipe} of set {set} cannot be read by this program: {reason}; update the program"
    )]
    Unreadable {
        pipe: PipeId,
        set: PipeSetId,
        reason: String,
    },
    #[error("pipe {pipe} is not configured {}; restore its file or purge the job", place(.set))]
    Unknown {
        pipe: PipeId,
        set: Option<PipeSetId>,
    },
    #[error("mapping table {name}: {reason}")]
    Table { name: String, reason: String },
    #[error("{what}")]
    Blob {
        what: String,
        #[source]
        source: BlobError,
    },
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error("read pipes: the work was cut off: {reason}")]
    CutOff { reason: String },
}

fn place(set: &Option<PipeSetId>) -> String {
    set.as_ref()
        .map_or("here".to_owned(), |set| format!("in pipe set {set}"))
}

impl PipeError {
    /// Whether the same call can succeed later without anybody's doing.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Blob { source, .. } => source.is_transient(),
            Self::Document(error) => error.is_transient(),
            Self::CutOff { .. } => true,
            Self::NothingPublished
            | Self::NoSuchSet(_)
            | Self::Damaged { .. }
            | Self::Unreadable { .. }
            | Self::Unknown { .. }
            | Self::Table { .. } => false,
        }
    }
}

impl From<PipeError> for Failure {
    fn from(error: PipeError) -> Self {
        let reason = chain(&error);
        if error.is_transient() {
            Self::transient(reason)
        } else {
            Self::permanent(reason)
        }
    }
}

/// What counts now, and which reading of the pipe files that is.
#[derive(Debug, Clone)]
pub struct CurrentSet {
    pub set: Arc<PipeSet>,
    /// None of pipes that come from no files.
    pub edition: Option<Edition>,
}

impl CurrentSet {
    /// What the pipe's file says of its state; of a pipe that is gone nothing.
    pub fn state_of(&self, pipe: &PipeId) -> Option<FileState> {
        let pipe = self.set.pipes.get(pipe)?;
        Some(FileState {
            state: pipe.state,
            edition: self.edition,
        })
    }
}

/// A source of pipes.
#[async_trait]
pub trait PipeSource: Send + Sync {
    /// What counts for runs that are planned now; a few seconds old at most in
    /// a fleet, as old as the process in a folder.
    async fn current_set(&self) -> Result<CurrentSet, PipeError>;

    /// Its pipes.
    async fn current(&self) -> Result<Arc<PipeSet>, PipeError> {
        Ok(self.current_set().await?.set)
    }

    /// What the run was planned with, also when something newer is current.
    async fn of_run(&self, run: &RunId) -> Result<Arc<PipeSet>, PipeError>;

    /// A mapping table of the set, if it has one of this name.
    async fn table(&self, set: &PipeSet, name: &str) -> Result<Option<Bytes>, PipeError>;
}

/// The source of this process. Clones are the same source.
#[derive(Clone)]
pub struct Pipes(Arc<dyn PipeSource>);

impl Pipes {
    pub fn new(source: impl PipeSource + 'static) -> Self {
        Self(Arc::new(source))
    }

    /// Pipes that were read at this instant, and the folder of their mapping
    /// tables, which is looked at anew for every run.
    pub fn in_folder(
        pipes: impl IntoIterator<Item = Pipe>,
        read: DateTime<Utc>,
        tables: PathBuf,
    ) -> Self {
        Self::new(FolderPipes {
            set: Arc::new(PipeSet::of(pipes)),
            edition: Some(Edition::Folder { read }),
            tables: Some(tables),
        })
    }

    /// Pipes of no files, without mapping tables.
    fn of_no_files(pipes: impl IntoIterator<Item = Pipe>) -> Self {
        Self::new(FolderPipes {
            set: Arc::new(PipeSet::of(pipes)),
            edition: None,
            tables: None,
        })
    }

    pub async fn current_set(&self) -> Result<CurrentSet, PipeError> {
        self.0.current_set().await
    }

    pub async fn current(&self) -> Result<Arc<PipeSet>, PipeError> {
        self.0.current().await
    }

    pub async fn of_run(&self, run: &RunId) -> Result<Arc<PipeSet>, PipeError> {
        self.0.of_run(run).await
    }

    pub async fn table(&self, set: &PipeSet, name: &str) -> Result<Option<Bytes>, PipeError> {
        self.0.table(set, name).await
    }
}

impl From<Vec<Pipe>> for Pipes {
    fn from(pipes: Vec<Pipe>) -> Self {
        Self::of_no_files(pipes)
    }
}

impl From<Arc<BTreeMap<PipeId, Pipe>>> for Pipes {
    fn from(pipes: Arc<BTreeMap<PipeId, Pipe>>) -> Self {
        Self::of_no_files(pipes.values().cloned())
    }
}

/// One set for the life of the process.
struct FolderPipes {
    set: Arc<PipeSet>,
    edition: Option<Edition>,
    tables: Option<PathBuf>,
}

#[async_trait]
impl PipeSource for FolderPipes {
    async fn current_set(&self) -> Result<CurrentSet, PipeError> {
        Ok(CurrentSet {
            set: Arc::clone(&self.set),
            edition: self.edition,
        })
    }

    async fn of_run(&self, _: &RunId) -> Result<Arc<PipeSet>, PipeError> {
        Ok(Arc::clone(&self.set))
    }

    async fn table(&self, _: &PipeSet, name: &str) -> Result<Option<Bytes>, PipeError> {
        let Some(folder) = &self.tables else {
            return Ok(None);
        };
        let (path, name) = (folder.join(name), name.to_owned());
        let read = tokio::task::spawn_blocking(move || read_table(&path)).await;
        let read = read.map_err(|error| PipeError::CutOff {
            reason: error.to_string(),
        })?;
        read.map_err(|error| PipeError::Table {
            name,
            reason: error.to_string(),
        })
    }
}

/// The bytes of a table, if there is such a file. Blocks.
pub fn read_table(path: &std::path::Path) -> std::io::Result<Option<Bytes>> {
    use std::io::{Error, ErrorKind, Read};
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(TABLE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > TABLE_BYTES_MAX {
        let text = format!("it is larger than {TABLE_BYTES_MAX} bytes");
        return Err(Error::other(text));
    }
    Ok(Some(bytes.into()))
}

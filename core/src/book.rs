//! Where the page book of a pipe is: what its last complete run learned about
//! each page of the site.

use serde::{Deserialize, Serialize};

use crate::{PipeId, RunId, RunSeq};

/// The document at `books/{pipe}`, written after the commit of a complete run
/// and by nothing else. On its way there it is part of the run document, so
/// that a worker that dies in between loses nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookRef {
    pub seq: RunSeq,
    /// Pipe, mapping, schema and parser that the run used; others force every
    /// page to be read.
    pub fingerprint: String,
    /// Its parts lie among the blobs at `{prefix}/{part}`.
    pub prefix: String,
    pub parts: Vec<String>,
    pub pages: u64,
}

impl BookRef {
    pub fn key(pipe: &PipeId) -> String {
        format!("books/{pipe}")
    }

    /// Of the parts that one delivery writes.
    pub fn prefix_of(run: &RunId, epoch: u64) -> String {
        format!("books/{}/{}-{epoch}", run.pipe, run.seq)
    }

    pub fn keys(&self) -> Vec<String> {
        let of_part = |part| format!("{}/{part}", self.prefix);
        self.parts.iter().map(of_part).collect()
    }
}

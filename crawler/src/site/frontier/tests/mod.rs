//! The frontier: single cases, and histories against a naive model.
#![allow(clippy::unwrap_used)]

mod bounds;
mod cases;
mod damage;
mod histories;
mod model;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::*;

fn key() -> HashKey {
    HashKey::new(*b"0123456789abcdef")
}

/// A folder for very many little files: in memory where the system has one for that.
fn scratch() -> tempfile::TempDir {
    let in_memory = Path::new("/dev/shm");
    if in_memory.is_dir() {
        tempfile::tempdir_in(in_memory)
    } else {
        tempfile::tempdir()
    }
    .unwrap()
}

/// Blocks of a frame or a few, so that little histories have many.
fn small_blocks() -> FrontierLimits {
    FrontierLimits {
        block_bytes: 96,
        ..FrontierLimits::default()
    }
}

/// The files of segments 1 to `last`, copied into `to`, as if downloaded.
fn downloaded(from: &Path, last: u32, to: &Path) -> Vec<io::Result<PathBuf>> {
    fs::create_dir_all(to).unwrap();
    let copy = |number| {
        let name = Segment::file_name(number);
        let path = to.join(&name);
        fs::copy(from.join(&name), &path).unwrap();
        Ok(path)
    };
    (1..=last).map(copy).collect()
}

fn settled(outcome: u8, payload: &[u8]) -> Settled<'_> {
    Settled {
        outcome,
        payload,
        facts: b"",
    }
}

/// Claims all that waits and gives the URLs in order.
fn claim_all(frontier: &mut Frontier) -> Vec<String> {
    let mut urls = Vec::new();
    while let Some(claimed) = frontier.claim().unwrap() {
        urls.push(claimed.entry().url.clone());
    }
    urls
}

//! The page book that a crawl leaves for the next run, while it is written. A
//! book that cannot be written costs the next run requests, and this one
//! nothing.

use std::path::{Path, PathBuf};

use trawler_fleet::chain;

use super::super::book::{BookError, BookLimits, BookWriter, Part};
use super::super::frontier::HashKey;
use super::facts::Facts;
use super::kind::Outcome;
use super::known_pages::page_of;

pub(super) struct NewBook {
    dir: PathBuf,
    writer: Option<BookWriter>,
    parts: Vec<String>,
}

/// A book on disk.
#[derive(Debug)]
pub(super) struct Written {
    /// File names, in order.
    pub(super) parts: Vec<String>,
    pub(super) pages: u64,
}

impl NewBook {
    pub(super) fn create(dir: &Path) -> Self {
        let writer = BookWriter::create(dir, HashKey::random(), BookLimits::default());
        let mut this = Self {
            dir: dir.to_owned(),
            writer: None,
            parts: Vec::new(),
        };
        match writer {
            Ok(writer) => this.writer = Some(writer),
            Err(error) => this.give_up(&error),
        }
        this
    }

    pub(super) fn put(&mut self, facts: &Facts, outcome: Outcome, rows: &[u8]) {
        let (Some(writer), Some(page)) = (&mut self.writer, page_of(facts, outcome, rows)) else {
            return;
        };
        match writer.put(&page) {
            Ok(part) => self.parts.extend(part.as_ref().map(name)),
            Err(error) => self.give_up(&error),
        }
    }

    /// `None` when there is no page in it, or no book.
    pub(super) fn finish(mut self) -> Option<Written> {
        match self.writer.take()?.finish() {
            Ok(finished) if finished.pages > 0 => {
                self.parts.push(name(&finished.part));
                Some(Written {
                    parts: self.parts,
                    pages: finished.pages,
                })
            }
            Ok(_) => None,
            Err(error) => {
                self.give_up(&error);
                None
            }
        }
    }

    fn give_up(&mut self, error: &BookError) {
        self.writer = None;
        let dir = self.dir.display();
        tracing::warn!(
            "no page book in {dir}, so that the next run reads every page: {}",
            chain(error)
        );
    }
}

fn name(part: &Part) -> String {
    Part::file_name(part.number)
}

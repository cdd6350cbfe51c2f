//! The newest finished file that a partner uploaded among the blobs.
//!
//! Which one that is, core decides (`FileRule`); here are the listings, the
//! wait between two of them, and the reading in pieces. Nothing is locked: what
//! is replaced while it is read is told by a listing afterwards, and the run
//! is tried again. Nothing is removed.

use std::ops::Range;

use trawler_core::pipe::{Choice, InboxSource, Passed, SeenFile};
use trawler_core::ports::{BlobError, keys};
use trawler_core::verdict::Failure;
use trawler_fleet::chain;
use trawler_net::Validators;

use super::landing::Landing;
use super::{Input, Wanted};

/// More files than a partner uploads in ten years, one a day with a marker; and
/// some 2 MB of names.
const FILES_MAX: usize = 10_000;

/// What an object store wants of a piece, and all of a feed that is in memory.
const PIECE_BYTES: u64 = 8 * 1024 * 1024;

pub(super) struct Inbox<'a> {
    pub(super) wanted: &'a Wanted<'a>,
    pub(super) source: &'a InboxSource,
}

impl Inbox<'_> {
    /// `None` when the newest file is the one that the last complete run read.
    pub(super) async fn get(&self) -> Result<Option<Input>, Failure> {
        let file = self.newest().await?;
        let validators = Validators {
            etag: Some(format!("{} {}", file.name, file.tag)),
            last_modified: Some(file.modified.to_rfc3339()),
        };
        let (name, bytes) = (&file.name, file.bytes);
        self.wanted.ctx.note(&format!(
            "the newest finished file of {} is {name}, {bytes} bytes of {}",
            self.source, file.modified
        ));
        if self.wanted.knows(&validators) {
            return Ok(None);
        }
        let max = self.wanted.bytes_max();
        if bytes > max {
            return Err(Failure::permanent(format!(
                "{} has {bytes} bytes; fetch.feed_mib_max allows {max}",
                self.key(&file)
            )));
        }
        let landing = self.read(&file).await?;
        if self.listed(&file).await?.as_ref() != Some(&file) || landing.bytes() != bytes {
            return Err(Failure::transient(format!(
                "{} was replaced or removed while it was read",
                self.key(&file)
            )));
        }
        // It was the partner who moved it: what is read here costs no transfer.
        landing.finish(validators, 0).map(Some)
    }

    async fn newest(&self) -> Result<SeenFile, Failure> {
        let (rule, clock) = (self.source.rule(), self.wanted.clock);
        let first = self.list().await?;
        let choice = match rule.first_look(&first, clock.now()) {
            Choice::Wait(file) => {
                self.wanted.ctx.note(&format!(
                    "{} may still be written; looking again in {} s",
                    self.key(&file),
                    rule.settle.as_secs()
                ));
                clock.sleep(rule.settle).await;
                rule.second_look(&first, &self.list().await?, clock.now())
            }
            choice => choice,
        };
        match choice {
            Choice::Take(file) => Ok(file),
            Choice::Wait(_) => Err(self.nothing(Passed::default())),
            Choice::Nothing(passed) => Err(self.nothing(passed)),
        }
    }

    /// The partner may be late: it is looked for again.
    fn nothing(&self, passed: Passed) -> Failure {
        let done = match &self.source.done {
            Some(done) => format!(" with a marker {done:?} beside it"),
            None => String::new(),
        };
        Failure::transient(format!(
            "no finished file in the inbox at {}{done}: {passed}; names with other characters than ASCII letters, digits and -_.@#=+:, are not seen",
            self.source
        ))
    }

    async fn list(&self) -> Result<Vec<SeenFile>, Failure> {
        let prefix = self.source.key_prefix();
        let mut files: Vec<SeenFile> = Vec::new();
        loop {
            let after = files.last().map(|file| format!("{prefix}{}", file.name));
            let listed = self.page(&prefix, after.as_deref(), keys::LIST_MAX).await?;
            let is_last = listed.len() < keys::LIST_MAX;
            files.extend(listed);
            if files.len() > FILES_MAX {
                return Err(Failure::permanent(format!(
                    "{prefix} of the inbox holds more than {FILES_MAX} files; move old ones away"
                )));
            }
            if is_last {
                return Ok(files);
            }
        }
    }

    /// The file as it is listed now.
    async fn listed(&self, file: &SeenFile) -> Result<Option<SeenFile>, Failure> {
        let page = self.page(&self.key(file), None, 1).await?;
        Ok(page.into_iter().next().map(|found| SeenFile {
            name: format!("{}{}", file.name, found.name),
            ..found
        }))
    }

    /// Names are without the prefix.
    async fn page(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<SeenFile>, Failure> {
        let listed = self.wanted.blobs.list(prefix, after, limit).await;
        let listed = listed.map_err(|error| failure(&error))?;
        let files = listed.into_iter().map(|entry| SeenFile {
            name: entry.key[prefix.len()..].to_owned(),
            bytes: entry.bytes,
            modified: entry.modified,
            tag: entry.tag,
        });
        Ok(files.collect())
    }

    async fn read(&self, file: &SeenFile) -> Result<Landing, Failure> {
        let mut landing = Landing::create(self.wanted.scratch).await?;
        let key = self.key(file);
        while landing.bytes() < file.bytes {
            let start = landing.bytes();
            let range: Range<u64> = start..file.bytes.min(start + PIECE_BYTES);
            let piece = self.wanted.blobs.get(&key, Some(range)).await;
            let piece = piece.map_err(|error| failure(&error))?;
            if piece.is_empty() {
                break;
            }
            landing.write(piece).await?;
            let ctx = self.wanted.ctx;
            ctx.progress("read", landing.bytes(), Some(file.bytes));
        }
        Ok(landing)
    }

    fn key(&self, file: &SeenFile) -> String {
        format!("{}{}", self.source.key_prefix(), file.name)
    }
}

fn failure(error: &BlobError) -> Failure {
    let reason = chain(error);
    match error {
        // It was listed a moment ago.
        BlobError::NotFound { .. } | BlobError::Unavailable { .. } => Failure::transient(reason),
        BlobError::Refused { .. } => Failure::permanent(reason),
    }
}

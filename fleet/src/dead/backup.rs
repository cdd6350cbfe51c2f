//! Backups of dead letters: CSV among the blobs, listed in State.
//!
//! The entry is claimed first, so that no two backups write one file, and says
//! at last that the file is whole. A large one is written in parts while the
//! letters come in: the first has the heading, and put together in order they
//! are the file.

use std::io::Write;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use trawler_core::QueueName;
use trawler_core::dead::DeadLetter;
use trawler_core::ports::{BlobError, BlobMeta};

use crate::retry::retry;
use crate::{Created, Documents, Jobs, JobsError};

/// A part is put when it has grown to this: small enough to be held twice, and
/// above what an object store wants of a part.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// Milliseconds that are tried for a free name.
const NAMES_MAX: i64 = 1_000;

const CSV: BlobMeta = BlobMeta {
    content_type: "text/csv; charset=utf-8",
    immutable: true,
};

const PREFIX: &str = "backups/dead/";

const COLUMNS: [&str; 15] = [
    "job",
    "queue",
    "pipe",
    "group",
    "reason",
    "attempts",
    "crashes",
    "planned",
    "first_failure",
    "last_failure",
    "buried",
    "asked",
    "log",
    "input",
    "body",
];

/// One backup, as State lists it at the name of its file without `.csv`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupEntry {
    /// The first part among the blobs; part n is at `{file}.{n}`, six digits.
    pub file: String,
    pub queue: QueueName,
    pub taken: DateTime<Utc>,
    pub why: String,
    pub by: String,
    pub letters: u64,
    pub bytes: u64,
    pub parts: u32,
    /// Still false in a backup whose writer died: it holds nothing for sure.
    pub complete: bool,
}

impl BackupEntry {
    fn key(&self) -> &str {
        self.file.trim_end_matches(".csv")
    }

    /// Keys of the parts, in order.
    pub fn part_keys(&self) -> Vec<String> {
        (0..self.parts)
            .map(|part| part_key(&self.file, part))
            .collect()
    }
}

fn part_key(file: &str, part: u32) -> String {
    match part {
        0 => file.to_owned(),
        part => format!("{file}.{part:06}"),
    }
}

/// Every backup, the oldest first.
pub(super) async fn list(documents: &Documents) -> Result<Vec<BackupEntry>, JobsError> {
    let entries = documents.load::<BackupEntry>(PREFIX, usize::MAX).await?;
    Ok(entries.iter().map(|entry| (**entry).clone()).collect())
}

/// Writes the whole file to `out`.
pub(super) async fn write_out(
    jobs: &Jobs,
    entry: &BackupEntry,
    out: &mut (dyn Write + Send),
) -> Result<(), JobsError> {
    for key in entry.part_keys() {
        let body = retry(jobs.clock(), BlobError::is_transient, || {
            jobs.ports.blobs.get(&key, None)
        })
        .await?;
        out.write_all(&body)
            .map_err(|error| JobsError::Backup(error.into()))?;
    }
    Ok(())
}

/// Writes letters as they come, a file a queue.
pub(super) struct Writer<'a> {
    jobs: &'a Jobs,
    why: &'a str,
    by: &'a str,
    files: Vec<File>,
}

struct File {
    entry: BackupEntry,
    rows: Vec<u8>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(jobs: &'a Jobs, why: &'a str, by: &'a str) -> Self {
        Self {
            jobs,
            why,
            by,
            files: Vec::new(),
        }
    }

    pub(super) async fn push(&mut self, letter: &DeadLetter) -> Result<(), JobsError> {
        let of_queue = |file: &File| file.entry.queue == letter.queue;
        let at = match self.files.iter().position(of_queue) {
            Some(at) => at,
            None => {
                let entry = self.claim(letter.queue).await?;
                let rows = csv_row(&COLUMNS)?;
                self.files.push(File { entry, rows });
                self.files.len() - 1
            }
        };
        let file = &mut self.files[at];
        let body = self.jobs.letter_body(letter).await?;
        file.rows.extend_from_slice(&letter_row(letter, &body)?);
        file.entry.letters += 1;
        if file.rows.len() >= PART_BYTES {
            put_part(self.jobs, file).await?;
        }
        Ok(())
    }

    pub(super) async fn finish(mut self) -> Result<Vec<BackupEntry>, JobsError> {
        for file in &mut self.files {
            if !file.rows.is_empty() {
                put_part(self.jobs, file).await?;
            }
            file.entry.complete = true;
            let key = file.entry.key().to_owned();
            self.jobs.documents.put(&key, &file.entry).await?;
            let BackupEntry { file, letters, .. } = &file.entry;
            tracing::info!(file, letters, "{letters} dead letter(s) are kept in {file}");
        }
        Ok(self.files.into_iter().map(|file| file.entry).collect())
    }

    /// A name that nobody has.
    async fn claim(&self, queue: QueueName) -> Result<BackupEntry, JobsError> {
        let now = self.jobs.clock().now();
        for later in 0..NAMES_MAX {
            let taken = now + chrono::Duration::milliseconds(later);
            let instant = taken.to_rfc3339_opts(SecondsFormat::Millis, true);
            let entry = BackupEntry {
                file: format!("{PREFIX}{instant}-{queue}.csv"),
                queue,
                taken,
                why: self.why.to_owned(),
                by: self.by.to_owned(),
                letters: 0,
                bytes: 0,
                parts: 0,
                complete: false,
            };
            if self.jobs.documents.create(entry.key(), &entry).await? == Created::New {
                return Ok(entry);
            }
        }
        let reason = format!("every name of the next {NAMES_MAX} ms is taken");
        Err(JobsError::Backup(std::io::Error::other(reason).into()))
    }
}

async fn put_part(jobs: &Jobs, file: &mut File) -> Result<(), JobsError> {
    let body = Bytes::from(std::mem::take(&mut file.rows));
    let key = part_key(&file.entry.file, file.entry.parts);
    // The name is ours: what is there already was put by a try of this call.
    retry(jobs.clock(), BlobError::is_transient, || {
        jobs.ports.blobs.put(&key, body.clone(), CSV)
    })
    .await?;
    file.entry.bytes += body.len() as u64;
    file.entry.parts += 1;
    Ok(())
}

fn letter_row(letter: &DeadLetter, body: &str) -> Result<Vec<u8>, JobsError> {
    let instant = |at: Option<DateTime<Utc>>| {
        at.map_or(String::new(), |at| {
            at.to_rfc3339_opts(SecondsFormat::Millis, true)
        })
    };
    let facts = match &letter.input.facts {
        serde_json::Value::Null => String::new(),
        facts => facts.to_string(),
    };
    csv_row(&[
        &letter.job,
        letter.queue.as_str(),
        letter.pipe.as_ref().map_or("", |pipe| pipe.as_str()),
        &letter.group,
        &letter.reason,
        &letter.attempts.to_string(),
        &letter.crashes.to_string(),
        &instant(letter.planned),
        &instant(letter.first_failure),
        &instant(letter.last_failure),
        &instant(Some(letter.buried)),
        &letter.input.words,
        &letter.log.lines().join("\n"),
        &facts,
        body,
    ])
}

fn csv_row(cells: &[&str; COLUMNS.len()]) -> Result<Vec<u8>, JobsError> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(cells).map_err(JobsError::Backup)?;
    csv.into_inner()
        .map_err(|error| JobsError::Backup(error.into_error().into()))
}

//! Which letters are meant, and the reading of them: a few at once, and none
//! kept that nobody asked for.

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use trawler_core::dead::DeadLetter;
use trawler_core::ports::Version;
use trawler_core::{PipeId, QueueName};

use crate::retry::joined;
use crate::{DocumentError, Documents, JobsError};

/// Letters that are read at once: 100,000 of a store that answers within 20 ms
/// take 8 s. They are in memory, at most some 100 KiB each.
pub(super) const READS: usize = 256;

/// Which dead letters are meant: those that every condition holds for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    pub queue: Option<QueueName>,
    pub pipe: Option<PipeId>,
    /// The name of one letter.
    pub job: Option<String>,
    /// Text of the reason, whichever case.
    pub reason: Option<String>,
    /// Buried at this instant or later.
    pub since: Option<DateTime<Utc>>,
}

impl Selection {
    pub fn queues(&self) -> Vec<QueueName> {
        let of = |queue: &QueueName| self.queue.is_none_or(|wanted| wanted == *queue);
        QueueName::ALL.into_iter().filter(of).collect()
    }

    pub fn matches(&self, letter: &DeadLetter) -> bool {
        let reason = || letter.reason.to_lowercase();
        self.queue.is_none_or(|queue| queue == letter.queue)
            && (self.pipe.is_none() || self.pipe == letter.pipe)
            && self.job.as_ref().is_none_or(|job| *job == letter.job)
            && self.since.is_none_or(|since| letter.buried >= since)
            && self
                .reason
                .as_ref()
                .is_none_or(|text| reason().contains(&text.to_lowercase()))
    }
}

/// Letters, and those that could not be read beside them.
#[derive(Debug, Default)]
pub struct Listed {
    pub letters: Vec<DeadLetter>,
    pub unreadable: Vec<DocumentError>,
}

/// A letter, and the version to delete it at.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) letter: DeadLetter,
    pub(super) key: String,
    pub(super) version: Version,
}

/// The letter of this name.
pub(super) async fn find(
    documents: &Documents,
    queue: QueueName,
    name: &str,
) -> Result<Option<Found>, JobsError> {
    if !is_key(name) {
        return Ok(None);
    }
    Ok(read_one(documents, DeadLetter::key(queue, name)).await?)
}

/// Reads the letters that are meant and hands them on, in no order, as fast as
/// they are taken. Returns those that could not be read.
pub(super) async fn read(
    documents: &Documents,
    selection: &Selection,
    to: mpsc::Sender<Found>,
) -> Result<Vec<DocumentError>, JobsError> {
    let mut unreadable = Vec::new();
    for queue in selection.queues() {
        let keys = match &selection.job {
            // A name that is no key is the name of no letter.
            Some(name) if is_key(name) => vec![DeadLetter::key(queue, name)],
            Some(_) => Vec::new(),
            None => documents.keys(&DeadLetter::prefix(queue)).await?,
        };
        let mut keys = keys.into_iter();
        let mut reads = JoinSet::new();
        loop {
            while reads.len() < READS
                && let Some(key) = keys.next()
            {
                let documents = documents.clone();
                reads.spawn(async move { read_one(&documents, key).await });
            }
            match joined(reads.join_next().await) {
                None => break,
                Some(Ok(Some(found))) if selection.matches(&found.letter) => {
                    // Who takes no more has failed and says so.
                    if to.send(found).await.is_err() {
                        return Ok(unreadable);
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error @ DocumentError::Unreadable { .. })) => unreadable.push(error),
                Some(Err(error)) => return Err(error.into()),
            }
        }
    }
    Ok(unreadable)
}

/// Reads the letters that are meant, and keeps of each what `keep` makes of it.
pub(super) async fn collect<T>(
    documents: &Documents,
    selection: &Selection,
    mut keep: impl FnMut(Found) -> T,
) -> Result<(Vec<T>, Vec<DocumentError>), JobsError> {
    let (to, mut found) = mpsc::channel(READS);
    let mut kept = Vec::new();
    let take = async {
        while let Some(found) = found.recv().await {
            kept.push(keep(found));
        }
    };
    let (read, ()) = tokio::join!(read(documents, selection, to), take);
    Ok((kept, read?))
}

fn is_key(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.@#=+:,".contains(&b))
}

async fn read_one(documents: &Documents, key: String) -> Result<Option<Found>, DocumentError> {
    let found = documents.get_versioned::<DeadLetter>(&key).await?;
    Ok(found.map(|(letter, version)| Found {
        letter,
        key,
        version,
    }))
}

//! Dead letters: documents, because a FIFO queue cannot be listed, counted or
//! backed up without locking it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::job::{CrawlJob, ImageJob};
use crate::job_log::JobLog;
use crate::ledger::JobRecord;
use crate::pipe::Pipe;
use crate::ports::{Lease, MESSAGE_BYTES_MAX};
use crate::{PipeId, QueueName};

/// What a job was asked to do, in words and for programs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Input {
    pub words: String,
    /// Run, source and URLs; null for a body that is no job.
    pub facts: Value,
}

impl Input {
    /// Of a message body; the pipe, where it is known, tells the source as it
    /// is configured at this moment.
    pub fn of(queue: QueueName, body: &str, pipe: Option<&Pipe>) -> Self {
        let known = match queue {
            QueueName::Crawl => CrawlJob::decode(body).map(|job| Self::of_crawl(&job, pipe)),
            QueueName::Image => ImageJob::decode(body).map(|job| Self::of_images(&job)),
        };
        known.unwrap_or_else(|error| Self {
            words: format!("nothing that this program knows: {error}"),
            facts: Value::Null,
        })
    }

    fn of_crawl(job: &CrawlJob, pipe: Option<&Pipe>) -> Self {
        match job {
            CrawlJob::Collect { run } => {
                let source = pipe.map(|pipe| pipe.source.to_string());
                let from = source
                    .as_deref()
                    .unwrap_or("a source that is not known here");
                Self {
                    words: format!("collect run {run} from {from}"),
                    facts: json!({
                        "kind": "collect", "run": run, "source": source,
                        "mode": pipe.map(|pipe| pipe.reading().mode),
                    }),
                }
            }
            CrawlJob::Fold { pipe, fold } => Self {
                words: format!(
                    "fold the image results of pipe {pipe} into the catalogue (fold {fold})"
                ),
                facts: json!({ "kind": "fold", "pipe": pipe, "fold": fold }),
            },
            CrawlJob::Refetch {
                pipe,
                refetch,
                wanted,
            } => Self {
                words: format!("fetch images of pipe {pipe} again (refetch {refetch})"),
                facts: json!({
                    "kind": "refetch", "pipe": pipe, "refetch": refetch, "wanted": wanted,
                }),
            },
            CrawlJob::Upkeep { task, due } => Self {
                words: task.to_string(),
                facts: json!({ "kind": "upkeep", "task": task, "due": due }),
            },
        }
    }

    fn of_images(job: &ImageJob) -> Self {
        let urls: Vec<&str> = job.images.iter().map(|image| image.url.as_str()).collect();
        let first = urls.first().copied().unwrap_or("none");
        Self {
            words: format!(
                "fetch {} image(s) of run {}, the first: {first}",
                urls.len(),
                job.run
            ),
            facts: json!({ "kind": "images", "run": job.run, "group": job.group, "urls": urls }),
        }
    }
}

/// The document at `dead/{queue}/{job}`: why a job was buried, and all that
/// is needed to send it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The job id, or `message-{id}` for a body that names no job.
    pub job: String,
    pub queue: QueueName,
    #[serde(default)]
    pub pipe: Option<PipeId>,
    pub group: String,
    pub body: String,
    /// Of a body too long for a document: where among the blobs all of it is.
    /// `body` is its beginning then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_at: Option<String>,
    pub reason: String,
    pub attempts: u32,
    pub crashes: u32,
    pub buried: DateTime<Utc>,
    /// When the job was planned: the order in which jobs of one group are
    /// sent again.
    #[serde(default)]
    pub planned: Option<DateTime<Utc>>,
    /// Delivery epoch of the burial: a record beyond it was taken again since.
    /// 0 in letters of an earlier version, which did not say.
    #[serde(default)]
    pub epoch: u64,
    #[serde(default)]
    pub first_failure: Option<DateTime<Utc>>,
    #[serde(default)]
    pub last_failure: Option<DateTime<Utc>>,
    #[serde(default)]
    pub input: Input,
    #[serde(default)]
    pub log: JobLog,
}

impl DeadLetter {
    /// Of a job that the ledger knows, as its record stands.
    pub fn of_job(record: &JobRecord, reason: &str, input: Input, now: DateTime<Utc>) -> Self {
        Self {
            job: record.job.to_string(),
            queue: record.queue,
            pipe: Some(record.pipe.clone()),
            group: record.group.clone(),
            body: record.body.clone(),
            body_at: None,
            reason: reason.to_owned(),
            attempts: record.attempts,
            crashes: record.crashes,
            buried: now,
            planned: Some(record.planned),
            epoch: record.epoch,
            first_failure: record.first_failure,
            last_failure: record.last_failure,
            input,
            log: record.log.clone(),
        }
    }

    /// Of a message that names no job. A body that none of our jobs has the
    /// length of has to be put at `body_at` by the caller.
    pub fn of_message(queue: QueueName, lease: &Lease, reason: &str, now: DateTime<Utc>) -> Self {
        let job = format!("message-{}", key_part(&lease.message_id));
        let is_long = lease.body.len() > MESSAGE_BYTES_MAX;
        let end = lease.body.floor_char_boundary(MESSAGE_BYTES_MAX);
        Self {
            queue,
            pipe: None,
            group: lease.group.clone(),
            body: lease.body[..end].to_owned(),
            body_at: is_long.then(|| Self::key(queue, &job)),
            job,
            reason: reason.to_owned(),
            attempts: 0,
            crashes: 0,
            buried: now,
            planned: None,
            epoch: 0,
            first_failure: None,
            last_failure: None,
            input: Input::of(queue, &lease.body, None),
            log: JobLog::default(),
        }
    }

    pub fn key(queue: QueueName, job: &str) -> String {
        format!("dead/{queue}/{job}")
    }

    /// Where the letters of a queue are.
    pub fn prefix(queue: QueueName) -> String {
        format!("dead/{queue}/")
    }

    /// Whether it stands for a job; a message that names none cannot be sent
    /// again.
    pub fn is_job(&self) -> bool {
        self.pipe.is_some()
    }

    /// The order in which letters of one group are sent again.
    pub fn order(&self) -> DateTime<Utc> {
        self.planned.unwrap_or(self.buried)
    }
}

/// A reason without what differs from job to job, for counting: URLs and
/// numbers are replaced.
pub fn reason_kind(reason: &str) -> String {
    /// Longest kind; what matters of a reason stands at its front.
    const CHARS_MAX: usize = 120;
    let words = reason.split_whitespace().map(|word| {
        if word.contains("://") {
            "URL".to_owned()
        } else if word.bytes().any(|b| b.is_ascii_digit()) && word.len() > 16 {
            "ID".to_owned()
        } else {
            let mut plain = String::new();
            for c in word.chars() {
                let c = if c.is_ascii_digit() { '#' } else { c };
                if c != '#' || !plain.ends_with('#') {
                    plain.push(c);
                }
            }
            plain
        }
    });
    let kind = words.collect::<Vec<_>>().join(" ");
    kind.chars().take(CHARS_MAX).collect()
}

/// A message id as a part of a key: adapters choose ids, State rules keys.
fn key_part(id: &str) -> String {
    /// Longest part that is kept; ids of known queues have 36 characters.
    const CHARS_MAX: usize = 100;
    id.chars()
        .take(CHARS_MAX)
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::RunId;
    use crate::image::KnownImage;
    use crate::job::ImageTask;

    #[test]
    fn the_input_says_what_was_asked_for() {
        let run = RunId::parse("shop@2026-11-21T03:00:00.000Z").unwrap();
        let collect = CrawlJob::Collect { run: run.clone() };
        let found = Input::of(QueueName::Crawl, &collect.encode(), None);
        assert_eq!(
            found.words,
            "collect run shop@2026-11-21T03:00:00.000Z from a source that is not known here"
        );
        assert_eq!(found.facts["run"], "shop@2026-11-21T03:00:00.000Z");
        let images = ImageJob {
            run,
            group: "g#0".to_owned(),
            images: vec![ImageTask {
                product_id: "p".to_owned(),
                url: "https://img.test/1.jpg".to_owned(),
                known: KnownImage::default(),
                remake: None,
            }],
        };
        let found = Input::of(QueueName::Image, &images.encode(), None);
        assert!(found.words.contains("1 image(s)"), "{}", found.words);
        assert_eq!(found.facts["urls"], json!(["https://img.test/1.jpg"]));
        let strange = Input::of(QueueName::Image, "hello", None);
        assert!(strange.words.contains("not a job"), "{}", strange.words);
        assert_eq!(strange.facts, Value::Null);
    }

    #[test]
    fn credentials_of_a_source_are_not_kept() {
        let url = url::Url::parse("https://me:secret@shop.test/feed?x=1").unwrap();
        let told = crate::pipe::Source::Http(crate::pipe::HttpSource { url }).to_string();
        assert_eq!(told, "https://***@shop.test/feed?x=1");
    }

    #[test]
    fn reasons_that_differ_in_names_and_numbers_are_one_kind() {
        let check = |reason: &str, expected: &str| assert_eq!(reason_kind(reason), expected);
        check(
            "get https://a.test/1: status 503 (attempt 5 of 5)",
            "get URL status # (attempt # of #)",
        );
        check(
            "run shop@2026-11-21T03:00:00.000Z has 12,345 bad rows",
            "run ID has #,# bad rows",
        );
        check("", "");
    }

    #[test]
    fn letters_of_an_earlier_version_can_be_read() {
        let old = r#"{"job":"a","queue":"crawl","group":"g","body":"{}","reason":"r",
            "attempts":1,"crashes":0,"buried":"2026-11-21T03:00:00Z"}"#;
        let letter: DeadLetter = serde_json::from_str(old).unwrap();
        assert_eq!(letter.order(), letter.buried);
        assert!(!letter.is_job());
    }
}

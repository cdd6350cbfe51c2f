//! Names of things, each in a type of its own and each derived from content,
//! so that the same work always has the same name.
//!
//! Bounds come from SQS: group and deduplication ids hold 128 characters of
//! ASCII letters, digits and punctuation.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, TimeZone, Utc};
use serde::{Deserialize, Serialize};

use crate::refetch::Refetches;

/// What stands before the number of a refetch where a run has its instant.
const REFETCH: &str = "refetch-";

/// Longest pipe id, in ASCII characters; leaves room for the instant and a
/// resend counter within the 128 characters of an SQS id.
pub const PIPE_ID_CHARS_MAX: usize = 64;

/// Longest job id; the rest of the 128 is for `:{resend}`.
pub const JOB_ID_CHARS_MAX: usize = 112;

/// An id that does not follow its rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {found:?} is not valid: {rule}")]
pub struct InvalidId {
    pub what: &'static str,
    pub found: String,
    pub rule: &'static str,
}

/// One partner shop. Lower-case ASCII letters, digits, `-`, `_` and `.`, at
/// most 64 characters, starting with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PipeId(String);

impl PipeId {
    pub const RULE: &'static str = "use 1 to 64 lower-case ASCII letters, digits, '-', '_' or '.', starting with a letter or digit";

    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let first_ok = text
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let rest_ok = text.bytes().all(|b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.')
        });
        if first_ok && rest_ok && text.len() <= PIPE_ID_CHARS_MAX && !text.contains("..") {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId {
                what: "pipe id",
                found: text.to_owned(),
                rule: Self::RULE,
            })
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Position of a run in its pipe: the due instant in milliseconds since 1970.
///
/// Due instants of a pipe are distinct and rise, so no counter has to be kept,
/// and the number is the same whoever computes it. It is the `txn` version
/// that fences commits of the pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunSeq(pub i64);

impl RunSeq {
    pub fn from_due(due: DateTime<Utc>) -> Self {
        Self(due.timestamp_millis())
    }

    pub fn due(self) -> DateTime<Utc> {
        Utc.timestamp_millis_opt(self.0)
            .single()
            .unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

impl fmt::Display for RunSeq {
    /// Fixed width, so that document keys list in order of time.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:014}", self.0)
    }
}

/// A run: pipe and due instant, written `pipe@2026-11-21T03:00:00.000Z`. What
/// stands for one where images are fetched between two runs is written
/// `pipe@refetch-7` (see [`crate::refetch`]).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId {
    pub pipe: PipeId,
    pub seq: RunSeq,
}

impl RunId {
    pub fn new(pipe: PipeId, due: DateTime<Utc>) -> Self {
        Self {
            pipe,
            seq: RunSeq::from_due(due),
        }
    }

    pub fn due(&self) -> DateTime<Utc> {
        self.seq.due()
    }

    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId {
            what: "run id",
            found: text.to_owned(),
            rule: "write it as pipe@2026-11-21T03:00:00.000Z",
        };
        let (pipe, due) = text.split_once('@').ok_or_else(invalid)?;
        if let Some(number) = due.strip_prefix(REFETCH) {
            let number = number.parse().map_err(|_| invalid())?;
            let run = Refetches::run(&PipeId::parse(pipe)?, number);
            return match Refetches::number(&run) {
                Some(_) => Ok(run),
                None => Err(invalid()),
            };
        }
        let due = DateTime::parse_from_rfc3339(due).map_err(|_| invalid())?;
        Ok(Self::new(PipeId::parse(pipe)?, due.with_timezone(&Utc)))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(number) = Refetches::number(self) {
            return write!(f, "{}@{REFETCH}{number}", self.pipe);
        }
        let due = self.due().to_rfc3339_opts(SecondsFormat::Millis, true);
        write!(f, "{}@{due}", self.pipe)
    }
}

/// A job of any queue. A crawl job is named by its run, a fold by its pipe and
/// fold sequence, an image job by the run that planned it and what it fetches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct JobId(String);

impl JobId {
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let ok = (1..=JOB_ID_CHARS_MAX).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b'\\'));
        if ok {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId {
                what: "job id",
                found: text.chars().take(2 * JOB_ID_CHARS_MAX).collect(),
                rule: "use 1 to 112 printable ASCII characters without '/' and '\\'",
            })
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&RunId> for JobId {
    fn from(run: &RunId) -> Self {
        // 64 + '@' + 24 characters stay within the bound of a job id.
        Self(run.to_string())
    }
}

/// The two work queues. Their backstop dead-letter queues are an adapter's
/// matter and carry no name here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueName {
    Crawl,
    Image,
}

impl QueueName {
    pub const ALL: [Self; 2] = [Self::Crawl, Self::Image];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Crawl => "crawl",
            Self::Image => "image",
        }
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! text_id {
    ($name:ty) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}
text_id!(PipeId);
text_id!(JobId);

impl Serialize for RunId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn pipe_ids_follow_the_rule() {
        let check = |text: &str, ok: bool| assert_eq!(PipeId::parse(text).is_ok(), ok, "{text:?}");
        check("shop-a", true);
        check("0.shop_b", true);
        check(&"a".repeat(64), true);
        check(&"a".repeat(65), false);
        check("", false);
        check("-a", false);
        check("Shop", false);
        check("a/b", false);
        check("a..b", false);
        check("가게", false);
    }

    #[test]
    fn run_ids_survive_writing_and_reading() {
        let id = RunId::parse("shop-a@2026-11-21T03:00:00.000Z").unwrap();
        assert_eq!(id.to_string(), "shop-a@2026-11-21T03:00:00.000Z");
        assert_eq!(RunSeq::from_due(id.due()), id.seq);
        assert_eq!(id.seq.to_string().len(), 14);
        assert!(RunId::parse("shop-a").is_err());
        assert!(RunId::parse("shop-a@yesterday").is_err());
    }

    #[test]
    fn longest_names_fit_an_sqs_id() {
        let run = RunId::new(
            PipeId::parse(&"p".repeat(64)).unwrap(),
            DateTime::<Utc>::UNIX_EPOCH,
        );
        assert!(JobId::from(&run).as_str().len() <= JOB_ID_CHARS_MAX);
    }
}

//! Windows that people declare while the fleet runs.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;

use crate::PipeId;

/// Most declared windows: they are one small document, which every worker
/// reads again and again.
pub const DECLARED_MAX: usize = 1_000;

/// How long a declared window is kept for people to look at after its end.
pub const DECLARED_KEPT: chrono::Duration = chrono::Duration::days(7);

/// What a declared window is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "name", rename_all = "snake_case")]
pub enum Target {
    /// Every job.
    Fleet,
    /// Jobs that write the catalogue: those of the crawl queue.
    Catalogue,
    /// Jobs that reach the partner's servers.
    Pipe(PipeId),
    /// Jobs that fetch from this host.
    Host(String),
}

impl Target {
    /// A host as it stands in URLs, without scheme, port and path.
    pub fn host(text: &str) -> Option<Self> {
        let host = Url::parse(&format!("http://{text}/")).ok()?;
        let plain = host.port().is_none() && host.path() == "/" && host.username().is_empty();
        plain
            .then(|| host.host_str().map(str::to_owned))?
            .map(Self::Host)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fleet => f.write_str("the fleet"),
            Self::Catalogue => f.write_str("the catalogue"),
            Self::Pipe(pipe) => write!(f, "pipe {pipe}"),
            Self::Host(host) => write!(f, "host {host}"),
        }
    }
}

/// A window that somebody declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// Hash of target and times: declaring the same again changes nothing.
    pub id: String,
    pub target: Target,
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
    #[serde(default)]
    pub reason: String,
    pub declared: DateTime<Utc>,
}

impl Declared {
    pub fn new(
        target: Target,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Self {
        let mut hash = Sha256::new();
        hash.update(target.to_string());
        hash.update(from.timestamp_millis().to_be_bytes());
        hash.update(until.timestamp_millis().to_be_bytes());
        Self {
            id: hex::encode(hash.finalize())[..12].to_owned(),
            target,
            from,
            until,
            reason: reason.to_owned(),
            declared: now,
        }
    }

    pub(super) fn open_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        (self.from <= now && now < self.until).then_some(self.until)
    }
}

/// The document at [`Declarations::KEY`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declarations {
    pub windows: Vec<Declared>,
}

impl Declarations {
    /// One document for all: a worker that is at work looks it up every few
    /// seconds, and one small read is all that this may cost.
    pub const KEY: &str = "maintenance/declared";
}

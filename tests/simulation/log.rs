//! A log like that of the catalogue, small enough to be judged by eye: entries
//! with rising numbers, put if absent, each with the application and version
//! that it settles. A writer refuses a version that is not later than the
//! stored one, and asks its fence before every put.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use trawler_core::ports::{BlobError, BlobMeta, Put};
use trawler_core::verdict::{Ending, Failure};
use trawler_fleet::{JobContext, Ports, chain};

pub(crate) const META: BlobMeta = BlobMeta {
    content_type: "application/json",
    immutable: true,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) app: String,
    pub(crate) version: i64,
    /// The job and the epoch of its delivery.
    pub(crate) writer: String,
}

pub(crate) enum Commit {
    Done,
    /// An earlier delivery of the same work did it.
    Already,
    /// Something later is there.
    Overtaken(i64),
}

/// One process's view of the log.
pub(crate) struct Log {
    ports: Ports,
    entries: Mutex<Vec<Entry>>,
    /// Never looks at what was committed, to see that the simulation notices.
    careless: bool,
}

impl Log {
    pub(crate) fn new(ports: &Ports, careless: bool) -> Self {
        Self {
            ports: ports.clone(),
            entries: Mutex::default(),
            careless,
        }
    }

    pub(crate) fn key(number: usize) -> String {
        format!("log/{number:08}.json")
    }

    /// Reads what others have written.
    pub(crate) async fn refresh(&self) -> Result<(), Ending> {
        loop {
            let key = Self::key(self.entries().len());
            let got = persist(&self.ports, || self.ports.blobs.get(&key, None)).await;
            match got {
                Ok(body) => {
                    let entry = serde_json::from_slice(&body).unwrap();
                    let mut entries = self.entries();
                    if Self::key(entries.len()) == key {
                        entries.push(entry);
                    }
                }
                Err(BlobError::NotFound { .. }) => return Ok(()),
                Err(error) => return Err(failed(&error)),
            }
        }
    }

    pub(crate) fn stored(&self, app: &str) -> Option<i64> {
        if self.careless {
            return None;
        }
        let entries = self.entries();
        let of_app = entries.iter().filter(|entry| entry.app == app);
        of_app.map(|entry| entry.version).max()
    }

    pub(crate) async fn commit(
        &self,
        app: &str,
        version: i64,
        ctx: &JobContext,
    ) -> Result<Commit, Ending> {
        let entry = Entry {
            app: app.to_owned(),
            version,
            writer: format!("{}/{}", ctx.job(), ctx.epoch()),
        };
        let body = Bytes::from(serde_json::to_vec(&entry).unwrap());
        loop {
            match self.stored(app) {
                Some(stored) if stored == version => return Ok(Commit::Already),
                Some(stored) if stored > version => return Ok(Commit::Overtaken(stored)),
                Some(_) | None => {}
            }
            if !ctx.still_mine().await {
                return Err(Ending::HandedBack);
            }
            let key = Self::key(self.entries().len());
            let put = self.ports.blobs.put(&key, body.clone(), META).await;
            match put {
                Ok(Put::Created) => return Ok(Commit::Done),
                Ok(Put::Existed) => {}
                Err(error) if error.is_transient() => {
                    self.ports.clock.sleep(Duration::from_millis(200)).await;
                }
                Err(error) => return Err(failed(&error)),
            }
            self.refresh().await?;
        }
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap()
    }
}

pub(crate) fn failed(error: &BlobError) -> Ending {
    Ending::Failed(if error.is_transient() {
        Failure::transient(chain(error))
    } else {
        Failure::permanent(chain(error))
    })
}

/// Tries a call to Blobs again, as every client does.
pub(crate) async fn persist<T, F: Future<Output = Result<T, BlobError>>>(
    ports: &Ports,
    mut call: impl FnMut() -> F,
) -> Result<T, BlobError> {
    for tried in 1..6 {
        match call().await {
            Err(error) if error.is_transient() => {
                ports.clock.sleep(Duration::from_millis(50 << tried)).await;
            }
            answer => return answer,
        }
    }
    call().await
}

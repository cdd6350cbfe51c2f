//! Where a crawl stands, for whoever goes on with it: the segments of its
//! journal lie among the blobs, and the job's checkpoint names them.
//!
//! Nothing on the machine's own disk is needed to go on. What a killed worker
//! had not put yet is done again: at most half a minute of work, as the
//! options of the crawler say.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use trawler_core::RunId;
use trawler_core::ports::{BlobMeta, Blobs};
use trawler_core::verdict::{Ending, Failure};
use trawler_fleet::{CheckpointError, DocumentError, JobContext, chain};
use trawler_net::SavedCookies;

const SEGMENT: BlobMeta = BlobMeta {
    content_type: "application/octet-stream",
    immutable: false,
};

/// The checkpoint of a crawl job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SiteCheckpoint {
    /// Pipe, mapping, schema and parser: a crawl by other rules begins anew.
    fingerprint: String,
    /// In the order of the journal; one of each delivery that put a segment.
    stretches: Vec<Stretch>,
    /// The sessions that the shop has opened for us.
    cookies: Option<SavedCookies>,
    pub(super) tally: Tally,
    /// URLs of each path that were followed, as `Traps::kept` says.
    #[serde(default)]
    pub(super) paths: Vec<(u64, u64)>,
}

/// What is counted over a whole crawl and stands in no entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Tally {
    pub(super) bytes_down: u64,
    /// Time in which the run was worked on, or rested as the shop had asked.
    /// Pauses, maintenance and the wait for off-peak hours are not in it.
    pub(super) worked_ms: u64,
    pub(super) sitemaps: u64,
    /// Not read, for `limits.sitemap_files_max`.
    pub(super) sitemaps_left: u64,
    /// URLs not followed, for `limits.urls_per_path_max`.
    pub(super) urls_left: u64,
}

/// Segments that one delivery put.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Stretch {
    prefix: String,
    from: u32,
    /// Not this one any more.
    until: u32,
}

impl SiteCheckpoint {
    pub(super) fn new(fingerprint: &str) -> Self {
        Self {
            fingerprint: fingerprint.to_owned(),
            stretches: Vec::new(),
            cookies: None,
            tally: Tally::default(),
            paths: Vec::new(),
        }
    }

    pub(super) fn cookies(&self) -> Option<&SavedCookies> {
        self.cookies.as_ref()
    }

    /// That of an earlier delivery, if it is of this very crawl.
    pub(super) async fn find(ctx: &JobContext, fingerprint: &str) -> Result<Option<Self>, Ending> {
        // The first delivery has none before it, and need not ask.
        if ctx.epoch() <= 1 {
            return Ok(None);
        }
        let found = match ctx.checkpoint::<Self>().await {
            Ok(found) => found,
            // Of another program: the crawl begins anew.
            Err(DocumentError::Unreadable { reason, .. }) => {
                ctx.note(&format!("the checkpoint cannot be read: {reason}"));
                None
            }
            Err(error) => return Err(Ending::Failed(error.into())),
        };
        Ok(found.filter(|found| found.fingerprint == fingerprint))
    }

    /// Whether there is anything to go on with.
    pub(super) fn has_segments(&self) -> bool {
        !self.stretches.is_empty()
    }

    /// The same crawl, begun anew: what was done is gone, and the time that it
    /// took is not.
    pub(super) fn anew(&self) -> Self {
        let tally = Tally {
            bytes_down: self.tally.bytes_down,
            worked_ms: self.tally.worked_ms,
            ..Tally::default()
        };
        Self {
            stretches: Vec::new(),
            tally,
            paths: Vec::new(),
            ..self.clone()
        }
    }

    /// Brings the segments to `dir`, in order. `Err` says why they cannot be
    /// had any more.
    pub(super) async fn fetch(
        &self,
        blobs: &dyn Blobs,
        ctx: &JobContext,
        dir: &Path,
    ) -> Result<Result<Vec<PathBuf>, String>, Ending> {
        let mut paths = Vec::new();
        for stretch in &self.stretches {
            for number in stretch.from..stretch.until {
                ctx.step().await?;
                let key = segment_key(&stretch.prefix, number);
                let got = ctx.unless_told(blobs.get(&key, None)).await?;
                let bytes = match got {
                    Ok(bytes) => bytes,
                    Err(error) if error.is_transient() => {
                        return Err(transient(&format!("get {key}"), &error));
                    }
                    Err(error) => return Ok(Err(chain(&error))),
                };
                let path = dir.join(format!("fetched-{number:06}"));
                let written = tokio::fs::write(&path, &bytes).await;
                written.map_err(|error| transient(&format!("write {}", path.display()), &error))?;
                paths.push(path);
            }
        }
        Ok(Ok(paths))
    }

    /// Puts one more segment and saves the checkpoint that names it.
    pub(super) async fn add(
        &mut self,
        blobs: &dyn Blobs,
        ctx: &JobContext,
        run: &RunId,
        segment: Segment<'_>,
        cookies: Option<SavedCookies>,
    ) -> Result<(), NotPut> {
        // Below what is pruned with the run.
        let prefix = format!("inputs/{}/{}-{}/crawl", run.pipe, run.seq, ctx.epoch());
        let key = segment_key(&prefix, segment.number);
        let bytes = tokio::fs::read(segment.path).await;
        let bytes = bytes.map_err(|error| {
            NotPut::Failed(failure(&format!("read {}", segment.path.display()), &error))
        })?;
        let put = blobs.put(&key, Bytes::from(bytes), SEGMENT).await;
        put.map_err(|error| NotPut::Failed(failure(&format!("put {key}"), &error)))?;
        let before = self.clone();
        self.cookies = cookies;
        let until = segment.number + 1;
        match self.stretches.last_mut() {
            Some(last) if last.prefix == prefix => last.until = until,
            Some(_) | None => self.stretches.push(Stretch {
                prefix,
                from: segment.number,
                until,
            }),
        }
        let saved = self.save(ctx).await;
        if saved.is_err() {
            // What nobody was told of is not there.
            *self = before;
        }
        saved
    }

    /// Saves it without another segment: what was counted has changed.
    pub(super) async fn save(&self, ctx: &JobContext) -> Result<(), NotPut> {
        ctx.save_checkpoint(self)
            .await
            .map_err(|error| match error {
                CheckpointError::Overtaken { .. } => NotPut::Overtaken,
                CheckpointError::Document(error) => NotPut::Failed(error.into()),
            })
    }
}

/// Why a segment is not where another machine finds it.
pub(super) enum NotPut {
    /// A later delivery has the job.
    Overtaken,
    /// It may go better later.
    Failed(Failure),
}

/// A closed segment of the journal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment<'a> {
    pub(super) number: u32,
    pub(super) path: &'a Path,
}

fn segment_key(prefix: &str, number: u32) -> String {
    format!("{prefix}/{number:06}")
}

fn failure(what: &str, error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::transient(format!("{what}: {}", chain(error)))
}

fn transient(what: &str, error: &(dyn std::error::Error + 'static)) -> Ending {
    Ending::Failed(failure(what, error))
}

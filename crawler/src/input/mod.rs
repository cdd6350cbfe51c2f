//! Gets a pipe's feed onto scratch disk, or finds that it has not changed. One
//! file a source: `http`, `file`, `inbox`, `sftp`.

mod file;
mod http;
mod inbox;
mod landing;
mod sftp;

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use trawler_core::feed_validators::FeedValidators;
use trawler_core::pipe::{Pipe, Source};
use trawler_core::ports::{Blobs, Clock, Secrets};
use trawler_core::verdict::Failure;
use trawler_fleet::JobContext;
use trawler_net::{Fetcher, Validators};

use crate::crawler::CrawlerOptions;

use file::hash_file;
use inbox::Inbox;
use sftp::Sftp;

/// Name of the feed in the scratch folder.
const FEED_FILE: &str = "feed";

/// How often a download looks up whether it may go on.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A feed on disk.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) path: PathBuf,
    pub(crate) sha256: String,
    pub(crate) validators: Validators,
    pub(crate) bytes_down: u64,
    /// Why not all of it is there, if so.
    pub(crate) truncated: Option<String>,
}

/// What was found at the source.
#[derive(Debug)]
pub(crate) enum Found {
    Changed(Input),
    /// The bytes are those that the last complete run read.
    Unchanged {
        bytes_down: u64,
    },
}

/// What getting a feed needs to know.
pub(crate) struct Wanted<'a> {
    pub(crate) pipe: &'a Pipe,
    pub(crate) fetcher: &'a Fetcher,
    pub(crate) secrets: &'a dyn Secrets,
    pub(crate) blobs: &'a dyn Blobs,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) options: &'a CrawlerOptions,
    /// A folder of this delivery's own.
    pub(crate) scratch: &'a Path,
    /// Those of the last complete run, if they are bound to what this run is.
    pub(crate) known: Option<&'a FeedValidators>,
    pub(crate) ctx: &'a JobContext,
}

impl Wanted<'_> {
    pub(crate) async fn get(&self) -> Result<Found, Failure> {
        let input = match &self.pipe.source {
            Source::Http(source) => self.download(source).await?,
            Source::File(source) => {
                let path = self.options.base.join(&source.path);
                Some(hash_file(path, self.ctx.clone()).await?)
            }
            Source::Inbox(source) => {
                let inbox = Inbox {
                    wanted: self,
                    source,
                };
                self.unless_told(inbox.get()).await?
            }
            Source::Sftp(source) => {
                let sftp = Sftp {
                    wanted: self,
                    source,
                };
                self.unless_told(sftp.get()).await?
            }
            Source::Site(_) => {
                let reason = "a site is crawled and has no feed to be downloaded";
                return Err(Failure::permanent(reason));
            }
        };
        let Some(input) = input else {
            return Ok(Found::Unchanged { bytes_down: 0 });
        };
        let same = self.known.is_some_and(|known| known.sha256 == input.sha256);
        if same && input.truncated.is_none() {
            return Ok(Found::Unchanged {
                bytes_down: input.bytes_down,
            });
        }
        Ok(Found::Changed(input))
    }

    /// Whether the last complete run read a file that was listed as this one.
    fn knows(&self, listed: &Validators) -> bool {
        self.known.is_some_and(|known| {
            known.etag == listed.etag && known.last_modified == listed.last_modified
        })
    }

    fn bytes_max(&self) -> u64 {
        self.pipe.fetch.feed_mib_max.saturating_mul(1024 * 1024)
    }

    /// Work that is dropped, which ends it, when the job may not go on, or when
    /// it takes longer than the pipe allows.
    async fn unless_told<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut work = pin!(work);
        let timeout_s = self.pipe.fetch.timeout_s;
        let until = self.clock.monotonic() + Duration::from_secs(timeout_s);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = self.clock.sleep(LOOK_EVERY) => {}
            }
            // A pause cancels no token by itself, and a download may take an
            // hour. The run asks what it was, and ends with that.
            if self.ctx.interrupted().is_some() {
                return Err(Failure::transient("getting the feed was interrupted"));
            }
            if self.clock.monotonic() >= until {
                let reason = format!(
                    "the feed did not come within fetch.timeout_s = {timeout_s}; it is at {}",
                    self.pipe.source
                );
                return Err(Failure::transient(reason));
            }
        }
    }
}

//! Gets a pipe's feed onto scratch disk, or finds that it has not changed.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use trawler_core::feed_validators::FeedValidators;
use trawler_core::pipe::{FeedAuth, HttpSource, Pipe, Source};
use trawler_core::ports::Secrets;
use trawler_core::secret::{SecretText, SecretValue};
use trawler_core::verdict::Failure;
use trawler_fleet::{JobContext, chain};
use trawler_net::{
    Auth, FetchClass, FetchError, Fetched, Fetcher, Limits, Request, Secret, StatusClass, Timeouts,
    Validators,
};
use url::Url;

use crate::crawler::CrawlerOptions;

/// A file source is read in pieces of this size to be hashed.
const HASH_BYTES: usize = 1024 * 1024;

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
            Source::Http(source) => match self.download(source).await? {
                Some(input) => input,
                None => return Ok(Found::Unchanged { bytes_down: 0 }),
            },
            Source::File(source) => {
                hash_file(self.options.base.join(&source.path), self.ctx.clone()).await?
            }
        };
        let same = self.known.is_some_and(|known| known.sha256 == input.sha256);
        if same && input.truncated.is_none() {
            return Ok(Found::Unchanged {
                bytes_down: input.bytes_down,
            });
        }
        Ok(Found::Changed(input))
    }

    /// `None` when the server says that nothing changed.
    async fn download(&self, source: &HttpSource) -> Result<Option<Input>, Failure> {
        let path = self.scratch.join("feed");
        let stop = self.ctx.cancelled().child_token();
        let request = self.request(source, stop.clone()).await?;
        let mut fetch = pin!(self.fetcher.fetch_to_file(&request, &path));
        // A pause cancels no token by itself, and a download may take an hour.
        let fetched = loop {
            match tokio::time::timeout(LOOK_EVERY, &mut fetch).await {
                Ok(fetched) => break fetched,
                Err(_) if self.ctx.interrupted().is_some() => stop.cancel(),
                Err(_) => {}
            }
        };
        match fetched {
            Ok(Fetched::NotModified(_)) => Ok(None),
            Ok(Fetched::Body(response)) => Ok(Some(Input {
                path: response.body.path.clone(),
                sha256: hex::encode(response.body.sha256),
                validators: response.validators,
                bytes_down: response.raw_bytes,
                truncated: response.body.truncated.map(|cut| cut.to_string()),
            })),
            Err(error) => Err(failure(&error)),
        }
    }

    async fn request(
        &self,
        source: &HttpSource,
        stop: CancellationToken,
    ) -> Result<Request, Failure> {
        let fetch = &self.pipe.fetch;
        let limits = Limits {
            raw_bytes_max: fetch.feed_mib_max.saturating_mul(1024 * 1024),
            // What a Content-Encoding decodes to is bounded like the feed itself.
            decoded_bytes_max: self.pipe.reading().limits.decoded_bytes_max,
            redirects_max: self.options.redirects_max,
            timeouts: Timeouts {
                first_byte_ms: self.options.first_byte_ms,
                idle_ms: self.options.idle_ms,
                whole_ms: fetch.timeout_s.saturating_mul(1000),
            },
        };
        let url = self.url(source).await?;
        let request = Request::get_url(&url).map_err(|error| failure(&error))?;
        let request = self.with_credentials(request).await?;
        let (ctx, pace) = (
            self.ctx.clone(),
            Duration::from_secs_f64(1.0 / fetch.rate_per_s),
        );
        let request = request
            .user_agent(&self.options.user_agent)
            .map_err(|error| Failure::permanent(error.to_string()))?
            .limits(limits)
            .interval_min(pace)
            .keep_truncated()
            .cancel(stop)
            .observer(Arc::new(move |seen| {
                ctx.progress("download", seen.raw_bytes, seen.expected)
            }));
        Ok(match self.known {
            Some(known) => request.validators(Validators {
                etag: known.etag.clone(),
                last_modified: known.last_modified.clone(),
            }),
            None => request,
        })
    }
}

impl Wanted<'_> {
    /// The source with the credentials that the partner wants in its query.
    async fn url(&self, source: &HttpSource) -> Result<Url, Failure> {
        let mut url = source.url.clone();
        for (name, text) in &self.pipe.fetch.query {
            let value = self.value(&format!("fetch.query.{name}"), text).await?;
            url.query_pairs_mut().append_pair(name, value.reveal());
        }
        Ok(url)
    }

    /// Headers and credentials of the pipe, asked for now.
    async fn with_credentials(&self, mut request: Request) -> Result<Request, Failure> {
        let fetch = &self.pipe.fetch;
        for (name, text) in &fetch.headers {
            let key = format!("fetch.headers.{name}");
            let value = self.value(&key, text).await?;
            // Meant for the partner alone, also where it is written out: what
            // a redirect to another host gets is nobody's to decide but ours.
            request = request
                .secret_header(name, &value)
                .map_err(|error| Failure::permanent(format!("{key}: {error}")))?;
        }
        let auth = match &fetch.auth {
            Some(FeedAuth::Basic { user, password }) => Auth::Basic {
                user: user.clone(),
                password: self.value("fetch.auth.password", password).await?,
            },
            Some(FeedAuth::Bearer { token }) => {
                Auth::Bearer(self.value("fetch.auth.token", token).await?)
            }
            None => return Ok(request),
        };
        request
            .auth(&auth)
            .map_err(|error| Failure::permanent(format!("fetch.auth: {error}")))
    }

    async fn value(&self, key: &str, text: &SecretText) -> Result<Secret, Failure> {
        let reference = match text {
            SecretText::Literal(text) => return Ok(Secret::new(text.clone())),
            SecretText::Reference(reference) => reference,
        };
        let value = self.secrets.resolve(reference).await.map_err(|error| {
            let reason = format!("{key}: {}", chain(&error));
            if error.is_transient() {
                Failure::transient(reason)
            } else {
                Failure::permanent(reason)
            }
        })?;
        Ok(Secret::new(SecretValue::reveal(&value)))
    }
}

/// A fetch that failed, as far as the job is concerned.
pub(crate) fn failure(error: &FetchError) -> Failure {
    let reason = chain(error);
    if let Some(wait) = error.retry_after() {
        return Failure::throttled(reason, wait);
    }
    match error.class() {
        FetchClass::Dns
        | FetchClass::Connect
        | FetchClass::Timeout
        | FetchClass::Truncated
        | FetchClass::Cancelled
        | FetchClass::Protocol
        | FetchClass::Decode
        | FetchClass::Tls
        | FetchClass::Disk
        | FetchClass::Proxy
        | FetchClass::Status(StatusClass::TooManyRequests | StatusClass::Server) => {
            Failure::transient(reason)
        }
        FetchClass::RefusedAddress
        | FetchClass::BadUrl
        | FetchClass::TooLarge
        | FetchClass::TooManyRedirects
        | FetchClass::RedirectLoop
        | FetchClass::HostGivenUp
        | FetchClass::Status(_) => Failure::permanent(reason),
    }
}

async fn hash_file(path: PathBuf, ctx: JobContext) -> Result<Input, Failure> {
    let work = tokio::task::spawn_blocking(move || {
        let unreadable =
            |error: io::Error| Failure::permanent(format!("read feed {}: {error}", path.display()));
        let mut file = File::open(&path).map_err(unreadable)?;
        let mut hash = Sha256::new();
        let mut piece = vec![0; HASH_BYTES];
        loop {
            if ctx.interrupted().is_some() {
                return Err(Failure::transient("reading the feed was interrupted"));
            }
            match file.read(&mut piece).map_err(unreadable)? {
                0 => break,
                read => hash.update(&piece[..read]),
            }
        }
        Ok(Input {
            sha256: hex::encode(hash.finalize()),
            path,
            validators: Validators::default(),
            bytes_down: 0,
            truncated: None,
        })
    });
    work.await
        .unwrap_or_else(|error| Err(Failure::transient(format!("hash the feed: {error}"))))
}

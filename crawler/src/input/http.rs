//! A feed over HTTP(S): one download, conditional where the last complete run
//! left validators.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use trawler_core::pipe::HttpSource;
use trawler_core::verdict::Failure;
use trawler_fleet::chain;
use trawler_net::{
    FetchClass, FetchError, Fetched, Limits, Request, StatusClass, Timeouts, Validators,
};

use super::{FEED_FILE, Input, LOOK_EVERY, Wanted};
use crate::credentials::Credentials;

impl Wanted<'_> {
    /// `None` when the server says that nothing changed.
    pub(super) async fn download(&self, source: &HttpSource) -> Result<Option<Input>, Failure> {
        let path = self.scratch.join(FEED_FILE);
        let stop = self.ctx.cancelled().child_token();
        let credentials = Credentials::of(&self.pipe.fetch, self.secrets).await?;
        let request = self.request(source, &credentials, stop.clone())?;
        let fetcher = credentials.fetcher(self.fetcher)?;
        let mut fetch = pin!(fetcher.fetch_to_file(&request, &path));
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

    fn request(
        &self,
        source: &HttpSource,
        credentials: &Credentials,
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
        let url = credentials.url(&source.url);
        let request = Request::get_url(&url).map_err(|error| failure(&error))?;
        let request = credentials.on(request)?;
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

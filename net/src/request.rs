//! What a caller asks for: one GET and everything that goes with it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::auth::{Auth, secret_value};
use crate::cookies::CookieJar;
use crate::error::FetchError;
use crate::gate::Share;
use crate::limits::Limits;
use crate::pace::Pace;
use crate::retry::RetryPolicy;
use crate::secret::Secret;
use crate::target::{Target, UrlFault};
use crate::validators::Validators;

/// Headers that one request may add.
pub const EXTRA_HEADERS_MAX: usize = 32;

/// What a page may be.
const ACCEPT_PAGES: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// Which Content-Encodings are asked for. What comes is decoded in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Codings {
    /// gzip, br, zstd, deflate.
    #[default]
    All,
    /// The body as it is: for files that are compressed already.
    Identity,
}

impl Codings {
    pub(crate) fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::All => "gzip, br, zstd, deflate",
            Self::Identity => "identity",
        })
    }
}

/// How far a body has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes as served, of this attempt.
    pub raw_bytes: u64,
    /// Those of the piece that has just come.
    pub piece_bytes: u64,
    /// Content-Length, if the server sent it.
    pub expected: Option<u64>,
}

/// Called with every piece of the body; must return at once.
pub type Observer = Arc<dyn Fn(Progress) + Send + Sync>;

/// Why a header cannot be sent. Never shows the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// The name is no header name.
    #[error("{name:?} is not a header name; letters, digits and - are allowed")]
    Name {
        /// The name found.
        name: String,
    },
    /// The value holds control characters.
    #[error("the value of header {name} holds characters that a header cannot carry")]
    Value {
        /// The header.
        name: String,
    },
    /// The fetcher sets this one itself.
    #[error("header {name} is set by the fetcher itself and cannot be given")]
    Reserved {
        /// The header.
        name: String,
    },
    /// More than [`EXTRA_HEADERS_MAX`].
    #[error("more than {EXTRA_HEADERS_MAX} headers")]
    TooMany,
}

/// One GET to be made.
#[derive(Clone)]
pub struct Request {
    pub(crate) target: Target,
    /// Headers without secrets, sent to every hop.
    pub(crate) headers: HeaderMap,
    /// Headers with secrets, sent while the host stays the same.
    pub(crate) secrets: HeaderMap,
    pub(crate) user_agent: Option<HeaderValue>,
    pub(crate) referer: Option<Target>,
    pub(crate) validators: Validators,
    pub(crate) codings: Codings,
    pub(crate) limits: Limits,
    pub(crate) downgrade: Downgrade,
    pub(crate) interval_min: Duration,
    pub(crate) share: Option<Share>,
    pub(crate) pace: Option<Arc<Pace>>,
    pub(crate) cookies: Option<Arc<CookieJar>>,
    pub(crate) retry: Option<RetryPolicy>,
    pub(crate) keep_truncated: bool,
    pub(crate) cancel: CancellationToken,
    pub(crate) observer: Option<Observer>,
}

/// Whether a redirect may leave https for http.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Downgrade {
    /// It is an error.
    #[default]
    Refused,
    /// The pipe's author knows and accepts it.
    Allowed,
}

impl Request {
    /// A plain GET with the default limits of pages and images.
    pub fn get(url: &str) -> Result<Self, FetchError> {
        let target = Target::parse(url).map_err(|fault| FetchError::bad_url(url, fault))?;
        Ok(Self::of(target))
    }

    /// The same for a URL that is parsed already.
    pub fn get_url(url: &Url) -> Result<Self, FetchError> {
        let target = Target::checked(url.clone())
            .map_err(|fault| FetchError::bad_url(url.as_str(), fault))?;
        Ok(Self::of(target))
    }

    fn of(target: Target) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        Self {
            target,
            headers,
            secrets: HeaderMap::new(),
            user_agent: None,
            referer: None,
            validators: Validators::default(),
            codings: Codings::All,
            limits: Limits::default(),
            downgrade: Downgrade::Refused,
            interval_min: Duration::ZERO,
            share: None,
            pace: None,
            cookies: None,
            retry: None,
            keep_truncated: false,
            cancel: CancellationToken::new(),
            observer: None,
        }
    }

    /// The URL asked for.
    pub fn url(&self) -> &Url {
        self.target.url()
    }

    /// Adds a header. One whose name says that it carries a credential
    /// (Cookie, X-Api-Key ...) is treated as a secret.
    pub fn header(self, name: &str, value: &str) -> Result<Self, HeaderFault> {
        let name = header_name(name)?;
        if name == header::USER_AGENT {
            return self.user_agent(value);
        }
        if name == header::REFERER {
            let name = name.to_string();
            return self.referer(value).map_err(|_| HeaderFault::Value { name });
        }
        if carries_secret(&name) {
            return self.put_secret(name, value);
        }
        let value = HeaderValue::from_str(value).map_err(|_| HeaderFault::Value {
            name: name.to_string(),
        })?;
        let mut request = self;
        request.headers.insert(name, value);
        request.counted()
    }

    /// Adds a header that is dropped when a redirect leaves the host.
    pub fn secret_header(self, name: &str, value: &Secret) -> Result<Self, HeaderFault> {
        let name = header_name(name)?;
        self.put_secret(name, value.reveal())
    }

    fn put_secret(mut self, name: HeaderName, value: &str) -> Result<Self, HeaderFault> {
        let value = secret_value(&name, value)?;
        self.secrets.insert(name, value);
        self.counted()
    }

    fn counted(self) -> Result<Self, HeaderFault> {
        if self.headers.len() + self.secrets.len() > EXTRA_HEADERS_MAX {
            return Err(HeaderFault::TooMany);
        }
        Ok(self)
    }

    /// Basic or bearer credentials.
    pub fn auth(mut self, auth: &Auth) -> Result<Self, HeaderFault> {
        self.secrets.insert(header::AUTHORIZATION, auth.header()?);
        Ok(self)
    }

    /// Accept, instead of `*/*`.
    pub fn accept(mut self, accept: &str) -> Result<Self, HeaderFault> {
        let value = HeaderValue::from_str(accept).map_err(|_| HeaderFault::Value {
            name: header::ACCEPT.to_string(),
        })?;
        self.headers.insert(header::ACCEPT, value);
        Ok(self)
    }

    /// A User-Agent of the pipe's own instead of the configured one.
    pub fn user_agent(mut self, user_agent: &str) -> Result<Self, HeaderFault> {
        let value = HeaderValue::from_str(user_agent).map_err(|_| HeaderFault::Value {
            name: header::USER_AGENT.to_string(),
        })?;
        self.user_agent = Some(value);
        Ok(self)
    }

    /// The page that the link stood on. Another host sees its origin only.
    pub fn referer(mut self, page: &str) -> Result<Self, UrlFault> {
        self.referer = Some(Target::parse(page)?);
        Ok(self)
    }

    /// Makes the request conditional.
    pub fn validators(mut self, validators: Validators) -> Self {
        self.validators = validators;
        self
    }

    /// Which Content-Encodings to ask for.
    pub fn codings(mut self, codings: Codings) -> Self {
        self.codings = codings;
        self
    }

    /// Bounds other than those of pages and images.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Whether a redirect may leave https for http.
    pub fn downgrade(mut self, downgrade: Downgrade) -> Self {
        self.downgrade = downgrade;
        self
    }

    /// The pipe's own rate: at least this long between two requests to the
    /// host, if that is slower than what is configured for every host.
    pub fn interval_min(mut self, interval: Duration) -> Self {
        self.interval_min = interval;
        self
    }

    /// At most so many requests at once to one host in this process, of all that
    /// carry the same name: a pipe's, whichever of its jobs they are of.
    pub fn at_once(mut self, name: impl Into<String>, at_once: u32) -> Self {
        let name = name.into();
        self.share = Some(Share { name, at_once });
        self
    }

    /// The pace of the crawl that asks: its rate and concurrency per host, its
    /// slowing down, what it grants a host.
    pub fn pace(mut self, pace: Arc<Pace>) -> Self {
        self.pace = Some(pace);
        self
    }

    /// The cookies of the crawl that asks: sent by their rules at every hop, and
    /// set by every answer. A Cookie header of the pipe's own goes before them.
    pub fn cookies(mut self, jar: Arc<CookieJar>) -> Self {
        self.cookies = Some(jar);
        self
    }

    /// Accept-Language, such as `ko-KR,ko;q=0.9`: shops choose language, and at
    /// times currency, by it.
    pub fn accept_language(mut self, languages: &str) -> Result<Self, HeaderFault> {
        let name = header::ACCEPT_LANGUAGE;
        let value = HeaderValue::from_str(languages).map_err(|_| HeaderFault::Value {
            name: name.to_string(),
        })?;
        self.headers.insert(name, value);
        self.counted()
    }

    /// Accept as browsers send it for pages: some shops answer `*/*` with JSON,
    /// or not at all.
    pub fn accept_pages(mut self) -> Self {
        self.headers
            .insert(header::ACCEPT, HeaderValue::from_static(ACCEPT_PAGES));
        self
    }

    /// Retries other than the configured ones.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = Some(policy);
        self
    }

    /// For feeds (invariant 5): when the last attempt of a fetch into a file
    /// breaks off within the body, for whatever reason, what it brought is kept
    /// and comes as a body whose [`FileBody::truncated`](crate::FileBody) says
    /// so, without validators. Nothing at all stays an error, as does a body
    /// whose bytes make no sense; what an earlier attempt brought is not used.
    /// Fetches into memory give whole bodies only.
    pub fn keep_truncated(mut self) -> Self {
        self.keep_truncated = true;
        self
    }

    /// Ends the fetch when the token is cancelled, also within the body and
    /// while waiting.
    pub fn cancel(mut self, token: CancellationToken) -> Self {
        self.cancel = token;
        self
    }

    /// Told how far the body has come.
    pub fn observer(mut self, observer: Observer) -> Self {
        self.observer = Some(observer);
        self
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("target", &self.target)
            .field("secrets", &self.secrets.len())
            .field("validators", &self.validators)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

fn header_name(name: &str) -> Result<HeaderName, HeaderFault> {
    // Lengths, connections and codings are ours: a second opinion on them is
    // how requests are smuggled.
    const RESERVED: &[HeaderName] = &[
        header::HOST,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::TE,
        header::UPGRADE,
        header::EXPECT,
        header::ACCEPT_ENCODING,
        header::RANGE,
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
    ];
    let parsed: HeaderName = name.parse().map_err(|_| HeaderFault::Name {
        name: name.to_owned(),
    })?;
    if RESERVED.contains(&parsed) {
        return Err(HeaderFault::Reserved {
            name: parsed.to_string(),
        });
    }
    Ok(parsed)
}

fn carries_secret(name: &HeaderName) -> bool {
    const WORDS: &[&str] = &[
        "auth", "cookie", "token", "key", "secret", "pass", "session",
    ];
    WORDS.iter().any(|word| name.as_str().contains(word))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn headers_are_taken_or_refused() {
        let check = |name: &str, value: &str, expected: &str| {
            let request = Request::get("http://a.test/").unwrap();
            let found = match request.header(name, value) {
                Ok(request) if !request.secrets.is_empty() => "secret".to_owned(),
                Ok(_) => "plain".to_owned(),
                Err(fault) => fault.to_string(),
            };
            assert!(found.contains(expected), "{name}: {found}");
            assert!(!found.contains("hunter2"), "a value is shown");
        };
        check("Accept-Language", "ko", "plain");
        check("X-Api-Key", "hunter2", "secret");
        check("Cookie", "a=hunter2", "secret");
        check("Host", "evil", "set by the fetcher");
        check("Transfer-Encoding", "chunked", "set by the fetcher");
        check("bad name", "x", "not a header name");
        check("X-Token", "hunter2\r\nX: y", "cannot carry");
    }

    #[test]
    fn a_request_prints_no_secret() {
        let request = Request::get("http://a.test/?token=hunter2")
            .unwrap()
            .auth(&Auth::Bearer(Secret::new("hunter2")))
            .unwrap()
            .header("Cookie", "hunter2")
            .unwrap();
        assert!(!format!("{request:?}").contains("hunter2"));
        let auth = Auth::Basic {
            user: "u".into(),
            password: Secret::new("hunter2"),
        };
        assert!(!format!("{auth:?}").contains("hunter2"));
    }
}

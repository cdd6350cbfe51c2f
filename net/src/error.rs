//! What can go wrong in a fetch, told apart for the retry decision.
//!
//! A [`FetchError`] says which URL (without secrets), what happened and what to
//! do; its [`FetchClass`] is what policy matches on. It decides nothing itself
//! but `is_transient`.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::pace::GivenUp;
use crate::policy::Refusal;
use crate::target::{Target, UrlFault};

/// The classes that retry policy tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FetchClass {
    /// The address policy refuses the host.
    RefusedAddress,
    /// The URL, or the one a redirect led to, cannot be asked for.
    BadUrl,
    /// The name has no address now.
    Dns,
    /// No connection, or it broke before an answer.
    Connect,
    /// The certificate or the handshake is wrong.
    Tls,
    /// One of the time bounds ran out.
    Timeout,
    /// The body ended before its end.
    Truncated,
    /// A cap on bytes was reached.
    TooLarge,
    /// More hops than allowed.
    TooManyRedirects,
    /// A redirect led back to where it came from.
    RedirectLoop,
    /// The server answered with an error.
    Status(StatusClass),
    /// The crawl has spent what it grants the host.
    HostGivenUp,
    /// The proxy is the trouble, not the host behind it.
    Proxy,
    /// The body is not what its Content-Encoding says.
    Decode,
    /// The answer is not HTTP as it should be.
    Protocol,
    /// The caller's token was cancelled.
    Cancelled,
    /// The local disk failed.
    Disk,
}

/// Error statuses as they differ for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StatusClass {
    /// 404.
    NotFound,
    /// 410.
    Gone,
    /// 403 and 451.
    Forbidden,
    /// 401.
    Unauthorized,
    /// 429 and 420, or the host asked earlier to be left alone until later.
    TooManyRequests,
    /// Any other 4xx.
    Client,
    /// 5xx, and 408 and 425, which are no fault of the request.
    Server,
}

impl StatusClass {
    /// The class of a status of 400 or above.
    pub fn of(status: u16) -> Self {
        match status {
            401 => Self::Unauthorized,
            403 | 451 => Self::Forbidden,
            404 => Self::NotFound,
            410 => Self::Gone,
            420 | 429 => Self::TooManyRequests,
            408 | 425 => Self::Server,
            400..500 => Self::Client,
            _ => Self::Server,
        }
    }
}

/// Which time bound ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Name look-up, TCP and TLS.
    Connect,
    /// From the request to the head of the answer.
    FirstByte,
    /// Between two pieces of the body.
    Idle,
    /// Everything, redirects included.
    Whole,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting",
            Self::FirstByte => "waiting for the head of the answer",
            Self::Idle => "waiting for more of the body",
            Self::Whole => "the whole fetch",
        })
    }
}

/// What a byte cap counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// The head of the answer.
    HeaderBytes,
    /// The body as it came over the wire.
    RawBytes,
    /// The body after Content-Encoding was removed.
    DecodedBytes,
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HeaderBytes => "the head of the answer",
            Self::RawBytes => "the body as served",
            Self::DecodedBytes => "the decompressed body",
        })
    }
}

/// What happened, with its figures.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Invariant 8.
    #[error("refused by the address policy: {0}")]
    Refused(Refusal),
    /// The URL cannot be asked for.
    #[error("the URL cannot be fetched: {0}")]
    BadUrl(UrlFault),
    /// No address for the name.
    #[error("the name {host} has no address; check the spelling of the host")]
    Dns {
        /// The name looked up.
        host: String,
        /// What the resolver said.
        source: Option<io::Error>,
    },
    /// The connection failed or broke.
    #[error("{what}; the host may be down, try later")]
    Connect {
        /// Which step failed.
        what: String,
        /// The error of the system or protocol.
        source: Option<BoxError>,
    },
    /// Certificate or handshake.
    #[error("{what}")]
    Tls {
        /// What failed and what to do.
        what: String,
        /// The error of the TLS library.
        source: Option<BoxError>,
    },
    /// A time bound ran out.
    #[error("no more patience after {after_ms} ms of {phase}")]
    Timeout {
        /// Which bound.
        phase: Phase,
        /// Its length.
        after_ms: u64,
    },
    /// The body ended early.
    #[error("the body ended after {got} bytes{}; it is not used", expected_text(*expected))]
    Truncated {
        /// What Content-Length promised, if it was there.
        expected: Option<u64>,
        /// What came, in bytes as served.
        got: u64,
    },
    /// A cap was reached.
    #[error("{measure} is over {max_bytes} bytes; raise the limit if the source is to be trusted")]
    TooLarge {
        /// What was counted.
        measure: Measure,
        /// The cap.
        max_bytes: u64,
    },
    /// Too many hops.
    #[error("more than {max} redirects")]
    TooManyRedirects {
        /// The bound.
        max: u32,
        /// Where the one too many leads; not judged.
        to: Target,
    },
    /// A hop led back.
    #[error("redirected in a circle, back to {to}")]
    RedirectLoop {
        /// The URL seen before.
        to: Target,
    },
    /// An error status.
    #[error("answered with status {status}{}", status_advice(*status))]
    Status {
        /// The HTTP status.
        status: u16,
        /// Retry-After, if sent.
        retry_after: Option<Duration>,
    },
    /// The host asked to be left alone, and the wait is too long to hold a slot.
    #[error("{host} asked to be left alone for {} s more; try then", wait.as_secs())]
    HostResting {
        /// The host.
        host: String,
        /// How long still.
        wait: Duration,
    },
    /// The budget of the host within one crawl.
    #[error("{host} is given up by this crawl: {why}")]
    HostGivenUp {
        /// The host.
        host: String,
        /// What is spent.
        why: GivenUp,
    },
    /// The proxy: the pipe's, or that of the fixed address.
    #[error("the proxy {proxy} {what}; check {named_in}")]
    Proxy {
        /// Which setting names it.
        named_in: &'static str,
        /// The proxy, without credentials.
        proxy: String,
        /// What it did or failed to do.
        what: String,
        /// The error under it.
        source: Option<BoxError>,
    },
    /// Content-Encoding.
    #[error("the body is not valid {coding}: {why}")]
    Decode {
        /// The coding.
        coding: String,
        /// What is wrong.
        why: String,
    },
    /// Not HTTP as it should be.
    #[error("the answer breaks the protocol: {why}")]
    Protocol {
        /// What is wrong.
        why: String,
        /// The error of the HTTP library.
        source: Option<BoxError>,
    },
    /// A status that brings no body and is no error status.
    #[error("the answer breaks the protocol: {why}")]
    Unexpected {
        /// The HTTP status.
        status: u16,
        /// Why it is no answer to what was asked.
        why: String,
    },
    /// The caller's token.
    #[error("cancelled")]
    Cancelled,
    /// The local disk.
    #[error("cannot write {}; check space and permissions", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

fn expected_text(expected: Option<u64>) -> String {
    expected.map_or_else(
        || " before its end".to_owned(),
        |bytes| format!(" of {bytes}"),
    )
}

fn status_advice(status: u16) -> &'static str {
    match StatusClass::of(status) {
        StatusClass::NotFound => " (not found)",
        StatusClass::Gone => " (gone)",
        StatusClass::Forbidden => {
            " (forbidden); ask the shop to let the crawler's User-Agent or address in"
        }
        StatusClass::Unauthorized => " (unauthorised); check the auth setting of the pipe",
        StatusClass::TooManyRequests => " (too many requests); lower the pipe's rate",
        StatusClass::Client => "",
        StatusClass::Server => " (server trouble); try later",
    }
}

/// A failed fetch.
#[derive(Debug)]
pub struct FetchError {
    asked: String,
    hop: Option<String>,
    attempts: u32,
    fault: Box<Fault>,
}

impl FetchError {
    pub(crate) fn new(asked: &Target, hop: &Target, attempts: u32, fault: Fault) -> Self {
        Self {
            asked: asked.to_string(),
            hop: (hop != asked).then(|| hop.to_string()),
            attempts,
            fault: Box::new(fault),
        }
    }

    /// A URL that was refused before anything was asked.
    pub fn bad_url(text: &str, fault: UrlFault) -> Self {
        Self {
            asked: crate::target::shown_text(text),
            hop: None,
            attempts: 0,
            fault: Box::new(Fault::BadUrl(fault)),
        }
    }

    /// What happened.
    pub fn fault(&self) -> &Fault {
        &self.fault
    }

    /// The URL asked for, without secrets.
    pub fn url(&self) -> &str {
        &self.asked
    }

    /// How often it was tried.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The class for the retry decision.
    pub fn class(&self) -> FetchClass {
        self.fault.class()
    }

    /// How long the host asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        self.fault.retry_after()
    }

    /// Whether trying again later may help.
    pub fn is_transient(&self) -> bool {
        self.class().is_transient()
    }
}

impl Fault {
    /// The class for the retry decision.
    pub fn class(&self) -> FetchClass {
        match self {
            Self::Refused(_) => FetchClass::RefusedAddress,
            Self::BadUrl(_) => FetchClass::BadUrl,
            Self::Dns { .. } => FetchClass::Dns,
            Self::Connect { .. } => FetchClass::Connect,
            Self::Tls { .. } => FetchClass::Tls,
            Self::Timeout { .. } => FetchClass::Timeout,
            Self::Truncated { .. } => FetchClass::Truncated,
            Self::TooLarge { .. } => FetchClass::TooLarge,
            Self::TooManyRedirects { .. } => FetchClass::TooManyRedirects,
            Self::RedirectLoop { .. } => FetchClass::RedirectLoop,
            Self::Status { status, .. } => FetchClass::Status(StatusClass::of(*status)),
            Self::HostResting { .. } => FetchClass::Status(StatusClass::TooManyRequests),
            Self::HostGivenUp { .. } => FetchClass::HostGivenUp,
            Self::Proxy { .. } => FetchClass::Proxy,
            Self::Decode { .. } => FetchClass::Decode,
            Self::Protocol { .. } | Self::Unexpected { .. } => FetchClass::Protocol,
            Self::Cancelled => FetchClass::Cancelled,
            Self::Disk { .. } => FetchClass::Disk,
        }
    }

    /// How long the host asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::HostResting { wait, .. } => Some(*wait),
            Self::Refused(_)
            | Self::BadUrl(_)
            | Self::Dns { .. }
            | Self::Connect { .. }
            | Self::Tls { .. }
            | Self::Timeout { .. }
            | Self::Truncated { .. }
            | Self::TooLarge { .. }
            | Self::TooManyRedirects { .. }
            | Self::RedirectLoop { .. }
            | Self::HostGivenUp { .. }
            | Self::Proxy { .. }
            | Self::Decode { .. }
            | Self::Protocol { .. }
            | Self::Unexpected { .. }
            | Self::Cancelled
            | Self::Disk { .. } => None,
        }
    }
}

impl FetchClass {
    /// Whether the same request may succeed later without anybody changing
    /// anything here.
    pub fn is_transient(self) -> bool {
        match self {
            Self::Dns | Self::Connect | Self::Timeout | Self::Truncated | Self::Proxy => true,
            Self::Status(StatusClass::TooManyRequests | StatusClass::Server) => true,
            Self::Status(
                StatusClass::NotFound
                | StatusClass::Gone
                | StatusClass::Forbidden
                | StatusClass::Unauthorized
                | StatusClass::Client,
            ) => false,
            Self::RefusedAddress
            | Self::BadUrl
            | Self::Tls
            | Self::TooLarge
            | Self::TooManyRedirects
            | Self::RedirectLoop
            | Self::HostGivenUp
            | Self::Decode
            | Self::Protocol
            | Self::Cancelled
            | Self::Disk => false,
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot fetch {}", self.asked)?;
        if let Some(hop) = &self.hop {
            write!(f, " (redirected to {hop})")?;
        }
        write!(f, ": {}", self.fault)?;
        if self.attempts > 1 {
            write!(f, " (after {} attempts)", self.attempts)?;
        }
        Ok(())
    }
}

impl std::error::Error for FetchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The fault is part of the text; what lies under it is the source.
        std::error::Error::source(self.fault.as_ref())
    }
}

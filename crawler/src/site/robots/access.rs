//! Asking for a robots file, and what the answer means. [2.3.1]
//!
//! The meaning is pure; the fetcher follows redirects and judges addresses as
//! everywhere.

use std::time::Duration;

use trawler_net::{Downgrade, Fault, FetchError, Limits, Request, RetryPolicy, Timeouts};
use url::Url;

use super::{Because, Decision, Robots};

/// How long a file that came may be kept, at most. One that has become
/// unreachable may be kept longer: then what is known of it is better than
/// nothing. [2.4]
pub const KEPT_MAX: Duration = Duration::from_secs(24 * 3600);

/// Redirects that are followed. More of them mean that there is no file.
/// [2.3.1.2]
pub const HOPS_MAX: u32 = 5;

/// What is taken of an answer. Beyond [`FILE_BYTES_MAX`](super::FILE_BYTES_MAX)
/// nothing is read, but what follows has to come to its end to be told from a
/// file that was cut off; 8 MiB are sixteen times that.
pub const BODY_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// A small file that everything else waits for: patience is short.
const TIMEOUTS: Timeouts = Timeouts {
    first_byte_ms: 10_000,
    idle_ms: 5_000,
    whole_ms: 20_000,
};

/// The request for a robots file. A redirect may lead to another authority and
/// to another scheme [2.3.1.2]; nothing secret is sent.
pub fn request(url: &Url) -> Result<Request, FetchError> {
    let limits = Limits {
        raw_bytes_max: BODY_BYTES_MAX,
        decoded_bytes_max: BODY_BYTES_MAX,
        redirects_max: HOPS_MAX,
        timeouts: TIMEOUTS,
    };
    let retry = RetryPolicy {
        attempts_max: 2,
        wait_in_place_ms_max: 2_000,
        ..RetryPolicy::default()
    };
    let request = Request::get_url(url)?.limits(limits).retry(retry);
    Ok(request.downgrade(Downgrade::Allowed))
}

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// The body is the file. [2.3.1.1]
    Found,
    /// There is no file: everything is allowed. [2.3.1.3]
    Unavailable,
    /// There may be one and nobody knows what it says: nothing is allowed.
    /// [2.3.1.4]
    Unreachable,
}

impl Availability {
    /// What the status of the last answer means.
    pub fn of_status(status: u16) -> Self {
        match status {
            200..300 => Self::Found,
            400..500 => Self::Unavailable,
            // A redirect that leads nowhere is a server that does not work.
            _ => Self::Unreachable,
        }
    }

    /// The word for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Unavailable => "unavailable",
            Self::Unreachable => "unreachable",
        }
    }
}

/// What a failed fetch of the file means.
pub fn availability_of(fault: &Fault) -> Availability {
    match fault {
        Fault::Status { status, .. } => Availability::of_status(*status),
        // These two have no content by definition: an empty file.
        Fault::Unexpected {
            status: 204 | 205, ..
        } => Availability::Found,
        // Who goes in a circle has more than five of them.
        Fault::TooManyRedirects { .. } | Fault::RedirectLoop { .. } => Availability::Unavailable,
        Fault::Refused(_)
        | Fault::BadUrl(_)
        | Fault::Dns { .. }
        | Fault::Connect { .. }
        | Fault::Tls { .. }
        | Fault::Timeout { .. }
        | Fault::Truncated { .. }
        | Fault::TooLarge { .. }
        | Fault::HostResting { .. }
        | Fault::HostGivenUp { .. }
        | Fault::Proxy { .. }
        | Fault::Decode { .. }
        | Fault::Protocol { .. }
        | Fault::Unexpected { .. }
        | Fault::Cancelled
        | Fault::Disk { .. } => Availability::Unreachable,
    }
}

/// What is known of a site's robots file.
#[derive(Debug, Clone)]
pub enum Access {
    /// The file.
    Found(Robots),
    /// There is none: everything is allowed.
    Unavailable,
    /// Nobody knows: nothing is allowed.
    Unreachable,
}

impl Access {
    /// By what came when the file was asked for: its body, or why there is none.
    pub fn of(answer: Result<&[u8], &Fault>) -> Self {
        match answer {
            Ok(body) => Self::Found(Robots::parse(body)),
            Err(fault) => match availability_of(fault) {
                // Successful, and without a word.
                Availability::Found => Self::Found(Robots::default()),
                Availability::Unavailable => Self::Unavailable,
                Availability::Unreachable => Self::Unreachable,
            },
        }
    }

    /// In one word.
    pub fn availability(&self) -> Availability {
        match self {
            Self::Found(_) => Availability::Found,
            Self::Unavailable => Availability::Unavailable,
            Self::Unreachable => Availability::Unreachable,
        }
    }

    /// The sitemaps that the file names.
    pub fn sitemaps(&self) -> &[String] {
        match self {
            Self::Found(robots) => robots.sitemaps(),
            Self::Unavailable | Self::Unreachable => &[],
        }
    }

    /// Whether `agent` may ask for `url`; see [`Robots::decide`].
    pub fn decide(&self, agent: &str, url: &str) -> Decision {
        match self {
            Self::Found(robots) => robots.decide(agent, url),
            Self::Unavailable => Decision::without_rule(true, Because::Unavailable),
            Self::Unreachable if super::Address::of(url).is_robots_file() => {
                Decision::without_rule(true, Because::RobotsFile)
            }
            Self::Unreachable => Decision::without_rule(false, Because::Unreachable),
        }
    }
}

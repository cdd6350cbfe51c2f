//! A URL that may be asked for, and a URL as it may be shown.
//!
//! Parsed once at the edge: http or https, a host, a sensible length, no
//! credentials. Addresses are judged by `policy`, not here, except that a
//! literal address is recognised in every spelling the URL standard knows
//! (decimal, hexadecimal, octal, short forms), because the parser normalises
//! them.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

/// Longer URLs are refused: servers rarely take more, and every hop of a
/// redirect is held for the loop check. 8 KiB.
pub const URL_BYTES_MAX: usize = 8 * 1024;
/// What an error or log line shows of a URL at most.
const SHOWN_CHARS_MAX: usize = 300;
/// A value this long that looks random is taken for a secret.
const SECRET_CHARS_MIN: usize = 20;

/// Why a URL cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// The text is no URL.
    #[error("it is not a URL: {why}; write it whole, such as https://shop.example/feed.tsv")]
    Syntax {
        /// What the parser found.
        why: String,
    },
    /// Only http and https are fetched.
    #[error("its scheme is {found}; only http and https are fetched")]
    Scheme {
        /// The scheme found.
        found: String,
    },
    /// The URL carries a user name or password.
    #[error(
        "it carries a user name or password; put them into the auth setting of the pipe, where they are kept out of logs"
    )]
    Credentials,
    /// The URL is over [`URL_BYTES_MAX`].
    #[error("it is {found} bytes long; at most {URL_BYTES_MAX} are allowed")]
    TooLong {
        /// Its length in bytes.
        found: usize,
    },
    /// There is no host in it.
    #[error("it names no host")]
    NoHost,
    /// https was left for http by a redirect.
    #[error(
        "the redirect leaves https for http; name an http URL in the pipe, or allow the downgrade, if the shop has no other"
    )]
    Downgrade,
}

/// A checked URL. Holds no credentials and no fragment.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Target(Url);

impl Target {
    /// Reads a URL that a person or a feed wrote.
    pub fn parse(text: &str) -> Result<Self, UrlFault> {
        let text = text.trim();
        bounded(text.len())?;
        let url = Url::parse(text).map_err(syntax)?;
        Self::checked(url)
    }

    /// Checks a URL that was parsed elsewhere.
    pub fn checked(mut url: Url) -> Result<Self, UrlFault> {
        if !matches!(url.scheme(), "http" | "https") {
            let found = url.scheme().to_owned();
            return Err(UrlFault::Scheme { found });
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlFault::Credentials);
        }
        bounded(url.as_str().len())?;
        if url.host_str().is_none_or(str::is_empty) {
            return Err(UrlFault::NoHost);
        }
        if url.fragment().is_some() {
            url.set_fragment(None);
        }
        Ok(Self(url))
    }

    /// The target of a `Location` header as served: bytes that are not ASCII
    /// are percent-encoded, credentials that the partner put in are left out.
    pub fn join(&self, location: &[u8]) -> Result<Self, UrlFault> {
        bounded(location.len())?;
        let mut text = String::with_capacity(location.len());
        for &byte in location.trim_ascii() {
            if byte.is_ascii() {
                text.push(char::from(byte));
            } else {
                text.push_str(&format!("%{byte:02X}"));
            }
        }
        let mut url = self.0.join(&text).map_err(syntax)?;
        // Both setters fail only on URLs without a host, which are refused below.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Self::checked(url)
    }

    /// The URL.
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// The URL, given away.
    pub fn into_url(self) -> Url {
        self.0
    }

    /// The host as it stands in the URL (IPv6 in brackets).
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The port that will be connected to.
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or_default()
    }

    /// What its host is known by where hosts are counted and paced: the name,
    /// and the port where that is not the usual one.
    pub(crate) fn host_key(&self) -> Cow<'_, str> {
        // The URL's parser has put it into lower case.
        let host = self.host().trim_end_matches('.');
        let host = host.trim_start_matches('[').trim_end_matches(']');
        match self.port() {
            80 | 443 => Cow::Borrowed(host),
            port => Cow::Owned(format!("{host}:{port}")),
        }
    }

    /// The address, if the host is a literal one in any spelling.
    pub fn literal(&self) -> Option<IpAddr> {
        match self.0.host()? {
            Host::Ipv4(v4) => Some(IpAddr::V4(v4)),
            Host::Ipv6(v6) => Some(IpAddr::V6(v6)),
            Host::Domain(_) => None,
        }
    }

    /// Whether credentials meant for `self` may be sent to `other`: the same
    /// host, and the same scheme and port or the ordinary step up to https.
    pub fn trusts(&self, other: &Self) -> bool {
        let same_port = self.port() == other.port() && self.0.scheme() == other.0.scheme();
        let upgraded = self.0.scheme() == "http"
            && other.0.scheme() == "https"
            && self.port() == 80
            && other.port() == 443;
        self.host() == other.host() && (same_port || upgraded)
    }

    /// Whether going on to `other` leaves an encrypted connection.
    pub fn downgrades_to(&self, other: &Self) -> bool {
        self.0.scheme() == "https" && other.0.scheme() == "http"
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

fn bounded(found: usize) -> Result<(), UrlFault> {
    if found > URL_BYTES_MAX {
        return Err(UrlFault::TooLong { found });
    }
    Ok(())
}

fn syntax(error: url::ParseError) -> UrlFault {
    UrlFault::Syntax {
        why: error.to_string(),
    }
}

/// A URL as errors and logs show it: without user, password and fragment,
/// values of the query that may be secrets replaced, and cut to a bound.
pub fn shown(url: &Url) -> String {
    let mut bare = url.clone();
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    bare.set_fragment(None);
    bare.set_query(None);
    let mut text = bare.to_string();
    for (index, pair) in url
        .query()
        .into_iter()
        .flat_map(|q| q.split('&'))
        .enumerate()
    {
        text.push(if index == 0 { '?' } else { '&' });
        match pair.split_once('=') {
            Some((key, value)) if is_secret(key, value) => text.push_str(&format!("{key}=***")),
            None if is_secret("", pair) => text.push_str("***"),
            Some(_) | None => text.push_str(pair),
        }
    }
    if text.chars().count() > SHOWN_CHARS_MAX {
        text = text.chars().take(SHOWN_CHARS_MAX).collect();
        text.push_str("...");
    }
    text
}

/// Text that was not accepted as a URL, as an error shows it.
pub(crate) fn shown_text(text: &str) -> String {
    if let Ok(url) = Url::parse(text.trim()) {
        return shown(&url);
    }
    // What does not parse may still hold `user:password@`.
    let tail = text.rsplit_once('@').map_or(text, |(_, tail)| tail);
    let mut cut: String = tail.chars().take(SHOWN_CHARS_MAX).collect();
    if cut.len() < tail.len() {
        cut.push_str("...");
    }
    cut.escape_debug().to_string()
}

fn is_secret(key: &str, value: &str) -> bool {
    const WORDS: &[&str] = &[
        "key", "token", "auth", "pass", "pwd", "secret", "sig", "cred", "session", "code", "hash",
        "login", "user",
    ];
    let key = key.to_ascii_lowercase();
    let random = value.len() >= SECRET_CHARS_MIN
        && value.bytes().any(|b| b.is_ascii_digit())
        && value.bytes().any(|b| b.is_ascii_alphabetic())
        && !value.contains(['/', '.', ' ']);
    random || WORDS.iter().any(|word| key.contains(word))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn urls_are_accepted_or_refused_with_the_reason() {
        let check = |text: &str, expected: Result<&str, &str>| {
            let found = Target::parse(text).map(|t| t.url().to_string());
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(found), Err(part)) => {
                    assert!(found.to_string().contains(part), "{text}: {found}");
                }
                (found, expected) => panic!("{text}: {found:?}, expected {expected:?}"),
            }
        };
        check(" https://a.test/x#frag ", Ok("https://a.test/x"));
        check("HTTP://A.test:80/", Ok("http://a.test/"));
        check("http://2130706433/", Ok("http://127.0.0.1/"));
        check("http://0x7f.1/", Ok("http://127.0.0.1/"));
        check("http://0177.0.0.1/", Ok("http://127.0.0.1/"));
        check("http://\u{ff11}27.0.0.1/", Ok("http://127.0.0.1/"));
        check("ftp://a.test/", Err("its scheme is ftp"));
        check("file:///etc/passwd", Err("its scheme is file"));
        check("javascript:alert(1)", Err("its scheme is javascript"));
        check("/feed.tsv", Err("it is not a URL"));
        check("http://", Err("it is not a URL"));
        check("http://user:pw@a.test/", Err("user name or password"));
        check("http://user@a.test/", Err("user name or password"));
        let long = format!("http://a.test/{}", "a".repeat(URL_BYTES_MAX));
        check(&long, Err("bytes long"));
    }

    #[test]
    fn locations_are_joined_as_served() {
        let base = Target::parse("https://a.test/dir/page?x=1").unwrap();
        let check = |location: &[u8], expected: &str| {
            assert_eq!(base.join(location).unwrap().url().as_str(), expected);
        };
        check(b"next", "https://a.test/dir/next");
        check(b" /top#part ", "https://a.test/top");
        check(b"//b.test/x", "https://b.test/x");
        check(b"http://u:p@b.test/x", "http://b.test/x");
        check(b"/a b", "https://a.test/a%20b");
        check(b"/\xbb\xf3\xc7\xb0", "https://a.test/%BB%F3%C7%B0");
        check(b"?page=2", "https://a.test/dir/page?page=2");
    }

    #[test]
    fn shown_urls_hold_no_secret() {
        let check = |text: &str, expected: &str| {
            assert_eq!(shown(&Url::parse(text).unwrap()), expected);
        };
        check("http://u:p@a.test/x?page=2#f", "http://a.test/x?page=2");
        check(
            "http://a.test/?api_key=abc&lang=ko",
            "http://a.test/?api_key=***&lang=ko",
        );
        check(
            "http://a.test/?q=0123456789abcdef0123",
            "http://a.test/?q=***",
        );
        check("http://a.test/?0123456789abcdef0123", "http://a.test/?***");
        assert_eq!(shown_text("ht!tp://u:secret@host"), "host");
    }

    #[test]
    fn credentials_stay_with_their_host() {
        let check = |from: &str, to: &str, expected: bool| {
            let (from, to) = (Target::parse(from).unwrap(), Target::parse(to).unwrap());
            assert_eq!(from.trusts(&to), expected, "{from} -> {to}");
        };
        check("https://a.test/x", "https://a.test/y", true);
        check("http://a.test/x", "https://a.test/x", true);
        check("http://a.test:8080/x", "https://a.test/x", false);
        check("https://a.test/x", "http://a.test/x", false);
        check("https://a.test/x", "https://a.test:8443/x", false);
        check("https://a.test/x", "https://www.a.test/x", false);
    }
}

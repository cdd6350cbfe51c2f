//! One Set-Cookie read and judged: RFC 6265bis, 5.6 and 5.7. Pure.
//!
//! HttpOnly and SameSite are about scripts and foreign pages, of which there are
//! none here, and are not looked at. The list of public suffixes is that of
//! publicsuffix.org, compiled in by the crate `psl`.

use std::net::IpAddr;

use psl::Psl;
use url::{Host, Url};

use super::date;

/// Name and value together (RFC 6265bis, 5.6).
pub(super) const PAIR_BYTES_MAX: usize = 4096;
/// An attribute's value; a longer one is ignored.
const ATTRIBUTE_BYTES_MAX: usize = 1024;
/// No cookie lives longer than 400 days.
const AGE_MAX_S: i64 = 400 * 24 * 3600;

/// Where a request went, as far as cookies go.
pub(super) struct Asked<'a> {
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    pub(super) secure: bool,
}

impl<'a> Asked<'a> {
    pub(super) fn of(url: &'a Url) -> Self {
        Self {
            host: url.host_str().unwrap_or_default().trim_end_matches('.'),
            path: url.path(),
            secure: url.scheme() == "https",
        }
    }
}

/// A cookie as it is to be kept.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct NewCookie {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) domain: String,
    pub(super) host_only: bool,
    pub(super) path: String,
    pub(super) secure: bool,
    /// Seconds since 1970; `None` is as long as the crawl.
    pub(super) expires: Option<i64>,
}

/// Reads one header. `None` when it is to be ignored, by whichever clause.
pub(super) fn read(header: &[u8], asked: &Asked<'_>, now_s: i64) -> Option<NewCookie> {
    // Values in other encodings are kept as far as headers can carry them back.
    let text = std::str::from_utf8(header).ok()?;
    if text.bytes().any(is_control) {
        return None;
    }
    let (pair, attributes) = text.split_once(';').unwrap_or((text, ""));
    let (name, value) = pair.split_once('=').unwrap_or(("", pair));
    let (name, value) = (name.trim(), value.trim());
    let found = Attributes::read(attributes);
    let (domain, host_only) = domain(found.domain.as_deref(), asked.host)?;
    let path = match found.path {
        Some(path) if path.starts_with('/') => path,
        Some(_) | None => default_path(asked.path).to_owned(),
    };
    let expires = match (found.max_age, found.expires) {
        (Some(age), _) => Some(now_s.saturating_add(age)),
        (None, expires) => expires,
    };
    let cookie = checked(
        NewCookie {
            name: name.to_owned(),
            value: value.to_owned(),
            domain,
            host_only,
            path,
            secure: found.secure,
            expires,
        },
        now_s,
    )?;
    (asked.secure || !cookie.secure).then_some(cookie)
}

/// Headers cannot carry them.
fn is_control(byte: u8) -> bool {
    (byte < 0x20 && byte != b'\t') || byte == 0x7f
}

/// A cookie as it may be kept, whoever brings it. `None` when it is to be
/// ignored.
pub(super) fn checked(mut cookie: NewCookie, now_s: i64) -> Option<NewCookie> {
    let pair = || cookie.name.bytes().chain(cookie.value.bytes());
    let is_sound = !pair().any(is_control)
        && (1..=PAIR_BYTES_MAX).contains(&pair().count())
        && !cookie.domain.is_empty()
        && cookie.path.starts_with('/')
        && keeps_its_prefix(&cookie);
    let latest = now_s.saturating_add(AGE_MAX_S);
    cookie.expires = cookie.expires.map(|at| at.min(latest));
    is_sound.then_some(cookie)
}

#[derive(Default)]
struct Attributes {
    domain: Option<String>,
    path: Option<String>,
    secure: bool,
    max_age: Option<i64>,
    expires: Option<i64>,
}

impl Attributes {
    /// The last of each kind counts.
    fn read(text: &str) -> Self {
        let mut found = Self::default();
        for attribute in text.split(';') {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
            if value.len() > ATTRIBUTE_BYTES_MAX {
                continue;
            }
            match name.as_str() {
                "domain" => found.domain = Some(value.to_owned()),
                "path" => found.path = Some(value.to_owned()),
                "secure" => found.secure = true,
                "max-age" => found.max_age = max_age(value).or(found.max_age),
                "expires" => found.expires = date::read(value).or(found.expires),
                _ => {}
            }
        }
        found
    }
}

/// Seconds; a value below one ends the cookie.
fn max_age(value: &str) -> Option<i64> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    if value.starts_with('-') {
        return Some(i64::MIN);
    }
    Some(digits.parse().unwrap_or(i64::MAX).min(AGE_MAX_S))
        .map(|s| if s == 0 { i64::MIN } else { s })
}

/// Whom the cookie is for, and whether for that host alone.
fn domain(asked_for: Option<&str>, host: &str) -> Option<(String, bool)> {
    let own = || Some((host.to_owned(), true));
    let Some(text) = asked_for.map(|text| text.strip_prefix('.').unwrap_or(text)) else {
        return own();
    };
    if text.is_empty() {
        return own();
    }
    let Ok(Host::Domain(domain)) = Host::parse(text) else {
        // An address names itself or nothing.
        return (text == host).then(own).flatten();
    };
    if is_public_suffix(&domain) {
        return (domain == host).then(own).flatten();
    }
    domain_matches(host, &domain).then_some((domain, false))
}

/// Whether anybody may register names under it; unknown top-level names count.
fn is_public_suffix(domain: &str) -> bool {
    let suffix = psl::List.suffix(domain.as_bytes());
    suffix.is_none_or(|suffix| suffix.as_bytes() == domain.as_bytes())
}

/// Whether a host is the domain or under it.
pub(super) fn domain_matches(host: &str, domain: &str) -> bool {
    if host == domain {
        return true;
    }
    let under = host
        .strip_suffix(domain)
        .is_some_and(|rest| rest.ends_with('.'));
    under && !is_address(host)
}

fn is_address(host: &str) -> bool {
    host.starts_with('[') || host.parse::<IpAddr>().is_ok()
}

/// The folder of a path.
fn default_path(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(end) => &path[..end],
    }
}

/// Whether a path lies at or below that of a cookie.
pub(super) fn path_matches(path: &str, cookie: &str) -> bool {
    match path.strip_prefix(cookie) {
        Some(rest) => rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'),
        None => false,
    }
}

/// `__Secure-` and `__Host-` promise what their cookie is; one that breaks the
/// promise was set by somebody else.
fn keeps_its_prefix(cookie: &NewCookie) -> bool {
    let begins = |text: &str, prefix: &str| {
        text.get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    let (secure, host) = ("__Secure-", "__Host-");
    if cookie.name.is_empty() {
        // Sent back, it would read as a named one.
        return !begins(&cookie.value, secure) && !begins(&cookie.value, host);
    }
    if begins(&cookie.name, host) {
        return cookie.secure && cookie.host_only && cookie.path == "/";
    }
    cookie.secure || !begins(&cookie.name, secure)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW: i64 = 1_000_000_000;

    fn seen(url: &str, header: &str) -> Option<NewCookie> {
        let url = Url::parse(url).unwrap();
        read(header.as_bytes(), &Asked::of(&url), NOW)
    }

    #[test]
    fn pairs_are_taken_apart() {
        let check = |header: &str, expected: Option<(&str, &str)>| {
            let found = seen("https://a.test/", header);
            let found = found.as_ref().map(|c| (c.name.as_str(), c.value.as_str()));
            assert_eq!(found, expected, "{header:?}");
        };
        check("a=b", Some(("a", "b")));
        check(" a = b ; Path=/", Some(("a", "b")));
        check("a=b=c", Some(("a", "b=c")));
        check("a=\"b c\"", Some(("a", "\"b c\"")));
        check("a=", Some(("a", "")));
        check("b", Some(("", "b")));
        check("=b", Some(("", "b")));
        check("", None);
        check("=", None);
        check(";a=b", None);
        check("a=b\u{1}", None);
        check(&format!("a={}", "x".repeat(PAIR_BYTES_MAX)), None);
        check("__Secure-a=b", None);
        check("__Secure-a=b; Secure", Some(("__Secure-a", "b")));
        check("__host-a=b; Secure; Path=/", Some(("__host-a", "b")));
        check("__Host-a=b; Secure; Path=/x", None);
        check("__Host-a=b; Path=/", None);
        check("__Host-a=b; Secure; Path=/; Domain=a.test", None);
        check("=__Host-a=b", None);
        check("__Secure-a", None);
    }

    #[test]
    fn domains_are_kept_or_refused() {
        let check = |host: &str, domain: &str, expected: Option<(&str, bool)>| {
            let url = format!("https://{host}/");
            let found = seen(&url, &format!("a=b; Domain={domain}"));
            let found = found.as_ref().map(|c| (c.domain.as_str(), c.host_only));
            assert_eq!(found, expected, "{host} {domain}");
        };
        check("www.shop.test", "", Some(("www.shop.test", true)));
        check("www.shop.test", "shop.test", Some(("shop.test", false)));
        check("www.shop.test", ".Shop.TEST", Some(("shop.test", false)));
        check("shop.test", "www.shop.test", None);
        check("shop.test", "other.test", None);
        check("evilshop.test", "shop.test", None);
        check("www.shop.test", "test", None);
        check("www.shop.co.uk", "co.uk", None);
        check("www.shop.co.uk", "shop.co.uk", Some(("shop.co.uk", false)));
        check("shop.co.kr", "co.kr", None);
        check("shop.github.io", "github.io", None);
        check("github.io", "github.io", Some(("github.io", true)));
        check("127.0.0.1", "127.0.0.1", Some(("127.0.0.1", true)));
        check("127.0.0.1", "0.0.1", None);
        check("[::1]", "[::1]", Some(("[::1]", true)));
        check(
            "b\u{fc}cher.test",
            "b\u{fc}cher.test",
            Some(("xn--bcher-kva.test", false)),
        );
        check("shop.test.", "shop.test", Some(("shop.test", false)));
    }

    #[test]
    fn paths_are_defaulted_and_matched() {
        let check = |asked: &str, header: &str, expected: &str| {
            let url = format!("http://a.test{asked}");
            assert_eq!(
                seen(&url, header).unwrap().path,
                expected,
                "{asked} {header}"
            );
        };
        check("/", "a=b", "/");
        check("/x", "a=b", "/");
        check("/x/y", "a=b", "/x");
        check("/x/y/", "a=b", "/x/y");
        check("/x/y", "a=b; Path=/z", "/z");
        check("/x/y", "a=b; Path=z", "/x");
        check("/x/y", "a=b; Path=/z; path=/w", "/w");
        let check = |path: &str, cookie: &str, expected: bool| {
            assert_eq!(path_matches(path, cookie), expected, "{path} {cookie}");
        };
        check("/x/y", "/", true);
        check("/x/y", "/x", true);
        check("/x/y", "/x/", true);
        check("/x", "/x", true);
        check("/xy", "/x", false);
        check("/", "/x", false);
    }

    #[test]
    fn lives_are_bounded() {
        let check = |header: &str, expected: Option<i64>| {
            let found = seen("http://a.test/", header).unwrap().expires;
            assert_eq!(found, expected, "{header}");
        };
        check("a=b", None);
        check("a=b; Max-Age=60", Some(NOW + 60));
        check(
            "a=b; Max-Age=60; Expires=Sun, 06 Nov 1994 08:49:37 GMT",
            Some(NOW + 60),
        );
        check(
            "a=b; Expires=Sun, 06 Nov 1994 08:49:37 GMT",
            Some(784_111_777),
        );
        check(
            "a=b; Expires=Fri, 31 Dec 9999 23:59:59 GMT",
            Some(NOW + AGE_MAX_S),
        );
        check("a=b; Max-Age=99999999999999999999", Some(NOW + AGE_MAX_S));
        check("a=b; Max-Age=soon", None);
        check("a=b; Expires=soon", None);
        for ended in ["a=b; Max-Age=0", "a=b; Max-Age=-1"] {
            let expires = seen("http://a.test/", ended).unwrap().expires;
            assert!(expires.unwrap() <= NOW, "{ended}");
        }
    }

    #[test]
    fn secure_cookies_come_over_https_alone() {
        assert!(seen("http://a.test/", "a=b; Secure").is_none());
        assert!(seen("https://a.test/", "a=b; Secure").unwrap().secure);
        assert!(seen("https://a.test/", "a=b; HttpOnly; SameSite=None").is_some());
    }
}

//! The cookies of one crawl of one pipe (RFC 6265bis), handed in with its
//! requests ([`Request::cookies`](crate::Request::cookies)).
//!
//! A jar belongs to a crawl: what one shop sets is never sent for another pipe.
//! Within it every request gets what domain, path and scheme allow, redirects
//! too, and every answer may set. Bounded in count and bytes, for a host and in
//! all; what is used least lately makes room.
//!
//! A jar can be taken down and set up elsewhere ([`CookieJar::saved`]), so that
//! another machine goes on with the session. What is saved holds the values: it
//! is kept where the crawl's checkpoint is, and is not for logs.

mod date;
mod lent;
mod set;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};
use url::Url;

pub use lent::JarCookie;
use set::{Asked, NewCookie, domain_matches, path_matches};

/// Cookies of one domain, and their bytes. Browsers keep 50 and more.
const DOMAIN_COOKIES_MAX: usize = 50;
const DOMAIN_BYTES_MAX: usize = 32 * 1024;
/// Cookies of one crawl, and their bytes: a shop and what it redirects to.
const COOKIES_MAX: usize = 500;
const BYTES_MAX: usize = 256 * 1024;
/// What is sent with one request. Servers commonly refuse heads over 8 KiB.
const SENT_BYTES_MAX: usize = 6 * 1024;
/// Set-Cookie lines of one answer that are looked at.
const SET_MAX: usize = 50;

/// The cookies of one crawl.
pub struct CookieJar {
    kept: Mutex<Kept>,
    changes: AtomicU64,
}

#[derive(Default)]
struct Kept {
    cookies: Vec<Cookie>,
    /// Orders creations and uses.
    turn: u64,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cookie {
    name: String,
    value: String,
    domain: String,
    host_only: bool,
    path: String,
    secure: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<i64>,
    created: u64,
    used: u64,
}

impl Cookie {
    fn bytes(&self) -> usize {
        self.name.len() + self.value.len() + self.domain.len() + self.path.len()
    }

    fn is_over(&self, now_s: i64) -> bool {
        self.expires.is_some_and(|at| at <= now_s)
    }

    fn is_for(&self, asked: &Asked<'_>) -> bool {
        let host = if self.host_only {
            asked.host == self.domain
        } else {
            domain_matches(asked.host, &self.domain)
        };
        host && (asked.secure || !self.secure) && path_matches(asked.path, &self.path)
    }

    fn is_same(&self, new: &NewCookie) -> bool {
        self.name == new.name
            && self.domain == new.domain
            && self.host_only == new.host_only
            && self.path == new.path
    }
}

/// A jar taken down, for a checkpoint. Holds the values of the cookies.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedCookies {
    cookies: Vec<Cookie>,
}

impl fmt::Debug for SavedCookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SavedCookies({})", self.cookies.len())
    }
}

impl fmt::Debug for CookieJar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CookieJar({})", self.len())
    }
}

impl CookieJar {
    /// An empty jar.
    pub fn new() -> Arc<Self> {
        Self::of(&SavedCookies::default())
    }

    /// A jar as it was saved. What is over the bounds is left out.
    pub fn of(saved: &SavedCookies) -> Arc<Self> {
        let mut kept = Kept::default();
        for cookie in &saved.cookies {
            kept.turn = kept.turn.max(cookie.created).max(cookie.used);
            kept.cookies.push(cookie.clone());
            kept.make_room(&cookie.domain);
        }
        Arc::new(Self {
            kept: Mutex::new(kept),
            changes: AtomicU64::new(0),
        })
    }

    /// The jar for a checkpoint, session cookies included: the crawl goes on.
    pub fn saved(&self) -> SavedCookies {
        SavedCookies {
            cookies: self.kept(|kept| kept.cookies.clone()),
        }
    }

    /// Grows whenever a cookie was set or removed: unchanged since the last
    /// checkpoint, the jar need not be saved again.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// Cookies kept.
    pub fn len(&self) -> usize {
        self.kept(|kept| kept.cookies.len())
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The header Cookie of a request, with what the caller gives besides.
    pub(crate) fn header(
        &self,
        url: &Url,
        now: SystemTime,
        given: Option<&HeaderValue>,
    ) -> Option<HeaderValue> {
        let mut text = given.map_or_else(Vec::new, |value| value.as_bytes().to_vec());
        self.kept(|kept| kept.write(&Asked::of(url), seconds(now), &mut text));
        if text.is_empty() {
            return None;
        }
        let mut value = HeaderValue::from_bytes(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Takes in what an answer sets.
    pub(crate) fn take(&self, url: &Url, headers: &HeaderMap, now: SystemTime) {
        let (asked, now_s) = (Asked::of(url), seconds(now));
        let lines = headers.get_all(header::SET_COOKIE).iter().take(SET_MAX);
        for line in lines {
            if let Some(new) = set::read(line.as_bytes(), &asked, now_s)
                && self.kept(|kept| kept.set(new, &asked, now_s))
            {
                self.changes.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn kept<T>(&self, act: impl FnOnce(&mut Kept) -> T) -> T {
        act(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Kept {
    /// Appends the cookies for a request: longer paths first, then older ones.
    fn write(&mut self, asked: &Asked<'_>, now_s: i64, text: &mut Vec<u8>) {
        if self.cookies.is_empty() {
            return;
        }
        self.turn += 1;
        let turn = self.turn;
        let fits = |cookie: &&mut Cookie| cookie.is_for(asked) && !cookie.is_over(now_s);
        let mut sent: Vec<&mut Cookie> = self.cookies.iter_mut().filter(fits).collect();
        sent.sort_by_key(|cookie| (std::cmp::Reverse(cookie.path.len()), cookie.created));
        for cookie in sent {
            if text.len() + cookie.name.len() + cookie.value.len() + 3 > SENT_BYTES_MAX {
                continue;
            }
            if !text.is_empty() {
                text.extend_from_slice(b"; ");
            }
            if !cookie.name.is_empty() {
                text.extend_from_slice(cookie.name.as_bytes());
                text.push(b'=');
            }
            text.extend_from_slice(cookie.value.as_bytes());
            cookie.used = turn;
        }
    }

    /// Sets, replaces or removes one. `true` when something has changed.
    fn set(&mut self, new: NewCookie, asked: &Asked<'_>, now_s: i64) -> bool {
        if !asked.secure && self.hides_a_secure_one(&new) {
            return false;
        }
        self.turn += 1;
        let before = self.cookies.iter().position(|cookie| cookie.is_same(&new));
        let over = new.expires.is_some_and(|at| at <= now_s);
        let before = before.map(|index| self.cookies.remove(index));
        if over {
            return before.is_some();
        }
        let changed = before.as_ref().is_none_or(|cookie| {
            (&cookie.value, cookie.secure, cookie.expires) != (&new.value, new.secure, new.expires)
        });
        let domain = new.domain.clone();
        self.cookies.retain(|cookie| !cookie.is_over(now_s));
        self.cookies.push(Cookie {
            name: new.name,
            value: new.value,
            domain: new.domain,
            host_only: new.host_only,
            path: new.path,
            secure: new.secure,
            expires: new.expires,
            created: before.map_or(self.turn, |cookie| cookie.created),
            used: self.turn,
        });
        self.make_room(&domain);
        changed
    }

    /// "Leave Secure Cookies Alone": plain http must not overlay what https set.
    fn hides_a_secure_one(&self, new: &NewCookie) -> bool {
        self.cookies.iter().any(|cookie| {
            cookie.secure
                && cookie.name == new.name
                && (domain_matches(&cookie.domain, &new.domain)
                    || domain_matches(&new.domain, &cookie.domain))
                && path_matches(&new.path, &cookie.path)
        })
    }

    /// Holds the bounds of a domain, then those of the jar.
    fn make_room(&mut self, domain: &str) {
        self.bound(
            |cookie| cookie.domain == domain,
            DOMAIN_COOKIES_MAX,
            DOMAIN_BYTES_MAX,
        );
        self.bound(|_| true, COOKIES_MAX, BYTES_MAX);
    }

    fn bound(&mut self, among: impl Fn(&Cookie) -> bool, count_max: usize, bytes_max: usize) {
        loop {
            let counted = self.cookies.iter().filter(|cookie| among(cookie));
            let (count, bytes) = counted.fold((0, 0), |(count, bytes), cookie| {
                (count + 1, bytes + cookie.bytes())
            });
            if count <= count_max && bytes <= bytes_max {
                return;
            }
            let numbered = self.cookies.iter().enumerate();
            let oldest = numbered
                .filter(|(_, cookie)| among(cookie))
                .min_by_key(|(_, cookie)| cookie.used)
                .map(|(index, _)| index);
            match oldest {
                Some(index) => self.cookies.remove(index),
                None => return,
            };
        }
    }
}

fn seconds(now: SystemTime) -> i64 {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;

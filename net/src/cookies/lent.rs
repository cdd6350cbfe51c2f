//! The cookies of a crawl, lent to a browser for a page and taken back: what
//! scripts have set and removed is the crawl's.

use std::fmt;

use super::set::{self, Asked, NewCookie};
use super::{Cookie, CookieJar, seconds};
use crate::fetcher::Fetcher;

/// A cookie as a browser is told of it, and tells of it.
#[derive(Clone, PartialEq, Eq)]
pub struct JarCookie {
    /// May be empty.
    pub name: String,
    /// As it is sent.
    pub value: String,
    /// Without a dot before it.
    pub domain: String,
    /// Whether it is for that very host.
    pub host_only: bool,
    /// Begins with a slash.
    pub path: String,
    /// Over https alone.
    pub secure: bool,
    /// Seconds since 1970; `None` is as long as the crawl.
    pub expires: Option<i64>,
}

impl fmt::Debug for JarCookie {
    /// Without its value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "JarCookie({} of {}{})",
            self.name, self.domain, self.path
        )
    }
}

impl JarCookie {
    fn is_same(&self, other: &Self) -> bool {
        self.name == other.name
            && self.domain == other.domain
            && self.host_only == other.host_only
            && self.path == other.path
    }
}

impl From<&Cookie> for JarCookie {
    fn from(cookie: &Cookie) -> Self {
        Self {
            name: cookie.name.clone(),
            value: cookie.value.clone(),
            domain: cookie.domain.clone(),
            host_only: cookie.host_only,
            path: cookie.path.clone(),
            secure: cookie.secure,
            expires: cookie.expires,
        }
    }
}

impl Fetcher {
    /// Every cookie of the jar that is not over.
    pub fn lend_cookies(&self, jar: &CookieJar) -> Vec<JarCookie> {
        jar.lent(seconds((self.inner.wall)()))
    }

    /// Takes in what has become of cookies that were lent. What nobody has
    /// touched stays as others have made it meanwhile.
    pub fn take_cookies_back(&self, jar: &CookieJar, lent: &[JarCookie], back: &[JarCookie]) {
        jar.take_back(lent, back, seconds((self.inner.wall)()));
    }
}

impl CookieJar {
    pub(super) fn lent(&self, now_s: i64) -> Vec<JarCookie> {
        self.kept(|kept| {
            let lent = kept.cookies.iter().filter(|cookie| !cookie.is_over(now_s));
            lent.map(JarCookie::from).collect()
        })
    }

    pub(super) fn take_back(&self, lent: &[JarCookie], back: &[JarCookie], now_s: i64) {
        let mut changes = 0;
        for cookie in back.iter().filter(|cookie| !lent.contains(cookie)) {
            let Some(new) = set::checked(new(cookie), now_s) else {
                continue;
            };
            // Whether the page may set it has the browser judged.
            let asked = Asked {
                host: "",
                path: "",
                secure: true,
            };
            changes += u64::from(self.kept(|kept| kept.set(new, &asked, now_s)));
        }
        let is_gone = |one: &&JarCookie| !back.iter().any(|other| other.is_same(one));
        for cookie in lent.iter().filter(is_gone) {
            let (gone, asked_for) = (new(cookie), |kept: &Cookie| kept.value == cookie.value);
            changes += u64::from(self.kept(|kept| {
                let before = kept.cookies.len();
                kept.cookies
                    .retain(|kept| !(kept.is_same(&gone) && asked_for(kept)));
                kept.cookies.len() < before
            }));
        }
        self.changes
            .fetch_add(changes, std::sync::atomic::Ordering::Relaxed);
    }
}

fn new(cookie: &JarCookie) -> NewCookie {
    NewCookie {
        name: cookie.name.clone(),
        value: cookie.value.clone(),
        domain: cookie.domain.clone(),
        host_only: cookie.host_only,
        path: cookie.path.clone(),
        secure: cookie.secure,
        expires: cookie.expires,
    }
}

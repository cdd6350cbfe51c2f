//! `[fetch]`: how the partner's servers are treated, and with what credentials.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::problems::{NOT_SHOWN, Problems};
use crate::secret::{Place, SecretRef, SecretText};

/// Most extra headers that a pipe may send.
pub const HEADERS_MAX: usize = 32;

/// Longest header value, in bytes.
pub const HEADER_BYTES_MAX: usize = 4096;

/// How the partner's servers are treated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FetchOptions {
    /// Requests a second to one host; default 10, bound 0.01 to 1000.
    pub rate_per_s: f64,
    /// Requests at once to one host; default 4, bound 1 to 64.
    pub concurrency: u32,
    /// Sent with every request to the source; at most 32 of 4096 bytes. A
    /// value `env:NAME`, `file:/path` or `ssm:/name` is asked for by the worker
    /// that sends it; a header that carries a credential takes nothing else.
    /// Default none.
    pub headers: BTreeMap<String, SecretText>,
    /// Credentials that the partner wants in the URL of the feed, such as
    /// `{ token = "env:NAME" }`: appended to its query when it is asked for. A
    /// name says that it is one; other parameters belong into `source.url`. At
    /// most 32. Default none.
    pub query: BTreeMap<String, SecretText>,
    /// Credentials of the feed: `{ kind = "basic", user = "ann", password =
    /// "env:NAME" }` or `{ kind = "bearer", token = "ssm:/name" }`. Default
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<FeedAuth>,
    /// Longest whole download of a feed, in seconds; default 3600, bound 1 to
    /// 36000.
    pub timeout_s: u64,
    /// Largest feed as served, in MiB; default 4096, bound 1 to 65536.
    pub feed_mib_max: u64,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            rate_per_s: 10.0,
            concurrency: 4,
            headers: BTreeMap::new(),
            query: BTreeMap::new(),
            auth: None,
            timeout_s: 3600,
            feed_mib_max: 4096,
        }
    }
}

/// Credentials of a feed, by reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FeedAuth {
    Basic { user: String, password: SecretText },
    Bearer { token: SecretText },
}

impl FetchOptions {
    pub(super) fn problems(&self, found: &mut Problems) {
        let rate = self.rate_per_s;
        found.unless(
            (0.01..=1000.0).contains(&rate),
            "fetch.rate_per_s",
            &rate,
            "0.01 to 1000",
        );
        found.within("fetch.concurrency", u64::from(self.concurrency), 1, 64);
        found.within("fetch.timeout_s", self.timeout_s, 1, 36_000);
        found.within("fetch.feed_mib_max", self.feed_mib_max, 1, 65_536);
        found.within(
            "fetch.headers",
            self.headers.len() as u64,
            0,
            HEADERS_MAX as u64,
        );
        for (name, value) in &self.headers {
            let key = format!("fetch.headers.{name}");
            let name_ok = !name.is_empty()
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
            found.unless(
                name_ok,
                &key,
                name,
                "a header name of ASCII letters, digits, '-' and '_'",
            );
            let value_ok = match value {
                SecretText::Literal(text) => {
                    text.len() <= HEADER_BYTES_MAX && !text.contains(['\r', '\n', '\0'])
                }
                SecretText::Reference(_) => true,
            };
            found.unless(
                value_ok,
                &key,
                &NOT_SHOWN,
                "at most 4096 bytes without line breaks",
            );
            found.secret(&key, value, Place::of_header(name));
        }
        found.within(
            "fetch.query",
            self.query.len() as u64,
            0,
            HEADERS_MAX as u64,
        );
        for (name, value) in &self.query {
            let key = format!("fetch.query.{name}");
            found.unless(
                Place::of_parameter(name) == Place::Credential,
                &key,
                name,
                "the name of a credential (auth, token, key, secret, pass, pwd, session, cred or sig in it); other parameters belong into source.url",
            );
            found.secret(&key, value, Place::Credential);
        }
        match &self.auth {
            Some(FeedAuth::Basic { user, password }) => {
                let user_ok = !user.is_empty()
                    && user.len() <= HEADER_BYTES_MAX
                    && !user.contains(|c: char| c == ':' || c.is_control());
                let allowed = "a name without ':' and control characters";
                found.unless(user_ok, "fetch.auth.user", &user, allowed);
                found.secret("fetch.auth.password", password, Place::Credential);
            }
            Some(FeedAuth::Bearer { token }) => {
                found.secret("fetch.auth.token", token, Place::Credential);
            }
            None => {}
        }
        if self.auth.is_some() {
            let twice = self
                .headers
                .keys()
                .find(|name| name.eq_ignore_ascii_case("authorization"));
            let allowed = "either fetch.auth or this header, not both";
            found.unless(
                twice.is_none(),
                "fetch.headers.Authorization",
                &"both",
                allowed,
            );
        }
    }

    /// Every secret that fetching the source needs, with its key.
    pub fn secrets(&self) -> impl Iterator<Item = (String, &SecretRef)> {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| (format!("fetch.headers.{name}"), value));
        let auth = self.auth.as_ref().map(|auth| match auth {
            FeedAuth::Basic { password, .. } => ("fetch.auth.password".to_owned(), password),
            FeedAuth::Bearer { token } => ("fetch.auth.token".to_owned(), token),
        });
        let query = self
            .query
            .iter()
            .map(|(name, value)| (format!("fetch.query.{name}"), value));
        headers
            .chain(query)
            .chain(auth)
            .filter_map(|(key, value)| Some((key, value.reference()?)))
    }
}

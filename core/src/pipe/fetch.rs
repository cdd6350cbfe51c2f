//! `[fetch]`: how the partner's servers are treated, and with what credentials.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use url::Url;

use super::problems::{NOT_SHOWN, Problems};
use crate::secret::{Place, SecretRef, SecretText};

/// Most extra headers that a pipe may send.
pub const HEADERS_MAX: usize = 32;

/// Longest header value, in bytes.
pub const HEADER_BYTES_MAX: usize = 4096;

/// From which address a partner is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Egress {
    /// That of whichever machine works, or of the pipe's own proxy.
    #[default]
    Any,
    /// That of the operator's proxy, `net.fixed_egress`, and of no other.
    Fixed,
}

impl Egress {
    /// Whether it need not be written down.
    fn is_any(&self) -> bool {
        *self == Self::Any
    }
}

/// How the partner's servers are treated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FetchOptions {
    /// Requests a second to one host; default 10, bound 0.01 to 100000.
    pub rate_per_s: f64,
    /// Requests at once to one host; default 4, bound 1 to 64. Two pipes of one
    /// host have as many each.
    pub concurrency: u32,
    /// Sent with every request to the source, and for images on its host; at
    /// most 32 of 4096 bytes. A
    /// value `env:NAME`, `file:/path` or `ssm:/name` is asked for by the worker
    /// that sends it; a header that carries a credential takes nothing else.
    /// Default none.
    pub headers: BTreeMap<String, SecretText>,
    /// Credentials that the partner wants in the URL of the feed, such as
    /// `{ token = "env:NAME" }`: appended to its query when it is asked for. A
    /// name says that it is one; other parameters belong into `source.url`. At
    /// most 32. Default none.
    pub query: BTreeMap<String, SecretText>,
    /// Credentials of the source, and of images on its host: `{ kind = "basic",
    /// user = "ann", password = "env:NAME" }` or `{ kind = "bearer", token =
    /// "ssm:/name" }`. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<FeedAuth>,
    /// Whether cookies that the partner sets are sent back to it, within one
    /// run, or one image job; default true.
    pub cookies: bool,
    /// A proxy through which the partner is asked: `{ url =
    /// "http://proxy.example:3128", user = "ann", password = "env:NAME" }`. It
    /// is told addresses that were judged here and no names. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxyOptions>,
    /// From which address the partner is asked for all that the pipe fetches:
    /// `"any"`, which is that of whichever machine works, or `"fixed"`, for
    /// partners that let in one address alone: through the proxy that
    /// `net.fixed_egress` names, and never without it. Not beside `proxy`.
    /// Default `"any"`.
    #[serde(skip_serializing_if = "Egress::is_any")]
    pub egress: Egress,
    /// Longest whole download of a feed, in seconds; default 3600, bound 1 to
    /// 36000. What a site may take says `site.limits`.
    pub timeout_s: u64,
    /// Largest feed as served, in MiB; default 4096, bound 1 to 65536. What a
    /// site may take says `site.limits`.
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
            cookies: true,
            proxy: None,
            egress: Egress::Any,
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

/// A proxy of a pipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyOptions {
    /// `http://` or `https://`, host and port, without user and password.
    pub url: Url,
    /// Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// By reference; only with `user`. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretText>,
}

impl ProxyOptions {
    fn problems(&self, found: &mut Problems) {
        let has_user = !self.url.username().is_empty() || self.url.password().is_some();
        let shown: &dyn std::fmt::Display = match has_user {
            true => &"a URL with credentials (not shown)",
            false => &self.url,
        };
        let elsewhere = "a URL without them; give them in fetch.proxy.user and password";
        found.unless(!has_user, "fetch.proxy.url", shown, elsewhere);
        let plain = matches!(self.url.scheme(), "http" | "https")
            && self.url.path() == "/"
            && self.url.query().is_none();
        let allowed = "http:// or https://, host and port, and nothing behind them";
        found.unless(plain, "fetch.proxy.url", shown, allowed);
        match (&self.user, &self.password) {
            (None, Some(_)) => {
                found.push("fetch.proxy.password", &NOT_SHOWN, "only with a user");
            }
            (Some(user), _) => found.user("fetch.proxy.user", user),
            (None, None) => {}
        }
        if let Some(password) = &self.password {
            found.secret("fetch.proxy.password", password, Place::Credential);
        }
    }
}

impl FetchOptions {
    pub(super) fn problems(&self, found: &mut Problems) {
        let rate = self.rate_per_s;
        found.unless(
            (0.01..=100_000.0).contains(&rate),
            "fetch.rate_per_s",
            &rate,
            "0.01 to 100000",
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
                found.user("fetch.auth.user", user);
                found.secret("fetch.auth.password", password, Place::Credential);
            }
            Some(FeedAuth::Bearer { token }) => {
                found.secret("fetch.auth.token", token, Place::Credential);
            }
            None => {}
        }
        if let Some(proxy) = &self.proxy {
            proxy.problems(found);
            let allowed = "either egress = \"fixed\", which is the fleet's proxy, or a proxy of the pipe's own, not both";
            let found_both = "\"fixed\" beside fetch.proxy";
            found.unless(self.egress.is_any(), "fetch.egress", &found_both, allowed);
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

    /// Of a source that is not asked over HTTP: what would be left unsaid to
    /// the partner is refused.
    pub(super) fn problems_without_web(&self, found: &mut Problems) {
        let allowed = "nothing unless source.kind is \"http\" or \"site\"";
        for (key, is_there) in [
            ("fetch.headers", !self.headers.is_empty()),
            ("fetch.query", !self.query.is_empty()),
            ("fetch.auth", self.auth.is_some()),
        ] {
            found.unless(!is_there, key, &"something for HTTP", allowed);
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
        let proxy = self
            .proxy
            .iter()
            .filter_map(|proxy| proxy.password.as_ref())
            .map(|password| ("fetch.proxy.password".to_owned(), password));
        headers
            .chain(query)
            .chain(auth)
            .chain(proxy)
            .filter_map(|(key, value)| Some((key, value.reference()?)))
    }
}

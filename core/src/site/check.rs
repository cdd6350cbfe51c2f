//! What the checks of the table's parts have in common.

use std::fmt::Display;

use url::Url;

use super::{LIST_MAX, SiteOptions};
use crate::problem::Problem;

/// Longest pattern; a URL that needs more to be told apart is none.
const PATTERN_BYTES_MAX: usize = 1_024;

/// Most `*` of a pattern. Each is a search through the URL.
const STARS_MAX: usize = 16;

/// Longest CSS selector.
const SELECTOR_BYTES_MAX: usize = 1_024;

/// Longest name of a query parameter, dotted path and the like.
const NAME_BYTES_MAX: usize = 256;

#[derive(Default)]
pub(super) struct Findings(Vec<Problem>);

impl Findings {
    pub(super) fn into_list(self) -> Vec<Problem> {
        self.0
    }

    pub(super) fn push(&mut self, key: &str, found: &dyn Display, allowed: &str) {
        self.0.push(Problem {
            key: key.to_owned(),
            found: found.to_string(),
            allowed: allowed.to_owned(),
        });
    }

    pub(super) fn unless(&mut self, ok: bool, key: &str, found: &dyn Display, allowed: &str) {
        if !ok {
            self.push(key, found, allowed);
        }
    }

    pub(super) fn within(&mut self, key: &str, found: u64, min: u64, max: u64) {
        let ok = (min..=max).contains(&found);
        self.unless(ok, key, &found, &format!("{min} to {max}"));
    }

    pub(super) fn count(&mut self, key: &str, found: usize, max: usize) {
        let shown = format!("{found} of them");
        self.unless(found <= max, key, &shown, &format!("at most {max}"));
    }

    /// A host name without scheme, port and path; `shown` is what the file has.
    pub(super) fn host(&mut self, key: &str, name: &str, shown: &str) {
        let letters = |b: u8| b.is_ascii_alphanumeric() || b".-".contains(&b);
        let ok = (1..=253).contains(&name.len())
            && name.bytes().all(letters)
            && !name.starts_with(['.', '-'])
            && !name.ends_with(['.', '-'])
            && !name.contains("..");
        let allowed = "a host name such as m.shop.example (in its xn-- form if it is not ASCII)";
        self.unless(ok, key, &format!("{shown:?}"), allowed);
    }

    /// Patterns of paths; the crawler compiles them.
    pub(super) fn patterns(&mut self, key: &str, patterns: &[String]) {
        self.count(key, patterns.len(), LIST_MAX);
        for pattern in patterns {
            let fits = pattern.len() <= PATTERN_BYTES_MAX
                && pattern.starts_with(['/', '*'])
                && pattern.matches('*').count() <= STARS_MAX
                && !pattern.contains(|c: char| c.is_control() || c == ' ' || c == '#');
            let allowed = "a pattern of a path that begins with / or *, of at most 1024 bytes \
                           and 16 *, without blanks and #";
            self.unless(fits, key, &format!("{pattern:?}"), allowed);
        }
    }

    /// A CSS selector, as far as it can be judged without reading it.
    pub(super) fn selector(&mut self, key: &str, selector: &str) {
        let fits = !selector.trim().is_empty()
            && selector.len() <= SELECTOR_BYTES_MAX
            && !selector.contains(char::is_control);
        let allowed = "a CSS selector of at most 1024 bytes on one line";
        self.unless(fits, key, &format!("{selector:?}"), allowed);
    }

    /// Names of query parameters, `*` at the end for all that begin so.
    pub(super) fn parameters(&mut self, key: &str, names: &[String]) {
        self.count(key, names.len(), LIST_MAX);
        for name in names {
            let stem = name.strip_suffix('*').unwrap_or(name);
            self.parameter(key, stem, name);
        }
    }

    pub(super) fn parameter(&mut self, key: &str, name: &str, shown: &str) {
        let fits = (1..=NAME_BYTES_MAX).contains(&name.len())
            && !name.contains(|c: char| c.is_control() || " &=#?*".contains(c));
        let allowed = "the name of a query parameter";
        self.unless(fits, key, &format!("{shown:?}"), allowed);
    }

    /// A dotted path into JSON.
    pub(super) fn path(&mut self, key: &str, path: &str) {
        let fits = path.len() <= NAME_BYTES_MAX
            && !path.is_empty()
            && path.split('.').all(|part| !part.is_empty());
        let allowed = "a dotted path of keys and positions such as data.items";
        self.unless(fits, key, &format!("{path:?}"), allowed);
    }

    /// A URL over HTTP(S) without credentials.
    pub(super) fn url(&mut self, key: &str, url: &Url) -> bool {
        if !url.username().is_empty() || url.password().is_some() {
            let shown = "a URL with credentials (not shown)";
            self.push(key, &shown, "a URL without user and password");
            return false;
        }
        let web = matches!(url.scheme(), "http" | "https") && url.has_host();
        self.unless(web, key, url, "an http:// or https:// URL");
        web
    }

    /// A URL of the shop itself.
    pub(super) fn page(&mut self, key: &str, url: &Url, site: &SiteOptions, start: &Url) {
        if !self.url(key, url) {
            return;
        }
        let (Some(start_host), Some(host)) = (start.host_str(), url.host_str()) else {
            return;
        };
        let allowed = "a URL on the host of source.url or on one of site.hosts";
        self.unless(site.is_host(start_host, host), key, url, allowed);
    }
}

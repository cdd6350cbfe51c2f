//! The rules of a pipe, ready for use.

use std::collections::BTreeMap;

use trawler_core::site::{CanonicalOptions, Scheme, TrailingSlash};
use url::Url;

use super::query::{Names, SESSIONS, TRACKERS};
use super::{CanonicalUrl, Refused, Resolver};

/// What makes a URL the one name of its page; see [`CanonicalOptions`].
#[derive(Debug, Clone)]
pub struct CanonicalRules {
    pub(super) keep_query: Names,
    pub(super) drop_query: Names,
    pub(super) drop_known: bool,
    pub(super) sort_query: bool,
    pub(super) rel_canonical: bool,
    pub(super) trailing_slash: TrailingSlash,
    pub(super) index_names: Vec<String>,
    pub(super) lower_case_path: bool,
    scheme: Scheme,
    host_aliases: BTreeMap<String, String>,
}

impl CanonicalRules {
    pub fn new(options: &CanonicalOptions) -> Self {
        let declared = options.drop_query.iter().map(String::as_str);
        let known: &[&[&str]] = match options.drop_known {
            true => &[TRACKERS, SESSIONS],
            false => &[],
        };
        let known = known.iter().flat_map(|names| names.iter().copied());
        let lower = |name: &String| match options.lower_case_path {
            true => name.to_ascii_lowercase(),
            false => name.clone(),
        };
        let aliases = options.host_aliases.iter();
        Self {
            keep_query: Names::new(options.keep_query.iter().map(String::as_str)),
            drop_query: Names::new(declared.chain(known)),
            drop_known: options.drop_known,
            sort_query: options.sort_query,
            rel_canonical: options.rel_canonical,
            trailing_slash: options.trailing_slash,
            index_names: options.index_names.iter().map(lower).collect(),
            lower_case_path: options.lower_case_path,
            scheme: options.scheme,
            host_aliases: aliases
                .map(|(alias, host)| (alias.to_ascii_lowercase(), host.to_ascii_lowercase()))
                .collect(),
        }
    }

    /// The rules for the pages of a list: of its parameters none is dropped for
    /// what the pipe declares, since one that makes no difference to a product
    /// may be the number of the page.
    #[must_use]
    pub fn for_listings(&self) -> Self {
        Self {
            keep_query: Names::default(),
            drop_query: match self.drop_known {
                true => Names::new(TRACKERS.iter().chain(SESSIONS).copied()),
                false => Names::default(),
            },
            ..self.clone()
        }
    }

    /// The canonical URL of `url`.
    pub fn of_url(&self, url: &Url) -> Result<CanonicalUrl, Refused> {
        Resolver::new(self, url, None).resolve(url.as_str())
    }

    /// What the references of one page mean; see [`Resolver::new`].
    pub fn resolver(&self, page: &Url, base_href: Option<&str>) -> Resolver<'_> {
        Resolver::new(self, page, base_href)
    }

    /// Scheme, host and port as the rules have them, without a slash.
    pub(super) fn origin(&self, url: &Url) -> Result<String, Refused> {
        let host = url.host_str().unwrap_or_default();
        // A root dot names the same host.
        let host = host.strip_suffix('.').unwrap_or(host);
        if host.split('.').any(str::is_empty) {
            return Err(Refused::Invalid(url::ParseError::EmptyHost));
        }
        let host = self.host_aliases.get(host).map_or(host, String::as_str);
        // A port that is named belongs to the scheme that was named with it.
        let scheme = match (self.scheme, url.port()) {
            (Scheme::Https, None) => "https",
            (Scheme::Http, None) => "http",
            (Scheme::Keep, _) | (Scheme::Https | Scheme::Http, Some(_)) => url.scheme(),
        };
        let mut origin = [scheme, "://", host].concat();
        if let Some(port) = url.port() {
            origin.push(':');
            origin.push_str(&port.to_string());
        }
        Ok(origin)
    }
}

impl Default for CanonicalRules {
    fn default() -> Self {
        Self::new(&CanonicalOptions::default())
    }
}

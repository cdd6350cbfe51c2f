//! Which URLs are the same page.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::LIST_MAX;
use super::check::Findings;

/// How a URL becomes the one name of its page.
///
/// Always: relative references and `<base>` are resolved, scheme and host in
/// lower case, IDN as ASCII, default port, fragment (`#!` as well) and dot
/// segments gone, percent-encoding in one spelling, an empty query and session
/// ids in the path (`;jsessionid=`) gone. The rest is by the rules here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CanonicalOptions {
    /// Query parameters that make a difference; all others are dropped. Names
    /// regardless of case, `*` at the end for all that begin so. Default: all
    /// but those dropped; at most 256.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keep_query: Vec<String>,
    /// Query parameters that are dropped besides the known ones; as
    /// `keep_query`, and not together with it. Default none, at most 256.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drop_query: Vec<String>,
    /// Whether the parameters of well-known trackers (`utm_*`, `gclid`,
    /// `fbclid`, `msclkid`, ...) and session ids (`phpsessid`, `jsessionid`, ...,
    /// `sid` where its value is a long random one) are dropped, unless
    /// `keep_query` names them; default true.
    pub drop_known: bool,
    /// Whether parameters are put in the order of their names, equal ones in
    /// theirs; default true.
    pub sort_query: bool,
    /// Whether a product page may name its canonical URL (`rel=canonical`)
    /// itself; one that leads to another site or from a page to the home page
    /// is not believed. Default true.
    pub rel_canonical: bool,
    /// `"keep"` (default), `"add"` or `"remove"`: the slash at the end of a
    /// path. Nothing is added behind a name with a dot, such as `a.html`.
    pub trailing_slash: TrailingSlash,
    /// File names that mean their folder, such as `["index.html"]`; default
    /// none, at most 256.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub index_names: Vec<String>,
    /// Whether letters of the path count as the same in upper and lower case,
    /// as some servers have it; default false.
    pub lower_case_path: bool,
    /// `"keep"` (default), `"https"` or `"http"`: what every URL of the shop
    /// is asked for with.
    pub scheme: Scheme,
    /// Hosts that show the same as another one: `{ "www.shop.example" =
    /// "shop.example" }`. Default none, at most 256.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub host_aliases: BTreeMap<String, String>,
}

/// What becomes of the slash at the end of a path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrailingSlash {
    #[default]
    Keep,
    Add,
    Remove,
}

/// What becomes of the scheme.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    #[default]
    Keep,
    Https,
    Http,
}

impl Default for CanonicalOptions {
    fn default() -> Self {
        Self {
            keep_query: Vec::new(),
            drop_query: Vec::new(),
            drop_known: true,
            sort_query: true,
            rel_canonical: true,
            trailing_slash: TrailingSlash::Keep,
            index_names: Vec::new(),
            lower_case_path: false,
            scheme: Scheme::Keep,
            host_aliases: BTreeMap::new(),
        }
    }
}

impl CanonicalOptions {
    pub(super) fn problems(&self, found: &mut Findings) {
        found.parameters("canonical.keep_query", &self.keep_query);
        found.parameters("canonical.drop_query", &self.drop_query);
        if !self.keep_query.is_empty() && !self.drop_query.is_empty() {
            let both = "a list, and canonical.keep_query as well";
            let allowed = "one of the two: what keep_query does not name is dropped anyway";
            found.push("canonical.drop_query", &both, allowed);
        }
        found.count("canonical.index_names", self.index_names.len(), LIST_MAX);
        for name in &self.index_names {
            let fits = !name.is_empty()
                && name.len() <= 100
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
                && !matches!(name.as_str(), "." | "..");
            let allowed = "a file name of ASCII letters, digits, '.', '_' and '-'";
            found.unless(fits, "canonical.index_names", &format!("{name:?}"), allowed);
        }
        found.count("canonical.host_aliases", self.host_aliases.len(), LIST_MAX);
        for (alias, host) in &self.host_aliases {
            let key = format!("canonical.host_aliases.{alias}");
            found.host(&key, alias, alias);
            found.host(&key, host, host);
            // A chain would make the name of a page depend on how often it
            // was looked up.
            let chained = self
                .host_aliases
                .keys()
                .any(|other| other.eq_ignore_ascii_case(host));
            let allowed = "a host that is no alias itself";
            found.unless(!chained, &key, &format!("{host:?}"), allowed);
        }
    }
}

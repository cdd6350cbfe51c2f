//! `[source]`: where a pipe's products come from.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

use super::problems::Problems;
use crate::secret::Place;

/// Where the pipe's products come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Source {
    /// A feed over HTTP(S).
    Http(HttpSource),
    /// A feed in a file on this machine.
    File(FileSource),
    /// A shop without a feed: its site is crawled, as `[site]` says.
    Site(SiteSource),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSource {
    /// `http://` or `https://`, without user and password and without
    /// credentials in its query.
    pub url: Url,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteSource {
    /// The shop's home page, `http://` or `https://`, without user and password
    /// and without credentials in its query. Its host is the one that is
    /// crawled.
    pub url: Url,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSource {
    /// Absolute, or relative to the folder of `trawler.toml`. In a fleet
    /// absolute: the file is looked for on the machine that collects.
    pub path: PathBuf,
}

impl Source {
    pub(super) fn problems(&self, found: &mut Problems) {
        match self {
            Self::Http(HttpSource { url }) | Self::Site(SiteSource { url }) => {
                url_problems(url, found);
            }
            Self::File(_) => {}
        }
    }
}

fn url_problems(url: &Url, found: &mut Problems) {
    let key = "source.url";
    let has_user = !url.username().is_empty() || url.password().is_some();
    let parameter = url
        .query_pairs()
        .find(|(name, value)| !value.is_empty() && Place::of_parameter(name) == Place::Credential);
    let hides = has_user || parameter.is_some();
    let shown = match hides {
        true => "a URL with credentials (not shown)",
        false => url.as_str(),
    };
    let web = matches!(url.scheme(), "http" | "https");
    found.unless(web, key, &shown, "an http:// or https:// URL");
    let elsewhere = "a URL without them; give them by reference in fetch.auth";
    found.unless(!has_user, key, &shown, elsewhere);
    if let Some((name, _)) = parameter {
        let what = format!("the parameter {name} with a value (not shown)");
        let elsewhere = "a URL without credentials; give them by reference in fetch.query";
        found.push(key, &what, elsewhere);
    }
}

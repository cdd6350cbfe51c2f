//! `[source]`: where a pipe's products come from.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

use super::inbox::InboxSource;
use super::problems::Problems;
use super::sftp::SftpSource;
use crate::secret::Place;

/// Where the pipe's products come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Source {
    /// A feed over HTTP(S).
    Http(HttpSource),
    /// A feed in a file on this machine.
    File(FileSource),
    /// A feed that the partner uploads into a folder of ours.
    Inbox(InboxSource),
    /// A feed on the partner's SFTP server.
    Sftp(SftpSource),
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
            Self::Inbox(source) => source.problems(found),
            Self::Sftp(source) => source.problems(found),
        }
    }

    /// The server that is asked, if one is.
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Http(HttpSource { url }) | Self::Site(SiteSource { url }) => url.host_str(),
            Self::Sftp(source) => Some(&source.host),
            Self::File(_) | Self::Inbox(_) => None,
        }
    }
}

/// For people; without the user and the password of a URL.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(HttpSource { url }) | Self::Site(SiteSource { url }) => {
                let mut url = url.clone();
                if !url.username().is_empty() || url.password().is_some() {
                    // Fails only for URLs without a host, which have no user.
                    let _ = url.set_username("***");
                    let _ = url.set_password(None);
                }
                write!(f, "{url}")
            }
            Self::File(source) => write!(f, "{}", source.path.display()),
            Self::Inbox(source) => write!(f, "{source}"),
            Self::Sftp(source) => write!(f, "{source}"),
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

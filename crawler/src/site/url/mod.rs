//! The one name of a page: [`CanonicalUrl`], which only [`CanonicalRules`] and
//! their [`Resolver`] make.
//!
//! Reading follows the URL standard (<https://url.spec.whatwg.org/>), as
//! browsers do; what is the same by RFC 3986, section 6.2, is spelt in one way;
//! which parameters, slashes and hosts make no difference is said by the pipe
//! (`trawler_core::site::CanonicalOptions`). Making the name of a name gives the
//! same name, and it is also what goes over the wire.
//!
//! Nothing is fetched, and whether a URL belongs to the shop is not asked here
//! (`links` does).

mod octets;
mod path;
mod query;
mod rel_canonical;
mod resolve;
mod rules;

#[cfg(test)]
mod tests;

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};
use url::Url;

pub use rel_canonical::NotBelieved;
pub use resolve::Resolver;
pub use rules::CanonicalRules;

/// Bytes of a canonical URL. The sitemap protocol allows 2,048 characters;
/// twice that is still far below what servers take in a request line.
pub const URL_BYTES_MAX: usize = 4_096;

/// Bytes of a reference that are looked at. Encoding can make three of one, and
/// dropped parameters fewer.
pub const REFERENCE_BYTES_MAX: usize = 16_384;

/// A piece of path and query, such as a pattern, as canonical URLs spell it.
/// `*` and `$` stay as they are.
pub fn spelling(path_and_query: &str) -> String {
    let mut out = String::with_capacity(path_and_query.len());
    match path_and_query.split_once('?') {
        None => octets::Part::Path.write(path_and_query, &mut out),
        Some((path, query)) => {
            octets::Part::Path.write(path, &mut out);
            out.push('?');
            octets::Part::Query.write(query, &mut out);
        }
    }
    out
}

/// The canonical URL of a page: absolute, http or https, ASCII, without
/// credentials and fragment.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CanonicalUrl {
    text: Box<str>,
    /// Where the path begins.
    path_at: u16,
}

impl CanonicalUrl {
    /// What [`Resolver`] has written.
    fn written(text: &str, path_at: usize) -> Self {
        debug_assert!(text.len() <= URL_BYTES_MAX && text[path_at..].starts_with('/'));
        let path_at = u16::try_from(path_at).expect("a URL is shorter than URL_BYTES_MAX");
        let text = text.into();
        Self { text, path_at }
    }

    /// A canonical URL that was written down, such as that of a frontier's
    /// journal. `None` for what cannot have been one; rules are not applied.
    pub fn stored(text: &str) -> Option<Self> {
        let authority_at = match text {
            _ if text.starts_with("https://") => 8,
            _ if text.starts_with("http://") => 7,
            _ => return None,
        };
        let path_at = authority_at + text.get(authority_at..)?.find('/')?;
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
        let fits = text.len() <= URL_BYTES_MAX && path_at > authority_at;
        (fits && text.bytes().all(plain)).then(|| Self::written(text, path_at))
    }

    /// The whole of it; what seen-sets hash.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme, host and port: `https://shop.example`.
    pub fn origin(&self) -> &str {
        &self.text[..usize::from(self.path_at)]
    }

    /// Without port.
    pub fn host(&self) -> &str {
        let origin = self.origin();
        let authority = &origin[origin.find("//").map_or(0, |at| at + 2)..];
        match authority.rfind(':') {
            // Not a colon of an address such as `[::1]`.
            Some(at) if !authority[at..].contains(']') => &authority[..at],
            Some(_) | None => authority,
        }
    }

    /// From the first `/`; what patterns are compared with.
    pub fn path_and_query(&self) -> &str {
        &self.text[usize::from(self.path_at)..]
    }

    pub fn path(&self) -> &str {
        self.split().0
    }

    /// Behind the `?`, never empty.
    pub fn query(&self) -> Option<&str> {
        self.split().1
    }

    fn split(&self) -> (&str, Option<&str>) {
        let whole = self.path_and_query();
        match whole.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (whole, None),
        }
    }

    /// For the fetcher.
    pub fn to_url(&self) -> Url {
        Url::parse(&self.text).expect("a canonical URL came out of a URL parser")
    }
}

impl fmt::Display for CanonicalUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for CanonicalUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

/// As its text, so that a set can be asked with one.
impl Hash for CanonicalUrl {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl Borrow<str> for CanonicalUrl {
    fn borrow(&self) -> &str {
        &self.text
    }
}

impl AsRef<str> for CanonicalUrl {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl From<CanonicalUrl> for String {
    fn from(url: CanonicalUrl) -> Self {
        url.text.into()
    }
}

impl TryFrom<String> for CanonicalUrl {
    type Error = Refused;

    fn try_from(text: String) -> Result<Self, Refused> {
        Self::stored(&text).ok_or(Refused::NotCanonical)
    }
}

/// Why a reference names no page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("its scheme is {0}, not http or https")]
    Scheme(String),
    #[error("it carries a user name or password")]
    Credentials,
    #[error("it is longer than {URL_BYTES_MAX} bytes")]
    TooLong,
    #[error("it is no URL")]
    Invalid(#[from] url::ParseError),
    #[error("it is not the stored form of a canonical URL")]
    NotCanonical,
}

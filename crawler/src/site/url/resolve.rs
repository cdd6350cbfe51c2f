//! From a reference on a page to a canonical URL.
//!
//! Most references of a page are plain paths on its own host, or URLs with the
//! host spelt out, with `../` before them or not. Those are put together here;
//! everything else goes through
//! the URL parser. Both give the same (`the_short_way_gives_what_the_parser_gives`).

use std::borrow::Cow;

use encoding_rs::Encoding;
use url::{Position, Url};

use super::octets::Part;
use super::query::Parameters;
use super::{CanonicalRules, CanonicalUrl, REFERENCE_BYTES_MAX, Refused, URL_BYTES_MAX, path};

/// Letters of a scheme that are told of one that is refused.
const SCHEME_CHARS_MAX: usize = 32;

/// Makes canonical URLs of the references of one page.
#[derive(Debug)]
pub struct Resolver<'r> {
    rules: &'r CanonicalRules,
    base: Url,
    /// In which the queries of the page's references are written.
    encoding: Option<&'static Encoding>,
    /// The host of the base, and the last other one that was seen.
    known: [Option<Origin>; 2],
    /// The path of the base up to its last slash.
    folder: String,
    /// Whether the folder passes the parser unchanged.
    folder_plain: bool,
    parameters: Parameters,
    out: String,
}

/// Scheme, host and port as references spell it, and as the rules have it.
#[derive(Debug)]
struct Origin {
    spelt: String,
    canonical: String,
}

/// A reference that needs no parser.
struct Plain<'a> {
    origin: usize,
    /// Bytes of the base's folder that come before the path; none of one with
    /// a slash at its beginning.
    folder: usize,
    path: &'a str,
    query: Option<&'a str>,
}

impl<'r> Resolver<'r> {
    /// `page` is where the page came from, after redirects; `base_href` that of
    /// its first `<base>`, which counts if it is an http(s) URL.
    pub fn new(rules: &'r CanonicalRules, page: &Url, base_href: Option<&str>) -> Self {
        let base = base_href
            .filter(|href| href.len() <= REFERENCE_BYTES_MAX)
            .and_then(|href| page.join(href.trim()).ok())
            .filter(is_web);
        let base = base.unwrap_or_else(|| page.clone());
        let folder_end = base.path().rfind('/').map_or(0, |at| at + 1);
        let folder = base.path()[..folder_end].to_owned();
        let own = rules.origin(&base).ok().filter(|_| is_web(&base));
        let own = own.map(|canonical| Origin {
            spelt: spelt_origin(&base),
            canonical,
        });
        Self {
            rules,
            base,
            encoding: None,
            known: [own, None],
            folder_plain: Part::Path.is_clean(&folder),
            folder,
            parameters: Parameters::default(),
            out: String::new(),
        }
    }

    /// The page's character set, in which browsers write non-ASCII queries.
    #[must_use]
    pub fn with_encoding(mut self, encoding: &'static Encoding) -> Self {
        self.encoding = (encoding != encoding_rs::UTF_8).then_some(encoding);
        self
    }

    /// The canonical URL of a reference, such as the value of an `href` with its
    /// character references resolved.
    pub fn resolve(&mut self, reference: &str) -> Result<CanonicalUrl, Refused> {
        let reference = reference.trim_matches(|c: char| c <= ' ');
        if reference.len() > REFERENCE_BYTES_MAX {
            return Err(Refused::TooLong);
        }
        if let Some(scheme) = foreign_scheme(reference) {
            let scheme = scheme.chars().take(SCHEME_CHARS_MAX).collect();
            return Err(Refused::Scheme(scheme));
        }
        let Some(plain) = self.plain(reference) else {
            return self.parsed(reference);
        };
        let origin = self.known[plain.origin].as_ref();
        let origin = origin.expect("a plain reference has a known origin");
        self.out.clear();
        self.out.push_str(&origin.canonical);
        let path_at = self.out.len();
        self.out.push_str(&self.folder[..plain.folder]);
        self.out.push_str(plain.path);
        if self.out.len() == path_at {
            self.out.push('/');
        }
        path::apply(self.rules, &mut self.out, path_at);
        if let Some(query) = plain.query {
            self.parameters.write(self.rules, query, &mut self.out);
        }
        self.finish(path_at)
    }

    /// The parts of a reference that the parser would leave as they are.
    fn plain<'a>(&self, reference: &'a str) -> Option<Plain<'a>> {
        let before_fragment = reference.split_once('#').map_or(reference, |(url, _)| url);
        let spelt_out = self.known.iter().enumerate().find_map(|(at, origin)| {
            let rest = before_fragment.strip_prefix(&origin.as_ref()?.spelt)?;
            (rest.is_empty() || rest.starts_with(['/', '?'])).then_some((at, rest))
        });
        let (origin, rest) = match spelt_out {
            Some(found) => found,
            None => {
                self.known[0].as_ref()?;
                (0, before_fragment)
            }
        };
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        let (mut path, mut folder) = (path, 0);
        if spelt_out.is_none() {
            if path.is_empty() || path.starts_with("//") {
                return None;
            }
            if !path.starts_with('/') {
                // `a:b` would be a scheme.
                if path.contains(':') || !self.folder_plain {
                    return None;
                }
                (path, folder) = self.climb(path)?;
            }
        }
        let plain = Part::Path.is_clean(path)
            && !path.contains("/.")
            && query.is_none_or(|query| Part::Query.is_parsed(query));
        plain.then_some(Plain {
            origin,
            folder,
            path,
            query,
        })
    }

    /// What is left of a path behind its `./` and `../`, and how much of the
    /// base's folder that counts from.
    fn climb<'a>(&self, path: &'a str) -> Option<(&'a str, usize)> {
        let (mut rest, mut folder) = (path, self.folder.as_str());
        loop {
            if let Some(behind) = rest.strip_prefix("../") {
                // Above the top is the top.
                let inner = folder.strip_suffix('/')?;
                folder = inner.rfind('/').map_or(folder, |at| &folder[..=at]);
                rest = behind;
            } else if let Some(behind) = rest.strip_prefix("./") {
                rest = behind;
            } else {
                break;
            }
        }
        let is_plain = !rest.starts_with(['.', '/']);
        is_plain.then_some((rest, folder.len()))
    }

    /// By the URL parser.
    fn parsed(&mut self, reference: &str) -> Result<CanonicalUrl, Refused> {
        let encode = encoder(self.encoding.unwrap_or(encoding_rs::UTF_8));
        let options = Url::options().base_url(Some(&self.base));
        let url = options.encoding_override(Some(&encode)).parse(reference)?;
        if !is_web(&url) {
            return Err(Refused::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::Credentials);
        }
        let canonical = self.rules.origin(&url)?;
        self.out.clear();
        self.out.push_str(&canonical);
        let path_at = self.out.len();
        Part::Path.write(url.path(), &mut self.out);
        path::apply(self.rules, &mut self.out, path_at);
        if let Some(query) = url.query() {
            self.parameters.write(self.rules, query, &mut self.out);
        }
        let spelt = spelt_origin(&url);
        let own = self.known[0].as_ref().is_some_and(|own| own.spelt == spelt);
        if !own {
            self.known[1] = Some(Origin { spelt, canonical });
        }
        self.finish(path_at)
    }

    fn finish(&self, path_at: usize) -> Result<CanonicalUrl, Refused> {
        match self.out.len() <= URL_BYTES_MAX {
            true => Ok(CanonicalUrl::written(&self.out, path_at)),
            false => Err(Refused::TooLong),
        }
    }

    #[cfg(test)]
    pub(super) fn resolve_by_parser(&mut self, reference: &str) -> Result<CanonicalUrl, Refused> {
        self.parsed(reference)
    }

    #[cfg(test)]
    pub(super) fn is_plain(&self, reference: &str) -> bool {
        self.plain(reference).is_some()
    }
}

fn encoder(encoding: &'static Encoding) -> impl Fn(&str) -> Cow<'_, [u8]> {
    move |text| encoding.encode(text).0
}

/// Scheme, host and port of a URL of the web, as references spell them.
fn spelt_origin(url: &Url) -> String {
    if url.username().is_empty() && url.password().is_none() {
        return url[..Position::BeforePath].to_owned();
    }
    url.origin().ascii_serialization()
}

fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

/// The scheme of `mailto:`, `javascript:` and the like, without parsing what
/// follows. Schemes that the parser might still understand are not told.
fn foreign_scheme(reference: &str) -> Option<&str> {
    let colon = reference
        .bytes()
        .position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')))?;
    let scheme = &reference[..colon];
    let is_scheme = reference[colon..].starts_with(':')
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && !scheme.eq_ignore_ascii_case("http")
        && !scheme.eq_ignore_ascii_case("https");
    is_scheme.then_some(scheme)
}

//! Why no pipe can be drafted: what was found, where, and what to do.

use trawler_net::{FetchClass, FetchError, StatusClass};

use crate::feed::FeedError;

/// What was looked at is no feed that a pipe could read. Nothing is guessed
/// over it.
#[derive(Debug, thiserror::Error)]
pub enum NotAFeed {
    #[error(
        "it is empty: not a byte, or nothing but blanks; ask the shop whether the feed is \
         generated at this address, and when"
    )]
    Empty,
    #[error(
        "it is no text: it begins with {head}; if it is packed in a way that has no mark of its \
         own, say so in a pipe written by hand (feed.compression), and else ask the shop for a \
         text, XML or JSON feed"
    )]
    Binary { head: String },
    #[error(
        "it is an HTML page ({title:?}) and no feed; check the address, or say `--as site` if \
         this is the shop itself"
    )]
    Html { title: String },
    #[error(
        "it is a page that asks for a login ({title:?}); ask the shop for an address that works \
         without a browser, or write the pipe by hand with fetch.auth, fetch.headers or fetch.query"
    )]
    Login { title: String },
    #[error(
        "it begins with the error text of the shop's server ({shown:?}); tell the shop, and look \
         again when it is mended"
    )]
    ErrorText { shown: String },
    #[error(
        "it is a sitemap and no feed: it names pages; say `--as site` with the shop's home page, \
         and the crawl finds its sitemaps by itself"
    )]
    Sitemap,
    #[error(
        "it is XML, but its root element is <{root}>; <rss>, <feed> and <rdf:RDF> are read. Ask the \
         shop for a Google Merchant feed, a text feed or JSON"
    )]
    UnknownXml { root: String },
    #[error("it is XML without a root element in its first {bytes} bytes")]
    NoRoot { bytes: usize },
    #[error(
        "its first line has more than {max} bytes and does not end; that is no table of products"
    )]
    LongLine { max: usize },
    #[error(
        "its lines have no columns: neither tab, comma, semicolon, | nor ^ divides {line:?} and \
         what follows in the same way"
    )]
    NoColumns { line: String },
    #[error("it has a header ({header:?}) and not one product; look again when the feed is filled")]
    NoRows { header: String },
    #[error(
        "it is JSON, but no array of objects is in its first {bytes} bytes, at any path without \
         arrays above it"
    )]
    NoItems { bytes: usize },
    #[error(
        "no field looks like the product's {column}, which every product needs; there are: \
         {fields}. If one of them is it, write the pipe by hand and name it in [feed.columns]"
    )]
    NoColumn {
        column: &'static str,
        fields: String,
    },
    #[error(
        "of the first {rows} rows none can be used: {why}; a pipe written by hand may do better, \
         see `trawler try feed`"
    )]
    NothingReadable { rows: u64, why: String },
    #[error("it cannot be read as the feed that it looks like")]
    Unreadable(#[source] FeedError),
}

/// Why there is no draft.
#[derive(Debug, thiserror::Error)]
pub enum OnboardError {
    #[error("{place}: {source}", source = .found)]
    NotAFeed { place: String, found: NotAFeed },
    #[error("nothing came to look at{advice}")]
    Fetch {
        advice: &'static str,
        #[source]
        source: FetchError,
    },
    #[error("{place} answered 304 to a request without validators")]
    NotModified { place: String },
    #[error(
        "{place}: robots.txt does not let us ask for it ({rule}); if the shop gave you this \
         address as a feed, say `--as feed`, and else ask the shop"
    )]
    Denied { place: String, rule: String },
    #[error(
        "{place}: nobody knows what robots.txt says ({why}), which allows nothing; look again \
         when it answers, or say `--as feed` if the shop gave you this address as a feed"
    )]
    RobotsUnreachable { place: String, why: String },
    #[error(
        "{place} is no page of a shop: {what}; give the address of its home page, or say \
         `--as feed` if it is a feed"
    )]
    NoSite { place: String, what: &'static str },
    #[error("read {path}")]
    File {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "{path} is no file; a feed is one file, and a folder of them is source.kind = \"inbox\""
    )]
    NoFile { path: String },
    #[error("looking ended early; try again")]
    Stopped,
}

impl OnboardError {
    pub(super) fn fetch(source: FetchError) -> Self {
        let advice = match source.class() {
            FetchClass::RefusedAddress => {
                ": the address is not public; `--allow HOST:PORT` lets it in for this once"
            }
            FetchClass::Status(StatusClass::NotFound | StatusClass::Gone) => {
                ": check the address, also its upper and lower case, or ask the shop for the \
                 current one"
            }
            FetchClass::Status(StatusClass::Unauthorized | StatusClass::Forbidden) => {
                ": the shop wants credentials or does not know us; a pipe written by hand gives \
                 them by reference in fetch.auth, fetch.headers or fetch.query"
            }
            FetchClass::Timeout => ": the server takes too long; try again when it is less busy",
            FetchClass::BadUrl
            | FetchClass::Dns
            | FetchClass::Connect
            | FetchClass::Tls
            | FetchClass::Truncated
            | FetchClass::TooLarge
            | FetchClass::TooManyRedirects
            | FetchClass::RedirectLoop
            | FetchClass::Status(_)
            | FetchClass::HostGivenUp
            | FetchClass::Proxy
            | FetchClass::Decode
            | FetchClass::Protocol
            | FetchClass::Cancelled
            | FetchClass::Disk => "",
        };
        Self::Fetch { advice, source }
    }
}

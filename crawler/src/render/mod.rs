//! Pages that build themselves by script: built in headless Chromium.
//!
//! The page itself has come already, by the fetcher and under all rules of the
//! crawl; a browser is given it and runs it until nothing more is on its way
//! (`page`). What its scripts ask for goes through Trawler's own tunnel, which
//! judges every address (invariant 8), is asked of robots.txt first (`traffic`,
//! `session`), and waits for the turn of its host (`turns`); images, fonts and
//! media are not loaded. Cookies are those of the crawl (`cookies`). Where the
//! page wants to be elsewhere, that is said and not done, so that the crawl
//! judges it as any redirect.
//!
//! A browser has one page at a time, and bounds of memory, time and bytes; what
//! passes one is ended with all its processes (`process`, `memory`). It has
//! none of this program's environment and ends with this program, however that
//! ends.
//!
//! It does not click, scroll, or log in, and takes no picture.

mod arguments;
mod browser;
mod browsers;
mod cookies;
mod error;
mod find;
mod introduce;
mod memory;
mod page;
mod process;
mod progress;
mod relay;
mod requests;
mod session;
mod settings;
mod traffic;
mod turns;

use url::Url;

pub use browsers::Browsers;
pub use error::RenderError;
pub use find::{NAMES, NoChromium, find_chromium};
pub use session::{Asked, MayNot, PageRules, Session, SessionOptions};
pub use settings::{BROWSERS, BrowserSettings};

/// A page as it came.
#[derive(Debug, Clone)]
pub struct Document {
    pub url: Url,
    pub content_type: Option<String>,
    /// `Set-Cookie` of the answer: scripts may need them.
    pub set_cookies: Vec<String>,
    pub body: bytes::Bytes,
}

/// What became of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rendered {
    /// It is built.
    Built(Built),
    /// It wants to be elsewhere.
    Moved(Url),
}

/// A page that is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// In UTF-8.
    pub html: String,
    /// Requests that were passed on, the page itself among them.
    pub requests: u32,
    /// Those that were refused, robots.txt's among them.
    pub refused: u32,
    /// Whether everything on its way came; if not, the time was up.
    pub is_settled: bool,
    /// What its scripts asked for and did not get, so that the page may lack
    /// it; the first [`BROKEN_MAX`].
    pub broken: Vec<Broken>,
}

/// A request of a page's scripts that failed, by no fault of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub url: Url,
    pub why: String,
}

/// Of one page, those that are told.
pub const BROKEN_MAX: usize = 32;

/// What the HTML of a page that is built says it is.
pub const BUILT_TYPE: &str = "text/html; charset=utf-8";

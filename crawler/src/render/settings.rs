//! Bounds of the browsers of one process.

use std::path::PathBuf;
use std::time::Duration;

/// Where Chromium is, and what it may cost (invariant 7).
#[derive(Debug, Clone)]
pub struct BrowserSettings {
    /// The program; without one it is looked for in `PATH`.
    pub chromium: Option<PathBuf>,
    /// Browsers at once, which is pages at once: a browser has one page, so
    /// that what a page takes is known and ended alone. Each takes some 200 MiB
    /// and most of a core while a page builds itself.
    pub browsers: usize,
    /// Memory of a browser with all its processes. A shop's page takes 150 to
    /// 400 MiB; one above a GiB is broken or hostile.
    pub memory_bytes_max: u64,
    /// From the page's beginning to its HTML.
    pub page_wait: Duration,
    /// Nothing on its way for so long means that a page is built. Browsers'
    /// own "network idle" waits as long.
    pub quiet: Duration,
    /// Requests of one page. A shop's page makes 20 to 200.
    pub requests_max: u32,
    /// Bytes that the scripts of one page may bring; a shop's page brings 1 to
    /// 5 MiB without its images.
    pub page_traffic_max: u64,
    /// HTML of a built page.
    pub html_bytes_max: u64,
    /// A browser is ended and started anew after so many pages: what leaks,
    /// leaks slowly, and a start takes a second.
    pub pages_max: u32,
    /// A folder for the browsers' own files; what is in it goes.
    pub profiles: PathBuf,
    pub user_agent: String,
}

/// Pages in browsers at once, without word from the configuration: as many as
/// the smallest machine has cores.
pub const BROWSERS: usize = 2;

impl BrowserSettings {
    /// The defaults.
    pub fn new(profiles: PathBuf, user_agent: String) -> Self {
        Self {
            chromium: None,
            browsers: BROWSERS,
            memory_bytes_max: 1 << 30,
            page_wait: Duration::from_secs(30),
            quiet: Duration::from_millis(500),
            requests_max: 500,
            page_traffic_max: 32 << 20,
            html_bytes_max: trawler_core::site::PAGE_BYTES_MAX,
            pages_max: 500,
            profiles,
            user_agent,
        }
    }
}

//! Objects under a prefix, a page at a time.

use trawler_core::ports::{BlobEntry, BlobError};
use trawler_fleet::{Ports, retry};

/// The most that Blobs gives at once.
pub(crate) const PAGE: usize = 1_000;

/// Goes through a listing without holding more than a page of it.
pub(crate) struct Listing<'a> {
    ports: &'a Ports,
    prefix: String,
    after: Option<String>,
    is_over: bool,
}

impl<'a> Listing<'a> {
    pub(crate) fn of(ports: &'a Ports, prefix: impl Into<String>) -> Self {
        Self {
            ports,
            prefix: prefix.into(),
            after: None,
            is_over: false,
        }
    }

    /// The next page; `None` behind the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<BlobEntry>>, BlobError> {
        if self.is_over {
            return Ok(None);
        }
        let page = retry(&*self.ports.clock, BlobError::is_transient, || {
            self.ports
                .blobs
                .list(&self.prefix, self.after.as_deref(), PAGE)
        })
        .await?;
        self.is_over = page.len() < PAGE;
        self.after = page.last().map(|entry| entry.key.clone());
        Ok((!page.is_empty()).then_some(page))
    }
}

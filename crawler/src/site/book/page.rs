//! A page as the book keeps it.

use super::super::disk::{Wire, put_i64, put_u64};

/// What a complete run learned of a page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Its canonical URL, by which it is found.
    pub url: String,
    /// When it changed last, as its sitemap said, in seconds since 1970.
    pub lastmod: Option<i64>,
    /// The validator to send as `If-None-Match`.
    pub etag: Option<String>,
    /// The validator to send as `If-Modified-Since`, as it came.
    pub last_modified: Option<String>,
    /// Where its body came from, if it was led there from its URL; the validators
    /// are that place's.
    pub from: Option<String>,
    /// When its body was read last, in seconds since 1970.
    pub read_at: i64,
    /// What became of it, in the caller's own numbering.
    pub outcome: u8,
    /// Its rows, as lines of JSON.
    pub rows: Vec<u8>,
}

impl Page {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let text = |out: &mut Vec<u8>, text: &Option<String>| match text {
            None => put_u64(out, 0),
            Some(text) => {
                put_u64(out, text.len() as u64 + 1);
                out.extend_from_slice(text.as_bytes());
            }
        };
        put_u64(out, self.url.len() as u64);
        out.extend_from_slice(self.url.as_bytes());
        match self.lastmod {
            None => out.push(0),
            Some(seconds) => {
                out.push(1);
                put_i64(out, seconds);
            }
        }
        text(out, &self.etag);
        text(out, &self.last_modified);
        text(out, &self.from);
        put_i64(out, self.read_at);
        out.push(self.outcome);
        out.extend_from_slice(&self.rows);
    }

    /// The page, or `None` if these are no bytes of one.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut wire = Wire::new(bytes);
        let url = string(wire.counted()?)?;
        let lastmod = match wire.byte()? {
            0 => None,
            1 => Some(wire.i64()?),
            _ => return None,
        };
        let mut text = || match wire.number::<usize>()? {
            0 => Some(None),
            length => Some(Some(string(wire.take(length - 1)?)?)),
        };
        let etag = text()?;
        let last_modified = text()?;
        let from = text()?;
        Some(Self {
            url,
            lastmod,
            etag,
            last_modified,
            from,
            read_at: wire.i64()?,
            outcome: wire.byte()?,
            rows: wire.rest().to_vec(),
        })
    }

    /// The URL of a page that is not decoded.
    pub(super) fn url_of(bytes: &[u8]) -> Option<&[u8]> {
        Wire::new(bytes).counted()
    }
}

fn string(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

//! The photographs of one size under many addresses.
//!
//! A comment in each file tells one address from another, so that no two have the same bytes and none is
//! stored for two; the pixels are those of the photograph.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;

use crate::images::in_order;

/// Start of a JPEG, after which a comment may stand.
const START: [u8; 2] = [0xff, 0xd8];
const COMMENT: [u8; 2] = [0xff, 0xfe];

pub(super) struct Album {
    photographs: Vec<Vec<u8>>,
}

impl Album {
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let mut photographs = Vec::new();
        for path in in_order(folder)? {
            let bytes = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            ensure!(bytes.starts_with(&START), "{} is no JPEG", path.display());
            photographs.push(bytes);
        }
        ensure!(!photographs.is_empty(), "{} is empty", folder.display());
        Ok(Self { photographs })
    }

    pub(super) fn image(&self, number: usize) -> Bytes {
        let photograph = &self.photographs[number % self.photographs.len()];
        let comment = format!("image {number:010}");
        // The length counts itself.
        let length = u16::try_from(comment.len() + 2).expect("the comment is short");
        let mut bytes = Vec::with_capacity(photograph.len() + comment.len() + 4);
        bytes.extend_from_slice(&START);
        bytes.extend_from_slice(&COMMENT);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(comment.as_bytes());
        bytes.extend_from_slice(&photograph[START.len()..]);
        bytes.into()
    }
}

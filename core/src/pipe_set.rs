//! The name of a published set of pipes and mapping tables.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::InvalidId;

/// SHA-256 of everything in the set, 64 hex digits: the same pipes and tables
/// always have the same name, and a set never changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PipeSetId(String);

impl PipeSetId {
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let is_hex = text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if text.len() == 64 && is_hex {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId {
                what: "pipe set",
                found: text.to_owned(),
                rule: "use its 64 hex digits; `trawler pipes history` lists them",
            })
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Enough of it for people.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl fmt::Display for PipeSetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PipeSetId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

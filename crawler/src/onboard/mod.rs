//! From an address to a pipe: what a feed or a site is, and the pipe file that
//! says so.
//!
//! A bounded beginning of the input is looked at ([`look`]), recognised by pure
//! functions over bytes ([`draft_feed`]; a site is surveyed by a handful of
//! polite requests), tried with the reader or extractor that runs use, and
//! written down with comments ([`Draft::text`]). What is a guess is a remark as
//! well. Whether a feed is full or a summary is never guessed.
//!
//! Nothing is stored here, and no file is written: that is the command's.

mod columns;
mod error;
mod feed;
mod glance;
mod guess;
mod json;
mod look;
mod mode;
mod names;
mod pages;
mod paths;
mod rows;
mod shown;
mod site;
mod table;
mod tagged;
#[cfg(test)]
mod tests;
mod write;

pub use columns::{FieldUse, How};
pub use error::{NotAFeed, OnboardError};
pub use feed::{FeedDraft, FeedHints, Finding, draft_feed};
pub use look::{AsWhat, Hints, Place, look};
pub use mode::ModeEvidence;
pub use pages::PageSeen;
pub use site::SiteDraft;
pub use write::{Draft, What};

//! The crawler: from a partner's feed or pages to rows in the catalogue and
//! image jobs.
//!
//! [`Crawler`] handles the jobs of the crawl queue. A run (`collect`) gets the
//! feed (`input`, or `kept_input` after an interruption), reads it into sorted rows (`parse` over [`feed`] and
//! [`normalise`]), keeps the input (`raw_input`), compares, judges and commits
//! the rows, and plans the images that are due (`plan_images`); a fold (`fold`) brings image results into the
//! catalogue. What a crawl of pages needs is [`page`] and, so far, the robots
//! rules of [`site`].

mod collect;
mod crawler;
mod credentials;
pub mod document;
mod error_page;
mod failure;
pub mod feed;
mod fill;
mod fingerprint;
mod fold;
mod handler;
mod input;
mod kept_book;
mod kept_input;
pub mod mappings;
pub mod normalise;
pub mod onboard;
pub mod page;
mod parse;
mod plan_images;
mod raw_input;
#[cfg(test)]
mod real;
mod refetch;
pub mod render;
mod report;
mod run_document;
mod scratch;
pub mod site;
mod validators;
mod withdraw;
mod withhold;

pub use crawler::{Crawler, CrawlerOptions, KEEP_INPUT_AFTER};
pub use credentials::fetcher_of;
pub use fingerprint::PARSER_VERSION;
pub use withdraw::{SHOWN_AT_ONCE, Showing, Shown, Withdrawer, Withdrawn};
pub use withhold::{Settled, WithholdFailure, Withholder};

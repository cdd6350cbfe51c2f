//! The page book: what the last complete run of a pipe learned of each page,
//! so that the next one asks conditionally, or not at all, and has the rows of
//! what is unchanged.
//!
//! [`BookWriter`] takes pages in any order and gives parts of about 8 MiB to be
//! uploaded; [`Book::open`] takes the parts and [`Book::get`] finds a page by
//! its URL. Files only: where the parts are kept, and which parser and mapping
//! they belong to, is the crawl's business. A book that is damaged or not whole
//! is an error that says which part, and the crawl goes on without it.

mod error;
mod page;
mod part;
mod part_file;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use super::disk::{DiskError, HashKey};
pub use error::BookError;
pub use page::Page;
pub use part::Part;
pub use reader::{Book, Pages};
pub use writer::{BookLimits, BookWriter, Finished};

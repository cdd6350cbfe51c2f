//! Whether what a run collected is to be believed: applied as it is, applied
//! without its deletes, or quarantined until a person has looked at it.
//!
//! [`Facts`] say what a run found and would do, [`JudgeOptions`] what a pipe
//! allows, and [`rule`] decides. Nothing is read or written here: the facts
//! come from the reader of the feed and from the catalogue, which gather them
//! on their way.
//!
//! What is relative to the stored pipe has nothing to say of a first run; what
//! is a share of rows has nothing to say of fewer than [`ROWS_MIN`].

mod error_text;
mod facts;
mod options;
mod prices;
mod repeat;
mod ruling;

use serde::{Deserialize, Serialize};

pub use error_text::error_text;
pub use facts::{Before, Counted, EXAMPLES_MAX, Examples, Facts, Filled, UNRULED_MAX, Unruled};
pub use options::{JudgeOptions, KEEP_RAW_MAX};
pub use prices::{FACTORS, PriceMove, PriceMoves};
pub use repeat::{EQUAL_SHARE, LOOK_BACK, SPAN_MIN, is_repeated};
pub use ruling::{Action, Case, ROWS_MIN, Ruling, rule};

/// What to do with the deletes of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deletes {
    Apply,
    Hold,
}

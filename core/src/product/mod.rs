//! The canonical product: about 100 typed columns, whatever the partner sent.

mod column;
mod columns;
mod money;

pub use column::{Column, Kind, column_index};
pub use columns::{COLUMNS, PARTNER_UPDATED};
pub use money::{Currency, Money, MoneyError};

//! Rows that hold only what changed: which columns a row empties.
//!
//! A field that is absent or empty keeps the stored value; a field whose value
//! is the sentinel of the pipe empties its column. What Trawler derives from a
//! column goes with it. A column of several fields, such as the category path,
//! is one value: it is emptied when none of its fields has one.

use trawler_catalogue::EXTRA_PREFIX;
use trawler_core::feed::FeedOptions;
use trawler_core::product::COLUMNS;

use super::fields::Target;
use super::mapper::Known;

// Columns of a row are told by the bits of one number.
const _: () = assert!(COLUMNS.len() <= 128);

pub(super) struct Partial {
    sentinel: Option<String>,
    /// Columns with amounts, a bit each.
    money: u128,
    /// Columns that the current row empties, a bit each.
    columns: u128,
    /// Unmapped fields that it empties.
    extra: Vec<String>,
}

impl Partial {
    pub(super) fn new(options: &FeedOptions) -> Self {
        let amounts = COLUMNS.iter().enumerate();
        let amounts = amounts.filter(|(_, column)| column.name.ends_with("_minor"));
        Self {
            sentinel: options.clear.clone(),
            money: amounts.fold(0, |bits, (at, _)| bits | 1 << at),
            columns: 0,
            extra: Vec::new(),
        }
    }

    pub(super) fn begin_row(&mut self) {
        self.columns = 0;
        self.extra.clear();
    }

    pub(super) fn sentinel(&self) -> &str {
        self.sentinel.as_deref().unwrap_or_default()
    }

    pub(super) fn is_sentinel(&self, value: &str) -> bool {
        self.sentinel.as_deref() == Some(value)
    }

    pub(super) fn money(&self) -> u128 {
        self.money
    }

    /// Notes that the row empties what the field fills.
    pub(super) fn clear(&mut self, target: Target, field: &str) {
        match target {
            Target::Column { column, .. }
            | Target::Minor { column }
            | Target::Part { column, .. } => self.columns |= 1 << column,
            Target::Extra => self.extra.push(format!("{EXTRA_PREFIX}{field}")),
            Target::Class | Target::Personal | Target::Ignore => {}
        }
    }

    pub(super) fn clears(&self, column: usize) -> bool {
        self.columns & 1 << column != 0
    }

    /// Names of everything that the row empties, given the columns that it
    /// fills. A value wins over the emptying of its own column.
    pub(super) fn cleared(&self, known: &Known, filled: u128) -> Vec<String> {
        let mut columns = self.columns;
        for (from, derived) in [
            (known.brand, known.brand_normalised),
            (known.category, known.category_mapped),
            (known.model, known.model_normalised),
        ] {
            if (columns | filled) & 1 << from != 0 {
                columns |= 1 << derived;
            }
        }
        let columns = columns & !filled;
        let names = COLUMNS.iter().enumerate();
        let names = names.filter(|(at, _)| columns & 1 << at != 0);
        let names = names.map(|(_, column)| column.name.to_owned());
        names.chain(self.extra.iter().cloned()).collect()
    }
}

//! What the rows of an input have in their columns, counted as they pass.

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use trawler_core::judge::Filled;

/// The column that a product is priced in.
const PRICE: &str = "price_minor";

/// Counts for the judge. An array knows its nulls, so that a batch costs a
/// look at each column and one pass over the prices.
#[derive(Default)]
pub(crate) struct Fill {
    pub(crate) filled: Filled,
    /// Rows without a price, or with the price 0.
    pub(crate) unpriced: u64,
}

impl Fill {
    pub(crate) fn note(&mut self, rows: &RecordBatch) {
        self.filled.read += rows.num_rows() as u64;
        let schema = rows.schema_ref();
        for (field, column) in schema.fields().iter().zip(rows.columns()) {
            let filled = (column.len() - column.null_count()) as u64;
            if filled == 0 {
                continue;
            }
            match self.filled.columns.get_mut(field.name()) {
                Some(count) => *count += filled,
                None => {
                    self.filled.columns.insert(field.name().clone(), filled);
                }
            }
        }
        let price = rows.column_by_name(PRICE);
        if let Some(prices) = price.and_then(|column| column.as_primitive_opt::<Int64Type>()) {
            let priced = prices.iter().flatten().filter(|price| *price != 0);
            self.unpriced += (prices.len() - priced.count()) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    #[test]
    fn values_are_counted_by_column() {
        let ids: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c", "d"]));
        let prices: ArrayRef = Arc::new(Int64Array::from(vec![Some(5), Some(0), None, Some(-1)]));
        let brands: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), None, None, None]));
        let none: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>; 4]));
        let rows = RecordBatch::try_from_iter_with_nullable([
            ("id", ids, false),
            (PRICE, prices, true),
            ("brand", brands, true),
            ("maker", none, true),
        ]);
        let (mut fill, rows) = (Fill::default(), rows.unwrap());
        fill.note(&rows);
        fill.note(&rows);
        assert_eq!((fill.filled.read, fill.unpriced), (8, 4));
        let columns: Vec<_> = fill.filled.columns.into_iter().collect();
        let expected = [("brand", 2), ("id", 8), (PRICE, 6)];
        assert_eq!(
            columns,
            expected.map(|(name, count)| (name.to_owned(), count))
        );
    }
}

//! Reads a feed to its end, shows what it gives and stores nothing: what the
//! author of a pipe needs.

use std::collections::BTreeMap;
use std::io::Read;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use serde::Serialize;
use trawler_catalogue::Deleted;
use trawler_core::feed::{Compression, FeedFormat, FeedMode, FeedOptions};
use trawler_core::product::{Currency, Money, column_index};

use super::control::{Progress, Step};
use super::error::{FeedError, Incomplete};
use super::outcome::{BadValues, FeedOutcome, RowSink, SinkError};
use super::read::{FeedTakers, read_feed};
use super::rejected::{RejectedRow, RejectedRows};
use crate::normalise::{Normaliser, Unmapped};

/// What `trawler try feed` shows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TryFeedReport {
    pub rows: u64,
    pub deletes: u64,
    pub rejected: u64,
    pub complete: bool,
    pub incomplete_reason: Option<Incomplete>,
    pub charset: String,
    pub format: FeedFormat,
    pub mode: FeedMode,
    pub compression: Compression,
    /// The first products.
    pub sample: Vec<SampleProduct>,
    pub rejected_rows: Vec<RejectedRow>,
    pub columns_seen: Vec<&'static str>,
    pub unmapped_fields: Vec<String>,
    pub personal_fields: Vec<String>,
    pub bad_values: BTreeMap<&'static str, BadValues>,
    pub unmapped_categories: Unmapped,
    pub unmapped_brands: Unmapped,
    pub malformed_sequences: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SampleProduct {
    pub id: String,
    pub title: Option<String>,
    pub price: Option<Money>,
    pub link: Option<String>,
    pub image_link: Option<String>,
}

/// Reads the whole feed and keeps the first `sample_max` products.
pub fn try_feed(
    input: impl Read,
    options: &FeedOptions,
    sample_max: usize,
    normaliser: &mut Normaliser,
    step: &mut dyn FnMut(Progress) -> Step,
) -> Result<TryFeedReport, FeedError> {
    let mut sample = Sample {
        products: Vec::new(),
        products_max: sample_max,
    };
    let (outcome, rejected_rows) = {
        let mut rejected = RejectedRows::counted();
        let outcome = read_counting(input, options, &mut sample, &mut rejected, normaliser, step)?;
        (outcome, rejected.examples().to_vec())
    };
    Ok(TryFeedReport {
        rows: outcome.rows,
        deletes: outcome.deletes,
        rejected: outcome.rejected,
        complete: outcome.complete,
        incomplete_reason: outcome.incomplete_reason,
        charset: outcome.charset,
        format: outcome.format,
        mode: outcome.mode,
        compression: outcome.compression,
        sample: sample.products,
        rejected_rows,
        columns_seen: outcome.columns_seen,
        unmapped_fields: outcome.unmapped_fields,
        personal_fields: outcome.personal_fields,
        bad_values: outcome.bad_values,
        unmapped_categories: normaliser.unmapped_categories(),
        unmapped_brands: normaliser.unmapped_brands(),
        malformed_sequences: outcome.malformed_sequences,
    })
}

fn read_counting(
    input: impl Read,
    options: &FeedOptions,
    sample: &mut Sample,
    rejected: &mut RejectedRows,
    normaliser: &mut Normaliser,
    step: &mut dyn FnMut(Progress) -> Step,
) -> Result<FeedOutcome, FeedError> {
    read_feed(
        input,
        options,
        FeedTakers {
            sink: sample,
            rejected,
            normaliser,
            step,
        },
    )
}

struct Sample {
    products: Vec<SampleProduct>,
    products_max: usize,
}

impl RowSink for Sample {
    fn upsert(&mut self, rows: RecordBatch) -> Result<(), SinkError> {
        let at = |name: &str| column_index(name).expect("a guaranteed column of the schema");
        let text = |name: &str, row: usize| {
            let column = rows.column(at(name)).as_string::<i32>();
            column.is_valid(row).then(|| column.value(row).to_owned())
        };
        let prices = rows.column(at("price_minor")).as_primitive::<Int64Type>();
        for row in 0..rows.num_rows() {
            if self.products.len() >= self.products_max {
                break;
            }
            let currency = text("currency", row).and_then(|code| Currency::parse(&code).ok());
            let amount = prices.is_valid(row).then(|| prices.value(row));
            let price = amount.zip(currency).map(|(amount_minor, currency)| Money {
                amount_minor,
                currency,
            });
            self.products.push(SampleProduct {
                id: text("id", row).unwrap_or_default(),
                title: text("title", row),
                price,
                link: text("link", row),
                image_link: text("image_link", row),
            });
        }
        Ok(())
    }

    fn delete(&mut self, _: Vec<Deleted>) -> Result<(), SinkError> {
        Ok(())
    }
}

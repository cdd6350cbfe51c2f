//! The values of one row to its columns: conversion, lists, paths, mapped
//! categories and brands, unmapped fields. A wrong value becomes null and is
//! counted.

use trawler_core::product::{COLUMNS, Currency};

use super::batch::Value;
use super::convert::{self, Bad};
use super::converter::Convert;
use super::mapper::{Mapper, Record, SlotState};
use super::outcome::BadValue;
use super::rejected::shown;
use crate::normalise::model_key;

/// Examples of wrong values kept of each column.
const BAD_EXAMPLES_MAX: usize = 3;

impl Mapper<'_> {
    pub(super) fn set(&mut self, column: usize, value: Value<'_>) {
        self.tally.seen[column] = true;
        self.filled |= 1 << column;
        self.batch.set(column, value);
    }

    pub(super) fn bad(&mut self, column: usize, line: u64, found: &str, reason: Bad) {
        let bad = self
            .tally
            .bad_values
            .entry(COLUMNS[column].name)
            .or_default();
        bad.count += 1;
        if bad.examples.len() < BAD_EXAMPLES_MAX {
            bad.examples.push(BadValue {
                line,
                found: shown(found),
                reason,
            });
        }
    }

    pub(super) fn fill(&mut self, record: &Record<'_>, column: usize, currency: Option<Currency>) {
        let convert = self.converters[column];
        let state = self.slots[column].state;
        match convert {
            Convert::List { .. } => return self.fill_list(record, column),
            Convert::Path => return self.fill_path(record, column),
            _ if state == SlotState::Parts => return self.fill_joined(record, column),
            _ => {}
        }
        let Some(found) = self.value(record, column) else {
            return;
        };
        let result = match (convert, state) {
            (Convert::ShippingCost, SlotState::Minor) if found == "-1" => {
                self.set(column, Value::Int(-1));
                Ok(())
            }
            (Convert::Money | Convert::ShippingCost, SlotState::Minor) => {
                convert::minor(found).map(|minor| self.set(column, Value::Int(minor)))
            }
            (Convert::Money, _) => {
                let (amount, named) = convert::split_money(found);
                convert::money(amount, named, currency)
                    .map(|minor| self.set(column, Value::Int(minor)))
            }
            (Convert::ShippingCost, _) => convert::shipping_cost(found, currency)
                .map(|minor| self.set(column, Value::Int(minor))),
            (Convert::Text, _) => self.fill_text(record.line, column, found),
            (Convert::Gtin, _) => {
                convert::gtin(found).map(|digits| self.set(column, Value::Text(&digits)))
            }
            (other, _) => self
                .settings
                .value(other, found)
                .map(|value| self.set(column, value)),
        };
        if let Err(why) = result {
            self.bad(column, record.line, found, why);
        } else if column == self.known.brand {
            self.fill_brand(found);
        } else if column == self.known.model {
            self.fill_model(found);
        }
    }

    fn fill_text(&mut self, line: u64, column: usize, found: &str) -> Result<(), Bad> {
        convert::text(found)?;
        let kept = convert::cut(found, self.limits.value_bytes_max);
        if kept.len() < found.len() {
            self.bad(
                column,
                line,
                found,
                "is longer than limits.value_bytes_max and cut",
            );
        }
        self.set(column, Value::Text(kept));
        Ok(())
    }

    fn fill_brand(&mut self, brand: &str) {
        if self.slots[self.known.brand_normalised].state == SlotState::Empty {
            let normalised = self.normaliser.brand(brand);
            if !normalised.is_empty() {
                let column = self.known.brand_normalised;
                self.tally.seen[column] = true;
                self.filled |= 1 << column;
                self.batch.set(column, Value::Text(normalised));
            }
        }
    }

    fn fill_model(&mut self, model: &str) {
        let column = self.known.model_normalised;
        if self.slots[column].state == SlotState::Empty {
            let normalised = model_key(model);
            if !normalised.is_empty() {
                self.set(column, Value::Text(&normalised));
            }
        }
    }

    /// Parts in the order that the pipe or the specification gives them.
    fn parts_of<'r>(&mut self, record: &Record<'r>, column: usize) -> Vec<&'r str> {
        self.parts.sort_by_key(|(column, at, ..)| (*column, *at));
        let own = self.parts.iter().filter(|(of, ..)| *of == column);
        own.map(|(_, _, start, end)| &record.text[*start as usize..*end as usize])
            .collect()
    }

    fn fill_path(&mut self, record: &Record<'_>, column: usize) {
        let levels = match self.value(record, column) {
            Some(found) => {
                let mut levels = vec![found];
                // An array holds the levels of one path; a repeated element
                // is another path, and the first counts.
                if self.arrays_are_paths {
                    let more = self.more.iter().filter(|(of, ..)| *of == column);
                    levels.extend(
                        more.map(|(_, start, end)| &record.text[*start as usize..*end as usize]),
                    );
                }
                levels
            }
            None => self.parts_of(record, column),
        };
        let path = convert::path(levels);
        if let Err(why) = self.fill_text(record.line, column, &path) {
            return self.bad(column, record.line, &path, why);
        }
        if column == self.known.category
            && self.slots[self.known.category_mapped].state == SlotState::Empty
            && let Some(mapped) = self.normaliser.category(&path)
        {
            let column = self.known.category_mapped;
            self.tally.seen[column] = true;
            self.filled |= 1 << column;
            self.batch.set(column, Value::Text(mapped));
        }
    }

    fn fill_joined(&mut self, record: &Record<'_>, column: usize) {
        let joined = self.parts_of(record, column).join(" ");
        let result = match self.converters[column] {
            Convert::Text => self.fill_text(record.line, column, &joined),
            other => self
                .settings
                .value(other, &joined)
                .map(|value| self.set(column, value)),
        };
        if let Err(why) = result {
            self.bad(column, record.line, &joined, why);
        }
    }

    fn fill_list(&mut self, record: &Record<'_>, column: usize) {
        let Convert::List { separator, urls } = self.converters[column] else {
            return;
        };
        let mut found: Vec<&str> = self.value(record, column).into_iter().collect();
        if self.slots[column].state == SlotState::Parts {
            found = self.parts_of(record, column);
        }
        let more = self.more.iter().filter(|(of, ..)| *of == column);
        found.extend(more.map(|(_, start, end)| &record.text[*start as usize..*end as usize]));
        let mut values = Vec::with_capacity(found.len());
        for found in found {
            match separator {
                Some(separator) => values.extend(convert::list(found, separator)),
                None => values.push(found),
            }
        }
        let check = if urls { convert::url } else { convert::text };
        let mut wrong = Vec::new();
        values.retain(|value| {
            check(value)
                .inspect_err(|why| wrong.push((*value, *why)))
                .is_ok()
        });
        for (value, why) in wrong {
            self.bad(column, record.line, value, why);
        }
        if !values.is_empty() {
            self.set(column, Value::TextList(&values));
        }
    }

    pub(super) fn fill_extra(&mut self, record: &Record<'_>) {
        if self.extra.is_empty() {
            return;
        }
        let mut entries: Vec<(&str, &str)> = Vec::with_capacity(self.extra.len());
        let mut bytes = 0;
        for (field, start, end) in &self.extra {
            let name = self.fields.name(*field as usize);
            let value = &record.text[*start as usize..*end as usize];
            bytes += name.len() + value.len();
            let fits = entries.len() < self.limits.extra_fields_max
                && bytes <= self.limits.extra_bytes_max;
            if fits && !entries.iter().any(|(known, _)| *known == name) {
                entries.push((name, value));
            } else {
                self.tally.extra_dropped += 1;
            }
        }
        if !entries.is_empty() {
            // One order for one content, whatever the order in the feed.
            entries.sort_unstable();
            self.batch.set_extra(entries.into_iter());
        }
    }
}

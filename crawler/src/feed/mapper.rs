//! One record of the feed to one row of the schema: which value fills which
//! column, whether the row may stay, and what the sink gets.

use std::collections::{BTreeMap, HashSet};
use std::io;

use trawler_core::feed::{FeedFormat, FeedLimits, FeedMode, FeedOptions};
use trawler_core::product::{COLUMNS, Currency, column_index};

use super::batch::{Batch, Value};
use super::control::Control;
use super::convert::{self, Bad};
use super::converter::{Convert, Settings};
use super::error::FeedError;
use super::fields::{Fields, Target};
use super::outcome::{BadValue, BadValues, RowSink};
use super::rejected::{Reason, RejectedRow, RejectedRows, shown};
use super::text::MALFORMED;
use crate::normalise::Normaliser;

/// Examples of wrong values kept of each column.
const BAD_EXAMPLES_MAX: usize = 3;

/// A value of a record: number of its field, start and end in the text.
pub(super) type FieldSpan = (u32, u32, u32);

/// One row as the format reader gives it.
pub(super) struct Record<'r> {
    pub(super) text: &'r str,
    pub(super) values: &'r [FieldSpan],
    pub(super) line: u64,
    pub(super) offset: u64,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    start: u32,
    end: u32,
    state: SlotState,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum SlotState {
    #[default]
    Empty,
    Fallback,
    Set,
    /// An amount in minor units.
    Minor,
    /// The value is in several fields.
    Parts,
}

/// Positions of the columns that the mapper itself looks at.
struct Known {
    id: usize,
    title: usize,
    link: usize,
    price: usize,
    currency: usize,
    category: usize,
    category_mapped: usize,
    brand: usize,
    brand_normalised: usize,
}

impl Known {
    fn new() -> Self {
        let at = |name| column_index(name).expect("a guaranteed column of the schema");
        Self {
            id: at("id"),
            title: at("title"),
            link: at("link"),
            price: at("price_minor"),
            currency: at("currency"),
            category: at("category_path"),
            category_mapped: at("category_mapped"),
            brand: at("brand"),
            brand_normalised: at("brand_normalised"),
        }
    }
}

/// Why a row is rejected.
struct Refusal {
    reason: Reason,
    column: Option<usize>,
    found: String,
    why: String,
}

pub(super) struct Mapper<'a> {
    pub(super) fields: Fields,
    control: &'a Control<'a>,
    settings: Settings,
    limits: FeedLimits,
    mode: FeedMode,
    default_currency: Option<Currency>,
    arrays_are_paths: bool,
    known: Known,
    converters: Vec<Convert>,
    slots: Vec<Slot>,
    touched: Vec<usize>,
    more: Vec<(usize, u32, u32)>,
    parts: Vec<(usize, u8, u32, u32)>,
    extra: Vec<FieldSpan>,
    class: Option<(u32, u32)>,
    batch: Batch,
    /// Ids of the batch, kept only where deletions may meet them.
    batch_ids: HashSet<String>,
    deletes: Vec<String>,
    delete_ids: HashSet<String>,
    sink: &'a mut dyn RowSink,
    normaliser: &'a mut Normaliser,
    rejected: &'a mut RejectedRows,
    pub(super) tally: Tally,
}

/// What was counted.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) rows: u64,
    pub(super) deletes: u64,
    pub(super) extra_dropped: u64,
    pub(super) bad_values: BTreeMap<&'static str, BadValues>,
    pub(super) seen: Vec<bool>,
}

impl<'a> Mapper<'a> {
    pub(super) fn new(
        options: &FeedOptions,
        settings: Settings,
        control: &'a Control<'a>,
        sink: &'a mut dyn RowSink,
        normaliser: &'a mut Normaliser,
        rejected: &'a mut RejectedRows,
    ) -> Self {
        let tally = Tally {
            seen: vec![false; COLUMNS.len()],
            ..Tally::default()
        };
        Self {
            fields: Fields::new(options),
            control,
            converters: settings.converters(),
            settings,
            limits: options.limits.clone(),
            mode: options.mode,
            default_currency: options.default_currency(),
            arrays_are_paths: matches!(options.format, FeedFormat::Json | FeedFormat::Jsonl),
            known: Known::new(),
            slots: vec![Slot::default(); COLUMNS.len()],
            touched: Vec::new(),
            more: Vec::new(),
            parts: Vec::new(),
            extra: Vec::new(),
            class: None,
            batch: Batch::new(),
            batch_ids: HashSet::new(),
            deletes: Vec::new(),
            delete_ids: HashSet::new(),
            sink,
            normaliser,
            rejected,
            tally,
        }
    }

    /// Checks that the header has what every row needs.
    pub(super) fn check_header(&self) -> io::Result<()> {
        let missing = |column| {
            let names: Vec<&str> = self.fields.names().collect();
            let header = convert::cut(&names.join(", "), 2_000).to_owned();
            Err(self
                .control
                .error(FeedError::MissingColumn { column, header }))
        };
        for column in [self.known.id, self.known.title, self.known.link] {
            if !self.fields.fills(column) {
                return missing(COLUMNS[column].name);
            }
        }
        if self.mode == FeedMode::Summary && !self.fields.has_class() {
            return missing("class");
        }
        Ok(())
    }

    /// Takes one record.
    pub(super) fn row(&mut self, record: &Record<'_>) -> io::Result<()> {
        self.control.row()?;
        self.collect(record);
        match self.judge(record) {
            Ok(Op::Upsert) => self.upsert(record),
            Ok(Op::Delete) => self.delete(record),
            Err(refusal) => {
                let id = self
                    .value(record, self.known.id)
                    .filter(|id| !id.is_empty());
                let row = RejectedRow {
                    line: record.line,
                    byte_offset: record.offset,
                    id: id.map(shown),
                    column: refusal.column.map(|column| COLUMNS[column].name),
                    found: shown(&refusal.found),
                    reason: refusal.why,
                };
                self.take_rejected(refusal.reason, 1, row)
            }
        }
    }

    /// Takes a row that could not even be taken apart; it stands for `rows`.
    pub(super) fn reject(
        &mut self,
        reason: Reason,
        rows: u64,
        at: (u64, u64),
        found: &str,
        why: String,
    ) -> io::Result<()> {
        self.control.row()?;
        let row = RejectedRow {
            line: at.0,
            byte_offset: at.1,
            id: None,
            column: None,
            found: shown(found),
            reason: why,
        };
        self.take_rejected(reason, rows, row)
    }

    fn take_rejected(&mut self, reason: Reason, rows: u64, row: RejectedRow) -> io::Result<()> {
        let control = self.control;
        self.rejected
            .take(reason, rows, row)
            .map_err(|error| control.error(FeedError::Report(error)))
    }

    pub(super) fn rejected(&self) -> &RejectedRows {
        self.rejected
    }

    /// Sorts the values of the record by column.
    fn collect(&mut self, record: &Record<'_>) {
        for column in self.touched.drain(..) {
            self.slots[column].state = SlotState::Empty;
        }
        self.more.clear();
        self.parts.clear();
        self.extra.clear();
        self.class = None;
        for &(field, start, end) in record.values {
            let found = &record.text[start as usize..end as usize];
            let from_left = found.trim_start();
            let start = end - from_left.len() as u32;
            let end = start + from_left.trim_end().len() as u32;
            if start == end {
                continue;
            }
            for at in 0..self.fields.targets(field as usize).len() {
                let target = self.fields.targets(field as usize)[at];
                self.place(target, field, start, end);
            }
        }
    }

    fn place(&mut self, target: Target, field: u32, start: u32, end: u32) {
        let (column, state) = match target {
            Target::Column {
                column,
                fallback: false,
            } => (column, SlotState::Set),
            Target::Column { column, .. } => (column, SlotState::Fallback),
            Target::Minor { column } => (column, SlotState::Minor),
            Target::Part { column, at } => {
                self.parts.push((column, at, start, end));
                (column, SlotState::Parts)
            }
            Target::Class => {
                self.class.get_or_insert((start, end));
                return;
            }
            Target::Extra => {
                self.extra.push((field, start, end));
                return;
            }
            Target::Ignore => return,
        };
        let slot = &mut self.slots[column];
        match slot.state {
            SlotState::Empty => self.touched.push(column),
            SlotState::Fallback if state != SlotState::Fallback => {}
            SlotState::Set if state == SlotState::Set => {
                self.more.push((column, start, end));
                return;
            }
            _ => return,
        }
        *slot = Slot { start, end, state };
    }

    fn value<'r>(&self, record: &Record<'r>, column: usize) -> Option<&'r str> {
        let slot = self.slots[column];
        match slot.state {
            SlotState::Empty | SlotState::Parts => None,
            SlotState::Fallback | SlotState::Set | SlotState::Minor => {
                Some(&record.text[slot.start as usize..slot.end as usize])
            }
        }
    }

    /// Whether the row stays, and what it asks for.
    fn judge(&self, record: &Record<'_>) -> Result<Op, Refusal> {
        if self.control.malformed() > 0 && record.text.contains(MALFORMED) {
            return Err(self.malformed(record));
        }
        self.required(record, self.known.id, convert::id)?;
        if self.op(record)? == Op::Delete {
            return Ok(Op::Delete);
        }
        self.required(record, self.known.title, convert::text)?;
        self.required(record, self.known.link, convert::url)?;
        Ok(Op::Upsert)
    }

    fn malformed(&self, record: &Record<'_>) -> Refusal {
        let damaged = record
            .values
            .iter()
            .map(|(field, start, end)| (field, &record.text[*start as usize..*end as usize]))
            .find(|(_, value)| value.contains(MALFORMED));
        let column =
            damaged.and_then(
                |(field, _)| match self.fields.targets(*field as usize).first()? {
                    Target::Column { column, .. }
                    | Target::Minor { column }
                    | Target::Part { column, .. } => Some(*column),
                    Target::Class | Target::Extra | Target::Ignore => None,
                },
            );
        Refusal {
            reason: Reason::MalformedCharacters,
            column,
            found: shown(damaged.map_or(record.text, |(_, value)| value)),
            why: "holds bytes that are malformed in the feed's charset".to_owned(),
        }
    }

    fn required<'r>(
        &self,
        record: &Record<'r>,
        column: usize,
        check: impl Fn(&'r str) -> Result<&'r str, Bad>,
    ) -> Result<&'r str, Refusal> {
        let Some(found) = self.value(record, column) else {
            return Err(Refusal {
                reason: Reason::MissingValue,
                column: Some(column),
                found: String::new(),
                why: "is missing".to_owned(),
            });
        };
        check(found).map_err(|why| Refusal {
            reason: Reason::WrongValue,
            column: Some(column),
            found: shown(found),
            why: why.to_owned(),
        })
    }

    fn op(&self, record: &Record<'_>) -> Result<Op, Refusal> {
        let class = self
            .class
            .map(|(start, end)| &record.text[start as usize..end as usize]);
        let refused = |why: &str| Refusal {
            reason: Reason::Class,
            column: None,
            found: class.map(shown).unwrap_or_default(),
            why: why.to_owned(),
        };
        match (self.mode, class) {
            (_, Some("I" | "i" | "U" | "u")) | (FeedMode::Full, None) => Ok(Op::Upsert),
            (FeedMode::Summary, Some("D" | "d")) => Ok(Op::Delete),
            (FeedMode::Full, Some("D" | "d")) => Err(refused(
                "class D in a full feed; declare mode = \"summary\", or ignore = [\"class\"]",
            )),
            (FeedMode::Summary, None) => Err(refused("class is missing; it is I, U or D")),
            (_, Some(_)) => Err(refused("class is none of I, U and D")),
        }
    }

    fn delete(&mut self, record: &Record<'_>) -> io::Result<()> {
        let id = self.value(record, self.known.id).unwrap_or_default();
        if self.batch_ids.contains(id) || self.deletes.len() >= self.limits.batch_rows {
            self.flush()?;
        }
        self.delete_ids.insert(id.to_owned());
        self.deletes.push(id.to_owned());
        self.tally.deletes += 1;
        Ok(())
    }

    fn upsert(&mut self, record: &Record<'_>) -> io::Result<()> {
        if self.mode == FeedMode::Summary {
            let id = self.value(record, self.known.id).unwrap_or_default();
            if self.delete_ids.contains(id) {
                self.flush()?;
            }
            self.batch_ids.insert(id.to_owned());
        }
        let currency = self.currency(record);
        for at in 0..self.touched.len() {
            let column = self.touched[at];
            if column != self.known.currency {
                self.fill(record, column, currency);
            }
        }
        if let Some(currency) = currency {
            self.set(self.known.currency, Value::Text(currency.as_str()));
        }
        self.fill_extra(record);
        self.batch.end_row();
        self.tally.rows += 1;
        let full = self.batch.rows() >= self.limits.batch_rows
            || self.batch.bytes() >= self.limits.batch_bytes;
        if full { self.flush() } else { Ok(()) }
    }

    /// The currency of the row: its own field, else that of the price, else
    /// the pipe's.
    fn currency(&mut self, record: &Record<'_>) -> Option<Currency> {
        if let Some(found) = self.value(record, self.known.currency) {
            match Currency::parse(found) {
                Ok(currency) => return Some(currency),
                Err(_) => {
                    let why = "is not a three-letter ISO 4217 code";
                    self.bad(self.known.currency, record.line, found, why);
                }
            }
        }
        let named = self
            .value(record, self.known.price)
            .and_then(|price| convert::split_money(price).1);
        named.or(self.default_currency)
    }

    fn set(&mut self, column: usize, value: Value<'_>) {
        self.tally.seen[column] = true;
        self.batch.set(column, value);
    }

    fn bad(&mut self, column: usize, line: u64, found: &str, reason: Bad) {
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

    fn fill(&mut self, record: &Record<'_>, column: usize, currency: Option<Currency>) {
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
            (Convert::Money | Convert::ShippingCost, SlotState::Minor) => {
                convert::int(found).map(|minor| self.set(column, Value::Int(minor)))
            }
            (Convert::Money, _) => {
                let (amount, named) = convert::split_money(found);
                convert::money(amount, named, currency)
                    .map(|minor| self.set(column, Value::Int(minor)))
            }
            (Convert::ShippingCost, _) if found == "-1" => {
                self.set(column, Value::Int(-1));
                Ok(())
            }
            (Convert::ShippingCost, _) => convert::money(found, None, currency)
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
                self.tally.seen[self.known.brand_normalised] = true;
                self.batch
                    .set(self.known.brand_normalised, Value::Text(normalised));
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
            self.tally.seen[self.known.category_mapped] = true;
            self.batch
                .set(self.known.category_mapped, Value::Text(mapped));
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

    fn fill_extra(&mut self, record: &Record<'_>) {
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

    /// Hands on what is held. Deletions and rows held have no id in common.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let control = self.control;
        let failed = |error| control.error(FeedError::Sink(error));
        if !self.deletes.is_empty() {
            self.delete_ids.clear();
            let deletes = std::mem::take(&mut self.deletes);
            self.sink.delete(deletes).map_err(failed)?;
        }
        if self.batch.rows() > 0 {
            self.batch_ids.clear();
            self.sink.upsert(self.batch.take()).map_err(failed)?;
        }
        let report = |error| control.error(FeedError::Report(error));
        self.rejected.flush().map_err(report)
    }
}

#[derive(PartialEq, Eq)]
enum Op {
    Upsert,
    Delete,
}

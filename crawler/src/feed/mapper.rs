//! One record of the feed to one row of the schema: which value fills which
//! column, whether the row may stay, and what the sink gets.

use std::collections::{BTreeMap, HashSet};
use std::io;

use chrono::DateTime;
use trawler_catalogue::Deleted;
use trawler_core::feed::{FeedFormat, FeedLimits, FeedMode, FeedOptions};
use trawler_core::product::{COLUMNS, Currency, PARTNER_UPDATED, column_index};

use super::batch::{Batch, Value};
use super::control::Control;
use super::convert;
use super::converter::{Convert, Settings};
use super::error::FeedError;
use super::fields::{Fields, Target};
use super::judge::Op;
use super::outcome::{BadValues, RowSink};
use super::partial::Partial;
use super::rejected::{Reason, RejectedRow, RejectedRows, shown};
use crate::normalise::Normaliser;

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
pub(super) struct Slot {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) state: SlotState,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum SlotState {
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
pub(super) struct Known {
    pub(super) id: usize,
    pub(super) title: usize,
    pub(super) link: usize,
    pub(super) price: usize,
    pub(super) currency: usize,
    pub(super) category: usize,
    pub(super) category_mapped: usize,
    pub(super) brand: usize,
    pub(super) brand_normalised: usize,
    pub(super) updated: usize,
    pub(super) model: usize,
    pub(super) model_normalised: usize,
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
            updated: at(PARTNER_UPDATED),
            model: at("model"),
            model_normalised: at("model_normalised"),
        }
    }
}

pub(super) struct Mapper<'a> {
    pub(super) fields: Fields,
    pub(super) control: &'a Control<'a>,
    pub(super) settings: Settings,
    pub(super) limits: FeedLimits,
    pub(super) mode: FeedMode,
    /// Set where rows hold only what changed.
    pub(super) partial: Option<Partial>,
    default_currency: Option<Currency>,
    pub(super) arrays_are_paths: bool,
    pub(super) known: Known,
    pub(super) converters: Vec<Convert>,
    pub(super) slots: Vec<Slot>,
    touched: Vec<usize>,
    /// Columns with a value in the current row, a bit each.
    pub(super) filled: u128,
    pub(super) more: Vec<(usize, u32, u32)>,
    pub(super) parts: Vec<(usize, u8, u32, u32)>,
    pub(super) extra: Vec<FieldSpan>,
    pub(super) class: Option<(u32, u32)>,
    pub(super) batch: Batch,
    /// Ids of the batch, kept only where deletions may meet them.
    batch_ids: HashSet<String>,
    /// Whether the batch holds rows whose ids are not among these.
    has_unnamed: bool,
    deletes: Vec<Deleted>,
    delete_ids: HashSet<String>,
    sink: &'a mut dyn RowSink,
    pub(super) normaliser: &'a mut Normaliser,
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
            partial: options.partial.then(|| Partial::new(options)),
            default_currency: options.default_currency(),
            arrays_are_paths: matches!(options.format, FeedFormat::Json | FeedFormat::Jsonl),
            known: Known::new(),
            slots: vec![Slot::default(); COLUMNS.len()],
            touched: Vec::new(),
            filled: 0,
            more: Vec::new(),
            parts: Vec::new(),
            extra: Vec::new(),
            class: None,
            batch: match options.partial {
                true => Batch::partial(),
                false => Batch::new(),
            },
            batch_ids: HashSet::new(),
            has_unnamed: false,
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
        let whole = [self.known.id, self.known.title, self.known.link];
        let required = match self.partial {
            Some(_) => &whole[..1],
            None => &whole[..],
        };
        for column in required {
            if !self.fields.fills(*column) {
                return missing(COLUMNS[*column].name);
            }
        }
        let needs_class = self.mode == FeedMode::Summary && self.partial.is_none();
        if needs_class && !self.fields.has_class() {
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
        self.filled = 0;
        if let Some(partial) = &mut self.partial {
            partial.begin_row();
        }
        for &(field, start, end) in record.values {
            let found = &record.text[start as usize..end as usize];
            let from_left = found.trim_start();
            let start = end - from_left.len() as u32;
            let end = start + from_left.trim_end().len() as u32;
            if start == end {
                continue;
            }
            if self.partial.is_some() {
                self.collect_partial(record.text, field, start, end);
                continue;
            }
            for at in 0..self.fields.targets(field as usize).len() {
                let target = self.fields.targets(field as usize)[at];
                self.place(target, field, start, end);
            }
        }
    }

    /// A value of a row that holds only what changed: the sentinel empties.
    fn collect_partial(&mut self, text: &str, field: u32, start: u32, end: u32) {
        let value = &text[start as usize..end as usize];
        for at in 0..self.fields.targets(field as usize).len() {
            let target = self.fields.targets(field as usize)[at];
            match &mut self.partial {
                Some(partial) if target != Target::Class && partial.is_sentinel(value) => {
                    partial.clear(target, self.fields.name(field as usize));
                }
                Some(_) | None => self.place(target, field, start, end),
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
            Target::Personal | Target::Ignore => return,
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

    pub(super) fn value<'r>(&self, record: &Record<'r>, column: usize) -> Option<&'r str> {
        let slot = self.slots[column];
        match slot.state {
            SlotState::Empty | SlotState::Parts => None,
            SlotState::Fallback | SlotState::Set | SlotState::Minor => {
                Some(&record.text[slot.start as usize..slot.end as usize])
            }
        }
    }

    fn delete(&mut self, record: &Record<'_>) -> io::Result<()> {
        let id = self.value(record, self.known.id).unwrap_or_default();
        let may_meet = self.has_unnamed || self.batch_ids.contains(id);
        if may_meet || self.deletes.len() >= self.limits.batch_rows {
            self.flush()?;
        }
        let updated = self.value(record, self.known.updated);
        let updated = updated.and_then(|found| self.settings.instant(found).ok());
        self.delete_ids.insert(id.to_owned());
        self.deletes.push(Deleted {
            id: id.to_owned(),
            updated: updated.and_then(DateTime::from_timestamp_micros),
        });
        self.tally.deletes += 1;
        Ok(())
    }

    fn upsert(&mut self, record: &Record<'_>) -> io::Result<()> {
        if self.mode == FeedMode::Full && self.class.is_none() {
            self.has_unnamed = true;
        } else {
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
        if let Some(currency) = currency
            && self.says_currency(record)
        {
            self.set(self.known.currency, Value::Text(currency.as_str()));
        }
        self.fill_extra(record);
        self.end_row();
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

    /// Whether the row says something of money; one that holds only what
    /// changed may not, and the stored currency stays.
    fn says_currency(&self, record: &Record<'_>) -> bool {
        match &self.partial {
            None => true,
            Some(partial) => {
                self.filled & partial.money() != 0
                    || self.value(record, self.known.currency).is_some()
            }
        }
    }

    fn end_row(&mut self) {
        match &self.partial {
            None => self.batch.end_row(),
            Some(partial) => {
                let cleared = partial.cleared(&self.known, self.filled);
                self.batch.end_partial_row(&cleared);
            }
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
            self.has_unnamed = false;
            self.sink.upsert(self.batch.take()).map_err(failed)?;
        }
        let report = |error| control.error(FeedError::Report(error));
        self.rejected.flush().map_err(report)
    }
}

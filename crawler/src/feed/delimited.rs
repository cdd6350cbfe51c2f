//! CSV with any delimiter and quote: with header, with names that the pipe
//! gives, or by position.

use std::io;

use csv::StringRecord;
use trawler_core::feed::{CsvOptions, FeedLimits, ShortRows};

use super::control::Control;
use super::error::{FeedError, Incomplete};
use super::mapper::{FieldSpan, Mapper, Record};
use super::rejected::Reason;
use super::text::{READ_AHEAD_BYTES, Text, TextReader};

pub(super) struct Delimited<'o> {
    pub(super) options: CsvOptions,
    pub(super) short_rows: ShortRows,
    pub(super) limits: &'o FeedLimits,
}

pub(super) fn read<'c>(
    text: Text<'c>,
    format: &Delimited<'_>,
    mapper: &mut Mapper<'_>,
    control: &'c Control<'c>,
) -> io::Result<()> {
    let quote = format.options.quote.bytes().next();
    let mut input = TextReader::new(text, control);
    if let Some(quote) = quote {
        input = input.counting(quote);
    }
    let mut builder = csv::ReaderBuilder::new();
    builder
        .has_headers(false)
        .flexible(true)
        .delimiter(format.options.delimiter as u8)
        .quoting(quote.is_some())
        .quote(quote.unwrap_or(b'"'));
    let mut reader = builder.from_reader(input);
    let row_bytes = format.limits.row_bytes_max + READ_AHEAD_BYTES;
    let mut record = StringRecord::new();
    let mut numbers: Vec<u32> = Vec::new();
    let mut values: Vec<FieldSpan> = Vec::new();
    let mut last = None;
    if !format.options.names.is_empty() {
        numbers = number_names(&format.options.names, mapper, control)?;
    }
    loop {
        control.grant(row_bytes);
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return Err(explain(error, control)),
        }
        if numbers.is_empty() {
            numbers = number_fields(&record, format, mapper, control)?;
            if format.options.header {
                continue;
            }
        }
        let position = record
            .position()
            .cloned()
            .unwrap_or_else(csv::Position::new);
        let lines = reader
            .position()
            .line()
            .saturating_sub(position.line())
            .max(1);
        last = Some((position.line(), lines));
        let at = (position.line(), position.byte());
        let found = split(&record, &numbers, &mut values);
        let short = found < numbers.len() && format.short_rows == ShortRows::Reject;
        if found > numbers.len() || short {
            // A quote that was never closed swallows rows; each one counts.
            let span = if lines > 1 {
                format!(" (it spans {lines} lines)")
            } else {
                String::new()
            };
            let why = format!("has {found} fields, and {} are wanted{span}", numbers.len());
            let shown = record.iter().collect::<Vec<_>>().join(" | ");
            mapper.reject(Reason::FieldCount, lines, at, &shown, why)?;
            continue;
        }
        mapper.row(&Record {
            text: record.as_slice(),
            values: &values,
            line: at.0,
            offset: at.1,
        })?;
    }
    if numbers.is_empty() || (!format.options.names.is_empty() && last.is_none()) {
        return Err(control.incomplete(Incomplete::Empty));
    }
    match last {
        // An odd number of quotes with a last row over several lines: the
        // file ended inside a quoted field.
        Some((line, lines)) if lines > 1 && reader.get_ref().quotes() % 2 == 1 => {
            Err(control.incomplete(Incomplete::CutOffRow { line }))
        }
        _ => Ok(()),
    }
}

fn number_fields(
    record: &StringRecord,
    format: &Delimited<'_>,
    mapper: &mut Mapper<'_>,
    control: &Control<'_>,
) -> io::Result<Vec<u32>> {
    let mut numbers = Vec::with_capacity(record.len());
    for (at, name) in record.iter().enumerate() {
        let number = match format.options.header {
            true => mapper.fields.header(at, name.trim()),
            false => mapper.fields.position(at),
        };
        numbers.push(number.map_err(|error| control.error(error))? as u32);
    }
    mapper.check_header()?;
    Ok(numbers)
}

fn number_names(
    names: &[String],
    mapper: &mut Mapper<'_>,
    control: &Control<'_>,
) -> io::Result<Vec<u32>> {
    let mut numbers = Vec::with_capacity(names.len());
    for (at, name) in names.iter().enumerate() {
        let number = mapper.fields.header(at, name.trim());
        numbers.push(number.map_err(|error| control.error(error))? as u32);
    }
    mapper.check_header()?;
    Ok(numbers)
}

/// Fields in the record; empty ones beyond the header do not count.
fn split(record: &StringRecord, numbers: &[u32], values: &mut Vec<FieldSpan>) -> usize {
    values.clear();
    let mut filled = 0;
    for at in 0..record.len() {
        let Some(range) = record.range(at).filter(|range| !range.is_empty()) else {
            continue;
        };
        filled = at + 1;
        if let Some(number) = numbers.get(at) {
            values.push((*number, range.start as u32, range.end as u32));
        }
    }
    if record.len() > numbers.len() {
        filled.max(numbers.len())
    } else {
        record.len()
    }
}

fn explain(error: csv::Error, control: &Control<'_>) -> io::Error {
    let offset = error.position().map_or(0, csv::Position::byte);
    let why = error.to_string();
    // Where our own reader failed, its fault was kept first and stays.
    control.error(FeedError::Malformed {
        format: "CSV",
        offset,
        why,
    })
}

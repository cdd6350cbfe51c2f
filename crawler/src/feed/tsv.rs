//! Tab-separated rows with a header: Naver EP, which knows no quoting, and
//! Google Merchant, where a spreadsheet may have quoted a cell.

use std::io;

use trawler_core::feed::ShortRows;

use super::control::Control;
use super::error::Incomplete;
use super::lines::Lines;
use super::mapper::{FieldSpan, Mapper, Record};
use super::rejected::Reason;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quoting {
    None,
    /// `"24"" monitor"` on one line. A quote that is not closed before a tab
    /// or the end of the line is a plain character.
    Cell,
}

pub(super) fn read(
    mut lines: Lines<'_>,
    quoting: Quoting,
    short_rows: ShortRows,
    mapper: &mut Mapper<'_>,
    control: &Control<'_>,
) -> io::Result<()> {
    let mut rows = Rows {
        numbers: Vec::new(),
        values: Vec::new(),
        unquoted: String::new(),
        quoting,
        short_rows,
    };
    match lines.next()? {
        Some(header) if !header.too_long && !header.text.trim().is_empty() => {
            for (at, name) in header.text.split('\t').enumerate() {
                let name = name.trim().trim_matches('"');
                let number = mapper.fields.header(at, name);
                rows.numbers
                    .push(number.map_err(|error| control.error(error))? as u32);
            }
        }
        _ => return Err(control.incomplete(Incomplete::Empty)),
    }
    mapper.check_header()?;
    while let Some(line) = lines.next()? {
        let at = (line.line, line.offset);
        if line.text.is_empty() {
            continue;
        }
        if line.too_long {
            let why = "is longer than limits.row_bytes_max".to_owned();
            mapper.reject(Reason::TooLong, 1, at, line.text, why)?;
            continue;
        }
        match rows.row(line.text, at, mapper)? {
            Ok(()) => {}
            Err(found) if !line.ended && found < rows.numbers.len() => {
                return Err(control.incomplete(Incomplete::CutOffRow { line: line.line }));
            }
            Err(found) => {
                let wanted = rows.numbers.len();
                let why = format!("has {found} fields, and the header has {wanted}");
                mapper.reject(Reason::FieldCount, 1, at, line.text, why)?;
            }
        }
    }
    Ok(())
}

struct Rows {
    /// Numbers of the fields, by position.
    numbers: Vec<u32>,
    values: Vec<FieldSpan>,
    unquoted: String,
    quoting: Quoting,
    short_rows: ShortRows,
}

impl Rows {
    /// Gives the number of fields where it is wrong.
    fn row(
        &mut self,
        line: &str,
        at: (u64, u64),
        mapper: &mut Mapper<'_>,
    ) -> io::Result<Result<(), usize>> {
        self.values.clear();
        let quoted =
            self.quoting == Quoting::Cell && memchr::memchr(b'"', line.as_bytes()).is_some();
        let found = if quoted {
            self.split_quoted(line)
        } else {
            self.split(line)
        };
        if found > self.numbers.len()
            || (found < self.numbers.len() && self.short_rows == ShortRows::Reject)
        {
            return Ok(Err(found));
        }
        let record = Record {
            text: if quoted { &self.unquoted } else { line },
            values: &self.values,
            line: at.0,
            offset: at.1,
        };
        mapper.row(&record).map(Ok)
    }

    /// Fields in the line; empty ones beyond the header do not count.
    fn split(&mut self, line: &str) -> usize {
        let (mut start, mut count, mut filled) = (0, 0, 0);
        let ends = memchr::memchr_iter(b'\t', line.as_bytes()).chain([line.len()]);
        for end in ends {
            if end > start {
                if let Some(number) = self.numbers.get(count) {
                    self.values.push((*number, start as u32, end as u32));
                }
                filled = count + 1;
            }
            count += 1;
            start = end + 1;
        }
        if count > self.numbers.len() {
            filled.max(self.numbers.len())
        } else {
            count
        }
    }

    /// Like [`Self::split`], with the cells copied to `unquoted`.
    fn split_quoted(&mut self, line: &str) -> usize {
        self.unquoted.clear();
        let (mut rest, mut count, mut filled) = (Some(line), 0, 0);
        while let Some(cells) = rest {
            let start = self.unquoted.len();
            rest = match quoted_cell(cells, &mut self.unquoted) {
                Some(after) => after,
                None => {
                    let (cell, after) = match cells.split_once('\t') {
                        Some((cell, after)) => (cell, Some(after)),
                        None => (cells, None),
                    };
                    self.unquoted.push_str(cell);
                    after
                }
            };
            if self.unquoted.len() > start {
                if let Some(number) = self.numbers.get(count) {
                    let end = self.unquoted.len() as u32;
                    self.values.push((*number, start as u32, end));
                }
                filled = count + 1;
            }
            count += 1;
        }
        if count > self.numbers.len() {
            filled.max(self.numbers.len())
        } else {
            count
        }
    }
}

/// Reads a quoted cell into `out`; gives what follows its tab. None where the
/// cell is not quoted.
fn quoted_cell<'l>(cells: &'l str, out: &mut String) -> Option<Option<&'l str>> {
    let inner = cells.strip_prefix('"')?;
    let before = out.len();
    let mut rest = inner;
    loop {
        let Some((text, after)) = rest.split_once('"') else {
            out.truncate(before);
            return None;
        };
        out.push_str(text);
        if let Some(after) = after.strip_prefix('"') {
            out.push('"');
            rest = after;
        } else if after.is_empty() {
            return Some(None);
        } else if let Some(after) = after.strip_prefix('\t') {
            return Some(Some(after));
        } else {
            out.truncate(before);
            return None;
        }
    }
}

//! The tagged engine pages of Naver and Daum: records of one field a line.
//!
//! ```text
//! <<<tocnt>>>1
//! <<<begin>>>
//! <<<mapid>>>A1
//! <<<pname>>>Lamp
//! <<<ftend>>>
//! ```
//!
//! A value ends with its line, and a line without a tag goes on with the value
//! before: shop software lets line breaks of titles through. Records end with
//! `<<<ftend>>>` or `<<<end>>>`. Some software writes one `<<<begin>>>` for the
//! whole file; there a second id begins the next record. A record that is cut
//! off by the next `<<<begin>>>` is rejected, one that is cut off by the end of
//! the file makes the feed incomplete, and so does a file with fewer records
//! than `<<<tocnt>>>` says. The tags are in [`super::tags`].

use std::io;

use trawler_core::feed::FeedLimits;

use super::control::Control;
use super::error::Incomplete;
use super::lines::{Line, Lines};
use super::mapper::{FieldSpan, Mapper, Record};
use super::rejected::Reason;
use super::tags::{OLDER, OLDER_ID};

/// Longest tag; the longest known has nine characters.
const TAG_BYTES_MAX: usize = 64;

/// Declares how many products the file has, before the first of them.
const COUNT: &str = "tocnt";

/// Delivery codes of the older generation: the charge, or when it is charged,
/// is in a field of its own.
const CHARGED: &str = "1";
const CHARGED_SOMETIMES: &str = "2";

pub(super) fn read(
    mut lines: Lines<'_>,
    limits: &FeedLimits,
    mapper: &mut Mapper<'_>,
    control: &Control<'_>,
) -> io::Result<()> {
    let mut records = Records {
        open: None,
        seen: 0,
        declared: None,
        skipping: false,
        record_bytes_max: limits.row_bytes_max,
        mapper,
        control,
    };
    let mut is_empty = true;
    while let Some(line) = lines.next()? {
        if line.text.trim().is_empty() {
            continue;
        }
        is_empty = false;
        records.line(&line)?;
    }
    if is_empty {
        return Err(control.incomplete(Incomplete::Empty));
    }
    records.end_of_file()
}

/// `<<<tag>>>value` in two.
fn split_tag(line: &str) -> Option<(&str, &str)> {
    let (tag, value) = line.trim_start().strip_prefix("<<<")?.split_once(">>>")?;
    let tag = tag.trim();
    let is_name = (1..=TAG_BYTES_MAX).contains(&tag.len())
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    is_name.then_some((tag, value))
}

/// One record as far as it was read.
struct Open {
    line: u64,
    offset: u64,
    text: String,
    /// Tag and value, by their ends in the text: start, end of tag, end.
    fields: Vec<(u32, u32, u32)>,
    has_id: bool,
}

impl Open {
    fn new(line: &Line<'_>) -> Self {
        Self {
            line: line.line,
            offset: line.offset,
            text: String::new(),
            fields: Vec::new(),
            has_id: false,
        }
    }

    fn push(&mut self, tag: &str, value: &str) {
        let start = self.text.len() as u32;
        self.text
            .extend(tag.chars().map(|c| c.to_ascii_lowercase()));
        let middle = self.text.len() as u32;
        self.text.push_str(value);
        self.fields.push((start, middle, self.text.len() as u32));
    }

    /// Adds a line to the last value.
    fn go_on(&mut self, text: &str) {
        if let Some(last) = self.fields.last_mut() {
            self.text.push('\n');
            self.text.push_str(text);
            last.2 = self.text.len() as u32;
        }
    }

    fn value(&self, tag: &str) -> Option<(u32, u32)> {
        let named =
            |field: &&(u32, u32, u32)| &self.text[field.0 as usize..field.1 as usize] == tag;
        let found = self.fields.iter().find(named);
        found.map(|(_, start, end)| (*start, *end))
    }

    fn text_of(&self, (start, end): (u32, u32)) -> &str {
        self.text[start as usize..end as usize].trim()
    }
}

struct Records<'r, 'm, 'c> {
    open: Option<Open>,
    seen: u64,
    declared: Option<u64>,
    /// Inside a record that was rejected before its end.
    skipping: bool,
    record_bytes_max: usize,
    mapper: &'r mut Mapper<'m>,
    control: &'r Control<'c>,
}

impl Records<'_, '_, '_> {
    fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        if line.too_long {
            let why = "has a line longer than limits.row_bytes_max";
            return self.give_up(Reason::TooLong, line, why);
        }
        let Some((tag, value)) = split_tag(line.text) else {
            return self.untagged(line);
        };
        match tag.to_ascii_lowercase().as_str() {
            "begin" => {
                if self
                    .open
                    .as_ref()
                    .is_some_and(|open| !open.fields.is_empty())
                {
                    self.cut_off()?;
                }
                self.skipping = false;
                self.open = Some(Open::new(line));
                Ok(())
            }
            "ftend" | "end" => {
                self.skipping = false;
                match self.open.take() {
                    Some(open) if !open.fields.is_empty() => self.close(open),
                    Some(_) | None => Ok(()),
                }
            }
            COUNT if self.open.is_none() => {
                self.declared = value.trim().replace(',', "").parse().ok();
                Ok(())
            }
            tag => self.field(tag, value, line),
        }
    }

    fn field(&mut self, tag: &str, value: &str, line: &Line<'_>) -> io::Result<()> {
        let is_id = matches!(tag, "mapid" | OLDER_ID);
        if self.skipping && !is_id {
            return Ok(());
        }
        if is_id && self.open.as_ref().is_none_or(|open| open.has_id) {
            self.skipping = false;
            if let Some(open) = self.open.replace(Open::new(line)) {
                self.close(open)?;
            }
        }
        let Some(open) = &mut self.open else {
            self.skipping = true;
            return self.reject(line, "stands outside <<<begin>>> and <<<ftend>>>");
        };
        open.has_id |= is_id;
        open.push(tag, value);
        self.check_length(line)
    }

    /// A line without tag: more of the value before it.
    fn untagged(&mut self, line: &Line<'_>) -> io::Result<()> {
        match &mut self.open {
            Some(open) if !open.fields.is_empty() => {
                open.go_on(line.text);
                self.check_length(line)
            }
            Some(_) => Ok(()),
            None if self.skipping => Ok(()),
            None => {
                self.skipping = true;
                self.reject(line, "is no <<<tag>>>")
            }
        }
    }

    fn check_length(&mut self, line: &Line<'_>) -> io::Result<()> {
        let is_long = |open: &Open| open.text.len() > self.record_bytes_max;
        if self.open.as_ref().is_some_and(is_long) {
            let why = "is longer than limits.row_bytes_max";
            return self.give_up(Reason::TooLong, line, why);
        }
        Ok(())
    }

    /// Rejects the record in hand, whose rest is skipped.
    fn give_up(&mut self, reason: Reason, line: &Line<'_>, why: &str) -> io::Result<()> {
        if self.skipping {
            return Ok(());
        }
        self.skipping = true;
        self.seen += 1;
        let at = match self.open.take() {
            Some(open) => (open.line, open.offset),
            None => (line.line, line.offset),
        };
        self.mapper.reject(reason, 1, at, line.text, why.to_owned())
    }

    fn reject(&mut self, line: &Line<'_>, why: &str) -> io::Result<()> {
        let at = (line.line, line.offset);
        self.mapper
            .reject(Reason::Malformed, 1, at, line.text, why.to_owned())
    }

    /// Rejects a record that the next one cuts off.
    fn cut_off(&mut self) -> io::Result<()> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        self.seen += 1;
        let shown = match open.value("mapid").or_else(|| open.value(OLDER_ID)) {
            Some(id) => open.text_of(id),
            None => &open.text,
        };
        let why = "ends without <<<ftend>>>, at the next <<<begin>>>".to_owned();
        let at = (open.line, open.offset);
        self.mapper.reject(Reason::Malformed, 1, at, shown, why)
    }

    fn close(&mut self, open: Open) -> io::Result<()> {
        self.seen += 1;
        let is_older = open.value(OLDER_ID).is_some();
        let charge = is_older.then(|| open.value("deliv")).flatten();
        let code = charge
            .map(|charge| open.text_of(charge))
            .unwrap_or_default();
        let mut values: Vec<FieldSpan> = Vec::with_capacity(open.fields.len());
        for &(start, middle, end) in &open.fields {
            let tag = &open.text[start as usize..middle as usize];
            let tag = match (is_older, tag) {
                (true, "deliv") if [CHARGED, CHARGED_SOMETIMES].contains(&code) => continue,
                (true, "deliv2") if code == CHARGED => "deliv",
                (true, "deliv2") if code == CHARGED_SOMETIMES => "dlvdt",
                (true, tag) => {
                    let newer = OLDER.iter().find(|(older, _)| *older == tag);
                    newer.map_or(tag, |(_, newer)| newer)
                }
                (false, tag) => tag,
            };
            let number = self.mapper.fields.number(tag);
            let number = number.map_err(|error| self.control.error(error))?;
            values.push((number as u32, middle, end));
        }
        self.mapper.row(&Record {
            text: &open.text,
            values: &values,
            line: open.line,
            offset: open.offset,
        })
    }

    fn end_of_file(mut self) -> io::Result<()> {
        if let Some(open) = self.open.take()
            && !open.fields.is_empty()
        {
            return Err(self
                .control
                .incomplete(Incomplete::CutOffRow { line: open.line }));
        }
        match self.declared {
            Some(declared) if self.seen < declared && self.mapper.fields.is_used(COUNT) => {
                Err(self.control.incomplete(Incomplete::FewerThanDeclared {
                    declared,
                    found: self.seen,
                }))
            }
            _ => Ok(()),
        }
    }
}

//! Reads a feed from its first byte to its last row.

use std::io::{self, Read};

use trawler_core::feed::{Compression, FeedFormat, FeedMode, FeedOptions};
use trawler_core::product::COLUMNS;

use super::archive;
use super::charset::{self, encoding_for};
use super::control::{Control, Fault, Progress, Step};
use super::converter::Settings;
use super::delimited::{self, Delimited};
use super::error::{FeedError, Incomplete};
use super::json;
use super::lines::Lines;
use super::mapper::Mapper;
use super::outcome::{FeedOutcome, RowSink};
use super::rejected::{Reason, RejectedRows};
use super::tagged;
use super::text::Text;
use super::tsv::{self, Quoting};
use super::xml;
use crate::normalise::Normaliser;

/// Who takes what reading a feed gives.
pub struct FeedTakers<'a> {
    pub sink: &'a mut dyn RowSink,
    pub rejected: &'a mut RejectedRows,
    pub normaliser: &'a mut Normaliser,
    /// Called at least every 1,000 rows and every 8 MiB; reading stops when
    /// it says so, and the outcome is incomplete.
    pub step: &'a mut dyn FnMut(Progress) -> Step,
}

/// Checks what a pipe says about its feed, labels and names included.
pub fn check_options(options: &FeedOptions) -> Result<(), FeedError> {
    if let Some(problem) = options.problems().into_iter().next() {
        return Err(FeedError::Options {
            key: problem.key,
            found: problem.found,
            allowed: problem.allowed,
        });
    }
    if let Some(label) = &options.charset
        && encoding_for(label).is_none()
    {
        return Err(FeedError::Options {
            key: "charset".to_owned(),
            found: label.clone(),
            allowed: "a label such as \"utf-8\", \"cp949\" or \"utf-16le\"".to_owned(),
        });
    }
    Settings::new(options).map(drop)
}

/// Reads a feed on the current thread, which it occupies. Memory does not
/// grow with the feed.
///
/// An error means that nothing of the feed may be used, also not what the
/// sink has taken already. An outcome that is not `complete` holds for the
/// rows seen.
pub fn read_feed<R: Read>(
    input: R,
    options: &FeedOptions,
    takers: FeedTakers<'_>,
) -> Result<FeedOutcome, FeedError> {
    check_options(options)?;
    let control = Control::new(takers.step);
    let mut reading = Reading {
        compression: options.compression,
        format: options.format,
        encoding: encoding_rs::UTF_8,
    };
    let settings = Settings::new(options)?;
    let parts = Parts {
        sink: takers.sink,
        normaliser: takers.normaliser,
        rejected: takers.rejected,
    };
    reading.run(input, options, settings, parts, &control)
}

/// What turns out while reading.
struct Reading {
    compression: Compression,
    format: FeedFormat,
    encoding: &'static encoding_rs::Encoding,
}

/// What the mapper needs of the caller, for as long as reading takes.
struct Parts<'a> {
    sink: &'a mut dyn RowSink,
    normaliser: &'a mut Normaliser,
    rejected: &'a mut RejectedRows,
}

impl Reading {
    fn run<'c, R: Read + 'c>(
        &mut self,
        input: R,
        options: &FeedOptions,
        settings: Settings,
        parts: Parts<'c>,
        control: &'c Control<'c>,
    ) -> Result<FeedOutcome, FeedError> {
        let opened = self.open(input, options, control);
        let settings = match self.format {
            FeedFormat::GoogleXml => settings.without_separator(options),
            _ => settings,
        };
        let Parts {
            sink,
            normaliser,
            rejected,
        } = parts;
        let mut mapper = Mapper::new(options, settings, control, sink, normaliser, rejected);
        let result = opened.and_then(|text| self.parse(text, options, &mut mapper, control));
        let incomplete = match (control.take_fault(), result) {
            (Some(Fault::Error(error)), _) => return Err(error),
            (Some(Fault::Incomplete(why)), _) => Some(why),
            (None, Ok(())) => None,
            (None, Err(source)) => {
                let offset = control.progress().bytes_read;
                return Err(FeedError::Io { offset, source });
            }
        };
        if mapper.flush().is_err()
            && let Some(Fault::Error(error)) = control.take_fault()
        {
            return Err(error);
        }
        self.check_charset(&mapper, options, control)?;
        let incomplete = incomplete.or_else(|| disbelieved(&mapper, options));
        Ok(self.outcome(&mapper, options, incomplete, control))
    }

    fn open<'c, R: Read + 'c>(
        &mut self,
        input: R,
        options: &FeedOptions,
        control: &'c Control<'c>,
    ) -> io::Result<Text<'c>> {
        let (decoded, compression) =
            archive::open(input, options.compression, &options.limits, control)?;
        self.compression = compression;
        let declared = options.charset.as_deref().and_then(encoding_for);
        let text = Text::open(decoded, declared, control)?;
        self.encoding = text.encoding();
        if self.format == FeedFormat::Google {
            self.format = match text.first_visible() {
                Some('<') => FeedFormat::GoogleXml,
                _ => FeedFormat::GoogleTsv,
            };
        }
        Ok(text)
    }

    fn parse<'c>(
        &self,
        text: Text<'c>,
        options: &FeedOptions,
        mapper: &mut Mapper<'_>,
        control: &'c Control<'c>,
    ) -> io::Result<()> {
        let limits = &options.limits;
        let short_rows = options.short_rows;
        let lines = |text| Lines::new(text, limits.row_bytes_max);
        match self.format {
            FeedFormat::NaverEp => {
                tsv::read(lines(text), Quoting::None, short_rows, mapper, control)
            }
            FeedFormat::Tagged => tagged::read(lines(text), limits, mapper, control),
            FeedFormat::Google | FeedFormat::GoogleTsv => {
                tsv::read(lines(text), Quoting::Cell, short_rows, mapper, control)
            }
            FeedFormat::GoogleXml => xml::read(text, limits, mapper, control),
            FeedFormat::Csv => {
                let format = Delimited {
                    options: options.csv.clone().unwrap_or_default(),
                    short_rows,
                    limits,
                };
                delimited::read(text, &format, mapper, control)
            }
            FeedFormat::Json => {
                json::read_document(text, options.items.as_deref(), limits, mapper, control)
            }
            FeedFormat::Jsonl => json::read_lines(lines(text), mapper, control),
        }
    }

    /// Many damaged rows and a charset under which they are whole: the
    /// declaration, or the detection on the first bytes, was wrong.
    fn check_charset(
        &self,
        mapper: &Mapper<'_>,
        options: &FeedOptions,
        control: &Control<'_>,
    ) -> Result<(), FeedError> {
        let counts = mapper.rejected().counts();
        let damaged = counts.get(&Reason::MalformedCharacters).copied();
        let damaged = damaged.unwrap_or_default();
        let rows = mapper.tally.rows + mapper.tally.deletes + mapper.rejected().total();
        if damaged as f64 <= options.max_bad_share * rows as f64 {
            return Ok(());
        }
        match charset::better_for(&control.evidence(), self.encoding) {
            Some(better) => Err(FeedError::WrongCharset {
                used: charset::name_of(self.encoding),
                better: charset::name_of(better),
                malformed: control.malformed(),
            }),
            None => Ok(()),
        }
    }

    fn outcome(
        &self,
        mapper: &Mapper<'_>,
        options: &FeedOptions,
        incomplete: Option<Incomplete>,
        control: &Control<'_>,
    ) -> FeedOutcome {
        let tally = &mapper.tally;
        let progress = control.progress();
        let seen = COLUMNS.iter().zip(&tally.seen).filter(|(_, seen)| **seen);
        FeedOutcome {
            rows: tally.rows,
            deletes: tally.deletes,
            rejected: mapper.rejected().total(),
            rejected_by_reason: mapper.rejected().counts().clone(),
            complete: incomplete.is_none(),
            incomplete_reason: incomplete,
            format: self.format,
            mode: options.mode,
            compression: self.compression,
            charset: charset::name_of(self.encoding),
            malformed_sequences: control.malformed(),
            bytes_read: progress.bytes_read,
            bytes_decoded: progress.bytes_decoded,
            columns_seen: seen.map(|(column, _)| column.name).collect(),
            unmapped_fields: mapper.fields.unmapped_names(),
            personal_fields: mapper.fields.personal_names(),
            extra_dropped: tally.extra_dropped,
            bad_values: tally.bad_values.clone(),
        }
    }
}

/// Why a feed that was read to its end is not believed.
fn disbelieved(mapper: &Mapper<'_>, options: &FeedOptions) -> Option<Incomplete> {
    let rejected = mapper.rejected().total();
    let rows = mapper.tally.rows + mapper.tally.deletes + rejected;
    if rows == 0 && options.mode == FeedMode::Full {
        return Some(Incomplete::NoRows);
    }
    let max = options.max_bad_share;
    (rejected as f64 > max * rows as f64).then_some(Incomplete::TooManyRejected {
        rejected,
        rows,
        max,
    })
}

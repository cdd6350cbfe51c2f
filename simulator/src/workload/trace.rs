//! A workload from a trace: CSV with a line for each run, such as what `trawler
//! runs --json` tells of a month. What is wrong is said with line, column and
//! what to give.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{ImageLoad, RunLoad, Source};
use crate::error::TraceError;
use crate::time::{DAY, HOUR, Ms, ms};

/// Days of a trace: what is simulated at most.
const DAYS_MAX: u64 = 1_000;
/// When a run without a deadline has to be done.
const DEADLINE: Ms = 4 * HOUR;
/// Of a run that says nothing else.
const IMAGES_PER_S: f64 = 10.0;
/// Longest run, in seconds: a delivery ends after twelve hours, and goes on.
const SECONDS_MAX: f64 = 7.0 * 86_400.0;
/// Most rows or images of a run.
const COUNT_MAX: f64 = 1e12;

const REQUIRED: [&str; 3] = ["pipe", "at", "seconds"];
const OPTIONAL: [&str; 7] = [
    "deadline",
    "kind",
    "rows",
    "images",
    "unchanged_images",
    "images_per_s",
    "planned",
];

/// The runs of a trace.
#[derive(Debug, Clone)]
pub struct Trace {
    runs: Vec<RunLoad>,
    pipes: Vec<String>,
}

/// A run with its instants, which become relative to the first of all: due, and
/// its deadline if it has one.
type Dated = (DateTime<Utc>, Option<DateTime<Utc>>, RunLoad);

/// One line, and how to name it.
struct Line<'a> {
    file: &'a str,
    line: u64,
    columns: &'a HashMap<String, usize>,
    record: &'a csv::StringRecord,
}

impl Trace {
    /// Reads a trace; `file` is its name in errors.
    ///
    /// Columns: `pipe`; `at`, when it was due (RFC 3339); `seconds` on one
    /// slot; and as far as known `deadline` (RFC 3339), `kind` (`feed` or
    /// `site`), `rows`, `images`, `unchanged_images`, `images_per_s` of its
    /// host, and `planned` (`true` or `false`).
    pub fn read(text: &str, file: &str) -> Result<Self, TraceError> {
        let csv_error = |source| TraceError::Csv {
            file: file.to_owned(),
            source: Box::new(source),
        };
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let columns = columns(reader.headers().map_err(csv_error)?, file)?;
        let mut names: HashMap<String, u32> = HashMap::new();
        let (mut pipes, mut found) = (Vec::new(), Vec::new());
        for record in reader.records() {
            let record = record.map_err(csv_error)?;
            let line = Line {
                file,
                line: record.position().map_or(0, csv::Position::line),
                columns: &columns,
                record: &record,
            };
            let name = line.text("pipe");
            if name.is_empty() {
                return Err(line.wrong("pipe", "the id of a pipe"));
            }
            let pipe = *names.entry(name.to_owned()).or_insert_with(|| {
                pipes.push(name.to_owned());
                pipes.len() as u32 - 1
            });
            found.push(line.run(pipe)?);
        }
        let Some(first) = found.iter().map(|run| run.0).min() else {
            return Err(TraceError::Empty {
                file: file.to_owned(),
            });
        };
        let midnight = first
            .date_naive()
            .and_time(chrono::NaiveTime::MIN)
            .and_utc();
        let since = |at: DateTime<Utc>| (at - midnight).num_milliseconds().max(0) as Ms;
        let runs = found.into_iter().map(|(at, deadline, run)| {
            let due = since(at);
            let deadline = deadline.map_or(due + DEADLINE, since);
            RunLoad {
                due,
                deadline,
                ..run
            }
        });
        let trace = Self {
            runs: runs.collect(),
            pipes,
        };
        match trace.days() {
            days if days > DAYS_MAX => Err(TraceError::Long {
                file: file.to_owned(),
                days,
                max: DAYS_MAX,
            }),
            _ => Ok(trace),
        }
    }

    pub(crate) fn days(&self) -> u64 {
        self.runs
            .iter()
            .map(|run| run.due / DAY + 1)
            .max()
            .unwrap_or(0)
    }

    pub(crate) fn pipes(&self) -> &[String] {
        &self.pipes
    }

    pub(crate) fn rows(&self) -> u64 {
        let mut of: HashMap<u32, u64> = HashMap::new();
        for run in &self.runs {
            of.insert(run.pipe, run.rows);
        }
        of.values().sum()
    }

    pub(crate) fn day(&self, day: u64) -> Vec<RunLoad> {
        let due = |run: &&RunLoad| run.due / DAY == day;
        self.runs.iter().filter(due).copied().collect()
    }
}

fn columns(head: &csv::StringRecord, file: &str) -> Result<HashMap<String, usize>, TraceError> {
    let mut columns = HashMap::new();
    for (at, name) in head.iter().enumerate() {
        if !REQUIRED.contains(&name) && !OPTIONAL.contains(&name) {
            return Err(TraceError::UnknownColumn {
                file: file.to_owned(),
                column: name.to_owned(),
                known: [&REQUIRED[..], &OPTIONAL].concat().join(", "),
            });
        }
        columns.insert(name.to_owned(), at);
    }
    match REQUIRED.iter().find(|name| !columns.contains_key(**name)) {
        Some(column) => Err(TraceError::Column {
            file: file.to_owned(),
            column,
            optional: OPTIONAL.join(", "),
        }),
        None => Ok(columns),
    }
}

impl Line<'_> {
    /// What stands in a column; nothing if there is none.
    fn text(&self, column: &str) -> &str {
        let at = self.columns.get(column);
        at.and_then(|at| self.record.get(*at)).unwrap_or_default()
    }

    fn wrong(&self, column: &'static str, wanted: &'static str) -> TraceError {
        TraceError::Value {
            file: self.file.to_owned(),
            line: self.line,
            column,
            found: self.text(column).to_owned(),
            wanted,
        }
    }

    fn number(
        &self,
        column: &'static str,
        default: Option<f64>,
        (above, max): (f64, f64),
        wanted: &'static str,
    ) -> Result<f64, TraceError> {
        let text = self.text(column);
        if let (true, Some(default)) = (text.is_empty(), default) {
            return Ok(default);
        }
        let number = text.parse::<f64>().ok();
        number
            .filter(|number| *number >= above && *number <= max)
            .ok_or_else(|| self.wrong(column, wanted))
    }

    fn instant(&self, column: &'static str) -> Result<DateTime<Utc>, TraceError> {
        DateTime::parse_from_rfc3339(self.text(column))
            .map(|at| at.to_utc())
            .map_err(|_| self.wrong(column, "an instant such as 2026-11-01T17:15:00Z"))
    }

    /// The run but for its instants, which are relative to the first.
    fn run(&self, pipe: u32) -> Result<Dated, TraceError> {
        let at = self.instant("at")?;
        let deadline = match self.text("deadline") {
            "" => None,
            _ => Some(self.instant("deadline")?),
        };
        if deadline.is_some_and(|deadline| deadline < at) {
            return Err(self.wrong("deadline", "an instant that is not before at"));
        }
        let bound = (0.001, SECONDS_MAX);
        let seconds = self.number("seconds", None, bound, "seconds, from 0.001 to 604800")?;
        let count = |column| self.number(column, Some(0.0), (0.0, COUNT_MAX), "a count, 0 or more");
        let run = RunLoad {
            pipe,
            due: 0,
            work: ms(seconds),
            source: match self.text("kind") {
                "" | "feed" => Source::Feed,
                "site" => Source::Site,
                _ => return Err(self.wrong("kind", "feed or site")),
            },
            rows: count("rows")? as u64,
            deadline: 0,
            planned: match self.text("planned") {
                "" | "true" => true,
                "false" => false,
                _ => return Err(self.wrong("planned", "true or false")),
            },
            images: ImageLoad {
                changed: count("images")?,
                unchanged: count("unchanged_images")?,
                per_s: self.number(
                    "images_per_s",
                    Some(IMAGES_PER_S),
                    (0.01, 100_000.0),
                    "requests a second, from 0.01 to 100000",
                )?,
            },
        };
        Ok((at, deadline, run))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_trace_is_read_relative_to_its_first_midnight() {
        let text = "pipe,at,seconds,images,deadline\n\
                    cups,2026-11-01T02:00:00Z,90,1000,2026-11-01T06:00:00Z\n\
                    bowls,2026-11-02T11:00:00+09:00,1.5,,\n";
        let trace = Trace::read(text, "t.csv").unwrap();
        assert_eq!(trace.days(), 2);
        assert_eq!(trace.pipes(), ["cups", "bowls"]);
        let first = trace.day(0)[0];
        assert_eq!(
            (first.due, first.work, first.deadline),
            (2 * HOUR, 90_000, 6 * HOUR)
        );
        assert_eq!(first.images.changed, 1_000.0);
        let second = trace.day(1)[0];
        assert_eq!(second.due, DAY + 2 * HOUR);
        assert_eq!((second.work, second.deadline), (1_500, DAY + 6 * HOUR));
        assert_eq!(second.images.per_s, 10.0);
    }

    #[test]
    fn what_is_wrong_with_a_trace_is_said_with_line_and_column() {
        let check = |text: &str, expected: &str| {
            let error = Trace::read(text, "t.csv").unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        check(
            "pipe,at\na,b\n",
            "t.csv, line 1: there is no column \"seconds\"; a trace has pipe, at and seconds, and may have deadline, kind, rows, images, unchanged_images, images_per_s, planned",
        );
        check(
            "pipe,at,seconds,second\n",
            "t.csv, line 1: column \"second\" is not known; a trace may have pipe, at, seconds, deadline, kind, rows, images, unchanged_images, images_per_s, planned",
        );
        check(
            "pipe,at,seconds\n",
            "t.csv has no run; a trace has a head line and a line for each run",
        );
        let of = |line: &str| {
            format!("pipe,at,seconds,kind,deadline\na,2026-11-01T00:00:00Z,1,,\n{line}\n")
        };
        check(
            &of("a,yesterday,1,,"),
            "t.csv, line 3, column at: found \"yesterday\"; give an instant such as 2026-11-01T17:15:00Z",
        );
        check(
            &of("a,2026-11-01T00:00:00Z,soon,,"),
            "t.csv, line 3, column seconds: found \"soon\"; give seconds, from 0.001 to 604800",
        );
        check(
            &of("a,2026-11-01T00:00:00Z,-4,,"),
            "t.csv, line 3, column seconds: found \"-4\"; give seconds, from 0.001 to 604800",
        );
        check(
            &of("a,2026-11-01T00:00:00Z,1,shop,"),
            "t.csv, line 3, column kind: found \"shop\"; give feed or site",
        );
        check(
            &of("a,2026-11-01T00:00:00Z,1,,2026-10-01T00:00:00Z"),
            "t.csv, line 3, column deadline: found \"2026-10-01T00:00:00Z\"; give an instant that is not before at",
        );
        check(
            &of(",2026-11-01T00:00:00Z,1,,"),
            "t.csv, line 3, column pipe: found \"\"; give the id of a pipe",
        );
        check(
            &of("a,2036-11-01T00:00:00Z,1,,"),
            "t.csv spans 3654 days; at most 1000 are simulated, so cut it in parts",
        );
        let error = Trace::read("pipe,at,seconds\na,b\n", "t.csv").unwrap_err();
        assert_eq!(error.to_string(), "t.csv cannot be read as CSV");
    }
}

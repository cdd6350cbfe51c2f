//! The last lines of what a job's deliveries said: kept with its record while
//! it fails, and with its dead letter, so that a person sees what happened
//! without the logs of machines that are gone.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// All lines together: a record is read and written whole with every
/// transition, and a dozen lines tell how a job failed.
pub const LOG_BYTES_MAX: usize = 4 * 1024;

/// One line; the reason of a failure may hold a partner's whole error page.
pub const LINE_BYTES_MAX: usize = 1024;

/// A bounded log, the newest line last. The oldest lines go first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobLog(Vec<String>);

impl JobLog {
    /// Adds a line; control characters of a partner's text become spaces.
    pub fn push(&mut self, at: DateTime<Utc>, text: &str) {
        let at = at.to_rfc3339_opts(SecondsFormat::Millis, true);
        self.push_line(format!("{at} {}", one_line(text)));
    }

    /// Adds the lines of another log at the end of this one.
    pub fn append(&mut self, other: &Self) {
        for line in &other.0 {
            self.push_line(line.clone());
        }
    }

    pub fn lines(&self) -> &[String] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn push_line(&mut self, mut line: String) {
        line.truncate(line.floor_char_boundary(LINE_BYTES_MAX));
        self.0.push(line);
        let mut bytes: usize = self.0.iter().map(|line| line.len() + 1).sum();
        let gone = self
            .0
            .iter()
            .take_while(|line| {
                let too_much = bytes > LOG_BYTES_MAX;
                bytes -= line.len() + 1;
                too_much
            })
            .count();
        self.0.drain(..gone);
    }
}

fn one_line(text: &str) -> String {
    text.chars()
        .take(LINE_BYTES_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_bounded_and_keeps_the_newest_lines() {
        let at = DateTime::<Utc>::UNIX_EPOCH;
        let mut log = JobLog::default();
        log.push(at, "first\nof two");
        assert_eq!(log.lines(), ["1970-01-01T00:00:00.000Z first of two"]);
        for n in 0..100 {
            log.push(at, &format!("{n} {}", "가".repeat(1000)));
        }
        let bytes: usize = log.lines().iter().map(|line| line.len() + 1).sum();
        assert!(bytes <= LOG_BYTES_MAX, "{bytes}");
        assert!(log.lines().len() >= 3);
        assert!(log.lines().last().is_some_and(|line| line.contains(" 99 ")));
        let mut other = JobLog::default();
        other.push(at, "last");
        log.append(&other);
        assert!(
            log.lines()
                .last()
                .is_some_and(|line| line.ends_with(" last"))
        );
    }
}

//! How far a pipe is trusted, who answers for it, and how old its products may
//! become: the keys `state`, `owner`, `contact`, `notes` and `max_age` of a pipe
//! file. What a person decided beside the file is in [`crate::withheld`].

use std::fmt;

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use super::Pipe;
use super::problems::Problems;
use crate::open_runs::OpenRuns;
use crate::withheld::Withheld;

/// Characters of `owner` and of `contact`: a name and an address.
const LINE_CHARS_MAX: usize = 200;

/// Characters of `notes`: a page.
const NOTES_CHARS_MAX: usize = 4_000;

/// Longest `max_age`, in days: a shop that nobody collects for a year is
/// retired, and not late.
const AGE_DAYS_MAX: i64 = 366;

/// What is written for `max_age`.
const AGE_RULE: &str =
    "a whole number with m, h or d behind it, such as \"36h\"; at least 1m, at most 366d";

/// Where a pipe is on its way from a first look to its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PipeState {
    /// Only looked at by `try` and dry runs; nothing of it is collected.
    Draft,
    /// Collected and stored, and withheld from whoever reads products and
    /// changes.
    Shadow,
    #[default]
    Live,
    /// Collected as ever, and taken away from whoever reads.
    Hidden,
    /// Not collected any more, and taken away from whoever reads.
    Retired,
}

impl PipeState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Shadow => "shadow",
            Self::Live => "live",
            Self::Hidden => "hidden",
            Self::Retired => "retired",
        }
    }

    /// What counts of what the file of a pipe says and of what a person said of
    /// it, `hidden` or `retired`: whichever goes further. What nobody has looked
    /// at yet is not collected, whoever hides it.
    pub fn that_counts(file: Self, said: Option<Self>) -> Self {
        match (file, said) {
            (Self::Retired, _) | (_, Some(Self::Retired)) => Self::Retired,
            (Self::Draft, _) => Self::Draft,
            (file, said) => said.unwrap_or(file),
        }
    }

    /// Whether runs of it are planned.
    pub fn is_collected(self) -> bool {
        match self {
            Self::Shadow | Self::Live | Self::Hidden => true,
            Self::Draft | Self::Retired => false,
        }
    }

    /// Why its products are withheld. A draft says nothing of products that an
    /// earlier state let in: they stay as they were.
    pub fn withheld(self) -> Option<Withheld> {
        match self {
            Self::Draft | Self::Live => None,
            Self::Shadow => Some(Withheld::Shadow),
            Self::Hidden => Some(Withheld::Hidden),
            Self::Retired => Some(Withheld::Retired),
        }
    }
}

impl fmt::Display for PipeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How long ago a pipe's last complete run may be, as its file says: `36h`.
/// [`Pipe::problems`] tells of what is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AgeText(pub String);

impl AgeText {
    pub fn age(&self) -> Option<Duration> {
        let unit = self.0.chars().last()?;
        let count = &self.0[..self.0.len() - unit.len_utf8()];
        let is_number = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
        let count: i64 = count.parse().ok().filter(|_| is_number)?;
        let age = match unit {
            'm' => Duration::try_minutes(count),
            'h' => Duration::try_hours(count),
            'd' => Duration::try_days(count),
            _ => None,
        }?;
        let allowed = Duration::minutes(1)..=Duration::days(AGE_DAYS_MAX);
        allowed.contains(&age).then_some(age)
    }
}

impl Pipe {
    /// By how much the pipe is overdue at `now`, by the state that counts and by
    /// what is known of its runs. One that never had a complete run counts from
    /// when its first one was due, and one without any run is new.
    pub fn overdue(
        &self,
        state: PipeState,
        runs: Option<&OpenRuns>,
        now: DateTime<Utc>,
    ) -> Option<Duration> {
        let allowed = self.max_age.as_ref()?.age()?;
        let runs = runs.filter(|_| state.is_collected())?;
        let since = runs.complete.or_else(|| Some(runs.first?.due()))?;
        Some(now - since - allowed).filter(|over| *over > Duration::zero())
    }

    pub(super) fn standing_problems(&self, found: &mut Problems) {
        for (key, text) in [("owner", &self.owner), ("contact", &self.contact)] {
            let is_line =
                text.chars().count() <= LINE_CHARS_MAX && !text.chars().any(char::is_control);
            let allowed = "one line of at most 200 characters";
            found.unless(is_line, key, &format!("{text:?}"), allowed);
        }
        let notes = self.notes.chars().count();
        let allowed = format!("at most {NOTES_CHARS_MAX} characters");
        found.unless(
            notes <= NOTES_CHARS_MAX,
            "notes",
            &format!("{notes} characters"),
            &allowed,
        );
        if let Some(age) = &self.max_age {
            found.unless(
                age.age().is_some(),
                "max_age",
                &format!("{:?}", age.0),
                AGE_RULE,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{PipeId, RunSeq};

    fn pipe(standing: &serde_json::Value) -> Pipe {
        let mut pipe = serde_json::json!({
            "source": { "kind": "http", "url": "https://shop.example/feed" },
            "feed": { "format": "naver-ep", "mode": "full" },
            "schedule": { "cron": "15 3 * * *" },
        });
        let standing = standing.as_object().unwrap().clone();
        pipe.as_object_mut().unwrap().extend(standing);
        serde_json::from_value(pipe).unwrap()
    }

    #[test]
    fn ages_are_a_number_and_a_unit() {
        let check = |text: &str, minutes: Option<i64>| {
            let age = AgeText(text.to_owned()).age();
            assert_eq!(age, minutes.map(Duration::minutes), "{text:?}");
        };
        check("90m", Some(90));
        check("36h", Some(36 * 60));
        check("7d", Some(7 * 24 * 60));
        check("366d", Some(366 * 24 * 60));
        for wrong in [
            "", "h", "36", "0h", "367d", "-1h", "+1h", "1.5h", "1w", "1일",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn of_file_and_person_whoever_goes_further_counts() {
        use PipeState::{Draft, Hidden, Live, Retired, Shadow};
        let check = |file: PipeState, said: [PipeState; 3]| {
            let found = [None, Some(Hidden), Some(Retired)];
            let found = found.map(|said| PipeState::that_counts(file, said));
            assert_eq!(found, said, "{file}");
        };
        check(Draft, [Draft, Draft, Retired]);
        check(Shadow, [Shadow, Hidden, Retired]);
        check(Live, [Live, Hidden, Retired]);
        check(Hidden, [Hidden, Hidden, Retired]);
        check(Retired, [Retired, Retired, Retired]);
    }

    #[test]
    fn a_pipe_is_overdue_from_its_last_complete_run_on() {
        let at = |hour: i64| DateTime::from_timestamp(hour * 3600, 0).unwrap();
        let late = pipe(&serde_json::json!({ "max_age": "36h" }));
        let known = |complete: Option<i64>, first: Option<i64>| OpenRuns {
            complete: complete.map(at),
            first: first.map(|hour| RunSeq::from_due(at(hour))),
            ..OpenRuns::none(PipeId::parse("shop").unwrap())
        };
        let check = |state: PipeState, complete, first, over: Option<i64>| {
            let found = late.overdue(state, Some(&known(complete, first)), at(100));
            assert_eq!(found, over.map(Duration::hours), "{state} {complete:?}");
        };
        use PipeState::{Draft, Hidden, Live, Retired, Shadow};
        check(Live, Some(70), Some(1), None);
        check(Live, Some(64), Some(1), None);
        check(Live, Some(60), Some(1), Some(4));
        check(Live, None, Some(60), Some(4));
        check(Live, None, None, None);
        check(Hidden, Some(60), None, Some(4));
        check(Shadow, Some(60), None, Some(4));
        check(Draft, Some(60), None, None);
        check(Retired, Some(60), None, None);
        assert_eq!(late.overdue(Live, None, at(100)), None);
        let without = pipe(&serde_json::json!({}));
        let found = without.overdue(Live, Some(&known(Some(1), None)), at(100));
        assert_eq!(found, None);
    }

    #[test]
    fn what_is_said_of_a_pipe_is_bounded() {
        let check = |standing: serde_json::Value, expected: &[&str]| {
            let problems = pipe(&standing).problems();
            let keys: Vec<&str> = problems.iter().map(|p| p.key.as_str()).collect();
            assert_eq!(keys, expected, "{standing}");
        };
        let json = |key: &str, text: String| serde_json::json!({ key: text });
        check(serde_json::json!({}), &[]);
        check(json("owner", "김하나, 데이터팀".to_owned()), &[]);
        check(json("owner", "a\nb".to_owned()), &["owner"]);
        check(json("contact", "x".repeat(201)), &["contact"]);
        check(json("notes", "두 줄\n이다".to_owned()), &[]);
        check(json("notes", "x".repeat(4001)), &["notes"]);
        check(json("max_age", "36h".to_owned()), &[]);
        check(json("max_age", "36".to_owned()), &["max_age"]);
    }
}

//! Which of the files that a partner uploads is the feed: the newest one that
//! is finished.
//!
//! Pure: it judges listings. Where those come from, and the wait between two of
//! them, is the business of the sources that have a folder.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::problems::Problems;

/// Longest pattern and longest marker, in bytes: what a file name can have.
const NAME_BYTES_MAX: usize = 255;

/// Longest rest that a file may be asked to have: a run waits for it, and holds
/// a place of its worker meanwhile.
const SETTLE_S_MAX: u64 = 300;

/// What programs call a file that they are still writing, or keep beside one.
const TEMPORARY_ENDS: [&str; 13] = [
    "~",
    ".part",
    ".partial",
    ".tmp",
    ".temp",
    ".filepart",
    ".upload",
    ".uploading",
    ".incomplete",
    ".crdownload",
    ".swp",
    ".lock",
    ".bak",
];

/// The order in which a file is the newest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Newest {
    /// Modified last; of those of one instant the one whose name is greatest.
    #[default]
    Modified,
    /// The greatest name, byte by byte: for names with a date such as
    /// `feed-2026-11-22.csv`, `feed-20261122.csv`.
    Name,
}

/// What a folder source says about its files.
#[derive(Debug, Clone, Copy)]
pub struct FileRule<'a> {
    pub pattern: &'a str,
    pub newest: Newest,
    pub settle: Duration,
    pub done: Option<&'a str>,
}

/// A file as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenFile {
    /// Below the folder.
    pub name: String,
    pub bytes: u64,
    pub modified: DateTime<Utc>,
    /// Another one whenever the content is another; empty where the listing
    /// tells no more than size and time.
    pub tag: String,
}

/// What a look at a folder comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Finished, and nothing newer is.
    Take(SeenFile),
    /// This one is newer than every finished one and may be finished once it
    /// has rested.
    Wait(SeenFile),
    /// Nothing is finished.
    Nothing(Passed),
}

/// Why the files of a folder are none, for people.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passed {
    pub seen: usize,
    pub other_names: usize,
    pub temporary: usize,
    pub empty: usize,
    pub unmarked: usize,
    pub unsettled: usize,
}

impl std::fmt::Display for Passed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let reasons = [
            (self.other_names, "of another name"),
            (self.temporary, "with a temporary name"),
            (self.empty, "empty"),
            (self.unmarked, "without its marker file"),
            (self.unsettled, "still being written"),
        ];
        write!(f, "{} file(s) there", self.seen)?;
        for (count, reason) in reasons.iter().filter(|(count, _)| *count > 0) {
            write!(f, ", {count} {reason}")?;
        }
        Ok(())
    }
}

impl FileRule<'_> {
    /// The first look. An unfinished file that is newer than every finished one
    /// is worth a wait; without a marker it may be there in a moment.
    pub fn first_look(&self, files: &[SeenFile], now: DateTime<Utc>) -> Choice {
        self.look(files, now, None)
    }

    /// After the wait: what has not moved since the first look has settled,
    /// whatever its time says (the partner's clock may be ahead of ours).
    pub fn second_look(
        &self,
        earlier: &[SeenFile],
        files: &[SeenFile],
        now: DateTime<Utc>,
    ) -> Choice {
        self.look(files, now, Some(earlier))
    }

    fn look<'f>(
        &self,
        files: &'f [SeenFile],
        now: DateTime<Utc>,
        earlier: Option<&'f [SeenFile]>,
    ) -> Choice {
        let by_name = |files: Option<&'f [SeenFile]>| -> HashMap<&'f str, &'f SeenFile> {
            let files = files.into_iter().flatten();
            files.map(|file| (file.name.as_str(), file)).collect()
        };
        let earlier_by_name = by_name(earlier);
        let markers = by_name(self.done.map(|_| files));
        let mut passed = Passed::default();
        let (mut finished, mut settling): (Option<&SeenFile>, Option<&SeenFile>) = (None, None);
        for file in files {
            passed.seen += 1;
            match self.state(file, now, &markers, &earlier_by_name) {
                State::Finished => self.keep_newer(&mut finished, file),
                State::Settling => {
                    passed.unsettled += 1;
                    self.keep_newer(&mut settling, file);
                }
                State::Marker => passed.seen -= 1,
                State::OtherName => passed.other_names += 1,
                State::Temporary => passed.temporary += 1,
                State::Empty => passed.empty += 1,
                State::Unmarked => passed.unmarked += 1,
            }
        }
        match (finished, settling) {
            (finished, Some(settling))
                if earlier.is_none() && finished.is_none_or(|f| self.is_newer(settling, f)) =>
            {
                Choice::Wait(settling.clone())
            }
            (Some(finished), _) => Choice::Take(finished.clone()),
            (None, _) => Choice::Nothing(passed),
        }
    }

    fn state(
        &self,
        file: &SeenFile,
        now: DateTime<Utc>,
        markers: &HashMap<&str, &SeenFile>,
        earlier: &HashMap<&str, &SeenFile>,
    ) -> State {
        if self.done.is_some_and(|done| file.name.ends_with(done)) {
            return State::Marker;
        }
        if !matches(self.pattern, &file.name) {
            return State::OtherName;
        }
        if is_temporary(&file.name) {
            return State::Temporary;
        }
        if file.bytes == 0 {
            return State::Empty;
        }
        if let Some(done) = self.done {
            // A marker of yesterday says nothing about a file of today.
            let marker = markers.get(format!("{}{done}", file.name).as_str());
            return match marker.is_some_and(|marker| marker.modified >= file.modified) {
                true => State::Finished,
                false => State::Unmarked,
            };
        }
        let age = now.signed_duration_since(file.modified).to_std();
        let rested = age.is_ok_and(|age| age >= self.settle);
        let unmoved = earlier.get(file.name.as_str()) == Some(&file);
        match rested || unmoved {
            true => State::Finished,
            false => State::Settling,
        }
    }

    fn keep_newer<'f>(&self, kept: &mut Option<&'f SeenFile>, file: &'f SeenFile) {
        if kept.is_none_or(|kept| self.is_newer(file, kept)) {
            *kept = Some(file);
        }
    }

    fn is_newer(&self, file: &SeenFile, than: &SeenFile) -> bool {
        match self.newest {
            Newest::Modified => (file.modified, &file.name) > (than.modified, &than.name),
            Newest::Name => file.name > than.name,
        }
    }

    pub(super) fn problems(&self, found: &mut Problems) {
        let shown = format!("{:?}", self.pattern);
        let parts = self.pattern.split('/');
        let ok = self.pattern.len() <= NAME_BYTES_MAX
            && parts.clone().all(|part| !matches!(part, "" | "." | ".."))
            && !self.pattern.contains(|c: char| c.is_control());
        let allowed = "a file name in which * stands for any characters but '/', and ? for one; a folder in it is named with '/'";
        found.unless(ok, "source.pattern", &shown, allowed);
        let settle_s = self.settle.as_secs();
        found.within("source.settle_s", settle_s, 0, SETTLE_S_MAX);
        if let Some(done) = self.done {
            let ok = !done.is_empty()
                && done.len() <= NAME_BYTES_MAX
                && !done.contains(|c: char| c == '/' || c.is_control());
            let allowed =
                "what the name of the marker has behind that of its file, such as \".done\"";
            found.unless(ok, "source.done", &format!("{done:?}"), allowed);
        }
    }
}

enum State {
    Finished,
    Settling,
    Marker,
    OtherName,
    Temporary,
    Empty,
    Unmarked,
}

/// Whether any part of the name says that it is not to be read.
fn is_temporary(name: &str) -> bool {
    name.split('/').any(|part| {
        let part = part.to_ascii_lowercase();
        part.starts_with(['.', '~', '#']) || TEMPORARY_ENDS.iter().any(|end| part.ends_with(end))
    })
}

/// `*` stands for any characters but `/`, `?` for one of them.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where the last star was, and how much of the name it has taken.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        let here = pattern.get(p);
        if here == Some(&'*') {
            star = Some((p, n));
            p += 1;
        } else if here == Some(&name[n]) || here == Some(&'?') && name[n] != '/' {
            p += 1;
            n += 1;
        } else if let Some((at, taken)) = star
            && name[taken] != '/'
        {
            star = Some((at, taken + 1));
            p = at + 1;
            n = taken + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const RULE: FileRule = FileRule {
        pattern: "*",
        newest: Newest::Modified,
        settle: Duration::from_secs(10),
        done: None,
    };

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    /// Seconds are those of `at`.
    fn file(name: &str, bytes: u64, second: i64) -> SeenFile {
        SeenFile {
            name: name.to_owned(),
            bytes,
            modified: at(second),
            tag: String::new(),
        }
    }

    #[test]
    fn patterns_match_names() {
        let check = |pattern: &str, name: &str, expected: bool| {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        };
        check("*", "feed.csv", true);
        check("*", "old/feed.csv", false);
        check("*/*", "old/feed.csv", true);
        check("*.csv.gz", "feed-1.csv.gz", true);
        check("*.csv.gz", "feed-1.csv", false);
        check("feed-????.csv", "feed-2026.csv", true);
        check("feed-????.csv", "feed-202.csv", false);
        check("a*b*c", "a-b-b-c", true);
        check("a*b*c", "a-c-b", false);
        check("상품*.tsv", "상품목록.tsv", true);
        check("feed.csv", "feed.csv", true);
        check("feed.csv", "Feed.csv", false);
        check("", "a", false);
        check("a**", "a", true);
        let hostile = "a".repeat(512);
        check(&"*a".repeat(100), &hostile, true);
        check(&format!("{}b", "*a".repeat(100)), &hostile, false);
    }

    #[test]
    fn names_of_unfinished_files_are_known() {
        let check = |name: &str, temporary: bool| {
            assert_eq!(is_temporary(name), temporary, "{name}");
        };
        for name in [
            "feed.csv.part",
            "feed.csv.PART",
            "feed.tmp",
            "feed.csv~",
            ".feed.csv.Xy12",
            "~feed.csv",
            "#feed.csv#",
            "feed.csv.filepart",
            ".in/feed.csv",
        ] {
            check(name, true);
        }
        for name in ["feed.csv", "part.csv", "tmp-feed.csv", "feed.parts"] {
            check(name, false);
        }
    }

    #[test]
    fn the_newest_finished_file_is_taken() {
        let check = |rule: FileRule, files: &[SeenFile], expected: &str| {
            let found = match rule.first_look(files, at(1000)) {
                Choice::Take(file) => format!("take {}", file.name),
                Choice::Wait(file) => format!("wait {}", file.name),
                Choice::Nothing(passed) => passed.to_string(),
            };
            assert_eq!(found, expected);
        };
        let (a, b) = (file("a.csv", 5, 900), file("b.csv", 5, 800));
        check(RULE, &[a.clone(), b.clone()], "take a.csv");
        check(RULE, &[a.clone(), file("c.csv", 5, 900)], "take c.csv");
        let by_name = FileRule {
            newest: Newest::Name,
            ..RULE
        };
        check(by_name, &[a.clone(), b.clone()], "take b.csv");
        check(RULE, &[a.clone(), file("c.csv", 5, 995)], "wait c.csv");
        check(RULE, &[a.clone(), file("c.csv", 5, 2000)], "wait c.csv");
        check(by_name, &[b.clone(), file("a.csv", 5, 995)], "take b.csv");
        check(RULE, &[a.clone(), file("c.csv", 0, 950)], "take a.csv");
        check(RULE, &[a.clone(), file("c.csv.part", 5, 950)], "take a.csv");
        check(RULE, &[], "0 file(s) there");
        let gz = FileRule {
            pattern: "*.gz",
            ..RULE
        };
        check(
            gz,
            &[a.clone(), file("b.gz", 0, 1), file(".c.gz", 1, 1)],
            "3 file(s) there, 1 of another name, 1 with a temporary name, 1 empty",
        );
    }

    #[test]
    fn a_marker_says_that_its_file_is_finished() {
        let rule = FileRule {
            done: Some(".done"),
            ..RULE
        };
        let check = |files: &[SeenFile], expected: Result<&str, &str>| match (
            rule.first_look(files, at(1000)),
            expected,
        ) {
            (Choice::Take(file), Ok(name)) => assert_eq!(file.name, name),
            (Choice::Nothing(passed), Err(why)) => assert_eq!(passed.to_string(), why),
            (found, _) => panic!("{found:?} is not {expected:?}"),
        };
        let fresh = file("a.csv", 5, 999);
        let marker = file("a.csv.done", 0, 999);
        check(&[fresh.clone(), marker.clone()], Ok("a.csv"));
        let newer = file("b.csv", 5, 1000);
        check(&[fresh.clone(), marker, newer], Ok("a.csv"));
        let unmarked = "1 file(s) there, 1 without its marker file";
        check(std::slice::from_ref(&fresh), Err(unmarked));
        check(&[fresh, file("a.csv.done", 0, 998)], Err(unmarked));
    }

    #[test]
    fn what_has_not_moved_between_two_looks_has_settled() {
        let ahead = file("ahead.csv", 5, 90_000);
        let growing = |bytes| file("growing.csv", bytes, 90_001);
        let first = [ahead.clone(), growing(5)];
        assert_eq!(RULE.first_look(&first, at(1000)), Choice::Wait(growing(5)));
        let second = [ahead.clone(), growing(6)];
        let found = RULE.second_look(&first, &second, at(1010));
        assert_eq!(found, Choice::Take(ahead));
        let alone = RULE.second_look(&[growing(5)], &[growing(6)], at(1010));
        assert!(matches!(
            alone,
            Choice::Nothing(Passed { unsettled: 1, .. })
        ));
    }
}

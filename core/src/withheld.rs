//! What of a pipe nobody is shown: all of it, or single products. Withheld
//! products stay stored, with everything that is known of them, and are let out
//! again without a crawl.
//!
//! One document a pipe says what is withheld by its file and by persons. It is
//! numbered: the catalogue notes, as a transaction of its own, up to which
//! number it has followed, so that whoever finds it behind goes on. Nothing
//! here knows how rows are kept.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::PipeId;
use crate::edition::Edition;
use crate::pipe::PipeState;

/// Blocked products of one pipe: with ids, names and reasons at their longest
/// the document stays below the 1 MiB of one.
pub const BLOCKED_MAX: usize = 400;

/// Characters of a reason.
pub const WHY_CHARS_MAX: usize = 500;

/// Characters of who decided.
pub const BY_CHARS_MAX: usize = 100;

/// Bytes of a product id that may be blocked.
const ID_BYTES_MAX: usize = 512;

/// Why a row is withheld, as it stands in the column `withheld`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Withheld {
    Shadow,
    Hidden,
    Retired,
    Blocked,
}

impl Withheld {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Hidden => "hidden",
            Self::Retired => "retired",
            Self::Blocked => "blocked",
        }
    }
}

/// What is withheld of a pipe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Everything, for this reason.
    pub pipe: Option<Withheld>,
    /// These products, whatever becomes of the pipe.
    pub ids: BTreeMap<String, Note>,
}

impl Policy {
    /// Why the product is withheld, if it is.
    pub fn of(&self, id: &str) -> Option<Withheld> {
        if self.pipe.is_some() {
            return self.pipe;
        }
        self.ids.contains_key(id).then_some(Withheld::Blocked)
    }

    pub fn withholds_any(&self) -> bool {
        self.pipe.is_some() || !self.ids.is_empty()
    }
}

/// Who decided, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    pub by: String,
    pub at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    Hide,
    Retire,
    /// Takes back `Hide` and `Retire`; what the file says stays.
    Show,
    Block {
        id: String,
    },
    Unblock {
        id: String,
    },
    /// The pipe file says another state.
    State {
        state: PipeState,
    },
}

/// One decision, at `decisions/{pipe}/withheld-{revision}`: created once, never
/// changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withholdings {
    pub pipe: PipeId,
    pub revision: i64,
    #[serde(flatten)]
    pub act: Act,
    #[serde(flatten)]
    pub note: Note,
}

impl Withholdings {
    /// Under it are all of a pipe, in order.
    pub fn of_pipe(pipe: &PipeId) -> String {
        format!("decisions/{pipe}/withheld-")
    }

    pub fn key(&self) -> String {
        format!("{}{:010}", Self::of_pipe(&self.pipe), self.revision)
    }
}

/// What the file of a pipe says, by who has read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileState {
    pub state: PipeState,
    /// None of pipes that come from no files: what they say always counts.
    pub edition: Option<Edition>,
}

/// Whether a decision changed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided {
    New,
    /// It was so already.
    Already,
}

/// Why a decision cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WithholdError {
    #[error(
        "{BLOCKED_MAX} products of pipe {pipe} are blocked already; unblock some, or hide the pipe"
    )]
    TooMany { pipe: PipeId },
    #[error("product id {id:?} cannot be blocked: an id has 1 to {ID_BYTES_MAX} bytes")]
    BadId { id: String },
    #[error(
        "an image is named by the SHA-256 of its source: 64 hex digits in lower case, as in the column image_sha256"
    )]
    BadHash,
    #[error(
        "{} images are blocked already; unblock some",
        crate::blocked_images::IMAGES_MAX
    )]
    TooManyImages,
    #[error("{what} has {found} characters, and at most {max} are kept")]
    TooLong {
        what: &'static str,
        found: usize,
        max: usize,
    },
}

/// The document at `withheld/{pipe}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withholding {
    pub pipe: PipeId,
    /// Grows with every decision.
    pub revision: i64,
    /// The revision that the catalogue is known to follow; it may be further.
    pub applied: i64,
    /// What the pipe file said last.
    pub file: PipeState,
    /// Which reading of the file that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edition: Option<Edition>,
    /// `hidden` or `retired`, where a person said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<PipeState>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub blocked: BTreeMap<String, Note>,
    /// The decision of this revision, until it stands by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Box<Withholdings>>,
}

impl Withholding {
    pub fn none(pipe: PipeId) -> Self {
        Self {
            pipe,
            revision: 0,
            applied: 0,
            file: PipeState::Live,
            edition: None,
            said: None,
            blocked: BTreeMap::new(),
            last: None,
        }
    }

    /// Under it are all of them.
    pub const ALL: &'static str = "withheld/";

    pub fn key(pipe: &PipeId) -> String {
        format!("{}{pipe}", Self::ALL)
    }

    /// Application of the catalogue's transactions that follow the document.
    pub fn app_id(pipe: &PipeId) -> String {
        format!("{pipe}#withheld")
    }

    pub fn policy(&self) -> Policy {
        Policy {
            pipe: self.state().withheld(),
            ids: self.blocked.clone(),
        }
    }

    /// What counts: a person's word as long as it goes further than the file.
    pub fn state(&self) -> PipeState {
        PipeState::that_counts(self.file, self.said)
    }

    /// Whether the file says something that is not known here. A draft says
    /// nothing of products, and an older reading of the file nothing new.
    pub fn is_new_state(&self, file: FileState, now: DateTime<Utc>) -> bool {
        let is_older = match (file.edition, self.edition) {
            (Some(read), Some(known)) => read.is_superseded_by(known, now),
            (None, _) | (_, None) => false,
        };
        file.state != PipeState::Draft && file.state != self.file && !is_older
    }

    pub fn is_behind(&self) -> bool {
        self.applied < self.revision
    }

    /// Takes a decision; what is so already gets no number.
    pub fn decide(&mut self, act: &Act, note: &Note) -> Result<Decided, WithholdError> {
        check(note)?;
        let before = (self.file, self.said, self.blocked.len());
        match act {
            Act::Hide => self.said = Some(PipeState::Hidden),
            Act::Retire => self.said = Some(PipeState::Retired),
            Act::Show => self.said = None,
            Act::State { state } => self.file = *state,
            Act::Block { id } => self.block(id, note)?,
            Act::Unblock { id } => {
                self.blocked.remove(id);
            }
        }
        if before == (self.file, self.said, self.blocked.len()) {
            return Ok(Decided::Already);
        }
        self.revision += 1;
        self.last = Some(Box::new(Withholdings {
            pipe: self.pipe.clone(),
            revision: self.revision,
            act: act.clone(),
            note: note.clone(),
        }));
        Ok(Decided::New)
    }

    /// What counts once the file is followed.
    pub fn state_with(&self, file: FileState, now: DateTime<Utc>) -> PipeState {
        let file = match self.is_new_state(file, now) {
            true => file.state,
            false => self.file,
        };
        PipeState::that_counts(file, self.said)
    }

    /// Takes over what the pipe file says, unless a later reading of it is known
    /// already; `note` dates it.
    pub fn follow(&mut self, file: FileState, note: &Note) -> Result<Decided, WithholdError> {
        if !self.is_new_state(file, note.at) {
            return Ok(Decided::Already);
        }
        let decided = self.decide(&Act::State { state: file.state }, note)?;
        self.edition = file.edition.map(|edition| edition.not_after(note.at));
        Ok(decided)
    }

    fn block(&mut self, id: &str, note: &Note) -> Result<(), WithholdError> {
        if id.is_empty() || id.len() > ID_BYTES_MAX {
            let id = id.chars().take(LONG_SHOWN).collect();
            return Err(WithholdError::BadId { id });
        }
        if self.blocked.contains_key(id) {
            return Ok(());
        }
        if self.blocked.len() >= BLOCKED_MAX {
            let pipe = self.pipe.clone();
            return Err(WithholdError::TooMany { pipe });
        }
        self.blocked.insert(id.to_owned(), note.clone());
        Ok(())
    }
}

/// Characters of a refused id that are shown.
const LONG_SHOWN: usize = 60;

pub(crate) fn check(note: &Note) -> Result<(), WithholdError> {
    for (what, text, max) in [
        ("the reason", &note.why, WHY_CHARS_MAX),
        ("the name of who decides", &note.by, BY_CHARS_MAX),
    ] {
        let found = text.chars().count();
        if found > max {
            return Err(WithholdError::TooLong { what, found, max });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ports::STATE_VALUE_BYTES_MAX;

    fn note(why: &str) -> Note {
        Note {
            by: "ann".to_owned(),
            at: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
            why: why.to_owned(),
        }
    }

    fn none() -> Withholding {
        Withholding::none(PipeId::parse("shop").unwrap())
    }

    fn state(state: PipeState) -> Act {
        Act::State { state }
    }

    fn block(id: &str) -> Act {
        Act::Block { id: id.to_owned() }
    }

    fn unblock(id: &str) -> Act {
        Act::Unblock { id: id.to_owned() }
    }

    #[test]
    fn of_file_and_person_whoever_withholds_more_counts() {
        use PipeState::{Hidden, Live, Retired, Shadow};
        let check = |acts: &[Act], expected: PipeState, revision: i64| {
            let mut document = none();
            for act in acts {
                document.decide(act, &note("")).unwrap();
            }
            assert_eq!(document.state(), expected, "{acts:?}");
            assert_eq!(document.revision, revision, "{acts:?}");
        };
        check(&[], Live, 0);
        check(&[Act::Show], Live, 0);
        check(&[Act::Hide], Hidden, 1);
        check(&[Act::Hide, Act::Hide], Hidden, 1);
        check(&[Act::Hide, Act::Show], Live, 2);
        check(&[Act::Hide, Act::Retire], Retired, 2);
        check(&[Act::Retire, Act::Show], Live, 2);
        check(&[state(Shadow)], Shadow, 1);
        check(&[state(Shadow), Act::Show], Shadow, 1);
        check(&[state(Shadow), Act::Hide], Hidden, 2);
        check(&[state(Shadow), Act::Hide, Act::Show], Shadow, 3);
        check(&[state(Retired), Act::Hide], Retired, 2);
        check(&[Act::Hide, state(Live)], Hidden, 1);
        check(&[Act::Hide, state(Shadow), state(Live)], Hidden, 3);
    }

    #[test]
    fn what_is_withheld_says_why() {
        let check = |acts: &[Act], id: &str, expected: Option<Withheld>| {
            let mut document = none();
            for act in acts {
                document.decide(act, &note("")).unwrap();
            }
            assert_eq!(document.policy().of(id), expected, "{acts:?} {id}");
        };
        check(&[], "1", None);
        check(&[block("1")], "1", Some(Withheld::Blocked));
        check(&[block("1")], "2", None);
        check(&[block("1"), unblock("1")], "1", None);
        check(&[block("1"), Act::Hide], "1", Some(Withheld::Hidden));
        check(&[block("1"), Act::Hide], "2", Some(Withheld::Hidden));
        let shown = [block("1"), Act::Hide, Act::Show];
        check(&shown, "1", Some(Withheld::Blocked));
        check(&shown, "2", None);
        let shadow = state(PipeState::Shadow);
        check(&[shadow], "1", Some(Withheld::Shadow));
    }

    /// Read from a folder so many seconds before the note.
    fn read(state: PipeState, seconds_before: i64) -> FileState {
        let read = note("").at - chrono::Duration::seconds(seconds_before);
        FileState {
            state,
            edition: Some(Edition::Folder { read }),
        }
    }

    #[test]
    fn drafts_say_nothing_of_products() {
        let now = note("").at;
        let mut document = none();
        let is_new = |document: &Withholding, state| document.is_new_state(read(state, 1), now);
        assert!(!is_new(&document, PipeState::Draft));
        assert!(!is_new(&document, PipeState::Live));
        assert!(is_new(&document, PipeState::Hidden));
        document
            .decide(&state(PipeState::Shadow), &note(""))
            .unwrap();
        assert!(document.is_behind());
        assert!(is_new(&document, PipeState::Live));
        assert!(!is_new(&document, PipeState::Draft));
    }

    /// A process that is up with `live` while another one took `hidden` over
    /// would show everything again with its next tick.
    #[test]
    fn an_older_reading_of_the_file_says_nothing_new() {
        use PipeState::{Hidden, Live};
        let mut document = none();
        let follow = |document: &mut Withholding, file| document.follow(file, &note("")).unwrap();
        assert_eq!(follow(&mut document, read(Live, 60)), Decided::Already);
        assert_eq!(follow(&mut document, read(Hidden, 10)), Decided::New);
        assert_eq!(follow(&mut document, read(Live, 60)), Decided::Already);
        assert_eq!((document.state(), document.revision), (Hidden, 1));
        assert_eq!(follow(&mut document, read(Live, 5)), Decided::New);
        // Pipes that come from no files, and a document of before there were
        // editions.
        let by_hand = FileState {
            state: Hidden,
            edition: None,
        };
        assert_eq!(follow(&mut document, by_hand), Decided::New);
        assert_eq!(follow(&mut document, read(Live, 60)), Decided::New);
        // Read by a clock that was ahead: put right, and so counts before what
        // is read from now on.
        assert_eq!(follow(&mut document, read(Hidden, -3_600)), Decided::New);
        assert_eq!(document.edition, read(Hidden, 0).edition);
        let note = Note {
            at: note("").at + chrono::Duration::seconds(1),
            ..note("")
        };
        let later = document.follow(read(Live, -1), &note).unwrap();
        assert_eq!(later, Decided::New);
    }

    #[test]
    fn a_decision_is_kept_in_bounds() {
        let mut document = none();
        let long = "가".repeat(WHY_CHARS_MAX);
        let by = "나".repeat(BY_CHARS_MAX);
        let full = Note {
            by,
            why: long.clone(),
            ..note("")
        };
        for n in 0..BLOCKED_MAX {
            let id = format!("{n:0ID_BYTES_MAX$}");
            document.decide(&block(&id), &full).unwrap();
        }
        let bytes = serde_json::to_vec(&document).unwrap().len();
        assert!(bytes < STATE_VALUE_BYTES_MAX, "{bytes}");
        let more = document.decide(&block("x"), &full).unwrap_err();
        assert!(more.to_string().contains("unblock some"), "{more}");
        let error = |act: Act, note: Note| {
            let error = none().decide(&act, &note).unwrap_err();
            error.to_string()
        };
        let found = error(Act::Hide, note(&(long + "x")));
        assert_eq!(
            found,
            "the reason has 501 characters, and at most 500 are kept"
        );
        let found = error(block(&"x".repeat(513)), note(""));
        assert!(found.contains("1 to 512 bytes"), "{found}");
        let found = error(block(""), note(""));
        assert!(found.contains("1 to 512 bytes"), "{found}");
    }

    #[test]
    fn a_decision_reads_back_as_it_was_written() {
        let mut document = none();
        document.decide(&block("a 1"), &note("sold out")).unwrap();
        let entry = document.last.clone().unwrap();
        assert_eq!(entry.key(), "decisions/shop/withheld-0000000001");
        let text = serde_json::to_string(&document).unwrap();
        assert!(
            text.contains(r#""act":"block","id":"a 1","by":"ann""#),
            "{text}"
        );
        let back: Withholding = serde_json::from_str(&text).unwrap();
        assert_eq!(back, document);
    }
}

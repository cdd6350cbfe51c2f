//! Pictures that nobody is shown, whichever product has them: by the SHA-256 of
//! the bytes that partners serve. To workers such a picture is a placeholder:
//! it is fetched, known by its bytes, and nothing of it is stored.
//!
//! One document for all pipes says which; how rows come to it is not known here.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::image::{ImageOutcome, ImageStatus, KnownImage};
use crate::image_policy::{ImagePolicy, PLACEHOLDER_RECIPE};
use crate::placeholder::Placeholder;
use crate::withheld::{Decided, Note, WithholdError, check};

/// Blocked pictures: with names and reasons at their longest the document stays
/// below the 1 MiB of one.
pub const IMAGES_MAX: usize = 400;

/// Hex digits of a SHA-256.
const DIGITS: usize = 64;

/// What was decided about a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageAct {
    Block,
    Unblock,
}

/// One decision, at `image-decisions/{revision}`: created once, never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageDecision {
    pub revision: i64,
    pub act: ImageAct,
    pub sha256: String,
    #[serde(flatten)]
    pub note: Note,
}

impl ImageDecision {
    pub const ALL: &'static str = "image-decisions/";

    pub fn key(&self) -> String {
        format!("{}{:010}", Self::ALL, self.revision)
    }
}

/// The document at `blocked-images`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockedImages {
    /// Grows with every decision.
    pub revision: i64,
    pub images: BTreeMap<String, Note>,
    /// The decision of this revision, until it stands by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Box<ImageDecision>>,
}

impl BlockedImages {
    pub const KEY: &'static str = "blocked-images";

    pub fn decide(
        &mut self,
        act: ImageAct,
        sha256: &str,
        note: &Note,
    ) -> Result<Decided, WithholdError> {
        check(note)?;
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if sha256.len() != DIGITS || !sha256.bytes().all(is_hex) {
            return Err(WithholdError::BadHash);
        }
        match (act, self.images.contains_key(sha256)) {
            (ImageAct::Block, true) | (ImageAct::Unblock, false) => return Ok(Decided::Already),
            (ImageAct::Block, false) if self.images.len() >= IMAGES_MAX => {
                return Err(WithholdError::TooManyImages);
            }
            (ImageAct::Block, false) => {
                self.images.insert(sha256.to_owned(), note.clone());
            }
            (ImageAct::Unblock, true) => {
                self.images.remove(sha256);
            }
        }
        self.revision += 1;
        self.last = Some(Box::new(ImageDecision {
            revision: self.revision,
            act,
            sha256: sha256.to_owned(),
            note: note.clone(),
        }));
        Ok(Decided::New)
    }

    /// Their hashes.
    pub fn hashes(&self) -> BTreeSet<String> {
        self.images.keys().cloned().collect()
    }

    /// The policy by which these are placeholders as well.
    #[must_use]
    pub fn with(&self, mut policy: ImagePolicy) -> ImagePolicy {
        let blocked = self.images.keys().cloned().map(Placeholder::Sha256);
        policy.placeholders.extend(blocked);
        policy
    }

    /// The outcome of work that began before the picture was blocked.
    #[must_use]
    pub fn judged(&self, outcome: ImageOutcome) -> ImageOutcome {
        let sha256 = picture_of(&outcome).filter(|sha256| self.images.contains_key(*sha256));
        match sha256.map(str::to_owned) {
            Some(sha256) => withdrawn(outcome, sha256),
            None => outcome,
        }
    }

    /// Pictures that were blocked since it was as it is `known`.
    pub fn since<'a>(&'a self, known: &'a Self) -> impl Iterator<Item = &'a str> {
        let images = self.images.keys().map(String::as_str);
        images.filter(|sha256| !known.images.contains_key(*sha256))
    }
}

/// The picture that a row shows by this outcome, as its SHA-256.
pub fn picture_of(outcome: &ImageOutcome) -> Option<&str> {
    if !matches!(outcome.status, ImageStatus::Stored | ImageStatus::Unchanged) {
        return None;
    }
    let source = outcome.source.as_ref().map(|source| &source.sha256);
    source.or(outcome.known.sha256.as_ref()).map(String::as_str)
}

/// The outcome by which a row lets go of a picture that it shows.
pub fn withdrawn_from(product_id: String, url: String, sha256: &str) -> ImageOutcome {
    let outcome = ImageOutcome {
        product_id,
        url,
        status: ImageStatus::Placeholder,
        reason: String::new(),
        source: None,
        known: KnownImage::default(),
        variants: Vec::new(),
    };
    withdrawn(outcome, sha256.to_owned())
}

fn withdrawn(outcome: ImageOutcome, sha256: String) -> ImageOutcome {
    ImageOutcome {
        status: ImageStatus::Placeholder,
        reason: "it is blocked".to_owned(),
        variants: Vec::new(),
        known: KnownImage {
            sha256: Some(sha256),
            recipe: Some(PLACEHOLDER_RECIPE.to_owned()),
            ..outcome.known
        },
        ..outcome
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chrono::DateTime;

    use super::*;
    use crate::image_policy::Standing;
    use crate::ports::STATE_VALUE_BYTES_MAX;
    use crate::withheld::{BY_CHARS_MAX, WHY_CHARS_MAX};

    fn note() -> Note {
        Note {
            by: "나".repeat(BY_CHARS_MAX),
            at: DateTime::UNIX_EPOCH,
            why: "가".repeat(WHY_CHARS_MAX),
        }
    }

    fn sha(n: usize) -> String {
        format!("{n:064x}")
    }

    #[test]
    fn decisions_about_pictures_are_numbered_and_bounded() {
        let mut blocked = BlockedImages::default();
        let mut check = |act, sha256: &str, expected: Result<Decided, &str>, revision| {
            let decided = blocked.decide(act, sha256, &note());
            match (decided, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(error), Err(says)) => assert!(error.to_string().contains(says), "{error}"),
                (found, _) => panic!("{found:?}"),
            }
            assert_eq!(blocked.revision, revision);
        };
        use ImageAct::{Block, Unblock};
        check(Unblock, &sha(1), Ok(Decided::Already), 0);
        check(Block, &sha(1), Ok(Decided::New), 1);
        check(Block, &sha(1), Ok(Decided::Already), 1);
        check(
            Block,
            &sha(1).to_uppercase().replace('0', "A"),
            Err("64"),
            1,
        );
        check(Block, "abc", Err("64"), 1);
        check(Unblock, &sha(1), Ok(Decided::New), 2);
        for n in 0..IMAGES_MAX {
            blocked.decide(Block, &sha(n), &note()).unwrap();
        }
        let more = blocked.decide(Block, &sha(IMAGES_MAX), &note());
        assert_eq!(more, Err(WithholdError::TooManyImages));
        let bytes = serde_json::to_vec(&blocked).unwrap();
        assert!(bytes.len() < STATE_VALUE_BYTES_MAX, "{}", bytes.len());
        let back: BlockedImages = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(back, blocked);
    }

    #[test]
    fn a_blocked_picture_is_a_placeholder_to_workers_and_to_what_they_found() {
        let mut blocked = BlockedImages::default();
        blocked.decide(ImageAct::Block, &sha(1), &note()).unwrap();
        let policy = blocked.with(ImagePolicy::default());
        assert!(policy.judge_bytes(&sha(1)).is_some());
        assert!(policy.judge_bytes(&sha(2)).is_none());
        let check = |status, sha256: &str, expected: ImageStatus| {
            let outcome = ImageOutcome {
                status,
                ..withdrawn_from("p".to_owned(), "http://a/1".to_owned(), sha256)
            };
            let judged = blocked.judged(outcome);
            assert_eq!(judged.status, expected, "{status:?}");
            if expected == ImageStatus::Placeholder {
                assert_eq!(judged.known.recipe.as_deref(), Some(PLACEHOLDER_RECIPE));
                let standing = policy.standing(&judged.known, "variants");
                assert_eq!(standing, Standing::Settled);
            }
        };
        check(ImageStatus::Stored, &sha(1), ImageStatus::Placeholder);
        check(ImageStatus::Unchanged, &sha(1), ImageStatus::Placeholder);
        check(ImageStatus::NotFound, &sha(1), ImageStatus::NotFound);
        check(ImageStatus::Stored, &sha(2), ImageStatus::Stored);
    }
}

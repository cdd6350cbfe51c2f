//! What a fleet and a pipe say of pictures besides their variants: which are
//! no pictures of a product, and what becomes of damaged files. Whether a
//! picture is stored follows from it and two hashes, so that a changed list is
//! held against what the catalogue knows, without a download.
//!
//! What the catalogue knows says also how it was judged, in the recipe: the
//! variants' for a stored picture, that with a mark for a damaged one, and
//! [`PLACEHOLDER_RECIPE`] for what has no variants.

use serde::{Deserialize, Serialize};

use crate::image::KnownImage;
use crate::phash::Phash;
use crate::pipe::ImageOptions;
use crate::placeholder::Placeholder;

/// Entries of one list; each is compared with every picture.
pub const PLACEHOLDERS_MAX: usize = 1_000;

/// The recipe of what was found to be a placeholder: nothing was made of it,
/// whatever the variants are.
pub const PLACEHOLDER_RECIPE: &str = "placeholder";

/// Behind the recipe of a picture that was decoded in part.
const DAMAGED_MARK: &str = "+damaged";

/// What becomes of a picture of one colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBlank {
    /// It is a picture as any: a swatch of paint or cloth is of one colour too.
    #[default]
    Store,
    /// It stands for "no picture yet".
    Placeholder,
}

/// What becomes of a file that can be decoded in part only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDamaged {
    /// It is `truncated` or `corrupt`, and nothing of it is stored.
    #[default]
    Refuse,
    /// It is stored, and the row says that it is damaged.
    Store,
}

/// What is said of the pictures of one pipe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImagePolicy {
    pub placeholders: Vec<Placeholder>,
    pub blank: OnBlank,
    pub damaged: OnDamaged,
}

/// What two hashes say of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    Product,
    /// Why, for people.
    Placeholder(String),
    /// Its look would decide, and is not known.
    Open,
}

/// What the next look at an image has to find out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// With the same bytes all is as it was.
    Settled,
    /// With the same bytes it is a placeholder now, for this reason. It was
    /// stored before.
    Placeholder(String),
    /// The bytes are needed.
    Open,
}

impl ImagePolicy {
    /// The fleet's with what a pipe adds and has otherwise.
    #[must_use]
    pub fn of_pipe(&self, pipe: &ImageOptions) -> Self {
        let all = self.placeholders.iter().chain(&pipe.placeholders);
        Self {
            placeholders: all.cloned().collect(),
            blank: pipe.blank.unwrap_or(self.blank),
            damaged: pipe.damaged.unwrap_or(self.damaged),
        }
    }

    /// Whether these bytes (lower-case hex) are a placeholder's.
    pub fn judge_bytes(&self, sha256: &str) -> Option<String> {
        let is_listed = |entry: &&Placeholder| match entry {
            Placeholder::Sha256(digits) => digits == sha256,
            Placeholder::Phash { .. } => false,
        };
        let entry = self.placeholders.iter().find(is_listed)?;
        Some(format!("its bytes are those of the placeholder {entry}"))
    }

    /// Whether this look is a placeholder's.
    pub fn judge_look(&self, phash: Phash) -> Option<String> {
        if phash == Phash::ONE_COLOUR {
            let is_told = self.blank == OnBlank::Placeholder;
            return is_told.then(|| "it is of one colour".to_owned());
        }
        self.placeholders.iter().find_map(|entry| match entry {
            Placeholder::Sha256(_) => None,
            Placeholder::Phash { hash, within } => {
                let bits = hash.distance(phash);
                (bits <= *within)
                    .then(|| format!("it looks like the placeholder {entry} ({bits} bits differ)"))
            }
        })
    }

    fn judge(&self, sha256: &str, phash: Option<Phash>) -> Judged {
        if let Some(reason) = self.judge_bytes(sha256) {
            return Judged::Placeholder(reason);
        }
        match phash {
            Some(phash) => self
                .judge_look(phash)
                .map_or(Judged::Product, Judged::Placeholder),
            None if self.looks() => Judged::Open,
            None => Judged::Product,
        }
    }

    /// Whether the look of a picture may decide.
    fn looks(&self) -> bool {
        let by_look = |entry: &Placeholder| matches!(entry, Placeholder::Phash { .. });
        self.blank == OnBlank::Placeholder || self.placeholders.iter().any(by_look)
    }

    /// What there is to find out of an image of which this is known, where
    /// pictures are stored by this recipe.
    pub fn standing(&self, known: &KnownImage, recipe: &str) -> Standing {
        let Some(sha256) = &known.sha256 else {
            return Standing::Open;
        };
        let made_by = known.recipe.as_deref().unwrap_or_default();
        match self.judge(sha256, known.phash) {
            Judged::Open => Standing::Open,
            Judged::Placeholder(_) if made_by == PLACEHOLDER_RECIPE => Standing::Settled,
            Judged::Placeholder(reason) => Standing::Placeholder(reason),
            Judged::Product => {
                let of_damaged =
                    self.damaged == OnDamaged::Store && made_by == recipe_of_damaged(recipe);
                match made_by == recipe || of_damaged {
                    true => Standing::Settled,
                    false => Standing::Open,
                }
            }
        }
    }
}

/// The recipe of a picture that was decoded in part.
pub fn recipe_of_damaged(recipe: &str) -> String {
    format!("{recipe}{DAMAGED_MARK}")
}

/// Whether what is stored under this recipe was decoded in part.
pub fn is_recipe_of_damaged(recipe: &str) -> bool {
    recipe.ends_with(DAMAGED_MARK)
}

/// Whether an image of this recipe is what the present one would make of it:
/// placeholders are, whatever the variants.
pub fn is_made_by(found: &str, recipe: &str) -> bool {
    found == PLACEHOLDER_RECIPE || found.strip_suffix(DAMAGED_MARK).unwrap_or(found) == recipe
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const RECIPE: &str = "0123456789abcdef";
    const LOOK: Phash = Phash(0xe1b0_c3d4_9a5f_2786);

    fn entry(text: &str) -> Placeholder {
        Placeholder::try_from(text.to_owned()).unwrap()
    }

    fn bytes(n: u8) -> String {
        hex::encode([n; 32])
    }

    fn policy(entries: &[&str]) -> ImagePolicy {
        ImagePolicy {
            placeholders: entries.iter().map(|text| entry(text)).collect(),
            ..ImagePolicy::default()
        }
    }

    fn known(sha256: u8, phash: Option<Phash>, recipe: &str) -> KnownImage {
        KnownImage {
            sha256: Some(bytes(sha256)),
            phash,
            recipe: Some(recipe.to_owned()),
            ..KnownImage::default()
        }
    }

    #[test]
    fn a_pipe_adds_placeholders_and_decides_the_rest_anew() {
        let fleet = policy(&["phash:e1b0c3d49a5f2786"]);
        assert_eq!(fleet.of_pipe(&ImageOptions::default()), fleet);
        let pipe = ImageOptions {
            placeholders: vec![entry("phash:0000000000ffffff~0")],
            blank: Some(OnBlank::Placeholder),
            damaged: Some(OnDamaged::Store),
            ..ImageOptions::default()
        };
        let both = fleet.of_pipe(&pipe);
        assert_eq!(both.placeholders.len(), 2);
        assert_eq!(both.blank, OnBlank::Placeholder);
        assert_eq!(both.damaged, OnDamaged::Store);
    }

    #[test]
    fn a_changed_list_is_held_against_what_is_known() {
        let check = |policy: &ImagePolicy, known: KnownImage, expected: Option<bool>| {
            let found = match policy.standing(&known, RECIPE) {
                Standing::Settled => Some(true),
                Standing::Placeholder(_) => Some(false),
                Standing::Open => None,
            };
            assert_eq!(found, expected, "{policy:?} {known:?}");
        };
        let near = Some(Phash(LOOK.0 ^ 0b101));
        let far = Some(Phash(LOOK.0 ^ 0xff));
        let (plain, by_bytes) = (policy(&[]), policy(&[&format!("sha256:{}", bytes(7))]));
        let by_look = policy(&["phash:e1b0c3d49a5f2786"]);
        // Stored, and nothing speaks against it.
        check(&plain, known(7, near, RECIPE), Some(true));
        check(&plain, known(7, None, RECIPE), Some(true));
        check(&plain, known(7, near, "another"), None);
        check(&plain, KnownImage::default(), None);
        // Stored, and listed since: no byte is needed, whatever the recipe.
        check(&by_bytes, known(7, None, RECIPE), Some(false));
        check(&by_bytes, known(7, None, "another"), Some(false));
        check(&by_bytes, known(8, None, RECIPE), Some(true));
        check(&by_look, known(7, near, RECIPE), Some(false));
        check(&by_look, known(7, far, RECIPE), Some(true));
        // Stored before there were such hashes.
        check(&by_look, known(7, None, RECIPE), None);
        // A placeholder that still is one, and one that is no longer listed.
        check(&by_look, known(7, near, PLACEHOLDER_RECIPE), Some(true));
        check(&plain, known(7, near, PLACEHOLDER_RECIPE), None);
        let blank = ImagePolicy {
            blank: OnBlank::Placeholder,
            ..policy(&[])
        };
        let one_colour = Some(Phash::ONE_COLOUR);
        check(&blank, known(7, one_colour, RECIPE), Some(false));
        check(&plain, known(7, one_colour, RECIPE), Some(true));
        check(&blank, known(7, one_colour, PLACEHOLDER_RECIPE), Some(true));
        // A damaged one stays as long as such are stored.
        let lenient = ImagePolicy {
            damaged: OnDamaged::Store,
            ..policy(&[])
        };
        let damaged = recipe_of_damaged(RECIPE);
        check(&lenient, known(7, near, &damaged), Some(true));
        check(&lenient, known(7, near, RECIPE), Some(true));
        check(&plain, known(7, near, &damaged), None);
    }

    #[test]
    fn recipes_tell_what_was_made_by_them() {
        assert!(is_made_by(RECIPE, RECIPE));
        assert!(is_made_by(&recipe_of_damaged(RECIPE), RECIPE));
        assert!(is_made_by(PLACEHOLDER_RECIPE, RECIPE));
        assert!(!is_made_by("another", RECIPE));
        assert!(is_recipe_of_damaged(&recipe_of_damaged(RECIPE)));
        assert!(!is_recipe_of_damaged(RECIPE));
    }
}

//! What is wrong with the values of a pipe file, as it is found.

use super::HEADER_BYTES_MAX;
use crate::problem::Problem;
use crate::secret::{Place, SecretText};

/// Stands for a value that may be a secret.
pub(super) const NOT_SHOWN: &str = "(not shown)";

#[derive(Default)]
pub(super) struct Problems(pub(super) Vec<Problem>);

impl Problems {
    pub(super) fn push(&mut self, key: &str, found: &dyn std::fmt::Display, allowed: &str) {
        self.0.push(Problem {
            key: key.to_owned(),
            found: found.to_string(),
            allowed: allowed.to_owned(),
        });
    }

    pub(super) fn unless(
        &mut self,
        ok: bool,
        key: &str,
        found: &dyn std::fmt::Display,
        allowed: &str,
    ) {
        if !ok {
            self.push(key, found, allowed);
        }
    }

    pub(super) fn within(&mut self, key: &str, found: u64, min: u64, max: u64) {
        self.unless(
            (min..=max).contains(&found),
            key,
            &found,
            &format!("{min} to {max}"),
        );
    }

    pub(super) fn user(&mut self, key: &str, user: &str) {
        let fits = !user.is_empty()
            && user.len() <= HEADER_BYTES_MAX
            && !user.contains(|c: char| c == ':' || c.is_control());
        self.unless(
            fits,
            key,
            &user,
            "a name without ':' and control characters",
        );
    }

    pub(super) fn secret(&mut self, key: &str, value: &SecretText, place: Place) {
        if let Some(rule) = value.problem(place) {
            self.push(key, &"a credential written out (not shown)", rule);
        }
    }
}

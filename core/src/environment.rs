//! The name that keeps two fleets apart.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::InvalidId;

/// Longest name: leaves room in an SQS queue name of 80 characters.
pub const ENVIRONMENT_CHARS_MAX: usize = 32;

/// One fleet with its own queues, documents and catalogue: `production`,
/// `staging`, `ann`. Queue names, keys and messages carry it, so that two
/// fleets of one account never touch each other's work unnoticed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Environment(String);

impl Environment {
    pub const RULE: &'static str =
        "use 1 to 32 lower-case ASCII letters, digits or '-', starting with a letter";

    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let first_ok = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        let rest_ok = text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if first_ok && rest_ok && text.len() <= ENVIRONMENT_CHARS_MAX {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId {
                what: "environment",
                found: text.to_owned(),
                rule: Self::RULE,
            })
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Environment {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(|error| {
            serde::de::Error::invalid_value(serde::de::Unexpected::Str(&text), &error.rule)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_rule() {
        for good in ["production", "eu-2", "a"] {
            assert!(Environment::parse(good).is_ok(), "{good}");
        }
        let long = "a".repeat(ENVIRONMENT_CHARS_MAX + 1);
        for bad in ["", "2nd", "-a", "Prod", "a_b", "a/b", &long] {
            assert!(Environment::parse(bad).is_err(), "{bad}");
        }
    }
}

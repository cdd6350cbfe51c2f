//! Credentials by reference: files, sets, documents and logs hold the name of
//! a secret, and the worker that needs its value asks for it at that moment.
//!
//! What a reference stands for is the business of the `Secrets` port.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest reference, in bytes: SSM names have at most 1,011 characters.
const REFERENCE_BYTES_MAX: usize = 1_024;

/// Where a secret is found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretRef {
    /// `env:NAME`: a variable of the worker's environment.
    Env(String),
    /// `file:/path`: a file on the worker's machine, without its last line
    /// end.
    File(PathBuf),
    /// `ssm:/name`: a parameter of AWS Systems Manager, decrypted.
    Ssm(String),
}

/// A text that is no reference. It does not show the text, which may be the
/// secret itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", SecretRef::RULE)]
pub struct NoReference;

impl SecretRef {
    pub const RULE: &'static str = "a reference: env:NAME, file:/path or ssm:/name";

    /// Whether the text means to be a reference, be it a valid one or not.
    pub fn is_meant(text: &str) -> bool {
        ["env:", "file:", "ssm:"]
            .iter()
            .any(|scheme| text.starts_with(scheme))
    }
}

impl FromStr for SecretRef {
    type Err = NoReference;

    fn from_str(text: &str) -> Result<Self, NoReference> {
        let (scheme, name) = text.split_once(':').ok_or(NoReference)?;
        let plain = |extra: &[u8]| {
            name.bytes()
                .all(|b| b.is_ascii_alphanumeric() || extra.contains(&b))
        };
        let well_formed = !name.is_empty() && text.len() <= REFERENCE_BYTES_MAX;
        match scheme {
            "env" if well_formed && plain(b"_") => Ok(Self::Env(name.to_owned())),
            "file" if well_formed && name.starts_with('/') && !name.contains('\0') => {
                Ok(Self::File(PathBuf::from(name)))
            }
            "ssm" if well_formed && name.starts_with('/') && plain(b"/_.-") => {
                Ok(Self::Ssm(name.to_owned()))
            }
            _ => Err(NoReference),
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Ssm(name) => write!(f, "ssm:{name}"),
        }
    }
}

/// A value that a pipe sends and that may be a credential: a reference, or the
/// text itself. `Debug` does not show the text.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretText {
    Reference(SecretRef),
    Literal(String),
}

impl SecretText {
    pub fn reference(&self) -> Option<&SecretRef> {
        match self {
            Self::Reference(reference) => Some(reference),
            Self::Literal(_) => None,
        }
    }

    /// Why the text may not stand where it stands, if so; `is_credential` says
    /// what the place is for. What is meant as a reference has to be one.
    pub fn problem(&self, place: Place) -> Option<&'static str> {
        match (self, place) {
            (Self::Reference(_), Place::Credential | Place::Open) => None,
            (Self::Literal(text), Place::Open) if !SecretRef::is_meant(text) => None,
            (Self::Literal(_), Place::Credential | Place::Open) => Some(SecretRef::RULE),
        }
    }
}

/// What a value is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Literals are refused.
    Credential,
    Open,
}

impl Place {
    /// Of a header, by its name.
    pub fn of_header(name: &str) -> Self {
        const WORDS: [&str; 9] = [
            "auth",
            "cookie",
            "token",
            "key",
            "secret",
            "pass",
            "session",
            "credential",
            "signature",
        ];
        Self::of_name(name, &WORDS)
    }

    /// Of a parameter of a URL, by its name: those whose values no error and no
    /// log shows.
    pub fn of_parameter(name: &str) -> Self {
        const WORDS: [&str; 9] = [
            "auth", "token", "key", "secret", "pass", "pwd", "session", "cred", "sig",
        ];
        Self::of_name(name, &WORDS)
    }

    fn of_name(name: &str, words: &[&str]) -> Self {
        let name = name.to_ascii_lowercase();
        if words.iter().any(|word| name.contains(word)) {
            Self::Credential
        } else {
            Self::Open
        }
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reference(reference) => write!(f, "{reference}"),
            Self::Literal(_) => f.write_str("(not shown)"),
        }
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Reference(reference) => serializer.collect_str(reference),
            Self::Literal(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(match text.parse() {
            Ok(reference) => Self::Reference(reference),
            Err(NoReference) => Self::Literal(text),
        })
    }
}

/// What a reference stands for. Neither `Debug` nor anything else prints it,
/// and it cannot be serialised.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(String);

impl SecretValue {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// For the one place that puts it on the wire.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(***)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn references_are_told_from_literals() {
        let check = |text: &str, expected: Option<SecretRef>| {
            let json = serde_json::to_string(text).unwrap();
            let read: SecretText = serde_json::from_str(&json).unwrap();
            assert_eq!(read.reference(), expected.as_ref(), "{text}");
            assert_eq!(serde_json::to_string(&read).unwrap(), json);
        };
        check("env:TOKEN_2", Some(SecretRef::Env("TOKEN_2".to_owned())));
        check("file:/run/a b", Some(SecretRef::File("/run/a b".into())));
        check(
            "ssm:/trawler/a-b",
            Some(SecretRef::Ssm("/trawler/a-b".to_owned())),
        );
        for literal in [
            "hunter2",
            "env:",
            "env:A B",
            "file:relative",
            "ssm:name",
            "Bearer env:A",
        ] {
            check(literal, None);
        }
    }

    #[test]
    fn literals_are_refused_where_credentials_stand() {
        let check = |header: &str, text: &str, ok: bool| {
            let read: SecretText = serde_json::from_str(&format!("{text:?}")).unwrap();
            let problem = read.problem(Place::of_header(header));
            assert_eq!(problem.is_none(), ok, "{header}: {text}");
        };
        for name in [
            "Authorization",
            "cookie",
            "X-Api-Key",
            "X-Shop-Token",
            "client-secret",
        ] {
            check(name, "hunter2", false);
            check(name, "env:NAME", true);
        }
        check("User-Agent", "Mozilla/5.0", true);
        check("Accept", "text/csv", true);
        check("X-Client", "env:NAME", true);
        check("X-Client", "env:NOT A NAME", false);
        check("X-Client", "ssm:name", false);
    }

    #[test]
    fn values_are_not_printed() {
        assert!(!format!("{:?}", SecretValue::new("hunter2")).contains("hunter2"));
        assert!(!format!("{:?}", SecretText::Literal("hunter2".to_owned())).contains("hunter2"));
    }
}

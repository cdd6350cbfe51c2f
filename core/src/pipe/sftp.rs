//! `source.kind = "sftp"`: a file on a partner's SFTP server.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use super::inbox::{any, is_any, is_default, settle_s};
use super::newest::{FileRule, Newest};
use super::problems::{NOT_SHOWN, Problems};
use crate::secret::{Place, SecretRef, SecretText};

/// The port of SSH.
pub const SSH_PORT: u16 = 22;

/// Keys that may be pinned at once: the one in use and its successors.
const HOST_KEYS_MAX: usize = 16;

/// Longest path and longest user name, in bytes.
const TEXT_BYTES_MAX: usize = 1024;

/// How a fingerprint of OpenSSH begins; the digest of 32 bytes follows in
/// base64 without padding.
const FINGERPRINT_START: &str = "SHA256:";
const DIGEST_CHARS: usize = 43;

/// A file, or the newest finished one of a folder, on an SFTP server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SftpSource {
    /// Name or address of the server.
    pub host: String,
    /// Default 22, bound 1 to 65535.
    #[serde(default = "ssh_port")]
    pub port: u16,
    /// Name to log in with.
    pub user: String,
    /// Path on the server, absolute or from the folder that the user is in
    /// after the login: of a file, or of a folder.
    pub path: String,
    /// In a folder: names that the feed may have; `*` stands for any characters
    /// but `/`, `?` for one. Folders in it are not looked into. Default `"*"`.
    #[serde(default = "any", skip_serializing_if = "is_any")]
    pub pattern: String,
    /// In a folder: `"modified"` or, for names with a date, `"name"`; default
    /// `"modified"`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub newest: Newest,
    /// Seconds for which a finished file has not been modified; default 10,
    /// bound 0 to 300.
    #[serde(default = "settle_s")]
    pub settle_s: u64,
    /// End of the name of a marker file, such as `".done"`: `feed.csv` is
    /// finished when `feed.csv.done` is there. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<String>,
    /// Fingerprint of the server's key, `"SHA256:..."` as `ssh-keygen -l`
    /// prints it, or a list of at most 16. A server with another key is not
    /// talked to. The partner tells it; what a server offers is in the error.
    #[serde(deserialize_with = "one_or_several")]
    pub host_key: Vec<String>,
    /// `{ kind = "password", password = "env:NAME" }`, or `{ kind = "key", key
    /// = "file:/path", passphrase = "env:NAME" }` with a private key as OpenSSH
    /// or PEM has it; the passphrase is for one that is encrypted.
    pub auth: SftpAuth,
}

/// Credentials of an SFTP server, by reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum SftpAuth {
    Password {
        password: SecretText,
    },
    Key {
        key: SecretText,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        passphrase: Option<SecretText>,
    },
}

fn ssh_port() -> u16 {
    SSH_PORT
}

fn one_or_several<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "a fingerprint \"SHA256:...\", or a list of them"
    )]
    enum OneOrSeveral {
        One(String),
        Several(Vec<String>),
    }
    Ok(match OneOrSeveral::deserialize(deserializer)? {
        OneOrSeveral::One(one) => vec![one],
        OneOrSeveral::Several(several) => several,
    })
}

impl SftpSource {
    /// What the files of its folder have to be.
    pub fn rule(&self) -> FileRule<'_> {
        FileRule {
            pattern: &self.pattern,
            newest: self.newest,
            settle: Duration::from_secs(self.settle_s),
            done: self.done.as_deref(),
        }
    }

    /// Every secret that it needs, with its key.
    pub(super) fn secrets(&self) -> impl Iterator<Item = (String, &SecretRef)> {
        let (first, second) = match &self.auth {
            SftpAuth::Password { password } => (("source.auth.password", password), None),
            SftpAuth::Key { key, passphrase } => (
                ("source.auth.key", key),
                passphrase
                    .as_ref()
                    .map(|text| ("source.auth.passphrase", text)),
            ),
        };
        std::iter::once(first)
            .chain(second)
            .filter_map(|(key, text)| Some((key.to_owned(), text.reference()?)))
    }

    pub(super) fn problems(&self, found: &mut Problems) {
        let host_ok = self.host.parse::<std::net::IpAddr>().is_ok()
            || (1..=253).contains(&self.host.len())
                && self
                    .host
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b));
        let allowed =
            "the name, in lower case, or the address of a server, without scheme, user and port";
        found.unless(host_ok, "source.host", &shown(&self.host), allowed);
        found.within("source.port", u64::from(self.port), 1, 65_535);
        let text_ok = |text: &str| {
            (1..=TEXT_BYTES_MAX).contains(&text.len()) && !text.contains(|c: char| c.is_control())
        };
        let user_ok = text_ok(&self.user) && !self.user.contains(':');
        let allowed =
            "a name of at most 1024 bytes; a password is given by reference in source.auth";
        found.unless(user_ok, "source.user", &shown(&self.user), allowed);
        let path = format!("{:?}", self.path);
        let allowed = "a path of at most 1024 bytes without control characters";
        found.unless(text_ok(&self.path), "source.path", &path, allowed);
        self.rule().problems(found);
        if self.pattern.contains('/') {
            let allowed = "a name without '/'; the folder is source.path";
            found.push("source.pattern", &format!("{:?}", self.pattern), allowed);
        }
        let keys = self.host_key.len();
        found.within("source.host_key", keys as u64, 1, HOST_KEYS_MAX as u64);
        for key in &self.host_key {
            let allowed =
                "\"SHA256:\" and 43 characters, as ssh-keygen -l prints it for the server's key";
            let shown = format!("{key:?}");
            found.unless(is_fingerprint(key), "source.host_key", &shown, allowed);
        }
        match &self.auth {
            SftpAuth::Password { password } => {
                found.secret("source.auth.password", password, Place::Credential);
            }
            SftpAuth::Key { key, passphrase } => {
                found.secret("source.auth.key", key, Place::Credential);
                if let Some(passphrase) = passphrase {
                    found.secret("source.auth.passphrase", passphrase, Place::Credential);
                }
            }
        }
    }
}

/// People write passwords behind a colon or in front of an `@`.
fn shown(text: &str) -> String {
    match text.contains([':', '@']) {
        true => NOT_SHOWN.to_owned(),
        false => format!("{text:?}"),
    }
}

fn is_fingerprint(text: &str) -> bool {
    text.strip_prefix(FINGERPRINT_START).is_some_and(|digest| {
        digest.len() == DIGEST_CHARS
            && digest
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
    })
}

impl fmt::Display for SftpSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            host, port, user, ..
        } = self;
        let path = self.path.trim_start_matches('/');
        // An absolute path has two slashes, as in the URLs of curl.
        let root = match self.path.starts_with('/') {
            true => "/",
            false => "",
        };
        match host.contains(':') {
            true => write!(f, "sftp://{user}@[{host}]:{port}/{root}{path}"),
            false => write!(f, "sftp://{user}@{host}:{port}/{root}{path}"),
        }
    }
}

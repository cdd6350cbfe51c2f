//! Why nothing came from an SFTP server, and whether it may come later.

use std::io;

use trawler_core::verdict::Failure;
use trawler_net::{Refusal, Unreached};

/// What the server's words may take of an error.
const WORDS_CHARS_MAX: usize = 200;

/// Status codes of the protocol that mean something here.
pub(super) const STATUS_OK: u32 = 0;
pub(super) const STATUS_EOF: u32 = 1;
pub(super) const STATUS_NO_SUCH_FILE: u32 = 2;
pub(super) const STATUS_PERMISSION_DENIED: u32 = 3;
const STATUS_UNSUPPORTED: u32 = 8;

#[derive(Debug, thiserror::Error)]
pub(super) enum SftpError {
    #[error(transparent)]
    Connect(Unreached),
    /// The address of the pipe's proxy is no public one.
    #[error(transparent)]
    Refused(Refusal),
    #[error(
        "the server offers the host key {offered}, which is not trusted: source.host_key has {pinned}; ask the partner whether its key has changed, and only then add it"
    )]
    HostKey { offered: String, pinned: String },
    #[error(
        "the server and we have no {kind} in common; it offers {theirs}, and is too old or set up too narrowly"
    )]
    NothingInCommon { kind: String, theirs: String },
    #[error(
        "the login of user {user:?} with {with} is refused; the server takes {takes}; look at source.user and source.auth, and ask the partner"
    )]
    Login {
        user: String,
        with: String,
        takes: String,
    },
    #[error("{key} is no private key that can be read: {reason}")]
    Key { key: &'static str, reason: String },
    #[error("the connection ended ({during})")]
    Ssh {
        during: &'static str,
        source: Box<russh::Error>,
    },
    #[error("the connection ended ({during})")]
    Cut {
        during: &'static str,
        source: io::Error,
    },
    #[error("{during}: nothing came for {after_ms} ms")]
    Timeout { during: &'static str, after_ms: u64 },
    #[error("the server has no subsystem sftp for this user")]
    NoSubsystem,
    #[error("{verb} {path}: {}", told(*.code, .words))]
    Status {
        verb: &'static str,
        path: String,
        code: u32,
        words: String,
    },
    #[error("the server does not speak SFTP as it should: {0}")]
    Protocol(&'static str),
    #[error("{path} holds more than {max} files; move old ones away")]
    TooManyFiles { path: String, max: usize },
    #[error("{path} ends after {at} of {size} bytes: it was cut while it was read")]
    Shorter { path: String, at: u64, size: u64 },
}

impl SftpError {
    /// What the library says, as far as it is not about one of our errors.
    pub(super) fn ssh(during: &'static str, error: russh::Error) -> Self {
        match error {
            russh::Error::IO(source) => Self::Cut { during, source },
            russh::Error::NoCommonAlgo { kind, theirs, .. } => Self::NothingInCommon {
                kind: format!("{kind:?}").to_ascii_lowercase(),
                theirs: clean(&theirs.join(", ")),
            },
            error => Self::Ssh {
                during,
                source: Box::new(error),
            },
        }
    }

    /// Whether the connection is gone and another may go on where it was.
    pub(super) fn is_cut(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Ssh { .. } | Self::Cut { .. } | Self::Timeout { .. } => true,
            Self::Refused(_)
            | Self::HostKey { .. }
            | Self::NothingInCommon { .. }
            | Self::Login { .. }
            | Self::Key { .. }
            | Self::NoSubsystem
            | Self::Status { .. }
            | Self::Protocol(_)
            | Self::TooManyFiles { .. }
            | Self::Shorter { .. } => false,
        }
    }

    /// Whether the file is not there.
    pub(super) fn is_missing(&self) -> bool {
        matches!(
            self,
            Self::Status {
                code: STATUS_NO_SUCH_FILE,
                ..
            }
        )
    }

    /// What it means for the run of a source; `reason` is the error with its
    /// causes. A file that is missing may be late.
    pub(super) fn failure(&self, reason: String) -> Failure {
        match self {
            Self::Refused(_)
            | Self::HostKey { .. }
            | Self::NothingInCommon { .. }
            | Self::Login { .. }
            | Self::Key { .. }
            | Self::NoSubsystem
            | Self::TooManyFiles { .. }
            | Self::Status {
                code: STATUS_PERMISSION_DENIED | STATUS_UNSUPPORTED,
                ..
            } => Failure::permanent(reason),
            Self::Connect(_)
            | Self::Ssh { .. }
            | Self::Cut { .. }
            | Self::Timeout { .. }
            | Self::Protocol(_)
            | Self::Shorter { .. }
            | Self::Status { .. } => Failure::transient(reason),
        }
    }
}

fn told(code: u32, words: &str) -> String {
    match code {
        STATUS_NO_SUCH_FILE => "there is no such file".to_owned(),
        STATUS_PERMISSION_DENIED => "the user may not read it".to_owned(),
        _ => format!("the server says {:?} (status {code})", clean(words)),
    }
}

/// Words of the server for a log: short and without control characters.
pub(super) fn clean(words: &str) -> String {
    let words = words.chars().filter(|c| !c.is_control());
    words.take(WORDS_CHARS_MAX).collect()
}

//! A connection to an SFTP server: to judged addresses alone, with a host key
//! that the pipe names, logged in.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg};
use russh::{AlgorithmKind, ChannelMsg, ChannelStream, MethodKind, MethodSet, Preferred, SshId};
use trawler_core::pipe::SftpSource;
use trawler_net::{SshHost, SshStream, Unreached};

use super::error::{SftpError, clean};
use super::files::Files;
use super::host_key::{KINDS, Offered, Pins, algorithms};
use super::leash::{Leash, leash};

/// Key exchange and login. Bounds what a server can draw out by talking.
const LOGIN_MAX: Duration = Duration::from_secs(30);

/// How long a server is waited for when we say goodbye.
const GOODBYE_MAX: Duration = Duration::from_millis(500);

/// Questions that a server may ask before it takes a password.
const QUESTIONS_MAX: usize = 4;

/// With what the user logs in.
pub(super) enum Login {
    Password(String),
    Key(Arc<PrivateKey>),
}

/// Whom to connect to, and how.
pub(super) struct Target<'a> {
    pub(super) source: &'a SftpSource,
    /// Judged; no other address is connected to.
    pub(super) server: &'a SshHost,
    pub(super) login: &'a Login,
    pub(super) idle: Duration,
}

/// A connection with its channel. Dropping it ends it at once.
pub(super) struct Connection {
    pub(super) files: Files<ChannelStream<client::Msg>>,
    handle: Handle<Pins>,
    _leash: Leash,
}

impl Connection {
    /// Says goodbye; a server that does not listen is left.
    pub(super) async fn close(self) {
        let Self { files, handle, .. } = self;
        drop(files);
        let goodbye = async {
            let reason = russh::Disconnect::ByApplication;
            if handle.disconnect(reason, "", "").await.is_ok() {
                // It may end with an error all the same; everything is read.
                let _ = handle.await;
            }
        };
        let _ = tokio::time::timeout(GOODBYE_MAX, goodbye).await;
    }
}

impl Target<'_> {
    /// A server may have keys of several kinds, of which the pipe need not name
    /// all: after one that is not trusted the other kinds are asked for.
    pub(super) async fn connect(&self) -> Result<Connection, SftpError> {
        let mut kinds: Vec<usize> = (0..KINDS.len()).collect();
        let mut refused: Vec<Offered> = Vec::new();
        loop {
            match self.once(&kinds).await {
                Err(Rejected::HostKey(offered)) => {
                    kinds.retain(|kind| Some(*kind) != offered.kind);
                    let is_known = offered.kind.is_some();
                    refused.push(offered);
                    if kinds.is_empty() || !is_known {
                        return Err(self.untrusted(&refused));
                    }
                }
                Err(Rejected::NoKey) if !refused.is_empty() => {
                    return Err(self.untrusted(&refused));
                }
                Err(Rejected::NoKey) => {
                    return Err(SftpError::NothingInCommon {
                        kind: "kind of host key".to_owned(),
                        theirs: "none of ed25519, ecdsa, rsa-sha2-512 and rsa-sha2-256".to_owned(),
                    });
                }
                Err(Rejected::Error(error)) => return Err(error),
                Ok(connection) => return Ok(connection),
            }
        }
    }

    fn untrusted(&self, refused: &[Offered]) -> SftpError {
        let offered = refused.iter().map(|offered| {
            let Offered {
                fingerprint, name, ..
            } = offered;
            format!("{fingerprint} ({name})")
        });
        SftpError::HostKey {
            offered: offered.collect::<Vec<_>>().join(" and "),
            pinned: self.source.host_key.join(", "),
        }
    }

    async fn once(&self, kinds: &[usize]) -> Result<Connection, Rejected> {
        let stream = self.server.connect().await;
        let stream = stream.map_err(|unreached| match unreached {
            Unreached::Refused(refusal) => SftpError::Refused(refusal),
            failed @ Unreached::Failed { .. } => SftpError::Connect(failed),
        })?;
        let login = self.log_in(stream, kinds);
        match tokio::time::timeout(LOGIN_MAX, login).await {
            Ok(done) => done,
            Err(_) => Err(Rejected::Error(SftpError::Timeout {
                during: "logging in",
                after_ms: u64::try_from(LOGIN_MAX.as_millis()).unwrap_or(u64::MAX),
            })),
        }
    }

    async fn log_in(&self, stream: SshStream, kinds: &[usize]) -> Result<Connection, Rejected> {
        const DURING: &str = "agreeing on keys";
        let config = client::Config {
            client_id: SshId::Standard(Cow::Borrowed("SSH-2.0-Trawler")),
            preferred: Preferred {
                key: algorithms(kinds),
                ..Preferred::DEFAULT
            },
            nodelay: true,
            ..client::Config::default()
        };
        let (pins, seen) = Pins::new(&self.source.host_key);
        let (leash, stream) = leash(stream);
        let connected = client::connect_stream(Arc::new(config), stream, pins).await;
        let mut handle = match (connected, seen.offered()) {
            (Ok(handle), _) => handle,
            (Err(russh::Error::UnknownKey), Some(offered)) => {
                return Err(Rejected::HostKey(offered));
            }
            (
                Err(russh::Error::NoCommonAlgo {
                    kind: AlgorithmKind::Key,
                    ..
                }),
                _,
            ) => return Err(Rejected::NoKey),
            (Err(error), _) => return Err(SftpError::ssh(DURING, error).into()),
        };
        self.authenticate(&mut handle).await?;
        let stream = open_channel(&handle).await?;
        Ok(Connection {
            files: Files::start(stream, self.idle).await?,
            handle,
            _leash: leash,
        })
    }

    async fn authenticate(&self, handle: &mut Handle<Pins>) -> Result<(), SftpError> {
        const DURING: &str = "logging in";
        let user = &self.source.user;
        let failed = |error| SftpError::ssh(DURING, error);
        let (answer, with) = match self.login {
            Login::Password(password) => {
                let answer = handle.authenticate_password(user, password).await;
                match answer.map_err(failed)? {
                    AuthResult::Failure {
                        remaining_methods, ..
                    } if remaining_methods.contains(&MethodKind::KeyboardInteractive) => {
                        let asked = self.answer_questions(handle, password).await;
                        (asked.map_err(failed)?, "a password".to_owned())
                    }
                    answer => (answer, "a password".to_owned()),
                }
            }
            Login::Key(key) => {
                let hash = match key.algorithm().is_rsa() {
                    true => {
                        let best = handle.best_supported_rsa_hash().await.map_err(failed)?;
                        best.flatten().or(Some(HashAlg::Sha256))
                    }
                    false => None,
                };
                let signer = PrivateKeyWithHashAlg::new(Arc::clone(key), hash);
                let answer = handle.authenticate_publickey(user, signer).await;
                let print = key.public_key().fingerprint(HashAlg::Sha256);
                (answer.map_err(failed)?, format!("the key {print}"))
            }
        };
        match answer {
            AuthResult::Success => Ok(()),
            AuthResult::Failure {
                remaining_methods,
                partial_success,
            } => Err(SftpError::Login {
                user: user.clone(),
                with,
                takes: methods(&remaining_methods, partial_success),
            }),
        }
    }

    /// Many servers ask for the password as a question.
    async fn answer_questions(
        &self,
        handle: &mut Handle<Pins>,
        password: &str,
    ) -> Result<AuthResult, russh::Error> {
        let user = self.source.user.clone();
        let mut said = handle
            .authenticate_keyboard_interactive_start(user, None)
            .await?;
        for _ in 0..QUESTIONS_MAX {
            let prompts = match said {
                KeyboardInteractiveAuthResponse::Success => return Ok(AuthResult::Success),
                KeyboardInteractiveAuthResponse::Failure {
                    remaining_methods,
                    partial_success,
                } => {
                    return Ok(AuthResult::Failure {
                        remaining_methods,
                        partial_success,
                    });
                }
                KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => prompts,
            };
            // What may be shown while it is typed is no password.
            let answers = prompts.iter().map(|prompt| match prompt.echo {
                true => String::new(),
                false => password.to_owned(),
            });
            let answers = answers.collect();
            said = handle
                .authenticate_keyboard_interactive_respond(answers)
                .await?;
        }
        Ok(AuthResult::Failure {
            remaining_methods: MethodSet::empty(),
            partial_success: false,
        })
    }
}

fn methods(remaining: &MethodSet, partial: bool) -> String {
    let names: Vec<&str> = remaining.iter().map(Into::into).collect();
    let names = match names.is_empty() {
        true => "nothing else".to_owned(),
        false => clean(&names.join(", ")),
    };
    match partial {
        true => format!("{names} besides, which is not supported"),
        false => names,
    }
}

async fn open_channel(handle: &Handle<Pins>) -> Result<ChannelStream<client::Msg>, SftpError> {
    const DURING: &str = "starting SFTP";
    let failed = |error| SftpError::ssh(DURING, error);
    let mut channel = handle.channel_open_session().await.map_err(failed)?;
    channel
        .request_subsystem(true, "sftp")
        .await
        .map_err(failed)?;
    loop {
        match channel.wait().await {
            Some(ChannelMsg::Success) => return Ok(channel.into_stream()),
            Some(ChannelMsg::Failure | ChannelMsg::Eof | ChannelMsg::Close) => {
                return Err(SftpError::NoSubsystem);
            }
            Some(_) => {}
            None => return Err(failed(russh::Error::Disconnect)),
        }
    }
}

/// Why there is no connection with these kinds of keys.
enum Rejected {
    HostKey(Offered),
    NoKey,
    Error(SftpError),
}

impl From<SftpError> for Rejected {
    fn from(error: SftpError) -> Self {
        Self::Error(error)
    }
}

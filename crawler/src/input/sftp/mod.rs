//! A feed on a partner's SFTP server: a file, or the newest finished one of a
//! folder.
//!
//! The address is judged by the policy of all fetches and the connection goes
//! to it alone, by the pipe's way (`credentials`); the server's key has to be one that the pipe names (`connect`,
//! `host_key`). A file that has the size and the time of the one that the last
//! complete run read is not read again. A connection that is cut is made anew
//! and goes on where it was, if the file is still the same; what cannot be had
//! whole is not handed on at all.

mod connect;
mod error;
mod files;
mod host_key;
mod leash;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use trawler_core::pipe::{Choice, FileRule, Passed, SeenFile, SftpAuth, SftpSource};
use trawler_core::verdict::Failure;
use trawler_fleet::chain;
use trawler_net::{Fetcher, NoAddress, Validators};

use super::landing::Landing;
use super::{Input, Wanted};
use crate::credentials::{fetcher_of, value};

use connect::{Connection, Login, Target};
use error::SftpError;
use wire::{Attrs, Kind};

/// Connections after the first for one file; a server that cuts more often is
/// left to the next attempt of the run.
const CUTS_MAX: u32 = 4;

/// Waited before another connection, longer with each.
const AFTER_CUT: Duration = Duration::from_secs(1);

/// The name of a file that the pipe names by its path, to the rule for folders:
/// whatever it is called, it is the one.
const THE_FILE: &str = "feed";

pub(super) struct Sftp<'a> {
    pub(super) wanted: &'a Wanted<'a>,
    pub(super) source: &'a SftpSource,
}

/// How the server is come to.
struct Way {
    fetcher: Fetcher,
    login: Login,
}

/// The file that is the feed.
struct Feed {
    path: String,
    file: SeenFile,
    /// Whether the server told when it was modified.
    is_dated: bool,
}

impl Sftp<'_> {
    /// `None` when the newest file is the one that the last complete run read.
    pub(super) async fn get(&self) -> Result<Option<Input>, Failure> {
        let wanted = self.wanted;
        let fetcher = fetcher_of(&wanted.pipe.fetch, wanted.fetcher, wanted.secrets).await?;
        let way = Way {
            login: self.login().await?,
            fetcher,
        };
        let mut connection = self.connect(&way).await?;
        let feed = self.newest(&mut connection).await?;
        let (path, bytes) = (&feed.path, feed.file.bytes);
        self.wanted.ctx.note(&format!(
            "the feed at {} is {path}, {bytes} bytes of {}",
            self.source, feed.file.modified
        ));
        let validators = match feed.is_dated {
            true => Validators {
                etag: Some(format!("{path} {bytes}")),
                last_modified: Some(feed.file.modified.to_rfc3339()),
            },
            false => Validators::default(),
        };
        if feed.is_dated && self.wanted.knows(&validators) {
            connection.close().await;
            return Ok(None);
        }
        let max = self.wanted.bytes_max();
        if bytes > max {
            return Err(Failure::permanent(format!(
                "{}: {path} has {bytes} bytes; fetch.feed_mib_max allows {max}",
                self.source
            )));
        }
        let landing = self.read(connection, &way, &feed).await?;
        let came = landing.bytes();
        landing.finish(validators, came).map(Some)
    }

    /// Reads all of the file, over as many connections as it takes.
    async fn read(
        &self,
        mut connection: Connection,
        way: &Way,
        feed: &Feed,
    ) -> Result<Landing, Failure> {
        let mut landing = Landing::create(self.wanted.scratch).await?;
        let mut cuts = 0;
        loop {
            let error = match self.read_on(&mut connection, &mut landing, feed).await? {
                Ok(()) => break,
                Err(error) => error,
            };
            drop(connection);
            cuts += 1;
            if !error.is_cut() || cuts > CUTS_MAX {
                return Err(self.failed(&error));
            }
            self.wanted.ctx.note(&format!(
                "connection {cuts} ended after {} of {} bytes: {}",
                landing.bytes(),
                feed.file.bytes,
                chain(&error)
            ));
            self.wanted.clock.sleep(AFTER_CUT * cuts).await;
            connection = self.connect(way).await?;
            let attrs = connection.files.stat(&feed.path).await;
            let attrs = attrs.map_err(|error| self.failed(&error))?;
            self.same(feed, &attrs)?;
        }
        connection.close().await;
        Ok(landing)
    }

    /// The inner error is the server's, after which another connection may go
    /// on with what has landed.
    async fn read_on(
        &self,
        connection: &mut Connection,
        landing: &mut Landing,
        feed: &Feed,
    ) -> Result<Result<(), SftpError>, Failure> {
        let (files, size) = (&mut connection.files, feed.file.bytes);
        let mut reading = match files.open(&feed.path, landing.bytes(), size).await {
            Ok(reading) => reading,
            Err(error) => return Ok(Err(error)),
        };
        loop {
            match files.read(&mut reading).await {
                Ok(Some(piece)) => landing.write(piece).await?,
                Ok(None) => break,
                Err(error) => return Ok(Err(error)),
            }
            let ctx = self.wanted.ctx;
            ctx.progress("download", landing.bytes(), Some(size));
        }
        match files.finish(reading).await {
            Ok(attrs) => self.same(feed, &attrs).map(Ok),
            Err(error) => Ok(Err(error)),
        }
    }

    fn same(&self, feed: &Feed, attrs: &Attrs) -> Result<(), Failure> {
        let now = seen(&feed.file.name, attrs);
        if now.as_ref() == Some(&feed.file) {
            return Ok(());
        }
        Err(Failure::transient(format!(
            "{}: {} was changed while it was read",
            self.source, feed.path
        )))
    }

    async fn connect(&self, way: &Way) -> Result<Connection, Failure> {
        let (host, port) = (&self.source.host, self.source.port);
        let server = way.fetcher.ssh(host, port).await;
        let server = server.map_err(|error| {
            let reason = format!("{}: {}", self.source, chain(&error));
            match error {
                NoAddress::Refused(_) => Failure::permanent(reason),
                NoAddress::Dns { .. } | NoAddress::Timeout { .. } => Failure::transient(reason),
            }
        })?;
        let target = Target {
            source: self.source,
            server: &server,
            login: &way.login,
            idle: Duration::from_millis(self.wanted.options.idle_ms),
        };
        let connected = target.connect().await;
        connected.map_err(|error| self.failed(&error))
    }

    async fn newest(&self, connection: &mut Connection) -> Result<Feed, Failure> {
        let failed = |error: SftpError| self.failed(&error);
        let path = &self.source.path;
        let attrs = connection.files.stat(path).await.map_err(failed)?;
        let in_folder = attrs.kind == Kind::Folder;
        let rule = match in_folder {
            true => self.source.rule(),
            false => FileRule {
                pattern: "*",
                ..self.source.rule()
            },
        };
        let first = self.look(connection, in_folder).await?;
        let clock = self.wanted.clock;
        let choice = match rule.first_look(&first, clock.now()) {
            Choice::Wait(file) => {
                self.wanted.ctx.note(&format!(
                    "{} may still be written; looking again in {} s",
                    file.name,
                    rule.settle.as_secs()
                ));
                clock.sleep(rule.settle).await;
                let second = self.look(connection, in_folder).await?;
                rule.second_look(&first, &second, clock.now())
            }
            choice => choice,
        };
        let file = match choice {
            Choice::Take(file) => file,
            Choice::Wait(_) => return Err(self.nothing(Passed::default())),
            Choice::Nothing(passed) => return Err(self.nothing(passed)),
        };
        let path = match in_folder {
            true => format!("{}/{}", path.trim_end_matches('/'), file.name),
            false => path.clone(),
        };
        let is_dated = file.modified != UNDATED;
        Ok(Feed {
            path,
            file,
            is_dated,
        })
    }

    async fn look(
        &self,
        connection: &mut Connection,
        in_folder: bool,
    ) -> Result<Vec<SeenFile>, Failure> {
        let failed = |error: SftpError| self.failed(&error);
        let path = &self.source.path;
        if in_folder {
            let listed = connection.files.list(path).await.map_err(failed)?;
            let files = listed.into_iter();
            return Ok(files
                .filter_map(|(name, attrs)| seen(&name, &attrs))
                .collect());
        }
        let attrs = connection.files.stat(path).await.map_err(failed)?;
        let Some(file) = seen(THE_FILE, &attrs) else {
            return Err(Failure::permanent(format!(
                "{}: {path} is no file of a known size",
                self.source
            )));
        };
        let mut files = vec![file];
        if let Some(done) = &self.source.done {
            let marker = connection.files.stat(&format!("{path}{done}")).await;
            match marker {
                Ok(attrs) => files.extend(seen(&format!("{THE_FILE}{done}"), &attrs)),
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(files)
    }

    /// The partner may be late: it is looked for again.
    fn nothing(&self, passed: Passed) -> Failure {
        let pattern = &self.source.pattern;
        let done = match &self.source.done {
            Some(done) => format!(" with a marker {done:?} beside it"),
            None => String::new(),
        };
        Failure::transient(format!(
            "no finished file {pattern:?}{done} at {}: {passed}",
            self.source
        ))
    }

    fn failed(&self, error: &SftpError) -> Failure {
        error.failure(format!("{}: {}", self.source, chain(error)))
    }

    /// The credentials of the pipe, asked for now.
    async fn login(&self) -> Result<Login, Failure> {
        let secrets = self.wanted.secrets;
        match &self.source.auth {
            SftpAuth::Password { password } => {
                let password = value(secrets, "source.auth.password", password).await?;
                Ok(Login::Password(password.reveal().to_owned()))
            }
            SftpAuth::Key { key, passphrase } => {
                const KEY: &str = "source.auth.key";
                let text = value(secrets, KEY, key).await?;
                let passphrase = match passphrase {
                    Some(text) => Some(value(secrets, "source.auth.passphrase", text).await?),
                    None => None,
                };
                // A passphrase is made into a key slowly, on purpose.
                let decoded = tokio::task::spawn_blocking(move || {
                    let passphrase = passphrase.as_ref().map(trawler_net::Secret::reveal);
                    russh::keys::decode_secret_key(text.reveal(), passphrase)
                        .map_err(|error| error.to_string())
                });
                let decoded = match decoded.await {
                    Ok(decoded) => decoded,
                    Err(error) => Err(error.to_string()),
                };
                let key =
                    decoded.map_err(|reason| self.failed(&SftpError::Key { key: KEY, reason }))?;
                Ok(Login::Key(Arc::new(key)))
            }
        }
    }
}

/// Stands for a time that the server does not tell. No file is so new, so that
/// it is looked at twice.
const UNDATED: DateTime<chrono::Utc> = DateTime::<chrono::Utc>::MAX_UTC;

/// `None` of what is no file, or of no known size.
fn seen(name: &str, attrs: &Attrs) -> Option<SeenFile> {
    if !matches!(attrs.kind, Kind::File | Kind::Untold) {
        return None;
    }
    let told = attrs
        .modified
        .and_then(|seconds| DateTime::from_timestamp(i64::from(seconds), 0));
    Some(SeenFile {
        name: name.to_owned(),
        bytes: attrs.bytes?,
        modified: told.unwrap_or(UNDATED),
        tag: String::new(),
    })
}

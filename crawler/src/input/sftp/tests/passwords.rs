//! A server that takes passwords, in either of the two ways that there are;
//! behind the login it is OpenSSH's own program that serves the files.

use std::process::Stdio;

use russh::keys::{Algorithm, HashAlg, PrivateKey};
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Response, Session};
use russh::{Channel, ChannelId, MethodKind, MethodSet};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinSet;

use super::sshd::SFTP_SERVER;
use super::*;

const PASSWORD: &str = "hunter2";

struct Server {
    method: MethodKind,
    channel: Option<Channel<Msg>>,
    serving: JoinSet<()>,
}

impl Server {
    fn judged(&self, password: &[u8]) -> Auth {
        match password == PASSWORD.as_bytes() {
            true => Auth::Accept,
            false => Auth::reject(),
        }
    }
}

impl Handler for Server {
    type Error = russh::Error;

    async fn auth_password(&mut self, _: &str, password: &str) -> Result<Auth, russh::Error> {
        Ok(match self.method {
            MethodKind::Password => self.judged(password.as_bytes()),
            _ => Auth::Reject {
                proceed_with_methods: Some(MethodSet::from(&[MethodKind::KeyboardInteractive][..])),
                partial_success: false,
            },
        })
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _: &str,
        _: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        let Some(mut answers) = response else {
            return Ok(Auth::Partial {
                name: "".into(),
                instructions: "".into(),
                prompts: vec![("Password: ".into(), false)].into(),
            });
        };
        let answer = answers.next().unwrap_or_default();
        Ok(self.judged(&answer))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        self.channel = Some(channel);
        reply.accept().await;
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        _: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let mut program = Command::new(SFTP_SERVER)
            // Its words go nowhere; the system may have no log.
            .arg("-e")
            .stderr(Stdio::null())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{SFTP_SERVER} of openssh-sftp-server: {error}"));
        let channel = self.channel.take().unwrap().into_stream();
        session.channel_success(id)?;
        self.serving.spawn(async move {
            // All of it: what is not moved here would end with this call.
            let program = &mut program;
            let (mut read, mut write) = tokio::io::split(channel);
            let (mut stdin, mut stdout) = (
                program.stdin.take().unwrap(),
                program.stdout.take().unwrap(),
            );
            tokio::select! {
                _ = tokio::io::copy(&mut read, &mut stdin) => {}
                _ = tokio::io::copy(&mut stdout, &mut write) => {}
            }
        });
        Ok(())
    }
}

#[tokio::test]
async fn a_password_is_told_in_either_way() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("feed.tsv");
    fs::write(&path, vec![7; 100_000]).unwrap();
    for method in [MethodKind::Password, MethodKind::KeyboardInteractive] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let host_key =
            PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap();
        let print = host_key
            .public_key()
            .fingerprint(HashAlg::Sha256)
            .to_string();
        let config = Arc::new(Config {
            keys: vec![host_key],
            auth_rejection_time: Duration::from_millis(10),
            auth_rejection_time_initial: Some(Duration::ZERO),
            ..Config::default()
        });
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut sessions = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let handler = Server {
                    method,
                    channel: None,
                    serving: JoinSet::new(),
                };
                let config = Arc::clone(&config);
                sessions.spawn(async move {
                    if let Ok(session) = russh::server::run_stream(config, stream, handler).await {
                        let _ = session.await;
                    }
                });
            }
        });
        let source = source(&[print]);
        let right = Login::Password(PASSWORD.to_owned());
        let mut connection = connect(port, &source, &right).await.unwrap();
        let (bytes, error) = read(&mut connection, path.to_str().unwrap(), 0, 100_000).await;
        assert!(error.is_none() && bytes == vec![7; 100_000], "{error:?}");
        connection.close().await;

        let wrong = Login::Password("a guess".to_owned());
        let refused = connect(port, &source, &wrong).await;
        let Err(error @ SftpError::Login { .. }) = refused else {
            panic!("the password is wrong");
        };
        let told = error.to_string();
        assert!(told.contains("a password is refused"), "{told}");
        assert!(!told.contains("a guess"), "{told}");
        serving.shutdown().await;
    }
}

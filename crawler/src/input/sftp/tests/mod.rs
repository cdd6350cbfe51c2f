//! The client against a real OpenSSH server, through a gate that cuts and
//! stalls, and against a server that takes passwords.

#![allow(clippy::unwrap_used)]

#[allow(dead_code, unreachable_pub)]
#[path = "../../../../../tests/src/sshd.rs"]
mod sshd;

mod gate;
mod passwords;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use trawler_core::pipe::SftpSource;
use trawler_net::{AllowedHost, Fetcher, NetConfig};

use super::connect::{Connection, Login, Target};
use super::error::SftpError;
use super::wire::Kind;
use gate::Gate;
use sshd::Sshd;

/// Longer than any test waits for loopback.
const IDLE: Duration = Duration::from_secs(20);

const KINDS: [&str; 3] = ["ed25519", "ecdsa", "rsa"];

fn source(host_keys: &[String]) -> SftpSource {
    serde_json::from_value(json!({
        "host": "127.0.0.1", "user": Sshd::user(), "path": "/feed", "host_key": host_keys,
        "auth": { "kind": "key", "key": "env:KEY" },
    }))
    .unwrap()
}

fn key(path: &Path, passphrase: Option<&str>) -> Login {
    let text = fs::read_to_string(path).unwrap();
    let key = russh::keys::decode_secret_key(&text, passphrase).unwrap();
    Login::Key(Arc::new(key))
}

async fn connect_within(
    idle: Duration,
    port: u16,
    source: &SftpSource,
    login: &Login,
) -> Result<Connection, SftpError> {
    let config = NetConfig {
        allow: vec![AllowedHost::Socket(SocketAddr::from((
            [127, 0, 0, 1],
            port,
        )))],
        ..NetConfig::of("test")
    };
    let fetcher = Fetcher::new(&config).unwrap();
    let server = fetcher.ssh("127.0.0.1", port).await.unwrap();
    let target = Target {
        source,
        server: &server,
        login,
        idle,
    };
    target.connect().await
}

async fn connect(port: u16, source: &SftpSource, login: &Login) -> Result<Connection, SftpError> {
    connect_within(IDLE, port, source, login).await
}

/// A server with a file of so many bytes.
struct World {
    dir: TempDir,
    server: Sshd,
    path: String,
    bytes: Vec<u8>,
}

impl World {
    fn new(kinds: &[&str], bytes: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Sshd::start(dir.path(), kinds);
        let bytes: Vec<u8> = (0..bytes).map(|n| (n % 251) as u8).collect();
        let path = dir.path().join("feed.tsv");
        fs::write(&path, &bytes).unwrap();
        let path = path.to_str().unwrap().to_owned();
        Self {
            dir,
            server,
            path,
            bytes,
        }
    }

    fn source(&self) -> SftpSource {
        source(&[self.server.fingerprint("ed25519")])
    }

    fn login(&self) -> Login {
        key(&self.server.user_key(), None)
    }

    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }
}

/// Everything from an offset on, and the error that ended it.
async fn read(
    connection: &mut Connection,
    path: &str,
    from: u64,
    size: u64,
) -> (Vec<u8>, Option<SftpError>) {
    let files = &mut connection.files;
    let mut reading = files.open(path, from, size).await.unwrap();
    let mut bytes = Vec::new();
    loop {
        match files.read(&mut reading).await {
            Ok(Some(piece)) => bytes.extend_from_slice(&piece),
            Ok(None) => break,
            Err(error) => return (bytes, Some(error)),
        }
    }
    let attrs = files.finish(reading).await.unwrap();
    assert_eq!(attrs.bytes, Some(size));
    (bytes, None)
}

#[tokio::test]
async fn openssh_is_read_whole_whichever_of_its_keys_is_named() {
    let world = World::new(&KINDS, 5_000_001);
    for kind in KINDS {
        let source = source(&[world.server.fingerprint(kind)]);
        let mut connection = connect(world.server.port(), &source, &world.login())
            .await
            .unwrap();
        let attrs = connection.files.stat(&world.path).await.unwrap();
        assert_eq!((attrs.bytes, attrs.kind), (Some(world.size()), Kind::File));
        assert!(attrs.modified.is_some());
        let (bytes, error) = read(&mut connection, &world.path, 0, world.size()).await;
        assert!(error.is_none() && bytes == world.bytes, "{kind}: {error:?}");
        connection.close().await;
    }
}

#[tokio::test]
async fn folders_are_listed_and_what_is_missing_is_told() {
    let world = World::new(&["ed25519"], 10);
    let folder = world.dir.path().join("out");
    fs::create_dir_all(folder.join("below")).unwrap();
    for name in ["a.tsv", "b c.tsv", "상품.tsv"] {
        fs::write(folder.join(name), name).unwrap();
    }
    std::os::unix::fs::symlink("a.tsv", folder.join("link.tsv")).unwrap();
    let mut connection = connect(world.server.port(), &world.source(), &world.login())
        .await
        .unwrap();
    let files = &mut connection.files;
    let mut listed = files.list(folder.to_str().unwrap()).await.unwrap();
    listed.sort_by(|a, b| a.0.cmp(&b.0));
    let told: Vec<(&str, Kind)> = listed
        .iter()
        .map(|(name, attrs)| (name.as_str(), attrs.kind))
        .collect();
    let expected = [
        ("a.tsv", Kind::File),
        ("b c.tsv", Kind::File),
        ("below", Kind::Folder),
        ("link.tsv", Kind::Other),
        ("상품.tsv", Kind::File),
    ];
    assert_eq!(told, expected);
    let missing = files.stat("/nobody/wrote/this").await.unwrap_err();
    assert!(missing.is_missing(), "{missing}");
    assert_eq!(
        missing.to_string(),
        "look at /nobody/wrote/this: there is no such file"
    );
    let shorter = files.open(&world.path, 0, 20).await.unwrap();
    let (mut reading, mut got) = (shorter, 0);
    let error = loop {
        match files.read(&mut reading).await {
            Ok(Some(piece)) => got += piece.len(),
            Ok(None) => panic!("the file has 10 bytes"),
            Err(error) => break error,
        }
    };
    assert!(
        matches!(
            error,
            SftpError::Shorter {
                at: 10,
                size: 20,
                ..
            }
        ),
        "{got} {error}"
    );
}

#[tokio::test]
async fn a_host_key_that_is_not_named_is_refused_and_shown() {
    let world = World::new(&KINDS, 1);
    let wrong = format!("SHA256:{}", "A".repeat(43));
    let refused = connect(
        world.server.port(),
        &source(std::slice::from_ref(&wrong)),
        &world.login(),
    )
    .await;
    let Err(error @ SftpError::HostKey { .. }) = refused else {
        panic!("the key is not named");
    };
    let told = error.to_string();
    for kind in KINDS {
        assert!(told.contains(&world.server.fingerprint(kind)), "{told}");
    }
    assert!(told.contains(&wrong), "{told}");
    assert!(!error.is_cut(), "it is not tried again");

    // The same server with another key, as after an attack or a new machine.
    let named = world.source();
    let World { dir, server, .. } = world;
    let login = key(&server.user_key(), None);
    drop(server);
    for file in ["host_ed25519", "host_ed25519.pub"] {
        fs::remove_file(dir.path().join(file)).unwrap();
    }
    let server = Sshd::start(dir.path(), &["ed25519"]);
    let refused = connect(server.port(), &named, &login).await;
    let Err(error @ SftpError::HostKey { .. }) = refused else {
        panic!("the key has changed");
    };
    let told = error.to_string();
    assert!(told.contains(&server.fingerprint("ed25519")), "{told}");
    assert!(told.contains(&named.host_key[0]), "{told}");
}

#[tokio::test]
async fn keys_of_all_kinds_log_in_and_others_do_not() {
    let world = World::new(&["ed25519"], 1);
    let mut authorized = String::new();
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let path = world.dir.path().join(format!("other_{kind}"));
        sshd::keygen(&path, kind, "a passphrase");
        let login = key(&path, Some("a passphrase"));
        let refused = connect(world.server.port(), &world.source(), &login).await;
        let Err(error @ SftpError::Login { .. }) = refused else {
            panic!("the key is not authorized");
        };
        let public = path.with_extension("pub");
        let told = error.to_string();
        assert!(told.contains(&sshd::fingerprint(&public)), "{told}");
        assert!(told.contains("publickey"), "{told}");
        authorized += &fs::read_to_string(public).unwrap();
    }
    fs::write(world.dir.path().join("authorized_keys"), authorized).unwrap();
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let path = world.dir.path().join(format!("other_{kind}"));
        let login = key(&path, Some("a passphrase"));
        let connected = connect(world.server.port(), &world.source(), &login).await;
        connected
            .unwrap_or_else(|error| panic!("{kind}: {error}"))
            .close()
            .await;
    }
}

#[tokio::test]
async fn a_cut_connection_is_told_and_another_goes_on() {
    let world = World::new(&["ed25519"], 6_000_000);
    let gate = Gate::open(world.server.port()).await;
    let (source, login) = (world.source(), world.login());
    let mut connection = connect(gate.port(), &source, &login).await.unwrap();
    gate.cut_after(2_500_000);
    let (mut bytes, error) = read(&mut connection, &world.path, 0, world.size()).await;
    let error = error.expect("the connection was cut");
    assert!(error.is_cut(), "{error}");
    assert!(
        (1_000_000..6_000_000).contains(&bytes.len()),
        "{}",
        bytes.len()
    );
    gate.pass();
    let mut connection = connect(gate.port(), &source, &login).await.unwrap();
    let from = bytes.len() as u64;
    let (rest, error) = read(&mut connection, &world.path, from, world.size()).await;
    assert!(error.is_none(), "{error:?}");
    bytes.extend(rest);
    assert!(bytes == world.bytes);
}

#[tokio::test]
async fn a_server_that_stops_is_left_after_the_idle_time() {
    let world = World::new(&["ed25519"], 6_000_000);
    let gate = Gate::open(world.server.port()).await;
    let idle = Duration::from_millis(500);
    let connected = connect_within(idle, gate.port(), &world.source(), &world.login()).await;
    let mut connection = connected.unwrap();
    gate.stall_after(1_500_000);
    let (_, error) = read(&mut connection, &world.path, 0, world.size()).await;
    let error = error.expect("nothing came any more");
    assert!(
        matches!(error, SftpError::Timeout { after_ms: 500, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_connection_that_is_dropped_is_closed() {
    let world = World::new(&["ed25519"], 6_000_000);
    let gate = Gate::open(world.server.port()).await;
    gate.stall_after(1_500_000);
    let (source, login) = (world.source(), world.login());
    let mut connection = connect(gate.port(), &source, &login).await.unwrap();
    assert_eq!(gate.clients(), 1);
    let reading = read(&mut connection, &world.path, 0, world.size());
    let dropped = tokio::time::timeout(Duration::from_millis(300), reading).await;
    assert!(dropped.is_err(), "the gate stalls");
    drop(connection);
    gate.until_left().await;

    // Also in the middle of a handshake, which the library does in its task.
    gate.stall_after(0);
    let handshake = connect(gate.port(), &source, &login);
    let dropped = tokio::time::timeout(Duration::from_millis(300), handshake).await;
    assert!(dropped.is_err(), "the gate stalls");
    gate.until_left().await;
}

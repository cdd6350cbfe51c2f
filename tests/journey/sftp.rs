//! A feed on a partner's SFTP server, which is a real OpenSSH: collected once,
//! from a server that is named and let in, and from no other.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tempfile::TempDir;
use trawler_tests::ConnectProxy;
use trawler_tests::sshd::{self, Sshd};

use crate::inbox::{feed, pipe_from, run, titles};
use crate::support::{Ended, Folder};

const HOUR: Duration = Duration::from_secs(3600);

/// A server, a folder on it, and a pipe that collects from there.
struct World {
    dir: TempDir,
    server: Sshd,
    folder: Folder,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("out")).unwrap();
        let server = Sshd::start(dir.path(), &["ed25519", "rsa"]);
        let folder = Folder::new(&[format!("127.0.0.1:{}", server.port())], ONE_ATTEMPT);
        let world = Self {
            dir,
            server,
            folder,
        };
        world.pipe("out", "pattern = \"*.tsv\"");
        world
    }

    fn source(&self, path: &str, more: &str) -> String {
        format!(
            "kind = \"sftp\"\nhost = \"127.0.0.1\"\nport = {}\nuser = {:?}\npath = {:?}\n\
             host_key = {:?}\nauth = {{ kind = \"key\", key = \"file:{}\" }}\n{more}",
            self.server.port(),
            Sshd::user(),
            self.dir.path().join(path),
            self.server.fingerprint("rsa"),
            self.server.user_key().display(),
        )
    }

    fn pipe(&self, path: &str, more: &str) {
        let source = self.source(path, more);
        self.folder.pipe("shop", &pipe_from(&source));
    }

    /// Leaves a file in the folder that was written so long ago.
    fn upload(&self, name: &str, text: &str, age: Duration) {
        let path = self.dir.path().join("out").join(name);
        fs::write(&path, text).unwrap();
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }

    /// Bytes that the newest run downloaded.
    fn bytes_down(&self) -> u64 {
        let last = self.folder.last_run("shop");
        last["counts"]["bytes_down"].as_u64().unwrap()
    }

    fn fails(&self, parts: &[&str]) -> Ended {
        let ended = self.folder.run_pipe("shop").with_code(1);
        for part in parts {
            assert!(ended.stdout.contains(part), "{part:?} is not in: {ended:?}");
        }
        ended
    }
}

const ONE_ATTEMPT: &str = "[retry]\nattempts_max = 1\n";

#[test]
fn the_newest_finished_file_of_a_server_is_collected_once() {
    let world = World::new();
    let text = feed(&[("1", "A"), ("2", "B")]);
    world.upload("feed-1.tsv", &feed(&[("1", "Old")]), 3 * HOUR);
    world.upload("feed-2.tsv", &text, 2 * HOUR);
    world.upload("feed-3.tsv.part", "id\tti", HOUR);
    world.upload("notes.txt", "hello", HOUR);
    assert_eq!(run(&world.folder, "shop").0, 2);
    assert_eq!(world.bytes_down(), text.len() as u64);
    assert_eq!(titles(&world.folder, "shop"), ["A", "B"]);

    let (rows, remarks) = run(&world.folder, "shop");
    assert_eq!((rows, world.bytes_down()), (0, 0));
    assert!(
        remarks.contains("the feed is the one of the last"),
        "{remarks}"
    );

    // The same bytes at another time are read, and found to be the same.
    world.upload("feed-2.tsv", &text, HOUR);
    assert_eq!(run(&world.folder, "shop").0, 0);
    assert_eq!(world.bytes_down(), text.len() as u64);

    // One that is being written is waited for.
    world.pipe("out", "pattern = \"*.tsv\"\nsettle_s = 2");
    world.upload("feed-4.tsv", &feed(&[("1", "A2")]), Duration::ZERO);
    world.folder.trawler(&["check"]).with_code(0);
    let _ = run(&world.folder, "shop");
    assert!(titles(&world.folder, "shop").contains(&"A2".to_owned()));

    let shown = world.folder.trawler(&["pipes"]).with_code(0);
    let expected = format!(
        "sftp://{}@127.0.0.1:{}//",
        Sshd::user(),
        world.server.port()
    );
    assert!(shown.stdout.contains(&expected), "{shown:?}");
}

#[test]
fn a_file_is_named_by_its_path_and_may_have_a_marker() {
    let world = World::new();
    world.upload("daily.tmp", &feed(&[("1", "A")]), HOUR);
    world.pipe("out/daily.tmp", "");
    assert_eq!(run(&world.folder, "shop").0, 1);
    world.pipe("out/daily.tmp", "done = \".ok\"");
    world.fails(&["no finished file", "1 without its marker file"]);
    world.upload("daily.tmp.ok", "", Duration::ZERO);
    let _ = run(&world.folder, "shop");
    world.pipe("out/absent.tsv", "");
    world.fails(&["out/absent.tsv: there is no such file"]);
    assert_eq!(titles(&world.folder, "shop"), ["A"], "nothing is delisted");
}

#[test]
fn a_large_feed_comes_whole_over_connections_that_agree_on_keys_anew() {
    let world = World::new();
    let rows: Vec<(String, String)> = (0..60_000)
        .map(|n| (format!("{n:06}"), format!("Title {n} {}", "x".repeat(80))))
        .collect();
    let told: Vec<(&str, &str)> = rows.iter().map(|(a, b)| (&**a, &**b)).collect();
    world.upload("feed.tsv", &feed(&told), HOUR);
    assert_eq!(run(&world.folder, "shop").0, 60_000);
    assert!(world.bytes_down() > 7_000_000);
}

/// Nobody is at this address; only the proxy knows the way to the server.
const PARTNER: (&str, u16) = ("203.0.113.7", 2222);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_sftp_server_that_lets_in_one_address_is_come_to_through_the_fleets_proxy() {
    let world = World::new();
    world.upload("feed.tsv", &feed(&[("1", "A")]), HOUR);
    let partner = format!("{}:{}", PARTNER.0, PARTNER.1);
    let server = ([127, 0, 0, 1], world.server.port()).into();
    let proxy = ConnectProxy::leading(&[(&partner, server)]).await;
    let source = world.source("out", "pattern = \"*.tsv\"");
    let source = source.replace("127.0.0.1", PARTNER.0);
    let port = format!("port = {}", world.server.port());
    let source = source.replace(&port, &format!("port = {}", PARTNER.1));
    let configure = |net: &str| {
        let more = format!("[net]\nallow = [{partner:?}]\nconnect_s = 2\n{net}\n{ONE_ATTEMPT}");
        fs::write(world.folder.path().join("trawler.toml"), more).unwrap();
    };
    configure(&format!("fixed_egress = \"http://{}\"", proxy.addr()));
    let fixed = "\n[fetch]\negress = \"fixed\"\n";
    world.folder.pipe("shop", &(pipe_from(&source) + fixed));
    assert_eq!(run(&world.folder, "shop").0, 1);
    let seen = proxy.seen();
    assert!(
        !seen.is_empty() && seen.iter().all(|tunnel| tunnel.target == partner),
        "{seen:?}"
    );

    // A proxy of the pipe's own is its way too, if it may be talked to.
    let own = format!(
        "\n[fetch]\nproxy = {{ url = \"http://{}\" }}\n",
        proxy.addr()
    );
    world.folder.pipe("shop", &(pipe_from(&source) + &own));
    world.fails(&["sftp://", "loopback", "net.allow"]);
    assert_eq!(proxy.seen().len(), seen.len());

    // Without the proxy nothing is asked.
    configure("");
    world.folder.pipe("shop", &(pipe_from(&source) + fixed));
    world.fails(&["fetch.egress", "net.fixed_egress"]);
}

#[test]
fn a_server_is_talked_to_only_if_it_is_let_in_and_its_key_is_named() {
    let world = World::new();
    world.upload("feed.tsv", &feed(&[("1", "A")]), HOUR);
    let said = |world: &World| fs::read_to_string(world.dir.path().join("log")).unwrap();
    world.folder.configure(&[], ONE_ATTEMPT);
    let entry = format!("add \\\"127.0.0.1:{}\\\" to net.allow", world.server.port());
    world.fails(&["sftp://", "loopback", &entry]);
    assert!(!said(&world).contains("Connection from"));

    let host = format!("127.0.0.1:{}", world.server.port());
    world.folder.configure(&[host], ONE_ATTEMPT);
    let wrong = format!("SHA256:{}", "A".repeat(43));
    let named = world.server.fingerprint("rsa");
    let source = world.source("out", "").replace(&named, &wrong);
    world.folder.pipe("shop", &pipe_from(&source));
    world.fails(&[&named, &wrong, "not trusted", "source.host_key"]);
    assert!(!said(&world).contains("Accepted publickey"));

    let other = world.dir.path().join("other");
    sshd::keygen(&other, "ed25519", "");
    let key = world.server.user_key().display().to_string();
    let source = world.source("out", "");
    let source = source.replace(&key, other.to_str().unwrap());
    world.folder.pipe("shop", &pipe_from(&source));
    world.fails(&["the login of user", "source.auth"]);

    let missing = source.replace(other.to_str().unwrap(), "/nobody/wrote/this");
    world.folder.pipe("shop", &pipe_from(&missing));
    world.fails(&["source.auth.key", "file:/nobody/wrote/this"]);

    let list = world
        .source("out", "")
        .replace(&format!("{named:?}"), &format!("[{wrong:?}, {named:?}]"));
    world.folder.pipe("shop", &pipe_from(&list));
    assert_eq!(run(&world.folder, "shop").0, 1, "one of several is enough");
}

#[test]
fn what_a_dead_letter_tells_has_no_secret() {
    let world = World::new();
    let source = world.source("out", "");
    let start = source.find("auth = ").unwrap();
    let password = "auth = { kind = \"password\", password = \"env:SHOP_PASSWORD\" }";
    let source = format!("{}{password}", &source[..start]);
    world.folder.pipe("shop", &pipe_from(&source));
    let ended: Ended = world
        .folder
        .command(&["run", "--once", "--pipe", "shop", "--json"])
        .env("SHOP_PASSWORD", "hunter2")
        .env("TRAWLER_LOG", "trace")
        .output()
        .unwrap()
        .into();
    let ended = ended.with_code(1);
    assert!(!ended.stdout.contains("hunter2") && !ended.stderr.contains("hunter2"));
    let letters = world.folder.dead_letters();
    let told = Value::from(letters).to_string();
    assert!(told.contains("the login of user"), "{told}");
    assert!(told.contains("sftp://"), "{told}");
    assert_nowhere(world.folder.path(), "hunter2");
}

/// No file of the folder has the text in it.
fn assert_nowhere(folder: &Path, text: &str) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_nowhere(&path, text);
        } else if let Ok(bytes) = fs::read(&path) {
            let found = bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes());
            assert!(!found, "{text} is in {}", path.display());
        }
    }
}

#[test]
fn what_is_missing_or_wrong_is_told_before_anybody_is_asked() {
    let folder = Folder::new(&[], "");
    let whole = format!(
        "kind = \"sftp\"\nhost = \"sftp.example.com\"\nuser = \"ann\"\npath = \"/out\"\n\
         host_key = \"SHA256:{}\"\nauth = {{ kind = \"password\", password = \"env:A\" }}",
        "A".repeat(43)
    );
    folder.pipe("shop", &pipe_from(&whole));
    folder.trawler(&["check"]).with_code(0);
    let check = |source: &str, parts: &[&str]| {
        folder.pipe("shop", &pipe_from(source));
        let ended = folder.trawler(&["check"]).with_code(2);
        for part in parts {
            assert!(ended.stderr.contains(part), "{part:?} is not in: {ended:?}");
        }
        assert!(!ended.stderr.contains("hunter2"), "{ended:?}");
    };
    let without = |key: &str| {
        let lines = whole.lines().filter(|line| !line.starts_with(key));
        lines.collect::<Vec<_>>().join("\n")
    };
    for key in ["host_key", "auth", "user", "path"] {
        check(&without(key), &["shop.toml", key]);
    }
    let with = |from: &str, to: &str| whole.replace(from, to);
    check(
        &with("SHA256:A", "MD5:"),
        &["source.host_key", "ssh-keygen -l"],
    );
    check(
        &with(&format!("\"SHA256:{}\"", "A".repeat(43)), "[]"),
        &["source.host_key", "1 to 16"],
    );
    check(
        &with("env:A", "hunter2"),
        &["source.auth.password", "env:NAME"],
    );
    check(
        &with("sftp.example.com", "sftp://ann@example.com"),
        &["source.host"],
    );
    check(&with("\"ann\"", "\"ann:hunter2x\""), &["source.user"]);
    check(
        &with("/out\"", "/out\"\nport = 0"),
        &["source.port", "1 to 65535"],
    );
    check(
        &with("/out\"", "/out\"\npattern = \"a/*\""),
        &["source.pattern"],
    );
    let key = with("password\", password", "key\", key");
    check(
        &key.replace("env:A", "hunter2"),
        &["source.auth.key", "env:NAME"],
    );
}

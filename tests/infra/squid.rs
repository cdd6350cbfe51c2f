//! The proxy with the fixed address as a real squid, on the configuration that
//! the template's user data writes.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::template::{Deployed, text};

const SQUID: &str = "/usr/sbin/squid";
const MISSING: &str =
    "squid is needed and not installed; on Debian and Ubuntu: apt-get install squid";

const WAIT_MAX: Duration = Duration::from_secs(20);

/// Ended, and what it has in shared memory with it, when dropped.
struct Squid {
    child: Child,
    name: String,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Squid {
    /// Different from a stack's: its port; its workers, who are here; the
    /// partner, who is here too and public, and what a process of a test needs.
    fn start() -> Self {
        assert!(Path::new(SQUID).exists(), "{MISSING}");
        let folder = tempfile::tempdir().unwrap();
        // It gives up its rights if it has any.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let port = free_port();
        let given = |text: String, from: &str, to: &str| {
            assert!(text.contains(from), "no {from} in {text}");
            text.replace(from, to)
        };
        let config = given(
            configured(),
            "http_port 3128",
            &format!("http_port 127.0.0.1:{port}"),
        );
        let config = given(
            config,
            "acl workers src 10.64.0.0/16",
            "acl workers src 127.0.0.1/32",
        );
        let config = given(config, " 127.0.0.0/8 ", " 127.0.0.2/32 ");
        let log = folder.path().join("cache.log");
        let config = format!(
            "{config}\npid_filename none\naccess_log none\ncache_log {}\ncoredump_dir {}\n\
             pinger_enable off\nshutdown_lifetime 0 seconds\n",
            log.display(),
            folder.path().display()
        );
        let path: PathBuf = folder.path().join("squid.conf");
        fs::write(&path, config).unwrap();
        let name = format!("trawler{port}");
        let child = Command::new(SQUID)
            .args(["-N", "-n", &name, "-f"])
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut squid = Self {
            child,
            name,
            port,
            _folder: folder,
        };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let said = fs::read_to_string(&log).unwrap_or_default();
            let is_there = squid.child.try_wait().unwrap().is_none();
            assert!(is_there && began.elapsed() < WAIT_MAX, "squid: {said}");
            std::thread::sleep(Duration::from_millis(50));
        }
        squid
    }

    /// The connection, and the status of the answer.
    fn ask(&self, request: &str) -> (TcpStream, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
        write!(
            stream,
            "{request} HTTP/1.1\r\nHost: shop.example.com\r\n\r\n"
        )
        .unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        (stream, head.split(' ').nth(1).unwrap().to_owned())
    }
}

impl Drop for Squid {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.child.wait();
        for part in ["metadata", "queues", "readers"] {
            let _ = fs::remove_file(format!("/dev/shm/{}-cf__{part}.shm", self.name));
        }
    }
}

fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

/// What the proxy's user data writes.
fn configured() -> String {
    let deployed = Deployed::with(&[("Egress", "fixed")]);
    let script = text(&deployed.properties("FixedEgressProxy")["UserData"]);
    let (_, rest) = script
        .split_once("> /etc/squid/squid.conf <<'END'\n")
        .unwrap();
    rest.split_once("\nEND\n").unwrap().0.to_owned()
}

#[test]
fn a_real_squid_connects_to_partners_and_to_nothing_that_is_private() {
    let squid = Squid::start();
    let partner = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = partner.local_addr().unwrap();
    let (mut stream, status) = squid.ask(&format!("CONNECT {address}"));
    assert_eq!(status, "200");
    let (mut shop, _) = partner.accept().unwrap();
    stream.write_all(b"may I?").unwrap();
    let mut heard = [0; 6];
    shop.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"may I?");
    shop.write_all(b"yes").unwrap();
    let mut heard = [0; 3];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"yes");

    for refused in [
        "CONNECT 127.0.0.2:443",
        "CONNECT 10.1.2.3:443",
        "CONNECT 172.31.0.1:443",
        "CONNECT 192.168.0.1:443",
        "CONNECT 169.254.169.254:80",
        "CONNECT 100.64.0.1:443",
        "CONNECT [::1]:443",
        "CONNECT [::ffff:10.1.2.3]:443",
        "CONNECT [fd00::1]:443",
        "CONNECT [2001:db8::1]:443",
        // A port that no worker may reach.
        "CONNECT 127.0.0.1:25",
        // Addresses are named, and judged, by workers alone.
        &format!("GET http://{address}/"),
        &format!("POST http://{address}/"),
    ] {
        let (_, status) = squid.ask(refused);
        assert_eq!(status, "403", "{refused}");
    }
    partner.set_nonblocking(true).unwrap();
    assert!(partner.accept().is_err(), "somebody was let through");
}

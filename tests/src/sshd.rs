//! An OpenSSH server as an ordinary process on loopback: its own keys and
//! configuration in a folder of the test, its own port, ended by its own id.
//!
//! It serves SFTP to the user that runs the test, by key alone. `sshd` is part
//! of the operating system's packages and is not installed by anything here;
//! where it is missing the test that wants it fails and says how to get it.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where distributions put it; it has to be started by its full path.
const SSHD: [&str; 3] = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"];

/// The server itself, for other servers under test.
pub const SFTP_SERVER: &str = "/usr/lib/openssh/sftp-server";

const MISSING: &str = "an OpenSSH server is needed and not installed; on Debian and Ubuntu: apt-get install openssh-server";

/// How long it may take to listen.
const START_MAX: Duration = Duration::from_secs(20);

/// A free port may be taken before the server has it.
const TRIES: usize = 5;

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct Sshd {
    child: Child,
    port: u16,
    dir: PathBuf,
}

impl Sshd {
    /// Starts a server with a host key of each of these kinds (`ed25519`,
    /// `ecdsa`, `rsa`), which are made unless they are in the folder. The key of
    /// the user is at [`Sshd::user_key`].
    ///
    /// # Panics
    /// When there is no OpenSSH server, saying how to get one.
    pub fn start(dir: &Path, kinds: &[&str]) -> Self {
        let sshd = SSHD.iter().find(|path| Path::new(path).exists());
        let sshd = sshd.unwrap_or_else(|| panic!("{MISSING}"));
        for kind in kinds {
            keygen(&dir.join(format!("host_{kind}")), kind, "");
        }
        keygen(&dir.join("user"), "ed25519", "");
        let keys = fs::read(dir.join("user.pub")).expect("the user's key");
        fs::write(dir.join("authorized_keys"), keys).expect("write authorized_keys");
        // The system's service makes it for a server that runs as root.
        let _ = fs::create_dir_all("/run/sshd");
        for _ in 0..TRIES {
            if let Some(server) = Self::listen(sshd, dir, kinds) {
                return server;
            }
        }
        let log = fs::read_to_string(dir.join("log")).unwrap_or_default();
        panic!("sshd does not start: {log}");
    }

    fn listen(sshd: &str, dir: &Path, kinds: &[&str]) -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("its port").port();
        drop(free);
        let config = dir.join("config");
        fs::write(&config, settings(dir, port, kinds)).expect("write the configuration");
        let mut child = Command::new(sshd)
            .arg("-D")
            .arg("-f")
            .arg(&config)
            .arg("-E")
            .arg(dir.join("log"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start sshd");
        let began = Instant::now();
        while began.elapsed() < START_MAX {
            if child.try_wait().expect("ask for sshd").is_some() {
                return None;
            }
            // To knock would leave a connection in the log that no test made.
            let log = fs::read_to_string(dir.join("log")).unwrap_or_default();
            if log.contains(&format!("listening on 127.0.0.1 port {port}.")) {
                let dir = dir.to_owned();
                return Some(Self { child, port, dir });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = child.kill();
        let _ = child.wait();
        None
    }

    /// The port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `SHA256:...` of the host key of a kind.
    pub fn fingerprint(&self, kind: &str) -> String {
        fingerprint(&self.dir.join(format!("host_{kind}.pub")))
    }

    /// The private key that logs in.
    pub fn user_key(&self) -> PathBuf {
        self.dir.join("user")
    }

    /// The name that logs in.
    pub fn user() -> String {
        let named = Command::new("id").arg("-un").output().expect("run id");
        String::from_utf8_lossy(&named.stdout).trim().to_owned()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        // Gone already, if this fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a key pair unless it is there.
///
/// # Panics
/// When `ssh-keygen` cannot be run.
pub fn keygen(path: &Path, kind: &str, passphrase: &str) {
    if path.exists() {
        return;
    }
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-N", passphrase, "-f"])
        .arg(path)
        .stdin(Stdio::null())
        .status();
    let made = made.unwrap_or_else(|error| panic!("ssh-keygen: {error}; {MISSING}"));
    assert!(made.success(), "ssh-keygen of {}", path.display());
}

/// `SHA256:...` of a public key.
///
/// # Panics
/// When `ssh-keygen` cannot be run.
pub fn fingerprint(public: &Path) -> String {
    let told = Command::new("ssh-keygen").arg("-lf").arg(public).output();
    let told = told.expect("run ssh-keygen").stdout;
    let told = String::from_utf8_lossy(&told);
    let print = told.split_whitespace().nth(1);
    print.expect("a fingerprint").to_owned()
}

fn settings(dir: &Path, port: u16, kinds: &[&str]) -> String {
    let host_keys = kinds.iter().map(|kind| {
        let key = dir.join(format!("host_{kind}"));
        format!("HostKey {}\n", key.display())
    });
    // Keys are agreed upon anew after each MiB, which long feeds meet too.
    format!(
        "Port {port}\nListenAddress 127.0.0.1\n{}PidFile none\nAuthorizedKeysFile {}\n\
         StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
         PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\nRekeyLimit 1M\n\
         MaxStartups 200\nLogLevel VERBOSE\n",
        host_keys.collect::<String>(),
        dir.join("authorized_keys").display()
    )
}

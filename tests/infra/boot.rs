//! How a machine starts: the user data of the launch template and `boot.sh`,
//! run with programs of our own for those of the machine; the package that they
//! start; and what the worker tells its service manager.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::root;
use crate::template::{Deployed, text};
use crate::tools::said;

/// Stands for `aws`: packages come from a folder, and every call is noted.
const AWS: &str = r#"#!/bin/bash
echo "aws $*" >> "$NOTES"
if [ "$1 $2" = "s3 cp" ]; then cp "$PACKAGES/$(basename "$4")" "$5"; fi
"#;

/// Stands for `systemctl`: the worker starts, or does not.
const SYSTEMCTL: &str = r#"#!/bin/bash
echo "systemctl $*" >> "$NOTES"
if [ "$*" = "start trawler.service" ]; then exit "$WORKER_STARTS"; fi
"#;

/// A machine that is about to start.
struct Machine {
    folder: tempfile::TempDir,
    /// SHA-256 of its package.
    sum: String,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let note = |name: &str| format!("#!/bin/bash\necho \"{name} $*\" >> \"$NOTES\"\n");
        for (name, script) in [
            ("aws", AWS.to_owned()),
            ("systemctl", SYSTEMCTL.to_owned()),
            ("shutdown", note("shutdown")),
            ("ec2-metadata", "#!/bin/bash\necho i-0abc\n".to_owned()),
        ] {
            let path = bin.join(name);
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let out = package(folder.path());
        let parameters = fs::read_to_string(out.join("parameters")).unwrap();
        let sums = parameters
            .lines()
            .filter_map(|line| line.split_once("Sha256="));
        let sum = sums
            .map(|(_, sum)| sum.to_owned())
            .find(|sum| !sum.is_empty());
        Self {
            folder,
            sum: sum.unwrap(),
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Runs the user data of a crawler; what it noted, and whether it went well.
    fn boot(&self, sum: &str, worker_starts: &str) -> (bool, String) {
        let deployed = Deployed::with(&[
            ("ArmSha256", sum),
            ("X86Sha256", sum),
            ("SqsAccess", "endpoint"),
            ("Egress", "fixed"),
        ]);
        let name = format!(
            "Crawl{}LaunchTemplate",
            if arch() == "arm64" { "Arm" } else { "X86" }
        );
        let script = text(&deployed.properties(&name)["LaunchTemplateData"]["UserData"]);
        let script = script.replace("/opt/trawler", self.at("opt").to_str().unwrap());
        let notes = self.at("notes");
        fs::write(&notes, "").unwrap();
        let path = format!(
            "{}:{}",
            self.at("bin").display(),
            std::env::var("PATH").unwrap()
        );
        fs::create_dir_all(self.at("root/etc/logrotate.d")).unwrap();
        let resolvers = "# of the network\nsearch ec2.internal\nnameserver 10.64.0.2\n";
        fs::write(self.at("root/etc/resolv.conf"), resolvers).unwrap();
        let mut command = Command::new("bash");
        command
            .args(["-c", &script])
            .env("PATH", path)
            .env("NOTES", &notes)
            .env("PACKAGES", self.at("out"))
            .env("WORKER_STARTS", worker_starts)
            .env("TRAWLER_ROOT", self.at("root"));
        let (went_well, said) = said(&mut command);
        (
            went_well,
            format!("{}{said}", fs::read_to_string(notes).unwrap()),
        )
    }

    fn file(&self, path: &str) -> String {
        fs::read_to_string(self.at("root").join(path)).unwrap()
    }
}

fn arch() -> &'static str {
    if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "x86_64"
    }
}

/// A package of a program that is there anyway: what is in it does not matter.
fn package(folder: &Path) -> PathBuf {
    let fleet = folder.join("fleet");
    fs::create_dir_all(&fleet).unwrap();
    fs::write(fleet.join("trawler.toml"), "environment = \"check\"\n").unwrap();
    let out = folder.join("out");
    let (went_well, said) = said(&mut packaging(&fleet, &out, Path::new("/bin/true")));
    assert!(went_well, "{said}");
    out
}

fn packaging(fleet: &Path, out: &Path, binary: &Path) -> Command {
    let mut command = Command::new(root().join("infra/package.sh"));
    command.args([fleet, out]);
    command.arg(format!("{}={}", arch(), binary.display()));
    command
}

fn position(notes: &str, line: &str) -> usize {
    notes
        .find(line)
        .unwrap_or_else(|| panic!("{line} is not in\n{notes}"))
}

#[test]
fn a_machine_fetches_checks_and_starts_its_worker_and_says_so() {
    let machine = Machine::new();
    let (went_well, notes) = machine.boot(&machine.sum, "0");
    assert!(went_well, "{notes}");
    let fetched = position(
        &notes,
        "aws s3 cp --only-show-errors s3://artifacts/releases/0123456789abcdef/",
    );
    let started = position(&notes, "systemctl start trawler.service");
    let told = position(
        &notes,
        "--logical-resource-id CrawlGroup --unique-id i-0abc --status SUCCESS",
    );
    let logs = position(&notes, "systemctl start --no-block trawler-logs.service");
    assert!(
        fetched < started && started < told && told < logs,
        "{notes}"
    );
    assert!(
        !notes.contains("shutdown") && !notes.contains("FAILURE"),
        "{notes}"
    );
    let role = machine.file("etc/trawler/role.env");
    for line in [
        "TRAWLER_COMMAND=crawl\n",
        "AWS_REGION=eu-west-1\n",
        "TRAWLER_INSTANCE=i-0abc\n",
        "TRAWLER_GROUP=check-crawl\n",
        "TRAWLER_FIXED_EGRESS=http://FixedEgressProxy.PrivateIp:3128\n",
    ] {
        assert!(role.contains(line), "{role}");
    }
    assert!(
        machine
            .file("etc/trawler/logs.json")
            .contains("\"/trawler/check/crawl\"")
    );
    let reach = machine.file("etc/systemd/system/trawler.service.d/reach.conf");
    // The network's resolver, the endpoint in two zones, and the proxy.
    assert_eq!(reach.matches("IPAddressAllow=").count(), 4, "{reach}");
    assert!(reach.contains("IPAddressAllow=10.64.0.2\n"), "{reach}");
    for unit in [
        "trawler.service",
        "trawler-gone.service",
        "trawler-logs.service",
    ] {
        assert!(
            !machine
                .file(&format!("etc/systemd/system/{unit}"))
                .is_empty()
        );
    }
}

#[test]
fn a_machine_with_another_package_than_the_pinned_one_starts_nothing_and_goes() {
    let machine = Machine::new();
    let (went_well, notes) = machine.boot(&"0".repeat(64), "0");
    assert!(!went_well, "{notes}");
    position(&notes, "--status FAILURE");
    position(&notes, "shutdown -h now");
    assert!(!notes.contains("systemctl"), "{notes}");
}

#[test]
fn a_machine_whose_worker_does_not_start_fails_the_update_and_goes() {
    let machine = Machine::new();
    let (went_well, notes) = machine.boot(&machine.sum, "1");
    assert!(!went_well, "{notes}");
    let failed = position(
        &notes,
        "--logical-resource-id CrawlGroup --unique-id i-0abc --status FAILURE",
    );
    assert!(failed < position(&notes, "shutdown -h now"), "{notes}");
    assert!(!notes.contains("SUCCESS"), "{notes}");
}

#[test]
fn the_same_input_is_the_same_release_and_another_configuration_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let release = |out: &Path| fs::read_to_string(out.join("parameters")).unwrap();
    let first = release(&package(folder.path()));
    let second = release(&package(folder.path()));
    assert_eq!(first, second);
    let fleet = folder.path().join("fleet");
    fs::write(fleet.join("trawler.toml"), "environment = \"other\"\n").unwrap();
    let out = folder.path().join("out");
    assert!(said(&mut packaging(&fleet, &out, Path::new("/bin/true"))).0);
    assert_ne!(release(&out), first);
}

#[test]
fn what_machines_could_not_run_is_not_packed() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = folder.path().join("fleet");
    let out = folder.path().join("out");
    let check = |binary: &Path, expected: &str| {
        let (went_well, said) = said(&mut packaging(&fleet, &out, binary));
        assert!(!went_well && said.contains(expected), "{said}");
    };
    check(Path::new("/bin/true"), "has no trawler.toml");
    fs::create_dir(&fleet).unwrap();
    fs::write(fleet.join("trawler.toml"), "").unwrap();
    check(Path::new("/nowhere"), "there is no file /nowhere");
    check(&root().join("README.md"), "is built for other and not for");
    let newer = folder.path().join("newer");
    let mut bytes = fs::read("/bin/true").unwrap();
    bytes.extend(b"\0GLIBC_2.39\0");
    fs::write(&newer, bytes).unwrap();
    check(&newer, "needs glibc 2.39, and Amazon Linux 2023 has 2.34");
}

/// `Type=notify` and `WatchdogSec=` of the unit: the manager hears when the
/// work has begun, that it goes on, and that it ends.
#[test]
fn a_worker_tells_its_service_manager_when_it_works_and_that_it_lives() {
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_trawler-under-test");
    fs::create_dir(folder.path().join("pipes")).unwrap();
    fs::write(folder.path().join("trawler.toml"), "").unwrap();
    let socket = folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let mut worker = Command::new(program)
        .arg("-C")
        .arg(folder.path())
        .arg("run")
        .env("NOTIFY_SOCKET", &socket)
        .env("WATCHDOG_USEC", "200000")
        .env_remove("WATCHDOG_PID")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let hear = || {
        let mut word = [0; 64];
        let length = manager
            .recv(&mut word)
            .expect("it says something within a minute");
        String::from_utf8_lossy(&word[..length]).into_owned()
    };
    let heard: Vec<String> = (0..4).map(|_| hear()).collect();
    assert_eq!(heard, ["READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"]);
    let told = Command::new("kill")
        .args(["-TERM", &worker.id().to_string()])
        .status();
    assert!(told.unwrap().success());
    while hear() != "STOPPING=1" {}
    assert!(worker.wait().unwrap().code().is_some());
}

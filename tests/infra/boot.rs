//! How a machine starts: the user data of the launch template and `boot.sh`,
//! run with programs of our own for those of the machine; the package that they
//! start; and what the worker tells its service manager.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::template::{Deployed, text};
use crate::tools::said;
use crate::{read, root};

/// Stands for `aws`: packages come from a folder, and every call is noted.
const AWS: &str = r#"#!/bin/bash
echo "aws $*" >> "$NOTES"
if [ "$1 $2" = "s3 cp" ]; then cp "$PACKAGES/$(basename "$4")" "$5"; fi
"#;

/// Stands for `systemctl`: the worker starts, or does not.
const SYSTEMCTL: &str = r#"#!/bin/bash
echo "systemctl $*" >> "$NOTES"
if [ "$*" = "start trawler.service" ]; then
    echo "the port is taken" >> "$TRAWLER_ROOT/var/log/trawler/trawler.log"
    exit "$WORKER_STARTS"
fi
"#;

/// What machines of a group are told, and what they make of it.
struct Role {
    name: &'static str,
    /// In the names of groups and logs.
    group: &'static str,
    /// Of the program.
    command: &'static str,
}

const ROLES: [Role; 2] = [
    Role {
        name: "Crawl",
        group: "crawl",
        command: "crawl",
    },
    Role {
        name: "Image",
        group: "image",
        command: "images",
    },
];

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
            ("sleep", note("sleep")),
            ("sleep", note("sleep")),
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

    /// Runs the user data of a machine; whether it went well, and what it noted.
    fn boot(&self, role: &Role, sum: &str, worker_starts: &str) -> (bool, String) {
        let deployed = Deployed::with(&[
            ("ArmSha256", sum),
            ("X86Sha256", sum),
            ("SqsAccess", "endpoint"),
            ("Egress", "fixed"),
        ]);
        let name = format!(
            "{}{}LaunchTemplate",
            role.name,
            if arch() == "arm64" { "Arm" } else { "X86" }
        );
        let script = text(&deployed.properties(&name)["LaunchTemplateData"]["UserData"]);
        let script = script.replace("/opt/trawler", self.at("opt").to_str().unwrap());
        let script = script.replace(
            "/dev/console",
            self.at("root/dev/console").to_str().unwrap(),
        );
        let notes = self.at("notes");
        fs::write(&notes, "").unwrap();
        let path = format!(
            "{}:{}",
            self.at("bin").display(),
            std::env::var("PATH").unwrap()
        );
        fs::create_dir_all(self.at("root/etc/logrotate.d")).unwrap();
        fs::create_dir_all(self.at("root/dev")).unwrap();
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
    for role in &ROLES {
        let machine = Machine::new();
        let (went_well, notes) = machine.boot(role, &machine.sum, "0");
        assert!(went_well, "{notes}");
        let fetched = format!(
            "aws s3 cp --only-show-errors s3://artifacts/releases/0123456789abcdef/trawler-{}.tar.gz ",
            arch()
        );
        let told = format!(
            "signal-resource --stack-name stack --logical-resource-id {}Group --unique-id i-0abc --status SUCCESS",
            role.name
        );
        let steps = [
            &fetched,
            "systemctl daemon-reload",
            "systemctl start trawler.service",
            &told,
            "systemctl start --no-block trawler-logs.service",
        ]
        .map(|line| position(&notes, line));
        assert!(steps.is_sorted(), "{notes}");
        assert!(
            !notes.contains("shutdown") && !notes.contains("FAILURE"),
            "{notes}"
        );
        assert_is_told(&machine, role);
        let reach = machine.file("etc/systemd/system/trawler.service.d/reach.conf");
        // The network's resolver, the endpoint in two zones, and the proxy.
        let reach: Vec<&str> = reach.lines().collect();
        assert_eq!(
            reach,
            [
                "[Service]",
                "IPAddressAllow=10.64.0.2",
                "IPAddressAllow=10.64.48.0/27",
                "IPAddressAllow=10.64.48.32/27",
                "IPAddressAllow=10.64.48.64/27",
            ]
        );
        for unit in ["trawler", "trawler-gone", "trawler-logs"] {
            let unit = format!("{unit}.service");
            let found = machine.file(&format!("etc/systemd/system/{unit}"));
            assert_eq!(found, read(&format!("infra/instance/{unit}")));
        }
    }
}

/// What the unit and the program find on the machine.
fn assert_is_told(machine: &Machine, role: &Role) {
    let told = machine.file("etc/trawler/role.env");
    let told: Vec<&str> = told.lines().collect();
    let folder = format!("TRAWLER_DIR={}", machine.at("opt").display());
    let command = format!("TRAWLER_COMMAND={}", role.command);
    let group = format!("TRAWLER_GROUP=check-{}", role.group);
    let expected = [
        "AWS_REGION=eu-west-1",
        "AWS_DEFAULT_REGION=eu-west-1",
        &folder,
        &command,
        "TRAWLER_INSTANCE=i-0abc",
        &group,
        "TRAWLER_FIXED_EGRESS=http://FixedEgressProxy.PrivateIp:3128",
    ];
    assert_eq!(told, expected);
    assert!(machine.at("opt/trawler.toml").is_file());
    let logs = machine.file("etc/trawler/logs.json");
    let logs: Value = serde_json::from_str(&logs).unwrap();
    let log = &logs["logs"]["logs_collected"]["files"]["collect_list"][0];
    assert_eq!(
        log["log_group_name"],
        format!("/trawler/check/{}", role.group)
    );
}

/// By the line of the unit, with what boot.sh has written for it.
#[test]
fn the_program_takes_what_a_machine_is_told_as_its_command_and_its_folder() {
    for role in &ROLES {
        let machine = Machine::new();
        assert!(machine.boot(role, &machine.sum, "0").0);
        // The folder that is named is the one that is read.
        fs::write(machine.at("opt/trawler.toml"), "no_key = 1\n").unwrap();
        let unit = machine.file("etc/systemd/system/trawler.service");
        let line = unit
            .lines()
            .find_map(|line| line.strip_prefix("ExecStart=/opt/trawler/trawler "));
        let program = env!("CARGO_BIN_EXE_trawler-under-test");
        let script = format!(
            "set -a; . {}; exec {program} {}",
            machine.at("root/etc/trawler/role.env").display(),
            line.unwrap()
        );
        let mut command = Command::new("bash");
        command
            .args(["-c", &script])
            .current_dir(machine.folder.path());
        let (_, said) = said(&mut command);
        assert!(said.contains("no_key"), "{}: {said}", role.name);
    }
}

#[test]
fn a_machine_with_another_package_than_the_pinned_one_starts_nothing_and_goes() {
    for role in &ROLES {
        let machine = Machine::new();
        let (went_well, notes) = machine.boot(role, &"0".repeat(64), "0");
        assert!(!went_well, "{notes}");
        let failed = position(&notes, "--status FAILURE");
        assert!(failed < position(&notes, "shutdown -h now"), "{notes}");
        assert!(!notes.contains("systemctl"), "{notes}");
        let console = machine.file("dev/console");
        assert!(console.contains(" of the user data failed"), "{console}");
    }
}

#[test]
fn a_machine_whose_worker_does_not_start_fails_the_update_and_goes() {
    for role in &ROLES {
        let machine = Machine::new();
        let (went_well, notes) = machine.boot(role, &machine.sum, "1");
        assert!(!went_well, "{notes}");
        let failed = format!(
            "--logical-resource-id {}Group --unique-id i-0abc --status FAILURE",
            role.name
        );
        let failed = position(&notes, &failed);
        assert!(failed < position(&notes, "shutdown -h now"), "{notes}");
        assert!(!notes.contains("SUCCESS"), "{notes}");
        let console = machine.file("dev/console");
        assert!(console.contains(" of boot.sh failed"), "{console}");
        assert!(console.contains("the port is taken"), "{console}");
    }
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

//! The units of a machine, by their values: how a worker starts, ends and is
//! watched, what it is kept from, and how the machine is given back.

use trawler_core::drain::EXIT_WITHIN;

use crate::read;

/// What is said of a key of a section, in the order that it is said.
struct Unit(Vec<(String, String)>);

impl Unit {
    fn read(name: &str) -> Self {
        let written = read(&format!("infra/instance/{name}"));
        let mut section = String::new();
        let mut found = Vec::new();
        for line in written.lines().filter(|line| !line.starts_with('#')) {
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']').to_owned();
            } else if let Some((key, value)) = line.split_once('=') {
                found.push((format!("{section}.{key}"), value.to_owned()));
            } else {
                assert!(line.is_empty(), "{name}: {line}");
            }
        }
        Self(found)
    }

    fn all(&self, key: &str) -> Vec<&str> {
        let said = self.0.iter().filter(|(name, _)| name == key);
        said.map(|(_, value)| value.as_str()).collect()
    }

    /// What is said once: of some keys the last one counts, of others all.
    fn value(&self, key: &str) -> &str {
        match self.all(key)[..] {
            [value] => value,
            ref other => panic!("{key}: {other:?}"),
        }
    }

    fn seconds(&self, key: &str) -> u64 {
        self.value(key).parse().unwrap()
    }

    fn says(&self, expected: &[(&str, &str)]) {
        for (key, value) in expected {
            assert_eq!(self.value(key), *value, "{key}");
        }
    }
}

#[test]
fn the_unit_gives_a_worker_time_to_leave_and_finds_one_that_stands_still() {
    let unit = Unit::read("trawler.service");
    assert!(unit.seconds("Service.TimeoutStopSec") > EXIT_WITHIN.as_secs());
    assert!((30..=120).contains(&unit.seconds("Service.WatchdogSec")));
    unit.says(&[
        ("Service.Type", "notify"),
        ("Service.KillMode", "mixed"),
        // One that is idle leaves by itself, and has not failed.
        ("Service.Restart", "on-failure"),
        // 2 is a wrong configuration.
        ("Service.RestartPreventExitStatus", "2"),
        ("Unit.OnFailure", "trawler-gone.service"),
        ("Service.EnvironmentFile", "/etc/trawler/role.env"),
        ("Service.ExecStart", "/opt/trawler/trawler $TRAWLER_COMMAND"),
    ]);
    // It fails for good before the time in which failures are counted is over.
    let starts = unit.seconds("Unit.StartLimitBurst");
    let waits = unit.seconds("Service.RestartSec") + unit.seconds("Service.WatchdogSec");
    assert!(starts * waits < unit.seconds("Unit.StartLimitIntervalSec"));
}

#[test]
fn the_unit_keeps_a_worker_from_all_but_its_own() {
    let unit = Unit::read("trawler.service");
    unit.says(&[
        ("Service.DynamicUser", "yes"),
        ("Service.StateDirectory", "trawler"),
        ("Service.WorkingDirectory", "/var/lib/trawler"),
        ("Service.NoNewPrivileges", "yes"),
        ("Service.ProtectSystem", "strict"),
        ("Service.ProtectHome", "yes"),
        ("Service.PrivateTmp", "yes"),
        ("Service.PrivateDevices", "yes"),
        ("Service.ProtectKernelTunables", "yes"),
        ("Service.ProtectKernelModules", "yes"),
        ("Service.ProtectControlGroups", "yes"),
        (
            "Service.RestrictAddressFamilies",
            "AF_INET AF_INET6 AF_UNIX AF_NETLINK",
        ),
        ("Service.RestrictSUIDSGID", "yes"),
        ("Service.LockPersonality", "yes"),
        ("Service.LimitNOFILE", "65536"),
        ("Service.TasksMax", "4096"),
        ("Service.MemoryMax", "90%"),
        // What is denied network.rs compares.
        ("Service.IPAddressAllow", "localhost 169.254.169.254"),
    ]);
    for key in ["AmbientCapabilities", "CapabilityBoundingSet", "User"] {
        assert!(unit.all(&format!("Service.{key}")).is_empty(), "{key}");
    }
}

/// With its place: the group would start another at once.
#[test]
fn a_worker_that_failed_gives_its_machine_back_with_its_place() {
    let unit = Unit::read("trawler-gone.service");
    unit.says(&[
        ("Service.Type", "oneshot"),
        ("Service.EnvironmentFile", "/etc/trawler/role.env"),
        (
            "Service.ExecStart",
            "/usr/bin/aws autoscaling terminate-instance-in-auto-scaling-group \
             --instance-id ${TRAWLER_INSTANCE} --should-decrement-desired-capacity",
        ),
        // A group at its minimum refuses, and is asked again.
        ("Service.Restart", "on-failure"),
    ]);
}

#[test]
fn the_log_that_the_worker_writes_is_the_one_that_is_sent_and_turned() {
    let worker = Unit::read("trawler.service");
    let log = "/var/log/trawler/trawler.log";
    for stream in ["Service.StandardOutput", "Service.StandardError"] {
        assert_eq!(worker.value(stream), format!("append:{log}"));
    }
    let sent: serde_json::Value = serde_json::from_str(&read("infra/instance/logs.json")).unwrap();
    let files = &sent["logs"]["logs_collected"]["files"]["collect_list"];
    assert_eq!(files[0]["file_path"], log);
    let turned = read("infra/instance/logrotate.conf");
    assert!(turned.contains(&format!("\n{log} {{\n")), "{turned}");
    let logs = Unit::read("trawler-logs.service");
    logs.says(&[
        ("Service.Type", "oneshot"),
        ("Service.RemainAfterExit", "yes"),
        ("Service.Restart", "on-failure"),
    ]);
    let [installs, configures] = logs.all("Service.ExecStart")[..] else {
        panic!("it installs, and configures");
    };
    assert!(installs.ends_with(" amazon-cloudwatch-agent"), "{installs}");
    assert!(
        configures.ends_with(" -c file:/etc/trawler/logs.json"),
        "{configures}"
    );
}

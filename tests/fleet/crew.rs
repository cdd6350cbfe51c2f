//! The processes of a fleet: the real program in its roles, killed, frozen,
//! told to leave and started again, as machines are.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use tokio::process::{Child, Command};
use trawler_tests::Imds;
use trawler_tests::emulator::REGION;

use crate::cloud::Site;

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// What AWS gives a spot instance between the notice and its end.
const SPOT_NOTICE: TimeDelta = TimeDelta::minutes(2);

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Schedule,
    Crawl,
    Images,
}

impl Role {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Crawl => "crawl",
            Self::Images => "images",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One process and the machine that it runs on.
pub(crate) struct Member {
    pub(crate) role: Role,
    name: String,
    metadata: Imds,
    child: Child,
    /// It stands still.
    pub(crate) frozen: bool,
    /// Since when it knows that it has to leave.
    pub(crate) told: Option<Instant>,
    /// It was the platform that told it, and not a signal.
    pub(crate) is_noticed: bool,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Killed,
    /// By SIGTERM before it had begun to listen for it.
    Unready,
    /// By itself, with this code.
    Left(i32),
}

impl Member {
    /// Starts a role of a site. `name` is that of its instance, and tells its
    /// log from the others'.
    pub(crate) async fn start(site: &Site, role: Role, name: &str) -> Self {
        let metadata = machine(name).await;
        let child = spawn(site, role, name, &metadata);
        Self {
            role,
            name: name.to_owned(),
            metadata,
            child,
            frozen: false,
            told: None,
            is_noticed: false,
        }
    }

    /// The same role on a new machine.
    pub(crate) async fn restart(&mut self, site: &Site) {
        self.metadata = machine(&self.name).await;
        self.child = spawn(site, self.role, &self.name, &self.metadata);
        (self.frozen, self.told, self.is_noticed) = (false, None, false);
    }

    pub(crate) fn is_up(&self) -> bool {
        !self.frozen && self.told.is_none()
    }

    pub(crate) fn kill(&mut self) {
        // One that has just ended by itself is as dead.
        let _ = self.child.start_kill();
    }

    pub(crate) fn terminate(&mut self) {
        self.signal("TERM");
        self.told = Some(Instant::now());
    }

    /// The metadata of its machine says that it is taken back.
    pub(crate) fn interrupt_spot(&mut self) {
        self.metadata.interrupt(Utc::now() + SPOT_NOTICE);
        (self.told, self.is_noticed) = (Some(Instant::now()), true);
    }

    /// The metadata of its machine says that its group takes it out.
    pub(crate) fn scale_in(&mut self) {
        self.metadata.target_state("Terminated");
        (self.told, self.is_noticed) = (Some(Instant::now()), true);
    }

    pub(crate) fn freeze(&mut self) {
        self.signal("STOP");
        self.frozen = true;
    }

    pub(crate) fn thaw(&mut self) {
        self.signal("CONT");
        self.frozen = false;
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<End> {
        let status = self.child.try_wait().expect("a child can be asked");
        status.map(End::of)
    }

    pub(crate) async fn wait(&mut self, bound: Duration) -> End {
        let status = tokio::time::timeout(bound, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("{} still runs after {bound:?}", self.name));
        End::of(status.expect("a child can be waited for"))
    }

    fn signal(&self, name: &str) {
        // Without a process id it has ended.
        if let Some(pid) = self.child.id() {
            let mut kill = std::process::Command::new("kill");
            let kill = kill.args([&format!("-{name}"), &pid.to_string()]);
            let _ = kill.stderr(Stdio::null()).status().expect("there is kill");
        }
    }
}

impl End {
    fn of(status: ExitStatus) -> Self {
        match (status.signal(), status.code()) {
            (Some(SIGKILL), _) => Self::Killed,
            (Some(SIGTERM), _) => Self::Unready,
            (_, Some(code)) => Self::Left(code),
            (signal, None) => panic!("ended by signal {signal:?}"),
        }
    }
}

/// One that was launched at this moment.
async fn machine(name: &str) -> Imds {
    let metadata = Imds::start(name, REGION).await;
    metadata.launched(Utc::now());
    metadata
}

/// The process dies with the test.
fn spawn(site: &Site, role: Role, name: &str, metadata: &Imds) -> Child {
    let mut command = Command::from(site.command_on(name, &[role.as_str()]));
    let log = site.log(name);
    command
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.endpoint())
        .stdout(Stdio::from(
            log.try_clone().expect("a file handle can be cloned"),
        ))
        .stderr(Stdio::from(log))
        .kill_on_drop(true)
        .spawn()
        .expect("start the program")
}

//! The emulated cloud, and one fleet's place in it: an environment with its
//! queues and its bucket, a proxy before it, and the folder of its machines.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use trawler_aws::{
    Cloud, S3Blobs, S3Location, S3Options, S3State, SqsOptions, SqsQueue, catalogue_store,
};
use trawler_core::ports::{Clock, Queue};
use trawler_core::run::Run;
use trawler_core::{Environment, QueueName};
use trawler_fleet::Ports;
use trawler_fleet::audit;
use trawler_local::{CountingMetrics, SystemClock};
use trawler_tests::emulator::{Ministack, REGION};
use trawler_tests::proxy::FaultProxy;

use crate::outcome;
use crate::support::{Ended, TRAWLER};

/// Lines of each log that a failed test prints.
const LOG_TAIL: usize = 40;

/// How the panic of a thread or of a job begins, and the lines of it that a
/// failed test shows.
const PANICKED: &str = "panicked";
const PANIC_LINES: usize = 3;

/// Deliveries before the backstop, as in the configuration's default.
const RECEIVES_MAX: u32 = 1000;

static MACHINE: RwLock<()> = RwLock::const_new(());

/// For what is measured, or needs every core.
pub(crate) async fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().await
}

/// For what mostly waits.
pub(crate) async fn beside() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().await
}

/// One fleet. Its processes reach the cloud through the proxy, the test that
/// audits them does not.
pub(crate) struct Site {
    folder: Option<tempfile::TempDir>,
    environment: Environment,
    pub(crate) proxy: FaultProxy,
    direct: Cloud,
    /// What every machine is configured with.
    config: String,
    variables: Vec<(&'static str, String)>,
}

impl Site {
    /// An environment of this name with its queues and its bucket; `hosts` are
    /// let in, and `more` is further configuration.
    pub(crate) async fn create(name: &str, hosts: &[String], more: &str) -> Self {
        // Starting it takes seconds of a thread.
        let emulator = tokio::task::spawn_blocking(Ministack::shared).await;
        let endpoint = emulator.expect("the emulator starts").endpoint();
        let mut site = Self {
            folder: Some(tempfile::tempdir().expect("a temporary folder")),
            environment: Environment::parse(name).expect("a name"),
            proxy: FaultProxy::start(&endpoint).await,
            direct: Cloud::at(&endpoint, REGION).await,
            config: String::new(),
            variables: Vec::new(),
        };
        site.configure(hosts, more);
        site.trawler(&["fleet", "create", "--bucket"]);
        site
    }

    fn configure(&mut self, hosts: &[String], more: &str) {
        let hosts: Vec<String> = hosts.iter().map(|host| format!("{host:?}")).collect();
        self.config = format!(
            "environment = \"{}\"\n\n[net]\ncontact = \"https://example.com/test\"\nallow = [{}]\n\n\
             [store]\nlocation = \"{}\"\n\n[notices]\nimds = true\n\n{more}",
            self.environment,
            hosts.join(", "),
            self.location(),
        );
        let folder = self.path();
        fs::write(folder.join("trawler.toml"), &self.config).expect("write trawler.toml");
        for name in ["logs", "machines"] {
            fs::create_dir(folder.join(name)).expect("a folder for what is kept");
        }
    }

    /// A further variable of what is started from now on.
    pub(crate) fn set_variable(&mut self, name: &'static str, value: &str) {
        self.variables.push((name, value.to_owned()));
    }

    /// Gives the machine of this name a folder of its own, with `more`
    /// configuration than everybody has.
    pub(crate) fn equip(&self, machine: &str, more: &str) {
        let folder = self.own_folder(machine);
        fs::create_dir(&folder).expect("a folder for the machine");
        let text = format!("{}\n{more}", self.config);
        fs::write(folder.join("trawler.toml"), text).expect("write trawler.toml");
    }

    fn own_folder(&self, machine: &str) -> PathBuf {
        self.path().join("machines").join(machine)
    }

    fn path(&self) -> PathBuf {
        let folder = self.folder.as_ref().expect("it lives as long as the site");
        folder.path().to_owned()
    }

    fn bucket(&self) -> String {
        format!("fleet-{}", self.environment)
    }

    fn location(&self) -> String {
        format!("s3://{}/trawler", self.bucket())
    }

    /// The program, not yet started.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.command_in(&self.path(), args)
    }

    /// As [`Site::command`], on the machine of this name.
    pub(crate) fn command_on(&self, machine: &str, args: &[&str]) -> Command {
        let own = self.own_folder(machine);
        if own.is_dir() {
            self.command_in(&own, args)
        } else {
            self.command(args)
        }
    }

    fn command_in(&self, folder: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(TRAWLER);
        command
            .arg("-C")
            .arg(folder)
            .args(args)
            .env("AWS_ENDPOINT_URL", self.proxy.endpoint())
            .env("AWS_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", "emulated")
            .env("AWS_SECRET_ACCESS_KEY", "emulated")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("TRAWLER_LOG", "info")
            .stdin(Stdio::null());
        for (name, value) in &self.variables {
            command.env(name, value);
        }
        command
    }

    /// Runs a command that must succeed.
    pub(crate) fn trawler(&self, args: &[&str]) -> Ended {
        let output = self.command(args).output();
        let ended: Ended = output.expect("start the program").into();
        ended.with_code(0)
    }

    /// Publishes pipes: id and text of each.
    pub(crate) fn publish(&self, pipes: &[(String, String)]) {
        let set = tempfile::tempdir().expect("a temporary folder");
        let folder = set.path().join("pipes");
        fs::create_dir(&folder).expect("a folder for pipes");
        for (id, text) in pipes {
            fs::write(folder.join(format!("{id}.toml")), text).expect("write a pipe");
        }
        let set = set.path().to_str().expect("a path in UTF-8");
        self.trawler(&["pipes", "push", set]);
    }

    /// Where a process writes what it has to say; one name, one file, however
    /// often it is started.
    pub(crate) fn log(&self, name: &str) -> File {
        let path = self.path().join("logs").join(format!("{name}.log"));
        let opened = File::options().create(true).append(true).open(path);
        opened.expect("open a log")
    }

    /// What a process has said so far.
    pub(crate) fn logged(&self, name: &str) -> String {
        let path = self.path().join("logs").join(format!("{name}.log"));
        fs::read_to_string(path).unwrap_or_default()
    }

    /// The ports beside the processes, past the proxy; with the visibilities of
    /// the configuration, or the queues do not fit.
    pub(crate) async fn ports(&self, crawl: Duration, image: Duration) -> Ports {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let place = S3Location::parse(&self.location()).expect("a location");
        let options = S3Options::new(self.environment.clone());
        let state = S3State::open(&self.direct, place.clone(), options.clone()).await;
        let blobs = S3Blobs::open(&self.direct, place, options).await;
        Ports {
            state: Arc::new(state.expect("open the state")),
            blobs: Arc::new(blobs.expect("open the blobs")),
            crawl: self.queue(QueueName::Crawl, crawl, &clock).await,
            image: self.queue(QueueName::Image, image, &clock).await,
            clock,
            metrics: Arc::new(CountingMetrics::new()),
        }
    }

    async fn queue(
        &self,
        queue: QueueName,
        visibility: Duration,
        clock: &Arc<dyn Clock>,
    ) -> Arc<dyn Queue> {
        let options = SqsOptions {
            name: queue,
            queue: format!("{}-{queue}.fifo", self.environment),
            environment: self.environment.clone(),
            visibility,
            receive_count_max: RECEIVES_MAX,
        };
        let opened = SqsQueue::open(&self.direct, Arc::clone(clock), options).await;
        Arc::new(opened.expect("open a queue"))
    }

    /// The catalogue's store, past the proxy.
    pub(crate) async fn catalogue(&self) -> Arc<dyn ObjectStore> {
        let place = S3Location::parse(&self.location()).expect("a location");
        let options = S3Options::new(self.environment.clone());
        let store = catalogue_store(&self.direct, &place, &options).await;
        store.expect("open the catalogue's store")
    }

    /// For the message of a test that waited in vain.
    pub(crate) async fn state_of_affairs(&self, ports: &Ports) -> String {
        let mut lines = vec![format!("{:?}", audit(ports).await)];
        for job in outcome::jobs(ports).await {
            if !job.status.is_settled() {
                lines.push(format!("{job:?}"));
            }
        }
        let runs = ports.documents().load::<Run>("runs/", usize::MAX).await;
        for run in runs.expect("read the runs") {
            if !run.phase.is_over() {
                lines.push(format!("{run:?}"));
            }
        }
        for queue in QueueName::ALL {
            lines.push(format!("{queue}: {:?}", ports.queue(queue).depth().await));
        }
        lines.join("\n")
    }

    /// No process may have panicked, however it ended.
    ///
    /// # Panics
    /// With what those said that did.
    pub(crate) fn check_panics(&self) {
        let mut found = Vec::new();
        for (name, text) in self.logs() {
            let lines: Vec<&str> = text.lines().collect();
            for at in (0..lines.len()).filter(|at| lines[*at].contains(PANICKED)) {
                let said = &lines[at..lines.len().min(at + PANIC_LINES)];
                found.push(format!("{name}: {}", said.join("\n")));
            }
        }
        assert!(found.is_empty(), "{}", found.join("\n"));
    }

    /// Name and text of each log.
    fn logs(&self) -> Vec<(String, String)> {
        let Ok(logs) = fs::read_dir(self.path().join("logs")) else {
            return Vec::new();
        };
        let read = logs.flatten().map(|log| {
            let text = fs::read(log.path()).expect("read a log");
            let text = String::from_utf8_lossy(&text).into_owned();
            (log.path().display().to_string(), text)
        });
        read.collect()
    }

    fn print_logs(&self) {
        for (name, text) in self.logs() {
            let lines: Vec<&str> = text.lines().collect();
            let tail = &lines[lines.len().saturating_sub(LOG_TAIL)..];
            println!("{name}:\n{}\n", tail.join("\n"));
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        self.print_logs();
        if let Some(folder) = self.folder.take() {
            let kept = folder.keep();
            println!("what the processes said is kept in {}", kept.display());
        }
    }
}

//! The emulated cloud, and one fleet's place in it: an environment with its
//! queues and its bucket, a proxy before it, and the folder of its machines.

use std::fs::{self, File};
use std::path::PathBuf;
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
use trawler_local::{CountingMetrics, SystemClock};
use trawler_scheduler::audit;
use trawler_tests::emulator::{Ministack, REGION};
use trawler_tests::proxy::FaultProxy;

use crate::outcome;
use crate::support::{Ended, TRAWLER};

/// Lines of each log that a failed test prints.
const LOG_TAIL: usize = 40;

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
}

impl Site {
    /// An environment of this name with its queues and its bucket; `hosts` are
    /// let in, and `more` is further configuration.
    pub(crate) async fn create(name: &str, hosts: &[String], more: &str) -> Self {
        // Starting it takes seconds of a thread.
        let emulator = tokio::task::spawn_blocking(Ministack::shared).await;
        let endpoint = emulator.expect("the emulator starts").endpoint();
        let site = Self {
            folder: Some(tempfile::tempdir().expect("a temporary folder")),
            environment: Environment::parse(name).expect("a name"),
            proxy: FaultProxy::start(&endpoint).await,
            direct: Cloud::at(&endpoint, REGION).await,
        };
        site.configure(hosts, more);
        site.trawler(&["fleet", "create", "--bucket"]);
        site
    }

    fn configure(&self, hosts: &[String], more: &str) {
        let hosts: Vec<String> = hosts.iter().map(|host| format!("{host:?}")).collect();
        let text = format!(
            "environment = \"{}\"\n\n[net]\ncontact = \"https://example.com/test\"\nallow = [{}]\n\n\
             [store]\nlocation = \"{}\"\n\n[notices]\nimds = true\n\n{more}",
            self.environment,
            hosts.join(", "),
            self.location(),
        );
        let folder = self.path();
        fs::write(folder.join("trawler.toml"), text).expect("write trawler.toml");
        fs::create_dir(folder.join("logs")).expect("a folder for logs");
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

    /// The program on one of the machines, not yet started.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(TRAWLER);
        command
            .arg("-C")
            .arg(self.path())
            .args(args)
            .env("AWS_ENDPOINT_URL", self.proxy.endpoint())
            .env("AWS_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", "emulated")
            .env("AWS_SECRET_ACCESS_KEY", "emulated")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("TRAWLER_LOG", "info")
            .stdin(Stdio::null());
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

    fn print_logs(&self) {
        let Ok(logs) = fs::read_dir(self.path().join("logs")) else {
            return;
        };
        for log in logs.flatten() {
            let text = fs::read_to_string(log.path()).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let tail = &lines[lines.len().saturating_sub(LOG_TAIL)..];
            println!("{}:\n{}\n", log.path().display(), tail.join("\n"));
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

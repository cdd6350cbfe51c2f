//! An emulator as a child process on a free port.
//!
//! It ends with the value that started it, and at the latest with the test's
//! process, also when that is killed: it reads a pipe that only this process
//! holds the other end of (`run.py`). So one emulator can serve all tests of a
//! process from a static, which is never dropped.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::python;

/// What runs an emulator until the test has ended.
const RUN: &str = include_str!("run.py");

const REQUIREMENTS: &str = include_str!("requirements.txt");

/// An interpreter under load takes its time to import everything.
const START_MAX: Duration = Duration::from_secs(120);

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Somebody else may take the free port before the emulator has it.
const PORTS_TRIED: usize = 3;

/// The region of everything in an emulator.
pub const REGION: &str = "eu-west-1";

/// What the program talks to, and what the template in `infra/` makes.
const SERVICES: &str = "sqs,s3,cloudwatch,ssm,sts,cloudformation,\
    autoscaling,ec2,events,glue,iam,lambda,logs,scheduler,sns";

/// SQS, S3, CloudWatch, CloudFormation.
pub struct Ministack(Emulator);

/// Auto Scaling and EC2.
pub struct Moto(Emulator);

/// A process that answers HTTP on a port of 127.0.0.1 and ends with this value.
pub struct Emulator {
    child: Child,
    port: u16,
}

impl Ministack {
    /// The one of this process, for tests that name what they make after
    /// themselves. An emulator takes seconds to start.
    ///
    /// # Panics
    /// When it cannot be set up or does not answer.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Ministack> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// One of its own.
    ///
    /// # Panics
    /// When it cannot be set up or does not answer.
    pub fn start() -> Self {
        let python = python::interpreter("emulators", REQUIREMENTS);
        let command = |port: u16| {
            let mut command = Command::new(&python);
            command
                .args(["-c", RUN, "ministack.app"])
                .env("GATEWAY_PORT", port.to_string())
                .env("BIND_HOST", "127.0.0.1")
                .env("MINISTACK_HOST", "127.0.0.1")
                .env("MINISTACK_REGION", REGION)
                .env("SERVICES", SERVICES)
                // What functions that it runs are told.
                .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
                .env("SFTP_ENABLED", "0")
                .env("IOT_MTLS_ENABLED", "0")
                .env("LOG_LEVEL", "WARNING");
            command
        };
        Self(Emulator::start("ministack", "/_ministack/ready", command))
    }

    pub fn endpoint(&self) -> String {
        self.0.endpoint()
    }

    pub fn port(&self) -> u16 {
        self.0.port
    }
}

impl Moto {
    /// The one of this process, for tests that name what they make after
    /// themselves. An emulator takes seconds to start.
    ///
    /// # Panics
    /// When it cannot be set up or does not answer.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Moto> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// One of its own.
    ///
    /// # Panics
    /// When it cannot be set up or does not answer.
    pub fn start() -> Self {
        let python = python::interpreter("emulators", REQUIREMENTS);
        let command = |port: u16| {
            let mut command = Command::new(&python);
            command.args(["-c", RUN, "moto.server"]);
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
            command
        };
        Self(Emulator::start("moto", "/moto-api/", command))
    }

    pub fn endpoint(&self) -> String {
        self.0.endpoint()
    }
}

impl Emulator {
    fn start(name: &str, ready: &str, command: impl Fn(u16) -> Command) -> Self {
        for _ in 0..PORTS_TRIED {
            let port = free_port();
            let log = std::env::temp_dir().join(format!("trawler-{name}-{port}.log"));
            let output = File::create(&log).expect("the temporary folder can be written");
            let errors = output.try_clone().expect("a file handle can be cloned");
            let child = command(port)
                .env("TMPDIR", std::env::temp_dir())
                // Kept open by `child` until this process ends.
                .stdin(Stdio::piped())
                .stdout(output)
                .stderr(errors)
                .spawn()
                .unwrap_or_else(|error| panic!("start {name}: {error}"));
            let mut emulator = Self { child, port };
            if emulator.answers(ready) {
                // The handle keeps the file while the process writes to it.
                let _ = std::fs::remove_file(log);
                return emulator;
            }
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            eprintln!("{name} did not start on port {port}: {said}");
        }
        panic!("{name} did not start on {PORTS_TRIED} ports")
    }

    /// The address for `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn answers(&mut self, path: &str) -> bool {
        let deadline = Instant::now() + START_MAX;
        while Instant::now() < deadline {
            if let Ok(Some(_)) = self.child.try_wait() {
                return false;
            }
            if ask(self.port, path).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
                return true;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        false
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // By its process id; one that has ended already is no error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ask(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("127.0.0.1 has a free port");
    listener.local_addr().expect("it is bound").port()
}

//! The clients: how each is made ready and run.
//!
//! Scrapy comes from PyPI into an environment of its own, `spider` is built from a workspace of its
//! own; both stay in the `target` folder for the next time. What cannot be made ready says so, and the
//! others are measured without it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::{CrawlMeasured, Pages, SitePlan, target_folder};
use crate::case;

/// A crawler that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    Trawler,
    Scrapy,
    /// Without extraction, which it does not have.
    Spider,
    /// With the same fields read by `scraper`.
    SpiderExtracting,
}

impl Client {
    pub(super) const ALL: [Client; 4] = [
        Client::Trawler,
        Client::Scrapy,
        Client::Spider,
        Client::SpiderExtracting,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Client::Trawler => "Trawler",
            Client::Scrapy => "Scrapy",
            Client::Spider => "spider",
            Client::SpiderExtracting => "spider + scraper",
        }
    }

    pub(super) fn extracts(self) -> bool {
        self != Client::Spider
    }
}

/// What of the peers could be made ready: the program of each, or why not.
pub(super) struct Peers {
    python: Result<PathBuf, String>,
    spider: Result<PathBuf, String>,
}

impl Peers {
    pub(super) fn prepare() -> Peers {
        let told = |error: anyhow::Error| format!("{error:#}");
        Peers {
            python: scrapy().map_err(told),
            spider: spider().map_err(told),
        }
    }

    pub(super) fn crawl(
        &self,
        client: Client,
        url: &str,
        pages: Pages,
        plan: &SitePlan<'_>,
    ) -> Result<CrawlMeasured> {
        let ready = |program: &Result<PathBuf, String>| {
            program.clone().map_err(|error| anyhow::anyhow!(error))
        };
        let mut arguments: Vec<OsString> = Vec::new();
        let program = match client {
            Client::Trawler => return case::crawl_site(url, pages, plan.scratch),
            Client::Scrapy => {
                arguments.push(folder("scrapy").join("crawl.py").into());
                ready(&self.python)?
            }
            Client::Spider | Client::SpiderExtracting => ready(&self.spider)?,
        };
        arguments.push(format!("{url}/").into());
        arguments.push(pages.word().into());
        match client {
            Client::Trawler | Client::Scrapy => {}
            Client::Spider => arguments.push("crawl".into()),
            Client::SpiderExtracting => arguments.push("extract".into()),
        }
        let output = case::pinned(&program, arguments)?
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("start {}", client.name()))?;
        ensure!(
            output.status.success(),
            "{} failed: {}",
            client.name(),
            output.status
        );
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("answer of {}", client.name()))
    }
}

/// The folder of a peer's source.
fn folder(peer: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("peers")
        .join(peer)
}

/// The Python of an environment with Scrapy, made where it is not there yet.
fn scrapy() -> Result<PathBuf> {
    let requirements = folder("scrapy").join("requirements.txt");
    let wanted = std::fs::read(&requirements).context("read the requirements of Scrapy")?;
    let environment = target_folder()?.join("scrapy");
    let (python, done) = (
        environment.join("bin/python"),
        environment.join("installed"),
    );
    if python.exists() && std::fs::read(&done).is_ok_and(|had| had == wanted) {
        return Ok(python);
    }
    eprintln!(
        "site: installing Scrapy from PyPI into {}",
        environment.display()
    );
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(&environment);
    run(
        &mut make,
        "make an environment for Scrapy (python3 with venv is needed)",
    )?;
    let mut install = Command::new(&python);
    install
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
        ])
        .arg(&requirements);
    run(&mut install, "install Scrapy from PyPI")?;
    std::fs::write(&done, wanted).context("note that Scrapy is installed")?;
    Ok(python)
}

/// The program of the peer `spider`, built where it is out of date.
fn spider() -> Result<PathBuf> {
    let target = target_folder()?.join("spider");
    eprintln!("site: building spider in {}", target.display());
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build
        .args([
            "build",
            "--release",
            "--locked",
            "--quiet",
            "--manifest-path",
        ])
        .arg(folder("spider").join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        // Feature unification of the workspace that started this is none of this one's.
        .env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION")
        .env_remove("CARGO_UNSTABLE_FEATURE_UNIFICATION");
    run(&mut build, "build spider (cargo and crates.io are needed)")?;
    Ok(target.join("release/spider-peer"))
}

fn run(command: &mut Command, what: &str) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        // The output of this program is its report.
        .stdout(Stdio::null())
        .status()
        .with_context(|| what.to_owned())?;
    ensure!(status.success(), "{what}: {status}");
    Ok(())
}

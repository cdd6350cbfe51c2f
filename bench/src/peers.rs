//! How peers are made ready and asked: environments and builds stay in the `target` folder for the
//! next time. What cannot be made ready says so, and the others are measured without it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde::de::DeserializeOwned;

use crate::case;

/// The folder of a peer's source.
pub(crate) fn folder(peer: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("peers")
        .join(peer)
}

/// Where builds and environments of peers are kept: the `target` folder this program was built in.
fn target_folder() -> Result<PathBuf> {
    let program = std::env::current_exe().context("find this program")?;
    let folder = program.parent().and_then(Path::parent);
    Ok(folder.context("find the target folder")?.join("peers"))
}

/// The Python of an environment with what the peer requires, made where it is not there yet.
pub(crate) fn python(peer: &str) -> Result<PathBuf> {
    let requirements = folder(peer).join("requirements.txt");
    let wanted =
        std::fs::read(&requirements).with_context(|| format!("read the requirements of {peer}"))?;
    let environment = target_folder()?.join(peer);
    let python = environment.join("bin/python");
    let done = environment.join("installed");
    if python.exists() && std::fs::read(&done).is_ok_and(|had| had == wanted) {
        return Ok(python);
    }
    eprintln!("installing {peer} from PyPI into {}", environment.display());
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(&environment);
    run(
        &mut make,
        &format!("make an environment for {peer} (python3 with venv is needed)"),
    )?;
    let mut install = Command::new(&python);
    install
        .args(["-m", "pip", "install", "--quiet"])
        .args(["--disable-pip-version-check", "-r"])
        .arg(&requirements);
    run(&mut install, &format!("install {peer} from PyPI"))?;
    note(&done, &wanted)?;
    Ok(python)
}

/// The script of a peer for Node.js, in a folder with what it requires, made where it is not there yet.
pub(crate) fn node(peer: &str, script: &str) -> Result<PathBuf> {
    let source = folder(peer);
    let lock = source.join("package-lock.json");
    let wanted = std::fs::read(&lock).with_context(|| format!("read {}", lock.display()))?;
    let environment = target_folder()?.join(peer);
    std::fs::create_dir_all(&environment)
        .with_context(|| format!("make {}", environment.display()))?;
    for name in ["package.json", "package-lock.json", script] {
        std::fs::copy(source.join(name), environment.join(name))
            .with_context(|| format!("copy {name} of {peer}"))?;
    }
    let done = environment.join("installed");
    if !std::fs::read(&done).is_ok_and(|had| had == wanted) {
        eprintln!("installing {peer} from npm into {}", environment.display());
        let mut install = Command::new("npm");
        install
            .args(["ci", "--silent", "--no-audit", "--no-fund"])
            .current_dir(&environment);
        run(
            &mut install,
            &format!("install {peer} from npm (node and npm are needed)"),
        )?;
        note(&done, &wanted)?;
    }
    Ok(environment.join(script))
}

/// The program of a peer that is a cargo workspace of its own, built where it is out of date.
pub(crate) fn cargo(peer: &str, program: &str) -> Result<PathBuf> {
    let target = target_folder()?.join(peer);
    eprintln!("building {peer} in {}", target.display());
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build
        .args(["build", "--release", "--locked", "--quiet"])
        .arg("--manifest-path")
        .arg(folder(peer).join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        // Feature unification of the workspace that started this is none of this one's.
        .env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION")
        .env_remove("CARGO_UNSTABLE_FEATURE_UNIFICATION");
    run(
        &mut build,
        &format!("build {peer} (cargo and crates.io are needed)"),
    )?;
    Ok(target.join("release").join(program))
}

/// Runs a client on one core; what it answers.
pub(crate) fn asked<T: DeserializeOwned>(
    name: &str,
    program: &Path,
    arguments: Vec<OsString>,
) -> Result<T> {
    let output = case::pinned(program, arguments)?
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("start {name}"))?;
    ensure!(output.status.success(), "{name} failed: {}", output.status);
    serde_json::from_slice(&output.stdout).with_context(|| format!("answer of {name}"))
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

fn note(done: &Path, wanted: &[u8]) -> Result<()> {
    std::fs::write(done, wanted).context("note that a peer is installed")
}

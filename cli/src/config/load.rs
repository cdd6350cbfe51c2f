//! Reads `trawler.toml` and `pipes/*.toml`. Every error names file, line, key,
//! what was found and what is allowed, and all of them are told at once. How
//! they are worded is in `error`.

use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use trawler_core::PipeId;
use trawler_core::pipe::Pipe;
use trawler_core::problem::Problem;

use super::Config;
use super::check::Bounds;
use super::error::ConfigError;
use super::position::line_of_key;
use crate::compose;

/// Largest configuration or pipe file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Most pipes in one folder: ten times the 5,000 that Trawler is made for.
const PIPES_MAX: usize = 50_000;

/// Configuration and pipes of one folder, checked.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) dir: PathBuf,
    pub(crate) config: Config,
    pub(crate) pipes: Vec<Pipe>,
    /// When reading the pipes began: what is edited from then on is not known
    /// here.
    pub(crate) read: DateTime<Utc>,
}

impl Loaded {
    /// Folder of everything that is stored.
    pub(crate) fn store_dir(&self) -> PathBuf {
        self.dir.join(&self.config.store.dir)
    }
}

/// Reads a folder, or says everything that is wrong with it.
pub(crate) fn load(dir: &Path) -> Result<Loaded, Vec<ConfigError>> {
    let mut errors = Vec::new();
    let read = compose::now();
    let config = load_config(&dir.join("trawler.toml"), &mut errors);
    let folder = dir.join("pipes");
    let is_wanted = match &config {
        // A fleet's pipes are published, and its machines have no such folder.
        Some(config) => !config.is_fleet(),
        // What is told about a file says nothing about a folder.
        None => folder.is_dir(),
    };
    let pipes = match is_wanted {
        true => load_pipes(&folder, &mut errors),
        false => Vec::new(),
    };
    match config {
        Some(config) if errors.is_empty() => Ok(Loaded {
            dir: dir.to_owned(),
            config,
            pipes: pipes.into_iter().map(|read| read.pipe).collect(),
            read,
        }),
        Some(_) | None => Err(errors),
    }
}

/// Reads `trawler.toml` alone.
pub(crate) fn load_config_only(dir: &Path) -> Result<Loaded, Vec<ConfigError>> {
    let mut errors = Vec::new();
    let config = load_config(&dir.join("trawler.toml"), &mut errors);
    match config {
        Some(config) if errors.is_empty() => Ok(Loaded {
            dir: dir.to_owned(),
            config,
            pipes: Vec::new(),
            read: compose::now(),
        }),
        Some(_) | None => Err(errors),
    }
}

/// A pipe and the file that it was read from.
#[derive(Debug, Clone)]
pub(crate) struct ReadPipe {
    pub(crate) pipe: Pipe,
    pub(crate) text: String,
}

/// Reads the pipes of a folder, or says everything that is wrong with them.
pub(crate) fn read_pipes(dir: &Path) -> Result<Vec<ReadPipe>, Vec<ConfigError>> {
    let mut errors = Vec::new();
    let pipes = load_pipes(&dir.join("pipes"), &mut errors);
    if errors.is_empty() {
        Ok(pipes)
    } else {
        Err(errors)
    }
}

fn load_config(path: &Path, errors: &mut Vec<ConfigError>) -> Option<Config> {
    let text = read(
        path,
        "a trawler.toml; `trawler init DIR` writes one",
        errors,
    )?;
    let config: Config = parse(path, &text, errors)?;
    let mut bounds = Bounds::default();
    config.check(&mut bounds);
    report(path, &text, bounds.0, errors);
    Some(config)
}

/// Reads every `*.toml` of the folder as a pipe, in order of id.
fn load_pipes(dir: &Path, errors: &mut Vec<ConfigError>) -> Vec<ReadPipe> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => {
            errors.push(whole(
                dir,
                &format!("no readable folder ({error})"),
                "a folder with one TOML file for each pipe",
            ));
            return Vec::new();
        }
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .take(PIPES_MAX + 1)
        .collect();
    paths.sort();
    if paths.len() > PIPES_MAX {
        errors.push(whole(
            dir,
            "more pipes than that",
            &format!("at most {PIPES_MAX} pipes in one folder"),
        ));
        return Vec::new();
    }
    paths
        .iter()
        .filter_map(|path| load_pipe(path, errors))
        .collect()
}

fn load_pipe(path: &Path, errors: &mut Vec<ConfigError>) -> Option<ReadPipe> {
    let stem = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    let id = match PipeId::parse(stem) {
        Ok(id) => id,
        Err(error) => {
            errors.push(whole(path, &format!("file name {stem:?}"), error.rule));
            return None;
        }
    };
    let text = read(path, "a readable pipe file", errors)?;
    let pipe = parse::<Pipe>(path, &text, errors)?.named(id);
    report(path, &text, pipe.problems(), errors);
    Some(ReadPipe { pipe, text })
}

fn read(path: &Path, allowed: &str, errors: &mut Vec<ConfigError>) -> Option<String> {
    let size_ok = fs::metadata(path).map(|meta| meta.len() <= FILE_BYTES_MAX);
    let text = match size_ok {
        Ok(true) => fs::read_to_string(path),
        Ok(false) => {
            errors.push(whole(
                path,
                "a larger file",
                &format!("at most {FILE_BYTES_MAX} bytes"),
            ));
            return None;
        }
        Err(error) => Err(error),
    };
    match text {
        Ok(text) => Some(text),
        Err(error) => {
            errors.push(whole(path, &format!("nothing readable ({error})"), allowed));
            None
        }
    }
}

fn parse<T: DeserializeOwned>(path: &Path, text: &str, errors: &mut Vec<ConfigError>) -> Option<T> {
    toml::from_str(text)
        .map_err(|error| errors.push(ConfigError::of_toml(path, text, &error)))
        .ok()
}

fn report(path: &Path, text: &str, problems: Vec<Problem>, errors: &mut Vec<ConfigError>) {
    for problem in problems {
        errors.push(ConfigError {
            file: path.to_owned(),
            line: line_of_key(text, &problem.key),
            key: problem.key,
            found: problem.found,
            allowed: problem.allowed,
        });
    }
}

fn whole(path: &Path, found: &str, allowed: &str) -> ConfigError {
    ConfigError {
        file: path.to_owned(),
        line: None,
        key: String::new(),
        found: found.to_owned(),
        allowed: allowed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::{EXAMPLE_PIPE, TRAWLER_TOML};

    fn folder(config: &str, pipe: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("pipes")).unwrap();
        fs::write(dir.path().join("trawler.toml"), config).unwrap();
        fs::write(dir.path().join("pipes/shop.toml"), pipe).unwrap();
        dir
    }

    fn errors(config: &str, pipe: &str) -> Vec<String> {
        let dir = folder(config, pipe);
        let shown = dir.path().display().to_string();
        match load(dir.path()) {
            Ok(_) => Vec::new(),
            Err(errors) => errors
                .iter()
                .map(|error| error.to_string().replace(&shown, ""))
                .collect(),
        }
    }

    #[test]
    fn what_init_writes_is_valid_and_says_the_defaults() {
        assert_eq!(errors(TRAWLER_TOML, EXAMPLE_PIPE), Vec::<String>::new());
        let written: Config = toml::from_str(TRAWLER_TOML).unwrap();
        let bare: Config = toml::from_str("").unwrap();
        let contact = |mut config: Config| {
            config.net.contact.clear();
            format!("{config:?}")
        };
        assert_eq!(contact(written), contact(bare));
    }

    #[test]
    fn errors_name_file_line_key_found_and_allowed() {
        let check = |config: &str, pipe: &str, parts: &[&str]| {
            let found = errors(config, pipe).join("\n");
            for part in parts {
                assert!(found.contains(part), "{part:?} is not in:\n{found}");
            }
        };
        check(
            "[workers]\ncrawl_slots = 0\n",
            EXAMPLE_PIPE,
            &["/trawler.toml:2: workers.crawl_slots: found 0; allowed: 1 to 64"],
        );
        check(
            "[workers]\nslots = 3\n",
            EXAMPLE_PIPE,
            &[
                "/trawler.toml:2: workers.slots",
                "unknown field `slots`",
                "crawl_slots",
            ],
        );
        check(
            "[workers]\ncrawl_slots = \"two\"\n",
            EXAMPLE_PIPE,
            &[
                "/trawler.toml:2: workers.crawl_slots",
                "found string \"two\"",
            ],
        );
        check(
            "[queue]\nkind = \"kafka\"\n",
            EXAMPLE_PIPE,
            &[
                "/trawler.toml:2: queue.kind",
                "unknown variant `kafka`",
                "local",
            ],
        );
        check("a = \n", EXAMPLE_PIPE, &["/trawler.toml:1"]);
        let often = EXAMPLE_PIPE.replace("15 3 * * *", "often");
        check(
            "",
            &often,
            &[
                "/pipes/shop.toml:",
                "schedule.cron: found \"often\"; allowed: five fields, minute hour day month weekday, such as \"15 3 * * *\" (",
            ],
        );
        let mars = EXAMPLE_PIPE.replace("Asia/Seoul", "Mars/Olympus");
        check(
            "",
            &mars,
            &[
                "/pipes/shop.toml:15: schedule.zone: found \"Mars/Olympus\"; allowed: an IANA name such as \"Asia/Seoul\" or \"UTC\"",
            ],
        );
        let column =
            EXAMPLE_PIPE.replace("[schedule]", "[feed.columns]\ncolour = \"x\"\n\n[schedule]");
        check("", &column, &["`trawler schema` lists them"]);
        check(
            "[retry]\nattempts_max = 50\ncrashes_max = 50\n[queue]\nreceives_max = 100\n",
            EXAMPLE_PIPE,
            &["queue.receives_max: found 100", "retry.attempts_max"],
        );
    }

    const FLEET: &str =
        "environment = \"prod\"\n[queue]\nkind = \"sqs\"\n[store]\nlocation = \"s3://shops/x\"\n";

    #[test]
    fn kinds_that_cannot_work_together_are_told_with_both_values() {
        let check = |config: &str, parts: &[&str]| {
            let found = errors(config, EXAMPLE_PIPE).join("\n");
            assert_eq!(found.is_empty(), parts.is_empty(), "{config}: {found}");
            for part in parts {
                assert!(found.contains(part), "{part:?} is not in:\n{found}");
            }
        };
        check(FLEET, &[]);
        check(
            &FLEET.replace("environment = \"prod\"\n", ""),
            &["environment: found none"],
        );
        check(
            &FLEET.replace("prod", "Prod"),
            &["trawler.toml:1: environment", "lower-case"],
        );
        check(
            "environment = \"prod\"\n[queue]\nkind = \"sqs\"\n",
            &[
                "store.state: found a folder",
                "store.catalogue",
                "queue.kind = \"sqs\"",
            ],
        );
        check(
            "environment = \"prod\"\n[store]\nlocation = \"s3://shops\"\n",
            &["store.state: found s3://shops", "queue.kind = \"local\""],
        );
        // Images and catalogue in S3, worked on by one machine.
        check(
            "environment = \"prod\"\n[store]\nblobs = \"s3://shops\"\ncatalogue = \"s3://shops\"\n",
            &[],
        );
        check(
            &FLEET.replace("s3://shops/x", "shops/x"),
            &[
                "trawler.toml:5: store.location: found \"shops/x\"; allowed: s3://bucket or s3://bucket/prefix: ",
                "(it does not start with s3://)",
            ],
        );
        check(
            "[queue]\ncrawl = \"a.fifo\"\n",
            &["trawler.toml:2: queue.crawl", "queue.kind = \"local\""],
        );
        check(
            &FLEET.replace("kind = \"sqs\"", "kind = \"sqs\"\ncrawl = \"standard\""),
            &["trawler.toml:4: queue.crawl", "FIFO"],
        );
        check(
            "environment = \"a\"\n[capacity]\ncrawl_group = \"g\"\n",
            &["capacity", "queue.kind = \"local\""],
        );
        check(
            &format!("{FLEET}encryption = \"kms\"\n"),
            &["store.kms_key: found none", "store.encryption"],
        );
        check(
            "[metrics]\nprometheus = \"0.0.0.0:9464\"\n",
            &["trawler.toml:2: metrics.prometheus", "127.0.0.1"],
        );
        check("[notices]\nimds = \"maybe\"\n", &["notices.imds", "auto"]);
    }

    #[test]
    fn a_fleet_needs_no_folder_of_pipes() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("trawler.toml"), FLEET).unwrap();
        assert!(load(dir.path()).unwrap().pipes.is_empty());
        fs::write(dir.path().join("trawler.toml"), "").unwrap();
        assert!(load(dir.path()).is_err());
    }

    #[test]
    fn a_file_that_is_missing_or_wrong_says_nothing_about_a_folder() {
        let check = |config: Option<&str>, expected: &str| {
            let dir = tempfile::tempdir().unwrap();
            if let Some(config) = config {
                fs::write(dir.path().join("trawler.toml"), config).unwrap();
            }
            let told = load(dir.path()).unwrap_err();
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].to_string().contains(expected), "{told:?}");
        };
        check(None, "`trawler init DIR` writes one");
        check(Some(&FLEET.replace("prod", "Prod")), "environment");
        check(Some(""), "one TOML file for each pipe");
    }

    #[test]
    fn every_error_is_told_at_once() {
        let found = errors("[workers]\ncrawl_slots = 0\nimage_slots = 0\n", "nonsense");
        assert_eq!(found.len(), 3, "{found:?}");
    }
}

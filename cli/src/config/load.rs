//! Reads `trawler.toml` and `pipes/*.toml`. Every error names file, line, key,
//! what was found and what is allowed, and all of them are told at once.

use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use trawler_core::PipeId;
use trawler_core::pipe::Pipe;
use trawler_core::problem::Problem;
use trawler_core::secret::Place;

use super::{Config, Place as StorePlace, QueueKind};

/// Largest configuration or pipe file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Most pipes in one folder: ten times the 5,000 that Trawler is made for.
const PIPES_MAX: usize = 50_000;

/// One thing that is wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigError {
    pub(crate) file: PathBuf,
    /// 1-based; `None` when the file as a whole is meant.
    pub(crate) line: Option<usize>,
    pub(crate) key: String,
    pub(crate) found: String,
    pub(crate) allowed: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        if self.allowed.is_empty() {
            // The finding says what is allowed itself.
            return write!(f, ": {}", self.found);
        }
        write!(f, ": found {}; allowed: {}", self.found, self.allowed)
    }
}

/// Configuration and pipes of one folder, checked.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) dir: PathBuf,
    pub(crate) config: Config,
    pub(crate) pipes: Vec<Pipe>,
}

impl Loaded {
    /// Folder of everything that is stored.
    pub(crate) fn store_dir(&self) -> PathBuf {
        self.dir.join(&self.config.store.dir)
    }

    pub(crate) fn pipe(&self, id: &PipeId) -> Option<&Pipe> {
        self.pipes.iter().find(|pipe| &pipe.id == id)
    }
}

/// Reads a folder, or says everything that is wrong with it.
pub(crate) fn load(dir: &Path) -> Result<Loaded, Vec<ConfigError>> {
    let mut errors = Vec::new();
    let config = load_config(&dir.join("trawler.toml"), &mut errors);
    // A fleet's pipes are published, and its machines have no such folder.
    let pipes = match &config {
        Some(config) if config.is_fleet() => Vec::new(),
        Some(_) | None => load_pipes(&dir.join("pipes"), &mut errors),
    };
    match config {
        Some(config) if errors.is_empty() => Ok(Loaded {
            dir: dir.to_owned(),
            config,
            pipes: pipes.into_iter().map(|read| read.pipe).collect(),
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
    let error = match toml::from_str(text) {
        Ok(value) => return Some(value),
        Err(error) => error,
    };
    let span = error.span().unwrap_or(0..0);
    let (found, allowed) = if may_show_credential(text, &span) {
        (HIDDEN.to_owned(), without_value(error.message()).to_owned())
    } else {
        split_message(error.message(), text.get(span.clone()).unwrap_or_default())
    };
    errors.push(ConfigError {
        file: path.to_owned(),
        line: error.span().map(|span| line_of(text, span.start)),
        key: key_at(text, span.start),
        found,
        allowed,
    });
    None
}

/// Stands for a value that may be a secret.
const HIDDEN: &str = "something (not shown, it may be a credential)";

/// Whether the lines of the span look as if a credential stood there.
fn may_show_credential(text: &str, span: &Range<usize>) -> bool {
    let start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let end = text[span.end..]
        .find('\n')
        .map_or(text.len(), |at| span.end + at);
    let lines = &text[start..end];
    Place::of_header(lines) == Place::Credential || lines.contains("://") && lines.contains('@')
}

/// What a message says besides the value that it found.
fn without_value(message: &str) -> &str {
    let tells_value = message.starts_with("invalid type") || message.starts_with("invalid value");
    match message.split_once(", expected ") {
        Some((_, expected)) => expected,
        None if tells_value => "see the keys that `trawler init` writes",
        None => message,
    }
}

/// serde says what it found and what it expected in one sentence.
fn split_message(message: &str, source: &str) -> (String, String) {
    let source = source.lines().next().unwrap_or_default();
    match message.split_once(", expected ") {
        Some((found, expected)) => (found.to_owned(), expected.to_owned()),
        None if source.is_empty() => (
            message.to_owned(),
            "see the keys that `trawler init` writes".to_owned(),
        ),
        None => (format!("{source:?}"), message.to_owned()),
    }
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

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|b| *b == b'\n').count()
}

/// Line of a dotted key, or of the nearest table above it that is written.
fn line_of_key(text: &str, key: &str) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let mut line = None;
    let mut at: &DeTable<'_> = table.get_ref();
    for part in key.split('.') {
        let Some((name, value)) = at.iter().find(|(name, _)| name.get_ref() == part) else {
            break;
        };
        line = Some(line_of(text, name.span().start));
        match value.get_ref() {
            DeValue::Table(inner) => at = inner,
            DeValue::Array(items) => match items.iter().next().map(Spanned::get_ref) {
                Some(DeValue::Table(inner)) => at = inner,
                _ => break,
            },
            _ => break,
        }
    }
    line
}

/// Dotted key whose name or value covers the byte offset.
fn key_at(text: &str, offset: usize) -> String {
    let mut path = Vec::new();
    if let Ok(table) = DeTable::parse(text) {
        collect_key(table.get_ref(), offset, &mut path);
    }
    path.join(".")
}

fn collect_key(table: &DeTable<'_>, offset: usize, path: &mut Vec<String>) -> bool {
    let covers = |span: Range<usize>| span.contains(&offset) || span.start == offset;
    for (name, value) in table.iter() {
        path.push(name.get_ref().to_string());
        let inside = match value.get_ref() {
            DeValue::Table(inner) => collect_key(inner, offset, path),
            _ => false,
        };
        if inside || covers(name.span()) || covers(value.span()) {
            return true;
        }
        path.pop();
    }
    false
}

/// Collects the values that are outside their bounds.
#[derive(Default)]
pub(crate) struct Bounds(pub(crate) Vec<Problem>);

impl Bounds {
    pub(crate) fn unless(&mut self, ok: bool, key: &str, found: &dyn fmt::Display, allowed: &str) {
        if !ok {
            self.0.push(Problem {
                key: key.to_owned(),
                found: found.to_string(),
                allowed: allowed.to_owned(),
            });
        }
    }

    pub(crate) fn within(&mut self, key: &str, found: u64, min: u64, max: u64) {
        self.unless(
            (min..=max).contains(&found),
            key,
            &found,
            &format!("{min} to {max}"),
        );
    }
}

impl Config {
    fn check(&self, bounds: &mut Bounds) {
        self.store.check(bounds);
        self.queue.check(bounds);
        self.workers.check(bounds);
        self.scheduler.check(bounds);
        self.net.check(bounds);
        self.catalogue.check(bounds);
        self.images.check(bounds);
        self.metrics.check(bounds);
        self.capacity.check(bounds);
        bounds.within(
            "retry.attempts_max",
            u64::from(self.retry.attempts_max),
            1,
            50,
        );
        bounds.within(
            "retry.crashes_max",
            u64::from(self.retry.crashes_max),
            1,
            50,
        );
        bounds.within(
            "retry.backoff_base_ms",
            self.retry.backoff_base_ms,
            1,
            600_000,
        );
        bounds.within(
            "retry.backoff_max_ms",
            self.retry.backoff_max_ms,
            self.retry.backoff_base_ms,
            86_400_000,
        );
        self.check_kinds(bounds);
        // Relations between settings, both values named.
        let reach = u64::from(self.retry.attempts_max + self.retry.crashes_max);
        let allowed = format!("more than retry.attempts_max + retry.crashes_max = {reach}");
        bounds.unless(
            u64::from(self.queue.receives_max) > reach,
            "queue.receives_max",
            &self.queue.receives_max,
            &allowed,
        );
    }
}

impl Config {
    /// What is on AWS and what is here have to fit together.
    fn check_kinds(&self, bounds: &mut Bounds) {
        bounds.unless(
            self.environment.is_some() || !self.is_on_aws(),
            "environment",
            &"none",
            "a name such as \"production\", since something here is on AWS: it keeps fleets apart",
        );
        let kind = self.queue.kind;
        let places = [
            ("store.state", self.store.state()),
            ("store.blobs", self.store.blobs()),
            ("store.catalogue", self.store.catalogue()),
        ];
        for (key, place) in places {
            bounds.unless(
                kind != QueueKind::Sqs || place != StorePlace::Local,
                key,
                &place,
                "an s3://bucket/prefix (or store.location) with queue.kind = \"sqs\": every machine of a fleet needs it",
            );
        }
        let state = self.store.state();
        bounds.unless(
            kind != QueueKind::Local || state == StorePlace::Local,
            "store.state",
            &state,
            "none with queue.kind = \"local\": documents in S3 and jobs in a file cannot be kept in step",
        );
        bounds.unless(
            kind == QueueKind::Sqs || !self.capacity.is_set(),
            "capacity",
            &"names of groups",
            &format!(
                "none with queue.kind = {:?}: machines are asked for by a fleet alone",
                kind.as_str()
            ),
        );
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
                "invalid type: string \"two\"",
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
                "schedule.cron: found often",
                "five fields",
            ],
        );
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
            &["trawler.toml:5: store.location", "s3://bucket/prefix"],
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
    fn every_error_is_told_at_once() {
        let found = errors("[workers]\ncrawl_slots = 0\nimage_slots = 0\n", "nonsense");
        assert_eq!(found.len(), 3, "{found:?}");
    }
}

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

use super::Config;

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
    let pipes = load_pipes(&dir.join("pipes"), &mut errors);
    match config {
        Some(config) if errors.is_empty() => Ok(Loaded {
            dir: dir.to_owned(),
            config,
            pipes,
        }),
        Some(_) | None => Err(errors),
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
fn load_pipes(dir: &Path, errors: &mut Vec<ConfigError>) -> Vec<Pipe> {
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

fn load_pipe(path: &Path, errors: &mut Vec<ConfigError>) -> Option<Pipe> {
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
    let mut pipe: Pipe = parse(path, &text, errors)?;
    if pipe.name.is_empty() {
        pipe.name = id.to_string();
    }
    pipe.id = id;
    report(path, &text, pipe.problems(), errors);
    Some(pipe)
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
    let (found, allowed) =
        split_message(error.message(), text.get(span.clone()).unwrap_or_default());
    errors.push(ConfigError {
        file: path.to_owned(),
        line: error.span().map(|span| line_of(text, span.start)),
        key: key_at(text, span.start),
        found,
        allowed,
    });
    None
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
        self.queue.check(bounds);
        self.workers.check(bounds);
        self.scheduler.check(bounds);
        self.net.check(bounds);
        self.catalogue.check(bounds);
        self.images.check(bounds);
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

    #[test]
    fn every_error_is_told_at_once() {
        let found = errors("[workers]\ncrawl_slots = 0\nimage_slots = 0\n", "nonsense");
        assert_eq!(found.len(), 3, "{found:?}");
    }
}

//! `trawler pipes push|show|history|rollback|diff`: the sets of pipes that a
//! fleet works with.

mod diff;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use chrono::SecondsFormat;
use serde_json::json;
use trawler_core::pipe::Source;
use trawler_core::{PipeId, PipeSetId};
use trawler_fleet::{
    Parent, PipeError, PipeFile, PipeSetFiles, PipeSets, Publication, PublishError, Published,
    TableFile, read_table,
};

use super::check;
use crate::args::{AuthorArgs, PipesCommand, PushArgs};
use crate::compose::Machine;
use crate::config::{self, ConfigError, Loaded, ReadPipe};
use crate::end::{End, Misuse};
use crate::output::{self, Row};

const COLUMNS: [&str; 6] = ["number", "set", "published", "by", "pipes", "after"];

/// Fewest digits by which a set is named.
const DIGITS_MIN: usize = 6;

/// Most mapping tables in one folder: two for each of ten times the 5,000
/// pipes that Trawler is made for.
const TABLES_MAX: usize = 100_000;

pub(crate) async fn run(
    loaded: &Loaded,
    command: PipesCommand,
    as_json: bool,
) -> anyhow::Result<End> {
    if let PipesCommand::List = command {
        let loaded = config::load(&loaded.dir).map_err(Misuse::config)?;
        return super::pipes::run(&loaded, as_json).await;
    }
    if !loaded.config.is_fleet() {
        let text = "pipes are published to a fleet, and queue.kind is \"local\": here they are read from the folder pipes/";
        return Err(Misuse::new(text).into());
    }
    match command {
        PipesCommand::List => unreachable!("handled above"),
        PipesCommand::Push(args) => push(loaded, &args, as_json).await,
        PipesCommand::Show { set, pipe } => {
            show(
                &open(loaded).await?,
                set.as_deref(),
                pipe.as_deref(),
                as_json,
            )
            .await
        }
        PipesCommand::History { limit } => history(&open(loaded).await?, limit, as_json).await,
        PipesCommand::Rollback { set, author } => {
            let sets = open(loaded).await?;
            let set = named(&sets, &set).await?;
            let rolled = sets.roll_back(&set, &by(&author)).await;
            told(rolled.map_err(publish_error)?, as_json)
        }
        PipesCommand::Diff { from, to } => {
            let sets = open(loaded).await?;
            let from = files_of(loaded, &sets, &from).await?;
            let to = files_of(loaded, &sets, &to).await?;
            diff::print(&from, &to, as_json)
        }
    }
}

async fn open(loaded: &Loaded) -> anyhow::Result<PipeSets> {
    let machine = Machine::open(loaded).await?;
    machine.sets.context("a fleet has published sets")
}

async fn push(loaded: &Loaded, args: &PushArgs, as_json: bool) -> anyhow::Result<End> {
    let folder = args.folder.clone().unwrap_or_else(|| loaded.dir.clone());
    let pipes = checked(loaded, &folder)?;
    let files = files_in(&folder, pipes)?;
    let sets = open(loaded).await?;
    let parent = match &args.parent {
        Some(text) => Parent::Set(named(&sets, text).await?),
        None => Parent::Any,
    };
    let tables = folder.join("mappings");
    let table = |file: &TableFile| {
        let bytes = read_table(&tables.join(&file.name))?;
        bytes.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound))
    };
    let published = sets
        .publish(&files, table, &parent, &by(&args.author))
        .await;
    told(published.map_err(publish_error)?, as_json)
}

/// The pipes of a folder, if nothing is wrong with them and their tables.
fn checked(loaded: &Loaded, folder: &Path) -> anyhow::Result<Vec<ReadPipe>> {
    let read = config::read_pipes(folder).map_err(Misuse::config)?;
    let pipes: Vec<_> = read.iter().map(|read| read.pipe.clone()).collect();
    let mut errors = check::pipe_errors(folder, &pipes);
    errors.extend(check::egress_errors(&loaded.config, folder, &pipes));
    for pipe in &pipes {
        // What lies on one machine is not on the others.
        if let Source::File(source) = &pipe.source
            && source.path.is_relative()
        {
            errors.push(ConfigError {
                file: folder.join("pipes").join(format!("{}.toml", pipe.id)),
                line: None,
                key: "source.path".to_owned(),
                found: source.path.display().to_string(),
                allowed: "an absolute path, on every machine of the fleet, or a feed over HTTP"
                    .to_owned(),
            });
        }
    }
    if pipes.is_empty() {
        let text = format!(
            "no pipe in {}: nothing to publish",
            folder.join("pipes").display()
        );
        return Err(Misuse::new(text).into());
    }
    if errors.is_empty() {
        Ok(read)
    } else {
        Err(Misuse::config(errors).into())
    }
}

fn files_in(folder: &Path, pipes: Vec<ReadPipe>) -> anyhow::Result<PipeSetFiles> {
    let pipes = pipes
        .into_iter()
        .map(|read| PipeFile {
            id: read.pipe.id,
            text: read.text,
        })
        .collect();
    Ok(PipeSetFiles::new(
        pipes,
        tables_in(&folder.join("mappings"))?,
    ))
}

/// The mapping tables of a folder, which need not exist.
fn tables_in(folder: &Path) -> anyhow::Result<Vec<TableFile>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("read {}", folder.display())),
    };
    let mut tables = Vec::new();
    for entry in entries.take(TABLES_MAX) {
        let path = entry
            .with_context(|| format!("read {}", folder.display()))?
            .path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if !is_table(name) {
            continue;
        }
        let bytes = read_table(&path).with_context(|| format!("read {}", path.display()))?;
        if let Some(bytes) = bytes {
            tables.push(TableFile::of(name, &bytes));
        }
    }
    Ok(tables)
}

/// Other files of the folder are nobody's table.
fn is_table(name: &str) -> bool {
    ["category.csv", "brand.csv"].iter().any(|kind| {
        name.strip_suffix(kind)
            .is_some_and(|pipe| pipe.is_empty() || pipe.ends_with('.'))
    })
}

async fn show(
    sets: &PipeSets,
    set: Option<&str>,
    pipe: Option<&str>,
    as_json: bool,
) -> anyhow::Result<End> {
    let set = named(sets, set.unwrap_or("current")).await?;
    let files = sets.files(&set).await.map_err(pipe_error)?;
    if let Some(text) = pipe {
        let id = PipeId::parse(text).map_err(|error| Misuse::new(error.to_string()))?;
        let file = files.pipes().iter().find(|file| file.id == id);
        let file = file.ok_or_else(|| Misuse::new(format!("set {set} has no pipe {id}")))?;
        if as_json {
            output::json(file)?;
        } else {
            crate::say::text(&file.text);
        }
        return Ok(End::Done);
    }
    let pipes: Vec<&PipeId> = files.pipes().iter().map(|file| &file.id).collect();
    if as_json {
        output::json(&json!({ "set": set, "pipes": pipes, "tables": files.tables() }))?;
        return Ok(End::Done);
    }
    say!("set      {set}");
    say!("pipes    {}", pipes.len());
    for pipe in pipes {
        say!("  {pipe}");
    }
    say!("tables   {}", files.tables().len());
    for table in files.tables() {
        say!("  {} {}", table.name, output::bytes(table.bytes));
    }
    Ok(End::Done)
}

async fn history(sets: &PipeSets, limit: u32, as_json: bool) -> anyhow::Result<End> {
    let found = sets.history(limit as usize).await?;
    if as_json {
        output::json(&found)?;
    } else if found.is_empty() {
        say!("no set was published; `trawler pipes push DIR` publishes one");
    } else {
        output::list(&found.iter().map(row).collect::<Vec<_>>(), &COLUMNS)?;
    }
    Ok(End::Done)
}

fn row(publication: &Publication) -> Row {
    let cells = [
        json!(publication.number),
        json!(publication.set.short()),
        json!(publication.at.to_rfc3339_opts(SecondsFormat::Secs, true)),
        json!(publication.by),
        json!(publication.pipes),
        json!(publication.parent.as_ref().map(PipeSetId::short)),
    ];
    COLUMNS
        .iter()
        .map(|column| (*column).to_owned())
        .zip(cells)
        .collect()
}

fn told(published: Published, as_json: bool) -> anyhow::Result<End> {
    let (publication, is_new) = match published {
        Published::New(publication) => (publication, true),
        Published::Already(publication) => (publication, false),
    };
    if as_json {
        output::json(&json!({ "current": publication, "new": is_new }))?;
    } else if is_new {
        say!(
            "set {} is current: {} pipe(s), publication {}",
            publication.set,
            publication.pipes,
            publication.number
        );
        say!("runs that are planned from now on use it; earlier ones keep theirs");
    } else {
        say!("set {} is current already", publication.set);
    }
    Ok(End::Done)
}

/// The one set that is meant by `current` or by first digits.
async fn named(sets: &PipeSets, text: &str) -> anyhow::Result<PipeSetId> {
    if text == "current" {
        let publication = sets.publication().await?;
        let publication = publication.ok_or(PipeError::NothingPublished);
        return Ok(publication.map_err(pipe_error)?.set);
    }
    if let Ok(set) = PipeSetId::parse(text) {
        return Ok(set);
    }
    let is_hex = text
        .bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if text.len() < DIGITS_MIN || !is_hex {
        let text = format!(
            "{text:?} names no set: give at least {DIGITS_MIN} of its first hex digits, or `current`"
        );
        return Err(Misuse::new(text).into());
    }
    let mut found = sets.starting_with(text, 2).await.map_err(pipe_error)?;
    match (found.pop(), found.is_empty()) {
        (Some(set), true) => Ok(set),
        (Some(_), false) => {
            Err(Misuse::new(format!("several sets start with {text}: give more digits")).into())
        }
        (None, _) => {
            let text = format!("no set starts with {text}; `trawler pipes history` lists them");
            Err(Misuse::new(text).into())
        }
    }
}

/// A published set, or what a push of the folder would publish.
async fn files_of(loaded: &Loaded, sets: &PipeSets, text: &str) -> anyhow::Result<PipeSetFiles> {
    let folder = PathBuf::from(text);
    if folder.join("pipes").is_dir() {
        let pipes = checked(loaded, &folder)?;
        return files_in(&folder, pipes);
    }
    let set = named(sets, text).await?;
    sets.files(&set).await.map_err(pipe_error)
}

/// For the history. A name, not a proof of who it was.
fn by(author: &AuthorArgs) -> String {
    let user = || std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    author
        .by
        .clone()
        .or_else(|| user().ok())
        .unwrap_or_else(|| "unknown".to_owned())
}

/// What the user named wrongly is misuse, what did not answer is not.
fn pipe_error(error: PipeError) -> anyhow::Error {
    match error {
        PipeError::NothingPublished | PipeError::NoSuchSet(_) => {
            Misuse::new(error.to_string()).into()
        }
        other => other.into(),
    }
}

fn publish_error(error: PublishError) -> anyhow::Error {
    match error {
        PublishError::Pipes(error) => pipe_error(error),
        other => other.into(),
    }
}

//! `trawler pipe hide|show|retire|decisions`, `trawler block` and `trawler
//! unblock`: what nobody is shown. The decision is carried out here, without a
//! crawl, and stands in the audit trail.

use chrono::SecondsFormat;
use serde::de::DeserializeOwned;
use serde_json::json;
use trawler_catalogue::Fence;
use trawler_core::PipeId;
use trawler_core::blocked_images::ImageAct;
use trawler_core::pipe::PipeState;
use trawler_core::withheld::{Act, Decided, Note, Withholding, Withholdings};
use trawler_crawler::{Settled, WithholdFailure, Withholder};

use super::{block_image, dlq, pipes};
use crate::args::{BlockArgs, BlockCommand, PipeDecisionArgs, TargetArgs, Who};
use crate::compose::Machine;
use crate::config::Loaded;
use crate::end::{End, Misuse};
use crate::lookup::known_pipe;
use crate::output::{self, Row};

const BLOCKED: [&str; 5] = ["pipe", "id or image", "since", "by", "why"];

/// With hashes, which are cut but in the last column.
const BLOCKED_SHOWN: [&str; 5] = ["pipe", "since", "by", "why", "id or image"];

pub(super) const DECISIONS: [&str; 5] = ["number", "decision", "at", "by", "why"];

/// Decisions of one pipe, or about pictures, that are listed, the newest.
const DECISIONS_MAX: usize = 1_000;

/// What is decided about a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Hide,
    Show,
    Retire,
}

pub(super) async fn pipe(
    loaded: &Loaded,
    verb: Verb,
    args: &PipeDecisionArgs,
    as_json: bool,
) -> anyhow::Result<End> {
    let machine = Machine::open(loaded).await?;
    let pipe = known_pipe(&machine, &args.pipe).await?;
    let act = match verb {
        Verb::Hide => Act::Hide,
        Verb::Show => Act::Show,
        Verb::Retire => Act::Retire,
    };
    let taken = take(&machine, &pipe, &act, &args.who, &args.why).await?;
    if as_json {
        output::json(&taken.json())?;
        return Ok(End::Done);
    }
    let state = taken.document.state();
    say!("pipe {pipe} is {state}{}", taken.already());
    taken.say_rows();
    match (verb, state) {
        (Verb::Show, PipeState::Live) | (Verb::Hide | Verb::Retire, _) => {}
        (Verb::Show, _) => {
            say!("its file says state = \"{state}\"; it is shown when that says \"live\"")
        }
    }
    Ok(End::Done)
}

pub(super) async fn block(loaded: &Loaded, args: BlockArgs, as_json: bool) -> anyhow::Result<End> {
    match args.command {
        Some(BlockCommand::List { pipe }) => return list(loaded, pipe.as_deref(), as_json).await,
        Some(BlockCommand::Decisions) => return block_image::decisions(loaded, as_json).await,
        None => {}
    }
    of_target(loaded, &args.target, ImageAct::Block, as_json).await
}

pub(super) async fn unblock(
    loaded: &Loaded,
    args: &TargetArgs,
    as_json: bool,
) -> anyhow::Result<End> {
    of_target(loaded, args, ImageAct::Unblock, as_json).await
}

async fn of_target(
    loaded: &Loaded,
    args: &TargetArgs,
    verb: ImageAct,
    as_json: bool,
) -> anyhow::Result<End> {
    if let Some(sha256) = &args.image {
        return block_image::run(loaded, verb, sha256, args, as_json).await;
    }
    let (Some(pipe), Some(id)) = (&args.pipe, &args.id) else {
        let text = "say what it is about: `--pipe P --id I`, or `--image SHA256`; `trawler block list` says what is blocked";
        return Err(Misuse::new(text).into());
    };
    let machine = Machine::open(loaded).await?;
    let pipe = known_pipe(&machine, pipe).await?;
    let (act, is) = match verb {
        ImageAct::Block => (Act::Block { id: id.clone() }, "is blocked"),
        ImageAct::Unblock => (Act::Unblock { id: id.clone() }, "is not blocked"),
    };
    let taken = take(&machine, &pipe, &act, &args.who, &args.why).await?;
    if as_json {
        output::json(&taken.json())?;
        return Ok(End::Done);
    }
    say!("product {id:?} of pipe {pipe} {is}{}", taken.already());
    taken.say_rows();
    Ok(End::Done)
}

/// A decision that stands and is carried out.
struct Taken {
    decided: Decided,
    settled: Settled,
    document: Withholding,
}

impl Taken {
    fn already(&self) -> &'static str {
        match self.decided {
            Decided::New => "",
            Decided::Already => " already",
        }
    }

    fn say_rows(&self) {
        match (self.settled.version, self.settled.rows) {
            (Some(version), rows) => say!(
                "{} product(s) are withheld or let out by it, as version {version} of the catalogue",
                output::grouped(rows)
            ),
            (None, _) => say!("the catalogue says so already"),
        }
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "pipe": self.document.pipe, "state": self.document.state(),
            "blocked": self.document.blocked.len(), "revision": self.document.revision,
            "new": self.decided == Decided::New,
            "rows": self.settled.rows, "version": self.settled.version,
        })
    }
}

/// Takes the decision and carries it out.
async fn take(
    machine: &Machine,
    pipe: &PipeId,
    act: &Act,
    who: &Who,
    why: &str,
) -> anyhow::Result<Taken> {
    let documents = machine.ports.documents();
    let withholder = Withholder {
        documents: &documents,
        catalogue: machine.catalogue().await?,
    };
    let now = machine.ports.clock.now();
    if let Some(file) = pipes::current_set(machine).await?.state_of(pipe) {
        let followed = withholder.follow_file(pipe, file, now).await;
        followed.map_err(refused)?;
    }
    let note = Note {
        by: dlq::by(who),
        at: now,
        why: why.to_owned(),
    };
    let decided = withholder.decide(pipe, act, &note).await.map_err(refused)?;
    let settled = withholder.settle(pipe, &Fence::open()).await;
    let settled = settled.map_err(refused)?;
    let document: Option<Withholding> = documents.get(&Withholding::key(pipe)).await?;
    Ok(Taken {
        decided,
        settled,
        document: document.unwrap_or_else(|| Withholding::none(pipe.clone())),
    })
}

/// What the user named wrongly is misuse, what did not answer is not.
pub(super) fn refused(error: WithholdFailure) -> anyhow::Error {
    match error {
        WithholdFailure::Refused(error) => Misuse::new(error.to_string()).into(),
        other => other.into(),
    }
}

async fn list(loaded: &Loaded, pipe: Option<&str>, as_json: bool) -> anyhow::Result<End> {
    let machine = Machine::open(loaded).await?;
    let documents = machine.ports.documents();
    let found: Vec<Withholding> = match pipe {
        Some(text) => {
            let pipe = known_pipe(&machine, text).await?;
            let found: Option<Withholding> = documents.get(&Withholding::key(&pipe)).await?;
            found.into_iter().collect()
        }
        None => {
            let found = documents
                .load::<Withholding>(Withholding::ALL, usize::MAX)
                .await?;
            found.iter().map(|found| (**found).clone()).collect()
        }
    };
    let mut rows: Vec<Row> = found
        .iter()
        .flat_map(|of_pipe| {
            let blocked = of_pipe.blocked.iter();
            blocked.map(|(id, note)| row(&BLOCKED, [json!(of_pipe.pipe), json!(id)], note))
        })
        .collect();
    if pipe.is_none() {
        let images = block_image::blocked(&machine).await?.images;
        let images = images.iter();
        rows.extend(images.map(|(sha256, note)| row(&BLOCKED, [json!(null), json!(sha256)], note)));
    }
    if as_json {
        output::json(&rows)?;
    } else if rows.is_empty() {
        say!("nothing is blocked");
    } else {
        output::list(&rows, &BLOCKED_SHOWN)?;
    }
    Ok(End::Done)
}

/// What was decided about a pipe, the newest first.
pub(super) async fn decisions(loaded: &Loaded, pipe: &str, as_json: bool) -> anyhow::Result<End> {
    let machine = Machine::open(loaded).await?;
    let pipe = known_pipe(&machine, pipe).await?;
    let found: Vec<Withholdings> = newest(&machine, &Withholdings::of_pipe(&pipe)).await?;
    if as_json {
        output::json(&found)?;
        return Ok(End::Done);
    }
    if found.is_empty() {
        say!("nothing was decided about pipe {pipe}");
        return Ok(End::Done);
    }
    let rows: Vec<Row> = found
        .iter()
        .map(|entry| {
            let cells = [json!(entry.revision), json!(words(&entry.act))];
            row(&DECISIONS, cells, &entry.note)
        })
        .collect();
    output::list(&rows, &DECISIONS)?;
    Ok(End::Done)
}

/// The newest decisions under the prefix, the newest first.
pub(super) async fn newest<T>(machine: &Machine, prefix: &str) -> anyhow::Result<Vec<T>>
where
    T: DeserializeOwned + Send + 'static,
{
    let documents = machine.ports.documents();
    let mut keys = documents.keys(prefix).await?;
    keys.reverse();
    keys.truncate(DECISIONS_MAX);
    Ok(documents.get_each(keys).await?)
}

pub(super) fn row(columns: &[&str; 5], first: [serde_json::Value; 2], note: &Note) -> Row {
    let at = note.at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let rest = [json!(at), json!(note.by), json!(note.why)];
    let columns = columns.iter().map(|column| (*column).to_owned());
    columns.zip(first.into_iter().chain(rest)).collect()
}

fn words(act: &Act) -> String {
    match act {
        Act::Hide => "hide".to_owned(),
        Act::Show => "show".to_owned(),
        Act::Retire => "retire".to_owned(),
        Act::Block { id } => format!("block {id}"),
        Act::Unblock { id } => format!("unblock {id}"),
        Act::State { state } => format!("state = \"{state}\""),
    }
}

//! `trawler pipe`: what is decided about a pipe is in `withhold`, the rest is
//! here. `trawler pipe new` looks at a feed or a site, says what it is, and writes a
//! pipe file that nobody had to type. An existing file is never touched.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::json;
use trawler_core::PipeId;
use trawler_core::feed::FeedMode;
use trawler_core::pipe::{Egress, Pipe};
use trawler_core::product::Currency;
use trawler_crawler::feed::check_options;
use trawler_crawler::onboard::{AsWhat, Draft, FeedDraft, Hints, How, Place, What, look};
use trawler_crawler::site::crawl::check_site;
use url::Url;

use super::load;
use super::trial::{plain, web_url};
use super::withhold::{self, Verb};
use crate::args::{As, EgressArg, Mode, NewPipeArgs, PipeCommand};
use crate::compose;
use crate::config::{self, Config};
use crate::end::{End, Misuse};
use crate::output::{self, Row};

pub(crate) async fn run(dir: &Path, command: PipeCommand, as_json: bool) -> anyhow::Result<End> {
    match command {
        PipeCommand::New(args) => new(dir, &args, as_json).await,
        PipeCommand::Hide(args) => withhold::pipe(&load(dir)?, Verb::Hide, &args, as_json).await,
        PipeCommand::Show(args) => withhold::pipe(&load(dir)?, Verb::Show, &args, as_json).await,
        PipeCommand::Retire(args) => {
            withhold::pipe(&load(dir)?, Verb::Retire, &args, as_json).await
        }
        PipeCommand::Decisions { pipe } => withhold::decisions(&load(dir)?, &pipe, as_json).await,
    }
}

async fn new(dir: &Path, args: &NewPipeArgs, as_json: bool) -> anyhow::Result<End> {
    let id = PipeId::parse(&args.id).map_err(|error| Misuse::new(error.to_string()))?;
    let path = dir.join("pipes").join(format!("{id}.toml"));
    if !args.print {
        writable(dir, &path)?;
    }
    let place = place(dir, args)?;
    let hints = hints(args)?;
    let config = configuration(dir)?;
    let fetcher = compose::fetcher_by(&config, &args.way, None).await?;
    let mut draft = look(&fetcher, &config.net.user_agent(), &place, hints).await?;
    if args.way.egress == Some(EgressArg::Fixed) {
        draft.egress = Egress::Fixed;
    }
    let text = draft.text(&id);
    verify(&id, &text)?;
    if let What::Feed(feed) = &draft.what
        && !feed.is_mode_said
    {
        return unsaid(&id, args, feed, &draft, as_json);
    }
    if !args.print {
        write_new(&path, &text)?;
    }
    let written = (!args.print).then_some(path);
    match (as_json, args.print) {
        (true, _) => output::json(&json!({
            "pipe": id, "written": written, "text": text, "draft": draft,
        }))?,
        (false, true) => say!("{}", text.trim_end()),
        (false, false) => {
            show(&draft)?;
            tell_next(dir, &id, args, &draft);
        }
    }
    Ok(End::Done)
}

/// Says before anybody is asked for anything that the file cannot be written.
fn writable(dir: &Path, path: &Path) -> anyhow::Result<()> {
    if !dir.join("trawler.toml").exists() {
        return Err(Misuse::new(format!(
            "{} has no trawler.toml; `trawler init DIR` writes one, `--print` prints the pipe \
             instead",
            dir.display()
        ))
        .into());
    }
    if path.exists() {
        return Err(taken(path).into());
    }
    Ok(())
}

fn taken(path: &Path) -> Misuse {
    Misuse::new(format!(
        "{} exists already and was left as it is; choose another id, or `--print` to compare",
        path.display()
    ))
}

fn configuration(dir: &Path) -> anyhow::Result<Config> {
    if !dir.join("trawler.toml").exists() {
        return Ok(Config::default());
    }
    // What is wrong with another pipe is no matter of this one.
    Ok(config::load_config_only(dir)
        .map_err(Misuse::config)?
        .config)
}

fn place(dir: &Path, args: &NewPipeArgs) -> anyhow::Result<Place> {
    if let Some(url) = web_url(&args.from) {
        return Ok(Place::Web(url));
    }
    if args.from == "-" {
        return Err(Misuse::new(
            "--from -: a pipe needs a place to collect from again; save the feed in a file, or \
             give its URL",
        )
        .into());
    }
    let scheme = Url::parse(&args.from)
        .ok()
        .map(|url| url.scheme().to_owned());
    if let Some(scheme) = scheme.filter(|_| args.from.contains("://")) {
        return Err(Misuse::new(format!(
            "--from {}: {scheme} is not looked at; an http(s) URL or a file is. Feeds of an SFTP \
             server and of an inbox are described by hand: source.kind = \"sftp\" or \"inbox\"",
            args.from
        ))
        .into());
    }
    if args.as_what == Some(As::Site) {
        let text = format!(
            "--as site: {} is a file, and a site has an http(s) URL",
            args.from
        );
        return Err(Misuse::new(text).into());
    }
    let path = PathBuf::from(&args.from);
    let whole = path
        .canonicalize()
        .with_context(|| format!("open {}; a URL begins with http:// or https://", args.from))?;
    Ok(Place::File {
        written: written(dir, &whole),
        path: whole,
    })
}

/// A file below the folder is named from there, as the folder may move.
fn written(dir: &Path, whole: &Path) -> String {
    let below = dir
        .canonicalize()
        .ok()
        .and_then(|dir| Some(whole.strip_prefix(dir).ok()?.to_owned()));
    below
        .unwrap_or_else(|| whole.to_owned())
        .display()
        .to_string()
}

fn hints(args: &NewPipeArgs) -> anyhow::Result<Hints> {
    let currency = args.currency.as_deref().map(Currency::parse).transpose();
    let currency = currency.map_err(|error| Misuse::new(format!("--currency: {error}")))?;
    Ok(Hints {
        as_what: match args.as_what {
            None => AsWhat::Auto,
            Some(As::Feed) => AsWhat::Feed,
            Some(As::Site) => AsWhat::Site,
        },
        mode: args.mode.map(|mode| match mode {
            Mode::Full => FeedMode::Full,
            Mode::Summary => FeedMode::Summary,
        }),
        currency,
    })
}

/// What was written down has to pass `trawler check`; a pipe that does not is a
/// fault of ours, and is not written.
fn verify(id: &PipeId, text: &str) -> anyhow::Result<()> {
    let pipe: Pipe = toml::from_str(text)
        .with_context(|| format!("the drafted pipe cannot be read; please report this:\n{text}"))?;
    let pipe = pipe.named(id.clone());
    if let Some(problem) = pipe.problems().first() {
        bail!(
            "the drafted pipe is refused: {}: found {}; allowed: {}. Describe it by hand",
            problem.key,
            problem.found,
            problem.allowed
        );
    }
    check_options(&pipe.reading())?;
    check_site(&pipe).map_err(anyhow::Error::msg)
}

/// Nobody but the shop knows whether a feed is full.
fn unsaid(
    id: &PipeId,
    args: &NewPipeArgs,
    feed: &FeedDraft,
    draft: &Draft,
    as_json: bool,
) -> anyhow::Result<End> {
    if as_json {
        output::json(&json!({
            "pipe": id, "written": null, "text": null, "missing": "mode", "draft": draft,
        }))?;
        return Ok(End::Misused);
    }
    show(draft)?;
    say!("\nNothing was written: say whether the feed is full or a summary.");
    say!("A summary that is read as full delists what it does not mention.");
    for (what, list) in [
        ("for full", &feed.evidence.for_full),
        ("for a summary", &feed.evidence.for_summary),
        ("says nothing", &feed.evidence.says_nothing),
    ] {
        for line in list {
            say!("  {what}: {}", plain(line));
        }
    }
    let command = format!("trawler pipe new {id} --from {}", plain(&args.from));
    say!("Ask the shop, then one of");
    say!("  {command} --mode full");
    if feed.evidence.has_class {
        say!("  {command} --mode summary");
    }
    Ok(End::Misused)
}

fn show(draft: &Draft) -> anyhow::Result<()> {
    let findings = draft
        .findings()
        .iter()
        .map(|finding| row(&[("what", finding.what), ("found", &plain(&finding.found))]));
    output::list(&findings.collect::<Vec<_>>(), &["what", "found"])?;
    match &draft.what {
        What::Feed(feed) => {
            let fields = feed.fields.iter().map(|field| {
                let how = match (field.how, &*field.field) {
                    (How::Unmapped, "class" | "update_time") => "says what to do with the row",
                    (how, _) => how.words(),
                };
                row(&[
                    ("field", &plain(&field.field)),
                    ("column", &field.columns.join(", ")),
                    ("how", how),
                    ("example", &field.example),
                ])
            });
            say!("");
            let fields: Vec<Row> = fields.collect();
            output::list(&fields, &["field", "column", "how", "example"])?;
        }
        What::Site(site) if !site.pages.is_empty() => {
            let pages = site.pages.iter().map(|page| {
                row(&[
                    ("page", &plain(&page.url)),
                    ("kind", page.kind),
                    ("title", page.title.as_deref().unwrap_or_default()),
                    ("price (minor)", page.price.as_deref().unwrap_or_default()),
                    ("by", &page.rules.join(", ")),
                ])
            });
            say!("");
            let pages: Vec<Row> = pages.collect();
            output::list(&pages, &["page", "kind", "title", "price (minor)", "by"])?;
        }
        What::Site(_) => {}
    }
    if !draft.remarks().is_empty() {
        say!("");
    }
    for remark in draft.remarks() {
        say!("unsure: {}", plain(remark));
    }
    Ok(())
}

fn row(cells: &[(&str, &str)]) -> Row {
    let cells = cells.iter();
    cells
        .map(|(name, text)| ((*name).to_owned(), (*text).into()))
        .collect()
}

fn tell_next(dir: &Path, id: &PipeId, args: &NewPipeArgs, draft: &Draft) {
    let dir = dir.display();
    say!("\nwrote {dir}/pipes/{id}.toml");
    say!("\nNext: look at it, then\n  trawler -C {dir} check");
    let from = plain(&args.from);
    match &draft.what {
        What::Feed(_) => say!("  trawler -C {dir} try feed {from} --format {id}"),
        What::Site(site) => {
            let page = site.pages.iter().find(|page| page.products > 0);
            let page = page.map_or("URL", |page| page.url.as_str());
            say!("  trawler -C {dir} try page {} --pipe {id}", plain(page));
        }
    }
    say!(
        "and when it is as it should be, set state = \"shadow\" or \"live\" in the file, and\n  trawler -C {dir} run --once --pipe {id}"
    );
}

fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file
            .write_all(text.as_bytes())
            .with_context(|| format!("write {}", path.display())),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(taken(path).into()),
        Err(error) => Err(error).with_context(|| format!("create {}", path.display())),
    }
}

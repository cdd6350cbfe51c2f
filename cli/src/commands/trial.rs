//! `trawler try`: one step on one input, shown and not stored.

mod page;
mod robots;
mod show;
mod way;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use trawler_core::PipeId;
use trawler_core::feed::FeedOptions;
use trawler_core::image::ImageStatus;
use trawler_core::pipe::Pipe;
use trawler_crawler::feed::{Step, TryFeedReport, try_feed};
use trawler_crawler::mappings::Mappings;
use trawler_image_worker::try_image;
use trawler_net::{Fetched, Limits, Request};
use url::Url;

pub(super) use show::plain;

use crate::args::{TryCommand, TryFeedArgs, TryImageArgs, WayArgs};
use crate::compose;
use crate::config::{self, Config};
use crate::end::{End, Misuse};
use crate::output;

/// Largest page or image that is tried.
const INPUT_BYTES_MAX: u64 = 256 * 1024 * 1024;

pub(crate) async fn run(dir: &Path, step: TryCommand, as_json: bool) -> anyhow::Result<End> {
    match step {
        TryCommand::Feed(args) => feed(dir, &args, as_json).await,
        TryCommand::Page(args) => page::run(dir, &args, as_json).await,
        TryCommand::Image(args) => image(dir, &args, as_json).await,
        TryCommand::Robots(args) => robots::run(dir, &args, as_json).await,
        TryCommand::Url(args) => way::run(dir, &args, as_json).await,
    }
}

/// The folder's configuration if there is one, else the defaults: `try` also
/// works where nothing is set up yet.
fn configuration(dir: &Path) -> anyhow::Result<Config> {
    if !dir.join("trawler.toml").exists() {
        return Ok(Config::default());
    }
    Ok(config::load(dir).map_err(Misuse::config)?.config)
}

async fn feed(dir: &Path, args: &TryFeedArgs, as_json: bool) -> anyhow::Result<End> {
    let (options, pipe) = feed_options(dir, args)?;
    let kept = tempfile::tempdir().context("make a temporary folder")?;
    let path = match web_url(&args.input) {
        Some(url) => {
            let config = configuration(dir)?;
            let fetcher = compose::fetcher_by(&config, &args.way, pipe.as_ref()).await?;
            let request = Request::get_url(&url)?.limits(Limits::feed());
            let target = kept.path().join("feed");
            match fetcher.fetch_to_file(&request, &target).await? {
                Fetched::Body(response) => response.body.path,
                Fetched::NotModified(_) => {
                    bail!("{url} answered 304 to a request without validators")
                }
            }
        }
        None => args.input.clone().into(),
    };
    let sample = args.sample as usize;
    // A pipe's own mapping tables count where --format names a pipe.
    let mappings = Mappings::in_folder(dir.join("mappings"));
    let id = PipeId::parse(&args.format).map_err(|error| Misuse::new(error.to_string()))?;
    let report = tokio::task::spawn_blocking(move || -> anyhow::Result<TryFeedReport> {
        let file = File::open(&path).with_context(|| format!("open {}", path.display()))?;
        let mut normaliser = mappings.load(&id)?.normaliser;
        Ok(try_feed(
            file,
            &options,
            sample,
            &mut normaliser,
            &mut |_| Step::Continue,
        )?)
    })
    .await
    .context("read the feed")??;
    if as_json {
        output::json(&report)?;
    } else {
        show::feed(&report)?;
    }
    Ok(if report.complete {
        End::Done
    } else {
        End::Left
    })
}

/// The options of the named pipe, which comes along, or the defaults of the named
/// format.
fn feed_options(dir: &Path, args: &TryFeedArgs) -> anyhow::Result<(FeedOptions, Option<Pipe>)> {
    let text = format!(
        "format = \"{}\"\nmode = \"full\"\n",
        args.format.escape_default()
    );
    let (mut options, pipe) = match toml::from_str::<FeedOptions>(&text) {
        Ok(options) => (options, None),
        Err(error) if dir.join("trawler.toml").exists() => {
            let loaded = config::load(dir).map_err(Misuse::config)?;
            let mut pipes = loaded.pipes.into_iter();
            let pipe = pipes.find(|pipe| pipe.id.as_str() == args.format);
            let known = || {
                Misuse::new(format!(
                    "--format {}: no such pipe, and no format: {}",
                    args.format,
                    error.message()
                ))
            };
            let pipe = pipe.ok_or_else(known)?;
            (pipe.reading().into_owned(), Some(pipe))
        }
        Err(error) => {
            return Err(
                Misuse::new(format!("--format {}: {}", args.format, error.message())).into(),
            );
        }
    };
    if let Some(charset) = &args.charset {
        options.charset = Some(charset.clone());
    }
    let problems: Vec<String> = options
        .problems()
        .into_iter()
        .map(|problem| {
            format!(
                "{}: found {}; allowed: {}",
                problem.key, problem.found, problem.allowed
            )
        })
        .collect();
    if problems.is_empty() {
        Ok((options, pipe))
    } else {
        Err(Misuse::new(problems.join("\n")).into())
    }
}

async fn image(dir: &Path, args: &TryImageArgs, as_json: bool) -> anyhow::Result<End> {
    let config = configuration(dir)?;
    let bytes = match web_url(&args.input) {
        Some(url) => fetch(dir, &url, &args.way, None).await?.bytes,
        None => read_file(&args.input)?,
    };
    let limits = compose::image_limits(&config);
    let policy = config.images.policy();
    let variants = config.images.variants;
    let trial = tokio::task::spawn_blocking(move || try_image(&bytes, &variants, limits, &policy))
        .await
        .context("render the image")??;
    let mut report = trial.report;
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out).with_context(|| format!("create {}", out.display()))?;
        for (shown, variant) in report.variants.iter_mut().zip(&trial.variants) {
            let path = out.join(format!("{}.{}", variant.name, variant.format.extension()));
            std::fs::write(&path, &variant.data)
                .with_context(|| format!("write {}", path.display()))?;
            shown.path = Some(path.display().to_string());
        }
    }
    if as_json {
        output::json(&report)?;
    } else {
        say!("{report}");
    }
    Ok(if report.status == ImageStatus::Stored {
        End::Done
    } else {
        End::Left
    })
}

struct Got {
    bytes: Vec<u8>,
    content_type: Option<String>,
    url: Url,
}

async fn fetch(dir: &Path, url: &Url, way: &WayArgs, pipe: Option<&Pipe>) -> anyhow::Result<Got> {
    let fetcher = compose::fetcher_by(&configuration(dir)?, way, pipe).await?;
    match fetcher.fetch_bytes(&Request::get_url(url)?).await? {
        Fetched::Body(response) => Ok(Got {
            content_type: response.content_type().map(str::to_owned),
            url: response.url.clone(),
            bytes: response.body.to_vec(),
        }),
        Fetched::NotModified(_) => bail!("{url} answered 304 to a request without validators"),
    }
}

fn read_file(path: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| format!("open {path}"))?;
    file.take(INPUT_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("read {path}"))?;
    if bytes.len() as u64 > INPUT_BYTES_MAX {
        bail!("{path} is larger than {INPUT_BYTES_MAX} bytes");
    }
    Ok(bytes)
}

/// The input as a URL, when it is one for the web.
pub(super) fn web_url(input: &str) -> Option<Url> {
    Url::parse(input)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
}

fn charset_of(content_type: &str) -> Option<&str> {
    content_type
        .split(';')
        .filter_map(|part| part.trim().split_once('='))
        .find(|(name, _)| name.eq_ignore_ascii_case("charset"))
        .map(|(_, value)| value.trim_matches('"'))
}

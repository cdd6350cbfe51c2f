//! `trawler try robots`: whether a robots file lets an agent ask for a URL, and
//! which line decides. Allowed and denied are both answers.

use std::path::Path;

use anyhow::bail;
use serde::Serialize;
use trawler_crawler::site::robots::{self, Access, Because, Decision};
use trawler_net::{FetchClass, Fetched};
use url::Url;

use super::{configuration, read_file, show, web_url};
use crate::args::{TryRobotsArgs, WayArgs};
use crate::compose;
use crate::end::End;
use crate::output;

/// Sitemaps that people are shown.
const SITEMAPS_MAX: usize = 10;

pub(super) async fn run(dir: &Path, args: &TryRobotsArgs, as_json: bool) -> anyhow::Result<End> {
    let (access, reason) = match web_url(&args.input) {
        Some(url) => fetch(dir, &url, &args.way).await?,
        None => (Access::of(Ok(&read_file(&args.input)?)), None),
    };
    let decision = access.decide(&args.agent, &args.url);
    if as_json {
        output::json(&Report::new(args, &access, reason, decision))?;
    } else {
        print(&access, reason.as_deref(), &decision);
    }
    Ok(End::Done)
}

/// What the file's own host answers, and why there is no file, where that is so.
/// That we ourselves refuse to ask is no answer of a host.
async fn fetch(dir: &Path, url: &Url, way: &WayArgs) -> anyhow::Result<(Access, Option<String>)> {
    let fetcher = compose::fetcher_by(&configuration(dir)?, way, None).await?;
    let request = robots::request(url)?;
    match fetcher.judge(url.as_str()).await {
        Err(error) if error.class() == FetchClass::RefusedAddress => return Err(error.into()),
        Ok(_) | Err(_) => {}
    }
    match fetcher.fetch_bytes(&request).await {
        Ok(Fetched::Body(response)) => Ok((Access::of(Ok(&response.body)), None)),
        Ok(Fetched::NotModified(_)) => {
            bail!("{url} answered 304 to a request without validators")
        }
        Err(error) => {
            let access = Access::of(Err(error.fault()));
            Ok((access, Some(format!("{:#}", anyhow::Error::from(error)))))
        }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    source: &'a str,
    /// Whether the source gave a file: found, unavailable or unreachable.
    availability: &'static str,
    /// Why there is no file.
    reason: Option<String>,
    agent: &'a str,
    url: &'a str,
    allowed: bool,
    because: &'static str,
    line: Option<usize>,
    rule: Option<String>,
    crawl_delay_s: Option<f64>,
    sitemaps: &'a [String],
}

impl<'a> Report<'a> {
    fn new(
        args: &'a TryRobotsArgs,
        access: &'a Access,
        reason: Option<String>,
        decision: Decision,
    ) -> Self {
        Self {
            source: &args.input,
            availability: access.availability().as_str(),
            reason,
            agent: &args.agent,
            url: &args.url,
            allowed: decision.allowed,
            because: decision.because.as_str(),
            line: decision.line,
            rule: decision.rule,
            crawl_delay_s: decision.crawl_delay.map(|delay| delay.as_secs_f64()),
            sitemaps: access.sitemaps(),
        }
    }
}

fn print(access: &Access, reason: Option<&str>, decision: &Decision) {
    let word = if decision.allowed {
        "allowed"
    } else {
        "denied"
    };
    let why = match decision.because {
        Because::Rule => match (decision.line, &decision.rule) {
            (Some(line), Some(rule)) => format!("line {line}, {rule}"),
            (_, _) => "a rule".to_owned(),
        },
        Because::NoRuleMatches => "no rule of the agent's group matches".to_owned(),
        Because::NoGroup => "there is no group for the agent, nor one for everyone".to_owned(),
        Because::RobotsFile => "the robots file itself may always be asked for".to_owned(),
        Because::Unavailable => {
            "there is no robots file, which allows everything (RFC 9309, 2.3.1.3)".to_owned()
        }
        Because::Unreachable => {
            "nobody knows what the robots file says, which allows nothing (RFC 9309, 2.3.1.4)"
                .to_owned()
        }
    };
    say!("{word}: {}", show::plain(&why));
    if let Some(reason) = reason {
        say!("remark: {}", show::plain(reason));
    }
    if let Some(delay) = decision.crawl_delay {
        say!("crawl delay: {} s", delay.as_secs_f64());
    }
    let sitemaps = access.sitemaps();
    for sitemap in sitemaps.iter().take(SITEMAPS_MAX) {
        say!("sitemap: {}", show::plain(sitemap));
    }
    if sitemaps.len() > SITEMAPS_MAX {
        say!("... and {} sitemaps more", sitemaps.len() - SITEMAPS_MAX);
    }
}

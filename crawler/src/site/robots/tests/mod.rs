//! RFC 9309 clause by clause; each table names the section that it is from.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use trawler_net::{Fault, Phase, Target, UrlFault};

use super::octets::{Address, Symbol};
use super::pattern::Pattern;
use super::*;

mod access;
mod examples;
mod groups;
mod hostile;
mod paths;
mod records;

/// What decided: allowed or not, and by which line.
type Decided = (bool, Option<usize>);

#[track_caller]
fn check(file: &str, agent: &str, url: &str, expected: Decided) {
    let robots = Robots::parse(file.as_bytes());
    let decision = robots.decide(agent, url);
    assert_eq!(robots.for_agent(agent).decide(url), decision);
    let found = (decision.allowed, decision.line);
    assert_eq!(found, expected, "{file:?} {agent:?} {url:?}: {decision:?}");
    let told = decision.because == Because::Rule;
    assert_eq!(told, decision.line.is_some(), "{decision:?}");
    assert_eq!(told, decision.rule.is_some(), "{decision:?}");
}

/// Whether a rule of this pattern matches; a failure shows both.
#[track_caller]
fn check_match(pattern: &str, path: &str, expected: bool) {
    let file = format!("User-agent: *\nDisallow: {pattern}\n");
    let decided = if expected {
        (false, Some(2))
    } else {
        (true, None)
    };
    check(&file, "ExampleBot", path, decided);
}

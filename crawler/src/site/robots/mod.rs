//! robots.txt by RFC 9309: what a file says, and what it means when there is
//! none.
//!
//! [`Robots::parse`] reads a file and never fails, [`Robots::decide`] says
//! whether an agent may ask for a URL and which line decided, and [`Access`]
//! is both for whatever came when the file was asked for. Everything is pure
//! and bounded: a file is cut at [`FILE_BYTES_MAX`], and one decision costs at
//! most the octets of the rules plus, for each rule, those of the URL, however
//! many `*` there are.
//!
//! It fetches nothing (`net` does, with the [`request`] that is made here) and
//! keeps nothing: whoever caches a file does so for [`KEPT_MAX`] at most.
//!
//! Facts: RFC 9309, sections in brackets where they are kept. Beyond it are
//! read: `Crawl-delay`, `Sitemap`, keys that are misspelt in known ways or have
//! no colon [2.2.4 lets a crawler be lenient], and names of agents with digits
//! or a version.

mod access;
mod agent;
mod groups;
mod octets;
mod pattern;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use access::{
    Access, Availability, BODY_BYTES_MAX, HOPS_MAX, KEPT_MAX, availability_of, request,
};

use agent::Agent;
use groups::{Group, Rule, Verb};
use octets::Address;

/// Of a file, what lies beyond is not read, nor the line that it cuts. The
/// least that a crawler has to read, and what others read at most. [2.5]
pub const FILE_BYTES_MAX: usize = 500 * 1024;

/// A longer `Crawl-delay` counts as this one: at one page an hour nothing is
/// collected any more, and a number with too many zeros should be seen as such.
pub const CRAWL_DELAY_MAX: Duration = Duration::from_secs(3600);

/// A robots file that was read.
#[derive(Debug, Clone, Default)]
pub struct Robots {
    groups: Vec<Group>,
    sitemaps: Vec<String>,
}

/// Whether an agent may ask for a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may.
    pub allowed: bool,
    /// What decided.
    pub because: Because,
    /// The line that decided, counted from 1, where a rule did.
    pub line: Option<usize>,
    /// The rule on that line, such as `Disallow: /cart`.
    pub rule: Option<String>,
    /// How long the file asks the agent to wait between two requests, at most
    /// [`CRAWL_DELAY_MAX`]; of several, the longest.
    pub crawl_delay: Option<Duration>,
}

/// What decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// A rule of the agent's groups; its line is told.
    Rule,
    /// The agent has a group, and no rule of it matches. [2.2.2]
    NoRuleMatches,
    /// There is no group for the agent, nor one for everyone. [2.2.1]
    NoGroup,
    /// The robots file itself may always be asked for. [2.2.2]
    RobotsFile,
    /// There is no robots file. [2.3.1.3]
    Unavailable,
    /// Nobody knows what the robots file says. [2.3.1.4]
    Unreachable,
}

impl Because {
    /// The word for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::NoRuleMatches => "no_rule_matches",
            Self::NoGroup => "no_group",
            Self::RobotsFile => "robots_file",
            Self::Unavailable => "unavailable",
            Self::Unreachable => "unreachable",
        }
    }
}

impl Decision {
    fn without_rule(allowed: bool, because: Because) -> Self {
        Self {
            allowed,
            because,
            line: None,
            rule: None,
            crawl_delay: None,
        }
    }
}

impl Robots {
    /// Reads a file. Never fails: what cannot be read is left out. [2.3.1.5]
    pub fn parse(bytes: &[u8]) -> Self {
        let (groups, sitemaps) = groups::read(bytes);
        Self { groups, sitemaps }
    }

    /// The sitemaps that the file names, in its order and as it spells them.
    /// They belong to no group. [2.2.4]
    pub fn sitemaps(&self) -> &[String] {
        &self.sitemaps
    }

    /// Whether `agent` may ask for `url`.
    ///
    /// `agent` is a product token (`ExampleBot`), or a whole User-Agent header,
    /// of whose products the one counts that has the longest name in the file.
    /// An empty one is nobody's name, so that the rules for everyone hold.
    ///
    /// `url` is a whole URL, or its path and query beginning with one `/`. What
    /// has no path, the empty text as well, is the root.
    pub fn decide(&self, agent: &str, url: &str) -> Decision {
        let groups = self.groups_of(&Agent::parse(agent));
        let rules = groups.iter().flat_map(|of| &of.group.rules);
        rule_on(rules, !groups.is_empty(), delay_of(&groups), url)
    }

    /// All that the file says to one agent, for many questions.
    pub fn for_agent(&self, agent: &str) -> AgentRules {
        let groups = self.groups_of(&Agent::parse(agent));
        let rules = groups.iter().flat_map(|of| &of.group.rules);
        AgentRules {
            crawl_delay: delay_of(&groups),
            has_group: !groups.is_empty(),
            rules: rules.cloned().collect(),
        }
    }

    /// The groups that hold for the agent: all that name it by the longest name
    /// that matches, or else all for everyone. [2.2.1]
    fn groups_of(&self, agent: &Agent) -> Vec<Of<'_>> {
        let mut best = 0;
        let mut found = Vec::new();
        for group in &self.groups {
            let strongest = group
                .tokens
                .iter()
                .enumerate()
                .filter_map(|(at, token)| Some((agent.strength(token)?, at)))
                // Of equals the first, which has seen most of its group.
                .min_by_key(|(strength, at)| (std::cmp::Reverse(*strength), *at));
            let Some((strength, token)) = strongest else {
                continue;
            };
            if strength > best {
                best = strength;
                found.clear();
            }
            if strength == best {
                found.push(Of { group, token });
            }
        }
        found
    }
}

/// What a file says to one agent.
#[derive(Debug, Clone)]
pub struct AgentRules {
    crawl_delay: Option<Duration>,
    has_group: bool,
    rules: Vec<Rule>,
}

impl AgentRules {
    /// As [`Robots::decide`].
    pub fn decide(&self, url: &str) -> Decision {
        rule_on(self.rules.iter(), self.has_group, self.crawl_delay, url)
    }

    /// Of all its groups, the longest.
    pub fn crawl_delay(&self) -> Option<Duration> {
        self.crawl_delay
    }
}

fn rule_on<'a>(
    rules: impl Iterator<Item = &'a Rule>,
    has_group: bool,
    crawl_delay: Option<Duration>,
    url: &str,
) -> Decision {
    let address = Address::of(url);
    let decision = match (address.is_robots_file(), has_group) {
        (true, _) => Decision::without_rule(true, Because::RobotsFile),
        (false, false) => Decision::without_rule(true, Because::NoGroup),
        (false, true) => match decisive(rules, &address) {
            Some(rule) => Decision {
                allowed: rule.permits(),
                because: Because::Rule,
                line: Some(rule.line),
                rule: Some(rule.text()),
                crawl_delay,
            },
            None => Decision::without_rule(true, Because::NoRuleMatches),
        },
    };
    Decision {
        crawl_delay,
        ..decision
    }
}

fn delay_of(groups: &[Of<'_>]) -> Option<Duration> {
    let delays = groups.iter().filter_map(|of| of.group.delay(of.token));
    delays.max()
}

/// A group, and which of its tokens the agent is.
struct Of<'a> {
    group: &'a Group,
    token: usize,
}

/// The matching rule with the most octets; of equals one that allows, and the
/// first of them. [2.2.2]
fn decisive<'a>(rules: impl Iterator<Item = &'a Rule>, address: &Address) -> Option<&'a Rule> {
    let mut best: Option<&Rule> = None;
    for rule in rules {
        let counts = best.is_none_or(|best| {
            let longer = rule.pattern.octets() > best.pattern.octets();
            let equal = rule.pattern.octets() == best.pattern.octets();
            longer || (equal && rule.verb == Verb::Allow && best.verb == Verb::Disallow)
        });
        if counts && rule.pattern.matches(address) {
            best = Some(rule);
        }
    }
    best
}

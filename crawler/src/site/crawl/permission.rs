//! Whether a URL may be asked for, as the robots files of this crawl's hosts
//! say.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use trawler_core::ports::Clock;
use trawler_core::site::RobotsRule;
use trawler_net::{Fetcher, Pace};
use url::Url;

use super::super::robots::{Access, AgentRules};
use super::super::robots_files::{KnownFile, RobotsFiles};
use super::super::url::CanonicalUrl;

/// The answer for one URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Permission {
    Granted,
    /// With the line that says so.
    Denied(String),
    /// Nobody knows, and why.
    Unknown(String),
}

/// Asks the robots files for one crawl.
pub(super) struct Permissions {
    pub(super) rule: RobotsRule,
    pub(super) files: Arc<RobotsFiles>,
    pub(super) fetcher: Fetcher,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) user_agent: String,
    pub(super) pace: Arc<Pace>,
    /// By origin: what its file says to us.
    pub(super) hosts: Mutex<HashMap<String, Host>>,
}

/// A file and what it says to us.
#[derive(Clone)]
pub(super) struct Host {
    access: Arc<Access>,
    rules: Arc<AgentRules>,
}

impl Permissions {
    pub(super) async fn of(&self, url: &CanonicalUrl) -> Permission {
        if self.rule == RobotsRule::Ignore {
            return Permission::Granted;
        }
        let KnownFile { access, reason } = self.file(url).await;
        match &*access {
            Access::Unavailable => Permission::Granted,
            Access::Unreachable => Permission::Unknown(reason.unwrap_or_default()),
            Access::Found(_) => {
                let decision = self.rules(url, &access).decide(url.as_str());
                if decision.allowed {
                    return Permission::Granted;
                }
                let line = decision
                    .line
                    .map_or(String::new(), |line| format!("line {line}: "));
                let rule = decision.rule.unwrap_or_default();
                Permission::Denied(format!("robots.txt, {line}{rule}"))
            }
        }
    }

    /// The file of the URL's host.
    pub(super) async fn file(&self, url: &CanonicalUrl) -> KnownFile {
        let (fetcher, clock) = (&self.fetcher, &*self.clock);
        self.files
            .of(fetcher, clock, &self.user_agent, url.origin())
            .await
    }

    fn rules(&self, url: &CanonicalUrl, access: &Arc<Access>) -> Arc<AgentRules> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = hosts.get(url.origin())
            && Arc::ptr_eq(&known.access, access)
        {
            return Arc::clone(&known.rules);
        }
        let Access::Found(robots) = &**access else {
            unreachable!("asked of a file that was found");
        };
        let rules = Arc::new(robots.for_agent(&self.user_agent));
        if let Some(delay) = rules.crawl_delay()
            && let Ok(url) = Url::parse(url.as_str())
        {
            self.pace.set_crawl_delay(&url, delay);
        }
        let host = Host {
            access: Arc::clone(access),
            rules: Arc::clone(&rules),
        };
        hosts.insert(url.origin().to_owned(), host);
        rules
    }
}

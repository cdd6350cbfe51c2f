//! Settings of the fetcher: the section `net` of the configuration.

use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::gate::HostLimits;
use crate::policy::AllowedHost;
use crate::resolve::{Lookup, SystemLookup};
use crate::retry::RetryPolicy;

/// A User-Agent longer than this is cut by some servers and refused by others.
const USER_AGENT_BYTES_MAX: usize = 256;

/// Section `net`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetConfig {
    /// Who we are, with a contact: `Trawler/0.1 (+https://shop.example/bot)`.
    /// Has no default, because nobody can invent the contact.
    pub user_agent: String,
    /// What the address policy lets in besides public addresses.
    pub allow: Vec<AllowedHost>,
    /// Name look-up, TCP and TLS of one connection.
    pub connect_ms: u64,
    /// What bodies in memory may take together; one of them may go over. Those
    /// of up to 64 KiB are not counted.
    pub memory_bytes: u64,
    /// Per host.
    pub hosts: HostLimits,
    /// Within one fetch.
    pub retry: RetryPolicy,
    /// The proxy for what has to come from one address.
    #[serde(skip)]
    pub fixed_egress: FixedEgress,
}

/// The proxy of the operator's whose address partners let in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FixedEgress {
    /// The configuration names none.
    #[default]
    None,
    /// At this URL.
    At(String),
    /// The configuration says where it is told, and it is not told there.
    Untold {
        /// Who should have told, and what to do.
        why: String,
    },
}

/// There is no proxy for what has to come from one address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoFixedEgress {
    /// The configuration names none.
    #[error(
        "a fixed address is wanted, and no proxy that has one is configured: name it in net.fixed_egress of trawler.toml (a stack has one with Egress=fixed; infra/README.md, One address), or do without egress = \"fixed\""
    )]
    NotConfigured,
    /// It is named where nothing is.
    #[error("a fixed address is wanted, and where the proxy that has one is, is not known: {why}")]
    Untold {
        /// Who should have told, and what to do.
        why: String,
    },
}

impl Default for NetConfig {
    fn default() -> Self {
        Self {
            user_agent: String::new(),
            allow: Vec::new(),
            connect_ms: 10_000,
            memory_bytes: 256 * 1024 * 1024,
            hosts: HostLimits::default(),
            retry: RetryPolicy::default(),
            fixed_egress: FixedEgress::None,
        }
    }
}

impl NetConfig {
    /// The defaults under this User-Agent.
    pub fn of(user_agent: impl Into<String>) -> Self {
        Self {
            user_agent: user_agent.into(),
            ..Self::default()
        }
    }

    /// Checks what the types do not.
    pub fn validate(&self) -> Result<(), NetConfigFault> {
        let bad = |key, found: String, allowed| {
            Err(NetConfigFault {
                key,
                found,
                allowed,
            })
        };
        let agent = self.user_agent.trim();
        let visible = agent.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if agent.is_empty() || !visible || agent.len() > USER_AGENT_BYTES_MAX {
            return bad(
                "net.user_agent",
                format!("{agent:?}"),
                "1 to 256 printable ASCII characters that name the crawler and a contact, such as \"Trawler/0.1 (+https://shop.example/bot)\"",
            );
        }
        if !(1..=10 * 60_000).contains(&self.connect_ms) {
            return bad("net.connect_ms", self.connect_ms.to_string(), "1 to 600000");
        }
        if !(1..=1000).contains(&self.hosts.concurrency) {
            let found = self.hosts.concurrency.to_string();
            return bad("net.hosts.concurrency", found, "1 to 1000");
        }
        if !(1..=1_000_000).contains(&self.hosts.hosts_max) {
            let found = self.hosts.hosts_max.to_string();
            return bad("net.hosts.hosts_max", found, "1 to 1000000");
        }
        if !(1..=20).contains(&self.retry.attempts_max) {
            let found = self.retry.attempts_max.to_string();
            return bad("net.retry.attempts_max", found, "1 to 20");
        }
        if self.retry.base_ms > self.retry.backoff_ms_max {
            return bad(
                "net.retry.base_ms",
                self.retry.base_ms.to_string(),
                "at most net.retry.backoff_ms_max",
            );
        }
        Ok(())
    }
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} is {found}; allowed: {allowed}")]
pub struct NetConfigFault {
    /// The key.
    pub key: &'static str,
    /// What was found.
    pub found: String,
    /// What is allowed.
    pub allowed: &'static str,
}

/// What the fetcher takes from outside besides settings.
#[derive(Clone)]
pub struct Parts {
    /// Names to addresses.
    pub lookup: Arc<dyn Lookup>,
    /// The wall clock, for Retry-After dates.
    pub wall: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    /// Certificates (PEM) trusted besides those of the machine.
    pub extra_roots_pem: Vec<u8>,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            lookup: Arc::new(SystemLookup),
            wall: Arc::new(SystemTime::now),
            extra_roots_pem: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn settings_are_accepted_or_refused_by_key() {
        let check = |json: &str, expected: &str| {
            let found = match serde_json::from_str::<NetConfig>(json) {
                Ok(config) => match config.validate() {
                    Ok(()) => "fine".to_owned(),
                    Err(fault) => fault.to_string(),
                },
                Err(error) => error.to_string(),
            };
            assert!(found.contains(expected), "{json}: {found}");
        };
        let agent = r#""user_agent":"Trawler/0.1 (+mailto:a@b.test)""#;
        check("{}", "net.user_agent");
        check(&format!("{{{agent}}}"), "fine");
        check(
            &format!(r#"{{{agent},"allow":["127.0.0.1:80","10.0.0.0/8"]}}"#),
            "fine",
        );
        check(
            &format!(r#"{{{agent},"allow":["localhost"]}}"#),
            "host:port",
        );
        check(&format!(r#"{{{agent},"proxy":"x"}}"#), "unknown field");
        check(
            &format!(r#"{{{agent},"hosts":{{"concurrency":0}}}}"#),
            "net.hosts.concurrency",
        );
        check(
            &format!(r#"{{{agent},"retry":{{"base_ms":20000}}}}"#),
            "net.retry.base_ms",
        );
        check(r#"{"user_agent":"a\nb"}"#, "net.user_agent");
    }
}

//! `[net]`: how Trawler presents itself to partners and which addresses it
//! may reach, and from which one where that matters.

use serde::Deserialize;
use trawler_core::secret::SecretRef;
use trawler_net::{FixedEgress, Proxy};

use super::check::Bounds;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NetConfig {
    /// An address where partners reach a person, a URL or an e-mail address;
    /// part of the User-Agent. Default none; `check` asks for one.
    pub(crate) contact: String,
    /// Hosts and networks that are let in although they are not public
    /// (`"127.0.0.1:8080"`, `"shop.internal:8080"`, `"10.1.2.0/24"`): a host
    /// with its port, or a block of addresses. At most 1000, default none: no
    /// partner can make a worker talk to a private address.
    pub(crate) allow: Vec<String>,
    /// The proxy for pipes with `fetch.egress = "fixed"`, whose partners let in
    /// its address alone: `"http://10.0.3.4:3128"`, without user and password,
    /// at a private address if need be; or `"env:NAME"` for who finds it in a
    /// variable of his environment, as machines of a stack with Egress=fixed do
    /// in `TRAWLER_FIXED_EGRESS`. Default none: such pipes are refused.
    pub(crate) fixed_egress: Option<String>,
    /// Seconds to connect. Default 10, bound 1 to 60.
    pub(crate) connect_s: u64,
    /// Seconds until the first byte of an answer. Default 30, bound 1 to 600.
    pub(crate) first_byte_s: u64,
    /// Seconds between two parts of an answer. Default 30, bound 1 to 600.
    pub(crate) idle_s: u64,
    /// Redirects followed. Default 5, bound 0 to 20.
    pub(crate) redirects_max: u32,
    /// MiB that pages and images may take together while they are downloaded
    /// and read; one that is the last to fit may go over, those of up to 64 KiB
    /// are not counted. Default 256, bound 16 to 65,536.
    pub(crate) memory_mib: u64,
}

impl Default for NetConfig {
    fn default() -> Self {
        Self {
            contact: String::new(),
            allow: Vec::new(),
            fixed_egress: None,
            connect_s: 10,
            first_byte_s: 30,
            idle_s: 30,
            redirects_max: 5,
            memory_mib: 256,
        }
    }
}

impl NetConfig {
    /// What partners see in their logs.
    pub(crate) fn user_agent(&self) -> String {
        let version = env!("CARGO_PKG_VERSION");
        if self.contact.is_empty() {
            format!("Trawler/{version}")
        } else {
            format!("Trawler/{version} (+{})", self.contact)
        }
    }

    /// Where the proxy of the fixed address is, as far as `variable` knows.
    pub(crate) fn fixed_egress(&self, variable: impl Fn(&str) -> Option<String>) -> FixedEgress {
        let Some(text) = &self.fixed_egress else {
            return FixedEgress::None;
        };
        let Ok(SecretRef::Env(name)) = text.parse() else {
            return FixedEgress::At(text.clone());
        };
        match variable(&name).filter(|url| !url.is_empty()) {
            Some(url) => FixedEgress::At(url),
            None => FixedEgress::Untold {
                why: format!(
                    "net.fixed_egress is {text:?}, and the environment has no variable {name} (a machine of a stack has one with Egress=fixed; infra/README.md, One address)"
                ),
            },
        }
    }

    pub(crate) fn check(&self, bounds: &mut Bounds) {
        let contact_ok =
            self.contact.len() <= 200 && self.contact.bytes().all(|b| b.is_ascii_graphic());
        bounds.unless(
            contact_ok,
            "net.contact",
            &self.contact,
            "a URL or e-mail address in ASCII, at most 200 characters",
        );
        bounds.within("net.allow", self.allow.len() as u64, 0, 1_000);
        if let Some(text) = &self.fixed_egress {
            let is_variable = matches!(text.parse(), Ok(SecretRef::Env(_)));
            let shown = match text.contains('@') {
                true => "a URL with credentials (not shown)",
                false => text,
            };
            bounds.unless(
                is_variable || Proxy::of_the_operator(text).is_ok(),
                "net.fixed_egress",
                &format!("{shown:?}"),
                "http://, https:// or socks5://, host and port and nothing behind them, without user and password; or env:NAME",
            );
        }
        bounds.within("net.connect_s", self.connect_s, 1, 60);
        bounds.within("net.first_byte_s", self.first_byte_s, 1, 600);
        bounds.within("net.idle_s", self.idle_s, 1, 600);
        bounds.within("net.redirects_max", u64::from(self.redirects_max), 0, 20);
        bounds.within("net.memory_mib", self.memory_mib, 16, 65_536);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(fixed_egress: Option<&str>) -> NetConfig {
        NetConfig {
            fixed_egress: fixed_egress.map(str::to_owned),
            ..NetConfig::default()
        }
    }

    #[test]
    fn the_proxy_of_the_fixed_address_is_a_url_or_a_variable() {
        let check = |text: &str, is_fine: bool| {
            let mut bounds = Bounds::default();
            net(Some(text)).check(&mut bounds);
            assert_eq!(bounds.0.is_empty(), is_fine, "{text}: {:?}", bounds.0);
            let told = format!("{:?}", bounds.0);
            assert!(!told.contains("hunter2"), "{told}");
        };
        check("http://10.0.3.4:3128", true);
        check("https://egress.example", true);
        check("socks5://10.0.3.4", true);
        check("env:TRAWLER_FIXED_EGRESS", true);
        check("10.0.3.4:3128", false);
        check("http://me:hunter2@10.0.3.4:3128", false);
        check("http://10.0.3.4:3128/pac", false);
        check("env:", false);
        check("ssm:/egress", false);
        check("", false);
    }

    #[test]
    fn a_variable_that_is_not_there_is_told_and_no_way_round() {
        let check = |text: Option<&str>, value: Option<&str>, expected: &str| {
            let found = net(text).fixed_egress(|name| {
                assert_eq!(name, "EGRESS");
                value.map(str::to_owned)
            });
            assert!(format!("{found:?}").contains(expected), "{found:?}");
        };
        let url = "http://10.0.3.4:3128";
        check(None, None, "None");
        check(Some(url), None, "At(\"http://10.0.3.4:3128\")");
        check(
            Some("env:EGRESS"),
            Some(url),
            "At(\"http://10.0.3.4:3128\")",
        );
        check(Some("env:EGRESS"), None, "no variable EGRESS");
        // As a stack without the proxy has it.
        check(Some("env:EGRESS"), Some(""), "no variable EGRESS");
    }
}

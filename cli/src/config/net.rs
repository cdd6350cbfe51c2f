//! `[net]`: how Trawler presents itself to partners and which addresses it
//! may reach.

use serde::Deserialize;

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
        bounds.within("net.connect_s", self.connect_s, 1, 60);
        bounds.within("net.first_byte_s", self.first_byte_s, 1, 600);
        bounds.within("net.idle_s", self.idle_s, 1, 600);
        bounds.within("net.redirects_max", u64::from(self.redirects_max), 0, 20);
        bounds.within("net.memory_mib", self.memory_mib, 16, 65_536);
    }
}

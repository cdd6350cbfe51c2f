//! Whether a page's word for its own canonical URL is believed.
//!
//! `rel=canonical` (RFC 6596) is a hint, and shops get it wrong in known ways:
//! every page names the home page, or one of another site. A catalogue that
//! believed them would fold all products into one.

use super::{CanonicalRules, CanonicalUrl, Refused, Resolver};

/// Why a page is not what it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotBelieved {
    #[error("canonical.rel_canonical is off")]
    Off,
    #[error("it names no page")]
    Refused(#[from] Refused),
    #[error("it leads to {0}, which is not a host of the shop")]
    OtherSite(String),
    #[error("it is the home page, and this page is not")]
    HomePage,
}

impl CanonicalRules {
    /// The name that `page` has by its own `rel=canonical`; `page` itself where
    /// it says so. `is_host` says which hosts are the shop's.
    pub fn rel_canonical(
        &self,
        page: &CanonicalUrl,
        references: &mut Resolver<'_>,
        href: &str,
        is_host: impl FnOnce(&str) -> bool,
    ) -> Result<CanonicalUrl, NotBelieved> {
        if !self.rel_canonical {
            return Err(NotBelieved::Off);
        }
        let named = references.resolve(href)?;
        if !is_host(named.host()) {
            return Err(NotBelieved::OtherSite(named.host().to_owned()));
        }
        let home = |url: &CanonicalUrl| url.path_and_query() == "/";
        if home(&named) && !home(page) {
            return Err(NotBelieved::HomePage);
        }
        Ok(named)
    }
}

//! What `trawler init` writes.

/// A commented configuration; its values are the defaults, but for the contact.
pub(crate) const TRAWLER_TOML: &str = include_str!("trawler.toml");

/// A commented pipe.
pub(crate) const EXAMPLE_PIPE: &str = include_str!("example-pipe.toml");

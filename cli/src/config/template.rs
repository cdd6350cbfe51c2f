//! What `trawler init` writes.

/// A commented configuration; its values are the defaults.
pub(crate) const TRAWLER_TOML: &str = include_str!("trawler.toml");

/// A commented pipe.
pub(crate) const EXAMPLE_PIPE: &str = include_str!("example-pipe.toml");

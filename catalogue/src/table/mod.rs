//! Data files: how they are written and read.

pub(crate) mod reader;
pub(crate) mod stats;
pub(crate) mod writer;

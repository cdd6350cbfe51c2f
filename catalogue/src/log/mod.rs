//! The Delta log: what is in it, how it is replayed, checkpointed and read.
//! Writing an entry is the business of [`crate::commit`].

pub(crate) mod action;
pub(crate) mod checkpoint;
pub(crate) mod delta_schema;
pub(crate) mod entry;
pub(crate) mod nested;
pub(crate) mod state;

//! What the frontier and the page book share on scratch disk: the keyed hash
//! of a URL ([`HashKey`]), a hash table in a file (`Table`), compressed and
//! checked blocks (`Packer`, `Unpacker`) in files that know their place in
//! a row (`Head`), and numbers in few bytes (`Wire`).
//!
//! Synchronous, without clock and network. It syncs nothing: what has to
//! outlive the machine is uploaded, and what is not uploaded yet is redone.

mod block;
mod error;
mod head;
mod key;
mod table;
mod wire;

pub(crate) use block::{
    BLOCK_HEADER_BYTES, BLOCK_RAW_MAX, Bad, BlockHeader, PLAIN_BELOW, Packer, Unpacker, digest,
    read_header,
};
pub use error::DiskError;
pub(crate) use head::{HEAD_BYTES, Head, extend, salt};
pub use key::HashKey;
pub(crate) use table::{Probe, SortedTable, Table};
pub(crate) use wire::{Wire, put_i64, put_u64};

//! What can be wrong with texts that are handed in: where, why, and what to do.

use thiserror::Error;

/// A table of facts that cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FactsError {
    #[error("{file} is no table of facts")]
    Toml {
        file: String,
        #[source]
        source: Box<toml::de::Error>,
    },
    #[error(
        "{file}: there is no fact {key:?}; the names are those of simulator/src/facts.toml, which trawler simulate --facts prints"
    )]
    Unknown { file: String, key: String },
    #[error("{file}: {key} is {value}; it has to be a number {wanted}")]
    Value {
        file: String,
        key: String,
        value: f64,
        wanted: &'static str,
    },
    #[error(
        "{file}: instance {name:?} is new and lacks {key}; give tier (\"crawl\" or \"image\"), cores, on_demand, spot and interruptions"
    )]
    Instance {
        file: String,
        name: String,
        key: &'static str,
    },
    #[error("{file}: no instance of tier {tier:?} is left; a fleet needs one of each")]
    NoInstance { file: String, tier: &'static str },
}

/// A trace that cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TraceError {
    #[error("{file} cannot be read as CSV")]
    Csv {
        file: String,
        #[source]
        source: Box<csv::Error>,
    },
    #[error(
        "{file}, line 1: there is no column {column:?}; a trace has pipe, at and seconds, and may have {optional}"
    )]
    Column {
        file: String,
        column: &'static str,
        optional: String,
    },
    #[error("{file}, line 1: column {column:?} is not known; a trace may have {known}")]
    UnknownColumn {
        file: String,
        column: String,
        known: String,
    },
    #[error("{file}, line {line}, column {column}: found {found:?}; give {wanted}")]
    Value {
        file: String,
        line: u64,
        column: &'static str,
        found: String,
        wanted: &'static str,
    },
    #[error("{file} has no run; a trace has a head line and a line for each run")]
    Empty { file: String },
    #[error("{file} spans {days} days; at most {max} are simulated, so cut it in parts")]
    Long { file: String, days: u64, max: u64 },
}

/// A bill that cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OldBillError {
    #[error("{file} cannot be read as CSV")]
    Csv {
        file: String,
        #[source]
        source: Box<csv::Error>,
    },
    #[error(
        "{file}, line 1: there is no column {column:?}; a bill has fleet, server, instances, type, purchase and usd_month, as infra/examples/old-bill.csv shows"
    )]
    Column { file: String, column: &'static str },
    #[error("{file}, line {line}, column {column}: found {found:?}; give {wanted}")]
    Value {
        file: String,
        line: u64,
        column: &'static str,
        found: String,
        wanted: &'static str,
    },
    #[error("{file} has no server; a bill has a head line and a line for each kind of server")]
    Empty { file: String },
}

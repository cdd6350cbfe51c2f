//! The template in `infra/`, the scripts beside it and its README: by tools
//! that nobody here wrote, by checks of our own for what those miss and for the
//! agreement with the code, and deployed on emulators.

#![allow(clippy::unwrap_used)]

// The journeys and the tests of adapters use the rest of them.
#[allow(dead_code)]
#[path = "../docs/tour.rs"]
mod tour;
#[allow(dead_code)]
#[path = "../cloud/wire.rs"]
mod wire;

mod alarms;
mod block;
mod boot;
mod calls;
mod day;
mod function;
mod groups;
mod launch;
mod lint;
mod machines;
mod metric_math;
mod network;
mod policy;
mod proxy;
mod queues;
mod readme;
mod rights;
mod simulated;
mod squid;
mod template;
mod tools;
mod unit;
mod wiring;

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn read(name: &str) -> String {
    let path = root().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

//! `trawler check`: everything that is wrong with the configuration and the
//! pipes, at once. Reaches nothing.

use std::path::Path;

use serde_json::json;

use super::{End, Misuse};
use crate::config::{self, Loaded};
use crate::output;

pub(crate) fn run(dir: &Path, as_json: bool) -> anyhow::Result<End> {
    let result = config::load(dir);
    if as_json {
        let errors = match &result {
            Ok(_) => Vec::new(),
            Err(errors) => errors
                .iter()
                .map(|error| {
                    json!({
                        "file": error.file, "line": error.line, "key": error.key,
                        "found": error.found, "allowed": error.allowed,
                    })
                })
                .collect(),
        };
        output::json(&json!({ "ok": errors.is_empty(), "errors": errors }))?;
        return Ok(if errors.is_empty() {
            End::Done
        } else {
            End::Misused
        });
    }
    let loaded = result.map_err(Misuse::config)?;
    println!(
        "{}: ok, {} pipe(s)",
        loaded.dir.display(),
        loaded.pipes.len()
    );
    for remark in remarks(&loaded) {
        println!("remark: {remark}");
    }
    Ok(End::Done)
}

fn remarks(loaded: &Loaded) -> Vec<String> {
    let mut remarks = Vec::new();
    if loaded.pipes.is_empty() {
        remarks.push("no pipe in pipes/: nothing will be collected".to_owned());
    }
    if loaded.config.net.contact.is_empty() {
        remarks.push(
            "net.contact is empty: partners cannot tell whom to ask about our requests".to_owned(),
        );
    }
    remarks
}

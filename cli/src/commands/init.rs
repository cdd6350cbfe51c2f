//! `trawler init`: writes a commented configuration and a commented pipe.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::json;

use crate::config::{EXAMPLE_PIPE, TRAWLER_TOML};
use crate::end::End;
use crate::output;

pub(crate) fn run(folder: &Path, as_json: bool) -> anyhow::Result<End> {
    let pipes = folder.join("pipes");
    fs::create_dir_all(&pipes).with_context(|| format!("create {}", pipes.display()))?;
    let files = [
        (folder.join("trawler.toml"), TRAWLER_TOML),
        (pipes.join("example.toml"), EXAMPLE_PIPE),
    ];
    for (path, text) in &files {
        write_new(path, text)?;
    }
    if as_json {
        output::json(
            &json!({ "written": files.iter().map(|(path, _)| path).collect::<Vec<_>>() }),
        )?;
    } else {
        for (path, _) in &files {
            say!("wrote {}", path.display());
        }
        say!(
            "\nNext: put your shop into pipes/, then\n  trawler -C {0} check\n  trawler -C {0} run --once",
            folder.display()
        );
    }
    Ok(End::Done)
}

/// Writes a file that must not exist: nobody's configuration is overwritten.
fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file
            .write_all(text.as_bytes())
            .with_context(|| format!("write {}", path.display())),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!(
                "{} exists already and was left as it is; choose another folder or edit it",
                path.display()
            )
        }
        Err(error) => Err(error).with_context(|| format!("create {}", path.display())),
    }
}

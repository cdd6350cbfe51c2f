//! `trawler check`: everything that is wrong with the configuration and the
//! pipes, at once. Reaches nothing.

use std::path::{Path, PathBuf};

use serde_json::json;
use trawler_core::pipe::{Egress, Pipe, Source};
use trawler_core::site::Render;
use trawler_crawler::feed::check_options;
use trawler_crawler::mappings::Mappings;
use trawler_crawler::render::find_chromium;
use trawler_crawler::site::crawl::check_site;
use trawler_net::NoFixedEgress;

use crate::compose;
use crate::config::{self, Config, ConfigError, Loaded};
use crate::end::{End, Misuse};
use crate::output;

pub(crate) fn run(dir: &Path, as_json: bool) -> anyhow::Result<End> {
    let result = config::load(dir).and_then(|mut loaded| {
        // Of a fleet's folder those that a push would publish.
        if loaded.config.is_fleet() && dir.join("pipes").is_dir() {
            let read = config::read_pipes(dir)?;
            loaded.pipes = read.into_iter().map(|read| read.pipe).collect();
        }
        let errors = deep_errors(&loaded);
        if errors.is_empty() {
            Ok(loaded)
        } else {
            Err(errors)
        }
    });
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
    say!(
        "{}: ok, {} pipe(s)",
        loaded.dir.display(),
        loaded.pipes.len()
    );
    for remark in remarks(&loaded) {
        say!("remark: {remark}");
    }
    Ok(End::Done)
}

/// What only those who use a setting can tell: character sets, mapping tables,
/// image variants, allowed hosts.
fn deep_errors(loaded: &Loaded) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let mut tell = |file: PathBuf, key: &str, finding: String| {
        errors.push(ConfigError::told(file, key, finding));
    };
    let config_file = loaded.dir.join("trawler.toml");
    if let Err(error) = compose::fetcher(&loaded.config, &[]) {
        tell(config_file.clone(), "net", error.to_string());
    }
    if let Err(error) = compose::studio(&loaded.config) {
        tell(config_file, "images.variants", error.to_string());
    }
    errors.extend(pipe_errors(&loaded.dir, &loaded.pipes));
    errors.extend(egress_errors(&loaded.config, &loaded.dir, &loaded.pipes));
    errors.extend(browser_error(loaded));
    errors
}

/// Where a pipe needs a browser there has to be one. A fleet's workers have
/// their own, of which nothing is known here.
fn browser_error(loaded: &Loaded) -> Option<ConfigError> {
    let needs = |pipe: &&Pipe| {
        let site = pipe.site.as_ref();
        site.is_some_and(|site| site.render == Render::Chromium)
    };
    let pipe = loaded.pipes.iter().find(needs)?;
    let named = loaded.config.workers.chromium.as_deref();
    let missing = find_chromium(named).err()?;
    let file = loaded.dir.join("pipes").join(format!("{}.toml", pipe.id));
    let tell = ConfigError::told(file, "site.render", missing.to_string());
    (!loaded.config.is_fleet()).then_some(tell)
}

/// What is wrong with the pipes of a folder besides their files, and with
/// their mapping tables.
pub(super) fn pipe_errors(dir: &Path, pipes: &[Pipe]) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let mut tell = |file: PathBuf, key: &str, finding: String| {
        errors.push(ConfigError::told(file, key, finding));
    };
    let mappings = Mappings::in_folder(dir.join("mappings"));
    for pipe in pipes {
        if let Err(error) = check_options(&pipe.reading()) {
            let file = dir.join("pipes").join(format!("{}.toml", pipe.id));
            tell(file, "feed", error.to_string());
        }
        if let Err(reason) = check_site(pipe) {
            let file = dir.join("pipes").join(format!("{}.toml", pipe.id));
            tell(file, "site", reason);
        }
        if let Err(error) = mappings.load(&pipe.id) {
            let found = anyhow::Error::from(error);
            tell(dir.join("mappings"), pipe.id.as_str(), format!("{found:#}"));
        }
    }
    errors
}

/// Pipes that want a fixed address where none is configured. One that a
/// machine finds in its environment counts: of that nothing is known here.
pub(super) fn egress_errors(config: &Config, dir: &Path, pipes: &[Pipe]) -> Vec<ConfigError> {
    if config.net.fixed_egress.is_some() {
        return Vec::new();
    }
    let wanting = pipes
        .iter()
        .filter(|pipe| pipe.fetch.egress == Egress::Fixed);
    let told = wanting.map(|pipe| {
        let file = dir.join("pipes").join(format!("{}.toml", pipe.id));
        let finding = NoFixedEgress::NotConfigured.to_string();
        ConfigError::told(file, "fetch.egress", finding)
    });
    told.collect()
}

fn remarks(loaded: &Loaded) -> Vec<String> {
    let mut remarks = Vec::new();
    if loaded.pipes.is_empty() && !loaded.config.is_fleet() {
        remarks.push("no pipe in pipes/: nothing will be collected".to_owned());
    }
    if loaded.config.net.contact.contains("example.com") {
        remarks.push("net.contact is still the example: put an address of yours there".to_owned());
    }
    if loaded.config.net.contact.is_empty() {
        remarks.push(
            "net.contact is empty: partners cannot tell whom to ask about our requests".to_owned(),
        );
    }
    remarks.extend(loaded.config.capacity.remark(&loaded.config.plan));
    remarks.extend(loaded.pipes.iter().filter_map(|pipe| {
        let Source::Inbox(source) = &pipe.source else {
            return None;
        };
        // Of a store elsewhere nothing is known here.
        let is_here = !loaded.config.is_fleet();
        let dir = loaded.store_dir().join("blobs").join(source.key_prefix());
        (is_here && !dir.is_dir()).then(|| {
            let (id, dir) = (&pipe.id, dir.display());
            format!("pipe {id}: nothing was uploaded yet; its inbox is {dir}")
        })
    }));
    remarks
}

//! The clients of the photo part, and how each is run.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{Collected, Order};
use crate::{case, peers};

/// The program of Node.js.
const NODE: &str = "node";

/// A collector that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    Trawler,
    Img2dataset,
    Sharp,
}

impl Client {
    const ALL: [Client; 3] = [Client::Trawler, Client::Img2dataset, Client::Sharp];

    pub(super) fn name(self) -> &'static str {
        match self {
            Client::Trawler => "Trawler",
            Client::Img2dataset => "img2dataset",
            Client::Sharp => "sharp",
        }
    }
}

/// What of the peers could be made ready: what runs each, or why not.
pub(super) struct Peers {
    python: Result<PathBuf, String>,
    sharp: Result<PathBuf, String>,
}

impl Peers {
    pub(super) fn prepare() -> Peers {
        let told = |error: anyhow::Error| format!("{error:#}");
        Peers {
            python: peers::python("img2dataset").map_err(told),
            sharp: peers::node("sharp", "collect.mjs").map_err(told),
        }
    }

    pub(super) fn missing(&self) -> Vec<(&'static str, String)> {
        let peers = [
            (Client::Img2dataset, &self.python),
            (Client::Sharp, &self.sharp),
        ];
        let missing = peers.into_iter().filter_map(|(client, ready)| {
            let why = ready.as_ref().err()?;
            Some((client.name(), why.clone()))
        });
        missing.collect()
    }

    pub(super) fn ready(&self) -> Vec<Client> {
        let missing = self.missing();
        let is_there = |client: &Client| missing.iter().all(|(name, _)| *name != client.name());
        Client::ALL.into_iter().filter(is_there).collect()
    }

    pub(super) fn collect(
        &self,
        client: Client,
        order: &Order,
        scratch: &Path,
    ) -> Result<Collected> {
        let ready = |peer: &Result<PathBuf, String>| peer.clone().map_err(anyhow::Error::msg);
        let (program, script) = match client {
            Client::Trawler => return case::collect_photos(order, scratch),
            Client::Img2dataset => {
                let script = peers::folder("img2dataset").join("collect.py");
                (ready(&self.python)?, script)
            }
            Client::Sharp => (PathBuf::from(NODE), ready(&self.sharp)?),
        };
        let folder = tempfile::tempdir_in(scratch).context("make a folder for the images")?;
        let arguments: Vec<OsString> = vec![
            script.into(),
            format!("{}/{}/{}", order.url, order.served.word(), order.side_px).into(),
            order.images.to_string().into(),
            folder.path().into(),
        ];
        peers::asked(client.name(), &program, arguments)
    }
}

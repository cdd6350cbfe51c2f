//! Why a page was not built.

use std::io;
use std::path::PathBuf;

use chromiumoxide::error::CdpError;

use super::find::NoChromium;

/// A page that was not built.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error(transparent)]
    NoChromium(#[from] NoChromium),
    #[error("start {path}: {why}")]
    Start {
        path: PathBuf,
        /// With the last words of the program.
        why: String,
    },
    #[error("open a way for the browser to the network")]
    Tunnel(#[source] io::Error),
    #[error("the page takes more than {mib_max} MiB of memory in a browser; it was ended")]
    Memory { mib_max: u64 },
    #[error("the page was not built after {wait_s} s; it was ended")]
    Time { wait_s: u64 },
    #[error("the scripts of the page brought more than {mib_max} MiB; it was ended")]
    Traffic { mib_max: u64 },
    #[error("the page made more than {asked_max} requests; it was ended")]
    Requests { asked_max: u32 },
    #[error("the page is larger than {bytes_max} bytes when it is built")]
    TooLarge { bytes_max: u64 },
    #[error("the browser ended while the page was built")]
    Ended,
    #[error("the browser cannot do what is asked of it")]
    Protocol(#[source] Box<CdpError>),
}

impl RenderError {
    /// Whether the page is at fault, so that trying it again costs the same
    /// for nothing.
    pub fn is_of_page(&self) -> bool {
        match self {
            Self::Memory { .. }
            | Self::Traffic { .. }
            | Self::Requests { .. }
            | Self::TooLarge { .. } => true,
            // A page that takes too long may be quicker on a machine that has
            // less to do.
            Self::Time { .. }
            | Self::NoChromium(_)
            | Self::Start { .. }
            | Self::Tunnel(_)
            | Self::Ended
            | Self::Protocol(_) => false,
        }
    }
}

impl From<CdpError> for RenderError {
    fn from(error: CdpError) -> Self {
        Self::Protocol(Box::new(error))
    }
}

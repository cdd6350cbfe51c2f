//! Logs to standard error: warnings and errors, of the roles of a fleet every
//! change of state, or what `TRAWLER_LOG` asks for (`info`,
//! `warn,trawler_crawler=debug`, ...).

use std::env;
use std::io::IsTerminal;

use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

const ASKED_BY: &str = "TRAWLER_LOG";

/// How much is told where `TRAWLER_LOG` says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loudness {
    Warnings,
    /// Changes of state, for those who read a journal.
    Journal,
    /// As warnings, but of the run itself nothing: a dry run's report says what it
    /// came to, and its lines would say that it really did.
    Report,
}

impl Loudness {
    fn filter(self) -> Targets {
        let warnings = Targets::new().with_default(LevelFilter::WARN);
        match self {
            Self::Warnings => warnings,
            // Every crate of ours begins so.
            Self::Journal => warnings.with_target("trawler", LevelFilter::INFO),
            Self::Report => warnings.with_target("trawler_crawler::collect", LevelFilter::OFF),
        }
    }
}

pub(crate) fn init(loudness: Loudness) {
    let asked = env::var(ASKED_BY).ok();
    let parsed = asked.as_deref().map(str::parse::<Targets>);
    let filter = match &parsed {
        Some(Ok(filter)) => filter.clone(),
        Some(Err(_)) | None => loudness.filter(),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_filter(filter);
    // A second call (tests in one process) keeps the first subscriber.
    let _ = tracing_subscriber::registry().with(lines).try_init();
    if let (Some(text), Some(Err(error))) = (asked, parsed) {
        tracing::warn!(
            "{ASKED_BY}={text:?} is not understood ({error}); write for example info or warn,trawler_crawler=debug"
        );
    }
}

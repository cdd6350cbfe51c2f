//! Logs to standard error: warnings and errors, or what `TRAWLER_LOG` asks
//! for (`info`, `warn,trawler_crawler=debug`, ...).

use std::env;

use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

const ASKED_BY: &str = "TRAWLER_LOG";

pub(crate) fn init() {
    let asked = env::var(ASKED_BY).ok();
    let parsed = asked.as_deref().map(str::parse::<Targets>);
    let filter = match &parsed {
        Some(Ok(filter)) => filter.clone(),
        Some(Err(_)) | None => Targets::new().with_default(LevelFilter::WARN),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_filter(filter);
    // A second call (tests in one process) keeps the first subscriber.
    let _ = tracing_subscriber::registry().with(lines).try_init();
    if let (Some(text), Some(Err(error))) = (asked, parsed) {
        tracing::warn!(
            "{ASKED_BY}={text:?} is not understood ({error}); warnings and errors are shown; write for example info or warn,trawler_crawler=debug"
        );
    }
}

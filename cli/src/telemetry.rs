//! Logs to standard error: warnings and errors, or what `TRAWLER_LOG` asks
//! for (`info`, `trawler_crawler=debug`, ...).

use tracing_subscriber::EnvFilter;

pub(crate) fn init() {
    let filter = EnvFilter::try_from_env("TRAWLER_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    // A second call (tests in one process) keeps the first subscriber.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .try_init();
}

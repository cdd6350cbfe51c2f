//! trawler-bench

//! trawler-local

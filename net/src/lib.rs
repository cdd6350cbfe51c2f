//! trawler-net

//! trawler-tests

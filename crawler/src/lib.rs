//! trawler-crawler

//! trawler-scheduler

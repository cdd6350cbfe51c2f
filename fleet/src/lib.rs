//! trawler-fleet

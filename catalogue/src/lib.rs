//! trawler-catalogue

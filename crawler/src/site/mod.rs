//! A partner's site: what it allows, what is on it, and the crawl of it.

pub mod robots;
pub mod robots_files;

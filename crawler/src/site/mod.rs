//! A partner's site: what it allows, what is on it, and the crawl of it.

pub mod book;
pub mod crawl;
pub mod disk;
pub mod frontier;
pub mod links;
pub mod listing;
pub mod robots;
pub mod robots_files;
pub mod sitemap;
pub mod url;

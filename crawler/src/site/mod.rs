//! What a crawl of a partner's site needs to know about the site itself.
//!
//! So far its robots file. The frontier, discovery and the pace of a crawl are
//! not here yet.

pub mod robots;

//! The nouns and the decisions of Trawler.
//!
//! Nothing here does IO, reads a clock or draws a random number: what the
//! outside world can do is named by the traits in [`ports`], and what Trawler
//! decides from it is a pure function beside the noun it is about. Everything
//! else in the workspace depends on this crate and this crate depends on none
//! of it.

pub mod blocked_images;
pub mod book;
pub mod boots;
pub mod dead;
pub mod decision;
pub mod drain;
pub mod edition;
pub mod environment;
pub mod feed;
pub mod feed_validators;
pub mod figures;
pub mod folds;
pub mod id;
pub mod image;
pub mod image_ended;
pub mod image_policy;
pub mod job;
pub mod job_log;
pub mod job_name;
pub mod judge;
pub mod ledger;
pub mod maintenance;
pub mod manifest;
pub mod open_runs;
pub mod past;
pub mod pause;
pub mod personal;
pub mod phash;
pub mod pipe;
pub mod pipe_set;
pub mod placeholder;
pub mod ports;
pub mod problem;
pub mod product;
pub mod raw_input;
pub mod recheck;
pub mod refetch;
pub mod removal;
pub mod reprocess;
pub mod restore;
pub mod run;
pub mod schedule;
pub mod secret;
pub mod site;
pub mod tenure;
pub mod upkeep;
pub mod verdict;
pub mod withheld;

pub use environment::Environment;
pub use id::{InvalidId, JobId, PipeId, QueueName, RunId, RunSeq};
pub use job_name::JobName;
pub use pipe_set::PipeSetId;

//! `Blobs`, `State` and the catalogue's object store on S3.
//!
//! ```text
//! s3://{bucket}/{prefix}/{environment}/blobs/      one object a blob
//!                                     /state/      one object a document
//!                                     /catalogue/  the Delta table
//! ```
//!
//! Exclusion is by conditional writes alone: `If-None-Match: *` where nothing
//! may be there, `If-Match` where the ETag must be the known one. S3 answers
//! 412 when the condition does not hold, 409 when another write of the object
//! is under way, and 404 to `If-Match` on what is not there (S3 User Guide,
//! "Conditional requests"). An answer that is lost leaves open whether the
//! write was made; a nonce in every write tells.

mod answer;
mod blobs;
mod bucket;
mod call;
mod catalogue;
mod create;
mod credentials;
mod endpoint;
mod error;
mod location;
mod options;
mod probe;
mod retry;
mod state;
mod steady;
mod upload;

pub use blobs::S3Blobs;
pub use catalogue::catalogue_store;
pub use create::{BucketFinding, create_bucket};
pub use error::S3OpenError;
pub use location::{InvalidLocation, S3Location};
pub use options::{S3Encryption, S3Options};
pub use state::S3State;

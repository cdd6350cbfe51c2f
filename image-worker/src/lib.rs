//! The image worker: from an image job to stored variants and one result.
//!
//! [`ImageWorker`] handles a job: conditional requests, one result object. The
//! pipeline under it is pure: [`Workbench::render`] takes bytes and variants and
//! gives back facts and encoded variants, or an [`ImageError`] that names what
//! was wrong and which [`trawler_core::image::ImageStatus`] it means. It does
//! no IO, reads no clock, and the same input always gives the same bytes.
//!
//! ```text
//! bytes ─> sniff ─> header, limits ─> strict decode ─> look ─> crop, resize ─> orient ─> colour ─> encode
//! ```
//!
//! [`Workbench::render_by`] does the same by a policy: which pictures are
//! placeholders and get no variants, and whether a damaged file is decoded as
//! far as it goes.
//!
//! Not here: which images are due (jobs name them), and what the catalogue says
//! of them afterwards (a fold of the crawler).

mod attempt;
mod colour;
mod decode;
mod encode;
mod error;
mod frame;
mod geometry;
mod inks;
mod jpeg;
mod layers;
mod limits;
mod look;
mod means;
mod orient;
mod phash;
mod picture;
mod recipe;
mod resample;
mod resize;
mod room;
mod sniff;
mod studio;
mod taps;
mod trial;
mod trim;
mod way;
mod workbench;
mod worker;

pub use error::ImageError;
pub use limits::Limits;
pub use orient::Orientation;
pub use recipe::{InvalidVariant, check_variants, key, original_key, recipe, spec_text, spec8};
pub use sniff::{Found, SourceFormat, sniff};
pub use studio::{CutOff, Seen, Studio};
pub use trial::{Trial, TrialReport, TrialVariant, try_image};
pub use workbench::{Facts, Refused, RenderedVariant, Rendition, Workbench};
pub use worker::{ImageWorker, ImageWorkerOptions};

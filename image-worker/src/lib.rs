//! The image worker: from a partner's bytes to stored variants.
//!
//! The pipeline is pure: [`Workbench::render`] takes bytes and variants and
//! gives back facts and encoded variants, or an [`ImageError`] that names what
//! was wrong and which [`trawler_core::image::ImageStatus`] it means. It does
//! no IO, reads no clock, and the same input always gives the same bytes.
//!
//! ```text
//! bytes ─> sniff ─> header, limits ─> strict decode ─> crop, resize ─> orient ─> colour ─> encode
//! ```
//!
//! Not here: download, storing, which images are due (jobs name them).

mod colour;
mod decode;
mod encode;
mod error;
mod exif;
mod geometry;
mod limits;
mod orient;
mod picture;
mod recipe;
mod resize;
mod sniff;
mod trial;
mod workbench;

pub use error::ImageError;
pub use limits::Limits;
pub use orient::Orientation;
pub use recipe::{InvalidVariant, check_variants, key, recipe, spec8, spec_text};
pub use sniff::{Found, SourceFormat, sniff};
pub use trial::{Trial, TrialReport, TrialVariant, try_image};
pub use workbench::{Facts, RenderedVariant, Rendition, Workbench};

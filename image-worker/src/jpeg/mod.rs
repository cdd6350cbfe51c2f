//! JPEG from bytes to planes, and back (ITU-T T.81, T.871).
//!
//! Decoded are baseline and progressive files of 8 bits with Huffman codes, in
//! any whole sampling, with one to four components; each component at its
//! stored size and, without a detour, at a half, a quarter and an eighth of
//! it. Strictly: a file whose structure, tables or data are not in order is an
//! error, and no sample is ever made up. Written are baseline files of 4:2:0.
//!
//! Leniently, on demand, the same decoder gives what is there of a damaged
//! file, and says how much that is: up to where its data breaks off, beyond it
//! from the next restart marker on, and of a progressive file the scans before
//! the one that breaks off.
//!
//! Not here: what the components mean (colours, orientation), which is for
//! `layers`; arithmetic, lossless, hierarchical and 12 bit coding, which are
//! refused by name.
//!
//! A progressive file that ends in good order after some of its scans is the
//! coarser whole picture that it then is, if each component had one: an
//! encoder may stop there, and nothing in the file says whether it did or
//! whether the rest was lost. Test:
//! `a_progressive_jpeg_that_ends_between_scans_is_a_coarser_whole`.

mod bits;
mod codes;
mod decoder;
mod encoder;
mod forward;
mod huffman;
mod idct;
mod plane;
mod progressive;
mod scan;
mod structure;
mod tables;
#[cfg(test)]
mod tests;

pub(crate) use decoder::{DECODED_PERCENT_MIN, Scratch, decode, decode_leniently};
pub(crate) use encoder::{Rows, encode};
pub(crate) use plane::{Plane, Scale};
pub(crate) use structure::{Coding, Structure};

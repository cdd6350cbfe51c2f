//! JPEG from bytes to planes, and back.

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

pub(crate) use decoder::{Scratch, decode};
pub(crate) use encoder::{Rows, encode};
pub(crate) use plane::{Plane, Scale};
pub(crate) use structure::{Coding, Structure};

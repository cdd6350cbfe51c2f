//! deflate, with or without the zlib wrapping.

use flate2::Decompress;

use super::inflate::inflate;
use super::{Output, Pushed};

/// deflate: zlib by the standard, raw by some servers; the first two bytes tell.
#[derive(Default)]
pub(crate) struct Deflate {
    head: Vec<u8>,
    inflater: Option<Decompress>,
    done: bool,
}

impl Deflate {
    pub(super) fn push(&mut self, input: &[u8], output: Output<'_>) -> Pushed {
        let joined;
        let mut input = input;
        if self.done || input.is_empty() {
            return Ok(());
        }
        if self.inflater.is_none() {
            self.head.extend_from_slice(input);
            let Some(&[method, check]) = self.head.first_chunk() else {
                return Ok(());
            };
            let sum = u16::from_be_bytes([method, check]);
            let zlib = method & 0x0f == 8 && sum.is_multiple_of(31);
            self.inflater = Some(Decompress::new(zlib));
            joined = std::mem::take(&mut self.head);
            input = &joined;
        }
        let inflater = self.inflater.as_mut().expect("made above");
        let (_, end) = inflate(inflater, input, "deflate", output)?;
        self.done = end;
        Ok(())
    }

    /// Whether its end was seen, or nothing at all.
    pub(super) fn is_finished(&self) -> bool {
        self.done || self.inflater.is_none() && self.head.is_empty()
    }
}

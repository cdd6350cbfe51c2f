//! Brotli (RFC 7932).

use brotli::enc::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};

use super::{DecodeFault, Output, PIECE_BYTES, Pushed};

/// Brotli.
pub(crate) struct BrotliBody {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    total: usize,
    begun: bool,
    done: bool,
}

impl Default for BrotliBody {
    fn default() -> Self {
        let alloc = StandardAlloc::default;
        Self {
            state: BrotliState::new(alloc(), alloc(), alloc()),
            total: 0,
            begun: false,
            done: false,
        }
    }
}

impl BrotliBody {
    pub(super) fn push(&mut self, input: &[u8], output: Output<'_>) -> Pushed {
        if self.done || input.is_empty() {
            return Ok(());
        }
        self.begun = true;
        let mut piece = vec![0; PIECE_BYTES];
        let (mut left, mut at) = (input.len(), 0);
        loop {
            let (mut room, mut gave) = (piece.len(), 0);
            let result = BrotliDecompressStream(
                &mut left,
                &mut at,
                input,
                &mut room,
                &mut gave,
                &mut piece,
                &mut self.total,
                &mut self.state,
            );
            if gave > 0 {
                output(&piece[..gave]).map_err(DecodeFault::Output)?;
            }
            match result {
                BrotliResult::NeedsMoreOutput => {}
                BrotliResult::NeedsMoreInput => return Ok(()),
                BrotliResult::ResultSuccess => {
                    self.done = true;
                    return Ok(());
                }
                BrotliResult::ResultFailure => {
                    let why = "its data is damaged".to_owned();
                    return Err(DecodeFault::Invalid("br", why));
                }
            }
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.done || !self.begun
    }
}

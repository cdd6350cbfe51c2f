//! zstd (RFC 8878) as a content coding (RFC 9659).

use zstd::stream::raw::{DParameter, InBuffer, Operation, OutBuffer};

use super::{DecodeFault, Output, PIECE_BYTES, Pushed};

/// RFC 9659 bounds the window of zstd as a content coding to 8 MiB (2^23).
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// zstd, of one or several frames.
pub(crate) struct ZstdBody {
    inner: zstd::stream::raw::Decoder<'static>,
    between_frames: bool,
}

impl ZstdBody {
    pub(super) fn new() -> Result<Self, String> {
        let text = |error: std::io::Error| error.to_string();
        let mut inner = zstd::stream::raw::Decoder::new().map_err(text)?;
        inner
            .set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))
            .map_err(text)?;
        Ok(Self {
            inner,
            between_frames: true,
        })
    }

    pub(super) fn push(&mut self, input: &[u8], output: Output<'_>) -> Pushed {
        if input.is_empty() {
            return Ok(());
        }
        let mut piece = vec![0; PIECE_BYTES];
        let mut source = InBuffer::around(input);
        loop {
            let full = {
                let mut out = OutBuffer::around(&mut piece);
                let hint = self
                    .inner
                    .run(&mut source, &mut out)
                    .map_err(|error| DecodeFault::Invalid("zstd", error.to_string()))?;
                self.between_frames = hint == 0;
                out.pos()
            };
            if full > 0 {
                output(&piece[..full]).map_err(DecodeFault::Output)?;
            }
            // A full buffer may leave more behind, but not at the end of a frame:
            // to ask once more there would be to begin another.
            let drained = full < PIECE_BYTES || self.between_frames;
            if source.pos() == input.len() && drained {
                return Ok(());
            }
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.between_frames
    }
}

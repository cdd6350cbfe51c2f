//! DEFLATE data piece by piece, for the two codings that hold it.

use flate2::{Decompress, FlushDecompress, Status};

use super::{DecodeFault, PIECE_BYTES};

/// Inflates until the input is used up or the stream ends; gives the number of
/// input bytes used and whether the end was reached.
pub(super) fn inflate(
    inflater: &mut Decompress,
    input: &[u8],
    coding: &'static str,
    output: &mut dyn FnMut(&[u8]) -> Result<(), ()>,
) -> Result<(usize, bool), DecodeFault<()>> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut used = 0;
    loop {
        let (in_before, out_before) = (inflater.total_in(), inflater.total_out());
        let status = inflater
            .decompress(&input[used..], &mut piece, FlushDecompress::None)
            .map_err(|error| DecodeFault::Invalid(coding, error.to_string()))?;
        let took = length(inflater.total_in() - in_before);
        let gave = length(inflater.total_out() - out_before);
        used += took;
        if gave > 0 {
            output(&piece[..gave]).map_err(DecodeFault::Output)?;
        }
        match status {
            Status::StreamEnd => return Ok((used, true)),
            Status::Ok | Status::BufError if took == 0 && gave == 0 => return Ok((used, false)),
            Status::Ok | Status::BufError => {}
        }
    }
}

fn length(count: u64) -> usize {
    usize::try_from(count).expect("a piece fits into memory")
}

//! The bytes of a sitemap: gzip removed, and bounded.

use std::cell::Cell;
use std::io::{self, Cursor, Read};
use std::rc::Rc;

use flate2::read::MultiGzDecoder;

use super::error::{Fault, SitemapError, of_io};

/// Layers of gzip. Some servers compress a `.gz` once more for the transfer and
/// do not say so.
const LAYERS_MAX: usize = 2;

/// Unpacked bytes for each packed one. Sitemaps compress 10 to 60 fold; a bomb
/// a thousandfold, twice over a millionfold.
const RATIO_MAX: u64 = 300;

/// Unpacked bytes that are not held against a file; a small one may repeat
/// itself.
const RATIO_FREE_BYTES: u64 = 4 << 20;

/// The file's bytes, unpacked. Every error carries a [`Fault`].
pub(super) fn open<'i>(
    input: impl Read + 'i,
    bytes_max: u64,
) -> Result<Box<dyn Read + 'i>, SitemapError> {
    let packed = Rc::new(Cell::new(0));
    let mut bytes: Box<dyn Read + 'i> = Box::new(Raw {
        input,
        count: Rc::clone(&packed),
    });
    let mut layers = 0;
    loop {
        let (is_gzip, whole) = peek(bytes).map_err(|error| of_io(&error, 0))?;
        bytes = whole;
        if !is_gzip {
            break;
        }
        if layers == LAYERS_MAX {
            let why = format!("it is packed more than {LAYERS_MAX} times");
            return Err(SitemapError::Corrupt { why });
        }
        layers += 1;
        bytes = Box::new(Unpacked(MultiGzDecoder::new(bytes)));
    }
    Ok(Box::new(Bounded {
        bytes,
        packed: (layers > 0).then_some(packed),
        count: 0,
        max: bytes_max,
    }))
}

/// Whether it begins as gzip does, and all of it.
fn peek<'i>(mut bytes: Box<dyn Read + 'i>) -> io::Result<(bool, Box<dyn Read + 'i>)> {
    const MAGIC: [u8; 2] = [0x1f, 0x8b];
    let mut start = Vec::with_capacity(MAGIC.len());
    bytes.by_ref().take(2).read_to_end(&mut start)?;
    let is_gzip = start == MAGIC;
    Ok((is_gzip, Box::new(Cursor::new(start).chain(bytes))))
}

/// What comes in.
struct Raw<R> {
    input: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Raw<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.input.read(into) {
            Ok(bytes) => {
                self.count.set(self.count.get() + bytes as u64);
                Ok(bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => Err(Fault::Input(error).into_io()),
        }
    }
}

/// Names the errors of the decompressor.
struct Unpacked<R>(R);

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into).map_err(|error| {
            let is_ours = error.get_ref().is_some_and(|inner| inner.is::<Fault>());
            match error.kind() {
                _ if is_ours => error,
                io::ErrorKind::Interrupted => error,
                io::ErrorKind::UnexpectedEof => Fault::Truncated.into_io(),
                _ => Fault::Corrupt(error.to_string()).into_io(),
            }
        })
    }
}

/// Holds the bounds.
struct Bounded<'i> {
    bytes: Box<dyn Read + 'i>,
    /// Where it is packed, what came in.
    packed: Option<Rc<Cell<u64>>>,
    count: u64,
    max: u64,
}

impl Read for Bounded<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.bytes.read(into)?;
        self.count += bytes as u64;
        if self.count > self.max {
            return Err(Fault::TooLarge { max: self.max }.into_io());
        }
        if let Some(packed) = &self.packed {
            let allowed = RATIO_FREE_BYTES.saturating_add(packed.get().saturating_mul(RATIO_MAX));
            if self.count > allowed {
                return Err(Fault::Bomb { max: RATIO_MAX }.into_io());
            }
        }
        Ok(bytes)
    }
}

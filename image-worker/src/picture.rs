//! Pixels in memory: 8 bits a channel, rows without padding.

use trawler_core::image::Colour;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    Rgb,
    /// While resizing the colours are multiplied with alpha, so that the
    /// colour of invisible pixels does not bleed in.
    Rgba,
}

impl Layout {
    pub(crate) fn channels(self) -> usize {
        match self {
            Self::Rgb => 3,
            Self::Rgba => 4,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) layout: Layout,
    pub(crate) data: Vec<u8>,
}

impl Picture {
    /// A picture whose pixels are to be written, in a buffer that is used
    /// again: bytes left over from earlier use are not cleared.
    pub(crate) fn in_buffer(width: u32, height: u32, layout: Layout, mut data: Vec<u8>) -> Self {
        data.resize(width as usize * height as usize * layout.channels(), 0);
        Self {
            width,
            height,
            layout,
            data,
        }
    }

    pub(crate) fn row_bytes(&self) -> usize {
        self.width as usize * self.layout.channels()
    }

    /// Drops an alpha channel that hides nothing; answers whether one stays.
    pub(crate) fn drop_idle_alpha(&mut self) -> bool {
        if self.layout == Layout::Rgb {
            return false;
        }
        if self.data.chunks_exact(4).any(|pixel| pixel[3] != u8::MAX) {
            return true;
        }
        let pixels = self.data.len() / 4;
        for pixel in 0..pixels {
            self.data.copy_within(pixel * 4..pixel * 4 + 3, pixel * 3);
        }
        self.data.truncate(pixels * 3);
        self.layout = Layout::Rgb;
        false
    }

    /// Lays the picture on a colour. Colours must not be multiplied with alpha.
    pub(crate) fn flatten_onto(&mut self, Colour(ground): Colour) {
        if self.layout == Layout::Rgb {
            return;
        }
        let pixels = self.data.len() / 4;
        for pixel in 0..pixels {
            let [r, g, b, a] = [0, 1, 2, 3].map(|c| u32::from(self.data[pixel * 4 + c]));
            for (channel, value) in [r, g, b].into_iter().enumerate() {
                let ground = u32::from(ground[channel]);
                let on_ground = (value * a + ground * (255 - a) + 127) / 255;
                self.data[pixel * 3 + channel] =
                    u8::try_from(on_ground).expect("a weighted mean of bytes is a byte");
            }
        }
        self.data.truncate(pixels * 3);
        self.layout = Layout::Rgb;
    }

    /// The picture in the middle of a box that it fits into; around it is the
    /// colour, or nothing.
    pub(crate) fn in_the_middle_of(
        self,
        (width, height): (u32, u32),
        ground: Option<Colour>,
    ) -> Self {
        if (self.width, self.height) == (width, height) {
            return self;
        }
        let mut out = Self::in_buffer(width, height, self.layout, Vec::new());
        match (ground, self.layout) {
            (Some(Colour(ground)), Layout::Rgb) => {
                let pixels = out.data.chunks_exact_mut(3);
                pixels.for_each(|pixel| pixel.copy_from_slice(&ground));
            }
            (Some(_), Layout::Rgba) | (None, _) => {}
        }
        let channels = self.layout.channels();
        let left = (width - self.width) as usize / 2 * channels;
        let top = (height - self.height) as usize / 2;
        let (from, to) = (self.row_bytes(), out.row_bytes());
        let rows = out.data.chunks_exact_mut(to).skip(top);
        for (out, row) in rows.zip(self.data.chunks_exact(from)) {
            out[left..left + from].copy_from_slice(row);
        }
        out
    }
}

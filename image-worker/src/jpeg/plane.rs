//! The samples of one component, at the size they were decoded to.

/// How small a picture is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scale {
    Whole,
    Half,
    Quarter,
    Eighth,
}

impl Scale {
    pub(crate) const ALL: [Self; 4] = [Self::Whole, Self::Half, Self::Quarter, Self::Eighth];

    /// The scale after so many halvings, or the smallest.
    pub(crate) fn of_halvings(halvings: u32) -> Self {
        Self::ALL[halvings.min(3) as usize]
    }

    pub(crate) fn halvings(self) -> u32 {
        self as u32
    }

    /// Samples of a block on a side.
    #[inline(always)]
    pub(crate) fn side(self) -> usize {
        8 >> self as u32
    }
}

#[derive(Debug)]
pub(crate) struct Plane {
    pub(crate) scale: Scale,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) data: Vec<u8>,
}

impl Plane {
    /// A plane of a component of `stored` samples, in a buffer that is used
    /// again. A last block that is not full may give a last sample that is
    /// not either; then it counts as one.
    pub(crate) fn new(
        stored: (usize, usize),
        scale: Scale,
        buffer: impl FnOnce(usize) -> Vec<u8>,
    ) -> Self {
        let (width, height) = (
            stored.0.div_ceil(1 << scale.halvings()),
            stored.1.div_ceil(1 << scale.halvings()),
        );
        let mut data = buffer(width * height);
        data.resize(width * height, 0);
        Self {
            scale,
            width,
            height,
            data,
        }
    }

    /// Writes the samples of a block; what sticks out is left away.
    #[inline(always)]
    pub(super) fn put<const SIDE: usize, const ALL: usize>(
        &mut self,
        across: usize,
        down: usize,
        samples: &[u8; ALL],
    ) {
        let (left, top) = (across * SIDE, down * SIDE);
        let at = top * self.width + left;
        let rows = samples.chunks_exact(SIDE);
        if left + SIDE <= self.width && top + SIDE <= self.height {
            let last = at + (SIDE - 1) * self.width + SIDE;
            let area = &mut self.data[at..last];
            for (row, out) in rows.zip(area.chunks_mut(self.width)) {
                out[..SIDE].copy_from_slice(row);
            }
        } else {
            self.put_cut(left, top, SIDE, samples);
        }
    }

    #[cold]
    fn put_cut(&mut self, left: usize, top: usize, side: usize, samples: &[u8]) {
        let (right, bottom) = ((left + side).min(self.width), (top + side).min(self.height));
        for (row, y) in samples.chunks_exact(side).zip(top..bottom) {
            let out = &mut self.data[y * self.width..][left.min(right)..right];
            out.copy_from_slice(&row[..out.len()]);
        }
    }

    /// Writes a block of one value.
    #[inline(always)]
    pub(super) fn fill(&mut self, across: usize, down: usize, value: u8) {
        match self.scale {
            Scale::Whole => self.put::<8, 64>(across, down, &[value; 64]),
            Scale::Half => self.put::<4, 16>(across, down, &[value; 16]),
            Scale::Quarter => self.put::<2, 4>(across, down, &[value; 4]),
            Scale::Eighth => self.put::<1, 1>(across, down, &[value]),
        }
    }
}

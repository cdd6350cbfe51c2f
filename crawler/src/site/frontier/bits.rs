//! One bit an item: whether it is done.

/// The bits; those never set are 0.
#[derive(Debug, Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    pub(super) fn get(&self, at: u64) -> bool {
        self.0
            .get((at / 64) as usize)
            .is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    /// Sets a bit; false if it was set.
    pub(super) fn set(&mut self, at: u64) -> bool {
        let word = (at / 64) as usize;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        let bit = 1 << (at % 64);
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }

    /// Whether all bits of a range are set.
    pub(super) fn all(&self, mut range: std::ops::Range<u64>) -> bool {
        range.all(|at| self.get(at))
    }
}

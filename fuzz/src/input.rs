//! Numbers out of a fuzzer's bytes.

/// The bytes that are left. When there are none, every number is 0.
#[derive(Debug)]
pub struct Input<'b>(&'b [u8]);

impl<'b> Input<'b> {
    /// Begins with all of them.
    pub fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    /// Returns whether there are none left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes all that is left.
    pub fn rest(&mut self) -> &'b [u8] {
        std::mem::take(&mut self.0)
    }

    /// Takes one byte.
    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&byte, rest)) => {
                self.0 = rest;
                byte
            }
            None => 0,
        }
    }

    /// Takes one byte, for a number less than `end` (at most 256).
    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    /// Takes a number that is small, or large, or near a power of two, more often than a fair one.
    pub fn number(&mut self) -> u64 {
        let shape = self.byte();
        let low = u64::from(self.byte());
        match shape >> 6 {
            0 => low,
            1 => low.wrapping_neg(),
            2 => (1_u64 << (shape & 63)).wrapping_add(low).wrapping_sub(128),
            _ => (0..7).fold(low, |n, _| n << 8 | u64::from(self.byte())),
        }
    }
}

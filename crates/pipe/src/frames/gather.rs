//! The bytes of a message that lie in several places.

use std::io::IoSlice;

use shmkit_atomic::copy::copy_slice;

/// What of a message is still to be copied.
pub(super) struct Gather<'p, 'b> {
    parts: &'p [IoSlice<'b>],
    /// How much of the first part has been copied.
    done: usize,
}

impl<'p, 'b> Gather<'p, 'b> {
    /// Returns the message and its length in bytes: the greatest number there is if it is greater.
    pub(super) fn of(parts: &'p [IoSlice<'b>]) -> (Self, usize) {
        let len = parts.iter().fold(0_usize, |len, part| len.saturating_add(part.len()));
        (Self { parts, done: 0 }, len)
    }

    /// Copies the next bytes to `to`, of which there must be as many.
    pub(super) fn copy_to(&mut self, mut to: &mut [u8]) {
        while !to.is_empty() {
            let Some((first, rest)) = self.parts.split_first() else {
                unreachable!("a message has as many bytes as its parts");
            };
            let from = &first[self.done..];
            let count = from.len().min(to.len());
            let (now, later) = to.split_at_mut(count);
            copy_slice(&from[..count], now);
            to = later;
            self.done += count;
            if self.done == first.len() {
                (self.parts, self.done) = (rest, 0);
            }
        }
    }
}

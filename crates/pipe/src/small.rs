//! Items that fit beside a position.

use bytemuck::{bytes_of, bytes_of_mut};
use shmkit_layout::ShmSafe;

use crate::RawEnd;
use crate::raw::COPIED;

/// Words that an item takes as a copy; 0 if it is too large for one.
const fn words<T>() -> usize {
    let words = size_of::<T>().div_ceil(8);
    if words <= COPIED { words } else { 0 }
}

/// Copies the item that is published next, if it is small and the receiver wants it.
#[inline(always)]
pub(crate) fn copy<T: ShmSafe>(end: &RawEnd<'_, true>, value: &T) {
    if words::<T>() != 0 && end.wants_copy() {
        let mut copy = [0_u64; COPIED];
        bytes_of_mut(&mut copy)[..size_of::<T>()].copy_from_slice(bytes_of(value));
        end.copy(&copy[..words::<T>()]);
    }
}

/// Reads the next item, which must be ready, from its copy, if it has one.
#[inline(always)]
pub(crate) fn read<T: ShmSafe>(end: &RawEnd<'_, false>) -> Option<T> {
    let mut copy = [0_u64; COPIED];
    if words::<T>() == 0 || !end.read_copy(&mut copy[..words::<T>()]) {
        return None;
    }
    let mut value = T::zeroed();
    bytes_of_mut(&mut value).copy_from_slice(&bytes_of(&copy)[..size_of::<T>()]);
    Some(value)
}

//! What vectors, deques and strings have in common: elements in one block of a heap, under one lock.

mod block;
mod change;
mod element;
mod frame;
mod held;
mod store;

use core::ops::{Bound, Range, RangeBounds};

use shmkit_layout::ShmSafe;

pub(crate) use self::element::Element;
pub(crate) use self::frame::SeqFrame;
pub(crate) use self::held::Held;
pub(crate) use self::store::Store;

/// The elements that bytes are, which are aligned for them if there are any.
#[inline]
pub(crate) fn typed<T: ShmSafe>(bytes: &[u8]) -> &[T] {
    if bytes.is_empty() { &[] } else { bytemuck::cast_slice(bytes) }
}

/// As above, to be written to.
pub(crate) fn typed_mut<T: ShmSafe>(bytes: &mut [u8]) -> &mut [T] {
    if bytes.is_empty() { &mut [] } else { bytemuck::cast_slice_mut(bytes) }
}

/// The range that bounds mean, which may be none of these elements.
pub(crate) fn range_of(range: &impl RangeBounds<usize>, len: usize) -> Range<usize> {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(end) => end.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => len,
    };
    start..end
}

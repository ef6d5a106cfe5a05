//! Copies of many bytes, at the speed of memory wherever both ends lie.
//!
//! The C library copies more than some 2 KiB by one instruction (`rep movsb`) where the processor says that it is fast. On
//! AMD's Zen 3 and 4 it takes up to twenty times as long where the target begins a little further in its page than the source
//! in its own: which of two buffers is which decides the allocator. (glibc's bug 30994; since 2.41 it does without the
//! instruction there.) What lies in shared memory has a place of its own in a page, mostly a header behind its beginning, and
//! so meets this often. Such a copy is made in blocks that are short enough for ordinary instructions, and as fast as others.

use core::ptr;

/// Bytes of a block: fewer than those from which on the C library uses the instruction.
const BLOCK: usize = 2048;
/// Pages, as that instruction sees them.
const PAGE: usize = 4096;
/// How far behind the source, in the page, a target begins that is slow to be reached.
const NEAR: usize = 128;

/// Returns how many bytes of a copy of `len` bytes are to be copied at a time: all, mostly. At least 1, if `len` is.
#[inline(always)]
pub fn block(from: *const u8, to: *const u8, len: usize) -> usize {
    if !cfg!(target_arch = "x86_64") || len <= BLOCK {
        return len;
    }
    let apart = to.addr().wrapping_sub(from.addr()) % PAGE;
    if apart.wrapping_sub(1) < NEAR { BLOCK } else { len }
}

/// Copies `count` values, as [`ptr::copy_nonoverlapping`] does.
///
/// # Safety
///
/// As for [`ptr::copy_nonoverlapping`].
#[inline]
pub unsafe fn copy<T>(from: *const T, to: *mut T, count: usize) {
    let (mut from, mut to, mut left) = (from.cast::<u8>(), to.cast::<u8>(), count * size_of::<T>());
    let block = block(from, to, left);
    while left > block {
        // SAFETY: `left` bytes are there at both, which do not overlap (the caller).
        unsafe { ptr::copy_nonoverlapping(from, to, block) };
        (from, to, left) = (from.wrapping_add(block), to.wrapping_add(block), left - block);
    }
    // SAFETY: as above.
    unsafe { ptr::copy_nonoverlapping(from, to, left) };
}

/// Copies a slice, as [`copy_from_slice`](slice::copy_from_slice) does.
///
/// # Panics
///
/// If they are of different lengths.
#[inline]
pub fn copy_slice<T: Copy>(from: &[T], to: &mut [T]) {
    assert_eq!(from.len(), to.len(), "a copy is as long as what is copied");
    // SAFETY: so many values are there at both, and what is borrowed as mutable is elsewhere.
    unsafe { copy(from.as_ptr(), to.as_mut_ptr(), to.len()) };
}

/// Adds a copy of a slice to a vector, as [`Vec::extend_from_slice`] does.
#[inline]
pub fn append<T: Copy>(from: &[T], to: &mut Vec<T>) {
    to.reserve(from.len());
    let (room, len) = (to.spare_capacity_mut().as_mut_ptr().cast(), to.len() + from.len());
    // SAFETY: there is room for so many values, and what is borrowed as mutable is elsewhere.
    unsafe { copy(from.as_ptr(), room, from.len()) };
    // SAFETY: so many values are there now.
    unsafe { to.set_len(len) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_whole_wherever_it_begins_and_ends() {
        let from: Vec<u8> = (0..3 * PAGE).map(|i| (i * 7 % 251) as u8).collect();
        for len in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 3, 9000] {
            for at in [0, 1, 8, 63, 64, NEAR - 1, NEAR, NEAR + 1, PAGE - 1] {
                let mut to = vec![0xff; 4 * PAGE];
                copy_slice(&from[3..3 + len], &mut to[at..at + len]);
                assert_eq!(to[at..at + len], from[3..3 + len], "{len} bytes to {at}");
                assert!(to[..at].iter().chain(&to[at + len..]).all(|&byte| byte == 0xff));
                let mut more = vec![5; at];
                append(&from[3..3 + len], &mut more);
                assert_eq!((&more[..at], &more[at..]), (&vec![5; at][..], &from[3..3 + len]));
            }
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn only_what_the_processor_is_slow_at_is_cut_up() {
        let at = |apart: usize, len| {
            block(ptr::without_provenance(PAGE), ptr::without_provenance(5 * PAGE + apart), len)
        };
        assert_eq!(
            [0, 1, NEAR, NEAR + 1, PAGE - 1].map(|apart| at(apart, 9000)),
            [9000, BLOCK, BLOCK, 9000, 9000]
        );
        assert_eq!(at(1, BLOCK), BLOCK);
        assert_eq!(at(1, 7), 7);
    }
}

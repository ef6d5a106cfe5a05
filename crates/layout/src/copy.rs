//! Copies to and from bytes that others may write to at this moment.
//!
//! To the language a copy is a sequence of relaxed atomic accesses, one for each word, and all words of a value have one
//! width: a plain copy beside another process's store would be a race, and so undefined. A loop of such accesses takes up
//! to seven times as long as `memcpy`, for no compiler joins them. So what is longer than a few words is copied by
//! `memcpy` itself, called from an assembly block: to the compiler it is an unknown piece of machine code that is allowed
//! what that loop is allowed, and it does no more: it moves bytes from there to here. Neither says in which order, and whether
//! a value is whole is the business of whoever gives the right to it.

use core::slice;

use bytemuck::{bytes_of, bytes_of_mut};
use shmkit_atomic::Ordering::Relaxed;
#[cfg(all(target_arch = "x86_64", not(miri)))]
use shmkit_atomic::copy::block;
use shmkit_atomic::{AtomicU8, AtomicU32, AtomicU64};

use crate::{Shared, ShmSafe};

/// From how many bytes on a copy is a call.
const LONG: usize = 128;

/// Copies a value out, word by word.
///
/// # Safety
///
/// `from` must be aligned, and valid for reads; whoever writes there does so atomically.
#[inline]
pub unsafe fn copy_out<T: ShmSafe>(from: *const T, value: &mut T) {
    let bytes = bytes_of_mut(value);
    if size_of::<T>() >= LONG && CALLS {
        // SAFETY: both are valid for a `T` (the caller), and `value` is ours alone, and so elsewhere.
        unsafe { call(bytes.as_mut_ptr(), from.cast(), bytes.len()) };
        return;
    }
    // Relaxed, all: what orders a value is how its reader learned of it.
    match width::<T>() {
        8 => {
            // SAFETY: the caller's promises.
            let words = unsafe { words::<T, AtomicU64>(from) };
            for (to, word) in bytes.chunks_exact_mut(8).zip(words) {
                to.copy_from_slice(&word.load(Relaxed).to_ne_bytes());
            }
        }
        4 => {
            // SAFETY: as above.
            let words = unsafe { words::<T, AtomicU32>(from) };
            for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
                to.copy_from_slice(&word.load(Relaxed).to_ne_bytes());
            }
        }
        _ => {
            // SAFETY: as above.
            let words = unsafe { words::<T, AtomicU8>(from) };
            for (to, word) in bytes.iter_mut().zip(words) {
                *to = word.load(Relaxed);
            }
        }
    }
}

/// Copies a value in, word by word.
///
/// # Safety
///
/// `to` must be aligned, and valid for writes; whoever else accesses it does so atomically.
#[inline]
pub unsafe fn copy_in<T: ShmSafe>(to: *mut T, value: &T) {
    let bytes = bytes_of(value);
    if size_of::<T>() >= LONG && CALLS {
        // SAFETY: both are valid for a `T`, and apart: nobody has a reference to what lies at `to` (the caller).
        unsafe { call(to.cast(), bytes.as_ptr(), bytes.len()) };
        return;
    }
    // Relaxed, all: what orders a value is how its reader learns of it.
    match width::<T>() {
        8 => {
            // SAFETY: the caller's promises.
            let words = unsafe { words::<T, AtomicU64>(to) };
            for (from, word) in bytes.as_chunks().0.iter().zip(words) {
                word.store(u64::from_ne_bytes(*from), Relaxed);
            }
        }
        4 => {
            // SAFETY: as above.
            let words = unsafe { words::<T, AtomicU32>(to) };
            for (from, word) in bytes.as_chunks().0.iter().zip(words) {
                word.store(u32::from_ne_bytes(*from), Relaxed);
            }
        }
        _ => {
            // SAFETY: as above.
            let words = unsafe { words::<T, AtomicU8>(to) };
            for (from, word) in bytes.iter().zip(words) {
                word.store(*from, Relaxed);
            }
        }
    }
}

/// Copies bytes out, one by one.
///
/// # Safety
///
/// `from` must be valid for reads of as many bytes as `to` has; whoever writes there does so atomically, byte by byte.
pub(crate) unsafe fn bytes_out(from: *const u8, to: &mut [u8]) {
    if to.len() >= LONG && CALLS {
        // SAFETY: both are valid for so many bytes (the caller), and `to` is ours alone, and so elsewhere.
        unsafe { call(to.as_mut_ptr(), from, to.len()) };
        return;
    }
    // SAFETY: the caller's promises; a byte is aligned everywhere.
    let bytes = unsafe { slice::from_raw_parts(from.cast::<AtomicU8>(), to.len()) };
    for (to, byte) in to.iter_mut().zip(bytes) {
        // Relaxed: as above.
        *to = byte.load(Relaxed);
    }
}

/// Copies bytes out, in words of eight of which the last one may be used in part.
///
/// # Safety
///
/// `from` must be aligned to eight bytes, and valid for reads of as many as `to` has, rounded up to eight; whoever writes there
/// does so atomically, in such words.
#[inline]
pub(crate) unsafe fn words_out(from: *const u8, to: &mut [u8]) {
    if to.len() >= LONG && CALLS {
        // SAFETY: both are valid for so many bytes (the caller), and `to` is ours alone, and so elsewhere.
        unsafe { call(to.as_mut_ptr(), from, to.len()) };
        return;
    }
    // SAFETY: the caller's promises.
    let words: &[AtomicU64] = unsafe { slice::from_raw_parts(from.cast(), to.len().div_ceil(8)) };
    let mut words = words.iter();
    let (whole, rest) = to.as_chunks_mut();
    // Relaxed, both: as above.
    for (to, word) in whole.iter_mut().zip(&mut words) {
        *to = word.load(Relaxed).to_ne_bytes();
    }
    if let Some(last) = words.next() {
        rest.copy_from_slice(&last.load(Relaxed).to_ne_bytes()[..rest.len()]);
    }
}

/// Copies bytes in, in words of eight of which the last one is filled up with zeros.
///
/// # Safety
///
/// `to` must be aligned to eight bytes, and valid for writes of as many as `from` has, rounded up to eight; whoever else accesses
/// them does so atomically, in such words.
#[inline]
pub(crate) unsafe fn words_in(to: *mut u8, from: &[u8]) {
    let count = if from.len() >= LONG && CALLS {
        let whole = from.len() / 8 * 8;
        // SAFETY: both are valid for so many bytes, and apart: nobody has a reference to what lies at `to` (the caller).
        unsafe { call(to, from.as_ptr(), whole) };
        whole
    } else {
        0
    };
    // SAFETY: in the bytes that `to` is valid for (the caller).
    let rest = unsafe { to.add(count) };
    let from = &from[count..];
    // SAFETY: the caller's promises; `count` is a multiple of eight.
    let words: &[AtomicU64] = unsafe { slice::from_raw_parts(rest.cast(), from.len().div_ceil(8)) };
    let mut words = words.iter();
    let (whole, rest) = from.as_chunks();
    // Relaxed, both: as above.
    for (from, word) in whole.iter().zip(&mut words) {
        word.store(u64::from_ne_bytes(*from), Relaxed);
    }
    if let Some(last) = words.next() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        last.store(u64::from_ne_bytes(word), Relaxed);
    }
}

/// Copies bytes in, one by one.
///
/// # Safety
///
/// `to` must be valid for writes of as many bytes as `from` has; whoever else accesses them does so atomically, byte by
/// byte.
#[inline]
pub(crate) unsafe fn bytes_in(to: *mut u8, from: &[u8]) {
    if from.len() >= LONG && CALLS {
        // SAFETY: both are valid for so many bytes, and apart: nobody has a reference to what lies at `to` (the caller).
        unsafe { call(to, from.as_ptr(), from.len()) };
        return;
    }
    // SAFETY: the caller's promises; a byte is aligned everywhere.
    let bytes = unsafe { slice::from_raw_parts(to.cast::<AtomicU8>(), from.len()) };
    for (from, byte) in from.iter().zip(bytes) {
        // Relaxed: as above.
        byte.store(*from, Relaxed);
    }
}

/// Borrows the words `W` that the `T` at `at` consists of.
///
/// # Safety
///
/// `at` must be aligned and valid for a `T`, and accessed atomically by all during `'a`; `W` is of its [`width`].
unsafe fn words<'a, T: ShmSafe, W: Shared>(at: *const T) -> &'a [W] {
    // SAFETY: aligned, since the alignment of `T` is at least that of `W` (`width`), as long as the value, and accessed
    // atomically (the caller).
    unsafe { slice::from_raw_parts(at.cast(), size_of::<T>() / size_of::<W>()) }
}

/// Bytes of the words in which a `T` is copied: of one width only, which follows from the type, because accesses of
/// two widths to the same bytes would be a race.
const fn width<T>() -> usize {
    match (align_of::<T>(), size_of::<T>()) {
        (8.., size) if size.is_multiple_of(8) => 8,
        (4.., size) if size.is_multiple_of(4) => 4,
        _ => 1,
    }
}

/// Whether there is a [`call`] here. Miri runs no assembly.
const CALLS: bool = cfg!(all(target_arch = "x86_64", not(miri)));

/// Calls `memcpy` without telling the compiler that it does.
///
/// # Safety
///
/// As for `memcpy`, except that others may access the bytes atomically.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline]
unsafe fn call(to: *mut u8, from: *const u8, bytes: usize) {
    unsafe extern "C" {
        /// Of the C library, or of `compiler_builtins` where there is none: the language needs it anyway.
        fn memcpy(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8;
    }
    let (block, mut at) = (block(from, to, bytes), 0);
    while at < bytes {
        // SAFETY: a call by the C convention, with the stack aligned for one, as it is at the beginning of each block; what
        // it may change is named, and lies in what the caller promises. It does to memory what a loop of relaxed atomic
        // accesses may do (see above).
        unsafe {
            core::arch::asm!(
                "call {memcpy}",
                memcpy = sym memcpy,
                inout("rdi") to.wrapping_add(at) => _,
                inout("rsi") from.wrapping_add(at) => _,
                inout("rdx") block.min(bytes - at) => _,
                clobber_abi("C"),
            );
        }
        at += block;
    }
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
unsafe fn call(_: *mut u8, _: *const u8, _: usize) {
    unreachable!("there are no calls here");
}

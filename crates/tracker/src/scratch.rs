//! Memory from the kernel itself: for who may not allocate.

use std::num::NonZeroUsize;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// So many values of a plain type, zeros at first.
#[derive(Debug)]
pub(crate) struct Scratch<T: Plain> {
    base: Option<NonNull<T>>,
    len: usize,
}

/// A type of which every pattern of bits is a value, and that has no holes.
///
/// # Safety
///
/// It is as said.
pub(crate) unsafe trait Plain: Copy {}

// SAFETY: numbers.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl<const N: usize> Plain for [u8; N] {}

impl<T: Plain> Scratch<T> {
    pub(crate) fn new(len: usize) -> Result<Self, Errno> {
        let bytes = len.checked_mul(size_of::<T>()).ok_or(Errno::ENOMEM)?;
        let Some(bytes) = NonZeroUsize::new(bytes) else { return Ok(Self { base: None, len: 0 }) };
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: anywhere, private.
        let base = unsafe { mmap_anonymous(None, bytes, access, MapFlags::MAP_PRIVATE) }?;
        Ok(Self { base: Some(base.cast()), len })
    }

    /// All of it.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        let len = self.len * size_of::<T>();
        let base = self.base.map_or(NonNull::dangling(), NonNull::cast);
        // SAFETY: our mapping of so many bytes, borrowed with us; every byte is a value.
        unsafe { std::slice::from_raw_parts_mut(base.as_ptr(), len) }
    }

    fn base(&self) -> NonNull<T> {
        self.base.unwrap_or(NonNull::dangling())
    }
}

impl<T: Plain> Deref for Scratch<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: our mapping of so many values, at the start of a page, borrowed with us.
        unsafe { std::slice::from_raw_parts(self.base().as_ptr(), self.len) }
    }
}

impl<T: Plain> DerefMut for Scratch<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.base().as_ptr(), self.len) }
    }
}

impl<T: Plain> Drop for Scratch<T> {
    fn drop(&mut self) {
        if let Some(base) = self.base {
            // SAFETY: our mapping, of this length, that nobody borrows any more.
            let _ = unsafe { munmap(base.cast(), self.len * size_of::<T>()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_zeros_and_may_be_nothing() {
        let mut numbers = Scratch::<u32>::new(5000).unwrap();
        assert!(numbers.iter().all(|&n| n == 0) && numbers.len() == 5000);
        numbers[4999] = 7;
        assert_eq!(numbers.bytes().len(), 20_000);
        let mut none = Scratch::<[u8; 256]>::new(0).unwrap();
        assert!(none.is_empty() && none.bytes().is_empty());
        assert!(Scratch::<u32>::new(usize::MAX).is_err());
    }
}

//! Bytes to put cells into.

use core::ptr::NonNull;

use shmkit_layout::{Object, Region};

/// Zeroed bytes that stand for a mapping.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Memory<const N: usize = 4096>([u8; N]);

impl<const N: usize> Memory<N> {
    pub(crate) fn new() -> Self {
        Self([0; N])
    }

    /// All bytes, for as long as they are borrowed.
    pub(crate) fn region(&mut self) -> Region<'_> {
        // SAFETY: the bytes are borrowed mutably for as long as the region.
        unsafe { Region::from_raw_parts(NonNull::from(&mut self.0).cast(), N) }
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// Makes an object in fresh bytes.
pub(crate) fn make<K, O: Object<K>>(region: Region<'_>, spec: impl Into<O::Spec>, keeper: K) -> O {
    // SAFETY: each test gives a fresh, zeroed memory that nobody else uses.
    unsafe { O::init(region, spec.into(), keeper) }.unwrap()
}

/// The same object as another participant has it.
pub(crate) fn attach<K, O: Object<K>>(region: Region<'_>, len: u64, keeper: K) -> O {
    // SAFETY: each test made the object in these bytes, of this type.
    unsafe { O::attach(region, len, keeper) }.unwrap()
}

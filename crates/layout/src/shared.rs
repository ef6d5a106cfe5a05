//! What may be borrowed while other processes write to it.

/// Types that may be borrowed in place in a region that other processes write to.
///
/// All zero bytes are a new one: a fresh region holds unlocked mutexes and empty rings.
///
/// # Safety
///
/// The type must be `repr(C)` or `repr(transparent)`; consist of atomics and of other `Shared` types only (padding is
/// fine), so that every access through `&self` is atomic; hold no pointer or handle; and be valid for every bit
/// pattern, since the process at the other end may be wrong.
pub unsafe trait Shared: Sync {}

#[cfg(not(loom))]
macro_rules! atomics {
    ($($atomic:ident)*) => {$(
        // SAFETY: one atomic number, for which every bit pattern is valid.
        unsafe impl Shared for shmkit_atomic::$atomic {}
    )*};
}

#[cfg(not(loom))]
atomics!(AtomicU8 AtomicU16 AtomicU32 AtomicU64 AtomicI8 AtomicI16 AtomicI32 AtomicI64);
#[cfg(not(loom))]
atomics!(AtomicUsize AtomicIsize);

// SAFETY: its elements one after the other.
unsafe impl<T: Shared, const N: usize> Shared for [T; N] {}

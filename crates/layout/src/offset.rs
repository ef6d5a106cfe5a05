//! Typed byte offsets, the pointers of a shared region.

use core::error::Error;
use core::fmt;
use core::marker::PhantomData;

/// The place of a `T` inside a region, in bytes from the region's base.
///
/// An `Offset` means the same thing in every process that maps the region; a pointer does not. It is `u64` on every
/// target, so that 32- and 64-bit processes agree on the layout.
#[repr(transparent)]
pub struct Offset<T> {
    /// Bytes from the base; a multiple of `align_of::<T>()`.
    bytes: u64,
    _type: PhantomData<fn() -> T>,
}

impl<T> Offset<T> {
    /// The base of a region.
    pub const ZERO: Self = Self { bytes: 0, _type: PhantomData };

    /// Makes an offset from a number of bytes.
    ///
    /// # Errors
    ///
    /// [`OffsetError::Misaligned`] if `bytes` is not a multiple of `align_of::<T>()`.
    pub const fn new(bytes: u64) -> Result<Self, OffsetError> {
        let align = align_of::<T>() as u64;
        if !bytes.is_multiple_of(align) {
            return Err(OffsetError::Misaligned { bytes, align });
        }
        Ok(Self { bytes, _type: PhantomData })
    }

    /// Returns the offset in bytes.
    pub const fn get(self) -> u64 {
        self.bytes
    }
}

impl<T> Clone for Offset<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Offset<T> {}

impl<T> PartialEq for Offset<T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<T> Eq for Offset<T> {}

impl<T> fmt::Debug for Offset<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Offset({:#x})", self.bytes)
    }
}

/// Returns the least multiple of `align` that is at least `bytes`, or `None` if it does not fit in 64 bits.
///
/// `align` must not be 0.
pub const fn align_up(bytes: u64, align: u64) -> Option<u64> {
    bytes.checked_next_multiple_of(align)
}

/// Why bytes in a region cannot be used as a `T`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OffsetError {
    /// The offset, or the address it leads to, is not a multiple of the type's alignment.
    Misaligned {
        /// The offset, in bytes.
        bytes: u64,
        /// The alignment asked for, in bytes.
        align: u64,
    },
    /// The object would end past the end of the region.
    OutOfBounds {
        /// One past the object's last byte.
        end: u64,
        /// The region's length, in bytes.
        len: u64,
    },
}

impl fmt::Display for OffsetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Misaligned { bytes, align } => {
                write!(f, "offset {bytes:#x} does not lead to a multiple of {align} bytes")
            }
            Self::OutOfBounds { end, len } => {
                write!(f, "the object ends at byte {end}, past the region's {len} bytes")
            }
        }
    }
}

impl Error for OffsetError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misaligned_is_refused() {
        let error = Offset::<u32>::new(6).unwrap_err();
        assert_eq!(error, OffsetError::Misaligned { bytes: 6, align: 4 });
    }

    #[test]
    fn aligning_does_not_wrap() {
        assert_eq!(align_up(1, 128), Some(128));
        assert_eq!(align_up(128, 128), Some(128));
        assert_eq!(align_up(u64::MAX - 1, 128), None);
    }
}

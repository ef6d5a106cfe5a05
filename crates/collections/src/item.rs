//! What keys and values can be.

use shmkit_layout::{ShmSafe, TypeTag};

use crate::MapError;

/// What a key or a value can be: any [`ShmSafe`] type, `[u8]`, or `str`; with the feature `serde`, anything that can be
/// serialised, in a [`Postcard`](crate::Postcard).
///
/// Keys are the same if their bytes are. So of floats `0.0` and `-0.0` are two keys, and a NaN is one.
pub trait Item: sealed::Sealed {
    /// What is read: a copy.
    type Owned;

    /// Names the type to other processes.
    const TAG: TypeTag;

    /// Its bytes: where they are, or made of it.
    #[doc(hidden)]
    type Bytes<'a>: AsRef<[u8]>
    where
        Self: 'a;

    /// Returns its bytes, if it has any.
    #[doc(hidden)]
    fn bytes(&self) -> Result<Self::Bytes<'_>, MapError>;

    /// Makes a copy of bytes, if they are one.
    #[doc(hidden)]
    fn copied(bytes: &[u8]) -> Option<Self::Owned>;
}

mod sealed {
    /// Keeps the set of items closed.
    pub trait Sealed {}
    impl<T: shmkit_layout::ShmSafe> Sealed for T {}
    impl Sealed for [u8] {}
    impl Sealed for str {}
    #[cfg(feature = "serde")]
    impl<T> Sealed for crate::Postcard<T> {}
}

impl<T: ShmSafe> Item for T {
    type Owned = T;

    const TAG: TypeTag = TypeTag::checked::<T>();

    type Bytes<'a> = &'a [u8];

    #[inline]
    fn bytes(&self) -> Result<&[u8], MapError> {
        Ok(bytemuck::bytes_of(self))
    }

    #[inline]
    fn copied(bytes: &[u8]) -> Option<T> {
        bytemuck::try_pod_read_unaligned(bytes).ok()
    }
}

impl Item for [u8] {
    type Owned = Vec<u8>;

    const TAG: TypeTag = TypeTag::named("[u8]");

    type Bytes<'a> = &'a [u8];

    fn bytes(&self) -> Result<&[u8], MapError> {
        Ok(self)
    }

    fn copied(bytes: &[u8]) -> Option<Vec<u8>> {
        Some(bytes.to_vec())
    }
}

impl Item for str {
    type Owned = String;

    const TAG: TypeTag = TypeTag::named("str");

    type Bytes<'a> = &'a [u8];

    fn bytes(&self) -> Result<&[u8], MapError> {
        Ok(self.as_bytes())
    }

    fn copied(bytes: &[u8]) -> Option<String> {
        String::from_utf8(bytes.to_vec()).ok()
    }
}

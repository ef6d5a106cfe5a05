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

    /// Makes a copy of `len` bytes that `fill` gives, if they are one and `fill` says that they are whole.
    #[doc(hidden)]
    fn taken(len: usize, fill: impl FnOnce(&mut [u8]) -> bool) -> Option<Self::Owned> {
        let mut bytes = vec![0; len];
        if fill(&mut bytes) { Self::copied(&bytes) } else { None }
    }
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

    #[inline]
    fn taken(len: usize, fill: impl FnOnce(&mut [u8]) -> bool) -> Option<T> {
        let mut value = T::zeroed();
        (len == size_of::<T>() && fill(bytemuck::bytes_of_mut(&mut value))).then_some(value)
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

    fn taken(len: usize, fill: impl FnOnce(&mut [u8]) -> bool) -> Option<Vec<u8>> {
        let mut bytes = vec![0; len];
        fill(&mut bytes).then_some(bytes)
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

    fn taken(len: usize, fill: impl FnOnce(&mut [u8]) -> bool) -> Option<String> {
        String::from_utf8(<[u8]>::taken(len, fill)?).ok()
    }
}

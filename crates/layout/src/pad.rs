//! Padding that is there to be seen.

use core::fmt;

use bytemuck::{Pod, Zeroable};

use crate::schema::Form;
use crate::{Schema, ShmChecked, ShmSafe};

/// `N` bytes of padding in a struct. A value of ours has zeros there, so that nothing leaks, and bytes can be compared.
///
/// It is no part of a type's meaning: where two definitions differ, it is passed over. What a peer has written there is
/// as good as zeros.
#[derive(Clone, Copy, Zeroable, Pod)]
#[repr(transparent)]
pub struct Pad<const N: usize>([u8; N]);

impl<const N: usize> Pad<N> {
    /// The only value.
    pub const ZERO: Self = Self([0; N]);
}

impl<const N: usize> Default for Pad<N> {
    fn default() -> Self {
        Self::ZERO
    }
}

/// All are equal.
impl<const N: usize> PartialEq for Pad<N> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<const N: usize> Eq for Pad<N> {}

impl<const N: usize> fmt::Debug for Pad<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pad")
    }
}

// SAFETY: bytes.
unsafe impl<const N: usize> ShmChecked for Pad<N> {
    const SCHEMA: &'static Schema = &Schema::new::<Self>("Pad", Form::Padding);

    fn is_valid(_: &[u8]) -> bool {
        true
    }
}

impl<const N: usize> ShmSafe for Pad<N> {}

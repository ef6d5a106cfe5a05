//! Objects that can be seen without being used.

use crate::{Kind, Region, Schema, ShapeError, TypeTag};

/// An object whose values can be seen without a lock, a place in the roster, or a single write: by who has its bytes
/// mapped for reading only. What is seen was there at some moment of the call, whole.
///
/// # Safety
///
/// `KIND` and `TAG` are those of the [`Object`](crate::Object) with this layout. [`peek`](Self::peek) writes nothing, and
/// reads nothing outside of the region, whatever its bytes are.
pub unsafe trait Peek {
    /// What it is.
    const KIND: Kind;
    /// What it holds.
    const TAG: TypeTag;
    /// The definition of what it holds.
    const SCHEMA: Option<&'static Schema> = None;

    /// What is seen: a copy.
    type Seen;

    /// Copies the values out of the object in `region`, which begins at the object's first byte; `len` is the length in its
    /// [`Shape`](crate::Shape). `None` if they were written each time that this looked.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] if the region is too small for `len` or not aligned.
    fn peek(region: Region<'_>, len: u64) -> Result<Option<Self::Seen>, ShapeError>;
}

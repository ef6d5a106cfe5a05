//! Objects that are made where they lie, for values that are too big for a stack.

use core::fmt;
use core::marker::PhantomData;

use crate::{Kind, Object, Region, Schema, Shape, ShapeError, TypeTag};

/// An [`Object`] whose first values can be written where they lie, so that not even one of 8 MiB comes to lie on the
/// stack.
///
/// # Safety
///
/// As for [`Object`]; and what [`init_with`](Self::init_with) makes must be the same object as what [`Object::init`]
/// makes of the same values.
pub unsafe trait InPlace<K>: Object<K> {
    /// How many values there are, where that is not one: the length of an array.
    type Size;

    /// The value, or a slice of them.
    type Values: ?Sized;

    /// Returns the shape of one of this size, beside a roster of so many places.
    ///
    /// # Errors
    ///
    /// [`ShapeError::Length`] if the size is absurd.
    fn room(size: &Self::Size, places: u32) -> Result<Shape, ShapeError>;

    /// Makes the object in `region`, which begins at the object's first byte, and has `fill` write its values, which are
    /// zero before.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] if the region is too small or not aligned; then `fill` was not called.
    ///
    /// # Safety
    ///
    /// As for [`Object::init`].
    unsafe fn init_with(
        region: Region<'_>,
        size: Self::Size,
        fill: impl FnOnce(&mut Self::Values),
        keeper: K,
    ) -> Result<Self, ShapeError>;
}

/// An object `O` on its way from a directory, which makes it by [`InPlace::init_with`]. Its spec is its size and what
/// fills it, so that a directory that knows nothing of all this can make it; who finds one calls nothing.
pub struct Filled<O, F> {
    object: O,
    fill: PhantomData<fn(F)>,
}

impl<O, F> Filled<O, F> {
    /// Returns the object.
    pub fn into_inner(self) -> O {
        self.object
    }

    const fn new(object: O) -> Self {
        Self { object, fill: PhantomData }
    }
}

// SAFETY: kind and tag are those of `O`, and so is the layout (`InPlace`).
unsafe impl<O, K, F> Object<K> for Filled<O, F>
where
    O: InPlace<K>,
    F: FnOnce(&mut O::Values),
{
    const KIND: Kind = O::KIND;
    const TAG: TypeTag = O::TAG;
    const SCHEMA: Option<&'static Schema> = O::SCHEMA;

    /// How many values, and what writes them.
    type Spec = (O::Size, F);

    fn shape((size, _): &Self::Spec, places: u32) -> Result<Shape, ShapeError> {
        O::room(size, places)
    }

    unsafe fn init(
        region: Region<'_>,
        (size, fill): Self::Spec,
        keeper: K,
    ) -> Result<Self, ShapeError> {
        // SAFETY: the caller's promises.
        unsafe { O::init_with(region, size, fill, keeper) }.map(Self::new)
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: the caller's promises; what was made is an `O`.
        unsafe { O::attach(region, len, keeper) }.map(Self::new)
    }
}

impl<O: fmt::Debug, F> fmt::Debug for Filled<O, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.object.fmt(f)
    }
}

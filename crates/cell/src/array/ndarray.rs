//! A locked array as the views of `ndarray`.

use ndarray::{ArrayView, ArrayViewMut, Dimension, StrideShape};
use shmkit_layout::ShmSafe;
use shmkit_roster::Judge;

use super::{ArrayGuard, ArrayRangeGuard};
use crate::error::ArrayError;

fn view<T, D: Dimension>(
    elements: &[T],
    shape: StrideShape<D>,
) -> Result<ArrayView<'_, T, D>, ArrayError> {
    let refused = ArrayError::Shape { len: elements.len() };
    let view = ArrayView::from_shape(shape, elements).map_err(|_| refused)?;
    if view.len() == elements.len() { Ok(view) } else { Err(refused) }
}

fn view_mut<T, D: Dimension>(
    elements: &mut [T],
    shape: StrideShape<D>,
) -> Result<ArrayViewMut<'_, T, D>, ArrayError> {
    let len = elements.len();
    let view = ArrayViewMut::from_shape(shape, elements).map_err(|_| ArrayError::Shape { len })?;
    if view.len() == len { Ok(view) } else { Err(ArrayError::Shape { len }) }
}

/// # As `ndarray`'s
impl<T: ShmSafe, K: Judge> ArrayGuard<'_, T, K> {
    /// Lends the elements as a view of a shape, in place: of two dimensions, in rows, or with
    /// [`f`](ndarray::ShapeBuilder::f) in columns, for example.
    ///
    /// # Errors
    ///
    /// [`ArrayError::Shape`] if the shape does not have as many elements, or leads outside of them.
    ///
    /// # Examples
    ///
    /// ```
    /// # use shmkit_layout::{Object, Region};
    /// # use shmkit_roster::model::ModelJudge;
    /// # let participant = ModelJudge::new(1).remove(0);
    /// # let mut memory = [0_u128; 32];
    /// # let base = core::ptr::NonNull::from(&mut memory).cast();
    /// # // SAFETY: the array outlives the region, and nobody else sees it.
    /// # let region = unsafe { Region::from_raw_parts(base, 512) };
    /// # use shmkit_cell::Array;
    /// # // SAFETY: the bytes are zero, and nobody else uses them.
    /// # let table = unsafe { Array::<f64, _>::init(region, 6.into(), &participant)? };
    /// let mut guard = table.lock().map_err(shmkit_cell::ArrayError::from)?;
    /// guard.view_mut((2, 3))?.row_mut(1).fill(1.5);
    /// assert_eq!(guard.view((2, 3))?.sum(), 4.5);
    /// assert!(guard.view((2, 2)).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn view<D: Dimension>(
        &self,
        shape: impl Into<StrideShape<D>>,
    ) -> Result<ArrayView<'_, T, D>, ArrayError> {
        view(self, shape.into())
    }

    /// The same to be written: a mutable use of the guard, which sets the mark of a bulk write.
    ///
    /// # Errors
    ///
    /// As [`view`](Self::view), and if the shape has an element twice.
    ///
    /// # If a peer dies
    ///
    /// If *this* process is killed before the guard ends, the next one to come is told.
    pub fn view_mut<D: Dimension>(
        &mut self,
        shape: impl Into<StrideShape<D>>,
    ) -> Result<ArrayViewMut<'_, T, D>, ArrayError> {
        view_mut(self, shape.into())
    }
}

/// # As `ndarray`'s
impl<T: ShmSafe, K: Judge> ArrayRangeGuard<'_, T, K> {
    /// Lends the elements of the range as a view of a shape: see [`ArrayGuard::view`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn view<D: Dimension>(
        &self,
        shape: impl Into<StrideShape<D>>,
    ) -> Result<ArrayView<'_, T, D>, ArrayError> {
        view(self, shape.into())
    }

    /// The same to be written: see [`ArrayGuard::view_mut`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn view_mut<D: Dimension>(
        &mut self,
        shape: impl Into<StrideShape<D>>,
    ) -> Result<ArrayViewMut<'_, T, D>, ArrayError> {
        view_mut(self, shape.into())
    }
}

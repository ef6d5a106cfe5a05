//! What each operation does, for as long as one waits for the lock: not at all, without a patience.

use core::ops::RangeBounds;
use core::slice;

use bytemuck::bytes_of;
use shmkit_atomic::copy::{append, copy_slice};
use shmkit_layout::ShmSafe;
use shmkit_roster::Judge;
use shmkit_sync::{LockFailure, Patience};

use super::{Array, ArrayRangeGuard, stride};
use crate::error::ArrayError;
use crate::held::Held;
use crate::raw::array::{CLEAN, PANICKED, WRITING};

impl<T: ShmSafe, K: Judge> Array<T, K> {
    pub(super) fn get_by(
        &self,
        patience: Option<Patience<'_>>,
        index: usize,
    ) -> Result<T, ArrayError> {
        self.place.in_range(index)?;
        let held = self.whole(patience)?;
        Ok(self.place.read(&held, index))
    }

    pub(super) fn set_by(
        &self,
        patience: Option<Patience<'_>>,
        index: usize,
        value: T,
    ) -> Result<(), ArrayError> {
        self.place.in_range(index)?;
        let held = self.whole(patience)?;
        self.place.write(&held, index, value);
        Ok(())
    }

    pub(super) fn update_by<R>(
        &self,
        patience: Option<Patience<'_>>,
        index: usize,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, ArrayError> {
        self.place.in_range(index)?;
        let held = self.whole(patience)?;
        let draft = self.place.draft(&held);
        // Not by assignment, which goes through the stack in a build that is not optimised.
        slice::from_mut(draft).copy_from_slice(&self.place.elements(&held)[index..=index]);
        let result = change(draft);
        // `change` may have forked, and this may be the child.
        held.check().map_err(|_| LockFailure::NotJoined)?;
        self.place.commit(&held, index);
        Ok(result)
    }

    pub(super) fn compare_exchange_by(
        &self,
        patience: Option<Patience<'_>>,
        index: usize,
        current: T,
        new: T,
    ) -> Result<Result<T, T>, ArrayError> {
        self.place.in_range(index)?;
        let held = self.whole(patience)?;
        let found = self.place.read(&held, index);
        if bytes_of(&found) != bytes_of(&current) {
            return Ok(Err(found));
        }
        self.place.write(&held, index, new);
        Ok(Ok(found))
    }

    pub(super) fn to_vec_by(&self, patience: Option<Patience<'_>>) -> Result<Vec<T>, ArrayError> {
        self.read_range_by(patience, ..)
    }

    pub(super) fn read_range_by(
        &self,
        patience: Option<Patience<'_>>,
        range: impl RangeBounds<usize>,
    ) -> Result<Vec<T>, ArrayError> {
        self.read_step_by(patience, range, 1)
    }

    pub(super) fn read_into_by(
        &self,
        patience: Option<Patience<'_>>,
        range: impl RangeBounds<usize>,
        values: &mut [T],
    ) -> Result<(), ArrayError> {
        let (start, count) = self.place.resolve(range)?;
        if values.len() != count {
            return Err(ArrayError::Count { given: values.len(), expected: count });
        }
        let held = self.whole(patience)?;
        copy_slice(&self.place.elements(&held)[start..][..count], values);
        Ok(())
    }

    pub(super) fn read_step_by(
        &self,
        patience: Option<Patience<'_>>,
        range: impl RangeBounds<usize>,
        step: usize,
    ) -> Result<Vec<T>, ArrayError> {
        let (start, count) = self.place.resolve(range)?;
        stride::not_zero(step)?;
        // Allocated before the lock is taken.
        let mut values = Vec::with_capacity(count.div_ceil(step));
        let held = self.whole(patience)?;
        let elements = &self.place.elements(&held)[start..][..count];
        match step {
            1 => append(elements, &mut values),
            _ => values.extend(elements.iter().step_by(step)),
        }
        Ok(values)
    }

    pub(super) fn write_range_by(
        &self,
        patience: Option<Patience<'_>>,
        range: impl RangeBounds<usize>,
        values: &[T],
    ) -> Result<(), ArrayError> {
        let (start, count) = self.place.resolve(range)?;
        if values.len() != count {
            return Err(ArrayError::Count { given: values.len(), expected: count });
        }
        let held = self.whole(patience)?;
        self.place.raw.mark(WRITING);
        copy_slice(values, &mut self.place.elements_mut(&held)[start..][..count]);
        self.place.raw.mark(CLEAN);
        Ok(())
    }

    pub(super) fn write_step_by(
        &self,
        patience: Option<Patience<'_>>,
        range: impl RangeBounds<usize>,
        step: usize,
        values: &[T],
    ) -> Result<(), ArrayError> {
        let (start, count) = self.place.resolve(range)?;
        stride::not_zero(step)?;
        if values.len() != count.div_ceil(step) {
            return Err(ArrayError::Count { given: values.len(), expected: count.div_ceil(step) });
        }
        let held = self.whole(patience)?;
        self.place.raw.mark(WRITING);
        let elements = &mut self.place.elements_mut(&held)[start..][..count];
        elements
            .iter_mut()
            .step_by(step)
            .zip(values)
            .for_each(|(element, value)| *element = *value);
        self.place.raw.mark(CLEAN);
        Ok(())
    }

    pub(super) fn lock_range_by(
        &self,
        patience: Option<Patience<'_>>,
        range: impl RangeBounds<usize>,
    ) -> Result<ArrayRangeGuard<'_, T, &K>, ArrayError> {
        let (start, count) = self.place.resolve(range)?;
        let guard = self.guard(&self.keeper, patience)?;
        Ok(ArrayRangeGuard::new(guard, start, count))
    }

    pub(super) fn fill_by(
        &self,
        patience: Option<Patience<'_>>,
        value: T,
    ) -> Result<(), ArrayError> {
        let held = self.whole(patience)?;
        self.place.raw.mark(WRITING);
        self.place.elements_mut(&held).fill(value);
        self.place.raw.mark(CLEAN);
        Ok(())
    }

    pub(super) fn update_all_by<R>(
        &self,
        patience: Option<Patience<'_>>,
        change: impl FnOnce(&mut [T]) -> R,
    ) -> Result<R, ArrayError> {
        let guard = self.guard(&self.keeper, patience).map_err(ArrayError::from);
        Ok(change(&mut guard?))
    }

    /// Takes the lock of an array whose elements are all whole.
    fn whole(&self, patience: Option<Patience<'_>>) -> Result<Held<'_, &K>, ArrayError> {
        match self.take(patience)? {
            (held, CLEAN) => Ok(held),
            (_, PANICKED) => Err(ArrayError::Poisoned),
            _ => Err(ArrayError::OwnerDied),
        }
    }
}

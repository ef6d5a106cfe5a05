//! The forms of an array's operations that give up.

use core::ops::RangeBounds;
use std::time::Duration;

use shmkit_layout::ShmSafe;
use shmkit_roster::Judge;
use shmkit_sync::Patience;

use super::{Array, ArrayRangeGuard};
use crate::error::ArrayError;

/// Defines three forms of an operation beside the plain one.
macro_rules! forms {
    ($($x:ident, $now:ident, $timeout:ident, $deadline:ident = $by:ident $(<$R:ident>)?($($arg:ident: $type:ty),*) -> $result:ty;)*) => {$(
        #[doc = concat!("As [`", stringify!($x), "`](Self::", stringify!($x), "), if the lock is free.")]
        ///
        /// # Errors
        ///
        /// As there, and [`WouldBlock`](shmkit_sync::LockFailure::WouldBlock) if it is not.
        pub fn $now$(<$R>)?(&self, $($arg: $type),*) -> $result {
            self.$by(None, $($arg),*)
        }

        #[doc = concat!("As [`", stringify!($x), "`](Self::", stringify!($x), "), if the lock is free by the end of `limit`.")]
        ///
        /// # Errors
        ///
        /// As there, and [`TimedOut`](shmkit_sync::LockFailure::TimedOut) after `limit`.
        pub fn $timeout$(<$R>)?(&self, $($arg: $type,)* limit: Duration) -> $result {
            self.$by(Some(limit.into()), $($arg),*)
        }

        #[doc = concat!("As [`", stringify!($x), "`](Self::", stringify!($x), "), if the lock is free by `deadline`, an `Instant` or any [`Patience`].")]
        ///
        /// # Errors
        ///
        /// As there, and whatever ends the patience.
        pub fn $deadline<'p$(, $R)?>(&self, $($arg: $type,)* deadline: impl Into<Patience<'p>>) -> $result {
            self.$by(Some(deadline.into()), $($arg),*)
        }
    )*};
}

/// # Forms that give up
impl<T: ShmSafe, K: Judge> Array<T, K> {
    forms! {
        get, try_get, get_timeout, get_deadline = get_by(index: usize) -> Result<T, ArrayError>;
        set, try_set, set_timeout, set_deadline = set_by(index: usize, value: T) -> Result<(), ArrayError>;
        update, try_update, update_timeout, update_deadline = update_by <R>(index: usize, change: impl FnOnce(&mut T) -> R) -> Result<R, ArrayError>;
        compare_exchange, try_compare_exchange, compare_exchange_timeout, compare_exchange_deadline = compare_exchange_by(index: usize, current: T, new: T) -> Result<Result<T, T>, ArrayError>;
        to_vec, try_to_vec, to_vec_timeout, to_vec_deadline = to_vec_by() -> Result<Vec<T>, ArrayError>;
        read_range, try_read_range, read_range_timeout, read_range_deadline = read_range_by(range: impl RangeBounds<usize>) -> Result<Vec<T>, ArrayError>;
        read_into, try_read_into, read_into_timeout, read_into_deadline = read_into_by(range: impl RangeBounds<usize>, values: &mut [T]) -> Result<(), ArrayError>;
        read_step, try_read_step, read_step_timeout, read_step_deadline = read_step_by(range: impl RangeBounds<usize>, step: usize) -> Result<Vec<T>, ArrayError>;
        write_range, try_write_range, write_range_timeout, write_range_deadline = write_range_by(range: impl RangeBounds<usize>, values: &[T]) -> Result<(), ArrayError>;
        write_step, try_write_step, write_step_timeout, write_step_deadline = write_step_by(range: impl RangeBounds<usize>, step: usize, values: &[T]) -> Result<(), ArrayError>;
        lock_range, try_lock_range, lock_range_timeout, lock_range_deadline = lock_range_by(range: impl RangeBounds<usize>) -> Result<ArrayRangeGuard<'_, T, &K>, ArrayError>;
        fill, try_fill, fill_timeout, fill_deadline = fill_by(value: T) -> Result<(), ArrayError>;
        update_all, try_update_all, update_all_timeout, update_all_deadline = update_all_by <R>(change: impl FnOnce(&mut [T]) -> R) -> Result<R, ArrayError>;
    }
}

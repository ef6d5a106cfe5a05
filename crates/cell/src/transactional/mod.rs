//! Data that are changed in transactions.

mod data;
mod error;
mod object;
mod set;
mod transaction;

use core::fmt;
use core::ptr::NonNull;
use std::time::Duration;

use shmkit_roster::{Judge, Seat};
use shmkit_sync::Patience;

pub use self::data::Data;
pub use self::error::TransactionError;
pub use self::object::TransactionalSpec;
pub use self::set::{
    MapMember, Member, SetTransaction, SetView, TransactionalSet, TransactionalSetSpec,
};
pub use self::transaction::Transaction;

use crate::held::Held;
use crate::raw::undo::Log;

/// Data under one lock that are changed as a whole or not at all: a `T`, which may be a structure of several things that belong
/// together, or a `[T]`.
///
/// A [`transaction`](Self::transaction) borrows the parts that it changes, one after the other; what they were is written to a log
/// beside the data before that. At its end one store commits all of it. If its closure fails or panics, or if its process is
/// killed, all is put back, in the last case by whoever takes the lock next, who is told nothing: there is nothing to repair.
/// Readers take the lock, too, so that nobody sees the middle.
///
/// The log is as long as the object was made with. A change for which it has no room is refused before it is made, and the
/// transaction with it.
///
/// What it is beside the others: a [`Value`](crate::Value) copies itself for each change, this only what is changed; of an
/// [`Array`](crate::Array) whose writer is killed in a bulk write somebody has to repair the elements. It costs a copy of what is
/// changed. The lock is not recursive.
///
/// # If a peer dies
///
/// before its transaction is committed, it never was; after that, it is done.
///
/// # Examples
///
/// ```
/// # use shmkit_layout::{Object, Region};
/// # use shmkit_roster::model::ModelJudge;
/// # let participant = ModelJudge::new(1).remove(0);
/// # let mut memory = [0_u128; 64];
/// # let base = core::ptr::NonNull::from(&mut memory).cast();
/// # // SAFETY: the array outlives the region, and nobody else sees it.
/// # let region = unsafe { Region::from_raw_parts(base, 1024) };
/// use shmkit_cell::{TransactionError, Transactional, TransactionalSpec};
///
/// let spec = TransactionalSpec::new([100_i64; 4], 128);
/// // SAFETY: the bytes are zero, and nobody else uses them.
/// let accounts = unsafe { Transactional::<[i64], _>::init(region, spec, &participant)? };
/// accounts.transaction(|accounts| {
///     *accounts.change(|all| &all[0])? -= 30;
///     *accounts.change(|all| &all[1])? += 30;
///     Ok(())
/// })?;
/// let refused = accounts.transaction(|accounts| {
///     *accounts.change(|all| &all[2])? -= 1000;
///     if accounts[2] < 0 { Err(TransactionError::Aborted) } else { Ok(()) }
/// });
/// assert_eq!(refused, Err(TransactionError::Aborted));
/// assert_eq!(accounts.read(|all| all.to_vec())?, [70, 130, 100, 100]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Transactional<D: Data + ?Sized, K = Seat> {
    log: Log<'static>,
    data: NonNull<D>,
    /// Keeps mapped what the others lead to; so it is dropped last.
    keeper: K,
}

// SAFETY: plain data (`ShmSafe: Send + Sync`), which are used under the lock only; and the keeper.
unsafe impl<D: Data + ?Sized, K: Send> Send for Transactional<D, K> {}
// SAFETY: as above.
unsafe impl<D: Data + ?Sized, K: Sync> Sync for Transactional<D, K> {}

impl<D: Data + ?Sized, K: Clone> Clone for Transactional<D, K> {
    fn clone(&self) -> Self {
        Self { log: self.log, data: self.data, keeper: self.keeper.clone() }
    }
}

impl<D: Data + ?Sized, K: Copy> Copy for Transactional<D, K> {}

impl<D: Data + ?Sized, K: Judge> Transactional<D, K> {
    /// Changes the data: all that `change` does, or nothing of it if it returns an error, panics, or is killed.
    ///
    /// It must not fork a child that goes on in it, nor use this object otherwise, whose lock it holds.
    ///
    /// # Errors
    ///
    /// What `change` returned; [`TransactionError::Failed`] if the lock cannot be taken: then it was not called.
    pub fn transaction<R>(
        &self,
        change: impl FnOnce(&mut Transaction<'_, D>) -> Result<R, TransactionError>,
    ) -> Result<R, TransactionError> {
        self.change_by(change, Some(Patience::ENDLESS))
    }

    /// Changes the data, if the lock is free.
    ///
    /// # Errors
    ///
    /// As [`transaction`](Self::transaction); the failure is [`WouldBlock`](shmkit_sync::LockFailure::WouldBlock) if it is not.
    pub fn try_transaction<R>(
        &self,
        change: impl FnOnce(&mut Transaction<'_, D>) -> Result<R, TransactionError>,
    ) -> Result<R, TransactionError> {
        self.change_by(change, None)
    }

    /// Changes the data, if the lock is free by the end of `limit`.
    ///
    /// # Errors
    ///
    /// As [`transaction`](Self::transaction); the failure is [`TimedOut`](shmkit_sync::LockFailure::TimedOut) after `limit`.
    pub fn transaction_timeout<R>(
        &self,
        change: impl FnOnce(&mut Transaction<'_, D>) -> Result<R, TransactionError>,
        limit: Duration,
    ) -> Result<R, TransactionError> {
        self.change_by(change, Some(limit.into()))
    }

    /// Changes the data, if the lock is free by `deadline`, an `Instant` or any [`Patience`].
    ///
    /// # Errors
    ///
    /// As [`transaction_timeout`](Self::transaction_timeout).
    pub fn transaction_deadline<'p, R>(
        &self,
        change: impl FnOnce(&mut Transaction<'_, D>) -> Result<R, TransactionError>,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<R, TransactionError> {
        self.change_by(change, Some(deadline.into()))
    }

    /// Looks at the data, under the lock: as they are between two transactions.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Failed`] if the lock cannot be taken: then `look` was not called.
    pub fn read<R>(&self, look: impl FnOnce(&D) -> R) -> Result<R, TransactionError> {
        self.read_by(look, Some(Patience::ENDLESS))
    }

    /// Looks at the data, if the lock is free.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read); the failure is [`WouldBlock`](shmkit_sync::LockFailure::WouldBlock) if it is not.
    pub fn try_read<R>(&self, look: impl FnOnce(&D) -> R) -> Result<R, TransactionError> {
        self.read_by(look, None)
    }

    /// Looks at the data, if the lock is free by the end of `limit`.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read); the failure is [`TimedOut`](shmkit_sync::LockFailure::TimedOut) after `limit`.
    pub fn read_timeout<R>(
        &self,
        look: impl FnOnce(&D) -> R,
        limit: Duration,
    ) -> Result<R, TransactionError> {
        self.read_by(look, Some(limit.into()))
    }

    /// Looks at the data, if the lock is free by `deadline`, an `Instant` or any [`Patience`].
    ///
    /// # Errors
    ///
    /// As [`read_timeout`](Self::read_timeout).
    pub fn read_deadline<'p, R>(
        &self,
        look: impl FnOnce(&D) -> R,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<R, TransactionError> {
        self.read_by(look, Some(deadline.into()))
    }

    fn change_by<R>(
        &self,
        change: impl FnOnce(&mut Transaction<'_, D>) -> Result<R, TransactionError>,
        patience: Option<Patience<'_>>,
    ) -> Result<R, TransactionError> {
        let open = Open::take(self, patience)?;
        // SAFETY: mapped and aligned (`place`), the log's own, under the lock that `open` holds.
        let mut transaction =
            unsafe { Transaction::new(self.log, self.data, &open.held, open.undone) };
        let result = change(&mut transaction)?;
        // `change` may have forked, and this may be the child.
        open.held.check().map_err(|_| shmkit_sync::LockFailure::NotJoined)?;
        self.log.commit();
        Ok(result)
    }

    fn read_by<R>(
        &self,
        look: impl FnOnce(&D) -> R,
        patience: Option<Patience<'_>>,
    ) -> Result<R, TransactionError> {
        let _open = Open::take(self, patience)?;
        // SAFETY: mapped and aligned (`place`); the lock is held; any bytes are a `D` (`Pod`).
        Ok(look(unsafe { self.data.as_ref() }))
    }
}

/// The lock, held over data that are whole. Dropped before a commit, it puts them back.
struct Open<'a, K: Judge> {
    log: Log<'static>,
    held: Held<'a, &'a K>,
    /// A dead owner had changed something.
    undone: bool,
}

impl<'a, K: Judge> Open<'a, K> {
    fn take<D: Data + ?Sized>(
        of: &'a Transactional<D, K>,
        patience: Option<Patience<'_>>,
    ) -> Result<Self, TransactionError> {
        let held = Held::take(&of.log.raw().mutex, &of.keeper, patience)?;
        // What is in the log now is of a dead owner.
        let undone = of.log.roll_back()?;
        Ok(Self { log: of.log, held, undone })
    }
}

impl<K: Judge> Drop for Open<'_, K> {
    fn drop(&mut self) {
        // In a forked child the transaction is its parent's.
        if self.held.check().is_ok() {
            // If the log was written over, the next one finds it so.
            let _ = self.log.roll_back();
        }
    }
}

impl<D: Data + ?Sized, K: Judge> fmt::Debug for Transactional<D, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transactional")
            .field("bytes", &self.log.len())
            .field("log", &self.log.raw().capacity())
            .field("owner", &self.log.raw().mutex.owner())
            .finish()
    }
}

//! Several things that are changed in transactions, under one lock.

mod map;
mod member;
mod object;
mod table;
mod view;

use core::fmt;
use std::time::Duration;

use shmkit_roster::{Judge, Seat};
use shmkit_sync::{LockFailure, Patience};

pub use self::map::MapMember;
pub use self::member::Member;
pub use self::object::TransactionalSetSpec;
pub use self::view::{SetTransaction, SetView};

use self::table::Line;
use super::{Open, TransactionError, Transactional};

/// Values, arrays and maps under one lock that are changed together, as a whole or not at all.
///
/// Its members have names. They are made and found in a transaction, too: [`SetTransaction::member`] and
/// [`map`](SetTransaction::map), and are used by the handles that those return, in this set's [`transaction`](Self::transaction)
/// and [`read`](Self::read) only. None is ever removed. Beside that it is what a [`Transactional`] is: what is changed was
/// written to a log before, one store commits all of it, whatever is interrupted is put back, and readers never see the middle.
///
/// Whoever takes the lock of a dead one puts back the changes of all members, whether it knows them or not.
///
/// # If a peer dies
///
/// before its transaction is committed, it never was, in no member; after that, it is done, in all.
///
/// # Examples
///
/// ```
/// # use shmkit_layout::{Object, Region};
/// # use shmkit_roster::model::ModelJudge;
/// # let participant = ModelJudge::new(1).remove(0);
/// # #[repr(align(128))]
/// # struct Memory([u8; 16384]);
/// # let mut memory = Memory([0; 16384]);
/// # let base = core::ptr::NonNull::from(&mut memory).cast();
/// # // SAFETY: the array outlives the region, and nobody else sees it.
/// # let region = unsafe { Region::from_raw_parts(base, 16384) };
/// use shmkit_cell::{TransactionalSet, TransactionalSetSpec};
///
/// let spec = TransactionalSetSpec::new(8192, 1024);
/// // SAFETY: the bytes are zero, and nobody else uses them.
/// let shop = unsafe { TransactionalSet::init(region, spec, &participant)? };
/// let (takings, shelf, orders) = shop.transaction(|shop| {
///     let takings = shop.member::<u64>("takings", 0)?;
///     Ok((takings, shop.member::<[u32]>("shelf", [5; 3].into())?, shop.map::<u64, u32>("orders", 100)?))
/// })?;
/// shop.transaction(|shop| {
///     *shop.change(&shelf, |all| &all[2])? -= 1;
///     *shop.change(&takings, |sum| sum)? += 7;
///     shop.insert(&orders, &1001, &2)
/// })?;
/// let refused = shop.transaction(|shop| {
///     *shop.change(&takings, |sum| sum)? += 7;
///     shop.change(&shelf, |all| &all[..])?.fill(u32::MAX);
///     Err::<(), _>(shmkit_cell::TransactionError::Aborted)
/// });
/// assert!(refused.is_err());
/// shop.read(|shop| {
///     assert_eq!(*shop.get(&takings)?, 7);
///     assert_eq!(*shop.get(&shelf)?, [5, 5, 4]);
///     assert_eq!(shop.value(&orders, &1001)?, Some(&2));
///     Ok(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TransactionalSet<K = Seat> {
    inner: Transactional<[Line], K>,
    /// How many members there may be; there is room for as many in the table.
    most: u64,
}

impl<K: Clone> Clone for TransactionalSet<K> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), most: self.most }
    }
}

impl<K: Copy> Copy for TransactionalSet<K> {}

impl<K: Judge> TransactionalSet<K> {
    /// Changes the members: all that `change` does, or nothing of it if it returns an error, panics, or is killed.
    ///
    /// It must not fork a child that goes on in it, nor use this object otherwise, whose lock it holds. A handle to a member that
    /// it makes is good for nothing unless it returns `Ok`.
    ///
    /// # Errors
    ///
    /// What `change` returned; [`TransactionError::Failed`] if the lock cannot be taken: then it was not called.
    pub fn transaction<R>(
        &self,
        change: impl FnOnce(&mut SetTransaction<'_>) -> Result<R, TransactionError>,
    ) -> Result<R, TransactionError> {
        self.change_by(change, Some(Patience::ENDLESS))
    }

    /// Changes the members, if the lock is free.
    ///
    /// # Errors
    ///
    /// As [`transaction`](Self::transaction); the failure is [`WouldBlock`](LockFailure::WouldBlock) if it is not.
    pub fn try_transaction<R>(
        &self,
        change: impl FnOnce(&mut SetTransaction<'_>) -> Result<R, TransactionError>,
    ) -> Result<R, TransactionError> {
        self.change_by(change, None)
    }

    /// Changes the members, if the lock is free by the end of `limit`.
    ///
    /// # Errors
    ///
    /// As [`transaction`](Self::transaction); the failure is [`TimedOut`](LockFailure::TimedOut) after `limit`.
    pub fn transaction_timeout<R>(
        &self,
        change: impl FnOnce(&mut SetTransaction<'_>) -> Result<R, TransactionError>,
        limit: Duration,
    ) -> Result<R, TransactionError> {
        self.change_by(change, Some(limit.into()))
    }

    /// Changes the members, if the lock is free by `deadline`, an `Instant` or any [`Patience`].
    ///
    /// # Errors
    ///
    /// As [`transaction_timeout`](Self::transaction_timeout).
    pub fn transaction_deadline<'p, R>(
        &self,
        change: impl FnOnce(&mut SetTransaction<'_>) -> Result<R, TransactionError>,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<R, TransactionError> {
        self.change_by(change, Some(deadline.into()))
    }

    /// Looks at the members, under the lock: all as they are between two transactions.
    ///
    /// # Errors
    ///
    /// What `look` returned; [`TransactionError::Failed`] if the lock cannot be taken: then it was not called.
    pub fn read<R>(
        &self,
        look: impl FnOnce(&SetView<'_>) -> Result<R, TransactionError>,
    ) -> Result<R, TransactionError> {
        self.read_by(look, Some(Patience::ENDLESS))
    }

    /// Looks at the members, if the lock is free.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read); the failure is [`WouldBlock`](LockFailure::WouldBlock) if it is not.
    pub fn try_read<R>(
        &self,
        look: impl FnOnce(&SetView<'_>) -> Result<R, TransactionError>,
    ) -> Result<R, TransactionError> {
        self.read_by(look, None)
    }

    /// Looks at the members, if the lock is free by the end of `limit`.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read); the failure is [`TimedOut`](LockFailure::TimedOut) after `limit`.
    pub fn read_timeout<R>(
        &self,
        look: impl FnOnce(&SetView<'_>) -> Result<R, TransactionError>,
        limit: Duration,
    ) -> Result<R, TransactionError> {
        self.read_by(look, Some(limit.into()))
    }

    /// Looks at the members, if the lock is free by `deadline`, an `Instant` or any [`Patience`].
    ///
    /// # Errors
    ///
    /// As [`read_timeout`](Self::read_timeout).
    pub fn read_deadline<'p, R>(
        &self,
        look: impl FnOnce(&SetView<'_>) -> Result<R, TransactionError>,
        deadline: impl Into<Patience<'p>>,
    ) -> Result<R, TransactionError> {
        self.read_by(look, Some(deadline.into()))
    }

    fn change_by<R>(
        &self,
        change: impl FnOnce(&mut SetTransaction<'_>) -> Result<R, TransactionError>,
        patience: Option<Patience<'_>>,
    ) -> Result<R, TransactionError> {
        let open = Open::take(&self.inner, patience)?;
        // SAFETY: `open` holds the lock.
        let view = unsafe { SetView::new(self.inner.log, self.most) };
        let result = change(&mut SetTransaction::new(view, &open.held))?;
        // `change` may have forked, and this may be the child.
        open.held.check().map_err(|_| LockFailure::NotJoined)?;
        self.inner.log.commit();
        Ok(result)
    }

    fn read_by<R>(
        &self,
        look: impl FnOnce(&SetView<'_>) -> Result<R, TransactionError>,
        patience: Option<Patience<'_>>,
    ) -> Result<R, TransactionError> {
        let _open = Open::take(&self.inner, patience)?;
        // SAFETY: `_open` holds the lock.
        look(&unsafe { SetView::new(self.inner.log, self.most) })
    }
}

impl<K: Judge> fmt::Debug for TransactionalSet<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionalSet")
            .field("most", &self.most)
            .field("inner", &self.inner)
            .finish()
    }
}

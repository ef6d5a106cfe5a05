//! A transaction while it goes on.

use core::fmt;
use core::ops::Deref;
use core::ptr::NonNull;

use shmkit_roster::Judge;
use shmkit_sync::LockFailure;

use super::{Data, TransactionError};
use crate::held::Held;
use crate::raw::undo::Log;

/// The data of a [`Transactional`](crate::Transactional) within a transaction: to be looked at as they are by now, and to be
/// changed part by part.
pub struct Transaction<'t, D: ?Sized> {
    log: Log<'t>,
    /// Not a reference, beside which no part could be borrowed mutably.
    data: NonNull<D>,
    /// Whether the lock is still this process's, which may have forked.
    held: &'t dyn Owns,
    undone: bool,
}

/// Who holds the lock, whoever tells who is alive.
pub(super) trait Owns {
    fn owns(&self) -> bool;
}

impl<K: Judge> Owns for Held<'_, K> {
    fn owns(&self) -> bool {
        self.check().is_ok()
    }
}

impl<'t, D: Data + ?Sized> Transaction<'t, D> {
    /// # Safety
    ///
    /// `data` must be mapped and aligned for `'t`, and be the log's; the lock must be held for as long.
    pub(super) unsafe fn new(
        log: Log<'t>,
        data: NonNull<D>,
        held: &'t dyn Owns,
        undone: bool,
    ) -> Self {
        Self { log, data, held, undone }
    }

    /// Returns whether somebody died in a transaction, and this one began by putting back what was changed there. There is nothing
    /// to be done about it; it is for who counts the dead.
    ///
    /// # If a peer dies
    ///
    /// here, having put back what another one had changed: the next one is told so only if this one had changed something itself.
    pub fn has_undone(&self) -> bool {
        self.undone
    }

    /// Borrows a part of the data, to be changed: `part` leads from the data to it. What it was is written down before, for
    /// whoever has to take the change back.
    ///
    /// A part that is changed several times is best borrowed once: each time takes room in the log.
    ///
    /// # Errors
    ///
    /// [`TooLong`](TransactionError::TooLong) if the log has no room for it; [`Elsewhere`](TransactionError::Elsewhere) if it is no
    /// part of the data; [`Failed`](TransactionError::Failed) in a forked child. The part was not changed; return the error, and
    /// nothing was.
    ///
    /// # If a peer dies
    ///
    /// here, or anywhere before the transaction's end, the next one who takes the lock finds all as it was before.
    pub fn change<U: Data + ?Sized>(
        &mut self,
        part: impl FnOnce(&D) -> &U,
    ) -> Result<&mut U, TransactionError> {
        // SAFETY: mapped and aligned, of the log's data, under its lock (`new`).
        let mut part = unsafe { lend(self.log, self.data, self.held, part) }?;
        // SAFETY: mapped and aligned (`lend`); the transaction is borrowed mutably for as long, so that there is no other
        // reference. Any bytes are a `U`, and what they become a `D` (`Pod`).
        Ok(unsafe { part.as_mut() })
    }
}

/// Finds a part of data that are the log's, or some of them, and writes down what it is.
///
/// # Safety
///
/// `data` must be mapped and aligned, lie among the log's, and nobody may hold a mutable reference to them.
pub(super) unsafe fn lend<D: Data + ?Sized, U: Data + ?Sized>(
    log: Log<'_>,
    data: NonNull<D>,
    held: &dyn Owns,
    part: impl FnOnce(&D) -> &U,
) -> Result<NonNull<U>, TransactionError> {
    if !held.owns() {
        return Err(LockFailure::NotJoined.into());
    }
    // SAFETY: as the caller says; any bytes are a `D` (`Pod`).
    let all = unsafe { data.as_ref() };
    let part = part(all);
    let (count, len) = (part.count(), size_of_val(part));
    let first = data.cast::<u8>();
    // The difference wraps to something big if it lies before the data.
    let at = core::ptr::from_ref(part).cast::<u8>().addr().wrapping_sub(first.addr().get());
    let end = at.checked_add(len).ok_or(TransactionError::Elsewhere)?;
    if end > size_of_val(all) {
        return Err(TransactionError::Elsewhere);
    }
    let before = first.addr().get() - log.data().addr().get();
    log.record((before + at) as u64, len as u64)?;
    // SAFETY: inside of the data, as was just looked at.
    Ok(U::at(unsafe { first.add(at) }.cast(), count))
}

/// The data as they are by now.
impl<D: ?Sized> Deref for Transaction<'_, D> {
    type Target = D;

    fn deref(&self) -> &D {
        // SAFETY: mapped, aligned, and under the lock (`new`); any bytes are a `D` (`Pod`). Who changes a part borrows this mutably.
        unsafe { self.data.as_ref() }
    }
}

impl<D: fmt::Debug + ?Sized> fmt::Debug for Transaction<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Transaction").field(&&**self).finish()
    }
}

//! The members of a set whose lock is held.

use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;

use bytemuck::{Pod, bytes_of};
use shmkit_layout::{TypeTag, align_up};

use super::member::Member;
use super::table::{Head, LINE_BYTES, ROW, Row, before_members, padded, row_at};
use crate::raw::undo::Log;
use crate::transactional::transaction::{Owns, lend};
use crate::{Data, TransactionError};

/// The members of a [`TransactionalSet`](crate::TransactionalSet) as they are by now, under its lock.
pub struct SetView<'t> {
    log: Log<'t>,
    /// How many members there may be.
    most: u64,
}

impl<'t> SetView<'t> {
    /// # Safety
    ///
    /// The lock of the set must be held for `'t`; there must be room for a table of so many members in its data, which are aligned
    /// as lines.
    pub(super) unsafe fn new(log: Log<'t>, most: u64) -> Self {
        Self { log, most }
    }

    /// Returns a value or an array.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Elsewhere`] if it is a member of another set.
    pub fn get<D: Data + ?Sized>(&self, member: &Member<D>) -> Result<&D, TransactionError> {
        let place = self.place(member)?;
        // SAFETY: mapped and aligned (`place`), under the lock (`new`); any bytes are a `D` (`Pod`). Who changes a part borrows the
        // transaction that has this mutably.
        Ok(unsafe { place.as_ref() })
    }

    /// Finds the member of a name, if there is one.
    ///
    /// # Errors
    ///
    /// [`TransactionError::OtherType`] if it is another one; [`Corrupt`](TransactionError::Corrupt).
    pub fn find<D: Data + ?Sized>(
        &self,
        name: &str,
    ) -> Result<Option<Member<D>>, TransactionError> {
        let Some(row) = self.row(&padded(name)?)? else { return Ok(None) };
        if row.tag != TypeTag::checked::<D::Item>() || (D::ONE && row.count != 1) {
            return Err(TransactionError::OtherType);
        }
        self.member_at(row.at, row.count).map(Some)
    }

    /// Returns the names of the members, in the order in which they were made.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Corrupt`].
    pub fn names(&self) -> Result<Vec<String>, TransactionError> {
        let row = |index| -> Result<String, TransactionError> {
            let name = self.read::<Row>(row_at(index))?.name;
            let len = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
            Ok(String::from_utf8_lossy(&name[..len]).into_owned())
        };
        (0..self.head()?.members).map(row).collect()
    }

    /// A member whose place the table tells, if it lies in the data and is aligned.
    pub(super) fn member_at<D: Data + ?Sized>(
        &self,
        at: u64,
        count: u64,
    ) -> Result<Member<D>, TransactionError> {
        const {
            assert!(align_of::<D::Item>() as u64 <= LINE_BYTES, "a member is aligned to 64 at most")
        };
        let corrupt = TransactionError::Corrupt;
        let bytes = count.checked_mul(size_of::<D::Item>() as u64).ok_or(corrupt)?;
        let end = at.checked_add(bytes).ok_or(corrupt)?;
        if end > self.log.len() || !at.is_multiple_of(align_of::<D::Item>() as u64) {
            return Err(corrupt);
        }
        let count = usize::try_from(count).map_err(|_| corrupt)?;
        Ok(Member { set: self.id(), at, count, data: PhantomData })
    }

    /// Where a member lies.
    fn place<D: Data + ?Sized>(&self, member: &Member<D>) -> Result<NonNull<D>, TransactionError> {
        if member.set != self.id() {
            return Err(TransactionError::Elsewhere);
        }
        // SAFETY: inside of this set's data (`member_at` has looked, and a handle does not change).
        let first = unsafe { self.log.data().add(member.at as usize) };
        Ok(D::at(first.cast(), member.count))
    }

    /// What a handle to a member says of which set it is.
    fn id(&self) -> usize {
        core::ptr::from_ref(self.log.raw()).addr()
    }

    fn head(&self) -> Result<Head, TransactionError> {
        let head: Head = self.read(0)?;
        let first = before_members(self.most).ok_or(TransactionError::Corrupt)?;
        let used = first.max(head.used);
        if head.members > self.most || used > self.log.len() {
            return Err(TransactionError::Corrupt);
        }
        Ok(Head { used, ..head })
    }

    pub(super) fn row(&self, name: &[u8; 64]) -> Result<Option<Row>, TransactionError> {
        for index in 0..self.head()?.members {
            let row: Row = self.read(row_at(index))?;
            if row.name == *name {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Copies something out of the data.
    fn read<T: Pod>(&self, at: u64) -> Result<T, TransactionError> {
        let from = self.bytes_at(at, size_of::<T>() as u64)?;
        // SAFETY: so many bytes are mapped there (just looked), under the lock; any are a `T` (`Pod`).
        Ok(unsafe { from.cast::<T>().read_unaligned() })
    }

    fn bytes_at(&self, at: u64, len: u64) -> Result<NonNull<u8>, TransactionError> {
        if at.checked_add(len).is_none_or(|end| end > self.log.len()) {
            return Err(TransactionError::Corrupt);
        }
        // SAFETY: inside of the data, or at their end (just looked).
        Ok(unsafe { self.log.data().add(at as usize) })
    }
}

impl fmt::Debug for SetView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetView").field("members", &self.names()).finish()
    }
}

/// The members of a [`TransactionalSet`](crate::TransactionalSet) within a transaction: to be looked at as they are by now
/// ([`SetView`]), and to be changed part by part.
pub struct SetTransaction<'t> {
    view: SetView<'t>,
    /// Whether the lock is still this process's, which may have forked.
    held: &'t dyn Owns,
}

impl<'t> SetTransaction<'t> {
    pub(super) fn new(view: SetView<'t>, held: &'t dyn Owns) -> Self {
        Self { view, held }
    }

    /// Borrows a part of a member, to be changed: see [`Transaction::change`](crate::Transaction::change).
    ///
    /// # Errors
    ///
    /// As there; [`Elsewhere`](TransactionError::Elsewhere) if it is a member of another set.
    ///
    /// # If a peer dies
    ///
    /// here, or anywhere before the transaction's end, the next one who takes the lock finds all members as they were before.
    pub fn change<D: Data + ?Sized, U: Data + ?Sized>(
        &mut self,
        member: &Member<D>,
        part: impl FnOnce(&D) -> &U,
    ) -> Result<&mut U, TransactionError> {
        let place = self.view.place(member)?;
        // SAFETY: mapped and aligned, of the log's data, under its lock (`place`); this is borrowed mutably.
        let mut part = unsafe { lend(self.view.log, place, self.held, part) }?;
        // SAFETY: mapped and aligned (`lend`); this is borrowed mutably for as long, so that there is no other reference. Any
        // bytes are a `U`, and what they become a `D` (`Pod`).
        Ok(unsafe { part.as_mut() })
    }

    /// Finds the member of a name, or makes it: a value from a first one, an array from its elements or their number.
    ///
    /// # Errors
    ///
    /// [`OtherType`](TransactionError::OtherType) or [`OtherLength`](TransactionError::OtherLength) if it is another one;
    /// [`NoRoom`](TransactionError::NoRoom), [`TooManyMembers`](TransactionError::TooManyMembers),
    /// [`TooLong`](TransactionError::TooLong) if it cannot be made; [`Name`](TransactionError::Name).
    ///
    /// # If a peer dies
    ///
    /// before the transaction is committed, there is no such member.
    pub fn member<D: Data + ?Sized>(
        &mut self,
        name: &str,
        first: D::First,
    ) -> Result<Member<D>, TransactionError> {
        let count = D::count_first(&first) as u64;
        if let Some(found) = self.view.find::<D>(name)? {
            return same_length(found.count as u64, count).map(|()| found);
        }
        let (align, tag) = (align_of::<D::Item>() as u64, TypeTag::checked::<D::Item>());
        let bytes = count.checked_mul(size_of::<D::Item>() as u64);
        let at = self.make(name, tag, count, bytes.unwrap_or(u64::MAX), align)?;
        let member = self.view.member_at(at, count)?;
        if let Some(items) = D::items(&first) {
            self.fill(at, bytemuck::cast_slice(items))?;
        }
        Ok(member)
    }

    /// Makes a member of zeros, and says where it lies.
    pub(super) fn make(
        &mut self,
        name: &str,
        tag: TypeTag,
        count: u64,
        bytes: u64,
        align: u64,
    ) -> Result<u64, TransactionError> {
        let view = &self.view;
        let head = view.head()?;
        if head.members == view.most {
            return Err(TransactionError::TooManyMembers { most: view.most });
        }
        let left = view.log.len() - head.used;
        let no_room = TransactionError::NoRoom { needed: bytes, left };
        let at = align_up(head.used, align).ok_or(no_room)?;
        let used = at.checked_add(bytes).filter(|end| *end <= view.log.len()).ok_or(no_room)?;
        let row = Row { name: padded(name)?, tag, at, count };
        // Before anything is written: a forked child must not.
        let first: Member<[u64]> = view.member_at(0, 2)?;
        let whole = self.change(&first, |all| all)?;
        whole.copy_from_slice(&[head.members + 1, used]);
        // Nobody's until the transaction is committed, so that they need no record: if it is not, they are nobody's again.
        self.fill(row_at(head.members), bytes_of(&row))?;
        let zeros = self.view.bytes_at(at, bytes)?;
        // SAFETY: so many bytes are mapped there (just looked), under the lock, and no member's; no reference leads to them.
        unsafe { zeros.write_bytes(0, bytes as usize) };
        Ok(at)
    }

    /// Writes bytes that are no member's yet.
    pub(super) fn fill(&mut self, at: u64, bytes: &[u8]) -> Result<(), TransactionError> {
        debug_assert!(at >= row_at(0) && ROW.is_multiple_of(LINE_BYTES));
        let to = self.view.bytes_at(at, bytes.len() as u64)?;
        // SAFETY: so many bytes are mapped there (just looked), under the lock; no reference leads to them, and what is copied lies
        // elsewhere, in this process's memory.
        unsafe { to.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
        Ok(())
    }
}

pub(super) fn same_length(found: u64, asked: u64) -> Result<(), TransactionError> {
    if found == asked { Ok(()) } else { Err(TransactionError::OtherLength { found, asked }) }
}

/// The members as they are by now.
impl<'t> Deref for SetTransaction<'t> {
    type Target = SetView<'t>;

    fn deref(&self) -> &SetView<'t> {
        &self.view
    }
}

impl fmt::Debug for SetTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SetTransaction").field(&self.view).finish()
    }
}

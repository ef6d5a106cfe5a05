//! A set as an object of a region.

use core::mem::offset_of;

use shmkit_layout::{Kind, Object, Region, Shape, ShapeError, TypeTag};
use shmkit_roster::Judge;

use super::TransactionalSet;
use super::table::{Head, LINE_BYTES, Line, before_members};
use crate::{ArraySpec, Transactional, TransactionalSpec};

/// How much a new [`TransactionalSet`] holds, and how long its log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionalSetSpec {
    /// Bytes of all members; rounded up to a multiple of 64.
    bytes: u64,
    /// Bytes; rounded up to a multiple of 8.
    log: u64,
    members: u32,
}

impl TransactionalSetSpec {
    /// So many bytes for all members, and so many for what they were before a transaction that is going on: see
    /// [`TransactionalSpec::new`]. There may be 32 members.
    ///
    /// A map takes 8 bytes, a key and a value for each place, of which there are as many as the power of two above four thirds
    /// of its entries.
    pub const fn new(bytes: u64, log: u64) -> Self {
        Self { bytes, log, members: 32 }
    }

    /// That there may be so many members. Each takes 128 bytes more.
    #[must_use]
    pub const fn members(mut self, most: u32) -> Self {
        self.members = most;
        self
    }

    /// What the set is made of: its head, its table, and the members.
    fn inner(&self) -> Result<TransactionalSpec<ArraySpec<Line>>, ShapeError> {
        let before = before_members(self.members.into()).unwrap_or(u64::MAX);
        let too_long = ShapeError::Length { found: self.bytes, min: 0, max: isize::MAX as u64 / 2 };
        let bytes = before.checked_add(self.bytes).ok_or(too_long)?;
        let lines = usize::try_from(bytes.div_ceil(LINE_BYTES)).map_err(|_| too_long)?;
        Ok(TransactionalSpec::new(lines, self.log))
    }
}

#[cfg(feature = "serde")]
shmkit_roster::travels!([] TransactionalSet, |it| &it.inner.keeper);

/// What a set is, below its table.
type Inner<K> = Transactional<[Line], K>;

// SAFETY: kind and tag are given to this layout alone, which is that of transactional lines with a head and a table in the first of
// them, and it names participants where that does.
unsafe impl<K: Judge> Object<K> for TransactionalSet<K> {
    const KIND: Kind = Kind::new("undoset");
    const TAG: TypeTag = TypeTag::NONE;

    type Spec = TransactionalSetSpec;

    fn shape(spec: &TransactionalSetSpec, places: u32) -> Result<Shape, ShapeError> {
        let shape = <Inner<K> as Object<K>>::shape(&spec.inner()?, places)?;
        Ok(Shape { kind: Self::KIND, tag: Self::TAG, ..shape })
    }

    unsafe fn init(
        region: Region<'_>,
        spec: TransactionalSetSpec,
        keeper: K,
    ) -> Result<Self, ShapeError> {
        // SAFETY: the caller's promises.
        let inner = unsafe { Inner::init(region, spec.inner()?, keeper) }?;
        let most = spec.members.into();
        // SAFETY: the head is a line of the data, of which there is one at least (`inner`), aligned; nobody else uses it (caller).
        unsafe { inner.log.data().cast::<Head>().write(Head { members: 0, used: 0, most }) };
        Ok(Self { inner, most })
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: the caller's promises.
        let inner = unsafe { Inner::attach(region, len, keeper) }?;
        let corrupt = |found| ShapeError::Corrupt { field: "number of members", found };
        if inner.log.len() < LINE_BYTES {
            return Err(corrupt(0));
        }
        // Not the whole head, of which others may be writing the rest.
        let most = inner.log.data().cast::<u64>();
        // SAFETY: in the first line of the data (just looked).
        let most = unsafe { most.add(offset_of!(Head, most) / 8) };
        // SAFETY: aligned as the line is; it was stored before anybody could attach, and never changes.
        let most = unsafe { most.read() };
        if before_members(most).is_none_or(|before| before > inner.log.len()) {
            return Err(corrupt(most));
        }
        Ok(Self { inner, most })
    }
}

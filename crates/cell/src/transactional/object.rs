//! Transactional data as an object of a region.

use core::ptr::NonNull;

use shmkit_layout::{
    Kind, Object, Offset, Region, Schema, Shape, ShapeError, ShmChecked, TypeTag, align_up,
};
use shmkit_roster::Judge;
use shmkit_sync::RawMutex;

use super::{Data, Transactional};
use crate::LINE;
use crate::raw::undo::{Log, RawUndo, record_of};

/// What a new [`Transactional`] holds, and how long its log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionalSpec<F> {
    first: F,
    /// Bytes; rounded up to a multiple of 8.
    log: u64,
}

impl<F> TransactionalSpec<F> {
    /// Data, and so many bytes for what they were before a transaction that is going on. A part that is changed takes its size,
    /// rounded up to a multiple of 8, and 16 bytes more; each time that it is borrowed.
    pub fn new(first: impl Into<F>, log: u64) -> Self {
        Self { first: first.into(), log }
    }
}

/// Where the log begins, in bytes.
const LOG_AT: u64 = size_of::<RawUndo>() as u64;
/// The most bytes that log and data may have together.
const MOST: u64 = isize::MAX as u64 / 2;

/// Where the data begin that follow such a log, in bytes.
fn data_at<D: Data + ?Sized>(log: u64) -> Option<u64> {
    align_up(LOG_AT.checked_add(log)?, align_of::<D::Item>() as u64).filter(|at| *at <= MOST)
}

/// How many bytes so many items have.
fn bytes_of<D: Data + ?Sized>(count: u64) -> Option<u64> {
    count.checked_mul(size_of::<D::Item>() as u64).filter(|bytes| *bytes <= MOST)
}

fn log_length(found: u64) -> ShapeError {
    ShapeError::Length { found, min: record_of(1).unwrap_or(0), max: MOST }
}

impl<D: Data + ?Sized, K: Judge> Transactional<D, K> {
    /// # Safety
    ///
    /// As for [`Object::attach`]; `log` is as long as the log was made.
    unsafe fn place(
        region: Region<'_>,
        count: u64,
        log: u64,
        keeper: K,
    ) -> Result<Self, ShapeError> {
        // SAFETY: `keeper` keeps the bytes mapped (caller), and lies beside what leads to them.
        let region = unsafe { region.kept() };
        let raw: &RawUndo = region.get(Offset::ZERO)?;
        let log_at = region.place(Offset::<u64>::new(LOG_AT)?, (log / 8) as usize)?;
        let at = data_at::<D>(log).ok_or_else(|| log_length(log))?;
        let too_many = || ShapeError::Length { found: count, min: 0, max: MOST };
        let bytes = bytes_of::<D>(count).ok_or_else(too_many)?;
        let count = usize::try_from(count).map_err(|_| too_many())?;
        let first = region.place(Offset::<D::Item>::new(at)?, count)?;
        // SAFETY: both lie in the region, one behind the other, aligned (`place`), which is mapped as long as the keeper is there;
        // the bytes are this object's alone (caller), which uses them under its lock.
        let log = unsafe { Log::new(raw, (log_at.cast(), log), (first.cast(), bytes)) };
        Ok(Self { log, data: D::at(first, count), keeper })
    }
}

#[cfg(feature = "serde")]
shmkit_roster::travels!([D: Data + ?Sized] Transactional<D>, |it| &it.keeper);

// SAFETY: kind and tag are given to this layout alone.
unsafe impl<D: Data + ?Sized, K: Judge> Object<K> for Transactional<D, K> {
    const KIND: Kind = Kind::new("undo");
    const TAG: TypeTag = TypeTag::checked::<D::Item>();
    const SCHEMA: Option<&'static Schema> = Some(<D::Item as ShmChecked>::SCHEMA);

    type Spec = TransactionalSpec<D::First>;

    fn shape(spec: &Self::Spec, _: u32) -> Result<Shape, ShapeError> {
        let len = D::count_first(&spec.first) as u64;
        let log = align_up(spec.log, 8).filter(|log| *log >= record_of(1).unwrap_or(0));
        let at = log.and_then(data_at::<D>).ok_or_else(|| log_length(spec.log))?;
        let bytes =
            bytes_of::<D>(len).ok_or(ShapeError::Length { found: len, min: 0, max: MOST })?;
        Ok(Shape {
            kind: Self::KIND,
            tag: Self::TAG,
            len,
            bytes: at + bytes,
            align: LINE.max(align_of::<D::Item>() as u64),
            names: RawMutex::NAMES.alone(),
        })
    }

    unsafe fn init(region: Region<'_>, spec: Self::Spec, keeper: K) -> Result<Self, ShapeError> {
        let shape = Self::shape(&spec, keeper.places())?;
        let log = align_up(spec.log, 8).ok_or_else(|| log_length(spec.log))?;
        // SAFETY: the caller's promises.
        let made = unsafe { Self::place(region, shape.len, log, keeper) }?;
        made.log.raw().set_capacity(log);
        if let Some(items) = D::items(&spec.first) {
            let to = made.log.data().cast::<D::Item>();
            let from = NonNull::from(items).cast::<D::Item>();
            // SAFETY: as many items are mapped there, aligned (`place`), and nobody else uses them (caller); what is given lies
            // elsewhere.
            unsafe { to.copy_from_nonoverlapping(from, items.len()) };
        }
        Ok(made)
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        if D::ONE {
            ShapeError::unless_one(len)?;
        }
        let raw: &RawUndo = region.get(Offset::ZERO)?;
        let log = raw.capacity();
        if !log.is_multiple_of(8) || log > MOST {
            return Err(ShapeError::Corrupt { field: "log", found: log });
        }
        // SAFETY: the caller's promises; a length that is wrong nevertheless leads outside of the region, which is refused, or to
        // other bytes of this object.
        unsafe { Self::place(region, len, log, keeper) }
    }
}

//! An undo log: what the bytes were that a transaction has changed.

use core::ptr::{self, NonNull};

use shmkit_atomic::AtomicU64;
use shmkit_atomic::Ordering::{Relaxed, Release};
use shmkit_atomic::crash::{in_program_order, step};
use shmkit_layout::Shared;
use shmkit_sync::RawMutex;

/// The words of a transactional object; its log and its data follow.
///
/// ```text
///  0 mutex  16 used  24 capacity  32 log … padding to T's alignment … data
/// ```
#[repr(C)]
pub(crate) struct RawUndo {
    pub(crate) mutex: RawMutex,
    /// How many bytes of the log count: 0 if no transaction is going on. Stored by the holder of the lock only.
    used: AtomicU64,
    /// Bytes of the log, a multiple of 8. Stored once, by who makes the object.
    capacity: AtomicU64,
}

// SAFETY: `repr(C)`, a `Shared` mutex and two atomics; any bit pattern of them is checked (`Log`).
unsafe impl Shared for RawUndo {}

const _: () = assert!(size_of::<RawUndo>() == 32, "part of the segment format");

impl RawUndo {
    /// Says how long the log is.
    pub(crate) fn set_capacity(&self, bytes: u64) {
        self.capacity.store(bytes, Relaxed);
    }

    /// Returns how long the log is, in bytes.
    pub(crate) fn capacity(&self) -> u64 {
        self.capacity.load(Relaxed)
    }
}

/// Bytes of what ends a record: two numbers, where the bytes lie and how many they are.
const TAIL: u64 = 16;

/// Returns how many bytes a record of so many takes; `None` if that is no number.
pub(crate) fn record_of(len: u64) -> Option<u64> {
    len.checked_next_multiple_of(8)?.checked_add(TAIL)
}

/// A record does not fit in what is left of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full {
    /// Bytes that it takes.
    pub needed: u64,
    /// Bytes that are left.
    pub left: u64,
}

/// The log says what none of this version says: somebody has written over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Corrupt;

/// An undo log and the data that it is about. All of it is for the holder of the lock.
///
/// A record is what the bytes were, padded to a multiple of 8, and then where they lie and how many they are, so that the log is
/// read from its end. A record counts from the store to `used` that comes after it, and the bytes are changed after that.
///
/// ```text
/// old bytes … | at, len || old bytes … | at, len ||
///                                                  ^ used
/// ```
pub(crate) struct Log<'a> {
    raw: &'a RawUndo,
    /// The log's first byte, which is aligned for a `u64`.
    log: NonNull<u8>,
    /// Bytes of the log, loaded once and checked.
    capacity: u64,
    /// The first byte of the data.
    data: NonNull<u8>,
    /// How many there are.
    len: u64,
}

impl Clone for Log<'_> {
    fn clone(&self) -> Self {
        *self
    }
}

impl Copy for Log<'_> {}

// SAFETY: all that it leads to is plain bytes, for the holder of the lock.
unsafe impl Send for Log<'_> {}
// SAFETY: as above.
unsafe impl Sync for Log<'_> {}

impl<'a> Log<'a> {
    /// # Safety
    ///
    /// `capacity` bytes from `log` on, which is aligned to 8, and `len` bytes from `data` on must be mapped for `'a`, apart from
    /// each other, and be read and written by the holder of `raw`'s lock only.
    pub(crate) unsafe fn new(
        raw: &'a RawUndo,
        (log, capacity): (NonNull<u8>, u64),
        (data, len): (NonNull<u8>, u64),
    ) -> Self {
        Self { raw, log, capacity, data, len }
    }

    pub(crate) fn raw(self) -> &'a RawUndo {
        self.raw
    }

    pub(crate) fn data(self) -> NonNull<u8> {
        self.data
    }

    pub(crate) fn len(self) -> u64 {
        self.len
    }

    /// Writes down what `len` bytes of the data from `at` on are, which are to be changed next.
    ///
    /// Killed before it counts, nothing has happened.
    pub(crate) fn record(self, at: u64, len: u64) -> Result<(), Full> {
        let used = self.raw.used.load(Relaxed);
        let needed = record_of(len).unwrap_or(u64::MAX);
        let full = Full { needed, left: self.capacity.saturating_sub(used) };
        let to = self.in_log(used, needed).ok_or(full)?;
        let tail = self.tail(used + needed).ok_or(full)?;
        // The caller has looked, so that this is never refused.
        let from = self.in_data(at, len).ok_or(full)?;
        // SAFETY: so many bytes lie at both places (just looked), of the data and of the log.
        unsafe { self.copy(from, to, len) };
        // SAFETY: inside of the log, aligned (`tail`).
        unsafe { tail.write([at, len]) };
        step();
        // Release: the record is whole before it counts; pairs with the load of an heir in `roll_back`, which learned of this
        // process's death from the kernel.
        self.raw.used.store(used + needed, Release);
        // The bytes are changed after it counts.
        in_program_order();
        Ok(())
    }

    /// Makes what was changed the truth: from here on nothing takes it back.
    pub(crate) fn commit(self) {
        in_program_order();
        step();
        // Release: all is changed before the log is empty; pairs as in `record`.
        self.raw.used.store(0, Release);
        in_program_order();
    }

    /// Takes back what was changed since the last commit, the last change first, so that what was changed twice is what it was
    /// before the first change. Returns whether there was anything.
    ///
    /// Killed anywhere in here, the next one does the rest: a record counts until its bytes are back.
    pub(crate) fn roll_back(self) -> Result<bool, Corrupt> {
        let mut rolled = false;
        loop {
            let used = self.raw.used.load(Relaxed);
            if used == 0 {
                return Ok(rolled);
            }
            rolled = true;
            let tail = self.tail(used).ok_or(Corrupt)?;
            // SAFETY: inside of the log, aligned (`tail`).
            let [at, len] = unsafe { tail.read() };
            let begins =
                record_of(len).and_then(|record| used.checked_sub(record)).ok_or(Corrupt)?;
            let from = self.in_log(begins, len).ok_or(Corrupt)?;
            let to = self.in_data(at, len).ok_or(Corrupt)?;
            // SAFETY: so many bytes lie at both places (just looked), of the log and of the data.
            unsafe { self.copy(from, to, len) };
            step();
            // Release: the bytes are back before the record stops to count; pairs as in `record`.
            self.raw.used.store(begins, Release);
            in_program_order();
        }
    }

    /// Where the tail of the record lies that ends at `used`, if it lies inside of the log, aligned.
    fn tail(self, used: u64) -> Option<NonNull<[u64; 2]>> {
        let at = used.checked_sub(TAIL).filter(|at| at.is_multiple_of(8))?;
        Some(self.in_log(at, TAIL)?.cast())
    }

    /// Where `len` bytes of the log lie from `at` on, if there are so many.
    fn in_log(self, at: u64, len: u64) -> Option<NonNull<u8>> {
        at.checked_add(len).filter(|end| *end <= self.capacity)?;
        // SAFETY: inside of the log, or at its end (just looked), which is mapped (`new`): so it is no more than a `usize`.
        Some(unsafe { self.log.add(at as usize) })
    }

    /// The same of the data.
    fn in_data(self, at: u64, len: u64) -> Option<NonNull<u8>> {
        at.checked_add(len).filter(|end| *end <= self.len)?;
        // SAFETY: as in `in_log`.
        Some(unsafe { self.data.add(at as usize) })
    }

    /// # Safety
    ///
    /// `len` bytes must lie at both places, apart from each other, inside of the log and of the data.
    unsafe fn copy(self, from: NonNull<u8>, to: NonNull<u8>, len: u64) {
        in_program_order();
        // SAFETY: both are mapped and apart (caller); the lock's holder alone uses them (`new`).
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), to.as_ptr(), len as usize) };
        in_program_order();
    }
}

//! How answers lie behind each other: written by a worker, read by its parent.

use std::os::fd::OwnedFd;

use serde::de::DeserializeOwned;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::crash;
use shmkit_layout::Region;
use shmkit_parcel::Parcel;
use shmkit_process::__pool::answered;
use shmkit_process::TaskError;

use crate::error::Trouble;
use crate::raw::{Progress, RawCell};
use crate::store::{Store, copy};

/// In front of each answer: how many bytes it has, as u32 of the machine's byte order, and [`LADEN`].
const PREFIX: usize = 4;
/// Something goes with the answer that is more than bytes, which the worker has sent before.
const LADEN: u32 = 1 << 31;

/// Where a worker writes the answers to the calls in a cell, which is its own.
pub(crate) struct Answers<'s> {
    store: &'s Store,
    cell: &'s RawCell,
    /// How many calls are in the cell.
    calls: u64,
    /// What the cell says of them.
    now: Progress,
    /// Where they are.
    here: Region<'s>,
}

impl<'s> Answers<'s> {
    /// Begins to answer the calls in a cell, with the bytes of the cell.
    pub(crate) fn new(store: &'s Store, number: u32, cell: &'s RawCell) -> Result<Self, Trouble> {
        let (calls, here) = (cell.length.load(Relaxed) >> 40, store.table.bytes(number)?);
        Ok(Self { store, cell, calls, now: Progress::NONE, here })
    }

    /// Puts the answer of the next call behind those that are there, and says so.
    #[inline]
    pub(crate) fn add(&mut self, answer: &[u8]) -> Result<(), Trouble> {
        self.put(answer, 0)
    }

    /// The same of an answer with which something goes that is more than bytes: its parent is to look for that.
    pub(crate) fn add_laden(&mut self, answer: &[u8]) -> Result<(), Trouble> {
        // Relaxed: the cell's word publishes it.
        self.cell.brings.store(1, Relaxed);
        self.put(answer, LADEN)
    }

    /// Returns the number of the call that is answered next, from the cell's first.
    pub(crate) fn next(&self) -> u64 {
        self.now.calls()
    }

    #[inline]
    fn put(&mut self, answer: &[u8], mark: u32) -> Result<(), Trouble> {
        let len = u32::try_from(answer.len()).ok().filter(|len| len & LADEN == 0);
        let len = len.ok_or(Trouble::TooLong(answer.len()))?;
        let at = self.now.bytes();
        let end = at + PREFIX as u64 + u64::from(len);
        if end > self.here.len() as u64 {
            self.move_to_more(end)?;
        }
        self.here.write_bytes(at, &(len | mark).to_ne_bytes())?;
        self.here.write_bytes(at + PREFIX as u64, answer)?;
        self.now = Progress::new(self.now.place(), self.now.calls() + 1, end);
        self.cell.advance(self.now);
        Ok(())
    }

    /// Finds room for answers up to `end`, and takes along those that are there.
    #[cold]
    fn move_to_more(&mut self, end: u64) -> Result<(), Trouble> {
        let now = self.now;
        // Twice as much as is needed, as there is more to come; and in the one of two places that is not in use.
        let len = if self.calls > now.calls() + 1 { end * 2 } else { end };
        let place = if now.place() == 1 { 2 } else { 1 };
        let block = self.store.heap.reserve_bytes(len as usize)?;
        let word = &self.cell.blocks[place as usize - 1];
        // What was there before is free: its answers are in the block that is in use.
        // Relaxed: before it is kept, so that the parent of a dead worker, which sees all that it did, finds it.
        let before = word.swap(block.id().get(), Relaxed);
        crash::in_program_order();
        let id = block.keep()?;
        self.store.free(before);
        // SAFETY: this worker's, as long as the cell is.
        let there = unsafe { self.store.heap.bytes(id) }?;
        let answers = copy(self.here, now.bytes(), now.bits())?;
        there.write_bytes(0, &answers)?;
        // It counts with the next answer: until then the cell names the old place.
        self.now = Progress::new(place, now.calls(), now.bytes());
        self.here = there;
        Ok(())
    }
}

/// Answers as they have come, each behind its length.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    pub(crate) bytes: Vec<u8>,
    /// What goes with those that are laden, one after the other.
    pub(crate) files: Vec<Vec<OwnedFd>>,
}

impl Packed {
    /// The numbers of those calls, from the first, whose answers are laden.
    pub(crate) fn laden(&self) -> Vec<u64> {
        let (mut all, mut laden) = (Reader::of(&self.bytes), Vec::new());
        let mut number = 0;
        while let Some((_, is_laden)) = all.cut() {
            laden.extend(is_laden.then_some(number));
            number += 1;
        }
        laden
    }
}

/// Takes answers apart, call by call.
pub(crate) struct Reader<'b> {
    rest: &'b [u8],
    files: std::vec::IntoIter<Vec<OwnedFd>>,
    parcel: Parcel,
}

impl<'b> Reader<'b> {
    pub(crate) fn new(packed: &'b mut Packed) -> Self {
        let files = std::mem::take(&mut packed.files);
        Self { files: files.into_iter(), ..Self::of(&packed.bytes) }
    }

    fn of(bytes: &'b [u8]) -> Self {
        Self { rest: bytes, files: Vec::new().into_iter(), parcel: Parcel::new() }
    }

    /// Returns the bytes of the next answer, and whether something goes with them.
    #[inline]
    pub(crate) fn cut(&mut self) -> Option<(&'b [u8], bool)> {
        let (mark, behind) = self.rest.split_first_chunk::<PREFIX>()?;
        let mark = u32::from_ne_bytes(*mark);
        let (answer, rest) = behind.split_at_checked((mark & !LADEN) as usize)?;
        self.rest = rest;
        Some((answer, mark & LADEN != 0))
    }

    /// Unpacks the next answer of a task in a process of this name.
    pub(crate) fn next<T: DeserializeOwned>(
        &mut self,
        task: &'static str,
        name: &str,
    ) -> Result<T, TaskError> {
        let decode = |why: String| TaskError::Decode { task, name: name.to_owned(), why };
        let Some((answer, is_laden)) = self.cut() else {
            return Err(decode("it is cut off".into()));
        };
        self.parcel.refill(answer);
        if is_laden {
            let files = self.files.next().unwrap_or_default();
            self.parcel = Parcel::from_parts(answer.to_vec(), files);
        }
        answered(task, name, &mut self.parcel)?;
        self.parcel.take().map_err(|error| decode(error.to_string()))
    }
}

//! How answers lie behind each other: written by a worker, read by its parent.

use std::os::fd::OwnedFd;

use serde::de::DeserializeOwned;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::crash;
use shmkit_layout::Region;
use shmkit_parcel::Parcel;
use shmkit_process::__pool::{answered, returned};
use shmkit_process::TaskError;

use crate::error::Trouble;
use crate::raw::{Progress, RawCell};
use crate::store::{Store, copy};

/// In front of each answer: how many bytes it has, as u32 of the machine's byte order, and [`LADEN`].
pub(crate) const PREFIX: usize = 4;
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

    /// Puts the answer of the next call behind those that are there, and says so. In front of it are bytes for its
    /// [prefix](PREFIX), so that it is copied in one.
    #[inline]
    pub(crate) fn add(&mut self, answer: &mut [u8]) -> Result<(), Trouble> {
        self.put(answer, 0)
    }

    /// The same of an answer with which something goes that is more than bytes: its parent is to look for that.
    pub(crate) fn add_laden(&mut self, answer: &mut [u8]) -> Result<(), Trouble> {
        // Relaxed: the cell's word publishes it.
        self.cell.brings.store(1, Relaxed);
        self.put(answer, LADEN)
    }

    /// Returns the number of the call that is answered next, from the cell's first.
    pub(crate) fn next(&self) -> u64 {
        self.now.calls()
    }

    #[inline]
    fn put(&mut self, answer: &mut [u8], mark: u32) -> Result<(), Trouble> {
        let all = answer.len();
        let too_long = Trouble::TooLong(all);
        let Some((prefix, bytes)) = answer.split_first_chunk_mut::<PREFIX>() else {
            return Err(too_long);
        };
        let len = u32::try_from(bytes.len()).ok().filter(|len| len & LADEN == 0);
        *prefix = (len.ok_or(too_long)? | mark).to_ne_bytes();
        let at = self.now.bytes();
        let end = at + all as u64;
        if end > self.here.len() as u64 {
            self.move_to_more(end)?;
        }
        self.here.write_bytes(at, answer)?;
        self.now = Progress::new(self.now.place(), self.now.calls() + 1, end);
        self.cell.advance(self.now);
        Ok(())
    }

    /// Finds room for answers up to `end`, and takes along those that are there.
    #[cold]
    fn move_to_more(&mut self, end: u64) -> Result<(), Trouble> {
        let now = self.now;
        // As much as all of them take if those to come are as long as those that are there, and an eighth; and in the one of
        // two places that is not in use.
        let (here, more) = (now.calls() + 1, self.calls.saturating_sub(now.calls() + 1));
        let to_come = end.div_ceil(here).saturating_mul(more);
        let len = end + to_come + to_come / 8;
        let place = if now.place() == 1 { 2 } else { 1 };
        let heap = &self.store.heap;
        // Those to come may be shorter, or find room later.
        let block =
            heap.reserve_bytes(len as usize).or_else(|_| heap.reserve_bytes(end as usize))?;
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
}

impl<'b> Reader<'b> {
    pub(crate) fn new(packed: &'b mut Packed) -> Self {
        let files = std::mem::take(&mut packed.files);
        Self { files: files.into_iter(), ..Self::of(&packed.bytes) }
    }

    fn of(bytes: &'b [u8]) -> Self {
        Self { rest: bytes, files: Vec::new().into_iter() }
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
    #[inline]
    pub(crate) fn next<T: DeserializeOwned>(
        &mut self,
        task: &'static str,
        name: &str,
    ) -> Result<T, TaskError> {
        let next = self.cut();
        match next {
            Some((answer, false)) if let Some(output) = returned(answer) => Ok(output),
            _ => self.unpack(next, task, name),
        }
    }

    /// The same of one with which something goes, or that says why there is none.
    #[cold]
    fn unpack<T: DeserializeOwned>(
        &mut self,
        next: Option<(&[u8], bool)>,
        task: &'static str,
        name: &str,
    ) -> Result<T, TaskError> {
        let decode = |why: String| TaskError::Decode { task, name: name.to_owned(), why };
        let Some((answer, is_laden)) = next else {
            return Err(decode("it is cut off".into()));
        };
        let files = if is_laden { self.files.next().unwrap_or_default() } else { Vec::new() };
        let mut parcel = Parcel::from_parts(answer.to_vec(), files);
        answered(task, name, &mut parcel)?;
        parcel.take().map_err(|error| decode(error.to_string()))
    }
}

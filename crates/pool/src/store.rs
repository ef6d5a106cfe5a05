//! A pool's objects in shared memory, and how bytes lie in its cells.

use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::crash;
use shmkit_heap::{BlockId, Heap, HeapError, HeapSpec};
use shmkit_layout::Region;
use shmkit_queue::{Queue, QueueSpec};
use shmkit_roster::Judge;
use shmkit_segment::{Options, Segment};

use crate::error::Trouble;
use crate::raw::{Corrupt, MOST_BYTES, MOST_CALLS, Progress, RawCell};
use crate::table::{ROOM, Table, TableSpec};

/// In front of each answer: how many bytes it has, as u32 of the machine's byte order.
pub(crate) const PREFIX: usize = 4;
/// What the heap has at first, in bytes.
const HEAP: u64 = 256 << 10;

/// All of a pool that lies in shared memory, as one process has it.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) table: Table,
    /// The line of cells that wait for a worker.
    pub(crate) ready: Queue<u32>,
    /// The numbers of cells that are done, and [`NEWS`].
    pub(crate) finished: Queue<u32>,
    pub(crate) heap: Heap,
    pub(crate) segment: Segment,
}

/// A number in `finished` that is no cell's: somebody is to look around.
pub(crate) const NEWS: u32 = u32::MAX;

impl Store {
    /// Makes that of a new pool: for so many tasks under way, places of workers, and bytes of what is too large for a cell.
    pub(crate) fn new(cells: u32, workers: u32, memory: u64) -> Result<Self, Trouble> {
        // A number may stand in a line twice: once more when its worker has died.
        let line = 2 * cells + workers;
        let lines = 2 * (u64::from(line) * 16 + 4096);
        let size = u64::from(cells) * 256 + u64::from(workers) * 64 + lines + 2 * HEAP;
        let segment = Options::new(size)
            .max(size + memory + memory / 64)
            .participants(workers + 1)
            .objects(8)
            .content("pool")
            .anonymous()?;
        Ok(Self {
            table: segment.make("table", TableSpec { cells, workers })?,
            ready: segment.make("ready", QueueSpec::from(u64::from(line)))?,
            finished: segment.make("finished", QueueSpec::from(u64::from(line)))?,
            heap: segment.make("heap", HeapSpec::growing(HEAP, memory.max(HEAP)))?,
            segment,
        })
    }

    /// Finds that of a pool whose segment was received.
    pub(crate) fn find(segment: Segment) -> Result<Self, Trouble> {
        Ok(Self {
            table: segment.find("table")?,
            ready: segment.find("ready")?,
            finished: segment.find("finished")?,
            heap: segment.find("heap")?,
            segment,
        })
    }

    pub(crate) fn me(&self) -> Option<shmkit_roster::OwnerId> {
        self.table.keeper().me()
    }

    /// Puts arguments into a cell that is the caller's.
    pub(crate) fn write_args(
        &self,
        number: u32,
        cell: &RawCell,
        calls: usize,
        bytes: &[u8],
        is_laden: bool,
    ) -> Result<(), Trouble> {
        if calls as u64 > MOST_CALLS || bytes.len() as u64 > MOST_BYTES {
            return Err(Trouble::TooLong(bytes.len()));
        }
        let block = if bytes.len() as u64 <= ROOM {
            self.table.bytes(number)?.write_bytes(0, bytes)?;
            BlockId::NONE
        } else {
            let mut block = self.heap.reserve_bytes(bytes.len())?;
            block.as_mut_slice()[..bytes.len()].copy_from_slice(bytes);
            block.keep()?
        };
        // Relaxed, all: the cell's word publishes them.
        cell.block.store(block.get(), Relaxed);
        cell.length.store((calls as u64) << 40 | bytes.len() as u64, Relaxed);
        cell.started.store(0, Relaxed);
        cell.laden.store(is_laden.into(), Relaxed);
        cell.advance(Progress::NONE);
        Ok(())
    }

    /// Returns how many calls are in a cell, and their arguments.
    pub(crate) fn read_args(&self, number: u32, cell: &RawCell) -> Result<(u64, Vec<u8>), Trouble> {
        let (length, block) = (cell.length.load(Relaxed), cell.block.load(Relaxed));
        let (calls, len) = (length >> 40, length & MOST_BYTES);
        let bytes = match BlockId::from_number(block) {
            id if id.is_none() => copy(self.table.bytes(number)?, len, length)?,
            // SAFETY: the parent frees it when the cell is its own again.
            id => copy(unsafe { self.heap.bytes(id) }?, len, length)?,
        };
        Ok((calls, bytes))
    }

    /// Puts the answer of the next call behind those that are there, and says so.
    pub(crate) fn add_answer(
        &self,
        number: u32,
        cell: &RawCell,
        answer: &[u8],
    ) -> Result<(), Trouble> {
        let len = u32::try_from(answer.len()).map_err(|_| Trouble::TooLong(answer.len()))?;
        let now = cell.progress();
        let end = now.bytes() + PREFIX as u64 + u64::from(len);
        let (place, region) = self.room(number, cell, now, end)?;
        region.write_bytes(now.bytes(), &len.to_ne_bytes())?;
        region.write_bytes(now.bytes() + PREFIX as u64, answer)?;
        cell.advance(Progress::new(place, now.calls() + 1, end));
        Ok(())
    }

    /// Returns where there is room for answers up to `end`, with those in it that are there.
    fn room(
        &self,
        number: u32,
        cell: &RawCell,
        now: Progress,
        end: u64,
    ) -> Result<(u64, Region<'_>), Trouble> {
        let here = self.answers(number, cell, now)?;
        if end <= here.len() as u64 {
            return Ok((now.place(), here));
        }
        // Twice as much as is needed, as there is more to come; and in the one of two places that is not in use.
        let calls = cell.length.load(Relaxed) >> 40;
        let len = if calls > now.calls() + 1 { end * 2 } else { end };
        let place = if now.place() == 1 { 2 } else { 1 };
        let block = self.heap.reserve_bytes(len as usize)?;
        let word = &cell.blocks[place as usize - 1];
        // What was there before is free: its answers are in the block that is in use.
        // Relaxed: before it is kept, so that the parent of a dead worker, which sees all that it did, finds it.
        let before = word.swap(block.id().get(), Relaxed);
        crash::in_program_order();
        let id = block.keep()?;
        self.free(before);
        // SAFETY: this worker's, as long as the cell is.
        let there = unsafe { self.heap.bytes(id) }?;
        let answers = copy(here, now.bytes(), now.bits())?;
        there.write_bytes(0, &answers)?;
        Ok((place, there))
    }

    /// Where the answers are.
    fn answers(&self, number: u32, cell: &RawCell, now: Progress) -> Result<Region<'_>, Trouble> {
        match now.place() {
            0 => Ok(self.table.bytes(number)?),
            place @ (1 | 2) => {
                let id = cell.blocks[place as usize - 1].load(Relaxed);
                // SAFETY: whose the cell is has the block.
                Ok(unsafe { self.heap.bytes(BlockId::from_number(id)) }?)
            }
            _ => Err(Corrupt { field: "place of answers", found: now.bits() }.into()),
        }
    }

    /// Reads all answers that there are, each behind its length.
    pub(crate) fn read_answers(
        &self,
        number: u32,
        cell: &RawCell,
    ) -> Result<(u64, Vec<u8>), Trouble> {
        let now = cell.progress();
        let bytes = copy(self.answers(number, cell, now)?, now.bytes(), now.bits())?;
        Ok((now.calls(), bytes))
    }

    /// Frees what a cell has beside it.
    pub(crate) fn free_blocks(&self, cell: &RawCell) {
        for word in [&cell.block, &cell.blocks[0], &cell.blocks[1]] {
            if word.load(Relaxed) != 0 {
                self.free(word.swap(0, Relaxed));
            }
        }
    }

    fn free(&self, id: u64) {
        if id != 0 {
            // One that was reserved by somebody dead and not kept is the heap's; one that is freed already is what a death
            // in between has left.
            match self.heap.free(BlockId::from_number(id)) {
                Ok(()) | Err(HeapError::Stale { .. } | HeapError::NotReserved { .. }) => {}
                // It is lost, and what it costs is its bytes.
                Err(_) => {}
            }
        }
    }
}

fn copy(from: Region<'_>, len: u64, found: u64) -> Result<Vec<u8>, Trouble> {
    if len > from.len() as u64 {
        return Err(Corrupt { field: "length of a cell's bytes", found }.into());
    }
    let mut bytes = vec![0; len as usize];
    from.read_bytes(0, &mut bytes)?;
    Ok(bytes)
}

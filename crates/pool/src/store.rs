//! A pool's objects in shared memory, and how bytes lie in its cells.

use shmkit_atomic::Ordering::Relaxed;
use shmkit_heap::{BlockId, Heap, HeapError, HeapSpec};
use shmkit_layout::Region;
use shmkit_queue::{Lease, Queue, QueueError, QueueSpec};
use shmkit_roster::{Judge, OwnerId};
use shmkit_segment::{Options, Segment};
use shmkit_sync::{GivenUp, Patience, Spin};

use crate::error::Trouble;
use crate::raw::{Corrupt, MOST_BYTES, MOST_CALLS, Progress, RawCell};
use crate::table::{ROOM, Table, TableSpec};

/// What the heap has at first, in bytes.
const HEAP: u64 = 256 << 10;

/// Pauses between two looks of the first worker at the line before it waits there: a hundred are some 2 µs, within which who has an
/// answer calls again. The line's own looks are rarer, for many put and take there.
const REST: u32 = 2;

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

    pub(crate) fn me(&self) -> Option<OwnerId> {
        self.table.keeper().me()
    }

    /// A worker takes the number of a cell that waits, as long as the patience says, and the parent lives.
    ///
    /// The first one asks whether it lives; who sleeps apart becomes the first when that one has found it dead, and need not wake
    /// for it: of a pool that has nothing to do, two wake.
    pub(crate) fn next<'s>(
        &'s self,
        me: OwnerId,
        parent: OwnerId,
        patience: &Patience<'_>,
    ) -> Result<Lease<'s, u32>, QueueError> {
        let front = self.table.front();
        let is_more = || self.ready.is_closed() || !self.ready.is_empty().is_ok_and(|empty| empty);
        loop {
            match self.ready.try_take() {
                Err(QueueError::Empty) => {}
                taken => return taken,
            }
            if front.lead(me) {
                let mut spin = Spin::for_hand_over(REST);
                while !is_more() && spin.again() {}
                let taken = self.ready.take_deadline(patience.while_alive(parent));
                front.step_aside(me, is_more);
                if matches!(taken, Err(QueueError::PeerDied { .. })) {
                    front.call_all();
                }
                return taken;
            }
            front.follow(self.table.keeper(), me, patience, is_more).map_err(|why| match why {
                GivenUp::PeerDied(peer) => QueueError::PeerDied { peer },
                GivenUp::CannotJudge => QueueError::CannotJudge,
                GivenUp::Interrupted => QueueError::Interrupted,
                _ => QueueError::TimedOut,
            })?;
        }
    }

    /// Nobody is to wait for tasks any more.
    pub(crate) fn close(&self) {
        let _ = self.ready.close();
        self.table.front().call_all();
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
        cell.brings.store(0, Relaxed);
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

    /// Where the answers are.
    fn place(&self, number: u32, cell: &RawCell, now: Progress) -> Result<Region<'_>, Trouble> {
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

    /// Reads all answers that there are, and says to how many calls; not what goes with them.
    pub(crate) fn read_answers(
        &self,
        number: u32,
        cell: &RawCell,
    ) -> Result<(u64, Vec<u8>), Trouble> {
        let now = cell.progress();
        let bytes = copy(self.place(number, cell, now)?, now.bytes(), now.bits())?;
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

    pub(crate) fn free(&self, id: u64) {
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

pub(crate) fn copy(from: Region<'_>, len: u64, found: u64) -> Result<Vec<u8>, Trouble> {
    if len > from.len() as u64 {
        return Err(Corrupt { field: "length of a cell's bytes", found }.into());
    }
    let mut bytes = vec![0; len as usize];
    from.read_bytes(0, &mut bytes)?;
    Ok(bytes)
}

//! A heap in memory of its own.

use std::ptr::NonNull;

use memmap2::{MmapMut, MmapRaw};
use shmkit_heap::Heap;
use shmkit_layout::{Object, Region, ShapeError};
use shmkit_roster::model::ModelJudge;

/// Zeroed memory, and the participants that use it.
pub(crate) struct Memory {
    map: MmapRaw,
    pub(crate) judges: Vec<ModelJudge>,
}

impl Memory {
    pub(crate) fn new(bytes: usize, participants: u32) -> Self {
        let map = MmapRaw::from(MmapMut::map_anon(bytes).unwrap());
        Self { map, judges: ModelJudge::new(participants) }
    }

    pub(crate) fn region(&self) -> Region<'_> {
        // SAFETY: mapped as long as this is borrowed, and used as one heap.
        unsafe {
            Region::from_raw_parts(NonNull::new(self.map.as_mut_ptr()).unwrap(), self.map.len())
        }
    }

    /// The first participant makes the heap.
    pub(crate) fn heap(&self) -> Heap<&ModelJudge> {
        // SAFETY: zero bytes that nobody else uses.
        unsafe { Heap::init(self.region(), (self.map.len() as u64).into(), &self.judges[0]) }
            .unwrap()
    }

    /// Another one opens it.
    pub(crate) fn open(&self, participant: usize) -> Result<Heap<&ModelJudge>, ShapeError> {
        let len = self.map.len() as u64;
        // SAFETY: `heap` made it, or the test has damaged it.
        unsafe { Heap::attach(self.region(), len, &self.judges[participant]) }
    }
}

//! A map in memory of its own.

use std::ptr::NonNull;

use memmap2::{MmapMut, MmapRaw};
use shmkit_collections::{Item, MapSpec, ShmMap};
use shmkit_layout::{Object, Region, ShapeError};
use shmkit_roster::model::ModelJudge;

/// Zeroed memory, and the participants that use it.
pub(crate) struct Memory {
    map: MmapRaw,
    judges: Vec<ModelJudge>,
}

pub(crate) type Map<'m, Q, V> = ShmMap<Q, V, &'m ModelJudge>;

impl Memory {
    pub(crate) fn new(bytes: usize) -> Self {
        let map = MmapRaw::from(MmapMut::map_anon(bytes).unwrap());
        Self { map, judges: ModelJudge::new(4) }
    }

    pub(crate) fn die(&self, participant: usize) {
        self.judges[participant].die();
    }

    pub(crate) fn region(&self) -> Region<'_> {
        // SAFETY: mapped as long as this is borrowed, and used as one map.
        unsafe {
            Region::from_raw_parts(NonNull::new(self.map.as_mut_ptr()).unwrap(), self.map.len())
        }
    }

    pub(crate) fn map<Q: Item + ?Sized, V: Item + ?Sized>(&self) -> Map<'_, Q, V> {
        self.make(MapSpec::bytes(self.map.len() as u64))
    }

    pub(crate) fn make<Q: Item + ?Sized, V: Item + ?Sized>(&self, spec: MapSpec) -> Map<'_, Q, V> {
        // SAFETY: zero bytes that nobody else uses.
        unsafe { ShmMap::init(self.region(), spec, &self.judges[0]) }.unwrap()
    }

    pub(crate) fn open<Q: Item + ?Sized, V: Item + ?Sized>(
        &self,
        participant: usize,
    ) -> Result<Map<'_, Q, V>, ShapeError> {
        let len = self.map.len() as u64;
        // SAFETY: `make` made it, or the test has damaged it.
        unsafe { ShmMap::attach(self.region(), len, &self.judges[participant]) }
    }
}

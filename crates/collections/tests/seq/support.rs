//! A sequence in memory of its own.

use std::ptr::NonNull;

use memmap2::{MmapMut, MmapRaw};
use shmkit_heap::Account;
use shmkit_layout::{Object, Region, ShapeError};
use shmkit_roster::model::ModelJudge;

/// Zeroed memory, and the participants that use it.
pub(crate) struct Memory {
    map: MmapRaw,
    pub(crate) judges: Vec<ModelJudge>,
}

impl Memory {
    pub(crate) fn new(bytes: usize) -> Self {
        let map = MmapRaw::from(MmapMut::map_anon(bytes).unwrap());
        Self { map, judges: ModelJudge::new(4) }
    }

    pub(crate) fn region(&self) -> Region<'_> {
        // SAFETY: mapped as long as this is borrowed, and used as one object.
        unsafe {
            Region::from_raw_parts(NonNull::new(self.map.as_mut_ptr()).unwrap(), self.map.len())
        }
    }

    /// The bytes that there are.
    pub(crate) fn bytes(&self) -> u64 {
        self.map.len() as u64
    }

    pub(crate) fn make<'m, O: Object<&'m ModelJudge>>(&'m self, spec: O::Spec) -> O {
        // SAFETY: zero bytes that nobody else uses.
        unsafe { O::init(self.region(), spec, &self.judges[0]) }.unwrap()
    }

    pub(crate) fn open<'m, O: Object<&'m ModelJudge>>(
        &'m self,
        participant: usize,
    ) -> Result<O, ShapeError> {
        // SAFETY: `make` made it, or the test has damaged it.
        unsafe { O::attach(self.region(), self.bytes(), &self.judges[participant]) }
    }
}

/// Every byte is accounted for, of one block at most, and none is reserved.
pub(crate) fn whole(account: Account) {
    assert!(account.is_complete(), "{account}");
    assert!(account.kept_blocks <= 1 && account.reserved_blocks == 0, "{account}");
}

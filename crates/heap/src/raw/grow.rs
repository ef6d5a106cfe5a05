//! Pages that are only reserved, and there when they are needed.

use core::alloc::Layout;

use shmkit_layout::CommitError;
use shmkit_roster::Judge;

use crate::class::Class;
use crate::raw::RawHeap;
use crate::{HeapError, Local};

/// Fewest pages that are had at a time: each time is a system call, and a look at all pages before it.
const FEWEST: u64 = 16;

impl RawHeap<'_> {
    /// Has more pages, by `commit` from one page to before another, if there is no room for such a block. Returns whether
    /// there is some by now, unless others are faster; if not, the heap is as large as it may become.
    ///
    /// *If a peer dies* at this, the memory may be there and nobody knows: the next one commits the same pages.
    #[cold]
    pub(crate) fn grow<J: Judge + ?Sized>(
        &self,
        layout: Layout,
        judge: &J,
        local: &Local,
        commit: impl Fn(u64, u64) -> Result<(), CommitError>,
    ) -> Result<bool, HeapError> {
        let needed = match Class::of(layout) {
            Some(class) => local.slab(class).pages.into(),
            None => self.pages_of(layout)?,
        };
        self.locked(judge, || {
            let (there, most) = (self.committed(), self.pages());
            if self.free_pages().1 >= needed {
                return Ok(true); // Another one has just had some.
            }
            if there == most {
                return Ok(false);
            }
            // A quarter more each time, so that all looks together are few beside what is reserved.
            let some = needed.max(there / 4).max(FEWEST);
            let ends = [some, needed].map(|more| there.saturating_add(more).min(most));
            let mut result = Ok(());
            for end in ends {
                result = commit(there, end);
                if result.is_ok() {
                    self.parts.frame.commit(end);
                    return Ok(true);
                }
            }
            result.map(|()| true).map_err(HeapError::Memory)
        })
    }
}

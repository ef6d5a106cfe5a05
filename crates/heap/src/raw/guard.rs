//! Slabs that must stay as long as somebody is about to change a word in them.
//!
//! Whoever reserves or frees a small block says which slab that is in (a [hazard](Hazard)), fences, and looks at the page's
//! word. Whoever wants to give a slab's pages back marks the page's word, fences, and looks at all hazards. One of the two
//! sees the other. The first runs for every block, the second when the heap is full: so the fence of the first is left to
//! [`barrier::heavy`](shmkit_atomic::barrier::heavy), which the second calls.

use shmkit_atomic::Ordering::SeqCst;
use shmkit_atomic::{fence, hint};
use shmkit_roster::Judge;

use crate::raw::RawHeap;
use crate::raw::frame::{Hazard, HazardLine, SeatWords};
use crate::word::Tenant;
use crate::{HeapError, Local, thread};

/// How often the hazard of several threads is tried to be had. Each has it for some instructions, if it is not preempted.
const TRIES: u32 = if cfg!(loom) { 1 } else { 200 };

impl<'a> RawHeap<'a> {
    /// Does something with the slab at `page`, if there is one: it stays one meanwhile. In `work` there may be no look at
    /// any slab whose page's word did not say so in there.
    #[inline]
    pub(super) fn guarded<T, J: Judge + ?Sized>(
        &self,
        page: u64,
        tenant: Tenant,
        judge: &J,
        local: &Local,
        work: impl FnOnce() -> Result<T, HeapError>,
    ) -> Result<T, HeapError> {
        let hazard = match self.hazard(tenant) {
            Some(hazard) if hazard.set_own(page) => {
                local.fence();
                Some(hazard)
            }
            _ => self.guard_in_turn(page, tenant, judge)?,
        };
        let result = work();
        match hazard {
            Some(hazard) => hazard.clear(),
            None => self.unlock(judge),
        }
        result
    }

    /// Guards a slab, for who has no hazard of its own: by one that several threads share, or (`None`) by the mutex.
    #[cold]
    fn guard_in_turn<J: Judge + ?Sized>(
        &self,
        page: u64,
        tenant: Tenant,
        judge: &J,
    ) -> Result<Option<&'a Hazard>, HeapError> {
        let shared = &self.parts.seats[tenant.seat as usize].shared;
        for _ in 0..TRIES {
            if shared.set_shared(page) {
                fence(SeqCst); // SeqCst: as in `Local::fence`.
                return Ok(Some(shared));
            }
            wait();
        }
        // A thread that stands still has it, or this is a signal's handler in the middle of the above. Under the mutex
        // nobody else gives pages back.
        self.lock(judge)?;
        Ok(None)
    }

    /// Returns the calling thread's own hazard, if it has one.
    #[inline]
    fn hazard(&self, tenant: Tenant) -> Option<&'a Hazard> {
        let number = thread::number().filter(|&number| number < self.lines)?;
        let line = self.parts.hazards.get((tenant.seat * self.lines + number) as usize)?;
        Some(&line.hazard)
    }

    /// Returns the hazards of a seat.
    pub(super) fn hazards(&self, seat: usize) -> impl Iterator<Item = &'a Hazard> {
        let SeatWords { shared, .. } = &self.parts.seats[seat];
        let lines = self.lines as usize;
        let own = self.parts.hazards.get(seat * lines..(seat + 1) * lines).unwrap_or_default();
        core::iter::once(shared).chain(own.iter().map(|HazardLine { hazard, .. }| hazard))
    }
}

fn wait() {
    hint::spin_loop();
    #[cfg(not(loom))]
    std::thread::yield_now();
}

//! Who uses the heap.

use shmkit_atomic::barrier;
use shmkit_roster::{Judge, OwnerId, Verdict, ask};

use crate::raw::RawHeap;
use crate::raw::frame::Hazard;
use crate::word::Tenant;
use crate::{HeapError, Local};

impl RawHeap<'_> {
    /// Returns the seat that this process has, and takes one if it has none yet.
    #[inline]
    pub(super) fn tenant<J: Judge + ?Sized>(
        &self,
        judge: &J,
        local: &Local,
    ) -> Result<Tenant, HeapError> {
        let me = judge.me().ok_or(HeapError::NotJoined)?;
        match local.tenant(me) {
            Some(tenant) => Ok(tenant),
            None => self.take_seat(me, judge, local),
        }
    }

    #[cold]
    fn take_seat<J: Judge + ?Sized>(
        &self,
        me: OwnerId,
        judge: &J,
        local: &Local,
    ) -> Result<Tenant, HeapError> {
        // Not under the mutex: the first time it may take milliseconds.
        let mut light = barrier::register();
        let tenant = self.locked(judge, || {
            let seats = self.parts.seats;
            let home = me.home(seats.len());
            let all = || (home..seats.len()).chain(0..home);
            // Under the mutex: another thread of ours may have been faster.
            for at in all() {
                if seats[at].owner() == Some(me) {
                    light = seats[at].is_light();
                    return Ok(Tenant { seat: at as u32, tenure: seats[at].tenure() });
                }
            }
            // Its own place in the roster is where nobody alive can sit, if there are as many seats as places.
            for at in all() {
                let free = match seats[at].owner() {
                    None => true,
                    Some(owner) => ask(judge, me, owner) == Verdict::Dead,
                };
                if free {
                    // Before it has an owner who lives: what a dead one was about to do will not be done.
                    self.hazards(at).for_each(Hazard::wipe);
                    return Ok(Tenant { seat: at as u32, tenure: seats[at].take(me, light) });
                }
            }
            Err(HeapError::TooManyUsers { seats: seats.len() as u32 })
        })?;
        local.settle(me, tenant, light);
        Ok(tenant)
    }

    /// Returns whether a tenant is dead: what it had reserved is nobody's.
    pub(super) fn is_gone<J: Judge + ?Sized>(&self, tenant: Tenant, judge: &J) -> bool {
        let Some(seat) = self.parts.seats.get(tenant.seat as usize) else {
            // A seat that there is not: nobody's, but nobody of this version wrote that. Left alone.
            return false;
        };
        if seat.tenure() != tenant.tenure {
            return true; // Somebody else has taken the seat since, from who was dead.
        }
        match (judge.me(), seat.owner()) {
            (Some(me), Some(owner)) => ask(judge, me, owner) == Verdict::Dead,
            _ => false,
        }
    }
}

//! One side of a ring as one of several things that are waited for.

use shmkit_atomic::Ordering::{Acquire, Release};
use shmkit_atomic::barrier;
use shmkit_atomic::futex::Waiter;
use shmkit_roster::Judge;

use super::{Peer, RawEnd};
use crate::raw::roles::HEAVY;

impl<const SENDS: bool> RawEnd<'_, SENDS> {
    /// Marks that somebody is about to sleep, before it looks whether this side [is ready](Self::is_ready) for the last time,
    /// and returns where.
    pub fn arm(&self) -> Waiter {
        if !SENDS && self.ready() == 0 && self.returned != self.mine {
            // There is time for it, as before any sleep. Release: as in `give_back`.
            self.ring.returned.store(self.mine, Release);
            self.ring_for_other();
        }
        let bell = &self.ring.control.bell[Self::SELF];
        let armed = bell.arm();
        if self.word & HEAVY != 0 {
            barrier::heavy(); // As in `sleep`.
        }
        bell.waiter(armed)
    }

    /// Returns whether an operation on `want` places, at least one and at most the capacity, would not wait: they are ready, or
    /// it would fail. Whether the other side is alive is only found out if that is to be `asked`.
    pub fn is_ready<J: Judge + ?Sized>(&self, judge: &J, want: u64, asked: bool) -> bool {
        if self.check(judge).is_err() {
            return true;
        }
        // In this order, or the last items are lost to who is told of the end.
        let peer = match self.peer(judge, asked) {
            Ok(peer) => peer,
            Err(_) => return true,
        };
        // Acquire: as in `look`.
        let seen = self.ring.position(Self::OTHER).load(Acquire);
        let ready = if SENDS {
            let free = self.capacity.checked_sub(self.mine.wrapping_sub(seen));
            free.is_none_or(|free| free >= want)
        } else {
            self.bounded(seen).is_ok_and(|limit| limit.wrapping_sub(self.mine) >= want)
        };
        ready || !matches!(peer, Peer::Absent | Peer::Present)
    }
}

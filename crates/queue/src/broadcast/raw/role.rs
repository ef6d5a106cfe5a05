//! Who publishes.

use shmkit_atomic::Ordering::{AcqRel, Acquire};
use shmkit_roster::{Judge, Verdict, ask};

use super::*;

/// What a role word is called in errors.
const ROLE: &str = "publisher";

/// What the publisher is to a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Nobody has come yet.
    Absent,
    /// Somebody, who was not found dead.
    Present,
    /// It has closed.
    Closed,
    /// Its process is gone.
    Dead(OwnerId),
    /// Nobody can tell.
    Unknown,
}

impl RawBroadcast {
    /// Claims the role: if nobody has it, or if who had it closed it, or died. Returns what stands there now.
    ///
    /// # Errors
    ///
    /// [`BroadcastError::Taken`] by the living, this participant included; [`BroadcastError::CannotJudge`];
    /// [`BroadcastError::Corrupt`].
    pub(super) fn claim_role<J: Judge + ?Sized>(
        &self,
        judge: &J,
        me: OwnerId,
        heavy: bool,
    ) -> Result<u32, BroadcastError> {
        let role = &self.control.role;
        let word = me.get() | if heavy { HEAVY } else { 0 };
        // Acquire, here and below: pairs with the Release in `leave_role`: the predecessor's last words are visible.
        let mut found = role.load(Acquire);
        loop {
            match OwnerId::from_word(found) {
                None if found == 0 => {}
                None => return Err(BroadcastError::Corrupt { field: ROLE, found: found.into() }),
                Some(_) if found & CLOSED != 0 => {}
                Some(holder) => match ask(judge, me, holder) {
                    Verdict::Alive => return Err(BroadcastError::Taken { holder }),
                    Verdict::Unknown => return Err(BroadcastError::CannotJudge),
                    Verdict::Nobody => {
                        return Err(BroadcastError::Corrupt { field: ROLE, found: found.into() });
                    }
                    Verdict::Dead => {}
                },
            }
            crash::step();
            // AcqRel: publishes an id, after everything this participant did to join; Acquire: as above.
            match role.compare_exchange(found, word, AcqRel, Acquire) {
                Ok(_) => return Ok(word),
                Err(other) => found = other,
            }
        }
    }

    /// Gives the role up, if it is still as `word` says: subscribers are told when they have received all.
    pub(super) fn leave_role(&self, word: u32) {
        crash::step();
        // AcqRel: Release pairs with the Acquire in `end` and in `claim_role`: who sees this sees the last tail.
        let left = self.control.role.compare_exchange(word, word | CLOSED, AcqRel, Acquire);
        if left.is_ok() {
            self.control.items.ring_all();
        }
    }

    /// Returns what the publisher is, and its role; whether it is alive only if that is to be `asked`.
    ///
    /// What it published before it closed or died is seen by a look at the tail *after* this. The other way round the last
    /// items are lost.
    ///
    /// # Errors
    ///
    /// [`BroadcastError::Corrupt`] if the role names nobody who can be.
    pub(super) fn end<J: Judge + ?Sized>(
        &self,
        judge: &J,
        me: OwnerId,
        asked: bool,
    ) -> Result<(End, u32), BroadcastError> {
        loop {
            // Acquire: pairs with the Release in `leave_role`.
            let role = self.control.role.load(Acquire);
            let corrupt = BroadcastError::Corrupt { field: ROLE, found: role.into() };
            let end = match OwnerId::from_word(role) {
                None if role == 0 => End::Absent,
                None => return Err(corrupt),
                Some(_) if role & CLOSED != 0 => End::Closed,
                Some(_) if !asked => End::Present,
                Some(holder) => match ask(judge, me, holder) {
                    Verdict::Alive => End::Present,
                    Verdict::Unknown => End::Unknown,
                    Verdict::Nobody => return Err(corrupt),
                    // It may have closed since we looked, and left, or have a successor: that is no death. Acquire: as above.
                    Verdict::Dead if self.control.role.load(Acquire) != role => continue,
                    Verdict::Dead => End::Dead(holder),
                },
            };
            return Ok((end, role));
        }
    }

    /// Tells all who sleep that the holder of this role was found dead: each asks for itself.
    pub(super) fn mourn(&self, role: u32) {
        let Control { mourned, items, .. } = &*self.control;
        if mourned.load(Relaxed) != role {
            crash::step();
            // Relaxed: a hint. Killed before the ring, others find out as this one did.
            mourned.swap(role, Relaxed);
            items.ring_all();
        }
    }

    /// Returns whether somebody has found the publisher dead.
    pub(super) fn is_mourned(&self) -> bool {
        let role = self.control.role.load(Relaxed);
        role != 0 && self.control.mourned.load(Relaxed) == role
    }

    /// Returns whether the publisher has closed, as far as was heard: whoever reports it looks again.
    #[inline]
    pub(super) fn seems_closed(&self) -> bool {
        self.control.role.load(Relaxed) & CLOSED != 0
    }
}

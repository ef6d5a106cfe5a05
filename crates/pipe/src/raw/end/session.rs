//! One sender after the other: a receiver that takes each by itself.

use shmkit_atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use shmkit_atomic::{barrier, fence};
use shmkit_roster::{Judge, OwnerId};
use shmkit_sync::{Patience, Wait};

use super::peer::Found;
use super::wait::{given_up, heard};
use super::{Peer, RawEnd};
use crate::PipeError;
use crate::raw::RawRing;

/// Bits of a position in a [`Mark`]: more than a capacity has, so that the nearest such position is meant.
const POSITION: u32 = 34;
/// In a mark: who was there before closed its end.
const CLOSED_BEFORE: u64 = 1 << POSITION;
/// Bits of a session's number in a mark.
const SESSION: u32 = 63 - POSITION;

/// Where a session of the sender's side began, in one word, so that number and position are of one session; 0 if there
/// was none.
///
/// ```text
/// 63 .. 35        | 34            | 33 .. 0
/// session, mod 2^29 | closed before | position, mod 2^34
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(u64);

impl Mark {
    fn new(session: u32, position: u64, closed_before: bool) -> Self {
        let closed = if closed_before { CLOSED_BEFORE } else { 0 };
        Self(u64::from(session) << (64 - SESSION) | closed | position & (CLOSED_BEFORE - 1))
    }

    /// Returns the number of the session, as far as a mark holds it.
    fn session(self) -> u32 {
        (self.0 >> (64 - SESSION)) as u32
    }

    /// Returns how far after `from` the session began: 0 if it was before.
    fn after(self, from: u64) -> u64 {
        let distance = self.0.wrapping_sub(from) & (CLOSED_BEFORE - 1);
        if distance < CLOSED_BEFORE / 2 { distance } else { 0 }
    }

    /// Returns whether this session came after `other`.
    fn is_later(self, other: u32) -> bool {
        let later = self.session().wrapping_sub(other) & ((1 << SESSION) - 1);
        later != 0 && later < 1 << (SESSION - 1)
    }
}

/// The session that a receiver has accepted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served {
    /// As its mark says.
    session: u32,
    /// Who holds it.
    peer: OwnerId,
}

/// A sender that was accepted by [`Receiver::accept`](crate::Receiver::accept).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted {
    /// Who it is.
    pub peer: OwnerId,
    /// How many items of those who were there before it were left in the pipe: they are not received any more.
    pub skipped: u64,
}

/// Says where a session begins. By a sender, at its claim, before it publishes anything.
///
/// The end of the session that the receiver has accepted is where the first one after it begins, however many come:
///
/// ```text
/// sender                                     receiver, to accept session n
/// begun := (n + 1, tail)                     served := n
/// |fence(SeqCst)|                            |fence(SeqCst)|
/// bound is not later than served?            begun is still n?
///     bound := (n + 1, tail)                     otherwise, anew
/// ```
///
/// One of them sees the other: the sender that `n` is accepted, or the receiver that `n` is not the last. *If a peer dies*
/// before it has stored `bound`, it has sent nothing, and the next one stores the same position.
pub(super) fn begin(ring: &RawRing, session: u32, tail: u64, closed_before: bool) {
    let control = &ring.control;
    let mark = Mark::new(session, tail, closed_before);
    // Release: pairs with the Acquire in `accept`; its fence is the other half of the next one.
    control.begun.store(mark.0, Release);
    fence(SeqCst);
    // Relaxed, both: ordered by the fence, and only holders of this side store `bound`.
    let served = control.served.load(Relaxed);
    if !Mark(control.bound.load(Relaxed)).is_later(served) {
        // Relaxed: whoever sees an item of this session, by the Release of its position, sees this.
        control.bound.store(mark.0, Relaxed);
    }
}

/// Says whose the session is that is about to begin. By a sender, before it counts it. The last session but one has
/// ended, so that its name is not missed.
pub(super) fn name(ring: &RawRing, session: u32, me: OwnerId) {
    // Relaxed: whoever sees the count, or the beginning, sees this.
    ring.control.who[session as usize % 2].store(me.get(), Relaxed);
}

impl<const SENDS: bool> RawEnd<'_, SENDS> {
    /// Returns how far a receiver may go that sees the sender's position `tail`: not beyond the session that it has
    /// accepted.
    #[inline(always)]
    pub(super) fn bounded(&self, tail: u64) -> Result<u64, PipeError> {
        match self.served {
            Some(served) => self.bounded_by(served, tail),
            None => Ok(tail),
        }
    }

    #[cold]
    fn bounded_by(&self, served: Served, tail: u64) -> Result<u64, PipeError> {
        // Relaxed: whose items lie before `tail`, which was loaded with Acquire, has stored its bound before.
        let bound = self.ring.control.bound.load(Relaxed);
        if !Mark(bound).is_later(served.session) {
            return Ok(tail);
        }
        let left = Mark(bound).after(self.mine);
        if left > tail.wrapping_sub(self.mine) && left > self.capacity {
            return Err(PipeError::Corrupt { field: "end of a session", found: bound });
        }
        Ok(self.mine.wrapping_add(left.min(tail.wrapping_sub(self.mine))))
    }

    /// Returns how the session that was accepted has ended, if another one has begun.
    pub(super) fn succeeded(&self) -> Option<Found> {
        let Served { session, peer } = self.served?;
        // Acquire: pairs with the Release of who comes, after the accepted one's last position.
        let bound = Mark(self.ring.control.bound.load(Acquire));
        if !bound.is_later(session) {
            return None;
        }
        let closed = bound.0 & CLOSED_BEFORE != 0;
        let peer = if closed { Peer::Closed } else { Peer::Dead(peer) };
        Some(Found { peer, role: 0, session })
    }

    /// Waits for a sender that this receiver has not accepted yet, leaves out what those before it have left, and receives
    /// from then on what this one sends, until its end.
    ///
    /// # Errors
    ///
    /// As [`wait_for_peer`](Self::wait_for_peer).
    pub fn accept<'p, J: Judge + ?Sized>(
        &mut self,
        judge: &J,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Accepted, PipeError> {
        const { assert!(!SENDS, "the receiver accepts") };
        let control = &self.ring.control;
        let patience = patience.into();
        let mut wait = Wait::new(patience, self.me, judge);
        loop {
            self.check(judge)?;
            // Acquire: pairs with the Release in `begin`.
            let begun = control.begun.load(Acquire);
            let session = Mark(begun).session();
            let who = control.who[session as usize % 2].load(Relaxed);
            // Acquire: orders the count after the name, which is of this session unless the next but one is counted. (Then one
            // that has died while it came is between them; the next one begins soon.)
            fence(Acquire);
            let role = self.load_roles(Relaxed).of(Self::OTHER);
            let since = control.sessions[Self::OTHER].load(Relaxed).wrapping_sub(session);
            if self.is_news(Mark(begun), role) && since & ((1 << SESSION) - 1) <= 1 {
                control.served.store(session, Relaxed);
                // SeqCst: the other half is the fence in `begin`. Who begins a session sees that this one is served, or we see
                // below that there is a later one.
                fence(SeqCst);
                if control.begun.load(Relaxed) != begun {
                    continue;
                }
                let Some(peer) = OwnerId::from_word(who) else {
                    return Err(PipeError::Corrupt {
                        field: "name of a session",
                        found: who.into(),
                    });
                };
                self.served = None;
                let there = self.look()?;
                let skipped = Mark(begun).after(self.mine);
                if skipped > there {
                    return Err(PipeError::Corrupt { field: "begin of a session", found: begun });
                }
                self.served = Some(Served { session, peer });
                if skipped > 0 {
                    self.move_to(self.mine.wrapping_add(skipped));
                }
                self.look()?;
                self.expected = None;
                return Ok(Accepted { peer, skipped });
            }
            let peer = self.find_next(judge)?.peer;
            // Acquire: as above. Who was expected may have come, and left, since we looked.
            if let Err(error) = peer.may_come()
                && control.begun.load(Acquire) == begun
            {
                return Err(error);
            }
            let unsure = heard(&mut wait, peer);
            wait.check().map_err(|why| given_up(why, unsure, patience))?;
            let bell = &control.bell[Self::SELF];
            let armed = bell.arm();
            if self.word & super::HEAVY != 0 {
                barrier::heavy(); // As in `sleep`.
            }
            // Relaxed: the fence of `arm` orders it; who claims the other side stores it first and rings then.
            if control.begun.load(Relaxed) == begun {
                let wake = bell.sleep(armed, wait.until());
                wait.slept(wake).map_err(|why| given_up(why, unsure, patience))?;
            }
        }
    }

    /// Returns whether a session is neither the accepted one, nor one whose end is known.
    fn is_news(&self, begun: Mark, role: u32) -> bool {
        let known = |number: u32| begun.session() == number & ((1 << SESSION) - 1);
        begun.0 != 0
            && !self.served.is_some_and(|served| known(served.session))
            && !self.heard.is_some_and(known)
            && !self.is_old(role)
    }
}

//! One side of a ring: what it keeps in private memory, and what it says to the other.

mod wait;

use shmkit_atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use shmkit_atomic::{Deadline, barrier};
use shmkit_roster::{Judge, OwnerId, Verdict, ask};

use super::{CLOSED, HEAVY, RECEIVER, RawRing, SENDER};
use crate::{ClaimError, PipeError};

/// What the other side of a ring is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Nobody has come yet.
    Absent,
    /// Somebody, who was not found dead.
    Present,
    /// It closed its end.
    Closed,
    /// Its process is gone.
    Dead(OwnerId),
    /// Nobody can tell.
    Unknown(OwnerId),
}

/// One side of a [`RawRing`], of the process that claimed it: the sender's if `SENDS`.
///
/// Both sides are the same machine: each owns one position and waits for the other's to move. What is *ready* to the
/// sender is room, to the receiver items. The caller moves the items: it may use the `ready` places that begin at
/// [`index`](Self::index), then [`publish`](Self::publish)es as many as it used.
///
/// The own position and the last seen one of the other side are private, and at most a capacity apart: whatever the
/// peer does to shared memory, an index is inside the ring.
#[derive(Debug)]
pub struct RawEnd<'r, const SENDS: bool> {
    ring: &'r RawRing,
    /// In items, a power of two; our own copy.
    capacity: u64,
    me: OwnerId,
    /// What stands in the role word as long as this side is ours; 0 when it was closed.
    word: u32,
    /// The position that this side stores.
    mine: u64,
    /// The other side's position when it was last loaded.
    seen: u64,
    /// When to ask about the other side next, in operations that do not wait.
    ask_at: Deadline,
    /// How many more of them go by without a look at the clock.
    polls: u8,
}

impl<'r, const SENDS: bool> RawEnd<'r, SENDS> {
    const SELF: usize = if SENDS { SENDER } else { RECEIVER };
    const OTHER: usize = if SENDS { RECEIVER } else { SENDER };

    /// Claims this side: if nobody has it, if who had it closed it, or died.
    ///
    /// It goes on at the position where its predecessor stopped.
    ///
    /// # Errors
    ///
    /// [`ClaimError`] if a living participant has it (this one above all), if that cannot be told, or if the ring is
    /// corrupt.
    ///
    /// # Panics
    ///
    /// If `capacity` is not a power of two.
    pub fn claim<J: Judge + ?Sized>(
        ring: &'r RawRing,
        capacity: u64,
        judge: &J,
    ) -> Result<Self, ClaimError> {
        assert!(capacity.is_power_of_two(), "a ring's capacity is a power of two");
        let me = judge.me().ok_or(ClaimError::NotJoined)?;
        let word = me.get() | if barrier::register() { HEAVY } else { 0 };
        let role = &ring.control.role[Self::SELF];
        // Acquire: pairs with the Release in `close`: the predecessor's last position is visible.
        let mut found = role.load(Acquire);
        loop {
            match OwnerId::from_word(found) {
                None if found == 0 => {}
                None => return Err(ClaimError::Corrupt { field: ROLE, found: found.into() }),
                Some(_) if found & CLOSED != 0 => {}
                Some(holder) => match ask(judge, me, holder) {
                    Verdict::Alive => return Err(ClaimError::Taken { holder }),
                    Verdict::Unknown => return Err(ClaimError::CannotJudge { holder }),
                    Verdict::Nobody => {
                        return Err(ClaimError::Corrupt { field: ROLE, found: found.into() });
                    }
                    Verdict::Dead => {}
                },
            }
            // AcqRel: publishes an id, after everything this participant did to join; Acquire as above.
            match role.compare_exchange(found, word, AcqRel, Acquire) {
                Ok(_) => break,
                Err(other) => found = other,
            }
        }
        // Relaxed: only a holder of this side stores it, and the last one's store is visible (above, or by `ask`).
        let mine = ring.position(Self::SELF).load(Relaxed);
        let mut end =
            Self { ring, capacity, me, word, mine, seen: mine, ask_at: Deadline::PASSED, polls: 0 };
        match end.look() {
            Ok(_) => Ok(end),
            Err(corrupt) => {
                end.close(judge);
                match corrupt {
                    PipeError::Corrupt { field, found } => {
                        Err(ClaimError::Corrupt { field, found })
                    }
                    _ => unreachable!("`look` has no other error"),
                }
            }
        }
    }

    /// Returns the capacity in items.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Returns the place of the next item: less than the capacity.
    #[inline]
    pub fn index(&self) -> u64 {
        self.mine & (self.capacity - 1)
    }

    /// Returns how many places were ready when last looked: room for the sender, items for the receiver.
    #[inline]
    pub fn ready(&self) -> u64 {
        let filled = self.distance(self.seen);
        if SENDS { self.capacity - filled } else { filled }
    }

    /// Returns how many items lie between this side's position and `other`.
    #[inline]
    fn distance(&self, other: u64) -> u64 {
        if SENDS { self.mine.wrapping_sub(other) } else { other.wrapping_sub(self.mine) }
    }

    /// Loads the other side's position, and returns how many places are ready now.
    ///
    /// # Errors
    ///
    /// [`PipeError::Corrupt`] if the two positions are more than a capacity apart.
    #[inline]
    pub fn look(&mut self) -> Result<u64, PipeError> {
        // Acquire: pairs with the Release in the other side's `publish`: what was sent is there to be read, or what
        // is to be overwritten has been read.
        let seen = self.ring.position(Self::OTHER).load(Acquire);
        let found = self.distance(seen);
        if found > self.capacity {
            return Err(PipeError::Corrupt { field: "distance from head to tail", found });
        }
        self.seen = seen;
        Ok(self.ready())
    }

    /// Checks that this side is the caller's: not a forked copy, and not taken over.
    ///
    /// # Errors
    ///
    /// [`PipeError::NotJoined`] or [`PipeError::NotMine`] if it is not.
    #[inline]
    pub fn check<J: Judge + ?Sized>(&self, judge: &J) -> Result<(), PipeError> {
        if judge.me() != Some(self.me) {
            return Err(if judge.me().is_none() {
                PipeError::NotJoined
            } else {
                PipeError::NotMine
            });
        }
        // Relaxed: our own store is visible to us; another's matters from when it is seen.
        if self.ring.control.role[Self::SELF].load(Relaxed) != self.word {
            return Err(PipeError::NotMine);
        }
        Ok(())
    }

    /// Returns what the other side is; whether it is alive only if that is to be `asked`.
    ///
    /// What it published before it closed or died is seen by a [`look`](Self::look) *after* this. The other way round
    /// the last items are lost.
    ///
    /// # Errors
    ///
    /// [`PipeError::Corrupt`] if the role word names nobody who can be.
    pub fn peer<J: Judge + ?Sized>(&self, judge: &J, asked: bool) -> Result<Peer, PipeError> {
        // Acquire: pairs with the Release in `close`.
        let word = self.ring.control.role[Self::OTHER].load(Acquire);
        let Some(peer) = OwnerId::from_word(word) else {
            return match word {
                0 => Ok(Peer::Absent),
                _ => Err(PipeError::Corrupt { field: ROLE, found: word.into() }),
            };
        };
        if word & CLOSED != 0 {
            return Ok(Peer::Closed);
        }
        if !asked {
            return Ok(Peer::Present);
        }
        Ok(match ask(judge, self.me, peer) {
            Verdict::Alive => Peer::Present,
            // It may have closed since we looked, and left: that is no death. Acquire: as above.
            Verdict::Dead if self.ring.control.role[Self::OTHER].load(Acquire) != word => {
                return self.peer(judge, asked);
            }
            Verdict::Dead => Peer::Dead(peer),
            Verdict::Unknown => Peer::Unknown(peer),
            Verdict::Nobody => {
                return Err(PipeError::Corrupt { field: ROLE, found: word.into() });
            }
        })
    }

    /// Returns whether the other side is closed, as far as this side has heard.
    #[inline]
    fn peer_closed(&self) -> bool {
        // Relaxed: a hint. Whoever reports it looks again, with Acquire, in `peer`.
        self.ring.control.role[Self::OTHER].load(Relaxed) & CLOSED != 0
    }

    /// Lets the other side have the next `count` places, and wakes it if it sleeps.
    ///
    /// One store: killed before it, nothing has happened; killed after it, the other side sees it when its slice ends.
    ///
    /// # Panics
    ///
    /// If more is published than was ready.
    #[inline]
    pub fn publish(&mut self, count: u64) {
        assert!(count <= self.ready(), "more was published than was ready");
        self.mine = self.mine.wrapping_add(count);
        // Release: pairs with the Acquire in the other side's `look`, after the items were written or read.
        self.ring.position(Self::SELF).store(self.mine, Release);
        self.notify();
    }

    /// Rings for the other side, if it sleeps.
    #[inline]
    fn notify(&self) {
        let control = &self.ring.control;
        // Relaxed: a holder without HEAVY that has just come, and whom we take for its predecessor, may miss this one
        // ring; its slice ends in a millisecond.
        let bell = &control.bell[Self::OTHER];
        if control.role[Self::OTHER].load(Relaxed) & self.word & HEAVY != 0 {
            // The other half is `heavy` in `sleep`: we see the bell armed, or the sleeper sees the position.
            barrier::light();
            if !bell.is_armed() {
                return;
            }
        }
        bell.ring_all(); // With a fence of its own.
    }

    /// Closes this side, if it is the caller's: what is in the ring stays, and the other side learns of it. From then
    /// on the handle refuses everything.
    pub fn close<J: Judge + ?Sized>(&mut self, judge: &J) {
        if judge.me() != Some(self.me) {
            return;
        }
        let role = &self.ring.control.role[Self::SELF];
        // Release: pairs with the Acquire in `peer` and in `claim`: whoever sees this sees the last position.
        if role.compare_exchange(self.word, self.word | CLOSED, Release, Relaxed).is_ok() {
            self.notify();
        }
        // No role word is ever 0 again: this process may claim the side anew, and this handle is not the new one.
        self.word = 0;
    }
}

const ROLE: &str = "holder";

//! One side of a ring: what it keeps in private memory, and what it says to the other.

mod handover;
mod meeting;
mod peer;
#[cfg(not(loom))]
mod ready;
mod session;
mod wait;

use shmkit_atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release};
use shmkit_atomic::{Deadline, barrier};
use shmkit_roster::{Expected, Judge, OwnerId, Verdict, ask};
use shmkit_sync::Patience;

pub use self::peer::Peer;
pub use self::session::Accepted;
use self::session::Served;
use super::RawRing;
use super::roles::{CLOSED, HANDED, HEAVY, Pair, RECEIVER, SENDER, is_vacant};
use crate::{ClaimError, PipeError, Waiting};

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
    /// Our role as long as this side is ours; 0 when it was closed.
    word: u32,
    /// Both roles as they were when last looked at: ours, and one at the other side that this side may go on with.
    roles: Pair,
    /// Whether the other side brings the fence of both before it sleeps.
    light: bool,
    /// The position that this side stores.
    mine: u64,
    /// The position up to which this side may go: what it last saw of the other side's, a capacity further if it sends.
    limit: u64,
    /// Of a receiver: what the sender has been told of `mine`.
    returned: u64,
    /// Of a receiver: how often in a row it found one item alone, up to [`OFTEN`].
    alone: u8,
    /// How this side waits.
    waiting: Waiting,
    /// The other side is in the middle of a message: it is worth looking for longer.
    hurried: bool,
    /// When to ask about the other side next, in operations that do not wait.
    ask_at: Deadline,
    /// Who is to claim the other side, if somebody is.
    expected: Option<Expected>,
    /// The role of the other side whose end is old news; 0 if there is none.
    old: u32,
    /// Which session that was.
    old_session: u32,
    /// Of a receiver: the session that it has accepted.
    served: Option<Served>,
    /// Of a receiver: the last session whose end it was told of.
    heard: Option<u32>,
}

impl<'r, const SENDS: bool> RawEnd<'r, SENDS> {
    const SELF: usize = if SENDS { SENDER } else { RECEIVER };
    const OTHER: usize = if SENDS { RECEIVER } else { SENDER };

    /// Claims this side: if nobody has it, if who had it closed it, or died; or if this participant `again` claims what it
    /// has: for who has forgotten its end.
    ///
    /// It goes on at the position where its predecessor stopped; and, if that one has [handed it over](Self::hand_over), with
    /// the same session.
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
        again: bool,
    ) -> Result<Self, ClaimError> {
        assert!(capacity.is_power_of_two(), "a ring's capacity is a power of two");
        let me = judge.me().ok_or(ClaimError::NotJoined)?;
        let word = me.get() | if barrier::register() { HEAVY } else { 0 };
        let roles = &ring.control.roles;
        // Acquire: pairs with the Release in `close`: the predecessor's last position is visible.
        let mut found = roles.load(Acquire).of(Self::SELF);
        let (roles, left) = loop {
            match OwnerId::from_word(found) {
                _ if is_vacant(found) => {}
                None => return Err(ClaimError::Corrupt { field: ROLE, found: found.into() }),
                Some(_) if found & CLOSED != 0 => {}
                Some(holder) if again && holder == me => {}
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
            match roles.exchange(Self::SELF, found, word, AcqRel) {
                Ok(roles) => break (roles, found),
                Err(other) => found = other,
            }
        };
        let sessions = &ring.control.sessions[Self::SELF];
        // Release: pairs with the Acquire in `session`. Relaxed: as below. Killed before, it was no session.
        let session = sessions.load(Relaxed).wrapping_add(u32::from(left != HANDED));
        if SENDS {
            session::name(ring, session, me);
        }
        sessions.store(session, Release);
        // Relaxed: only a holder of this side stores it, and the last one's store is visible (above, or by `ask`).
        let mine = ring.position(Self::SELF).load(Relaxed);
        if SENDS && left != HANDED {
            session::begin(ring, session, mine, left & CLOSED != 0);
        }
        // Relaxed, as above.
        let returned = ring.returned.load(Relaxed);
        let (ask_at, light, alone) = (Deadline::PASSED, false, 0);
        let mut end = Self {
            ring,
            capacity,
            me,
            word,
            roles,
            light,
            mine,
            limit: mine,
            returned,
            alone,
            waiting: Waiting::default(),
            hurried: false,
            ask_at,
            expected: None,
            old: 0,
            old_session: 0,
            served: None,
            heard: None,
        };
        match end.look() {
            Ok(_) => {
                end.recall(judge, roles, left & CLOSED != 0);
                end.meet(roles);
                if SENDS {
                    // The last one may have died over a copy of the item that we are going to send.
                    ring.tail.copied.clear();
                } else {
                    // It may have died with more received than returned.
                    end.give_back();
                    end.ring.control.eager.store(0, Relaxed);
                }
                // It may wait for us to come.
                end.ring_for_other();
                Ok(end)
            }
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

    /// Returns how this side waits.
    pub fn waiting(&self) -> Waiting {
        self.waiting
    }

    /// Chooses how this side waits.
    pub fn set_waiting(&mut self, waiting: Waiting) {
        self.waiting = waiting;
    }

    /// Says whether what is waited for next is a part of something that the other side is in the middle of.
    #[inline(always)]
    pub(crate) fn hurry(&mut self, hurried: bool) {
        self.hurried = hurried;
    }

    /// Returns the place of the next item: less than the capacity.
    #[inline]
    pub fn index(&self) -> u64 {
        self.mine & (self.capacity - 1)
    }

    /// Returns how many places were ready when last looked: room for the sender, items for the receiver.
    #[inline(always)]
    pub fn ready(&self) -> u64 {
        self.limit.wrapping_sub(self.mine)
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
        let found = if SENDS { self.mine.wrapping_sub(seen) } else { seen.wrapping_sub(self.mine) };
        if found > self.capacity {
            return Err(PipeError::Corrupt { field: "distance from head to tail", found });
        }
        self.limit = if SENDS { seen.wrapping_add(self.capacity) } else { self.bounded(seen)? };
        Ok(self.ready())
    }

    /// Returns how many places are ready at least, without disturbing the other side: to a sender, what the receiver
    /// has returned. A [`look`](Self::look) may find more.
    ///
    /// # Errors
    ///
    /// As [`look`](Self::look).
    #[inline]
    pub fn glance(&mut self) -> Result<u64, PipeError> {
        if !SENDS {
            return self.look();
        }
        // Acquire: pairs with the Release in `give_back`: what is to be overwritten has been read.
        let filled = self.mine.wrapping_sub(self.ring.returned.load(Acquire));
        // It may lie behind what `look` has seen, by more than a capacity if the receiver has died since.
        if let Some(room) = self.capacity.checked_sub(filled)
            && room > self.ready()
        {
            self.limit = self.mine.wrapping_add(room);
        }
        Ok(self.ready())
    }

    /// Returns how many items lie in the ring now: a guess while it is in use, and never more than the capacity.
    pub fn len(&self) -> u64 {
        // Relaxed: only the number is wanted; what is done with the items begins with a look.
        let seen = self.ring.position(Self::OTHER).load(Relaxed);
        let filled =
            if SENDS { self.mine.wrapping_sub(seen) } else { seen.wrapping_sub(self.mine) };
        filled.min(self.capacity)
    }

    /// Returns whether no item lies in the ring, as [`len`](Self::len) does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Checks that this side is the caller's: not a forked copy, and not taken over.
    ///
    /// # Errors
    ///
    /// [`PipeError::NotJoined`] or [`PipeError::NotMine`] if it is not.
    #[inline]
    pub fn check<J: Judge + ?Sized>(&self, judge: &J) -> Result<(), PipeError> {
        match judge.me() {
            // Relaxed: our own store is visible to us; another's matters from when it is seen.
            Some(me) if me == self.me && self.load_roles(Relaxed).of(Self::SELF) == self.word => {
                Ok(())
            }
            None => Err(PipeError::NotJoined),
            Some(_) => Err(PipeError::NotMine),
        }
    }

    /// Returns whether this side is the caller's, and the other's is what it was: the short form of
    /// [`check`](Self::check) that each operation begins with.
    #[inline(always)]
    fn is_as_it_was<J: Judge + ?Sized>(&self, judge: &J) -> bool {
        // Relaxed: as in `check`; and of the other side it is a hint. Whoever reports that it is closed looks again,
        // with Acquire, in `peer`.
        judge.me() == Some(self.me) && self.load_roles(Relaxed) == self.roles
    }

    #[inline(always)]
    fn load_roles(&self, order: Ordering) -> Pair {
        self.ring.control.roles.load(order)
    }

    /// Lets the other side have the next `count` places, and wakes it if it sleeps: a sender that waits for room not
    /// before half of it is free, or nothing is left to receive.
    ///
    /// One store: killed before it, nothing has happened; killed after it, the other side sees it when its slice ends.
    ///
    /// # Panics
    ///
    /// If more is published than was ready.
    #[inline]
    pub fn publish(&mut self, count: u64) {
        assert!(count <= self.ready(), "more was published than was ready");
        self.move_to(self.mine.wrapping_add(count));
    }

    /// Waits until a place is ready, and returns its position: less than a capacity above the other side's.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    #[inline(always)]
    pub fn next<'p, J: Judge + ?Sized>(
        &mut self,
        judge: &J,
        patience: impl Into<Patience<'p>>,
    ) -> Result<u64, PipeError> {
        self.wait(judge, 1, patience)?;
        Ok(self.mine)
    }

    /// [`publish`](Self::publish)es the place that [`next`](Self::next) has just returned.
    #[inline(always)]
    pub fn publish_next(&mut self, next: u64) {
        debug_assert!(next == self.mine && self.ready() > 0, "nothing was ready");
        self.move_to(next.wrapping_add(1));
    }

    #[inline(always)]
    fn move_to(&mut self, position: u64) {
        self.mine = position;
        // Release: pairs with the Acquire in the other side's `look`, after the items were written or read.
        self.ring.position(Self::SELF).store(position, Release);
        if SENDS {
            self.notify();
        } else if position.wrapping_sub(self.returned) >= self.quarter() {
            self.give_back();
        }
    }

    /// Copies the item that is published next beside the position. `words` are at most as many as there is room for, and
    /// as many as the receiver reads.
    #[inline(always)]
    pub fn copy(&self, words: &[u64]) {
        const { assert!(SENDS, "the sender writes") };
        self.ring.tail.copied.write(self.mine, words);
    }

    /// Returns whether the receiver wants a [`copy`](Self::copy).
    #[inline(always)]
    pub fn wants_copy(&self) -> bool {
        // Relaxed: a hint.
        self.ring.control.eager.load(Relaxed) != 0
    }

    /// Reads the copy of the next item, which must be ready; returns whether there was one.
    #[inline(always)]
    pub fn read_copy(&self, words: &mut [u64]) -> bool {
        const { assert!(!SENDS, "the receiver reads") };
        self.ring.tail.copied.read(self.mine, words)
    }

    /// How far a receiver's `returned` may lie behind, in items.
    #[inline(always)]
    fn quarter(&self) -> u64 {
        (self.capacity / 4).max(1)
    }

    /// Tells the sender of all that has been received.
    #[cold]
    fn give_back(&mut self) {
        debug_assert!(!SENDS, "the sender receives nothing");
        self.returned = self.mine;
        // Release: pairs with the Acquire in `glance`, after the items were read.
        self.ring.returned.store(self.mine, Release);
        // Whoever waits for room has time until half of it is free: to wake it for each item takes longer than most
        // take to be received.
        if self.ready() <= self.capacity / 2 {
            self.notify();
        }
    }

    /// Learns from how many items came together, after there was none, whether copies pay: they save a line of an item
    /// that comes alone, and take time of a sender that is busy.
    fn learn(&mut self, together: u64) {
        let eager = &self.ring.control.eager;
        if together == 1 {
            if self.alone < OFTEN {
                self.alone += 1;
                if self.alone == OFTEN {
                    eager.store(1, Relaxed);
                }
            }
        } else if together > 1 {
            if self.alone == OFTEN {
                eager.store(0, Relaxed);
            }
            self.alone = 0;
        }
    }

    /// Rings for the other side, if it sleeps.
    #[inline(always)]
    fn notify(&self) {
        let bell = &self.ring.control.bell[Self::OTHER];
        if self.light {
            // The other half is `heavy` in `sleep`: we see the bell armed, or the sleeper sees the position. (A holder
            // that has just come, and does not bring our fence as the last one did, may miss this one ring: its slice
            // ends in a millisecond.)
            barrier::light();
            if !bell.is_armed() {
                return;
            }
        }
        self.ring_for_other();
    }

    #[cold]
    fn ring_for_other(&self) {
        self.ring.control.bell[Self::OTHER].ring_all(); // With a fence of its own.
    }

    /// Closes this side, if it is the caller's: what is in the ring stays, and the other side learns of it. From then
    /// on the handle refuses everything.
    pub fn close<J: Judge + ?Sized>(&mut self, judge: &J) {
        if judge.me() != Some(self.me) {
            return;
        }
        let roles = &self.ring.control.roles;
        // Whoever comes next on this side need not be told that who was there in our time has left, too. (This side may
        // not be ours.) Noted first, since a successor may note something else as soon as the side is closed; and believed
        // by it only if it is.
        if self.check(judge).is_ok() {
            self.note_leave(self.session());
        }
        // Release: pairs with the Acquire in `peer` and in `claim`: whoever sees this sees the last position.
        if roles.exchange(Self::SELF, self.word, self.word | CLOSED, Release).is_ok() {
            self.ring_for_other();
        }
        // No role is ever 0 again: this process may claim the side anew, and this handle is not the new one.
        self.word = 0;
    }
}

/// What a role word is called in errors.
const ROLE: &str = "holder";
/// After how many single items a receiver takes the next one to come alone, too.
const OFTEN: u8 = 3;

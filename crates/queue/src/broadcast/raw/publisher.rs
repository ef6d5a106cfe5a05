//! The publisher's side: which places it may write to, and who holds it up.

use core::time::Duration;

use shmkit_atomic::Ordering::{AcqRel, Release};
use shmkit_atomic::{Deadline, barrier};
use shmkit_roster::{Judge, Verdict, ask};
use shmkit_sync::{Patience, Wait};

use super::*;

/// How long operations that do not wait go on without asking whether those are alive who hold them up.
const ASK_AFTER: Duration = Duration::from_millis(1);

/// The publisher of a [`RawBroadcast`]: of the process that claimed the role.
///
/// The caller moves the items: it may write to the [`room`](Self::room) that begins at [`position`](Self::position), and
/// then [`publish`](Self::publish)es as much as it has written.
///
/// ```text
/// waits      R1 the slowest subscriber's position + capacity, at most some way ahead      R2 store it in `reserved`
///            R3 |fence|      R4 the slowest again: what is less than R2 is what may be written
/// overwrites R1 store in `reserved` how far it is going to write      R2 |fence(Release)|
/// both       P1 write the items      P2 tail on, with Release: the commit      P3 ring(items)
/// ```
///
/// Killed before P2, nothing was published, and its successor begins at the same place; `reserved` is never taken back, so
/// that who reads what was half overwritten is told. Killed before P3, subscribers look at the end of a slice.
#[derive(Debug)]
pub struct RawPublisher<'b> {
    raw: &'b RawBroadcast,
    cells: &'b [SubscriberCell],
    /// In items, a power of two; our own copy.
    capacity: u64,
    waits: bool,
    me: OwnerId,
    /// The role as long as it is ours; 0 when it was closed.
    word: u32,
    /// Our tail.
    mine: u64,
    /// What stands in `reserved`.
    reserved: u64,
    /// Positions below may be written to.
    limit: u64,
    /// When to ask who is alive next, in operations that do not wait.
    ask_at: Deadline,
}

impl<'b> RawPublisher<'b> {
    /// Claims the role: if nobody has it, or if who had it closed it, or died. It goes on where its predecessor stopped.
    ///
    /// # Errors
    ///
    /// [`BroadcastError::Taken`] by the living, this participant included; [`BroadcastError::NotJoined`],
    /// [`BroadcastError::CannotJudge`], [`BroadcastError::Corrupt`].
    ///
    /// # Panics
    ///
    /// If `capacity` is not a power of two.
    pub fn claim<J: Judge + ?Sized>(
        raw: &'b RawBroadcast,
        cells: &'b [SubscriberCell],
        capacity: u64,
        judge: &J,
    ) -> Result<Self, BroadcastError> {
        assert!(capacity.is_power_of_two(), "a broadcast's capacity is a power of two");
        let me = judge.me().ok_or(BroadcastError::NotJoined)?;
        let word = raw.claim_role(judge, me, barrier::register())?;
        // Ours from here on: nobody else stores them, and the predecessor's stores are visible (`claim_role`).
        let (reserved, mine) = raw.ends(capacity).inspect_err(|_| raw.leave_role(word))?;
        // Who waits for a successor.
        raw.control.items.ring_all();
        let waits = raw.overrun() == Overrun::Wait;
        let ask_at = Deadline::PASSED;
        Ok(Self { raw, cells, capacity, waits, me, word, mine, reserved, limit: mine, ask_at })
    }

    /// Returns the position of the next item to write.
    #[inline]
    pub fn position(&self) -> u64 {
        self.mine
    }

    /// Checks that the role is the caller's: not a forked copy, and not taken over.
    ///
    /// # Errors
    ///
    /// [`BroadcastError::NotJoined`] or [`BroadcastError::NotMine`] if it is not.
    #[inline]
    pub fn check<J: Judge + ?Sized>(&self, judge: &J) -> Result<(), BroadcastError> {
        match judge.me() {
            // Relaxed: our own store is visible to us; another's matters from when it is seen.
            Some(me) if me == self.me && self.raw.control.role.load(Relaxed) == self.word => Ok(()),
            None => Err(BroadcastError::NotJoined),
            Some(_) => Err(BroadcastError::NotMine),
        }
    }

    /// Returns how many of `want` places may be written to now, at least one; waits for the first.
    ///
    /// # Errors
    ///
    /// What ends `patience`: [`BroadcastError::TimedOut`] if it does not wait and there is no room; as
    /// [`check`](Self::check); [`BroadcastError::Corrupt`].
    ///
    /// # If a peer dies
    ///
    /// A subscriber that holds it up is passed over, within about 40 ms.
    #[inline]
    pub fn room<'p, J: Judge + ?Sized>(
        &mut self,
        judge: &J,
        want: u64,
        patience: impl Into<Patience<'p>>,
    ) -> Result<u64, BroadcastError> {
        self.check(judge)?;
        let ready = self.limit - self.mine;
        if ready > 0 && self.waits {
            return Ok(ready.min(want));
        }
        match self.look(want)? {
            0 => self.wait(judge, want, &patience.into()),
            ready => Ok(ready),
        }
    }

    /// Publishes the first `count` of the places that there was room for, and wakes who sleeps.
    ///
    /// # Panics
    ///
    /// If there was not so much room.
    #[inline]
    pub fn publish(&mut self, count: u64) {
        assert!(count <= self.limit - self.mine, "more was published than there was room for");
        self.mine += count;
        crash::step();
        // Release: pairs with the Acquire in `RawBroadcast::tail`, after the items were written.
        self.raw.ends.tail.store(self.mine, Release);
        let Control { fenced, items, .. } = &*self.raw.control;
        // Relaxed: who comes without a fence may miss this one ring; its slice ends in a millisecond.
        if self.word & HEAVY != 0 && fenced.load(Relaxed) == 0 {
            // The other half is `heavy` in the subscriber's sleep: we see the bell armed, or it sees the tail.
            barrier::light();
            if !items.is_armed() {
                return;
            }
        }
        items.ring_all();
    }

    /// Gives the role up, if it is the caller's: what is there stays, and subscribers that have received it all are told.
    pub fn close<J: Judge + ?Sized>(&mut self, judge: &J) {
        if judge.me() == Some(self.me) && self.word != 0 {
            self.raw.leave_role(self.word);
        }
        self.word = 0;
    }

    /// How far ahead of the tail places are reserved: what is reserved is lost to who comes late, and to reserve takes a look
    /// at each subscriber.
    fn ahead(&self) -> u64 {
        (self.capacity / 8).max(1)
    }

    /// Returns how many of `want` places may be written to now.
    fn look(&mut self, want: u64) -> Result<u64, BroadcastError> {
        let want = want.min((self.capacity / 4).max(1));
        if !self.waits {
            self.limit = self.mine + want;
            self.reserve(self.limit);
            // Release: pairs with the Acquire in `RawSubscriber::confirm`: who has read anything of what is written from here
            // on finds it reserved.
            fence(Release);
            return Ok(want);
        }
        let most =
            self.slowest()?.saturating_add(self.capacity).min(self.mine + want.max(self.ahead()));
        if most <= self.mine {
            return Ok(0);
        }
        self.reserve(most);
        // SeqCst: pairs with the one in `RawSubscriber::subscribe`: we see its cell, or it sees what is reserved.
        fence(SeqCst);
        let limit = self.slowest()?.saturating_add(self.capacity).min(most);
        self.limit = limit.max(self.mine);
        Ok((self.limit - self.mine).min(want))
    }

    fn reserve(&mut self, to: u64) {
        if to > self.reserved {
            self.reserved = to;
            crash::step();
            // Release: pairs with the Acquire in `RawBroadcast::ends`: the tail is as new.
            self.raw.ends.reserved.store(to, Release);
        }
    }

    /// Returns the position of the slowest subscriber: ours, if there is none.
    ///
    /// One that is about to come may be far behind for a moment.
    fn slowest(&self) -> Result<u64, BroadcastError> {
        let mut slowest = self.mine;
        for SubscriberCell(cell) in self.raw.used(self.cells) {
            // Acquire, both: pair with the Release of the subscriber's: it has read what is before its position.
            let who = cell.who.load(Acquire);
            if who == 0 || who & JOINING != 0 {
                continue;
            }
            let position = cell.position.load(Acquire);
            if position > self.mine {
                return Err(BroadcastError::Corrupt {
                    field: "subscriber's position",
                    found: position,
                });
            }
            slowest = slowest.min(position);
        }
        Ok(slowest)
    }

    /// Asks whether those are alive who hold us up, and passes over the dead. Returns whether everybody could be judged.
    ///
    /// # Errors
    ///
    /// [`BroadcastError::Corrupt`] if a cell names nobody who can be.
    #[cold]
    fn ask<J: Judge + ?Sized>(&self, judge: &J) -> Result<bool, BroadcastError> {
        let (mut known, mut last) = (true, None);
        for SubscriberCell(cell) in self.raw.used(self.cells) {
            let who = cell.who.load(Acquire); // As above.
            let behind = self.mine.saturating_sub(cell.position.load(Relaxed));
            if who == 0 || who & JOINING != 0 || behind < self.capacity {
                continue;
            }
            let nobody = BroadcastError::Corrupt { field: "subscriber", found: who.into() };
            let owner = OwnerId::from_word(who).ok_or(nobody)?;
            let verdict = match last {
                Some((known, verdict)) if known == owner => verdict,
                _ => ask(judge, self.me, owner),
            };
            last = Some((owner, verdict));
            match verdict {
                Verdict::Alive => {}
                Verdict::Unknown => known = false,
                Verdict::Nobody => return Err(nobody),
                Verdict::Dead => {
                    crash::step();
                    // AcqRel, Relaxed: as whoever takes a cell; who fails finds somebody else there.
                    let _ = cell.who.compare_exchange(who, 0, AcqRel, Relaxed);
                }
            }
        }
        Ok(known)
    }

    #[cold]
    fn wait<J: Judge + ?Sized>(
        &mut self,
        judge: &J,
        want: u64,
        patience: &Patience<'_>,
    ) -> Result<u64, BroadcastError> {
        if !patience.waits() {
            // Whether they are alive costs system calls: they are not asked about every time.
            if self.ask_at.has_passed_coarsely() {
                let known = self.ask(judge)?;
                self.ask_at = Deadline::after(ASK_AFTER);
                return match self.look(want)? {
                    0 if !known => Err(BroadcastError::CannotJudge),
                    0 => Err(BroadcastError::TimedOut),
                    ready => Ok(ready),
                };
            }
            return Err(BroadcastError::TimedOut);
        }
        let mut spin = Spin::for_hand_over(REST);
        while spin.again() {
            match self.look(want)? {
                0 => {}
                ready => return Ok(ready),
            }
        }
        let mut wait = Wait::new(*patience, self.me, judge);
        let mut asks = true;
        loop {
            if asks {
                wait.heard(self.ask(judge)?);
            }
            let armed = self.arm();
            match self.look(want)? {
                0 => {}
                ready => return Ok(ready),
            }
            wait.check().map_err(given_up)?;
            let wake = self.raw.control.room.sleep(armed, wait.until());
            asks = wait.slept(wake).map_err(given_up)?;
            self.check(judge)?;
        }
    }

    /// Marks that this side is about to sleep, before it looks for room for the last time.
    fn arm(&self) -> shmkit_sync::Armed {
        let armed = self.raw.control.room.arm();
        if self.word & HEAVY != 0 {
            // A subscriber that leaves its fence to us sees the bell armed, or we see its position. If the kernel refuses
            // now, though it registered us: the end of the slice.
            barrier::heavy();
        }
        armed
    }

    /// Marks that somebody is about to sleep until there is room, before it looks whether there [is](Self::has_room) for
    /// the last time, and returns where.
    #[cfg(not(loom))]
    pub(crate) fn waiter(&self) -> shmkit_atomic::futex::Waiter {
        let armed = self.arm();
        self.raw.control.room.waiter(armed)
    }

    /// Returns whether [`room`](Self::room) would not wait. Who is alive is only found out if that is to be `asked`.
    ///
    /// # Errors
    ///
    /// What that would be told.
    #[cfg(not(loom))]
    pub(crate) fn has_room<J: Judge + ?Sized>(
        &self,
        judge: &J,
        asked: bool,
    ) -> Result<bool, BroadcastError> {
        self.check(judge)?;
        if asked {
            self.ask(judge)?;
        }
        Ok(!self.waits
            || self.limit > self.mine
            || self.slowest()?.saturating_add(self.capacity) > self.mine)
    }
}

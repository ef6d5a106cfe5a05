//! A subscriber's side: what it may read, and what it is told instead.

use core::time::Duration;

use shmkit_atomic::Ordering::{AcqRel, Release};
use shmkit_atomic::{Deadline, barrier};
use shmkit_roster::{Judge, Verdict, ask};
use shmkit_sync::{Patience, Wait};

use super::role::End;
use super::*;

/// How long operations that do not wait go on without asking whether the publisher is alive.
const ASK_AFTER: Duration = Duration::from_millis(1);

/// One subscriber of a [`RawBroadcast`]: of the process that has claimed its cell.
///
/// The caller moves the items: it may read those that are [`ready`](Self::ready) from [`position`](Self::position) on,
/// [`confirm`](Self::confirm)s where they may be overwritten that they were not, and [`release`](Self::release)s them.
///
/// ```text
/// subscribe  S1 CAS a cell 0, or that of the dead, -> JOINING | me      S2 used = max(used, its number + 1)
///            S3 a first position      S4 CAS -> me      S5 |fence|      S6 the position again, by what is reserved now
/// leave      L1 CAS me -> 0           L2 ring(room)
/// ```
///
/// Killed before S4, nobody waits for it; after that it is passed over when it is in the way. Whoever published without
/// having seen S4 had reserved before S6 what it was going to write.
#[derive(Debug)]
pub struct RawSubscriber<'b> {
    raw: &'b RawBroadcast,
    cell: &'b SubscriberCell,
    /// In items, a power of two; our own copy.
    capacity: u64,
    waits: bool,
    me: OwnerId,
    /// Position of the next item to read.
    mine: u64,
    /// The tail when last looked at.
    seen: u64,
    /// Whether this side brings the fence of both before it sleeps.
    heavy: bool,
    /// When to ask about the publisher next, in operations that do not wait.
    ask_at: Deadline,
    left: bool,
}

impl<'b> RawSubscriber<'b> {
    /// Claims a free cell, or one of the dead.
    ///
    /// # Errors
    ///
    /// [`BroadcastError::TooManySubscribers`]; [`BroadcastError::NotJoined`], [`BroadcastError::CannotJudge`],
    /// [`BroadcastError::Corrupt`].
    ///
    /// # Panics
    ///
    /// If `capacity` is not a power of two.
    pub fn subscribe<J: Judge + ?Sized>(
        raw: &'b RawBroadcast,
        cells: &'b [SubscriberCell],
        capacity: u64,
        judge: &J,
        start: Start,
    ) -> Result<Self, BroadcastError> {
        assert!(capacity.is_power_of_two(), "a broadcast's capacity is a power of two");
        let me = judge.me().ok_or(BroadcastError::NotJoined)?;
        // Looked at first: whoever finds a broken one has no cell in it.
        raw.ends(capacity)?;
        let number = Self::claim_cell(cells, judge, me)?;
        let cell = &cells[number];
        let control = &raw.control;
        let heavy = barrier::register();
        if !heavy {
            control.fenced.swap(1, Relaxed);
        }
        crash::step();
        control.used.fetch_max(number as u32 + 1, Relaxed); // There are fewer cells than 2^32.
        let mut this = Self {
            raw,
            cell,
            capacity,
            waits: raw.overrun() == Overrun::Wait,
            me,
            mine: 0,
            seen: 0,
            heavy,
            ask_at: Deadline::PASSED,
            left: false,
        };
        this.begin(start).inspect_err(|_| this.vacate(JOINING))?;
        crash::step();
        // AcqRel: Release pairs with the Acquire in `RawPublisher::slowest`: the position is there, and the number of cells.
        let came = cell.0.who.compare_exchange(me.get() | JOINING, me.get(), AcqRel, Relaxed);
        if came.is_err() {
            // Somebody has found us dead.
            return Err(BroadcastError::NotJoined);
        }
        // SeqCst: pairs with the one in `RawPublisher::look`: we see what it has reserved, or it sees our cell.
        fence(SeqCst);
        let before = this.mine;
        this.begin(start).inspect_err(|_| this.vacate(0))?;
        if this.mine != before && this.waits {
            // For the moment in between, the publisher may have waited for us.
            control.room.ring_all();
        }
        Ok(this)
    }

    /// Claims a cell, and returns its number.
    fn claim_cell<J: Judge + ?Sized>(
        cells: &[SubscriberCell],
        judge: &J,
        me: OwnerId,
    ) -> Result<usize, BroadcastError> {
        let word = me.get() | JOINING;
        let claim = |cell: &SubscriberCell, from| {
            crash::step();
            // AcqRel: publishes an id; Acquire: what the last one here has done is done.
            cell.0.who.compare_exchange(from, word, AcqRel, Relaxed).is_ok()
        };
        for (number, cell) in cells.iter().enumerate() {
            if cell.0.who.load(Relaxed) == 0 && claim(cell, 0) {
                return Ok(number);
            }
        }
        let (mut unknown, mut last) = (false, None);
        for (number, cell) in cells.iter().enumerate() {
            // Acquire: pairs with the Release of who came: the roster can be asked about it.
            let who = cell.0.who.load(Acquire);
            if who == 0 {
                if claim(cell, 0) {
                    return Ok(number);
                }
                continue;
            }
            let nobody = BroadcastError::Corrupt { field: "subscriber", found: who.into() };
            let owner = OwnerId::from_word(who).ok_or(nobody)?;
            let verdict = match last {
                Some((known, verdict)) if known == owner => verdict,
                _ => ask(judge, me, owner),
            };
            last = Some((owner, verdict));
            match verdict {
                Verdict::Alive => {}
                Verdict::Unknown => unknown = true,
                Verdict::Nobody => return Err(nobody),
                Verdict::Dead if claim(cell, who) => return Ok(number),
                Verdict::Dead => {}
            }
        }
        match unknown {
            true => Err(BroadcastError::CannotJudge),
            false => Err(BroadcastError::TooManySubscribers { most: cells.len() }),
        }
    }

    /// Goes to where one begins who comes now.
    fn begin(&mut self, start: Start) -> Result<(), BroadcastError> {
        let (reserved, tail) = self.raw.ends(self.capacity)?;
        self.seen = tail;
        self.move_to(match start {
            Start::Newest => tail,
            Start::Oldest => reserved.saturating_sub(self.capacity).min(tail),
        });
        Ok(())
    }

    #[inline]
    fn move_to(&mut self, position: u64) {
        self.mine = position;
        crash::step();
        // Release: pairs with the Acquire in `RawPublisher::slowest`: what is before it has been read.
        self.cell.0.position.store(position, Release);
    }

    /// Returns the position of the next item to read.
    #[inline]
    pub fn position(&self) -> u64 {
        self.mine
    }

    /// Returns how many items there are to be read: at a moment that is over when this returns.
    pub fn len(&self) -> u64 {
        self.raw.tail().saturating_sub(self.mine).min(self.capacity)
    }

    /// Returns whether there is nothing to be read, as [`len`](Self::len) does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Checks that the cell is the caller's: not a forked copy, and not taken over.
    ///
    /// # Errors
    ///
    /// [`BroadcastError::NotJoined`] or [`BroadcastError::NotMine`] if it is not.
    #[inline]
    pub fn check<J: Judge + ?Sized>(&self, judge: &J) -> Result<(), BroadcastError> {
        match judge.me() {
            // Relaxed: our own store is visible to us; another's matters from when it is seen.
            Some(me) if me == self.me && self.cell.0.who.load(Relaxed) == me.get() => Ok(()),
            None => Err(BroadcastError::NotJoined),
            Some(_) => Err(BroadcastError::NotMine),
        }
    }

    /// Returns how many items there are to be read, at least one; waits for the first.
    ///
    /// # Errors
    ///
    /// When everything was read: [`BroadcastError::Closed`], [`BroadcastError::PublisherDied`], and what ends `patience`
    /// ([`BroadcastError::TimedOut`] if it does not wait). [`BroadcastError::Lagged`]; as [`check`](Self::check);
    /// [`BroadcastError::Corrupt`].
    ///
    /// # If a peer dies
    ///
    /// That of the publisher is told within about 40 ms; nobody depends on another subscriber.
    #[inline]
    pub fn ready<'p, J: Judge + ?Sized>(
        &mut self,
        judge: &J,
        patience: impl Into<Patience<'p>>,
    ) -> Result<u64, BroadcastError> {
        self.check(judge)?;
        if self.seen > self.mine && self.waits {
            return Ok(self.seen - self.mine);
        }
        match self.look()? {
            0 => self.wait(judge, &patience.into()),
            ready => Ok(ready),
        }
    }

    /// Returns how many items there are to be read now.
    fn look(&mut self) -> Result<u64, BroadcastError> {
        let tail = self.raw.tail();
        let corrupt = BroadcastError::Corrupt { field: "tail", found: tail };
        let ready = tail.checked_sub(self.mine).ok_or(corrupt)?;
        if ready > 0 && !self.waits {
            self.confirm()?;
        }
        // What is further behind is waited for, or reserved (`confirm`), unless somebody writes nonsense.
        if ready > self.capacity {
            return Err(corrupt);
        }
        self.seen = tail;
        Ok(ready)
    }

    /// Looks whether what was read since [`ready`](Self::ready) can have been overwritten meanwhile. Where the publisher waits
    /// it cannot, and this need not be called.
    ///
    /// # Errors
    ///
    /// [`BroadcastError::Lagged`], then this has gone on to what is still there; [`BroadcastError::Corrupt`].
    #[inline]
    pub fn confirm(&mut self) -> Result<(), BroadcastError> {
        // Acquire: pairs with the Release in `RawPublisher::look`.
        fence(Acquire);
        let reserved = self.raw.ends.reserved.load(Relaxed);
        if reserved.saturating_sub(self.mine) <= self.capacity {
            return Ok(());
        }
        self.skip()
    }

    #[cold]
    fn skip(&mut self) -> Result<(), BroadcastError> {
        let (reserved, tail) = self.raw.ends(self.capacity)?;
        self.seen = tail;
        let oldest = reserved.saturating_sub(self.capacity);
        // A bit further: who goes to the oldest one is overtaken again at once.
        let to = oldest.saturating_add(self.capacity / 4).min(tail);
        match to.checked_sub(self.mine) {
            Some(missed) if missed > 0 => {
                self.move_to(to);
                Err(BroadcastError::Lagged { missed })
            }
            _ => Err(BroadcastError::Corrupt { field: "tail", found: tail }),
        }
    }

    /// Releases the first `count` of the items that are ready: they are received.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    #[inline]
    pub fn release(&mut self, count: u64) {
        assert!(count <= self.seen - self.mine, "more was released than was ready");
        self.move_to(self.mine + count);
        // It has time until half of the ring is free: to wake it for each item takes longer than most take to be read.
        if self.waits && self.seen - self.mine <= self.capacity / 2 {
            self.notify();
        }
    }

    /// Rings for the publisher, if it sleeps.
    fn notify(&self) {
        let Control { role, room, .. } = &*self.raw.control;
        // Relaxed: a publisher that has just come, and brings no fence as the last one did, may miss this one ring.
        if self.heavy && role.load(Relaxed) & HEAVY != 0 {
            // The other half is `heavy` in the publisher's sleep: we see the bell armed, or it sees our position.
            barrier::light();
            if !room.is_armed() {
                return;
            }
        }
        room.ring_all();
    }

    /// Leaves, if the cell is the caller's.
    pub fn leave<J: Judge + ?Sized>(&mut self, judge: &J) {
        if judge.me() == Some(self.me) && !self.left {
            self.vacate(0);
        }
        self.left = true;
    }

    /// Gives the cell up, in which `mark` stands beside our id.
    fn vacate(&mut self, mark: u32) {
        self.left = true;
        crash::step();
        // AcqRel, Relaxed: whoever comes next sees what we did here; who fails finds somebody else there.
        let _ = self.cell.0.who.compare_exchange(self.me.get() | mark, 0, AcqRel, Relaxed);
        self.raw.control.room.ring_all();
    }

    #[cold]
    fn wait<J: Judge + ?Sized>(
        &mut self,
        judge: &J,
        patience: &Patience<'_>,
    ) -> Result<u64, BroadcastError> {
        if !patience.waits() {
            return self.poll(judge);
        }
        let mut spin = Spin::for_hand_over(REST);
        while !self.raw.seems_closed() && spin.again() {
            match self.look()? {
                0 => {}
                ready => return Ok(ready),
            }
        }
        // One of those who sleep asks for all whether the publisher lives, and tells them if it does not.
        let mut wait = Wait::new(*patience, self.me, judge).watched(&self.raw.control.watch);
        let mut looks = wait.looks_first();
        loop {
            let asks = looks || self.raw.is_mourned();
            let (ready, end) = self.look_at_all(judge, asks)?;
            if ready > 0 {
                return Ok(ready);
            }
            if looks {
                wait.heard(end != End::Unknown);
            }
            wait.check().map_err(given_up)?;
            let armed = self.arm();
            let over = self.raw.seems_closed() || !asks && self.raw.is_mourned();
            if self.look()? > 0 || over {
                // The mark stays on the bell: at most one ring for nobody.
                looks = false;
                continue;
            }
            let wake = self.raw.control.items.sleep(armed, wait.until());
            looks = wait.slept(wake).map_err(given_up)?;
            self.check(judge)?;
        }
    }

    /// Ends a [`wait`](Self::wait) for who does not wait.
    fn poll<J: Judge + ?Sized>(&mut self, judge: &J) -> Result<u64, BroadcastError> {
        // Whether the publisher is alive costs a system call: it is not asked every time.
        let asks = self.ask_at.has_passed_coarsely();
        if !asks && !self.raw.seems_closed() {
            return Err(BroadcastError::TimedOut);
        }
        let (ready, end) = self.look_at_all(judge, asks)?;
        if asks {
            self.ask_at = Deadline::after(ASK_AFTER);
        }
        match (ready, end) {
            (0, End::Unknown) => Err(BroadcastError::CannotJudge),
            (0, _) => Err(BroadcastError::TimedOut),
            (ready, _) => Ok(ready),
        }
    }

    /// Looks at the publisher, and at the tail after that, and only then judges.
    fn look_at_all<J: Judge + ?Sized>(
        &mut self,
        judge: &J,
        asks: bool,
    ) -> Result<(u64, End), BroadcastError> {
        let (end, role) = self.raw.end(judge, self.me, asks)?;
        if let End::Dead(_) = end {
            self.raw.mourn(role);
        }
        match (self.look()?, end) {
            (0, End::Closed) => Err(BroadcastError::Closed),
            (0, End::Dead(peer)) => {
                // It is told of each time.
                self.ask_at = Deadline::PASSED;
                Err(BroadcastError::PublisherDied { peer })
            }
            found => Ok(found),
        }
    }

    /// Marks that this side is about to sleep, before it looks at the tail for the last time.
    fn arm(&self) -> shmkit_sync::Armed {
        let armed = self.raw.control.items.arm();
        if self.heavy {
            // As in `RawPublisher::arm`.
            barrier::heavy();
        }
        armed
    }

    /// Waits until somebody who was not found dead is the publisher, and returns who.
    ///
    /// # Errors
    ///
    /// What ends `patience`; as [`check`](Self::check); [`BroadcastError::Corrupt`].
    pub fn wait_for_publisher<'p, J: Judge + ?Sized>(
        &mut self,
        judge: &J,
        patience: impl Into<Patience<'p>>,
    ) -> Result<OwnerId, BroadcastError> {
        let watch = &self.raw.control.watch;
        let mut wait = Wait::new(patience.into(), self.me, judge).watched(watch);
        loop {
            self.check(judge)?;
            let armed = self.arm();
            // Asked each time: somebody comes seldom, and must be alive.
            let (end, role) = self.raw.end(judge, self.me, true)?;
            if let (End::Present, Some(publisher)) = (end, OwnerId::from_word(role)) {
                return Ok(publisher);
            }
            wait.heard(end != End::Unknown);
            wait.check().map_err(given_up)?;
            let wake = self.raw.control.items.sleep(armed, wait.until());
            wait.slept(wake).map_err(given_up)?;
        }
    }

    /// Marks that somebody is about to sleep until there is an item, before it looks whether there [is](Self::has_items)
    /// for the last time, and returns where.
    #[cfg(not(loom))]
    pub(crate) fn waiter(&self) -> shmkit_atomic::futex::Waiter {
        let armed = self.arm();
        self.raw.control.items.waiter(armed)
    }

    /// Returns whether [`ready`](Self::ready) would not wait. Who is alive is only found out if that is to be `asked`.
    ///
    /// # Errors
    ///
    /// What that would be told.
    #[cfg(not(loom))]
    pub(crate) fn has_items<J: Judge + ?Sized>(
        &self,
        judge: &J,
        asked: bool,
    ) -> Result<bool, BroadcastError> {
        self.check(judge)?;
        let (end, _) = self.raw.end(judge, self.me, asked || self.raw.is_mourned())?;
        Ok(self.raw.tail() != self.mine || !matches!(end, End::Absent | End::Present))
    }
}

//! The owned semaphore: permits that come back when their holder dies.

use core::fmt;
use core::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::futex::Wake;
use shmkit_roster::{Judge, OwnerId, Verdict, ask};

use crate::seats::Seats;
use crate::spin::Spin;
use crate::wait::Wait;
use crate::{
    HolderCell, Holding, LockFailure, Outcome, Patience, ReleaseError, Seating, SemaphoreError,
    SemaphoreFrame,
};

/// How long even who does not want to wait waits for somebody else's few instructions under the inner lock.
const GRACE: Duration = Duration::from_millis(10);

/// A semaphore whose every permit is held by a process.
///
/// The **cells are the truth**: each says with one atomic who holds how many. `free` follows from them, and whoever
/// inherits the mutex in the middle of a change computes it anew: permits less what the living hold.
///
/// *If a peer dies*, its cell is found by whoever lacks permits next, or a seat: one of those who sleep looks for the
/// others.
#[derive(Clone, Copy)]
pub struct RawSemaphore<'a> {
    frame: &'a SemaphoreFrame,
    seats: Seats<'a, HolderCell>,
}

/// What one look under the mutex came to.
enum Attempt {
    Taken {
        /// Whether there are more for others.
        more: bool,
    },
    NotNow,
    /// All seats are others'.
    NoSeat,
}

/// What taking permits came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Take {
    Taken,
    TooFew,
    NoSeat,
}

/// What asking about the holders came to.
struct Roll {
    /// Those who are dead, or cannot be anybody.
    dead: Vec<OwnerId>,
    /// Whether there was an answer about every other.
    known: bool,
}

impl<'a> RawSemaphore<'a> {
    /// Most permits of a semaphore.
    pub const MAX_PERMITS: u32 = i32::MAX as u32;

    /// Makes a semaphore of its words: a cell for everybody who may hold permits at a time.
    ///
    /// # Panics
    ///
    /// If there are fewer cells than a [`Seating`] (spread) of the frame's seats says.
    pub fn new(frame: &'a SemaphoreFrame, cells: &'a [HolderCell]) -> Self {
        Self::seated(frame, Seats::new(cells, Seating::spread(frame.seats())))
    }

    pub(crate) fn seated(frame: &'a SemaphoreFrame, seats: Seats<'a, HolderCell>) -> Self {
        Self { frame, seats }
    }

    /// Returns how many permits there are.
    pub fn permits(self) -> u32 {
        self.frame.permits()
    }

    /// Returns how many participants can hold permits at a time.
    pub fn seats(self) -> u32 {
        self.seats.count()
    }

    /// Returns how many permits nobody held a moment ago, the dead counting as holders until somebody looks.
    pub fn available(self) -> u32 {
        self.frame.free.load(Relaxed).min(self.permits())
    }

    /// Returns how many permits `owner` held a moment ago.
    pub fn held_by(self, owner: OwnerId) -> u32 {
        self.taken().map(|(_, cell)| cell.load().count_of(owner)).max().unwrap_or(0)
    }

    /// Takes `count` permits, sleeping while there are too few, for as long as the caller has `patience`.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError`]; none was taken.
    ///
    /// # If a peer dies
    ///
    /// Its permits are taken over within about 40 ms of the death.
    pub fn acquire<'p, J: Judge + ?Sized>(
        self,
        count: u32,
        judge: &J,
        patience: impl Into<Patience<'p>>,
    ) -> Result<(), SemaphoreError> {
        let me = self.begin(count, judge)?;
        let patience = patience.into();
        let attempt = || self.attempt(me, judge, count, None, patience.deadline());
        if let Attempt::Taken { .. } = attempt()? {
            return Ok(());
        }
        let mut spin = Spin::for_deed();
        while patience.waits() && spin.again() {
            if self.available() >= count
                && let Attempt::Taken { .. } = attempt()?
            {
                spin.paid();
                return Ok(());
            }
        }
        // Relaxed, both: a hint.
        self.frame.waiting.fetch_add(1, Relaxed);
        let done = self.wait(me, count, judge, patience);
        self.frame.waiting.fetch_add(u32::MAX, Relaxed);
        done
    }

    fn wait<J: Judge + ?Sized>(
        self,
        me: OwnerId,
        count: u32,
        judge: &J,
        patience: Patience<'_>,
    ) -> Result<(), SemaphoreError> {
        let mut wait = Wait::unhurried(patience, me, judge).watched(&self.frame.watch);
        // Before the first sleep, and when a slice has run out: whether the holders live.
        let mut looks = wait.looks_first();
        let mut woken = false;
        let mut slept = false;
        loop {
            // Who was woken most probably takes, and leaves the bell as it was: unmarked, if there was nobody else.
            if woken
                && let Ok(Attempt::Taken { .. }) =
                    self.attempt(me, judge, count, None, patience.deadline())
            {
                return Ok(());
            }
            let armed = self.frame.bell.arm();
            // Before the mutex is taken: it takes a system call for every holder.
            let roll = looks.then(|| self.call_the_roll(me, judge));
            if let Some(roll) = &roll {
                wait.heard(roll.known);
            }
            let dead = roll.as_ref().map(|roll| &*roll.dead);
            // Where nothing is free, nobody needs the mutex to know it. Who frees something rings afterwards: either it finds
            // the bell armed, or we see here what it has freed.
            let nothing = count == 1 && roll.is_none() && self.available() == 0;
            let attempt = if nothing {
                Ok(Attempt::NotNow)
            } else {
                self.attempt(me, judge, count, dead, patience.deadline())
            };
            match attempt {
                Ok(Attempt::Taken { more }) => {
                    // It was not a ring that told us of them: whoever released them may have been killed before it rang.
                    if more && slept && !woken {
                        self.frame.bell.ring_all();
                    }
                    return Ok(());
                }
                Ok(Attempt::NotNow) if self.is_for_itself(&wait, me, count) => {
                    self.pass_on(woken);
                    return Err(SemaphoreError::WouldDeadlock);
                }
                Ok(Attempt::NotNow) => {}
                Ok(Attempt::NoSeat) if roll.is_none() => {
                    looks = true;
                    continue;
                }
                Ok(Attempt::NoSeat) => {
                    self.pass_on(woken);
                    return Err(self.no_seat(roll));
                }
                Err(failure) => {
                    self.pass_on(woken);
                    return Err(failure.into());
                }
            }
            wait.check()?;
            let wake = self.frame.bell.sleep(armed, wait.until());
            (slept, woken) = (true, wake == Wake::Woken);
            looks = wait.slept(wake)?;
        }
    }

    /// Whether there can never be `count` permits as long as `me` keeps its own, and the wait is for itself.
    fn is_for_itself<J: Judge + ?Sized>(self, wait: &Wait<'_, J>, me: OwnerId, count: u32) -> bool {
        // Exact, if there is no other thread to change it.
        count > self.permits().saturating_sub(self.held_by(me)) && wait.is_for_itself(Some(me))
    }

    /// The ring that woke us was for somebody who takes.
    fn pass_on(self, woken: bool) {
        if woken {
            self.frame.bell.ring(1);
        }
    }

    /// Why there is no seat, when the dead have lost theirs.
    fn no_seat(self, roll: Option<Roll>) -> SemaphoreError {
        match roll {
            Some(Roll { known: false, .. }) => SemaphoreError::CannotJudge,
            _ => SemaphoreError::TooManyHolders { seats: self.seats() },
        }
    }

    /// Takes `count` permits if there are so many now.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError::WouldBlock`] and the others but `TimedOut`; none was taken.
    ///
    /// # If a peer dies
    ///
    /// Its permits are taken over at once.
    pub fn try_acquire<J: Judge + ?Sized>(
        self,
        count: u32,
        judge: &J,
    ) -> Result<(), SemaphoreError> {
        let me = self.begin(count, judge)?;
        let mut roll: Option<Roll> = None;
        loop {
            let dead = roll.as_ref().map(|roll| &*roll.dead);
            let seated = match self.attempt(me, judge, count, dead, Deadline::PASSED) {
                Ok(Attempt::Taken { .. }) => return Ok(()),
                Ok(Attempt::NotNow) => true,
                Ok(Attempt::NoSeat) => false,
                Err(LockFailure::TimedOut) => return Err(SemaphoreError::WouldBlock),
                Err(failure) => return Err(failure.into()),
            };
            match roll {
                Some(_) if !seated => return Err(self.no_seat(roll)),
                None => roll = Some(self.call_the_roll(me, judge)),
                Some(Roll { known: true, .. }) => return Err(SemaphoreError::WouldBlock),
                Some(Roll { known: false, .. }) => return Err(SemaphoreError::CannotJudge),
            }
        }
    }

    /// Gives `count` permits back, and wakes as many sleepers.
    ///
    /// # Errors
    ///
    /// [`ReleaseError`]; nothing was given back. [`ReleaseError::NotHeld`] if this process holds fewer.
    ///
    /// # If a peer dies
    ///
    /// in the middle of its own change, this call finishes it first. A stopped one is waited for.
    pub fn release<J: Judge + ?Sized>(self, count: u32, judge: &J) -> Result<(), ReleaseError> {
        let failed = ReleaseError::Failed;
        let me = judge.me().ok_or(failed(LockFailure::NotJoined))?;
        let freed = self.enter(me, judge, Deadline::NEVER).map_err(failed)?;
        let given = self.give_back(me, count);
        // Cannot be refused: `enter` has taken it.
        let _ = self.frame.mutex.release(me);
        self.ring(if given.is_ok() { count } else { 0 }, freed, given.unwrap_or(false));
        given.map(|_| ())
    }

    /// What every acquisition begins with.
    fn begin<J: Judge + ?Sized>(self, count: u32, judge: &J) -> Result<OwnerId, SemaphoreError> {
        let me = judge.me().ok_or(SemaphoreError::NotJoined)?;
        let permits = self.permits();
        if count > permits {
            return Err(SemaphoreError::TooMany { asked: count, permits });
        }
        Ok(me)
    }

    /// Takes the permits if there are enough, or if there are when those of the `dead` are counted among them.
    fn attempt<J: Judge + ?Sized>(
        self,
        me: OwnerId,
        judge: &J,
        count: u32,
        dead: Option<&[OwnerId]>,
        deadline: Deadline,
    ) -> Result<Attempt, LockFailure> {
        let mut freed = self.enter(me, judge, deadline)?;
        let mut taken = self.take(me, count);
        if taken != Take::Taken
            && let Some(dead) = dead
        {
            freed |= self.count(|owner| !dead.contains(&owner));
            taken = self.take(me, count);
        }
        // Relaxed: only used under the mutex.
        let more = self.frame.free.load(Relaxed) > 0;
        // A ring for one is not for us if one permit cannot help us.
        if taken == Take::TooFew && count > 1 {
            self.frame.greedy.store(1, Relaxed);
        }
        // Cannot be refused: `enter` has taken it.
        let _ = self.frame.mutex.release(me);
        self.ring(0, freed, false);
        Ok(match taken {
            Take::Taken => Attempt::Taken { more },
            Take::TooFew => Attempt::NotNow,
            Take::NoSeat => Attempt::NoSeat,
        })
    }

    /// Asks about all who hold permits. Without the mutex: nobody waits for it, and the dead stay so.
    fn call_the_roll<J: Judge + ?Sized>(self, me: OwnerId, judge: &J) -> Roll {
        let mut roll = Roll { dead: Vec::new(), known: true };
        for owner in self.holders().filter_map(Holding::owner) {
            match ask(judge, me, owner) {
                // What nobody can hold, nobody holds.
                Verdict::Dead | Verdict::Nobody => roll.dead.push(owner),
                verdict => roll.known &= verdict == Verdict::Alive,
            }
        }
        roll
    }

    /// Takes the mutex, and finishes what a dead holder of it had begun. Returns whether that may have freed permits.
    fn enter<J: Judge + ?Sized>(
        self,
        me: OwnerId,
        judge: &J,
        deadline: Deadline,
    ) -> Result<bool, LockFailure> {
        // Again, because a verdict may have shown that the roster has lost our place.
        if judge.me() != Some(me) {
            return Err(LockFailure::NotJoined);
        }
        let dead = if self.frame.mutex.take_free(me) {
            None
        } else {
            let deadline = deadline.max(Deadline::after(GRACE));
            self.frame.mutex.wait(me, judge, deadline)?
        };
        if self.frame.mutex.taken(dead).outcome() == Outcome::Clean {
            return Ok(false);
        }
        self.count(|owner| !matches!(ask(judge, me, owner), Verdict::Dead | Verdict::Nobody));
        // One of those verdicts may have shown that the roster has lost our place: the mutex is others' to inherit.
        if judge.me() != Some(me) {
            return Err(LockFailure::NotJoined);
        }
        // Cannot be refused: we hold it.
        let _ = self.frame.mutex.make_consistent(judge);
        Ok(true)
    }

    /// Under the mutex: takes the permits if there are enough, and a seat to write it down in.
    fn take(self, me: OwnerId, count: u32) -> Take {
        // Relaxed: only used under the mutex, which orders it.
        let free = self.frame.free.load(Relaxed);
        let Some((at, cell, holding)) = self.seat_of(me) else { return Take::NoSeat };
        // More than there are: nobody writes that, so let the cells be counted.
        if free < count || free > self.permits() {
            return Take::TooFew;
        }
        let Some(total) = holding.count_of(me).checked_add(count) else { return Take::TooFew };
        // Relaxed, both: only written under the mutex.
        let (rows, row) = (self.frame.rows.load(Relaxed), self.seats.row(at));
        if rows & row == 0 {
            self.frame.rows.store(rows | row, Relaxed);
        }
        // Dead after the next step: the heir of the mutex counts the cells of the living.
        if cell.replace(holding, Holding::new(me, total)).is_err() {
            return Take::TooFew;
        }
        self.frame.free.store(free - count, Relaxed);
        Take::Taken
    }

    /// Under the mutex: gives permits back. Returns whether to wake everybody: somebody must be, or nobody else sleeps.
    fn give_back(self, me: OwnerId, count: u32) -> Result<bool, ReleaseError> {
        let (_, cell, holding) =
            self.seat_of(me).ok_or(ReleaseError::NotHeld { asked: count, held: 0 })?;
        let held = holding.count_of(me);
        let not_held = ReleaseError::NotHeld { asked: count, held };
        let rest = held.checked_sub(count).ok_or(not_held)?;
        cell.replace(holding, Holding::new(me, rest)).map_err(|_| not_held)?;
        let free = self.frame.free.load(Relaxed).saturating_add(count).min(self.permits());
        self.frame.free.store(free, Relaxed);
        let greedy = self.frame.greedy.load(Relaxed) != 0;
        if greedy {
            // Who is still greedy when it has tried again says so again, before it sleeps.
            self.frame.greedy.store(0, Relaxed);
        }
        // Relaxed: a hint.
        Ok(greedy || self.frame.waiting.load(Relaxed) <= 1)
    }

    /// Under the mutex: the seat of `me`, or else one in which nothing is held.
    fn seat_of(self, me: OwnerId) -> Option<(usize, &'a HolderCell, Holding)> {
        let (home, cell) = self.seats.home(me);
        let at_home = cell.load();
        if at_home.owner() == Some(me) {
            return Some((home, cell, at_home));
        }
        // Elsewhere only if somebody had its home when it came.
        let loaded = |(at, cell): (usize, &'a HolderCell)| (at, cell, cell.load());
        let own = self.taken().map(loaded).find(|(.., holding)| holding.owner() == Some(me));
        own.or_else(|| match at_home.count() {
            0 => Some((home, cell, at_home)),
            _ => self.seats.after(home).map(loaded).find(|(.., holding)| holding.count() == 0),
        })
    }

    /// The seats that may be taken: all that are, under the mutex.
    fn taken(self) -> impl Iterator<Item = (usize, &'a HolderCell)> {
        // Relaxed: written under the mutex. Outside it, whoever came a moment ago is found the next time.
        self.seats.of(self.frame.rows.load(Relaxed))
    }

    /// Under the mutex: empties the cells of those who do not live and computes how many permits are free. Returns whether
    /// that has freed some.
    fn count(self, lives: impl Fn(OwnerId) -> bool) -> bool {
        let mut held = 0_u32;
        let mut freed = false;
        // Relaxed, here and below: only written under the mutex.
        let rows = self.frame.rows.load(Relaxed);
        let mut taken = 0;
        for (row, cells) in self.seats.rows(rows) {
            for cell in cells {
                let holding = cell.load();
                let Some(owner) = holding.owner().filter(|_| holding.count() > 0) else { continue };
                if lives(owner) {
                    held = held.saturating_add(holding.count());
                    taken |= row;
                } else {
                    freed = true;
                    // Cannot fail: cells change under the mutex only.
                    let _ = cell.replace(holding, Holding::NOTHING);
                }
            }
        }
        if taken != rows {
            // Who has left keeps its id in its cell, and finds it at home.
            self.frame.rows.store(taken, Relaxed);
        }
        let free = self.permits().saturating_sub(held);
        self.frame.free.store(free, Relaxed);
        freed
    }

    /// After the mutex was released: wakes who can use what has become free.
    fn ring(self, count: u32, freed: bool, all: bool) {
        if freed || all {
            self.frame.bell.ring_all();
        } else if self.frame.bell.ring(count) < count {
            // Who was counted and does not sleep was killed, or comes: it makes the number larger than any when it goes.
            self.frame.waiting.store(0, Relaxed);
        }
    }
}

impl<'a> RawSemaphore<'a> {
    /// Returns who holds how many, one after the other: true of each for itself, while others take and give back.
    pub fn holders(self) -> impl Iterator<Item = Holding> + use<'a> {
        let taken = self.seats.of(self.frame.rows.load(Relaxed));
        taken.map(|(_, cell)| cell.load()).filter(|holding| holding.count() > 0)
    }
}

impl fmt::Debug for RawSemaphore<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let holders: Vec<_> = self.holders().collect();
        f.debug_struct("RawSemaphore")
            .field("permits", &self.permits())
            .field("available", &self.available())
            .field("holders", &holders)
            .field("mutex", &self.frame.mutex)
            .field("bell", &self.frame.bell)
            .finish()
    }
}

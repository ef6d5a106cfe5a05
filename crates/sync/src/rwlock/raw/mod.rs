//! The robust readers-writer lock, without data.

mod change;
mod readers;
mod show;
mod word;

use shmkit_atomic::Ordering::Relaxed;
#[cfg(not(loom))]
use shmkit_layout::{NameWords, Shared};
use shmkit_roster::{Judge, OwnerId};

use crate::outcome::{POISONED, Taken};
use crate::seats::Seats;
use crate::watch::Watch;
use crate::word::{Word, Word64};
use crate::{Doorbell, HolderCell, LockFailure, NotOwner, Outcome, Patience, Seating};
use word::{Door, FREE, owner};

/// The words of a readers-writer lock that are not its readers' cells. All zero bytes but the number of seats are a free
/// one.
///
/// ```text
/// word      31 WAITERS | 30 always 0 | 29 .. 0 id of who writes or is about to, 0 = nobody
/// state     bits: 1 inconsistent, 2 unrecoverable, 4 poisoned: changed by who holds the word
/// epoch     deaths of writers, counted by their heirs
/// writing   0, or the id of who holds the word and may be in the middle of a change: stored by who holds the word
/// drain     a doorbell: who holds the word sleeps on it until the readers have left
/// watch     when one of those who sleep on the word asks again whether its holder lives
/// seats     for how many readers it was made: stored once, by who makes the lock
/// entered   whether who holds the word looks for readers for the last time, or writes: its id; waits for them without an end: the
///           same with bit 31; anything else: waits for them. Stored by who holds the word
/// rows      a bit for each row of seats: whether anybody has ever had one of them. It goes before the seat
/// ```
#[derive(Debug)]
#[repr(C)]
pub struct RwLockFrame {
    word: Word,
    state: Word,
    epoch: Word,
    writing: Word,
    drain: Doorbell,
    watch: Watch,
    seats: Word,
    entered: Word,
    rows: Word64,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<RwLockFrame>() == 40, "part of the segment format");

// SAFETY: `repr(C)`, eight words and one of 8 bytes, made of `Shared` types of which any value is handled.
#[cfg(not(loom))]
unsafe impl Shared for RwLockFrame {}

impl RwLockFrame {
    /// Makes the frame of a free lock for so many readers.
    pub fn new(seats: u32) -> Self {
        Self {
            word: Word::new(FREE),
            state: Word::new(0),
            epoch: Word::new(0),
            writing: Word::new(0),
            drain: Doorbell::new(),
            watch: Watch::new(),
            seats: Word::new(seats),
            entered: Word::new(0),
            rows: Word64::new(0),
        }
    }

    /// Gives a frame of all zero bytes its number of seats. Before anybody else uses it.
    pub fn set_seats(&self, seats: u32) {
        // Relaxed: nobody else uses it yet; however it is handed to others orders this.
        self.seats.store(seats, Relaxed);
    }

    /// Returns for how many readers it was made.
    pub fn seats(&self) -> u32 {
        // Relaxed: never changes while the lock is used.
        self.seats.load(Relaxed)
    }
}

/// A readers-writer lock that guards nothing by itself, works between processes, and survives its holders.
///
/// A reader counts itself into its seat, and is in if nobody holds the word *then*; otherwise it takes itself out again
/// and sleeps on the word. A writer takes the word, which keeps new readers out, and waits until the seats are empty:
/// that is why readers who come and go never keep a writer out. Who releases the word wakes *all* who sleep on it, for
/// readers share it.
///
/// The holder is a *process*. Who reads already, and reads again, must not sleep on the word: the writer that has it waits
/// for that reader. [`read_recursive`](RawRwLock::read_recursive) gets in beside a writer that waits.
///
/// *If a peer dies* while it reads, its seat counts as empty. If it dies while it *writes*, whoever comes next,
/// reader or writer, inherits the word and marks the data: all are told until a writer has answered for them. A writer
/// that dies while it waits for readers has changed nothing, and nobody is told.
#[derive(Clone, Copy)]
pub struct RawRwLock<'a> {
    frame: &'a RwLockFrame,
    seats: Seats<'a, HolderCell>,
}

/// How a reader is in: to be given back to [`RawRwLock::unlock_read`].
#[derive(Debug)]
#[must_use = "who is in must get out"]
pub struct Reading {
    /// The seat it is counted in; `None` if it holds the word.
    seat: Option<u32>,
}

impl Reading {
    /// Of who is not in: there is no such seat.
    #[cfg(not(loom))]
    pub(crate) const NONE: Self = Self { seat: Some(u32::MAX) };
}

impl<'a> RawRwLock<'a> {
    /// Makes a lock of its words: a cell for everybody who may read at a time.
    ///
    /// # Panics
    ///
    /// If there are fewer cells than a [`Seating`] (spread) of the frame's seats says.
    pub fn new(frame: &'a RwLockFrame, cells: &'a [HolderCell]) -> Self {
        Self::seated(frame, Seats::new(cells, Seating::spread(frame.seats())))
    }

    pub(crate) fn seated(frame: &'a RwLockFrame, seats: Seats<'a, HolderCell>) -> Self {
        Self { frame, seats }
    }

    /// The words of the frame that name participants: the word, `writing`, and `entered`.
    #[cfg(not(loom))]
    pub(crate) const NAMES: [NameWords; 3] =
        [NameWords::one(0), NameWords::one(12), NameWords::one(28)];

    /// Returns how many participants can read at a time.
    pub fn seats(self) -> u32 {
        self.seats.count()
    }

    /// Enters as a reader, sleeping while somebody writes or waits to write, for as long as the caller has
    /// `patience`.
    ///
    /// # Errors
    ///
    /// [`LockFailure`]; the caller is not in.
    ///
    /// # If a peer dies
    ///
    /// while it writes, the caller gets in within about 40 ms, and the outcome says what happened. A dead reader keeps
    /// nobody out.
    pub fn read<'p, J: Judge + ?Sized>(
        self,
        judge: &J,
        patience: impl Into<Patience<'p>>,
    ) -> Result<(Reading, Outcome), LockFailure> {
        let me = judge.me().ok_or(LockFailure::NotJoined)?;
        let reading = self.take_read(me, judge, patience)?;
        Ok((reading, self.found().outcome()))
    }

    /// Enters as a reader beside a writer that waits, sleeping only while somebody writes, for as long as the caller has
    /// `patience`.
    ///
    /// # Errors
    ///
    /// [`LockFailure`]; the caller is not in.
    ///
    /// # If a peer dies
    ///
    /// As with [`read`](Self::read).
    pub fn read_recursive<'p, J: Judge + ?Sized>(
        self,
        judge: &J,
        patience: impl Into<Patience<'p>>,
    ) -> Result<(Reading, Outcome), LockFailure> {
        let me = judge.me().ok_or(LockFailure::NotJoined)?;
        let reading = self.take_read_again(me, judge, patience)?;
        Ok((reading, self.found().outcome()))
    }

    /// Enters as a reader as [`read_recursive`](Self::read_recursive) does, if nobody alive writes. May refuse in the
    /// moment in which a writer looks for readers.
    ///
    /// # Errors
    ///
    /// [`LockFailure::WouldBlock`] and the others but `TimedOut`; the caller is not in.
    ///
    /// # If a peer dies
    ///
    /// As with [`read`](Self::read), but at once.
    pub fn try_read_recursive<J: Judge + ?Sized>(
        self,
        judge: &J,
    ) -> Result<(Reading, Outcome), LockFailure> {
        let me = judge.me().ok_or(LockFailure::NotJoined)?;
        let reading = self.try_take_read_again(me, judge)?;
        Ok((reading, self.found().outcome()))
    }

    /// Enters as a reader if nobody alive writes or waits to write.
    ///
    /// # Errors
    ///
    /// [`LockFailure::WouldBlock`] and the others but `TimedOut`; the caller is not in.
    ///
    /// # If a peer dies
    ///
    /// As with [`read`](Self::read), but at once.
    pub fn try_read<J: Judge + ?Sized>(self, judge: &J) -> Result<(Reading, Outcome), LockFailure> {
        let me = judge.me().ok_or(LockFailure::NotJoined)?;
        let reading = self.try_take_read(me, judge)?;
        Ok((reading, self.found().outcome()))
    }

    /// Ends a reader's stay.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] if this process is not in: nothing was touched.
    ///
    /// # Safety
    ///
    /// `reading` is from this lock, and nothing that it guards is borrowed on the strength of it any more.
    pub unsafe fn unlock_read<J: Judge + ?Sized>(
        self,
        judge: &J,
        reading: Reading,
    ) -> Result<(), NotOwner> {
        let me = judge.me().ok_or(NotOwner)?;
        self.release_read(me, &reading)
    }

    /// Enters as the one writer, sleeping until everybody else has left, for as long as the caller has `patience`.
    ///
    /// # Errors
    ///
    /// [`LockFailure`]; the caller is not in.
    ///
    /// # If a peer dies
    ///
    /// As with [`read`](Self::read).
    pub fn write<'p, J: Judge + ?Sized>(
        self,
        judge: &J,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Outcome, LockFailure> {
        let me = judge.me().ok_or(LockFailure::NotJoined)?;
        self.take_write(me, judge, patience).map(Taken::outcome)
    }

    /// Enters as the one writer if nobody alive is in.
    ///
    /// May refuse while another's attempt is on its way that comes to nothing either.
    ///
    /// # Errors
    ///
    /// [`LockFailure::WouldBlock`] and the others but `TimedOut`; the caller is not in.
    ///
    /// # If a peer dies
    ///
    /// As with [`try_read`](Self::try_read).
    pub fn try_write<J: Judge + ?Sized>(self, judge: &J) -> Result<Outcome, LockFailure> {
        let me = judge.me().ok_or(LockFailure::NotJoined)?;
        self.try_take_write(me, judge).map(Taken::outcome)
    }

    /// Ends the writer's stay, and wakes everybody who waits.
    ///
    /// After a writer's death, and without [`make_consistent`](Self::make_consistent), the data is given up: everybody
    /// is told [`Outcome::NotRecoverable`] from now on.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] if this process does not hold the word: nothing was touched.
    ///
    /// # Safety
    ///
    /// The caller is in as the writer, and nothing that the lock guards is borrowed any more.
    pub unsafe fn unlock_write<J: Judge + ?Sized>(self, judge: &J) -> Result<(), NotOwner> {
        let me = judge.me().ok_or(NotOwner)?;
        self.release_write(me)
    }

    /// Makes the writer a reader, with nobody in between.
    ///
    /// Data that a death has left are answered for before, or given up as by [`unlock_write`](Self::unlock_write).
    ///
    /// # Errors
    ///
    /// [`NotOwner`] if this process does not hold the word: nothing was touched.
    ///
    /// # Safety
    ///
    /// The caller is in as the writer, and nothing that the lock guards is borrowed mutably any more.
    pub unsafe fn downgrade<J: Judge + ?Sized>(self, judge: &J) -> Result<Reading, NotOwner> {
        let me = judge.me().ok_or(NotOwner)?;
        self.turn_reader(me, judge)
    }

    /// Answers for the data: it is whole again, whatever has happened. For the writer.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] if this process does not write: nothing was touched.
    pub fn make_consistent<J: Judge + ?Sized>(self, judge: &J) -> Result<(), NotOwner> {
        let me = judge.me().ok_or(NotOwner)?;
        self.check_holds(me)?;
        // Relaxed: as in `check_holds`. A reader may hold the word, too; it does not write.
        if self.frame.writing.load(Relaxed) != me.get() {
            return Err(NotOwner);
        }
        // Relaxed: the release of the word publishes it. The mark in `writing` stays: whoever inherits after our
        // death in the middle of a further change is told.
        self.frame.state.fetch_and(POISONED, Relaxed);
        Ok(())
    }

    /// Returns who held the word a moment ago: who writes, or waits until it can; or a reader that was a writer and found no seat.
    pub fn writer(self) -> Option<OwnerId> {
        owner(self.frame.word.load(Relaxed)).ok().flatten()
    }

    /// Returns in how many seats readers were counted a moment ago, the dead among them: mostly one for each process.
    pub fn readers(self) -> usize {
        self.holdings().count()
    }

    /// Returns how many writers have died in the middle, as far as their heirs came to count them.
    pub fn epoch(self) -> u32 {
        self.frame.epoch.load(Relaxed)
    }

    /// Returns whether a writer's thread panicked, and nobody has cleared that.
    pub fn is_poisoned(self) -> bool {
        // Relaxed: exact for who is in, to whom the lock has published it; a hint for others.
        self.frame.state.load(Relaxed) & POISONED != 0
    }

    /// Says that the writer's thread panicked. For the writer.
    pub fn poison(self) {
        // Relaxed: the release of the word publishes it.
        self.frame.state.fetch_or(POISONED, Relaxed);
    }

    /// Forgets the panic.
    pub fn clear_poison(self) {
        // Relaxed: about the state alone. A read-modify-write, like every change of the state: the writer may be at it.
        self.frame.state.fetch_and(!POISONED, Relaxed);
    }

    /// [`read`](Self::read) for who knows its id already; what was found is to be asked for then.
    pub(crate) fn take_read<'p, J: Judge + ?Sized>(
        self,
        me: OwnerId,
        judge: &J,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Reading, LockFailure> {
        self.take_read_by(Door::Word, me, judge, patience)
    }

    /// [`read_recursive`](Self::read_recursive) for who knows its id already.
    pub(crate) fn take_read_again<'p, J: Judge + ?Sized>(
        self,
        me: OwnerId,
        judge: &J,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Reading, LockFailure> {
        self.take_read_by(Door::Writer, me, judge, patience)
    }

    #[inline]
    fn take_read_by<'p, J: Judge + ?Sized>(
        self,
        door: Door,
        me: OwnerId,
        judge: &J,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Reading, LockFailure> {
        match self.enter(door, me, judge) {
            Ok(reading) => Ok(reading),
            Err(_) => self.wait(door, me, judge, patience.into(), |probe| {
                self.attempt_read(door, me, judge, probe)
            }),
        }
    }

    /// [`try_read`](Self::try_read) for who knows its id already.
    pub(crate) fn try_take_read<J: Judge + ?Sized>(
        self,
        me: OwnerId,
        judge: &J,
    ) -> Result<Reading, LockFailure> {
        self.try_take_read_by(Door::Word, me, judge)
    }

    /// [`take_read_again`](Self::take_read_again) without a wait.
    pub(crate) fn try_take_read_again<J: Judge + ?Sized>(
        self,
        me: OwnerId,
        judge: &J,
    ) -> Result<Reading, LockFailure> {
        self.try_take_read_by(Door::Writer, me, judge)
    }

    fn try_take_read_by<J: Judge + ?Sized>(
        self,
        door: Door,
        me: OwnerId,
        judge: &J,
    ) -> Result<Reading, LockFailure> {
        match self.enter(door, me, judge) {
            Ok(reading) => Ok(reading),
            Err(_) => self.once(|| self.attempt_read(door, me, judge, true)),
        }
    }

    /// [`unlock_read`](Self::unlock_read) for who knows its id already.
    pub(crate) fn release_read(self, me: OwnerId, reading: &Reading) -> Result<(), NotOwner> {
        match reading.seat {
            Some(seat) => self.leave(me, seat as usize),
            // Not the writer's release: who only read neither spoils the data nor answers for them.
            None => self.free(me),
        }
    }

    /// [`write`](Self::write) for who knows its id already.
    pub(crate) fn take_write<'p, J: Judge + ?Sized>(
        self,
        me: OwnerId,
        judge: &J,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Taken, LockFailure> {
        let patience = patience.into();
        let dead = if self.take_free(me) {
            None
        } else {
            let attempt = |probe| self.attempt_write(me, judge, probe);
            self.wait(Door::Word, me, judge, patience, attempt)?
        };
        self.expel(me, judge, patience)?;
        Ok(self.begin(me, dead))
    }

    /// [`try_write`](Self::try_write) for who knows its id already.
    pub(crate) fn try_take_write<J: Judge + ?Sized>(
        self,
        me: OwnerId,
        judge: &J,
    ) -> Result<Taken, LockFailure> {
        // Readers are looked for first: taking the word for nothing would send others to sleep for nothing.
        self.check_empty(me, judge)?;
        let dead = self.once(|| self.attempt_write(me, judge, true))?;
        if let Err(failure) = self.check_last(me, judge) {
            // Who has lost its place is dead to the others: the word is theirs to inherit.
            if failure != LockFailure::NotJoined {
                // Cannot be refused: we hold it.
                let _ = self.free(me);
            }
            return Err(failure);
        }
        Ok(self.begin(me, dead))
    }

    /// [`unlock_write`](Self::unlock_write) for who knows its id already.
    pub(crate) fn release_write(self, me: OwnerId) -> Result<(), NotOwner> {
        self.check_holds(me)?;
        self.end();
        self.free(me)
    }

    /// [`downgrade`](Self::downgrade) for who knows its id already.
    pub(crate) fn turn_reader<J: Judge + ?Sized>(
        self,
        me: OwnerId,
        judge: &J,
    ) -> Result<Reading, NotOwner> {
        self.check_holds(me)?;
        self.end();
        // Counted before the word is free: the next writer, who takes it from us, finds the seat. If others have all of
        // them, on their way out, the word stays: it is read alone.
        let seat = self.count_in(me, judge);
        if seat.is_some() {
            // Refused only if a wrong peer wrote to the word just now: we are counted, and must be counted out again.
            let _ = self.free(me);
        }
        Ok(Reading { seat: seat.map(|seat| seat as u32) })
    }
}

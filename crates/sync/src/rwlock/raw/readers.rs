//! The readers' side: cells, and the writer that waits until they are empty.

use shmkit_atomic::Ordering::{Relaxed, Release, SeqCst};
use shmkit_atomic::{fence, hint};
use shmkit_roster::{Judge, OwnerId, Verdict, ask};

use super::word::{Attempt, Door, ENDLESS, Seen};
use super::{RawRwLock, Reading};
use crate::wait::Wait;
use crate::watch::Watch;
use crate::{HolderCell, Holding, LockFailure, NotOwner, Patience};

/// How often to look at a reader's cell before sleeping.
const LOOKS: u32 = if cfg!(loom) { 0 } else { 20 };

/// Why a reader is not in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Out {
    /// Somebody holds the word.
    Barred,
    /// All seats are others', who read.
    NoSeat,
}

/// What a look at all cells came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readers {
    None,
    Some {
        /// The last cell of one.
        cell: usize,
        /// Whether each of them is known to be alive, or was not asked about.
        known: bool,
        /// Whether this process is among them.
        ours: bool,
    },
}

/// What a look for a seat of the dead came to.
enum Cleared {
    /// There is an empty one.
    One,
    /// All are of the living.
    None,
    /// Nobody can tell of all whether they live.
    Unknown,
}

/// Returns whether who holds this is dead, or nobody.
fn is_dead<J: Judge + ?Sized>(judge: &J, me: OwnerId, holding: Holding) -> bool {
    holding
        .owner()
        .is_some_and(|owner| matches!(ask(judge, me, owner), Verdict::Dead | Verdict::Nobody))
}

impl<'a> RawRwLock<'a> {
    /// Enters as a reader if the door is open and there is a seat.
    #[inline]
    pub(super) fn enter<J: Judge + ?Sized>(
        self,
        door: Door,
        me: OwnerId,
        judge: &J,
    ) -> Result<Reading, Out> {
        // Only so that a writer who waits for readers is not kept by those who will not get in.
        if !self.is_open(door) {
            return Err(Out::Barred);
        }
        let seat = self.count_in(me, judge).ok_or(Out::NoSeat)?;
        // SeqCst: pairs with the fences in `look_last` and `check_empty`. Either this one is first: then the writer finds
        // our seat and waits; or the writer's is first: then we see its word, and that it has entered, and are out.
        fence(SeqCst);
        if self.is_open(door) {
            return Ok(Reading { seat: Some(seat as u32) });
        }
        // Cannot be refused: we are counted.
        let _ = self.leave(me, seat);
        Err(Out::Barred)
    }

    /// Tries to read, and settles what a dead holder of the word has left if asked to `probe`.
    pub(super) fn attempt_read<J: Judge + ?Sized>(
        self,
        door: Door,
        me: OwnerId,
        judge: &J,
        probe: bool,
    ) -> Result<Attempt<Reading>, LockFailure> {
        // Again: the last verdict, or another of our threads, may have shown that the roster has lost our place. Or a
        // handler that interrupted our sleep has forked, and this is the child.
        if judge.me() != Some(me) {
            return Err(LockFailure::NotJoined);
        }
        let out = match self.enter(door, me, judge) {
            Ok(reading) => {
                // As above: others empty the seat, as one of the dead. Or it is our parent's.
                if judge.me() == Some(me) {
                    return Ok(Attempt::Taken(reading));
                }
                return Err(LockFailure::NotJoined);
            }
            Err(out) => out,
        };
        match self.look(me, judge, probe)? {
            Seen::Held { word, known } => Ok(Attempt::Held { word, known }),
            Seen::Dead { word } => {
                if self.take(word, me) {
                    self.inherit();
                    // Cannot be refused: we hold it. Not the writer's release: what we found is for all to see.
                    let _ = self.free(me);
                }
                Ok(Attempt::Again)
            }
            // Free again, since.
            Seen::Free { .. } if out == Out::Barred => Ok(Attempt::Again),
            Seen::Free { .. } => {
                let cleared = self.clear_dead_seat(me, judge);
                // As above.
                if judge.me() != Some(me) {
                    return Err(LockFailure::NotJoined);
                }
                match cleared {
                    Cleared::One => Ok(Attempt::Again),
                    Cleared::None => Err(LockFailure::TooManyReaders { seats: self.seats() }),
                    Cleared::Unknown => Err(LockFailure::CannotJudge),
                }
            }
        }
    }

    /// Counts one more reader of `me`, and returns in which seat: mostly its home.
    #[inline]
    pub(super) fn count_in<J: Judge + ?Sized>(self, me: OwnerId, judge: &J) -> Option<usize> {
        let (home, cell) = self.seats.home(me);
        if self.count_at(home, cell, me) { Some(home) } else { self.seek(me, judge, home) }
    }

    /// Counts one more reader of `me` in another seat than its home, which is another's.
    #[cold]
    fn seek<J: Judge + ?Sized>(self, me: OwnerId, judge: &J, home: usize) -> Option<usize> {
        let cell = self.seats.get(home)?;
        // Of somebody who had our place in the roster before us, if there are as many homes as places. So nobody alive
        // ever has our home, and we no other seat.
        let holding = cell.load();
        if is_dead(judge, me, holding)
            && cell.replace(holding, Holding::NOTHING).is_ok()
            && self.count_at(home, cell, me)
        {
            return Some(home);
        }
        self.seats.after(home).find(|&(at, cell)| self.count_at(at, cell, me)).map(|(at, _)| at)
    }

    /// Counts one more reader of `me` in this seat, if it is its own or empty.
    #[inline]
    fn count_at(self, at: usize, cell: &HolderCell, me: OwnerId) -> bool {
        let mut holding = cell.load();
        while holding.owner() == Some(me) || holding.count() == 0 {
            let Some(count) = holding.count_of(me).checked_add(1) else { return false };
            let row = self.seats.row(at);
            // Relaxed, both: the fence that follows in `enter`, or the release of the word, is for the row as for the
            // seat: who looks for readers after it finds both.
            if self.frame.rows.load(Relaxed) & row == 0 {
                self.frame.rows.fetch_or(row, Relaxed);
            }
            match cell.replace(holding, Holding::new(me, count)) {
                Ok(()) => return true,
                Err(other) => holding = other,
            }
        }
        false
    }

    /// Counts a reader of `me` out of its seat, and tells a writer who waits for it.
    pub(super) fn leave(self, me: OwnerId, seat: usize) -> Result<(), NotOwner> {
        let cell = self.seats.get(seat).ok_or(NotOwner)?;
        let mut holding = cell.load();
        loop {
            let rest = holding.count_of(me).checked_sub(1).ok_or(NotOwner)?;
            match cell.replace(holding, Holding::new(me, rest)) {
                Ok(()) => break,
                Err(other) => holding = other,
            }
        }
        // Killed before this, the writer finds the empty seat at the end of its slice.
        self.frame.drain.ring_all();
        Ok(())
    }

    /// Empties a seat of somebody dead.
    fn clear_dead_seat<J: Judge + ?Sized>(self, me: OwnerId, judge: &J) -> Cleared {
        let mut known = true;
        for (_, cell) in self.taken() {
            let holding = cell.load();
            let Some(owner) = holding.owner().filter(|_| holding.count() > 0) else {
                // Somebody has left.
                return Cleared::One;
            };
            match ask(judge, me, owner) {
                Verdict::Dead | Verdict::Nobody => {
                    // Fails only if somebody else was faster.
                    let _ = cell.replace(holding, Holding::NOTHING);
                    return Cleared::One;
                }
                verdict => known &= verdict != Verdict::Unknown,
            }
        }
        if known { Cleared::None } else { Cleared::Unknown }
    }

    /// The word is ours: waits until the readers have left. If the wait is given up, the word is free again.
    pub(super) fn expel<J: Judge + ?Sized>(
        self,
        me: OwnerId,
        judge: &J,
        patience: Patience<'_>,
    ) -> Result<(), LockFailure> {
        match self.look_last(me, judge, false, patience.is_endless()) {
            Readers::None => Ok(()),
            Readers::Some { cell, .. } => self.wait_for_readers(me, judge, patience, cell),
        }
    }

    /// The word is ours: looks for readers, with the door closed to those, too, whom a waiting writer does not keep out. If
    /// there are any it is open again.
    #[inline]
    fn look_last<J: Judge + ?Sized>(
        self,
        me: OwnerId,
        judge: &J,
        probe: bool,
        endless: bool,
    ) -> Readers {
        // Release: pairs with the Acquire in `is_waited_in`.
        self.frame.entered.store(me.get(), Release);
        // SeqCst: pairs with the fence in `enter`.
        fence(SeqCst);
        let readers = self.look_for_readers(me, judge, probe);
        if readers != Readers::None {
            let waits = if endless { me.get() | ENDLESS } else { 0 };
            // Release: as above.
            self.frame.entered.store(waits, Release);
        }
        readers
    }

    #[cold]
    fn wait_for_readers<J: Judge + ?Sized>(
        self,
        me: OwnerId,
        judge: &J,
        patience: Patience<'_>,
        mut busy: usize,
    ) -> Result<(), LockFailure> {
        for _ in 0..LOOKS {
            hint::spin_loop();
            if self.seats.get(busy).is_none_or(|cell| cell.load().count() == 0) {
                match self.look_last(me, judge, false, patience.is_endless()) {
                    Readers::None => return Ok(()),
                    Readers::Some { cell, .. } => busy = cell,
                }
            }
        }
        // For us alone: nobody else waits for the readers. It spares the processor where they are many.
        let watch = Watch::new();
        let mut wait = Wait::new(patience, me, judge).watched(&watch);
        // Before the first sleep, and when a slice has run out: whether the readers live.
        let mut probe = true;
        loop {
            let armed = self.frame.drain.arm();
            let readers = self.look_last(me, judge, probe, patience.is_endless());
            // One of those verdicts may have shown that the roster has lost our place. Then we are dead to the others,
            // and the word is theirs to inherit.
            if judge.me() != Some(me) {
                return Err(LockFailure::NotJoined);
            }
            let Readers::Some { known, ours, .. } = readers else { return Ok(()) };
            if probe {
                wait.heard(known);
            }
            let slept = if probe && ours && wait.is_for_itself(Some(me)) {
                Err(LockFailure::WouldDeadlock)
            } else {
                let slept = wait
                    .check()
                    .and_then(|()| wait.slept(self.frame.drain.sleep(armed, wait.until())));
                slept.map_err(LockFailure::from)
            };
            match slept {
                Ok(looks) => probe = looks,
                Err(why) => {
                    // A handler may have forked, and this is the child: the word is its parent's.
                    if judge.me() == Some(me) {
                        // Cannot be refused: we hold it.
                        let _ = self.free(me);
                    }
                    return Err(why);
                }
            }
        }
    }

    /// Whether nobody alive reads.
    pub(super) fn check_empty<J: Judge + ?Sized>(
        self,
        me: OwnerId,
        judge: &J,
    ) -> Result<(), LockFailure> {
        // SeqCst: pairs with the fence in `enter`.
        fence(SeqCst);
        let readers = self.look_for_readers(me, judge, true);
        Self::refuse(readers, me, judge)
    }

    /// The word is ours: whether nobody alive reads.
    pub(super) fn check_last<J: Judge + ?Sized>(
        self,
        me: OwnerId,
        judge: &J,
    ) -> Result<(), LockFailure> {
        let readers = self.look_last(me, judge, true, false);
        Self::refuse(readers, me, judge)
    }

    fn refuse<J: Judge + ?Sized>(
        readers: Readers,
        me: OwnerId,
        judge: &J,
    ) -> Result<(), LockFailure> {
        if judge.me() != Some(me) {
            return Err(LockFailure::NotJoined);
        }
        match readers {
            Readers::None => Ok(()),
            Readers::Some { known: true, .. } => Err(LockFailure::WouldBlock),
            Readers::Some { known: false, .. } => Err(LockFailure::CannotJudge),
        }
    }

    /// Looks at all cells, and empties those of the dead if asked to `probe`.
    fn look_for_readers<J: Judge + ?Sized>(self, me: OwnerId, judge: &J, probe: bool) -> Readers {
        let mut readers = Readers::None;
        let (mut known, mut ours) = (true, false);
        for (i, cell) in self.taken() {
            let holding = cell.load();
            let Some(reader) = holding.owner().filter(|_| holding.count() > 0) else { continue };
            if probe {
                match ask(judge, me, reader) {
                    // What nobody can hold, nobody holds. If somebody takes the cell in this moment, it is not for us
                    // to empty: it belongs to who comes to read, and finds that it cannot.
                    Verdict::Dead | Verdict::Nobody
                        if cell.replace(holding, Holding::NOTHING).is_ok() =>
                    {
                        continue;
                    }
                    verdict => known &= verdict != Verdict::Unknown,
                }
            }
            ours |= reader == me;
            readers = Readers::Some { cell: i, known, ours };
        }
        readers
    }

    /// What stands in the cells that are not empty.
    pub(super) fn holdings(self) -> impl Iterator<Item = Holding> + use<'a> {
        self.taken().map(|(_, cell)| cell.load()).filter(|holding| holding.count() > 0)
    }

    /// The seats that somebody has had.
    fn taken(self) -> impl Iterator<Item = (usize, &'a HolderCell)> + use<'a> {
        // Relaxed: the fence before it, in `look_last` and `check_empty`, is for the rows as for the seats.
        self.seats.of(self.frame.rows.load(Relaxed))
    }
}

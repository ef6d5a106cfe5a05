//! The readers' side: cells, and the writer that waits until they are empty.

use shmkit_atomic::Ordering::{Acquire, Relaxed, SeqCst};
use shmkit_atomic::{fence, hint};
use shmkit_roster::{Judge, OwnerId, Verdict, ask};

use super::word::{Attempt, FREE, Seen, WAITERS};
use super::{CELLS, RawRwLock, Reading};
use crate::wait::Wait;
use crate::watch::Watch;
use crate::{Holding, LockFailure, NotOwner, Patience};

/// How often to look at a reader's cell before sleeping.
const LOOKS: u32 = if cfg!(loom) { 0 } else { 20 };

/// Why a reader is not in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Out {
    /// Somebody holds the word.
    Barred,
    /// All cells are others', who read.
    NoCell,
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
    },
}

impl RawRwLock {
    /// Enters as a reader if nobody holds the word and there is a cell.
    #[inline]
    pub(super) fn enter(&self, me: OwnerId) -> Result<Reading, Out> {
        // Relaxed: only so that a writer who waits for readers is not kept by those who will not get in.
        if self.word.load(Relaxed) & !WAITERS != FREE {
            return Err(Out::Barred);
        }
        let cell = self.count_in(me).ok_or(Out::NoCell)?;
        // SeqCst: pairs with the fences in `expel` and `check_empty`. Either this one is first: then the writer finds
        // our cell and waits; or the writer's is first: then we see its word, and are out.
        fence(SeqCst);
        // Acquire: pairs with the Release in `free`: we see what the last writer has written.
        if self.word.load(Acquire) & !WAITERS == FREE {
            return Ok(Reading { cell: Some(cell) });
        }
        // Cannot be refused: we are counted.
        let _ = self.leave(me, cell);
        Err(Out::Barred)
    }

    /// Tries to read, and settles what a dead holder of the word has left if asked to `probe`.
    pub(super) fn attempt_read<J: Judge + ?Sized>(
        &self,
        me: OwnerId,
        judge: &J,
        probe: bool,
    ) -> Result<Attempt<Reading>, LockFailure> {
        // Again: the last verdict, or another of our threads, may have shown that the roster has lost our place. Or a
        // handler that interrupted our sleep has forked, and this is the child.
        if judge.me() != Some(me) {
            return Err(LockFailure::NotJoined);
        }
        let out = match self.enter(me) {
            Ok(reading) => {
                // As above: others empty the cell, as one of the dead. Or it is our parent's.
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
            Seen::Free { word } => {
                // Asked to probe or not: to read alone is the last resort.
                if self.clear_dead_cell(me, judge) {
                    return Ok(Attempt::Again);
                }
                // As above.
                if judge.me() != Some(me) {
                    return Err(LockFailure::NotJoined);
                }
                if !self.take(word, me) {
                    return Ok(Attempt::Again);
                }
                Ok(Attempt::Taken(Reading { cell: None }))
            }
        }
    }

    /// Counts one more reader of `me`, and returns in which cell: the first that is its own or empty. Its threads may
    /// come to use several.
    pub(super) fn count_in(&self, me: OwnerId) -> Option<u8> {
        // Beginning where few others begin, so that the own cell is mostly the first.
        let start = me.home(CELLS);
        for i in (0..CELLS).map(|i| (start + i) % CELLS) {
            let mut holding = self.cells[i].load();
            while holding.owner() == Some(me) || holding.count() == 0 {
                let Some(count) = holding.count_of(me).checked_add(1) else { break };
                match self.cells[i].replace(holding, Holding::new(me, count)) {
                    Ok(()) => return Some(i as u8),
                    Err(other) => holding = other,
                }
            }
        }
        None
    }

    /// Counts a reader of `me` out of its cell, and tells a writer who waits for it.
    pub(super) fn leave(&self, me: OwnerId, cell: u8) -> Result<(), NotOwner> {
        let cell = self.cells.get(cell as usize).ok_or(NotOwner)?;
        let mut holding = cell.load();
        loop {
            let rest = holding.count_of(me).checked_sub(1).ok_or(NotOwner)?;
            match cell.replace(holding, Holding::new(me, rest)) {
                Ok(()) => break,
                Err(other) => holding = other,
            }
        }
        // Killed before this, the writer finds the empty cell at the end of its slice.
        self.drain.ring_all();
        Ok(())
    }

    /// Empties a cell of somebody dead, and returns whether there was one.
    fn clear_dead_cell<J: Judge + ?Sized>(&self, me: OwnerId, judge: &J) -> bool {
        self.cells.iter().any(|cell| {
            let holding = cell.load();
            let dead = holding.owner().is_some_and(|owner| {
                holding.count() > 0
                    && matches!(ask(judge, me, owner), Verdict::Dead | Verdict::Nobody)
            });
            dead && cell.replace(holding, Holding::NOTHING).is_ok()
        })
    }

    /// The word is ours: waits until the readers have left. If the wait is given up, the word is free again.
    pub(super) fn expel<J: Judge + ?Sized>(
        &self,
        me: OwnerId,
        judge: &J,
        patience: Patience<'_>,
    ) -> Result<(), LockFailure> {
        // SeqCst: pairs with the fence in `enter`.
        fence(SeqCst);
        match self.look_for_readers(me, judge, false) {
            Readers::None => Ok(()),
            Readers::Some { cell, .. } => self.wait_for_readers(me, judge, patience, cell),
        }
    }

    #[cold]
    fn wait_for_readers<J: Judge + ?Sized>(
        &self,
        me: OwnerId,
        judge: &J,
        patience: Patience<'_>,
        mut busy: usize,
    ) -> Result<(), LockFailure> {
        for _ in 0..LOOKS {
            hint::spin_loop();
            if self.cells[busy].load().count() == 0 {
                match self.look_for_readers(me, judge, false) {
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
            let armed = self.drain.arm();
            let readers = self.look_for_readers(me, judge, probe);
            // One of those verdicts may have shown that the roster has lost our place. Then we are dead to the others,
            // and the word is theirs to inherit.
            if judge.me() != Some(me) {
                return Err(LockFailure::NotJoined);
            }
            let Readers::Some { known, .. } = readers else { return Ok(()) };
            if probe {
                wait.heard(known);
            }
            let slept =
                wait.check().and_then(|()| wait.slept(self.drain.sleep(armed, wait.until())));
            match slept {
                Ok(looks) => probe = looks,
                Err(why) => {
                    // A handler may have forked, and this is the child: the word is its parent's.
                    if judge.me() == Some(me) {
                        // Cannot be refused: we hold it.
                        let _ = self.free(me);
                    }
                    return Err(why.into());
                }
            }
        }
    }

    /// Whether nobody alive reads.
    pub(super) fn check_empty<J: Judge + ?Sized>(
        &self,
        me: OwnerId,
        judge: &J,
    ) -> Result<(), LockFailure> {
        // SeqCst: pairs with the fence in `enter`.
        fence(SeqCst);
        let readers = self.look_for_readers(me, judge, true);
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
    fn look_for_readers<J: Judge + ?Sized>(&self, me: OwnerId, judge: &J, probe: bool) -> Readers {
        let mut readers = Readers::None;
        let mut known = true;
        for (i, cell) in self.cells.iter().enumerate() {
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
            readers = Readers::Some { cell: i, known };
        }
        readers
    }

    /// What stands in the cells that are not empty.
    pub(super) fn holdings(&self) -> impl Iterator<Item = Holding> {
        self.cells.iter().map(|cell| cell.load()).filter(|holding| holding.count() > 0)
    }
}

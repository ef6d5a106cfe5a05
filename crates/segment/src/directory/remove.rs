//! Removing objects: taking the name away, and giving entry and bytes back when nobody uses them.

use shmkit_atomic::Ordering::{Relaxed, Release};
use shmkit_atomic::crash::{in_program_order, step};
use shmkit_atomic::{AtomicU32, AtomicU64};
use shmkit_layout::{Commit, Offset};
use shmkit_roster::Judge;

use super::entry::{NEXT_AT, Name};
use super::error::Reason;
use super::held::Held;
use super::table::{FREE, GAP, UNLINKED, USED};
use super::{Directory, ObjectError};
use crate::index::{self, Sought, State, Words};
use crate::usage;

impl<'a> Directory<'a> {
    /// Removes the object called `name`: its bytes are free when this returns. In a segment that grows, the memory behind its
    /// whole pages is given back to the system.
    ///
    /// Handles that were found by a judge do not say when they end: such an object is used until the participant is gone,
    /// or says so by [`disuse`](Self::disuse).
    ///
    /// # Errors
    ///
    /// [`InUse`](super::ObjectErrorKind::InUse) if somebody alive uses it, this process included: then nothing is changed.
    /// [`NotFound`](super::ObjectErrorKind::NotFound), [`InvalidName`](super::ObjectErrorKind::InvalidName); what keeps the
    /// directory from being locked, as [`make`](Self::make); [`Corrupt`](super::ObjectErrorKind::Corrupt).
    ///
    /// # If a peer dies
    ///
    /// while it uses the object, it uses it no more. While it removes it: the object is there, or gone.
    pub fn remove<J: Judge + Commit>(self, name: &str, judge: &J) -> Result<(), ObjectError> {
        self.change(name, judge, |held, entry, state| {
            let record = self.record(entry)?;
            if self.free_unused(entry, state, held.judge)? {
                return self.recycle(entry, true, held.judge);
            }
            let user = self.user(entry, held.judge)?;
            Err(Reason::in_use(record.shape, user, held.judge))
        })
    }

    /// Takes the name of an object away: it is free for another one when this returns. Whoever uses the object goes on, and
    /// its bytes are free with the last one that does.
    ///
    /// # Errors
    ///
    /// Those of [`remove`](Self::remove) but `InUse`.
    ///
    /// # If a peer dies
    ///
    /// while it does this: the object has its name, or has it not. If the last user is killed, the bytes are free for who next
    /// needs them.
    pub fn unlink<J: Judge + Commit>(self, name: &str, judge: &J) -> Result<(), ObjectError> {
        self.change(name, judge, |held, entry, state| {
            let word = self.state_word(entry)?;
            let unlinked = state.to(State::UNLINKED);
            // Counted before: too many are looked at for nothing.
            let count: &AtomicU32 = self.word(UNLINKED)?;
            count.store(count.load(Relaxed).saturating_add(1), Relaxed);
            step();
            // Release: as in `publish`. A swap, as there.
            word.swap(unlinked.get(), Release);
            in_program_order();
            index::remove(&self, entry)?;
            // The one who ceases to use it meanwhile sees that it is unlinked, or is seen here.
            usage::dekker();
            self.release(held, entry, unlinked)
        })
    }

    /// Says that a participant uses an object no more which it has found by this name.
    ///
    /// # Errors
    ///
    /// Those of [`find`](Self::find).
    ///
    /// # Safety
    ///
    /// No handle to the object that was found or made with a judge of this participant is used from now on.
    pub unsafe fn disuse<J: Judge>(self, name: &str, judge: &J) -> Result<(), ObjectError> {
        self.change(name, judge, |held, entry, _| match held.judge.me() {
            Some(me) => self.unmark(me, entry),
            None => Ok(()),
        })
    }

    /// Does something with the named object, with the lock.
    fn change<J: Judge>(
        self,
        name: &str,
        judge: &J,
        run: impl FnOnce(&Held<'_, J>, u32, State) -> Result<(), Reason>,
    ) -> Result<(), ObjectError> {
        let run = |name: Name<'_>| {
            let held = self.hold(judge)?;
            match self.seek_once(name)? {
                Sought::Found(entry, state, _) => {
                    held.check()?;
                    run(&held, entry, state)
                }
                _ => Err(self.not_found().unwrap_or_else(|reason| reason)),
            }
        };
        run(Name::new(name)?).map_err(|reason| reason.of(name))
    }

    /// Gives an unlinked object back that its last user has left, unless somebody holds the directory: then the next one who
    /// needs the bytes does it.
    pub(crate) fn release_unlinked<J: Judge + Commit>(
        self,
        entry: u32,
        generation: u64,
        judge: &J,
    ) -> Result<(), Reason> {
        // The mark is cleared before the state is looked at; see `unlink`.
        usage::dekker();
        let unlinked = State::new(State::UNLINKED, generation);
        if index::state(&self, entry)? != unlinked {
            return Ok(());
        }
        let Some(held) = self.try_hold(judge)? else { return Ok(()) };
        held.check()?;
        if index::state(&self, entry)? == unlinked {
            self.release(&held, entry, unlinked)
        } else {
            Ok(())
        }
    }

    /// Gives an unlinked object back if nobody uses it. With the lock.
    pub(super) fn release<J: Judge + Commit>(
        self,
        held: &Held<'_, J>,
        entry: u32,
        state: State,
    ) -> Result<(), Reason> {
        if !self.free_unused(entry, state, held.judge)? {
            return Ok(());
        }
        self.recycle(entry, false, held.judge)?;
        let count: &AtomicU32 = self.word(UNLINKED)?;
        count.store(count.load(Relaxed).saturating_sub(1), Relaxed);
        Ok(())
    }

    /// Has entry and bytes of what was freed be there for others. Whoever takes the lock from one who was killed on the way
    /// does it for [all](Self::repair).
    fn recycle<C: Commit>(self, entry: u32, was_named: bool, keeper: &C) -> Result<(), Reason> {
        if was_named {
            index::remove(&self, entry)?;
        }
        self.give_back(entry, keeper)?;
        // How large the gap is by now is for who looks for one: what lies beside it may be free as well.
        self.word::<AtomicU64>(GAP)?.store(u64::MAX, Relaxed);
        self.chain(entry)
    }

    /// Makes an entry the first of the free ones.
    fn chain(self, entry: u32) -> Result<(), Reason> {
        let first: &AtomicU32 = self.word(FREE)?;
        let at = self.entry_at(entry)?.ok_or_else(|| self.corrupt("table", entry, 0))?;
        let next = u64::from(first.load(Relaxed));
        let at = Offset::new(at + NEXT_AT).map_err(Reason::Place)?;
        self.region().write(at, next).map_err(Reason::Place)?;
        in_program_order();
        first.store(entry + 1, Relaxed);
        Ok(())
    }

    /// Returns the entry for a new object, which stays free until [`take`](Self::take).
    pub(super) fn next(self) -> Result<Next, Reason> {
        let first = self.word::<AtomicU32>(FREE)?.load(Relaxed);
        let used = self.used()?.load(Relaxed);
        let Some(entry) = first.checked_sub(1) else {
            return Ok(Next { entry: used, then: None });
        };
        let at = if entry < used { self.entry_at(entry)? } else { None };
        let at = at.ok_or_else(|| self.corrupt("next free entry", entry, first.into()))?;
        if index::state(&self, entry)?.phase() != State::FREE {
            return Err(self.corrupt("next free entry", entry, first.into()));
        }
        let at = Offset::new(at + NEXT_AT).map_err(Reason::Place)?;
        let then: u64 = self.region().read(at).map_err(Reason::Place)?;
        Ok(Next { entry, then: Some(then as u32) })
    }

    /// Takes an entry, of which nothing is written yet.
    pub(super) fn take(self, next: Next) -> Result<(), Reason> {
        match next.then {
            Some(then) => self.word::<AtomicU32>(FREE)?.store(then, Relaxed),
            None => self.used()?.store(next.entry + 1, Relaxed),
        }
        in_program_order();
        Ok(())
    }

    /// Sets everything right that follows from the entries' states: for who has taken the lock from the dead.
    pub(super) fn repair(self) -> Result<(), Reason> {
        self.word::<AtomicU32>(FREE)?.store(0, Relaxed);
        self.word::<AtomicU64>(GAP)?.store(u64::MAX, Relaxed);
        let used = self.used()?.load(Relaxed);
        let mut unlinked = 0_u32;
        for entry in (0..used).rev() {
            let state = index::state(&self, entry)?;
            let settled = state.settled();
            if settled != state {
                step();
                // Release: as in `publish`. If it fails, a user has done it.
                let word = self.state_word(entry)?;
                let _ = word.compare_exchange(state.get(), settled.get(), Release, Relaxed);
                in_program_order();
            }
            match settled.phase() {
                State::FREE => self.chain(entry)?,
                State::UNLINKED => unlinked += 1,
                _ => {}
            }
        }
        self.word::<AtomicU32>(UNLINKED)?.store(unlinked, Relaxed);
        index::rebuild(&self, used)
    }

    /// How many entries were ever used.
    pub(super) fn used(self) -> Result<&'a AtomicU32, Reason> {
        self.word(USED)
    }
}

/// An entry for a new object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Next {
    pub(super) entry: u32,
    /// 1 + the number of the next free one, if it was used before.
    then: Option<u32>,
}

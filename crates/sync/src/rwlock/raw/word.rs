//! The word: who writes or is about to, and everybody's sleep.

use shmkit_atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use shmkit_atomic::futex::{ALL, Op};
use shmkit_roster::{Judge, OwnerId, Verdict, ask};

use super::RawRwLock;
use crate::spin::Spin;
use crate::wait::Wait;
use crate::{LockFailure, NotOwner, Patience};

/// Nobody holds the word, nobody sleeps on it.
pub(super) const FREE: u32 = 0;
/// Somebody may sleep on the word: who frees it wakes all.
pub(super) const WAITERS: u32 = 1 << 31;

/// Of `entered`: who holds the word waits for the readers, and nothing but their leaving ends that.
pub(super) const ENDLESS: u32 = 1 << 31;

/// Who keeps somebody out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// Who holds the word.
    Word,
    /// Who holds the word and does not just wait for readers to leave.
    Writer,
}

/// What one attempt came to.
pub(super) enum Attempt<R> {
    Taken(R),
    /// The word changed under our hands.
    Again,
    Held {
        /// The word, not free.
        word: u32,
        /// Whether its holder is known to be alive, or was not asked about.
        known: bool,
    },
}

/// What one look at the word came to.
pub(super) enum Seen {
    Free { word: u32 },
    Dead { word: u32 },
    Held { word: u32, known: bool },
}

impl RawRwLock<'_> {
    /// Takes a word that nobody holds and nobody waits for.
    #[inline]
    pub(super) fn take_free(self, me: OwnerId) -> bool {
        self.take(FREE, me)
    }

    /// Takes the word from nobody or from the dead, if it still is `word`.
    #[inline]
    pub(super) fn take(self, word: u32, me: OwnerId) -> bool {
        let taken = me.get() | (word & WAITERS);
        // AcqRel: Acquire pairs with the Release in `free`, so that the last writer's changes are visible; Release with
        // the Acquire in `look`: whoever reads our id there finds that we have joined.
        self.frame.word.compare_exchange(word, taken, AcqRel, Relaxed).is_ok()
    }

    /// Takes the word if it is free or, when asked to `probe`, if its holder is dead. Returns who had died in the
    /// middle of a change.
    pub(super) fn attempt_write<J: Judge + ?Sized>(
        self,
        me: OwnerId,
        judge: &J,
        probe: bool,
    ) -> Result<Attempt<Option<OwnerId>>, LockFailure> {
        match self.look(me, judge, probe)? {
            Seen::Held { word, known } => Ok(Attempt::Held { word, known }),
            Seen::Free { word } if self.take(word, me) => Ok(Attempt::Taken(None)),
            Seen::Dead { word } if self.take(word, me) => Ok(Attempt::Taken(self.inherit())),
            Seen::Free { .. } | Seen::Dead { .. } => Ok(Attempt::Again),
        }
    }

    /// Looks at the word and, when asked to `probe`, whether its holder lives.
    pub(super) fn look<J: Judge + ?Sized>(
        self,
        me: OwnerId,
        judge: &J,
        probe: bool,
    ) -> Result<Seen, LockFailure> {
        // Acquire: pairs with the Release of who put its id there: it had joined before, so that the verdict is about
        // a participant whose lock the kernel has seen.
        let word = self.frame.word.load(Acquire);
        let seen = match owner(word).map_err(|word| LockFailure::Corrupt { word })? {
            None => Seen::Free { word },
            Some(_) if !probe => Seen::Held { word, known: true },
            Some(owner) => match ask(judge, me, owner) {
                Verdict::Dead => Seen::Dead { word },
                Verdict::Nobody => return Err(LockFailure::Corrupt { word }),
                verdict => Seen::Held { word, known: verdict == Verdict::Alive },
            },
        };
        // After the verdict, which may have shown that the roster has lost our place: what we took then, others would
        // take from us as from the dead.
        if judge.me() != Some(me) {
            return Err(LockFailure::NotJoined);
        }
        Ok(seen)
    }

    /// Attempts until it comes to something, without a sleep.
    pub(super) fn once<R>(
        self,
        mut attempt: impl FnMut() -> Result<Attempt<R>, LockFailure>,
    ) -> Result<R, LockFailure> {
        loop {
            match attempt()? {
                Attempt::Taken(taken) => return Ok(taken),
                Attempt::Again => {}
                Attempt::Held { known: true, .. } => return Err(LockFailure::WouldBlock),
                Attempt::Held { known: false, .. } => return Err(LockFailure::CannotJudge),
            }
        }
    }

    /// Returns whether who comes through this door is let in now.
    #[inline]
    pub(super) fn is_open(self, door: Door) -> bool {
        // Acquire: pairs with the Release in `free`: we see what the last writer has written.
        let word = self.frame.word.load(Acquire) & !WAITERS;
        word == FREE || (door == Door::Writer && self.is_waited_in(word))
    }

    /// Returns whether the holder of this word, without its mark, waits for readers to leave.
    #[cold]
    fn is_waited_in(self, word: u32) -> bool {
        // Acquire: pairs with the Release in `look_last`. It may be the next holder's: then we see all that was written
        // before that one came.
        let entered = self.frame.entered.load(Acquire);
        // Acquire: pairs with the Release in `inherit` and `end`. What a dead writer has left is in the state first.
        entered != word && self.frame.writing.load(Acquire) == 0
    }

    /// Returns whether the holder of this word is this process, or waits without an end for it to read no longer.
    fn is_ours_to_end(self, word: u32, me: OwnerId) -> bool {
        let holder = word & !WAITERS;
        // Relaxed, and exact if this process has no other thread: a holder that waits for us goes on to wait.
        holder == me.get()
            || (self.frame.entered.load(Relaxed) == holder | ENDLESS
                && self.holdings().any(|holding| holding.owner() == Some(me)))
    }

    /// Attempts, sleeping on the word in between. The attempt is told whether to probe.
    #[cold]
    pub(super) fn wait<R, J: Judge + ?Sized>(
        self,
        door: Door,
        me: OwnerId,
        judge: &J,
        patience: Patience<'_>,
        mut attempt: impl FnMut(bool) -> Result<Attempt<R>, LockFailure>,
    ) -> Result<R, LockFailure> {
        let mut spin = Spin::for_lock();
        while spin.again() {
            // The attempt decides. It is dear, a reader's above all.
            if self.is_open(door)
                && let Attempt::Taken(taken) = attempt(false)?
            {
                return Ok(taken);
            }
        }
        let mut wait = Wait::new(patience, me, judge);
        if door == Door::Word {
            // Who waits for a writer to wait looks again after each slice: nobody wakes it then.
            wait = wait.watched(&self.frame.watch);
        }
        // Before the first sleep, and when a slice has run out: whether the holder lives.
        let mut probe = true;
        loop {
            let word = match attempt(probe)? {
                Attempt::Taken(taken) => return Ok(taken),
                Attempt::Again => continue,
                Attempt::Held { word, known } => {
                    if probe {
                        wait.heard(known);
                        if self.is_ours_to_end(word, me) && wait.is_for_itself(Some(me)) {
                            return Err(LockFailure::WouldDeadlock);
                        }
                    }
                    word
                }
            };
            wait.check()?;
            probe = false;
            // Relaxed: a mark for who frees the word, who reads it in the word that it changes.
            if word & WAITERS == 0
                && self.frame.word.compare_exchange(word, word | WAITERS, Relaxed, Relaxed).is_err()
            {
                continue;
            }
            probe = wait.slept(self.frame.word.wait(word | WAITERS, wait.until()))?;
        }
    }

    /// Whether `me` holds the word.
    pub(super) fn check_holds(self, me: OwnerId) -> Result<(), NotOwner> {
        // Relaxed: if it is our own id, it was this process that put it there.
        if self.frame.word.load(Relaxed) & !WAITERS == me.get() { Ok(()) } else { Err(NotOwner) }
    }

    /// Frees the word, and wakes everybody: readers share it, and waking one of them would strand the rest.
    pub(super) fn free(self, me: OwnerId) -> Result<(), NotOwner> {
        // Release: pairs with the Acquire in `take` and in `enter`.
        if self.frame.word.compare_exchange(me.get(), FREE, Release, Relaxed).is_ok() {
            return Ok(());
        }
        self.check_holds(me)?;
        // WAITERS is set, and only we could take it away. Free and wake in one step: killed before it we are a dead
        // holder, after it everybody is awake.
        self.frame.word.wake_op(Op::set(FREE), ALL);
        Ok(())
    }
}

/// Returns who holds a lock of this word, or the word itself if nobody can.
#[inline]
pub(super) fn owner(word: u32) -> Result<Option<OwnerId>, u32> {
    match word & !WAITERS {
        FREE => Ok(None),
        id if id > OwnerId::MASK => Err(word),
        id => OwnerId::from_word(id).map(Some).ok_or(word),
    }
}

//! Who uses the objects: a row of bits for each participant, behind each table of entries.

use shmkit_atomic::AtomicU64;
use shmkit_atomic::Ordering::{Relaxed, Release};
use shmkit_layout::{Commit, Offset};
use shmkit_roster::{Judge, OwnerId, Spent, Verdict, ask};
use shmkit_sync::LockFailure;

use super::Directory;
use super::error::Reason;
use super::table::Table;
use crate::index::{State, Words};
use crate::usage::{self, BITS, SWEEPING, User};

/// What keeps the handles of a directory, and marks which objects they use.
pub(crate) trait Keeper<K> {
    /// Who asks.
    type Judge: Judge + Commit;

    fn judge(&self) -> &Self::Judge;

    /// Begins to use an object, and returns what its handle keeps; nothing if the entry is not what it was, where that is to
    /// be looked at. What is not published yet is nobody's to take away.
    fn begin(
        &self,
        directory: Directory<'_>,
        entry: u32,
        state: State,
        look: bool,
    ) -> Result<Option<K>, Reason>;
}

/// The keeper of handles that borrow a judge, and do not say when they end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Borrowed<'a, J>(pub(super) &'a J);

impl<'a, J: Judge + Commit> Keeper<&'a J> for Borrowed<'a, J> {
    type Judge = J;

    fn judge(&self) -> &J {
        self.0
    }

    fn begin(
        &self,
        directory: Directory<'_>,
        entry: u32,
        state: State,
        look: bool,
    ) -> Result<Option<&'a J>, Reason> {
        let me = self.0.me().ok_or_else(not_joined)?;
        // If it has gone, the mark may be that of another handle as well.
        let is_there = directory.mark(me, entry, state, look)?;
        Ok(is_there.then_some(self.0))
    }
}

/// This process is nobody.
pub(crate) fn not_joined() -> Reason {
    let waited = std::time::Duration::ZERO;
    Reason::Lock { failure: LockFailure::NotJoined, owner: None, waited }
}

impl<'a> Directory<'a> {
    /// Marks that we use an object, and returns whether its state is what it was, if that is to be looked at.
    pub(crate) fn mark(
        self,
        me: OwnerId,
        entry: u32,
        state: State,
        look: bool,
    ) -> Result<bool, Reason> {
        let (word, bit) = self.use_word(me.home(self.places as usize) as u32, entry)?;
        usage::mark(word, me, bit);
        Ok(!look || usage::is_there(self.state_word(entry)?, state))
    }

    /// Marks in a forked child that it uses what it has inherited a handle to; returns whether that is there still.
    pub(crate) fn mark_inherited(
        self,
        me: OwnerId,
        entry: u32,
        generation: u64,
    ) -> Result<bool, Reason> {
        let state = State::new(State::NAMED, generation);
        self.mark(me, entry, state, false)?;
        self.is_there(entry, state)
    }

    /// Returns whether what we have marked is there still, with its name or without.
    pub(super) fn is_there(self, entry: u32, state: State) -> Result<bool, Reason> {
        let word = self.state_word(entry)?;
        let unlinked = state.to(State::UNLINKED);
        Ok(usage::is_there(word, state) || usage::is_there(word, unlinked))
    }

    /// Takes the mark away that we use an object.
    pub(crate) fn unmark(self, me: OwnerId, entry: u32) -> Result<(), Reason> {
        let (word, bit) = self.use_word(me.home(self.places as usize) as u32, entry)?;
        usage::unmark(word, me, bit);
        Ok(())
    }

    /// Returns who alive uses an object, if anybody does.
    pub(super) fn user<J: Judge>(self, entry: u32, judge: &J) -> Result<Option<User>, Reason> {
        let me = judge.me().ok_or_else(not_joined)?;
        for user in self.users(entry)? {
            match user? {
                Some(User::Named(owner)) => match ask(judge, me, owner) {
                    Verdict::Dead => {}
                    Verdict::Nobody => {
                        return Err(self.corrupt("user", entry, owner.get().into()));
                    }
                    // Who cannot be judged may be alive.
                    Verdict::Alive | Verdict::Unknown => return Ok(Some(User::Named(owner))),
                },
                Some(User::Sweeper) => return Ok(Some(User::Sweeper)),
                None => {}
            }
        }
        Ok(None)
    }

    /// Returns all who say that they use an object, the dead included.
    pub(super) fn said_users(self, entry: u32) -> Result<Vec<OwnerId>, Reason> {
        let mut users = Vec::new();
        for user in self.users(entry)? {
            if let Some(User::Named(owner)) = user?
                && owner != OwnerId::GONE
            {
                users.push(owner);
            }
        }
        Ok(users)
    }

    /// What each place says of an entry.
    fn users(
        self,
        entry: u32,
    ) -> Result<impl Iterator<Item = Result<Option<User>, Reason>>, Reason> {
        let table = Table::of(entry, self.entries);
        let (_, bit) = self.use_word(0, entry)?;
        let at = self.table_at(table)?.ok_or_else(|| self.corrupt("table", entry, 0))?;
        let rows = (u64::from(self.places) * table.row_words()) as usize;
        let first = Offset::new(at + table.row_at(0)).map_err(Reason::Place)?;
        let words = self.region().slice::<AtomicU64>(first, rows).map_err(Reason::Place)?;
        let index = (u64::from(entry) - table.first) / u64::from(BITS);
        let column = words.iter().skip(index as usize).step_by(table.row_words() as usize);
        Ok(column.map(move |word| {
            usage::user(word, bit).map_err(|found| self.corrupt("user", entry, found))
        }))
    }

    /// Frees an object unless somebody uses it. With the lock.
    pub(super) fn free_unused<J: Judge>(
        self,
        entry: u32,
        state: State,
        judge: &J,
    ) -> Result<bool, Reason> {
        usage::free(self.state_word(entry)?, state, || {
            self.user(entry, judge).map(|user| user.is_some())
        })
    }

    /// Runs `sweep` while none of the first so many entries, which it is told, is freed: we have a place, and no name yet by
    /// which to mark what we use.
    pub(super) fn sweeping(
        self,
        spent: &Spent,
        sweep: impl FnOnce(u32) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        let mut words = Vec::new();
        let mut entries = 0;
        for number in 0.. {
            let table = Table::numbered(number, self.entries);
            let Some(at) = self.table_at(table)? else { break };
            let at = Offset::new(at + table.row_at(spent.place())).map_err(Reason::Place)?;
            let row = self.region().slice(at, table.row_words() as usize).map_err(Reason::Place)?;
            words.extend::<&[AtomicU64]>(row);
            entries = table.first + table.entries;
        }
        for word in &words {
            // Relaxed: the fence orders it.
            word.store(SWEEPING, Relaxed);
        }
        usage::dekker();
        sweep(u32::try_from(entries).unwrap_or(u32::MAX))?;
        for word in words {
            // Release: pairs with the Acquire of who frees what was swept, in `user`.
            word.store(0, Release);
        }
        Ok(())
    }

    pub(super) fn state_word(self, entry: u32) -> Result<&'a AtomicU64, Reason> {
        let at = self.entry_at(entry)?.ok_or_else(|| self.corrupt("table", entry, 0))?;
        Offset::new(at).and_then(|at| self.region().get(at)).map_err(Reason::Place)
    }

    fn use_word(self, place: u32, entry: u32) -> Result<(&'a AtomicU64, u32), Reason> {
        let table = Table::of(entry, self.entries);
        let at = self.table_at(table)?.ok_or_else(|| self.corrupt("table", entry, 0))?;
        let index = (u64::from(entry) - table.first) as u32;
        let at = at + table.row_at(place) + u64::from(index / BITS) * 8;
        let word = Offset::new(at).and_then(|at| self.region().get(at)).map_err(Reason::Place)?;
        Ok((word, index % BITS))
    }
}

//! A directory seen from outside, by copies of its bytes: for who only looks at a segment, and does not map it.

use shmkit_atomic::Ordering::Acquire;
use shmkit_atomic::{AtomicU64, fence};
use shmkit_roster::OwnerId;

use super::entry::{ENTRY, Record};
use super::error::Reason;
use super::table::{HEAD, Table, USED};
use super::{Directory, Entry, ObjectError};
use crate::index::State;
use crate::usage::{self, BITS, User};

/// How many entries are copied at once: as many as a word of their users has bits for.
const AT_ONCE: u64 = BITS as u64;
/// How often an entry is copied that becomes another one's all the time.
const TRIES: u32 = 8;

impl Directory<'_> {
    /// Lists the objects of a segment that may have `len` bytes, in which the directory is at byte `at`, and its first
    /// table has room for `entries` objects, beside a roster of so many places. `copy` copies bytes of the segment,
    /// which begin at the byte that it is told, to where it is told.
    ///
    /// What is made or removed meanwhile may be in the list or not. Users are all who say so, the dead included.
    ///
    /// # Errors
    ///
    /// Those of `copy`; inside, [`Corrupt`](super::ObjectErrorKind::Corrupt) as [`entries`](Self::entries), or if the
    /// directory is not in the segment.
    pub fn list_from<E>(
        at: u64,
        (entries, places): (u32, u32),
        len: u64,
        copy: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Result<Vec<Entry>, ObjectError>, E> {
        let start = at.saturating_add(Self::bytes(entries, places));
        let mut outside = Outside { at, entries, places, start, len, copy, found: Vec::new() };
        match outside.list() {
            Ok(()) => {
                outside.found.sort_unstable_by_key(|entry| entry.generation);
                Ok(Ok(outside.found))
            }
            Err(Stopped::Wrong(reason)) => Ok(Err(reason.of_directory())),
            Err(Stopped::Failed(error)) => Err(error),
        }
    }
}

struct Outside<C> {
    at: u64,
    entries: u32,
    places: u32,
    /// Where the objects begin.
    start: u64,
    len: u64,
    copy: C,
    found: Vec<Entry>,
}

/// Why a list ends before its end.
enum Stopped<E> {
    Wrong(Box<Reason>),
    Failed(E),
}

impl<E> From<Reason> for Stopped<E> {
    fn from(reason: Reason) -> Self {
        Self::Wrong(reason.into())
    }
}

impl<E, C: FnMut(u64, &mut [u8]) -> Result<(), E>> Outside<C> {
    fn list(&mut self) -> Result<(), Stopped<E>> {
        if self.start > self.len {
            let found = self.at;
            return Err(Reason::Corrupt { field: "directory", index: 0, found }.into());
        }
        let mut used = [0; 4];
        self.copy(self.at + USED, &mut used)?;
        let used = u64::from(u32::from_ne_bytes(used));
        for number in 0.. {
            let table = Table::numbered(number, self.entries);
            if table.first >= used {
                break;
            }
            let Some(at) = self.table_at(table)? else { break };
            // At most what lies in the segment (`check`).
            let mut users = vec![0; (table.row_at(self.places) - table.row_at(0)) as usize];
            self.copy(at + table.row_at(0), &mut users)?;
            let count = table.entries.min(used - table.first);
            for done in (0..count).step_by(AT_ONCE as usize) {
                self.some(table, (at, &users), done, AT_ONCE.min(count - done))?;
            }
        }
        Ok(())
    }

    fn copy(&mut self, at: u64, bytes: &mut [u8]) -> Result<(), Stopped<E>> {
        (self.copy)(at, bytes).map_err(Stopped::Failed)
    }

    fn table_at(&mut self, table: Table) -> Result<Option<u64>, Stopped<E>> {
        if table.number == 0 {
            return Ok(Some(self.at + HEAD));
        }
        let Some(word) = table.word() else { return Ok(None) };
        let mut bytes = [0; 8];
        self.copy(self.at + word, &mut bytes)?;
        match u64::from_ne_bytes(bytes) {
            0 => Ok(None),
            at => Ok(table.check(at, self.places, self.start, self.len).map(|()| Some(at))?),
        }
    }

    /// Lists those of `count` entries of a table at byte `at`, from its entry `done` on, that have an object.
    fn some(
        &mut self,
        table: Table,
        (at, users): (u64, &[u8]),
        done: u64,
        count: u64,
    ) -> Result<(), Stopped<E>> {
        let mut bytes = vec![0; (count * ENTRY) as usize];
        self.copy(at + done * ENTRY, &mut bytes)?;
        // Of each place the word of these entries.
        let rows = users.chunks_exact((table.row_words() * 8) as usize);
        let words = rows.map(|row| AtomicU64::new(word(&row[(done / AT_ONCE * 8) as usize..])));
        let users: Vec<_> = words.collect();
        for (n, bytes) in (0..).zip(bytes.chunks_exact_mut(ENTRY as usize)) {
            let index = (table.first + done) as u32 + n;
            let at = at + (done + u64::from(n)) * ENTRY;
            let Some(entry) = self.one(index, at, bytes)? else { continue };
            let said = |word| usage::user(word, n).map_err(|found| (index, found));
            let said = users.iter().map(said).collect::<Result<Vec<_>, _>>();
            let said = said.map_err(|(index, found)| {
                Stopped::from(Reason::Corrupt { field: "user", index, found })
            })?;
            let named = said.into_iter().flatten().filter_map(|user| match user {
                User::Named(owner) if owner != OwnerId::GONE => Some(owner),
                _ => None,
            });
            self.found.push(Entry { users: named.collect(), ..entry });
        }
        Ok(())
    }

    /// Returns an entry of which the bytes were copied a moment ago, if it has an object.
    fn one(&mut self, index: u32, at: u64, bytes: &mut [u8]) -> Result<Option<Entry>, Stopped<E>> {
        for _ in 0..TRIES {
            let Some(state) = state(index, bytes)? else { return Ok(None) };
            // It may have been published in the middle of the copy: what this one shows as there is whole in the next one.
            // Acquire: pairs with the Release in `index::publish`.
            fence(Acquire);
            self.copy(at, bytes)?;
            let entry = self.read(index, state, bytes);
            // Acquire: pairs with the Release fence in `index::free`: what was read is of one object, if it is that still.
            fence(Acquire);
            let mut now = [0; ENTRY as usize];
            self.copy(at, &mut now)?;
            let same = State::of(word(&now)).is_some_and(|now| {
                now.generation() == state.generation() && now.phase() != State::FREE
            });
            if same {
                return entry.map(Some);
            }
            bytes.copy_from_slice(&now);
        }
        Ok(None)
    }

    fn read(&mut self, index: u32, state: State, bytes: &[u8]) -> Result<Entry, Stopped<E>> {
        let bytes =
            bytes.first_chunk().ok_or(Reason::Corrupt { field: "size", index, found: 0 })?;
        let (_, record, creator) = Record::parts(bytes);
        record.check(index, self.start, self.len)?;
        let (at, len) = record.rest();
        let mut rest = vec![0; len as usize];
        self.copy(at, &mut rest)?;
        Ok(record.entry(index, state, creator, &rest)?)
    }
}

/// Returns what the bytes of an entry say, if it has an object.
fn state(index: u32, bytes: &[u8]) -> Result<Option<State>, Reason> {
    let found = word(bytes);
    match State::of(found).map(State::settled) {
        Some(state) if state.phase() == State::FREE => Ok(None),
        Some(state) => Ok(Some(state)),
        None => Err(Reason::Corrupt { field: "state", index, found }),
    }
}

fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |word| u64::from_ne_bytes(*word))
}

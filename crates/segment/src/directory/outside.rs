//! A directory seen from outside, by copies of its bytes: for who only looks at a segment, and does not map it.

use shmkit_atomic::Ordering::Acquire;
use shmkit_atomic::fence;

use super::entry::{ENTRY, Record};
use super::error::Reason;
use super::table::{HEAD, Table};
use super::{Directory, Entry, ObjectError};
use crate::index::PUBLISHED;

/// How many entries are copied at once.
const AT_ONCE: u64 = 64;

impl Directory<'_> {
    /// Lists the objects of a segment of `len` bytes, in which the directory is at byte `at`, and its first table has room
    /// for `entries` objects. `copy` copies bytes of the segment, which begin at the byte that it is told, to where it is
    /// told.
    ///
    /// What is made meanwhile may be in the list or not.
    ///
    /// # Errors
    ///
    /// Those of `copy`; inside, [`Corrupt`](super::ObjectErrorKind::Corrupt) as [`entries`](Self::entries), or if the
    /// directory is not in the segment.
    pub fn list_from<E>(
        at: u64,
        entries: u32,
        len: u64,
        copy: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Result<Vec<Entry>, ObjectError>, E> {
        let start = at.saturating_add(Self::bytes(entries));
        let mut outside = Outside { at, entries, start, len, copy, found: Vec::new() };
        match outside.list() {
            Ok(()) => Ok(Ok(outside.found)),
            Err(Stopped::Wrong(reason)) => Ok(Err(reason.of_directory())),
            Err(Stopped::Failed(error)) => Err(error),
        }
    }
}

struct Outside<C> {
    at: u64,
    entries: u32,
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
        let mut end = self.start;
        for number in 0.. {
            let table = Table::numbered(number, self.entries);
            let Some(at) = self.table_at(table)? else { break };
            let mut done = 0;
            while done < table.entries {
                let count = AT_ONCE.min(table.entries - done);
                if !self.some(at + done * ENTRY, count, &mut end)? {
                    return Ok(());
                }
                done += count;
            }
        }
        Ok(())
    }

    fn table_at(&mut self, table: Table) -> Result<Option<u64>, Stopped<E>> {
        if table.number == 0 {
            return Ok(Some(self.at + HEAD));
        }
        let Some(word) = table.word() else { return Ok(None) };
        let mut bytes = [0; 8];
        (self.copy)(self.at + word, &mut bytes).map_err(Stopped::Failed)?;
        match u64::from_ne_bytes(bytes) {
            0 => Ok(None),
            at => Ok(table.check(at, self.start, self.len).map(|()| Some(at))?),
        }
    }

    /// Lists those of `count` entries at byte `at` that are published; returns whether all are. `end` is one past the last
    /// object before them.
    fn some(&mut self, at: u64, count: u64, end: &mut u64) -> Result<bool, Stopped<E>> {
        let mut bytes = vec![0; (count * ENTRY) as usize];
        (self.copy)(at, &mut bytes).map_err(Stopped::Failed)?;
        // Some may have been published in the middle of the copy. Those that this one shows as published are whole in the
        // next one. Acquire: pairs with the Release in `publish`.
        fence(Acquire);
        let published = |bytes: &[u8]| bytes.first_chunk().and_then(Record::published);
        let whole =
            bytes.chunks_exact(ENTRY as usize).take_while(|&bytes| published(bytes).is_some());
        let whole = whole.count() * ENTRY as usize;
        (self.copy)(at, &mut bytes[..whole]).map_err(Stopped::Failed)?;
        for bytes in bytes[..whole].chunks_exact(ENTRY as usize) {
            let index = self.found.len() as u32;
            let Some((PUBLISHED, record, creator)) = published(bytes) else {
                let found = bytes.first().copied().unwrap_or_default().into();
                return Err(Reason::Corrupt { field: "state", index, found }.into());
            };
            record.check(index, *end, self.len)?;
            let (at, len) = record.rest();
            let mut rest = vec![0; len as usize];
            (self.copy)(at, &mut rest).map_err(Stopped::Failed)?;
            self.found.push(record.entry(index, creator, &rest)?);
            *end = record.end();
        }
        Ok(whole == bytes.len())
    }
}

//! Looking into a map without a lock.

use shmkit_atomic::AtomicU64;
use shmkit_atomic::Ordering::{Acquire, Relaxed};
use shmkit_heap::{BlockId, Changes};
use shmkit_layout::{Offset, Region};
use shmkit_roster::Judge;

use super::ShmMap;
use super::frame::EntryHead;
use crate::Item;

const HEAD: u64 = size_of::<EntryHead>() as u64;
/// After so many entries of one bucket, the lock is taken: there are seldom more than three.
const ENTRIES: u32 = 64;

/// A value, as it lay there a moment ago, in a part whose lock is not held.
pub(super) struct Glance<'m> {
    block: Region<'m>,
    /// Where the value begins, in bytes of the block: within it, as its end.
    start: u64,
    pub(super) len: usize,
    since: Since<'m>,
}

/// A moment in which nobody changed a part.
#[derive(Clone, Copy)]
struct Since<'m> {
    changes: &'m Changes,
    seen: u64,
}

impl Since<'_> {
    /// Returns whether all that was seen from then on was the part's.
    fn is_now(self) -> bool {
        self.changes.is_still(self.seen)
    }
}

impl<Q: Item + ?Sized, V: Item + ?Sized, K: Judge> ShmMap<Q, V, K> {
    /// Looks for the value of a key without the lock of its part. `None` if that says nothing, and the lock is to be taken:
    /// somebody is changing the part or has just done so, or what is found there is none of a map.
    #[inline]
    pub(super) fn glance(&self, hash: u64, key: &[u8]) -> Option<Option<Glance<'_>>> {
        // Where entries make room, it is noted who asks for one: in its block, which must stay for that.
        if self.frame.evicts() {
            return None;
        }
        self.heap.keeper().me()?; // Whoever is not joined is told so by the lock.
        let bucket = self.bucket(hash) as usize;
        let changes = &self.shards[self.shard(hash)].changes;
        let since = Since { changes, seen: changes.seen()? };
        let mut link: &AtomicU64 = &self.buckets[bucket];
        for _ in 0..ENTRIES {
            // Acquire: pairs with the Release of who has linked the entry: it is filled.
            let id = BlockId::from_number(link.load(Acquire));
            if id.is_none() {
                return since.is_now().then_some(None);
            }
            // SAFETY: read below by atomic accesses, in words of eight bytes beside the head's own words; and thrown away unless `since` is now.
            let block = unsafe { self.heap.glance(id) }?;
            let head: &EntryHead = block.get(Offset::ZERO).ok()?;
            // Relaxed, all: ordered by the link, if the entry is the one that it led to.
            if head.hash.load(Relaxed) == hash && is_key(block, head, key)? {
                let start = HEAD + (key.len() as u64).next_multiple_of(8);
                let len = head.value.load(Relaxed) as usize;
                return Some(Some(Glance { block, start, len, since }));
            }
            link = &head.next;
        }
        None
    }
}

/// Returns whether the entry has this key; `None` if it has one that its block has no room for.
#[inline]
fn is_key(block: Region<'_>, head: &EntryHead, key: &[u8]) -> Option<bool> {
    if head.key.load(Relaxed) as usize != key.len() {
        return Some(false);
    }
    let words: &[AtomicU64] = block.slice(Offset::new(HEAD).ok()?, key.len().div_ceil(8)).ok()?;
    let (whole, rest) = key.as_chunks();
    let last = |word: &AtomicU64| word.load(Relaxed).to_ne_bytes()[..rest.len()] == *rest;
    Some(
        whole.iter().zip(words).all(|(key, word)| word.load(Relaxed).to_ne_bytes() == *key)
            && (rest.is_empty() || words.last().is_some_and(last)),
    )
}

impl Glance<'_> {
    /// Copies the value, and returns whether it was the key's until then.
    #[inline]
    pub(super) fn copy_to(&self, to: &mut [u8]) -> bool {
        self.block.read_words(self.start, to).is_ok() && self.since.is_now()
    }

    /// Returns whether it is the key's until now.
    pub(super) fn is_now(&self) -> bool {
        self.since.is_now()
    }

    /// Returns whether a value so long can lie there at all.
    #[inline]
    pub(super) fn fits(&self) -> bool {
        self.start.saturating_add(self.len as u64) <= self.block.len() as u64
    }
}

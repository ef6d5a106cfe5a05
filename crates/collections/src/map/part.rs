//! A part of a map whose lock is held.

use core::marker::PhantomData;

use shmkit_atomic::AtomicU64;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_heap::{Block, BlockId, Heap};
use shmkit_layout::{Offset, Region};
use shmkit_roster::{Judge, OwnerId};
use shmkit_sync::{Outcome, Patience};

use super::entry::Entry;
use super::frame::Shard;
use crate::MapError;

/// Of how many entries the one is taken out that nobody has asked for for the longest time.
const SAMPLE: u64 = 32;

/// What all parts of a map have in common.
pub(super) struct Whole<'m, K: Judge> {
    /// The map's bytes.
    pub(super) region: Region<'m>,
    pub(super) heap: &'m Heap<K>,
    /// All buckets of the part.
    pub(super) buckets: &'m [AtomicU64],
    /// The number of the first of them.
    pub(super) first: u64,
}

/// A part whose lock is held. Dropping it releases the lock; in a forked child, which does not hold it, it does nothing.
pub(super) struct Part<'m, K: Judge> {
    whole: Whole<'m, K>,
    shard: &'m Shard,
    /// Who took it.
    id: OwnerId,
    _not_send: PhantomData<*const ()>,
}

/// Where an entry is, or would be.
pub(super) struct Spot<'m> {
    /// The word that leads to it: 0 where it would be.
    link: &'m AtomicU64,
    pub(super) entry: Option<Entry<'m>>,
}

impl<'m, K: Judge> Part<'m, K> {
    /// Takes the part's lock, and puts right what a dead owner has left.
    #[inline]
    pub(super) fn take(
        whole: Whole<'m, K>,
        shard: &'m Shard,
        patience: Patience<'_>,
    ) -> Result<Self, MapError> {
        let keeper = whole.heap.keeper();
        let id = keeper.me().ok_or(shmkit_sync::LockFailure::NotJoined)?;
        // SAFETY: the keeper has just said so.
        let outcome = unsafe { shard.mutex.lock_as(id, keeper, Some(patience)) }?;
        let part = Self { whole, shard, id, _not_send: PhantomData };
        if outcome != Outcome::Clean {
            part.recover()?;
            // Refused only to who does not hold it, and we have just taken it.
            let _ = shard.mutex.make_consistent(part.whole.heap.keeper());
        }
        Ok(part)
    }

    fn recover(&self) -> Result<(), MapError> {
        let region = self.whole.region;
        self.whole.heap.recover(&self.shard.swap, |at| region.get(Offset::new(at).ok()?).ok())?;
        let mut len = 0;
        self.each(|_, _| len += 1)?;
        self.shard.len.store(len, Relaxed); // Relaxed: changed under the lock, as below.
        self.shard.changes.end();
        Ok(())
    }

    /// Looks for the entry of a key in its bucket.
    #[inline]
    pub(super) fn find(&self, bucket: u64, hash: u64, key: &[u8]) -> Result<Spot<'m>, MapError> {
        let mut link = self.bucket(bucket)?;
        for _ in 0..self.limit() {
            let Some(entry) = self.entry(link, bucket)? else {
                return Ok(Spot { link, entry: None });
            };
            // Relaxed: it does not change.
            if entry.head.hash.load(Relaxed) == hash && entry.key() == key {
                return Ok(Spot { link, entry: Some(entry) });
            }
            link = &entry.head.next;
        }
        Err(MapError::Corrupt { bucket })
    }

    /// Puts a filled block where the spot is, in place of the entry that may be there.
    #[inline]
    pub(super) fn put(&self, spot: &Spot<'m>, mut block: Block<'_, K>) -> Result<(), MapError> {
        let next = spot.entry.map_or(BlockId::NONE, |entry| entry.next());
        Entry::link(block.region(), next, self.now())?;
        let Whole { heap, .. } = self.whole;
        self.shard.changes.begin();
        let put = heap.replace(&self.shard.swap, self.offset(spot.link), spot.link, Some(block));
        self.shard.changes.end();
        put?;
        if spot.entry.is_none() {
            self.shard.len.fetch_add(1, Relaxed);
        }
        Ok(())
    }

    /// Takes the entry that the spot has out.
    pub(super) fn remove(&self, spot: &Spot<'m>) -> Result<(), MapError> {
        let Some(entry) = spot.entry else { return Ok(()) };
        let Whole { heap, .. } = self.whole;
        self.shard.changes.begin();
        let link = spot.link;
        let out = heap.unlink(&self.shard.swap, self.offset(link), link, entry.next());
        self.shard.changes.end();
        out?;
        self.shard.len.fetch_sub(1, Relaxed);
        Ok(())
    }

    /// Calls `look` with each entry and the number of its bucket.
    pub(super) fn each(&self, mut look: impl FnMut(u64, Entry<'m>)) -> Result<(), MapError> {
        self.keep(|bucket, entry| {
            look(bucket, entry);
            true
        })
    }

    /// Takes out the entries of which `stays` says no.
    pub(super) fn keep(
        &self,
        mut stays: impl FnMut(u64, Entry<'m>) -> bool,
    ) -> Result<(), MapError> {
        let mut left = self.limit();
        for (i, first) in self.whole.buckets.iter().enumerate() {
            let bucket = self.whole.first + i as u64;
            let mut link = first;
            while let Some(entry) = self.entry(link, bucket)? {
                left = left.checked_sub(1).ok_or(MapError::Corrupt { bucket })?;
                if stays(bucket, entry) {
                    link = &entry.head.next;
                } else {
                    self.remove(&Spot { link, entry: Some(entry) })?;
                }
            }
        }
        Ok(())
    }

    /// Takes out an entry whose block is of `len` bytes, and returns whether there was one: the one that nobody has asked for
    /// for the longest time, of some that the hand comes by, as Redis chooses.
    pub(super) fn evict(&self, len: u64) -> Result<bool, MapError> {
        let buckets = self.whole.buckets.len() as u64;
        // Relaxed, all: under the part's lock.
        let (now, mut hand) = (self.now(), self.shard.hand.load(Relaxed) % buckets);
        let (mut seen, mut oldest): (_, Option<(u32, Spot<'m>)>) = (0, None);
        let mut left = self.limit();
        for _ in 0..buckets {
            let bucket = self.whole.first + hand;
            let mut link = &self.whole.buckets[hand as usize];
            while let Some(entry) = self.entry(link, bucket)? {
                left = left.checked_sub(1).ok_or(MapError::Corrupt { bucket })?;
                let id = BlockId::from_number(link.load(Relaxed));
                if self.whole.heap.len_of(id).is_ok_and(|found| found == len) {
                    seen += 1;
                    let age = now.wrapping_sub(entry.head.asked.load(Relaxed));
                    if oldest.as_ref().is_none_or(|(most, _)| age > *most) {
                        oldest = Some((age, Spot { link, entry: Some(entry) }));
                    }
                }
                link = &entry.head.next;
            }
            hand = (hand + 1) % buckets;
            if seen >= SAMPLE {
                break;
            }
        }
        self.shard.hand.store(hand, Relaxed);
        let Some((_, spot)) = oldest else { return Ok(false) };
        self.remove(&spot)?;
        Ok(true)
    }

    /// Remembers that an entry was asked for.
    pub(super) fn ask_for(&self, entry: &Entry<'_>) {
        entry.head.asked.store(self.now(), Relaxed);
    }

    /// The part's clock, which goes on each time that it is looked at.
    #[inline]
    fn now(&self) -> u32 {
        let now = self.shard.clock.load(Relaxed).wrapping_add(1);
        self.shard.clock.store(now, Relaxed);
        now
    }

    #[inline]
    pub(super) fn bucket(&self, bucket: u64) -> Result<&'m AtomicU64, MapError> {
        let at = bucket.wrapping_sub(self.whole.first) as usize;
        self.whole.buckets.get(at).ok_or(MapError::Corrupt { bucket })
    }

    /// Returns the entry that a word leads to.
    #[inline]
    fn entry(&self, link: &AtomicU64, bucket: u64) -> Result<Option<Entry<'m>>, MapError> {
        // Relaxed: changed under the part's lock.
        let id = BlockId::from_number(link.load(Relaxed));
        if id.is_none() {
            return Ok(None);
        }
        let corrupt = MapError::Corrupt { bucket };
        // SAFETY: freed under this part's lock only, and used no longer than that is held.
        let block = unsafe { self.whole.heap.linked_bytes(id) }.map_err(|_| corrupt)?;
        // SAFETY: an entry that is linked does not change but for its link, and is freed as said.
        unsafe { Entry::find(block) }.ok_or(corrupt).map(Some)
    }

    /// Returns where a word lies, in bytes of the map.
    #[inline]
    fn offset(&self, link: &AtomicU64) -> u64 {
        let at = core::ptr::from_ref(link).addr();
        (at - self.whole.region.base().as_ptr().addr()) as u64
    }

    /// More entries than there can be.
    #[inline]
    fn limit(&self) -> u64 {
        self.whole.heap.size() / 32
    }
}

impl<K: Judge> Drop for Part<'_, K> {
    fn drop(&mut self) {
        if self.whole.heap.keeper().me() == Some(self.id) {
            // SAFETY: `take` took it as `id`, which we still are, once, and what it guards is borrowed only through `self`,
            // which ends.
            // Refused only if the word is not ours, and then there is nothing to release.
            let _ = unsafe { self.shard.mutex.unlock_as(self.id) };
        }
    }
}

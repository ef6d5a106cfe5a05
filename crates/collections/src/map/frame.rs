//! The words of a map.

use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::{AtomicU32, AtomicU64};
use shmkit_heap::{Changes, Swap};
use shmkit_layout::Shared;
use shmkit_sync::RawMutex;

/// The head of a map. Stored once, by who makes the map.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct MapFrame {
    /// There are `1 << this` buckets.
    bits: AtomicU32,
    /// Not 0: what nobody has asked for lately makes room.
    evicting: AtomicU32,
    /// What hashes begin with, so that nobody outside knows which keys share a bucket.
    seed: AtomicU64,
}

// SAFETY: `repr(C)`, atomic numbers.
unsafe impl Shared for MapFrame {}

impl MapFrame {
    pub(super) fn set(&self, bits: u32, evicting: bool, seed: u64) {
        // Relaxed, all: nobody else uses it yet; however it is handed to others orders this.
        self.bits.store(bits, Relaxed);
        self.evicting.store(evicting.into(), Relaxed);
        self.seed.store(seed, Relaxed);
    }

    pub(crate) fn bits(&self) -> u32 {
        self.bits.load(Relaxed) // Relaxed, here and below: it never changes while the map is used.
    }

    #[inline]
    pub(crate) fn evicts(&self) -> bool {
        self.evicting.load(Relaxed) != 0
    }

    #[inline]
    pub(super) fn seed(&self) -> u64 {
        self.seed.load(Relaxed)
    }
}

/// What guards a part of the buckets. All zero bytes are a fresh one.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct Shard {
    pub(super) mutex: RawMutex,
    pub(super) swap: Swap,
    /// How many entries there are. After a death, whoever inherits the lock counts them.
    pub(super) len: AtomicU64,
    /// What was put in and taken out, for who looks without the lock.
    pub(super) changes: Changes,
    /// The bucket where the next search for something to evict begins.
    pub(super) hand: AtomicU64,
    /// How many times an entry was put in or asked for.
    pub(super) clock: AtomicU32,
}

// SAFETY: `repr(C)`, made of `Shared` types.
unsafe impl Shared for Shard {}

impl Shard {
    /// How many entries there are, to who does not hold the lock.
    pub(crate) fn len(&self) -> u64 {
        self.len.load(Relaxed) // Relaxed: a number for people.
    }
}

const _: () = assert!(size_of::<Shard>() == 128, "part of the segment format");

/// What an entry begins with; the key follows, and then the value, from the next multiple of 8 on.
///
/// Its key and value never change while it is linked: a new value is a new entry.
#[derive(Debug)]
#[repr(C)]
pub(super) struct EntryHead {
    /// The next entry of the bucket.
    pub(super) next: AtomicU64,
    pub(super) hash: AtomicU64,
    /// In bytes, as the next.
    pub(super) key: AtomicU32,
    pub(super) value: AtomicU32,
    /// When somebody asked for it last, by the part's clock. Only in a map that evicts.
    pub(super) asked: AtomicU32,
    pad: AtomicU32,
}

// SAFETY: `repr(C)`, atomic numbers.
unsafe impl Shared for EntryHead {}

impl EntryHead {
    /// Begins one that is not linked yet.
    #[inline]
    pub(super) fn set(&self, hash: u64, key: u32, value: u32) {
        // Relaxed, all: ordered by the store that leads to it.
        self.next.store(0, Relaxed);
        self.hash.store(hash, Relaxed);
        self.key.store(key, Relaxed);
        self.value.store(value, Relaxed);
        self.asked.store(0, Relaxed);
    }
}

const _: () = assert!(size_of::<EntryHead>() == 32, "part of the segment format");

//! What a process remembers of a heap.

use core::fmt;

use shmkit_atomic::Ordering::{Relaxed, SeqCst};
use shmkit_atomic::{AtomicBool, AtomicU64, barrier, fence};
use shmkit_roster::OwnerId;

use crate::class::{CLASSES, Class, Slab};
use crate::thread;
use crate::word::Tenant;

/// How many threads take blocks without getting in each other's way.
const STRIPES: usize = if cfg!(loom) { 2 } else { 16 }; // A model's stacks are small.

/// What a process remembers of a heap: how its slabs are laid out, which seat it has, and where its threads found their
/// last blocks. All of it is for one heap, and can be found anew.
pub struct Local {
    slabs: [Slab; CLASSES],
    /// Bits 61 .. 32 owner id | 31 .. 18 seat | 17 .. 0 tenure; 0 for none yet.
    tenant: AtomicU64,
    /// Whether the kernel puts this process's fences in where somebody else needs them.
    light: AtomicBool,
    stripes: [Stripe; STRIPES],
}

/// Where to look next, for each class. Threads of one stripe share cache lines with nobody else.
#[repr(align(128))]
struct Stripe([Rotor; CLASSES]);

/// Two places where there may be a block, each a slab and one of its blocks: page << 16 | slot, or all ones for none yet.
pub(crate) struct Rotor {
    /// Where the last search has ended.
    next: AtomicU64,
    /// What was freed last, and is in this processor's cache.
    freed: AtomicU64,
}

/// No place.
const NOWHERE: u64 = u64::MAX;

impl Local {
    /// Of a heap with pages of `1 << shift` bytes.
    pub fn new(shift: u32) -> Self {
        let slab = |n| Slab::new(Class::new(n as u8).expect("below CLASSES"), shift);
        Self {
            slabs: core::array::from_fn(slab),
            tenant: AtomicU64::new(0),
            light: AtomicBool::new(false),
            stripes: core::array::from_fn(|_| Stripe(core::array::from_fn(|_| Rotor::new()))),
        }
    }

    #[inline]
    pub(crate) fn slab(&self, class: Class) -> &Slab {
        &self.slabs[class.number()]
    }

    /// Returns where the calling thread found its last block of this class.
    #[inline]
    pub(crate) fn rotor(&self, class: Class) -> &Rotor {
        &self.stripes[Self::stripe()].0[class.number()]
    }

    /// Returns which of the stripes the calling thread has.
    #[inline]
    fn stripe() -> usize {
        thread::number().unwrap_or(0) as usize % STRIPES
    }

    /// Returns the seat that `me` has, if that was told.
    #[inline]
    pub(crate) fn tenant(&self, me: OwnerId) -> Option<Tenant> {
        // Relaxed: one word, which says for whom it is.
        let word = self.tenant.load(Relaxed);
        let seat = (word >> 18) as u32 & ((1 << 14) - 1);
        let tenure = word as u32 & Tenant::TENURE;
        (word >> 32 == u64::from(me.get())).then_some(Tenant { seat, tenure })
    }

    /// Between the store that guards a slab and the look at it: who gives back the slabs' pages has the other half.
    #[inline]
    pub(crate) fn fence(&self) {
        // Relaxed: true once in a process is true for ever there, and a fence too many does no harm.
        if self.light.load(Relaxed) {
            barrier::light();
        } else {
            fence(SeqCst); // SeqCst: pairs with the one in `retire`: as in Dekker's lock one of the two sees the other.
        }
    }

    /// `me` has this seat; `light` as [`barrier::register`] answered.
    pub(crate) fn settle(&self, me: OwnerId, tenant: Tenant, light: bool) {
        self.light.store(light, Relaxed);
        let Tenant { seat, tenure } = tenant;
        let word = u64::from(me.get()) << 32 | u64::from(seat) << 18 | u64::from(tenure);
        self.tenant.store(word, Relaxed);
    }
}

impl Rotor {
    fn new() -> Self {
        Self { next: AtomicU64::new(NOWHERE), freed: AtomicU64::new(NOWHERE) }
    }

    /// Returns the slab's page, and the block to look at first.
    #[inline]
    pub(crate) fn get(&self) -> Option<(u64, u32)> {
        place(self.next.load(Relaxed)) // Relaxed, all: hints of this process's own threads, and one word each.
    }

    #[inline]
    pub(crate) fn set(&self, page: u64, slot: u32) {
        self.next.store(word(page, slot), Relaxed);
    }

    /// Returns the block that was freed last, for once.
    #[inline]
    pub(crate) fn take_freed(&self) -> Option<(u64, u32)> {
        let found = place(self.freed.load(Relaxed))?;
        self.freed.store(NOWHERE, Relaxed);
        Some(found)
    }

    /// This block was freed. The one before it is where the search goes on, if it lies in the same slab and before that.
    #[inline]
    pub(crate) fn set_freed(&self, page: u64, slot: u32) {
        let before = self.freed.load(Relaxed);
        self.freed.store(word(page, slot), Relaxed);
        let next = self.next.load(Relaxed);
        if before >> 16 == next >> 16 && before < next {
            self.next.store(before, Relaxed);
        }
    }
}

fn word(page: u64, slot: u32) -> u64 {
    page << 16 | u64::from(slot)
}

fn place(word: u64) -> Option<(u64, u32)> {
    (word != NOWHERE).then_some((word >> 16, word as u32 & 0xffff))
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").finish_non_exhaustive()
    }
}

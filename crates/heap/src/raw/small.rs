//! Small blocks, which lie in slabs.

use core::alloc::Layout;

use shmkit_atomic::AtomicU64;
use shmkit_atomic::Ordering::{AcqRel, Relaxed};
use shmkit_atomic::crash::step;
use shmkit_roster::Judge;

use crate::class::{Class, Slab};
use crate::local::Rotor;
use crate::raw::{RawHeap, Reserved};
use crate::word::{BlockWord, Span, Tenant};
use crate::{BlockId, HeapError, Local};

impl<'a> RawHeap<'a> {
    /// Reserves a block of this class, where the calling thread found its last one if it can.
    #[inline]
    pub(super) fn reserve_small<J: Judge + ?Sized>(
        &self,
        class: Class,
        layout: Layout,
        tenant: Tenant,
        judge: &J,
        local: &Local,
    ) -> Result<Reserved<'a>, HeapError> {
        let (rotor, slab) = (local.rotor(class), local.slab(class));
        if let Some((page, slot)) = rotor.take_freed() {
            let take = || match self.span(page) {
                Ok(Span::Slab(of)) if of == class => Ok(self.take_at(page, slot, slab, tenant)),
                _ => Ok(None), // Its pages were given back.
            };
            if let Some(block) = self.guarded(page, tenant, judge, local, take)? {
                return Ok(block);
            }
        }
        if let Some((page, slot)) = rotor.get() {
            let take = || match self.span(page) {
                Ok(Span::Slab(of)) if of == class => {
                    Ok(self.take_in(page, slot, slab, tenant, rotor))
                }
                _ => Ok(None), // As above.
            };
            if let Some(id) = self.guarded(page, tenant, judge, local, take)? {
                return Ok(id);
            }
        }
        self.reserve_elsewhere(class, layout, tenant, judge, local)
    }

    /// Reserves this block of the slab at `page`, if it is free.
    #[inline]
    fn take_at(&self, page: u64, slot: u32, slab: &Slab, tenant: Tenant) -> Option<Reserved<'a>> {
        let word = self.parts.area.words(page << self.parts.shift, slab).get(slot as usize)?;
        self.take(page, slot, slab, tenant, word)
    }

    /// Reserves the block of this word, if it is free.
    #[inline]
    fn take(
        &self,
        page: u64,
        slot: u32,
        slab: &Slab,
        tenant: Tenant,
        word: &'a AtomicU64,
    ) -> Option<Reserved<'a>> {
        // Relaxed: the compare-exchange decides.
        let found = BlockWord::from_number(word.load(Relaxed));
        if !found.is_free() {
            return None;
        }
        let reserved = found.reserve(tenant);
        step();
        // AcqRel: Acquire pairs with the Release of who freed it, whose last look at the bytes comes before our first; Release
        // with the Acquire of who looks at our seat because of this word: we have it.
        word.compare_exchange(found.get(), reserved.get(), AcqRel, Relaxed).ok()?;
        Some(self.small(reserved, page, slot, slab, word))
    }

    #[cold]
    fn reserve_elsewhere<J: Judge + ?Sized>(
        &self,
        class: Class,
        layout: Layout,
        tenant: Tenant,
        judge: &J,
        local: &Local,
    ) -> Result<Reserved<'a>, HeapError> {
        if let Some(id) = self.take_hinted(class, tenant, judge, local)? {
            return Ok(id);
        }
        match self.make_slab(class, layout, tenant, judge, local) {
            // What the dead had reserved, and what no hint told of, was gathered by now.
            Err(full @ HeapError::Full { .. }) => {
                self.take_hinted(class, tenant, judge, local)?.ok_or(full)
            }
            made => made,
        }
    }

    /// Reserves a block of the slab at `page`, from `slot` on and then before it.
    #[inline]
    fn take_in(
        &self,
        page: u64,
        slot: u32,
        slab: &Slab,
        tenant: Tenant,
        rotor: &Rotor,
    ) -> Option<Reserved<'a>> {
        let words = self.parts.area.words(page << self.parts.shift, slab);
        let (before, after) = words.split_at_checked(slot as usize)?;
        for (base, words) in [(slot, after), (0, before)] {
            for (i, word) in words.iter().enumerate() {
                let slot = base + i as u32;
                if let Some(block) = self.take(page, slot, slab, tenant, word) {
                    rotor.set(page, slot + 1);
                    return Some(block);
                }
            }
        }
        None
    }

    /// A small block that was just reserved.
    #[inline]
    fn small(
        &self,
        as_reserved: BlockWord,
        page: u64,
        slot: u32,
        slab: &Slab,
        word: &'a AtomicU64,
    ) -> Reserved<'a> {
        let id = BlockId::new(as_reserved.generation(), page, slot);
        let at = (page << self.parts.shift) + slab.at(slot);
        Reserved { id, word, as_reserved, at, len: slab.size.into() }
    }

    /// Reserves a block of a slab that a hint tells of, from where the calling thread found its last one on.
    fn take_hinted<J: Judge + ?Sized>(
        &self,
        class: Class,
        tenant: Tenant,
        judge: &J,
        local: &Local,
    ) -> Result<Option<Reserved<'a>>, HeapError> {
        let (rotor, slab) = (local.rotor(class), local.slab(class));
        let width = self.parts.pages.len().div_ceil(64);
        let first = rotor.get().map_or(0, |(page, _)| (page / 64) as usize).min(width);
        for at in (first..width).chain(0..first) {
            // Relaxed: a hint.
            let mut bits = self.parts.hints[class.number() * width + at].load(Relaxed);
            while bits != 0 {
                let page = at as u64 * 64 + u64::from(bits.trailing_zeros());
                bits &= bits - 1;
                if page >= self.pages() {
                    continue; // Nonsense.
                }
                let take = || {
                    if self.span(page)? != Span::Slab(class) {
                        self.unhint(class, page); // It was one.
                        return Ok(None);
                    }
                    if let Some(id) = self.take_in(page, 0, slab, tenant, rotor) {
                        return Ok(Some(id));
                    }
                    self.unhint(class, page);
                    // Again: who has freed one meanwhile may have found the hint as it was.
                    let id = self.take_in(page, 0, slab, tenant, rotor);
                    if id.is_some() {
                        self.hint(class, page);
                    }
                    Ok(id)
                };
                if let Some(id) = self.guarded(page, tenant, judge, local, take)? {
                    return Ok(Some(id));
                }
            }
        }
        Ok(None)
    }

    /// Makes a slab, and reserves its first block.
    fn make_slab<J: Judge + ?Sized>(
        &self,
        class: Class,
        layout: Layout,
        tenant: Tenant,
        judge: &J,
        local: &Local,
    ) -> Result<Reserved<'a>, HeapError> {
        let slab = local.slab(class);
        self.locked(judge, || {
            let page = self.take_pages(slab.pages.into(), layout, judge)?;
            // Relaxed: changed under the mutex as long as no whole block begins there. No block of whatever was there had a
            // later generation.
            let before = self.parts.pages[page as usize].block.load(Relaxed);
            let free = BlockWord::free(BlockWord::from_number(before).generation());
            // Of one whose blocks are all free the pages might be given back before we have one.
            let first = free.reserve(tenant);
            let words = self.parts.area.words(page << self.parts.shift, slab);
            for (slot, word) in words.iter().enumerate() {
                let state = if slot == 0 { first } else { free };
                step();
                word.store(state.get(), Relaxed); // Relaxed: nobody looks there before `begin`, which publishes it.
            }
            // As many pages as a slab has were found.
            let word = words.first().ok_or(HeapError::Corrupt { page, found: 0 })?;
            self.begin(page, Span::Slab(class));
            self.hint(class, page);
            local.rotor(class).set(page, 1);
            Ok(self.small(first, page, 0, slab, word))
        })
    }

    /// Tells that a slab is worth a look.
    pub(super) fn hint(&self, class: Class, page: u64) {
        let (word, bit) = self.hint_word(class.number(), page);
        // Relaxed: a hint. To read first spares who frees a line that others write to.
        if word.load(Relaxed) & bit == 0 {
            step();
            word.fetch_or(bit, Relaxed);
        }
    }

    pub(super) fn unhint(&self, class: Class, page: u64) {
        let (word, bit) = self.hint_word(class.number(), page);
        step();
        word.fetch_and(!bit, Relaxed); // Relaxed: a hint.
    }
}

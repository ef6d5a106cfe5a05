//! Small blocks, which lie in slabs.

use core::alloc::Layout;

use shmkit_atomic::Ordering::{AcqRel, Relaxed};
use shmkit_atomic::crash::step;
use shmkit_roster::Judge;

use crate::class::{Class, Slab};
use crate::local::Rotor;
use crate::raw::RawHeap;
use crate::word::{BlockWord, Span, Tenant};
use crate::{BlockId, HeapError, Local};

impl RawHeap<'_> {
    /// Reserves a block of this class, where the calling thread found its last one if it can.
    #[inline]
    pub(super) fn reserve_small<J: Judge + ?Sized>(
        &self,
        class: Class,
        layout: Layout,
        tenant: Tenant,
        judge: &J,
        local: &Local,
    ) -> Result<BlockId, HeapError> {
        let (rotor, slab) = (local.rotor(class), local.slab(class));
        if let Some((page, slot)) = rotor.get()
            && let Some(id) = self.take_in(page, slot, slab, tenant, rotor)
        {
            return Ok(id);
        }
        self.reserve_elsewhere(class, layout, tenant, judge, local)
    }

    #[cold]
    fn reserve_elsewhere<J: Judge + ?Sized>(
        &self,
        class: Class,
        layout: Layout,
        tenant: Tenant,
        judge: &J,
        local: &Local,
    ) -> Result<BlockId, HeapError> {
        let (rotor, slab) = (local.rotor(class), local.slab(class));
        let mut here = rotor.get().map_or(0, |(page, _)| page);
        loop {
            if let Some(id) = self.take_hinted(class, here, slab, tenant, rotor)? {
                return Ok(id);
            }
            match self.make_slab(class, slab, layout, judge) {
                // Others may take all of it before we come: they have what they came for, and there are so many pages.
                Ok(page) => {
                    here = page;
                    if let Some(id) = self.take_in(page, 0, slab, tenant, rotor) {
                        return Ok(id);
                    }
                }
                // What the dead had reserved, and what no hint told of, was gathered by now.
                Err(full @ HeapError::Full { .. }) => {
                    return self.take_hinted(class, here, slab, tenant, rotor)?.ok_or(full);
                }
                Err(error) => return Err(error),
            }
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
    ) -> Option<BlockId> {
        let words = self.parts.area.words(page << self.parts.shift, slab);
        let (before, after) = words.split_at_checked(slot as usize)?;
        for (base, words) in [(slot, after), (0, before)] {
            for (i, word) in words.iter().enumerate() {
                // Relaxed: the compare-exchange decides.
                let found = BlockWord::from_number(word.load(Relaxed));
                if !found.is_free() {
                    continue;
                }
                let reserved = found.reserve(tenant);
                step();
                // AcqRel: Acquire pairs with the Release of who freed it, whose last look at the bytes comes before our
                // first; Release with the Acquire of who looks at our seat because of this word: we have it.
                if word.compare_exchange(found.get(), reserved.get(), AcqRel, Relaxed).is_ok() {
                    let slot = base + i as u32;
                    rotor.set(page, slot + 1);
                    return Some(BlockId::new(reserved.generation(), page, slot));
                }
            }
        }
        None
    }

    /// Reserves a block of a slab that a hint tells of, from the one behind `page` on, or for a thread that has none yet
    /// from where few others begin.
    fn take_hinted(
        &self,
        class: Class,
        page: u64,
        slab: &Slab,
        tenant: Tenant,
        rotor: &Rotor,
    ) -> Result<Option<BlockId>, HeapError> {
        let width = self.parts.pages.len().div_ceil(64);
        let first = (page / 64) as usize;
        for at in (first..width).chain(0..first) {
            // Relaxed: a hint.
            let mut bits = self.parts.hints[class.number() * width + at].load(Relaxed);
            while bits != 0 {
                let page = at as u64 * 64 + u64::from(bits.trailing_zeros());
                bits &= bits - 1;
                if page >= self.pages() || self.span(page)? != Span::Slab(class) {
                    continue; // Nonsense, and no more than a hint.
                }
                if let Some(id) = self.take_in(page, 0, slab, tenant, rotor) {
                    return Ok(Some(id));
                }
                self.unhint(class, page);
                // Again: who has freed one meanwhile may have found the hint as it was.
                if let Some(id) = self.take_in(page, 0, slab, tenant, rotor) {
                    self.hint(class, page);
                    return Ok(Some(id));
                }
            }
        }
        Ok(None)
    }

    /// Makes a slab, and returns its page.
    fn make_slab<J: Judge + ?Sized>(
        &self,
        class: Class,
        slab: &Slab,
        layout: Layout,
        judge: &J,
    ) -> Result<u64, HeapError> {
        self.locked(judge, || {
            let page = self.take_pages(slab.pages.into(), layout, judge)?;
            for word in self.parts.area.words(page << self.parts.shift, slab) {
                step();
                word.store(0, Relaxed); // Relaxed: nobody looks there before `begin`, which publishes it.
            }
            self.begin(page, Span::Slab(class));
            self.hint(class, page);
            Ok(page)
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

    fn unhint(&self, class: Class, page: u64) {
        let (word, bit) = self.hint_word(class.number(), page);
        step();
        word.fetch_and(!bit, Relaxed); // Relaxed: a hint.
    }
}

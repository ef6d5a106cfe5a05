//! The machine: blocks that are reserved, kept and freed, and the pages that they lie in.

pub(crate) mod area;
pub(crate) mod changes;
pub(crate) mod frame;
#[cfg(not(loom))]
mod grow;
mod guard;
mod pages;
mod retire;
mod seats;
mod small;
mod survey;

use core::alloc::Layout;

use shmkit_atomic::AtomicU64;
use shmkit_atomic::Ordering::{AcqRel, Acquire, Relaxed};
use shmkit_atomic::crash::step;
#[cfg(not(loom))]
use shmkit_atomic::{prefetch, prefetch_to_write};
use shmkit_roster::Judge;

use crate::class::{CLASSES, Class};
use crate::raw::area::Area;
use crate::raw::frame::{HazardLine, HeapFrame, PageWords, SeatWords};
use crate::word::{BlockWord, PageWord, Span, State};
use crate::{BlockId, HeapError, Local};

/// What a heap is made of.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// Its head.
    pub frame: &'a HeapFrame,
    /// Who uses it.
    pub seats: &'a [SeatWords],
    /// Of each seat as many: which slabs its threads are about to change.
    pub hazards: &'a [HazardLine],
    /// For each class a bit for each page: whether a slab that begins there is worth a look.
    pub hints: &'a [AtomicU64],
    /// What each page is.
    pub pages: &'a [PageWords],
    /// The pages.
    pub area: Area<'a>,
    /// A page is of `1 << shift` bytes.
    pub shift: u32,
}

/// A heap, without a handle.
///
/// Pages come in spans: slabs of small blocks of one size, and blocks of whole pages. A span is taken, and given back, by
/// one store to the word of its first page, so that nothing of it can be half done. The words of its other pages say
/// *free*: whoever goes through the pages goes from one span to the next, and that under the mutex. A slab whose blocks are all free is given back when
/// the heap is full.
///
/// A block has a word, which says whether it is free, reserved, by whom, or kept; it goes from one to the other by a
/// compare-exchange. Where to look first is told by hints, in the heap and in the process: a lost one costs a look at all.
///
/// *If a peer dies* before it has kept a block, the block is free for whoever finds no other; nothing else that a kill
/// leaves has to be put right but hints.
#[derive(Clone, Copy)]
pub struct RawHeap<'a> {
    parts: Parts<'a>,
    /// How many threads of a seat have a hazard of their own.
    lines: u32,
}

/// Where a block is.
#[cfg_attr(loom, expect(dead_code, reason = "for handles, which are not modelled"))]
pub(crate) struct Place<'a> {
    pub(crate) word: &'a AtomicU64,
    /// Its first byte in the area.
    pub(crate) at: u64,
    /// How many there are.
    pub(crate) len: u64,
    pub(crate) page: u64,
    pub(crate) span: Span,
}

/// A block that somebody has reserved: its name, and where it is.
#[cfg_attr(loom, expect(dead_code, reason = "a model has no bytes"))]
#[derive(Debug)]
pub struct Reserved<'a> {
    id: BlockId,
    word: &'a AtomicU64,
    /// What stands in its word.
    as_reserved: BlockWord,
    /// Its first byte in the area.
    pub(crate) at: u64,
    /// How many there are.
    pub(crate) len: u64,
}

impl Reserved<'_> {
    /// Returns its name.
    pub fn id(&self) -> BlockId {
        self.id
    }
}

impl<'a> RawHeap<'a> {
    /// Largest alignment of a block, in bytes: that of the smallest page.
    pub const MAX_ALIGN: usize = 4096;
    /// Most pages of a heap.
    pub const MAX_PAGES: u64 = BlockId::PAGES - 1;

    /// Makes the machine of its parts.
    ///
    /// # Panics
    ///
    /// If they do not belong together.
    pub fn new(parts: Parts<'a>) -> Self {
        let pages = parts.pages.len();
        assert!(pages as u64 <= Self::MAX_PAGES && parts.hints.len() >= Self::hints(pages));
        assert!(!parts.seats.is_empty() && (12..=20).contains(&parts.shift));
        Self { parts, lines: (parts.hazards.len() / parts.seats.len()) as u32 }
    }

    /// Returns how many words of hints a heap of so many pages has.
    pub const fn hints(pages: usize) -> usize {
        CLASSES * pages.div_ceil(64)
    }

    /// Reserves a block for this process.
    ///
    /// # Errors
    ///
    /// [`HeapError`], but never `Stale` or `NotReserved`.
    ///
    /// # If a peer dies
    ///
    /// what it had reserved is free for this, if there is nothing else.
    #[inline]
    pub fn reserve<J: Judge + ?Sized>(
        &self,
        layout: Layout,
        judge: &J,
        local: &Local,
    ) -> Result<Reserved<'a>, HeapError> {
        let tenant = self.tenant(judge, local)?;
        match Class::of(layout) {
            Some(class) => self.reserve_small(class, layout, tenant, judge, local),
            None => self.reserve_whole(layout, tenant, judge),
        }
    }

    /// The block that this process has reserved belongs to a structure from now on: it outlives the process.
    ///
    /// # Errors
    ///
    /// [`HeapError::NotReserved`] if this process has not, or not any more; [`HeapError::Stale`] if it was freed;
    /// [`HeapError::NotJoined`].
    #[inline]
    pub fn keep<J: Judge + ?Sized>(
        &self,
        block: &Reserved<'_>,
        judge: &J,
        local: &Local,
    ) -> Result<(), HeapError> {
        let Reserved { id, word, as_reserved, .. } = *block;
        if as_reserved.state() != State::Reserved(self.tenant(judge, local)?) {
            return Err(HeapError::NotReserved { id });
        }
        let kept = BlockWord::kept(id.generation());
        step();
        // AcqRel: Release pairs with the Acquire in `place`: who finds it kept sees what it was filled with. Unguarded: the
        // slab of a block that is reserved stays.
        match word.compare_exchange(as_reserved.get(), kept.get(), AcqRel, Relaxed) {
            Ok(_) => Ok(()),
            Err(now) if now == kept.get() => Err(HeapError::NotReserved { id }),
            Err(_) => Err(HeapError::Stale { id }),
        }
    }

    /// Frees a block that is kept, or that this process has reserved.
    ///
    /// # Errors
    ///
    /// [`HeapError::Stale`] if it was freed before; [`HeapError::NotReserved`] if somebody else has it reserved.
    #[inline]
    pub fn free<J: Judge + ?Sized>(
        &self,
        id: BlockId,
        judge: &J,
        local: &Local,
    ) -> Result<(), HeapError> {
        let tenant = self.tenant(judge, local)?;
        let free = BlockWord::free(id.generation());
        let mine = |state| state == State::Kept || state == State::Reserved(tenant);
        let turn = || self.turn(id, local, mine, free, HeapError::NotReserved { id });
        let place = self.guarded(id.page(), tenant, judge, local, turn)?;
        self.freed(&place);
        // Where the next one looks first.
        if let Span::Slab(class) = place.span {
            local.rotor(class).set_freed(place.page, id.slot());
        }
        Ok(())
    }

    /// Frees a block, whoever has it reserved. For the heir of a dead one whose journal says that it is to go.
    ///
    /// # Errors
    ///
    /// [`HeapError::Stale`] if it was freed before; [`HeapError::NotJoined`].
    #[cfg(not(loom))]
    pub(crate) fn reclaim<J: Judge + ?Sized>(
        &self,
        id: BlockId,
        judge: &J,
        local: &Local,
    ) -> Result<(), HeapError> {
        let tenant = self.tenant(judge, local)?;
        let free = BlockWord::free(id.generation());
        let turn = || self.turn(id, local, |_| true, free, HeapError::Stale { id });
        let place = self.guarded(id.page(), tenant, judge, local, turn)?;
        self.freed(&place);
        Ok(())
    }

    /// Tells of a place that has just become free.
    #[inline]
    fn freed(&self, place: &Place<'_>) {
        match place.span {
            Span::Slab(class) => self.hint(class, place.page),
            _ => self.end_whole(place.page),
        }
    }

    /// Returns how many bytes a block has that is reserved for this.
    #[cfg(not(loom))]
    pub(crate) fn len_for(&self, layout: Layout, local: &Local) -> Option<u64> {
        match Class::of(layout) {
            Some(class) => Some(local.slab(class).size.into()),
            None => self.pages_of(layout).ok().map(|pages| pages << self.parts.shift),
        }
    }

    /// Returns where the bytes of a block lie, and how many they are: as many as were asked for at least.
    ///
    /// # Errors
    ///
    /// [`HeapError::Stale`].
    #[cfg(not(loom))]
    pub(crate) fn place(&self, id: BlockId, local: &Local) -> Result<Place<'a>, HeapError> {
        let place = self.find(id, local)?;
        // Acquire: pairs with the Release in `turn`: who finds the block kept sees what it was filled with.
        let word = BlockWord::from_number(place.word.load(Acquire));
        if word.is_free() || word.generation() != id.generation() {
            return Err(HeapError::Stale { id });
        }
        Ok(place)
    }

    /// Returns the bytes of a block that somebody says is there, without a look at its own word, which lies in another cache
    /// line, and without changing any.
    #[cfg(not(loom))]
    #[inline]
    pub(crate) fn linked(&self, id: BlockId, local: &Local) -> Option<shmkit_layout::Region<'a>> {
        let (page, slot) = (id.page(), id.slot());
        if page >= self.pages() {
            return None;
        }
        let at = page << self.parts.shift;
        match self.span(page).ok()? {
            // Whoever has a block of a slab that is marked keeps it from leaving.
            Span::Slab(class) | Span::Leaving(class) => {
                let slab = local.slab(class);
                if slot >= slab.slots {
                    return None;
                }
                self.bytes(at + slab.at(slot), slab.size.into())
            }
            Span::Whole(pages) if slot == BlockId::WHOLE => {
                self.bytes(at, pages << self.parts.shift)
            }
            _ => None,
        }
    }

    #[cfg(not(loom))]
    #[inline]
    pub(crate) fn prefetch(&self, id: BlockId, local: &Local) {
        let Some(bytes) = self.linked(id, local) else { return };
        let first = bytes.base().as_ptr();
        prefetch(first);
        prefetch(first.wrapping_add(64));
        if id.slot() != BlockId::WHOLE {
            let at = self.byte(id.page()) + u64::from(id.slot()) * 8;
            if let Some(word) = self.bytes(at, 8) {
                prefetch_to_write(word.base().as_ptr());
            }
        }
    }

    /// Returns so many bytes of the pages, if they lie there.
    #[cfg(not(loom))]
    #[inline]
    pub(crate) fn bytes(&self, at: u64, len: u64) -> Option<shmkit_layout::Region<'a>> {
        self.parts.area.bytes(at, len)
    }

    /// Returns where a page begins, in bytes of the area.
    #[cfg(not(loom))]
    pub(crate) fn byte(&self, page: u64) -> u64 {
        page << self.parts.shift
    }

    /// Returns how many bytes the pages may be.
    #[cfg(not(loom))]
    pub(crate) fn area_len(&self) -> u64 {
        self.pages() << self.parts.shift
    }

    /// Turns a block from one state into another. Guarded: a block that another thread frees at the same time may be the last
    /// one of its slab.
    #[inline]
    fn turn(
        &self,
        id: BlockId,
        local: &Local,
        from: impl Fn(State) -> bool,
        to: BlockWord,
        otherwise: HeapError,
    ) -> Result<Place<'a>, HeapError> {
        let place = self.find(id, local)?;
        // Relaxed: the compare-exchange below decides.
        let found = BlockWord::from_number(place.word.load(Relaxed));
        if found.is_free() || found.generation() != id.generation() {
            return Err(HeapError::Stale { id });
        }
        if !from(found.state()) {
            return Err(otherwise);
        }
        step();
        // AcqRel: Release pairs with the Acquire of who reserves the place next, after a free, so that our last look at the
        // bytes comes before its first, and of who reads the kept block; Acquire with the Release of who kept it.
        match place.word.compare_exchange(found.get(), to.get(), AcqRel, Relaxed) {
            Ok(_) => Ok(place),
            Err(_) => Err(HeapError::Stale { id }),
        }
    }

    /// Finds the word of a block, of whatever generation. Its slab does not leave because of that.
    #[inline]
    fn find(&self, id: BlockId, local: &Local) -> Result<Place<'a>, HeapError> {
        let stale = HeapError::Stale { id };
        let (page, slot) = (id.page(), id.slot());
        let words = self.parts.pages.get(page as usize).ok_or(stale)?;
        let at = page << self.parts.shift;
        let mut span = self.span(page)?;
        if let Span::Leaving(_) = span {
            // A slab with a block that somebody has was not marked since that has it.
            self.stay(page);
            span = self.span(page)?;
        }
        match span {
            Span::Whole(pages) if slot == BlockId::WHOLE => {
                let len = pages << self.parts.shift;
                Ok(Place { word: &words.block, at, len, page, span })
            }
            Span::Slab(class) => {
                let slab = local.slab(class);
                let words = self.parts.area.words(at, slab);
                let word = words.get(slot as usize).ok_or(stale)?;
                let at = at + slab.at(slot);
                Ok(Place { word, at, len: slab.size.into(), page, span })
            }
            _ => Err(stale),
        }
    }

    /// Returns what begins at a page.
    #[inline]
    fn span(&self, page: u64) -> Result<Span, HeapError> {
        // Acquire: pairs with the Release in `begin`: the words of a slab are zero, that of a block is reserved.
        let found = self.parts.pages[page as usize].word.load(Acquire);
        let span = PageWord::from_number(found).span();
        let corrupt = HeapError::Corrupt { page, found };
        match span {
            Some(Span::Free) => Ok(Span::Free),
            Some(Span::Whole(pages)) if page + pages > self.committed() => Err(corrupt),
            Some(_) if page >= self.committed() => Err(corrupt),
            Some(span) => Ok(span),
            None => Err(corrupt),
        }
    }

    /// Returns how many pages there may be.
    fn pages(&self) -> u64 {
        self.parts.pages.len() as u64
    }

    /// Returns how many pages there are by now.
    #[inline]
    fn committed(&self) -> u64 {
        self.parts.frame.committed().min(self.pages())
    }
}

/// Shows how many there are, not all of them.
impl core::fmt::Debug for RawHeap<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Parts { frame, seats, pages, shift, .. } = self.parts;
        f.debug_struct("RawHeap")
            .field("frame", frame)
            .field("seats", &seats.len())
            .field("pages", &pages.len())
            .field("page", &(1_u64 << shift))
            .finish()
    }
}

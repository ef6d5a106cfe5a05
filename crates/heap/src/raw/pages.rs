//! Taking pages, and giving them back.

use core::alloc::Layout;

use shmkit_atomic::Ordering::{AcqRel, Relaxed, Release};
use shmkit_atomic::crash::step;
use shmkit_atomic::{AtomicU64, Deadline};
use shmkit_roster::Judge;
use shmkit_sync::Outcome;

use crate::class::Slab;
use crate::raw::{RawHeap, Reserved};
use crate::word::{BlockWord, PageWord, Span, Tenant};
use crate::{BlockId, HeapError};

impl<'a> RawHeap<'a> {
    /// Does something under the heap's mutex.
    pub(super) fn locked<T, J: Judge + ?Sized>(
        &self,
        judge: &J,
        work: impl FnOnce() -> Result<T, HeapError>,
    ) -> Result<T, HeapError> {
        self.lock(judge)?;
        let result = work();
        self.unlock(judge);
        result
    }

    /// Takes the heap's mutex.
    pub(super) fn lock<J: Judge + ?Sized>(&self, judge: &J) -> Result<(), HeapError> {
        let frame = self.parts.frame;
        let outcome = frame.mutex.lock(judge, Deadline::NEVER)?;
        if outcome != Outcome::Clean {
            // Whoever died may have taken pages of which `low` does not know, or freed some.
            step();
            frame.low.store(0, Relaxed); // Relaxed: guarded by the mutex, as all uses of it.
            let _ = frame.mutex.make_consistent(judge);
        }
        Ok(())
    }

    /// Releases it, which this thread has taken.
    pub(super) fn unlock<J: Judge + ?Sized>(&self, judge: &J) {
        // SAFETY: it was locked once, and what it guards is borrowed by nobody.
        let _ = unsafe { self.parts.frame.mutex.unlock(judge) };
    }

    /// Reserves a block of whole pages.
    #[cold]
    pub(super) fn reserve_whole<J: Judge + ?Sized>(
        &self,
        layout: Layout,
        tenant: Tenant,
        judge: &J,
    ) -> Result<Reserved<'a>, HeapError> {
        let pages = self.pages_of(layout)?;
        self.locked(judge, || {
            let page = self.take_pages(pages, layout, judge)?;
            let word = &self.parts.pages[page as usize].block;
            // Relaxed: the word belongs to who holds the mutex as long as nothing begins at the page. But a late freer may
            // still compare it, and finds another generation.
            let before = BlockWord::from_number(word.load(Relaxed));
            let as_reserved = before.reserve(tenant);
            step();
            // Relaxed: `begin` publishes it. Killed before that, it says nothing of a page where nothing begins.
            word.store(as_reserved.get(), Relaxed);
            self.begin(page, Span::Whole(pages));
            let id = BlockId::new(as_reserved.generation(), page, BlockId::WHOLE);
            let [at, len] = [page, pages].map(|pages| pages << self.parts.shift);
            Ok(Reserved { id, word, as_reserved, at, len })
        })
    }

    /// Returns how many pages such a block takes.
    pub(super) fn pages_of(&self, layout: Layout) -> Result<u64, HeapError> {
        let size = layout.size() as u64;
        let pages = size.max(1).div_ceil(1 << self.parts.shift);
        if layout.align() > Self::MAX_ALIGN || pages > Self::MAX_PAGES {
            return Err(HeapError::Layout {
                size,
                align: layout.align() as u64,
                max_align: Self::MAX_ALIGN as u64,
            });
        }
        Ok(pages)
    }

    /// Finds pages in a row that nobody has; gathers what the dead have left if there are none. For who holds the mutex.
    pub(super) fn take_pages<J: Judge + ?Sized>(
        &self,
        pages: u64,
        layout: Layout,
        judge: &J,
    ) -> Result<u64, HeapError> {
        let frame = self.parts.frame;
        // Relaxed, all here: guarded by the mutex, or hints.
        if frame.freed.load(Relaxed) >= pages.max(frame.end.load(Relaxed) / 8) {
            self.look_at_all();
        }
        if let Some(page) = self.find_pages(pages)? {
            return Ok(page);
        }
        self.gather(judge)?;
        self.retire(judge)?;
        self.look_at_all();
        self.find_pages(pages)?.map_or_else(|| Err(self.full(layout)), Ok)
    }

    /// From now on a search begins at the first page.
    fn look_at_all(&self) {
        step();
        self.parts.frame.low.store(0, Relaxed);
        self.parts.frame.freed.store(0, Relaxed);
    }

    /// Finds `pages` in a row, from the first that may be free on. For who holds the mutex.
    fn find_pages(&self, pages: u64) -> Result<Option<u64>, HeapError> {
        let frame = self.parts.frame;
        // Both are numbers from shared memory: a search that begins too late finds too little, and never what is taken,
        // since nothing but whole spans lies before either.
        let there = self.committed();
        let end = frame.end.load(Relaxed).min(there);
        let mut at = frame.low.load(Relaxed).min(end);
        let mut first_free = None;
        let mut run = 0;
        while at < end && run < pages {
            match self.span(at)? {
                Span::Free => {
                    first_free = first_free.or(Some(at));
                    run += 1;
                    at += 1;
                }
                span => {
                    run = 0;
                    at += self.length(span);
                }
            }
        }
        // Behind the end nothing was ever taken.
        let start = at - run;
        if start + pages > there {
            return Ok(None);
        }
        step();
        // Before the pages are taken: the end is never too early, and the search never begins inside of them.
        frame.end.store(end.max(start + pages), Relaxed);
        let low = if first_free.is_none_or(|first| first == start) {
            start + pages
        } else {
            first_free.unwrap_or(0)
        };
        frame.low.store(low, Relaxed);
        Ok(Some(start))
    }

    /// Returns how many pages a span takes.
    pub(super) fn length(&self, span: Span) -> u64 {
        match span {
            Span::Free => 1,
            Span::Slab(class) | Span::Leaving(class) => {
                Slab::new(class, self.parts.shift).pages.into()
            }
            Span::Whole(pages) => pages,
        }
    }

    /// Goes from one span to the next. For who holds the mutex.
    pub(super) fn walk(
        &self,
        mut each: impl FnMut(u64, Span) -> Result<(), HeapError>,
    ) -> Result<(), HeapError> {
        let mut page = 0;
        let there = self.committed();
        while page < there {
            let span = self.span(page)?;
            each(page, span)?;
            page += self.length(span);
        }
        if page != there {
            // A slab that reaches beyond the end: `span` knows no more of it than its class.
            return Err(HeapError::Corrupt { page: there, found: page });
        }
        Ok(())
    }

    /// Takes the pages of a span. For who holds the mutex, and has found them free.
    pub(super) fn begin(&self, page: u64, span: Span) {
        let word = &self.parts.pages[page as usize].word;
        // Relaxed: changed by who holds the mutex as long as nothing begins there.
        let before = PageWord::from_number(word.load(Relaxed));
        step();
        // Release: pairs with the Acquire in `span`.
        word.store(before.next(span).get(), Release);
    }

    /// Gives back the pages of a block that was freed; again, if somebody was killed or is slow at it.
    pub(super) fn end_whole(&self, page: u64) {
        let Some(words) = self.parts.pages.get(page as usize) else { return };
        // Relaxed: the compare-exchange decides.
        let found = PageWord::from_number(words.word.load(Relaxed));
        let Some(Span::Whole(pages)) = found.span() else { return };
        // Read between the two looks at the page's word, so that it is of this span.
        if !BlockWord::from_number(words.block.load(Relaxed)).is_free() {
            return;
        }
        step();
        // AcqRel: Release, so that whoever takes the pages does so after all looks at the block; Acquire, so that the one
        // before is not moved behind.
        let next = found.next(Span::Free);
        if words.word.compare_exchange(found.get(), next.get(), AcqRel, Relaxed).is_ok() {
            self.parts.frame.freed.fetch_add(pages, Relaxed); // Relaxed: a hint.
        }
    }

    fn full(&self, layout: Layout) -> HeapError {
        let (free, largest) = self.free_pages();
        let shift = self.parts.shift;
        HeapError::Full {
            asked: layout.size() as u64,
            largest: largest << shift,
            free: free << shift,
        }
    }

    /// Returns how many pages are free, and how many in a row at most. For who holds the mutex.
    pub(super) fn free_pages(&self) -> (u64, u64) {
        let (mut at, mut free, mut run, mut largest) = (0, 0, 0, 0);
        while at < self.committed() {
            match self.span(at) {
                Ok(Span::Free) | Err(_) => {
                    (at, free, run) = (at + 1, free + 1, run + 1);
                    largest = run.max(largest);
                }
                Ok(span) => (at, run) = (at + self.length(span), 0),
            }
        }
        (free, largest)
    }

    /// The word of hints that has a page's bit, and the bit.
    pub(super) fn hint_word(&self, class: usize, page: u64) -> (&AtomicU64, u64) {
        let width = self.parts.pages.len().div_ceil(64);
        (&self.parts.hints[class * width + (page / 64) as usize], 1 << (page % 64))
    }
}

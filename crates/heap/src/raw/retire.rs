//! Giving back the pages of slabs that nobody has a block of.

use shmkit_atomic::Ordering::{AcqRel, Acquire, Relaxed};
use shmkit_atomic::barrier;
use shmkit_atomic::crash::step;
use shmkit_roster::{Judge, Verdict, ask};

use crate::HeapError;
use crate::class::{Class, Slab};
use crate::raw::RawHeap;
use crate::word::{BlockWord, PageWord, Span};

impl RawHeap<'_> {
    /// Gives back the pages of every slab all of whose blocks are free, if nobody is about to take one. For who holds the
    /// mutex, and finds no pages otherwise.
    ///
    /// *If a peer dies* at this, marks stay at slabs: whoever [gathers](Self::gather) next takes them away.
    #[cold]
    pub(super) fn retire<J: Judge + ?Sized>(&self, judge: &J) -> Result<(), HeapError> {
        let mut any = false;
        self.walk(|page, span| {
            if let Span::Slab(class) = span
                && self.floor(page, class).is_some()
            {
                any |= self.turn_page(page, span, Span::Leaving(class));
            }
            Ok(())
        })?;
        if !any {
            return Ok(());
        }
        // The other half of `Local::fence`: of whoever guarded a slab before it looked at its word, and saw no mark, the
        // hazard is seen below.
        let fenced = barrier::heavy();
        self.keep_guarded(judge, fenced);
        self.walk(|page, span| {
            let Span::Leaving(class) = span else { return Ok(()) };
            let Some(floor) = self.floor(page, class) else {
                // Somebody took one before the mark was there.
                self.turn_page(page, span, Span::Slab(class));
                return Ok(());
            };
            step();
            // Relaxed: for who makes a slab here, or takes the page whole, under the mutex. Killed after it, the generations
            // of what is still a slab lie below, and count for nothing the next time.
            self.parts.pages[page as usize].block.store(floor.get(), Relaxed);
            if self.turn_page(page, span, Span::Free) {
                self.unhint(class, page);
            }
            Ok(())
        })
    }

    /// Takes the marks away from slabs that somebody alive is about to look at, or may be.
    fn keep_guarded<J: Judge + ?Sized>(&self, judge: &J, fenced: bool) {
        let Some(me) = judge.me() else { return self.keep_all() };
        for (at, seat) in self.parts.seats.iter().enumerate() {
            let Some(owner) = seat.owner() else { continue };
            let mut dead = None;
            let mut is_dead =
                || *dead.get_or_insert_with(|| ask(judge, me, owner) == Verdict::Dead);
            // It counts on the kernel's fence, which the kernel has refused.
            if seat.is_light() && !fenced && !is_dead() {
                return self.keep_all();
            }
            for page in self.hazards(at).filter_map(|hazard| hazard.page()) {
                if page < self.pages() && !is_dead() {
                    self.stay(page);
                }
            }
        }
    }

    /// Takes all marks away.
    fn keep_all(&self) {
        let _ = self.walk(|page, _| {
            self.stay(page);
            Ok(())
        });
    }

    /// Takes the mark away from the slab at `page`, if it has one.
    pub(super) fn stay(&self, page: u64) {
        if let Ok(span @ Span::Leaving(class)) = self.span(page) {
            self.turn_page(page, span, Span::Slab(class));
        }
    }

    /// Changes what a page's word says of its slab, if it says `from`, and returns whether it did.
    fn turn_page(&self, page: u64, from: Span, to: Span) -> bool {
        let word = &self.parts.pages[page as usize].word;
        // Relaxed: the compare-exchange decides.
        let found = PageWord::from_number(word.load(Relaxed));
        if found.span() != Some(from) {
            return false;
        }
        step();
        // AcqRel: Release, so that whoever takes the pages does so after our last look at the blocks; Acquire, of who has
        // taken a mark away, since it has seen more of the slab.
        word.compare_exchange(found.get(), found.next(to).get(), AcqRel, Relaxed).is_ok()
    }

    /// Returns a free word of a generation that no block of the slab at `page` has had, if all are free.
    fn floor(&self, page: u64, class: Class) -> Option<BlockWord> {
        let slab = Slab::new(class, self.parts.shift);
        // Relaxed: changed under the mutex, in a page where no whole block begins.
        let base = BlockWord::from_number(self.parts.pages[page as usize].block.load(Relaxed));
        let mut most = 0;
        for word in self.parts.area.words(page << self.parts.shift, &slab) {
            // Acquire: pairs with the Release of who freed it, whose last look at the bytes comes before the next owner's.
            let word = BlockWord::from_number(word.load(Acquire));
            if !word.is_free() {
                return None;
            }
            most = word.since(base).max(most);
        }
        Some(base.later(most))
    }
}

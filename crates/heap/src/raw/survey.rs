//! Going through all blocks: to gather what the dead have left, and to count.

use shmkit_atomic::AtomicU64;
use shmkit_atomic::Ordering::{AcqRel, Acquire, Relaxed};
use shmkit_atomic::crash::step;
use shmkit_roster::Judge;

use crate::class::Slab;
use crate::raw::RawHeap;
use crate::word::{BlockWord, Span, State, Tenant};
use crate::{Account, HeapError};

/// Adds a block to an account, and returns whether it is free.
fn add(account: &mut Account, state: State, len: u64) -> bool {
    match state {
        State::Free => return true,
        State::Reserved(_) => {
            account.reserved += len;
            account.reserved_blocks += 1;
        }
        State::Kept => {
            account.kept += len;
            account.kept_blocks += 1;
        }
    }
    false
}

impl RawHeap<'_> {
    /// Frees what the dead had reserved, tells of every slab that has a free block, and counts.
    ///
    /// # Errors
    ///
    /// [`HeapError::Corrupt`]; what comes before it was gathered.
    ///
    /// # If a peer dies
    ///
    /// what it had reserved is free after this.
    pub fn survey<J: Judge + ?Sized>(&self, judge: &J) -> Result<Account, HeapError> {
        self.locked(judge, || self.gather(judge))
    }

    /// [`survey`](Self::survey), for who holds the mutex. Of the tables it knows nothing.
    pub(super) fn gather<J: Judge + ?Sized>(&self, judge: &J) -> Result<Account, HeapError> {
        let uncommitted = (self.pages() - self.committed()) << self.parts.shift;
        let mut account = Account { uncommitted, ..Account::default() };
        let mut last = None;
        let mut gone = |tenant: Tenant| match last {
            Some((of, gone)) if of == tenant => gone,
            _ => {
                let gone = self.is_gone(tenant, judge);
                last = Some((tenant, gone));
                gone
            }
        };
        self.walk(|page, span| {
            let at = page << self.parts.shift;
            match span {
                Span::Free => account.pages += 1 << self.parts.shift,
                Span::Whole(pages) => {
                    let state = settle(&self.parts.pages[page as usize].block, &mut gone);
                    if add(&mut account, state, pages << self.parts.shift) {
                        account.pages += pages << self.parts.shift;
                        // Freed just now, or by who was killed before it gave back the pages, or is at it.
                        self.end_whole(page);
                    }
                }
                Span::Slab(class) | Span::Leaving(class) => {
                    // Whoever has marked it held the mutex, and was killed.
                    self.stay(page);
                    let slab = Slab::new(class, self.parts.shift);
                    let mut free = 0;
                    for word in self.parts.area.words(at, &slab) {
                        if add(&mut account, settle(word, &mut gone), slab.size.into()) {
                            free += u64::from(slab.size);
                        }
                    }
                    account.slots += free;
                    account.around += (u64::from(slab.pages) << self.parts.shift)
                        - u64::from(slab.slots) * u64::from(slab.size);
                    if free > 0 {
                        self.hint(class, page);
                    }
                }
            }
            Ok(())
        })?;
        Ok(account)
    }
}

/// Frees a block if whoever has reserved it is gone, and returns what it is then.
fn settle(word: &AtomicU64, gone: &mut impl FnMut(Tenant) -> bool) -> State {
    // Acquire: pairs with the Release of who reserved it: it has its seat.
    let found = BlockWord::from_number(word.load(Acquire));
    match found.state() {
        State::Reserved(tenant) if gone(tenant) => {}
        state => return state,
    }
    let free = BlockWord::free(found.generation());
    step();
    // AcqRel: as who frees a block of its own.
    match word.compare_exchange(found.get(), free.get(), AcqRel, Relaxed) {
        Ok(_) => State::Free,
        Err(now) => BlockWord::from_number(now).state(),
    }
}

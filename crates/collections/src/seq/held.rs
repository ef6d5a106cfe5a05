//! A sequence whose lock is held.

use core::marker::PhantomData;

use shmkit_atomic::Ordering::Relaxed;
use shmkit_heap::{BlockId, Heap};
use shmkit_roster::{Judge, OwnerId};
use shmkit_sync::{LockFailure, Outcome, Patience};

use super::block::{Elements, corrupt};
use super::element::Element;
use super::store::Store;
use crate::SeqError;

/// A sequence whose lock is held, and what is in it. Dropping it releases the lock; in a forked child, which does not hold it,
/// it does nothing.
pub(crate) struct Held<'m, K: Judge> {
    pub(super) store: &'m Store<K>,
    /// None as long as there never were any.
    pub(super) elements: Option<Elements<'m>>,
    /// Who took it.
    id: OwnerId,
    _not_send: PhantomData<*const ()>,
}

impl<K: Judge> Store<K> {
    /// Takes the lock, within the limit of this handle.
    pub(crate) fn lock(&self) -> Result<Held<'_, K>, SeqError> {
        Held::take(self, Some(self.limit.map_or(Patience::ENDLESS, Patience::from)))
    }

    /// Takes the lock within a limit; without one if it is free.
    pub(crate) fn lock_by(&self, patience: Option<Patience<'_>>) -> Result<Held<'_, K>, SeqError> {
        Held::take(self, patience)
    }
}

impl<'m, K: Judge> Held<'m, K> {
    /// Takes the lock, and puts right what a dead owner has left.
    pub(super) fn take(
        store: &'m Store<K>,
        patience: Option<Patience<'_>>,
    ) -> Result<Self, SeqError> {
        let (frame, keeper) = (store.frame, store.heap.keeper());
        let id = keeper.me().ok_or(LockFailure::NotJoined)?;
        // SAFETY: the keeper has just said so.
        let outcome = unsafe { frame.mutex.lock_as(id, keeper, patience) }?;
        let mut held = Self { store, elements: None, id, _not_send: PhantomData };
        if outcome == Outcome::Clean {
            held.look()?;
        } else {
            held.recover()?;
            // Refused only to who does not hold it, and we have just taken it.
            let _ = frame.mutex.make_consistent(keeper);
        }
        Ok(held)
    }

    #[cold]
    fn recover(&mut self) -> Result<(), SeqError> {
        let frame = self.store.frame;
        self.store.heap.recover(&frame.swap, |which| (which == 0).then_some(&frame.root))?;
        self.look()?;
        if let Some(elements) = &mut self.elements {
            elements.recover()?;
        }
        self.tell();
        Ok(())
    }

    /// Looks where the elements are.
    pub(super) fn look(&mut self) -> Result<(), SeqError> {
        // Relaxed: changed under the lock.
        let id = BlockId::from_number(self.store.frame.root.load(Relaxed));
        self.elements = None;
        if !id.is_none() {
            // SAFETY: freed under the lock only, and then looked for anew.
            let block = unsafe { self.store.heap.linked_bytes(id) }
                .map_err(|_| corrupt("block of the elements", id.get() as usize))?;
            self.elements = Some(Elements::find(block, self.store.element)?);
        }
        Ok(())
    }

    /// Tells who asks without the lock how many there are.
    pub(super) fn tell(&self) {
        self.store.frame.len.store(self.len() as u64, Relaxed);
    }

    pub(super) fn heap(&self) -> &'m Heap<K> {
        &self.store.heap
    }

    pub(super) fn element(&self) -> Element {
        self.store.element
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.elements.map_or(0, |elements| elements.ends.len)
    }

    /// How many elements there is room for before a larger block is needed.
    pub(crate) fn capacity(&self) -> usize {
        self.elements.map_or(0, |elements| elements.places)
    }

    /// Most elements that there may be, if that was said.
    pub(crate) fn bound(&self) -> Option<usize> {
        self.store.bound()
    }

    /// The bytes of an element.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&[u8]> {
        self.elements
            .as_ref()
            .filter(|elements| index < elements.ends.len)
            .map(|all| all.get(index))
    }

    /// All elements, in two pieces one behind the other; the second is empty if they are straight.
    pub(crate) fn halves(&self) -> [&[u8]; 2] {
        self.elements.as_ref().map_or([&[], &[]], Elements::halves)
    }

    pub(super) fn check(&self, index: usize) -> Result<usize, SeqError> {
        let len = self.len();
        if index < len { Ok(index) } else { Err(SeqError::OutOfRange { index, len }) }
    }
}

impl<K: Judge> Drop for Held<'_, K> {
    fn drop(&mut self) {
        if self.store.heap.keeper().me() == Some(self.id) {
            // SAFETY: `take` took it as `id`, which we still are, once, and what it guards is borrowed only through `self`,
            // which ends.
            // Refused only if the word is not ours, and then there is nothing to release.
            let _ = unsafe { self.store.frame.mutex.unlock_as(self.id) };
        }
    }
}

//! The block of a sequence's elements.

use core::ptr::NonNull;

use shmkit_atomic::Ordering::{Relaxed, Release};
use shmkit_atomic::crash::in_program_order;
use shmkit_layout::{Offset, Region};

use super::element::Element;
use super::frame::{BlockHead, Ends};
use crate::SeqError;

/// The block of a sequence whose lock is held: what counts in it was checked, and is remembered here.
#[derive(Clone, Copy)]
pub(super) struct Elements<'m> {
    head: &'m BlockHead,
    first: NonNull<u8>,
    element: Element,
    pub(super) places: usize,
    pub(super) ends: Ends,
}

impl<'m> Elements<'m> {
    /// Finds the elements in a block that a peer has filled.
    pub(super) fn find(block: Region<'m>, element: Element) -> Result<Self, SeqError> {
        let head: &BlockHead =
            block.get(Offset::ZERO).map_err(|_| corrupt("length of the block", block.len()))?;
        // Relaxed, all: changed under the sequence's lock.
        let places = head.places.load(Relaxed) as usize;
        if places == 0 || places > element.places(block.len()) {
            return Err(corrupt("number of places", places));
        }
        // SAFETY: the block is that long: there is room for one place at least.
        let first = unsafe { block.base().add(element.first()) };
        if !first.addr().get().is_multiple_of(element.align) {
            return Err(corrupt("place of the elements", first.addr().get()));
        }
        let mut elements = Self { head, first, element, places, ends: Ends { start: 0, len: 0 } };
        elements.ends = elements.checked(head.ends.load(Relaxed))?;
        Ok(elements)
    }

    /// Lays out a block that nobody else knows yet, as one without elements.
    pub(super) fn lay_out(block: Region<'m>, element: Element) -> Result<Self, SeqError> {
        let head: &BlockHead =
            block.get(Offset::ZERO).map_err(|_| corrupt("length of the block", block.len()))?;
        let places = element.places(block.len()).min(u32::MAX as usize);
        // Relaxed, all: as above.
        head.ends.store(0, Relaxed);
        head.redo.store(0, Relaxed);
        head.after.store(0, Relaxed);
        head.places.store(places as u32, Relaxed);
        Self::find(block, element)
    }

    /// Finishes the change in whose middle somebody was killed.
    pub(super) fn recover(&mut self) -> Result<(), SeqError> {
        let redo = self.head.redo.load(Relaxed);
        let Some(place) = redo.checked_sub(1) else { return Ok(()) };
        if place >= self.places as u64 {
            return Err(corrupt("place of a change", place as usize));
        }
        let after = self.checked(self.head.after.load(Relaxed))?;
        self.carry_out(place as usize, after);
        Ok(())
    }

    /// Makes other elements count than before, by one store.
    pub(super) fn commit(&mut self, start: usize, len: usize) {
        let start = if start >= self.places { start - self.places } else { start };
        self.ends = Ends { start, len };
        // Release: not before what was written to the places that count from now on; towards an heir, whom the kernel has
        // told of this process's death.
        self.head.ends.store(self.ends.word(), Release);
        // And nothing is written to those that do not count any more before that.
        in_program_order();
    }

    /// Makes the spare element number `index`, and then only the first `len` count: a kill leaves all of it or nothing.
    pub(super) fn put_spare(&mut self, index: usize, len: usize) {
        let (place, after) = (self.place(index), Ends { len, ..self.ends });
        self.head.after.store(after.word(), Relaxed);
        // Release: the spare element and what follows are whole before they count; towards an heir, as above.
        self.head.redo.store(place as u64 + 1, Release);
        in_program_order();
        self.carry_out(place, after);
    }

    fn carry_out(&mut self, place: usize, after: Ends) {
        let spare = self.at(self.places);
        // SAFETY: two different places of this block, whose lock is held.
        unsafe { self.at(place).copy_from_nonoverlapping(spare, self.element.size) };
        self.ends = after;
        self.head.ends.store(after.word(), Relaxed);
        // Release: the change is whole before it is none any more; towards an heir, as above.
        self.head.redo.store(0, Release);
        in_program_order();
    }

    /// Writes an element to a place that does not count.
    pub(super) fn write(&mut self, place: usize, value: &[u8]) {
        assert!(value.len() == self.element.size, "one element");
        // SAFETY: a place of this block, or the spare one, whose lock is held; so many bytes (just checked), and they are not of
        // the block, of which no slice is borrowed beside `self`.
        unsafe {
            self.at(place).copy_from_nonoverlapping(NonNull::from(value).cast(), value.len())
        };
    }

    /// Writes elements behind the last one, for which there is room, around the end.
    pub(super) fn write_behind(&mut self, values: &[u8]) {
        let free = self.wrap(self.ends.start + self.ends.len);
        let head = ((self.places - free) * self.element.size).min(values.len());
        assert!(values.len() <= (self.places - self.ends.len) * self.element.size, "there is room");
        let (before, around) = values.split_at(head);
        // They may overlap where a damaged heap has given a block twice, of which the values are: what is copied is wrong then.
        // SAFETY: as many places of this block lie behind that one (just checked), and the lock is held.
        unsafe { self.at(free).copy_from(NonNull::from(before).cast(), before.len()) };
        // SAFETY: as above; the others are before the first that counts.
        unsafe { self.first.copy_from(NonNull::from(around).cast(), around.len()) };
    }

    /// The bytes of an element.
    pub(super) fn get(&self, index: usize) -> &[u8] {
        assert!(index < self.ends.len, "one that counts");
        // SAFETY: a place of this block (checked), whose lock is held; nobody writes to it as long as `self` is borrowed.
        unsafe {
            core::slice::from_raw_parts(self.at(self.place(index)).as_ptr(), self.element.size)
        }
    }

    /// The spare element, to be written to.
    pub(super) fn spare(&mut self) -> &mut [u8] {
        // SAFETY: the spare place of this block, whose lock is held, and `self` is borrowed mutably.
        unsafe { core::slice::from_raw_parts_mut(self.at(self.places).as_ptr(), self.element.size) }
    }

    /// Writes a copy of an element to the spare place.
    pub(super) fn spare_from(&mut self, index: usize) {
        assert!(index < self.ends.len, "one that counts");
        let from = self.at(self.place(index));
        // SAFETY: two different places of this block, whose lock is held.
        unsafe { self.at(self.places).copy_from_nonoverlapping(from, self.element.size) };
    }

    /// All elements, in two pieces: those from the first one to the end of the block, and those around it.
    pub(super) fn halves(&self) -> [&[u8]; 2] {
        let Ends { start, len } = self.ends;
        let before = len.min(self.places - start);
        let size = self.element.size;
        // SAFETY: places of this block, whose lock is held; nobody writes to them as long as `self` is borrowed.
        let first = unsafe { core::slice::from_raw_parts(self.at(start).as_ptr(), before * size) };
        let around = (len - before) * size;
        // SAFETY: as above.
        let second = unsafe { core::slice::from_raw_parts(self.first.as_ptr(), around) };
        [first, second]
    }

    /// All elements of a block of which none lies around the end, to be written to: one that nobody else knows yet.
    pub(super) fn fresh(&mut self) -> &mut [u8] {
        assert!(self.ends.start == 0, "laid out just now");
        let bytes = self.ends.len * self.element.size;
        // SAFETY: the first places of this block, which nobody else uses, and `self` is borrowed mutably.
        unsafe { core::slice::from_raw_parts_mut(self.first.as_ptr(), bytes) }
    }

    pub(super) fn place(&self, index: usize) -> usize {
        self.wrap(self.ends.start + index)
    }

    /// The place that is `place`, counted around the end once.
    pub(super) fn wrap(&self, place: usize) -> usize {
        if place >= self.places { place - self.places } else { place }
    }

    fn at(&self, place: usize) -> NonNull<u8> {
        debug_assert!(place <= self.places);
        // SAFETY: `places` and the spare one lie in the block (`find`), and who calls this has a number up to that.
        unsafe { self.first.add(place * self.element.size) }
    }

    fn checked(&self, word: u64) -> Result<Ends, SeqError> {
        let ends = Ends::of(word);
        if ends.start >= self.places || ends.len > self.places {
            return Err(corrupt("elements that count", word as usize));
        }
        if self.element.straight && ends.start != 0 {
            return Err(corrupt("place of the first element", ends.start));
        }
        Ok(ends)
    }
}

pub(super) fn corrupt(field: &'static str, found: usize) -> SeqError {
    SeqError::Corrupt { field, found: found as u64 }
}

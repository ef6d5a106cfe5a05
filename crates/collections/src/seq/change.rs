//! Changes of a sequence whose lock is held. Each happens at one store: before it nothing of it is seen, and after it all.

use core::ops::Range;

use shmkit_heap::{Block, HeapError};
use shmkit_layout::ShmSafe;
use shmkit_roster::Judge;

use super::block::{Elements, corrupt};
use super::held::Held;
use super::typed_mut;
use crate::SeqError;

/// Most elements.
const MOST: usize = u32::MAX as usize;
/// Bytes of the elements for which there is room in the first block, about.
const FIRST: usize = 64;

impl<'m, K: Judge> Held<'m, K> {
    /// Puts an element behind the last one. Where there may be no more, the first one goes.
    #[inline]
    pub(crate) fn push_back(&mut self, value: &[u8]) -> Result<(), SeqError> {
        let full = self.is_at_bound();
        let Some(elements) = self.room_for_one(full)? else { return Ok(()) };
        let (start, len) = (elements.ends.start, elements.ends.len);
        elements.write(elements.wrap(start + len), value);
        if full {
            elements.commit(start + 1, len)
        } else {
            elements.commit(start, len + 1)
        }
        self.tell();
        Ok(())
    }

    /// Puts an element before the first one. Where there may be no more, the last one goes.
    pub(crate) fn push_front(&mut self, value: &[u8]) -> Result<(), SeqError> {
        let full = self.is_at_bound();
        let Some(elements) = self.room_for_one(full)? else { return Ok(()) };
        let (start, len) = (elements.ends.start, elements.ends.len);
        let place = elements.wrap(start + elements.places - 1);
        elements.write(place, value);
        elements.commit(place, if full { len } else { len + 1 });
        self.tell();
        Ok(())
    }

    /// Puts elements behind the last one, all of them at once. Where there may be no more, as many go from the front.
    pub(crate) fn extend(&mut self, values: &[u8]) -> Result<(), SeqError> {
        let (mut values, size, len) = (values, self.element().size, self.len());
        if let Some(bound) = self.bound() {
            values = &values[(values.len() / size).saturating_sub(bound) * size..];
            let over = (len + values.len() / size).saturating_sub(bound);
            if over > 0 {
                return self.rebuild(over..len, values, len..len);
            }
        }
        let count = values.len() / size;
        if count == 0 {
            return Ok(());
        }
        self.make_room(count)?;
        let elements = self.elements.as_mut().ok_or(corrupt("number of places", 0))?;
        elements.write_behind(values);
        elements.commit(elements.ends.start, elements.ends.len + count);
        self.tell();
        Ok(())
    }

    /// Leaves `len` elements from number `from` on.
    pub(crate) fn keep(&mut self, from: usize, len: usize) {
        if let Some(elements) = &mut self.elements {
            let from = from.min(elements.ends.len);
            let len = len.min(elements.ends.len - from);
            // Where nothing is, the first place is the next one again: what comes then lies in a row.
            let start = if len == 0 { 0 } else { elements.ends.start + from };
            elements.commit(start, len);
            self.tell();
        }
    }

    /// Puts a value in an element's place.
    pub(crate) fn set(&mut self, index: usize, value: &[u8]) -> Result<(), SeqError> {
        self.check(index)?;
        if let Some(elements) = &mut self.elements {
            elements.write(elements.places, value);
            elements.put_spare(index, elements.ends.len);
        }
        Ok(())
    }

    /// Puts what `change` makes of a copy of an element in its place.
    pub(crate) fn update<R>(
        &mut self,
        index: usize,
        change: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<R, SeqError> {
        self.check(index)?;
        let elements = self.elements.as_mut().ok_or(corrupt("number of places", 0))?;
        elements.spare_from(index);
        let result = change(elements.spare());
        elements.put_spare(index, elements.ends.len);
        Ok(result)
    }

    /// Takes an element out, whose place the last one gets.
    pub(crate) fn swap_remove(&mut self, index: usize) -> Result<(), SeqError> {
        self.check(index)?;
        if let Some(elements) = &mut self.elements {
            let last = elements.ends.len - 1;
            elements.spare_from(last);
            elements.put_spare(index, last);
            self.tell();
        }
        Ok(())
    }

    /// Puts other elements in the place of some, in a new block if they are not at an end.
    pub(crate) fn splice(&mut self, range: Range<usize>, values: &[u8]) -> Result<(), SeqError> {
        let (Range { start, end }, len) = (range, self.len());
        if start > end || end > len {
            return Err(SeqError::NoSuchRange { start, end, len });
        }
        let element = self.element();
        let left = len - (end - start);
        if values.is_empty() && (end == len || start == 0 && !element.straight) {
            let from = if end == len { 0 } else { end };
            self.keep(from, left);
            return Ok(());
        }
        if start == len {
            return self.extend(values);
        }
        let all = left + values.len() / element.size;
        if let Some(most) = self.bound().filter(|most| all > *most) {
            return Err(SeqError::Bounded { most });
        }
        self.rebuild(0..start, values, end..len)
    }

    /// Makes a new block of some elements, others, and some again.
    fn rebuild(
        &mut self,
        before: Range<usize>,
        values: &[u8],
        behind: Range<usize>,
    ) -> Result<(), SeqError> {
        let all = before.len() + values.len() / self.element().size + behind.len();
        let ([a, b], [c, d]) = (self.pieces(before), self.pieces(behind));
        let (block, ()) = self.fill(self.room(all)?, all, &[a, b, values, c, d], |_| ())?;
        self.install(block)
    }

    /// Some elements, in two pieces.
    fn pieces(&self, range: Range<usize>) -> [&[u8]; 2] {
        let ([first, second], size) = (self.halves(), self.element().size);
        let (start, end) = (range.start * size, range.end * size);
        let split = first.len();
        [
            &first[start.min(split)..end.min(split)],
            &second[start.saturating_sub(split)..end.saturating_sub(split)],
        ]
    }

    /// Has `edit` change a copy of all elements, in a new block; it returns how many of the first of them stay.
    pub(crate) fn rewrite<R>(
        &mut self,
        edit: impl FnOnce(&mut [u8]) -> (usize, R),
    ) -> Result<R, SeqError> {
        let len = self.len();
        if len == 0 {
            return Ok(edit(&mut []).1);
        }
        let mut stay = len;
        let (block, result) = self.fill(self.room(len)?, len, &self.halves(), |bytes| {
            let (left, result) = edit(bytes);
            stay = left;
            result
        })?;
        // The copy is nobody's yet; nothing is seen of those that go.
        self.install_some(block, stay)?;
        Ok(result)
    }

    /// Takes out the elements of which `keep` says no.
    pub(crate) fn retain<T: ShmSafe>(
        &mut self,
        mut keep: impl FnMut(&T) -> bool,
    ) -> Result<(), SeqError> {
        self.rewrite(|bytes| {
            let all: &mut [T] = typed_mut(bytes);
            let mut stay = 0;
            for at in 0..all.len() {
                if keep(&all[at]) {
                    all[stay] = all[at];
                    stay += 1;
                }
            }
            (stay, ())
        })
    }

    /// Makes room for so many more elements.
    pub(crate) fn reserve(&mut self, more: usize) -> Result<(), SeqError> {
        self.make_room(more)
    }

    /// Gives the memory back that no element needs.
    pub(crate) fn shrink(&mut self) -> Result<(), SeqError> {
        let len = self.len();
        if len > 0 {
            let block = self.fill(len, len, &self.halves(), |_| ())?.0;
            return self.install(block);
        }
        self.elements = None;
        let frame = self.store.frame;
        Ok(self.heap().replace(&frame.swap, 0, &frame.root, None)?)
    }

    fn is_at_bound(&self) -> bool {
        self.bound() == Some(self.len())
    }

    /// The elements, with a place for one more; a bounded sequence has one more place than it may have elements. None if there
    /// may be none at all.
    #[inline]
    fn room_for_one(&mut self, full: bool) -> Result<Option<&mut Elements<'m>>, SeqError> {
        if full && self.len() == 0 {
            return Ok(None);
        }
        if self.len() == self.capacity() {
            self.make_room(1)?;
        }
        self.elements.as_mut().map(Some).ok_or(corrupt("number of places", 0))
    }

    /// How many places a new block should have for so many elements.
    fn room(&self, len: usize) -> Result<usize, SeqError> {
        if len > MOST - 1 {
            return Err(SeqError::TooLong);
        }
        Ok(len.max(self.capacity()).max(1))
    }

    /// Sees to it that there are so many places behind the last element, around the end.
    #[cold]
    fn make_room(&mut self, more: usize) -> Result<(), SeqError> {
        let (len, places) = (self.len(), self.capacity());
        let all = len.checked_add(more).filter(|all| *all < MOST).ok_or(SeqError::TooLong)?;
        if all <= places {
            return Ok(());
        }
        // Twice as many, so that each element is copied about once; if there is no room for so many, as many as it takes.
        let some = (FIRST / self.element().size).max(1);
        let twice = all.max(places.saturating_mul(2)).max(some).min(MOST - 1);
        let copied = match self.fill(twice, len, &self.halves(), |_| ()) {
            Err(SeqError::Full { .. }) if twice > all => {
                self.fill(all, len, &self.halves(), |_| ())
            }
            copied => copied,
        };
        self.install(copied?.0)
    }

    /// Reserves a block of so many places, and fills it with the parts, which are `len` elements together.
    fn fill<R>(
        &self,
        places: usize,
        len: usize,
        parts: &[&[u8]],
        edit: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<(Block<'m, K>, R), SeqError> {
        let layout = self.element().layout(places).ok_or(SeqError::TooLong)?;
        let mut block = match self.heap().reserve(layout) {
            Err(HeapError::Full { .. }) => {
                return Err(SeqError::Full { bytes: layout.size() as u64, len: self.len() });
            }
            block => block?,
        };
        let mut copy = Elements::lay_out(block.region(), self.element())?;
        for part in parts {
            copy.write_behind(part);
            copy.commit(0, copy.ends.len + part.len() / self.element().size);
        }
        if copy.ends.len != len {
            return Err(corrupt("number of elements", copy.ends.len));
        }
        let result = edit(copy.fresh());
        Ok((block, result))
    }

    /// Makes a filled block the one of the elements.
    fn install(&mut self, block: Block<'m, K>) -> Result<(), SeqError> {
        let frame = self.store.frame;
        self.heap().replace(&frame.swap, 0, &frame.root, Some(block))?;
        self.look()?;
        self.tell();
        Ok(())
    }

    /// As above, of which only the first elements count.
    fn install_some(&mut self, mut block: Block<'m, K>, len: usize) -> Result<(), SeqError> {
        let mut copy = Elements::find(block.region(), self.element())?;
        if len < copy.ends.len {
            copy.commit(0, len);
        }
        self.install(block)
    }
}

//! The line of a queue: a heap of the full slots' numbers, by the order in which their items come.

use super::*;

impl OrderedRing<'_> {
    /// Returns the slot at a place of the line, which is to be full, or empty.
    ///
    /// # Errors
    ///
    /// [`QueueError::Corrupt`] if there is none of this number, or it is not.
    pub(super) fn in_line(
        &self,
        place: usize,
        full: bool,
    ) -> Result<(u32, &OrderedSlot), QueueError> {
        let number = self.line[place].load(Relaxed);
        match self.slots.get(number as usize) {
            Some(slot) if (slot.number.load(Relaxed) != 0) == full => Ok((number, slot)),
            _ => Err(QueueError::Corrupt { field: "line", found: number.into() }),
        }
    }

    fn set(&self, place: usize, number: u32) {
        crash::step();
        self.line[place].store(number, Relaxed);
    }

    /// What a slot's item is sorted by: the least comes first. One that is not there comes last.
    fn key(&self, number: u32) -> (i64, u64) {
        match self.slots.get(number as usize) {
            // Put later, it comes earlier.
            Some(slot) if self.newest_first => (0, !slot.number.load(Relaxed)),
            Some(slot) => (slot.priority(), slot.number.load(Relaxed)),
            None => (i64::MAX, u64::MAX),
        }
    }

    /// Moves the slot at the end of the heap, at `place`, up to where it belongs.
    pub(super) fn rise(&self, mut place: usize) {
        let number = self.line[place].load(Relaxed);
        let key = self.key(number);
        while place > 0 {
            let above = (place - 1) / 2;
            let other = self.line[above].load(Relaxed);
            if self.key(other) <= key {
                break;
            }
            self.set(place, other);
            place = above;
        }
        self.set(place, number);
    }

    /// Takes the first slot, of number `first`, out of a heap that has `last` slots more, and puts it behind them: the last one
    /// moves down from the top to where it belongs.
    pub(super) fn sink(&self, last: usize, first: u32) {
        let number = self.line[last].load(Relaxed);
        self.set(last, first);
        self.sink_from(0, last, number);
    }

    /// Puts `number` where it belongs in the heap of `len` slots, from `place` down, which is free.
    fn sink_from(&self, mut place: usize, len: usize, number: u32) {
        if place >= len {
            return;
        }
        let key = self.key(number);
        loop {
            let (left, right) = (2 * place + 1, 2 * place + 2);
            if left >= len {
                break;
            }
            let [mut below, mut other] = [left, self.line[left].load(Relaxed) as usize];
            if right < len {
                let second = self.line[right].load(Relaxed);
                if self.key(second) < self.key(other as u32) {
                    [below, other] = [right, second as usize];
                }
            }
            if key <= self.key(other as u32) {
                break;
            }
            self.set(place, other as u32);
            place = below;
        }
        self.set(place, number);
    }

    /// Makes line and length anew from the slots' numbers, for the heir of the lock. Killed over it, its heir does.
    pub(super) fn repair(&self) {
        let control = &self.raw.control;
        let (mut len, mut back, mut latest) = (0, self.capacity(), 0);
        for (slot, number) in self.slots.iter().zip(0..) {
            // Acquire: pairs with the Release of who has died: what it did before is there.
            let found = slot.number.load(Acquire);
            latest = latest.max(found);
            if found == 0 {
                back -= 1;
                self.set(back, number);
            } else {
                self.set(len, number);
                len += 1;
            }
        }
        for place in (0..len / 2).rev() {
            let number = self.line[place].load(Relaxed);
            self.sink_from(place, len, number);
        }
        crash::step();
        control.next.store(control.next.load(Relaxed).max(latest.wrapping_add(1)), Relaxed);
        crash::step();
        control.len.store(len as u32, Relaxed); // At most the capacity, a u32.
        // Whoever waits for what the dead one had not told of.
        control.items.ring_all();
        control.space.ring_all();
    }
}

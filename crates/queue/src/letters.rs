//! Where a queue's dead letters lie.

use shmkit_layout::{NameWords, Offset, Region, ShapeError, ShmSafe, align_up};

use crate::places::{self, Places, words_at};
use crate::raw::{RawQueue, Ring, Words};

/// Offsets of names are of 4 bytes: nothing that has one begins behind this.
pub(crate) const FAR: u64 = 3 << 30;

/// The place of those that were given up: a queue of its own, of the same items and as many.
#[derive(Debug)]
pub(crate) struct Letters<T> {
    pub(crate) ring: Ring<'static>,
    pub(crate) places: Places<T>,
}

impl<T> Clone for Letters<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Letters<T> {}

/// Where it lies, in bytes from the queue's first.
///
/// ```text
/// queue | a word for each slot: who has died with its item | a word for each letter: where it comes from | letters: a queue
/// ```
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    count: u32,
    tries: u64,
    origins: u64,
    ring: u64,
    /// Of all of it, the queue included.
    pub(crate) bytes: u64,
}

impl Plan {
    /// Returns that of a queue of `count` `T`s.
    ///
    /// # Errors
    ///
    /// [`ShapeError::Length`] if it is too large to have dead letters.
    pub(crate) fn of<T>(count: u32) -> Result<Self, ShapeError> {
        let queue = places::Plan::of::<T>(count.into());
        let tries = align_up(queue.bytes, 8).unwrap_or(u64::MAX); // Below 2^47.
        let origins = tries + 8 * u64::from(count);
        let ring = align_up(origins + 8 * u64::from(count), queue.align).unwrap_or(u64::MAX);
        if ring > FAR {
            let each = ring / u64::from(count) + 1;
            return Err(ShapeError::Length { found: count.into(), min: 1, max: FAR / each });
        }
        Ok(Self { count, tries, origins, ring, bytes: ring + queue.bytes })
    }

    /// Returns where participants are named in it.
    pub(crate) fn names<T>(&self) -> NameWords {
        let stride = places::Plan::of::<T>(self.count.into()).stride;
        // Both small: `FAR`, and `Places`.
        RawQueue::names((self.ring + words_at::<T>()) as u32, stride as u32, self.count)
    }

    /// Finds it in `region`, behind the queue of `ring`, and ties both together.
    ///
    /// # Errors
    ///
    /// If it does not lie there.
    pub(crate) fn find<T: ShmSafe>(
        &self,
        region: Region<'static>,
        ring: Ring<'static>,
        deaths: u32,
    ) -> Result<(Ring<'static>, Letters<T>), ShapeError> {
        region.sub(0, self.bytes)?;
        let words = |at| -> Result<Words<'static>, ShapeError> {
            let first = region.place(Offset::<u64>::new(at)?, 1)?;
            // SAFETY: `count` words lie inside the region (`of`, and the look above), each aligned, since the first is; they are used
            // as words only (`Object::attach`).
            Ok(unsafe { Words::new(first.cast(), size_of::<u64>(), self.count) })
        };
        let rest = region.sub(self.ring, self.bytes - self.ring)?;
        let (slots, places) = Places::find(rest, self.count)?;
        let letters = Ring::new(rest.get::<RawQueue>(Offset::ZERO)?, slots);
        let (tries, origins) = (words(self.tries)?, words(self.origins)?);
        let [ring, letters] = ring.giving_up(deaths, tries, letters, origins);
        Ok((ring, Letters { ring: letters, places }))
    }
}

impl<T> Letters<T> {
    /// Completes one that nobody else uses yet.
    pub(crate) fn make(&self) {
        self.ring.queue().make(self.ring.capacity(), crate::Delivery::AtLeastOnce, 0);
    }

    /// Checks one that another has made.
    ///
    /// # Errors
    ///
    /// [`ShapeError::Corrupt`].
    pub(crate) fn check(&self) -> Result<(), ShapeError> {
        match self.ring.queue().capacity() {
            capacity if capacity == u64::from(self.ring.capacity()) => Ok(()),
            found => Err(ShapeError::Corrupt { field: "capacity of its dead letters", found }),
        }
    }
}

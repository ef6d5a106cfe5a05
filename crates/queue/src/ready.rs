//! Queues among several things that are waited for.

use shmkit_layout::ShmSafe;
use shmkit_roster::Judge;
use shmkit_wait::{Ready, Source};

use crate::Queue;

/// Ready when there is something to take, or to be told instead.
impl<T: ShmSafe, K: Judge> Ready for Queue<T, K> {
    fn source(&self) -> Source<'_> {
        Source::Word(self.ring.arm_items())
    }

    fn is_ready(&self, asked: bool) -> bool {
        self.ring.has_items(&self.keeper, asked).unwrap_or(true)
    }
}

/// The room in a queue, as one of several things that are waited for: of [`Queue::room`].
#[derive(Debug)]
pub struct Room<'q, T: ShmSafe, K: Judge> {
    queue: &'q Queue<T, K>,
}

impl<T: ShmSafe, K: Judge> Queue<T, K> {
    /// Returns its room, for who waits for several things: ready when something can be put. The queue itself is ready when
    /// something can be taken.
    pub fn room(&self) -> Room<'_, T, K> {
        Room { queue: self }
    }
}

/// Ready when there is room, or something to be told instead.
impl<T: ShmSafe, K: Judge> Ready for Room<'_, T, K> {
    fn source(&self) -> Source<'_> {
        Source::Word(self.queue.ring.arm_room())
    }

    fn is_ready(&self, asked: bool) -> bool {
        self.queue.ring.has_room(&self.queue.keeper, asked).unwrap_or(true)
    }
}
